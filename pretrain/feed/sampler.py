"""The order in which segments are decoded: every one once per epoch, partners next to each other, replayable."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.dataset import Segment


class Order:
    """An endless stream of segment indices of one rank's share.

    Segments are dealt to the ranks in turn within each class, so that shares are disjoint and see all classes. Every
    epoch shuffles the share so that segments of one class come in couples from two videos: whatever part of the stream
    a bank holds, it has partners of the same class and of another one.

    Args:
        segments: all segments of the data set.
        seed, rank, world: the share is the same for every seed; its order depends on (seed, rank, epoch).
    """

    def __init__(self, segments: list[Segment], *, seed: int, rank: int = 0, world: int = 1) -> None:
        by_label = sorted(range(len(segments)), key=lambda i: (segments[i].label, i))
        self.share = by_label[rank::world]
        if not self.share:
            raise ValueError(f"every rank needs a segment, got {len(segments)} segments for world={world}")
        self._label = {i: segments[i].label for i in self.share}
        self._video = {i: segments[i].video for i in self.share}
        self._seed, self._rank = seed, rank
        self.epoch = -1
        self._queue: list[int] = []
        self._strikes: dict[int, int] = {}

    def next(self) -> int:
        """The next segment to decode."""
        if not self._queue:
            self.epoch += 1
            self._queue = self._shuffled(np.random.default_rng([self._seed, self._rank, self.epoch, 0]))[::-1]
        return self._queue.pop()

    def strike(self, segment: int, most: int = 3) -> None:
        """Count a failure; after `most` of them the segment is not drawn again."""
        self._strikes[segment] = self._strikes.get(segment, 0) + 1
        if self._strikes[segment] >= most and segment in self.share:
            self.share.remove(segment)
            self._queue = [i for i in self._queue if i != segment]
            if not self.share:
                raise RuntimeError("no segment is left: every one failed to decode")

    def state_dict(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "queue": torch.tensor(self._queue, dtype=torch.int64),  # there may be millions
            "strikes": dict(self._strikes),
            "share": torch.tensor(self.share, dtype=torch.int64),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self._queue = state["epoch"], torch.as_tensor(state["queue"]).tolist()
        self._strikes, self.share = dict(state["strikes"]), torch.as_tensor(state["share"]).tolist()

    def _shuffled(self, rng: np.random.Generator) -> list[int]:
        couples: list[list[int]] = []
        for label in sorted({self._label[i] for i in self.share}):
            members = self._spread([i for i in self.share if self._label[i] == label], rng)
            couples += [members[i : i + 2] for i in range(0, len(members), 2)]
        return [i for at in rng.permutation(len(couples)) for i in couples[at]]

    def _spread(self, members: list[int], rng: np.random.Generator) -> list[int]:
        """A shuffle in which segments of one video stand far apart."""
        turn: dict[int, int] = {}
        keys: list[tuple[int, float, int]] = []
        place: NDArray[np.float64] = rng.random(len(members))
        for i, at in zip(rng.permutation(members).tolist(), place.tolist()):
            turn[self._video[i]] = turn.get(self._video[i], -1) + 1
            keys.append((turn[self._video[i]], at, i))
        return [i for _, _, i in sorted(keys)]
