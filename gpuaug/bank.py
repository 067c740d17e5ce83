"""The clip bank: decoded windows kept on the device, each used several times before it is replaced.

Legend: S slots, L frames in a slot, H W greatest height and width, C = 3 channels (RGB).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

COLUMNS: list[tuple[str, type]] = [
    ("video", np.int64),  # which video the window comes from; −1: empty slot
    ("label", np.int64),  # class of the window, −1: none
    ("start_seconds", np.float64),
    ("fps", np.float64),
    ("frames", np.int64),  # valid frames, 1…L
    ("height", np.int64),  # valid rows and columns of every frame
    ("width", np.int64),
    ("group", np.int64),  # windows drawn together from one video (PAL, TSP) share a group …
    ("position", np.int64),  # … and count from 0 in it, in order of time
    ("uses", np.int64),  # samples that have shown the window
    ("ready", np.bool_),
]


class Starved(RuntimeError):
    """The bank holds too few usable windows for what was asked; more decoding may mend it."""


class ClipBank:
    """One uint8 tensor of decoded windows and a host table of what each slot holds and how often it was used.

    Args:
        slots: S ≥ 1.
        length, height, width: L, H and W ≥ 1, the largest window a slot takes.
        device: where `frames` lives.
        reuse_max: how many samples may show one decoded window, ≥ 1; None: any number.

    Attributes:
        frames: uint8 (S, L, H, W, 3) RGB tensor. Only the valid part of a slot has meaning.
        info: structured NumPy array (S,) with the columns of `COLUMNS`.
        videos: path of every video that the column "video" numbers; empty where nobody has said.
        stream: on a GPU, the stream on which slots are written; None on the CPU.
        uses_per_draw: the most uses a draw has asked for; a slot with fewer left is used up.

    >>> bank = ClipBank(2, length=4, height=6, width=8, reuse_max=3)
    >>> bank.write(1, torch.zeros(4, 6, 8, 3, dtype=torch.uint8), {"video": 7, "label": 0})
    >>> bank.slots().tolist(), bank.info["frames"].tolist()
    ([1], [0, 4])
    """

    def __init__(
        self,
        slots: int,
        length: int,
        height: int,
        width: int,
        device: torch.device | str = "cpu",
        *,
        reuse_max: int | None = None,
    ) -> None:
        for name, value in (("slots", slots), ("length", length), ("height", height), ("width", width)):
            if value < 1:
                raise ValueError(f"{name} must be ≥ 1, got {name}={value}")
        if reuse_max is not None and reuse_max < 1:
            raise ValueError(f"reuse_max must be ≥ 1 or None, got reuse_max={reuse_max}")
        self.frames = torch.empty((slots, length, height, width, 3), dtype=torch.uint8, device=device)
        self.info = np.zeros(slots, COLUMNS)
        self.info["video"] = -1
        self.reuse_max = reuse_max
        self.decoded = 0
        self.rendered = 0
        self.videos: Sequence[str] = ()
        self.uses_per_draw = 1
        cuda = self.frames.is_cuda
        self.stream = torch.cuda.Stream(self.frames.device) if cuda else None
        self._written: list[Any] = [None] * slots
        self._read: list[Any] = [None] * slots

    @property
    def echo(self) -> float:
        """Windows shown in samples per window decoded; 0 before the first."""
        return self.rendered / self.decoded if self.decoded else 0.0

    def write(self, slot: int, frames: torch.Tensor, info: Mapping[str, Any]) -> None:
        """Put a window into a slot; on a GPU, after the renders that still read the slot, without waiting for them.

        The copy is queued on `stream`, behind what the current stream holds: called with `stream` as the current one,
        as for frames decoded there, it waits for no training step.

        Args:
            frames: uint8 (T, h, w, 3), T ≤ L, h ≤ H, w ≤ W; not empty.
            info: columns of the table; `frames`, `height`, `width`, `uses` and `ready` are set here.
        """
        limit = (*self.frames.shape[1:4], 3)
        if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
            raise ValueError(f"frames must be uint8 (T, h, w, 3), got {frames.dtype} {tuple(frames.shape)}")
        if any(have > most for have, most in zip(frames.shape, limit)):
            raise ValueError(f"frames must fit into a slot of {limit}, got {tuple(frames.shape)}")
        self.info["ready"][slot] = False
        t, h, w, _ = frames.shape
        target = self.frames[slot, :t, :h, :w]
        if self.stream is None:
            target.copy_(frames)
        else:
            current = torch.cuda.current_stream(self.frames.device)
            if current != self.stream:
                self.stream.wait_stream(current)
            if self._read[slot] is not None:
                self.stream.wait_event(self._read[slot])
            with torch.cuda.stream(self.stream):
                target.copy_(frames, non_blocking=True)
                if frames.is_cuda:
                    frames.record_stream(self.stream)
                self._written[slot] = self.stream.record_event()
        row = self.info[slot]
        for name in self.info.dtype.names or ():
            row[name] = info.get(name, -1 if name in ("video", "label") else 0)
        row["frames"], row["height"], row["width"], row["uses"] = t, h, w, 0
        self.decoded += 1
        row["ready"] = True

    def slots(self) -> NDArray[np.int64]:
        """Ascending ids of the slots that may be shown now: ready, and below the reuse limit."""
        return np.flatnonzero(self._remaining() > 0)

    def draw(
        self, rng: np.random.Generator, n: int, among: ArrayLike | None = None, *, uses: int = 1
    ) -> NDArray[np.int64]:
        """At least n slot ids in random order, each as seldom as possible and never beyond its reuse limit.

        Args:
            among: bool (S,), the slots to draw from; None: all.
            uses: how many samples will show a slot each time it is drawn (PAL: a query and its key).

        Raises:
            Starved: the reuse limits leave fewer than n.
        """
        self.uses_per_draw = max(self.uses_per_draw, uses)
        remaining = self._remaining() // uses
        if among is not None:
            remaining = np.where(np.asarray(among, bool), remaining, 0)
        usable = np.flatnonzero(remaining > 0)
        remaining = remaining[usable]
        if remaining.sum() < n:
            raise Starved(
                f"{n} windows are wanted, {len(usable)} usable slots may still be shown {remaining.sum()} times"
            )
        times = max(1, -(-n // max(1, len(usable))))
        while np.minimum(remaining, times).sum() < n:
            times *= 2
        return rng.permutation(np.repeat(usable, np.minimum(remaining, times)))

    @contextmanager
    def reading(self, clip: NDArray[np.int64]) -> Iterator[None]:
        """Guard a render of the plan whose clip ids (N, …) are given, and count the uses: one per sample and window.

        On a GPU the current stream waits for the slots' writes, and later writes wait for what is queued inside.
        """
        pairs = np.unique(np.stack([np.repeat(np.arange(len(clip)), clip[0].size), clip.reshape(-1)]), axis=1)
        slots, uses = np.unique(pairs[1], return_counts=True)
        if self.stream is not None:
            stream = torch.cuda.current_stream(self.frames.device)
            for slot in slots:
                if self._written[slot] is not None and self._written[slot].query():
                    self._written[slot] = None  # no stream has to wait for it any more
                if self._written[slot] is not None:
                    stream.wait_event(self._written[slot])
        yield
        if self.stream is not None:
            event = torch.cuda.current_stream(self.frames.device).record_event()
            for slot in slots:
                self._read[slot] = event
        self.info["uses"][slots] += uses
        self.rendered += int(uses.sum())

    def _remaining(self) -> NDArray[np.int64]:
        """(S,) how often each slot may still be shown."""
        limit = np.iinfo(np.int32).max if self.reuse_max is None else self.reuse_max
        return np.where(self.info["ready"], np.maximum(limit - self.info["uses"], 0), 0)
