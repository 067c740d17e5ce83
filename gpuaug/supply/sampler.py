"""Which windows next: every segment once per pass, partners next to each other, shared out among processes, replayable.

Used by the supplies; imports segment and video (windows). NumPy only.
Legend: S segments, U units, which are dealt as one: a couple of segments of one class, or a single one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from ..video.window import Failure, Window
from .segment import Segment

Placement = Literal["random", "spread", "ends", "whole"]
MOST_FAILURES = 3  # of a segment, until it is not tried again


class NoSegmentLeft(RuntimeError):
    """None of the segments can be decoded any more. The message names the first file that failed, and why."""


class Visit(NamedTuple):
    """Windows of one segment, in order of time."""

    segment: int
    epoch: int  # the pass, from 0
    windows: tuple[Window, ...]

    def state(self) -> tuple[int, int, list[tuple[float, int]]]:
        """Plain data, without the path: moved files can be gone on with."""
        return self.segment, self.epoch, [(window.start_seconds, window.frames) for window in self.windows]


class SegmentSampler:
    """An endless stream of visits to segments, of one process's share.

    Every pass shuffles all segments, in the same way on every process, and deals them to the processes in turn: shares
    are disjoint within a pass and differ from pass to pass. Shuffling a pass costs O(S log S), whatever the number of
    classes.

    Args:
        segments: all of the data set.
        frames, fps: length and rate of a window; a shorter segment gives as many frames as it has.
        windows: of one visit. placement: "random" in the segment; "spread" evenly over it, with half a space before the
            first and after the last; "ends", with the first at the start and the last at the end (as numpy.linspace);
            "whole": a window is the whole segment, its `frames` evenly spread over it at whatever rate that is.
        pairs: segments of one class come in couples from two videos, so that whatever part of the stream a bank holds,
            it has partners of the same class and of another one.
        balance: labelled and other segments take turns, each with passes of their own.
        shuffle: False: the order of `segments`; with pairs, one shuffle for all passes.
        seed, rank, world: the passes depend on seed alone.
    """

    def __init__(
        self,
        segments: list[Segment],
        *,
        frames: int,
        fps: float,
        windows: int = 1,
        placement: Placement = "random",
        pairs: bool = True,
        balance: bool = False,
        shuffle: bool = True,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        for name, value in (("frames", frames), ("windows", windows), ("world", world)):
            if value < 1:
                raise ValueError(f"{name} must be ≥ 1, got {name}={value}")
        if placement not in get_args(Placement):
            raise ValueError(f"placement must be one of {', '.join(get_args(Placement))}, got placement={placement!r}")
        self.segments, self.length, self.fps = segments, frames, fps
        self.windows, self.placement, self.seed, self.rank = windows, placement, seed, rank
        label = np.array([segment.label for segment in segments])
        sides = [np.flatnonzero(label >= 0), np.flatnonzero(label < 0)] if balance else [np.arange(len(segments))]
        if balance and not all(map(len, sides)):
            raise ValueError("balance needs labelled segments and others, got only one of the two")
        video = np.array([segment.video for segment in segments])
        self._passes = [
            _Passes(
                side, label[side] if pairs else None, video[side], seed=(seed, k), shuffle=shuffle, share=(rank, world)
            )
            for k, side in enumerate(sides)
        ]
        self._met = np.zeros((len(sides), len(segments)), bool)
        for met, passes in zip(self._met, self._passes):
            met[passes.met] = True
        self._left = self._met.sum(1)  # segments of each side that are not given up
        self._failures: dict[int, int] = {}
        self._visits = 0

    @property
    def epoch(self) -> int:
        """The pass that the last visit belongs to, the earliest where there are several; −1 before the first."""
        return min(passes.epoch for passes in self._passes)

    def next(self) -> Visit:
        """The next segment's windows."""
        passes = self._passes[self._visits % len(self._passes)]
        while True:
            epoch, segment = passes.next()
            if not self.given_up(segment):
                return Visit(segment, epoch, self._place(self.segments[segment]))

    def given_up(self, segment: int) -> bool:
        """Has it failed so often that it is not tried again?"""
        return self._failures.get(segment, 0) >= MOST_FAILURES

    def count_failure(self, segment: int, failures: Sequence[Failure]) -> None:
        """After three failures a segment is not drawn again.

        Args:
            failures: of all windows so far, which an error tells of.

        Errors: NoSegmentLeft, with `balance` also where none is left of one of the two sides.
        """
        self._failures[segment] = self._failures.get(segment, 0) + 1
        if self._failures[segment] == MOST_FAILURES:
            self._left -= self._met[:, segment]
        if not self._left.all():
            two = len(self._left) > 1
            side = (" that is labelled", " without a label")[int(self._left.argmin())] if two else ""
            first = f"{failures[0].path}: {failures[0].reason}"
            raise NoSegmentLeft(f"no segment{side} is left: every one failed to decode, first {first}")

    def state_dict(self) -> dict[str, Any]:
        places = [passes.place for passes in self._passes]
        return {"passes": places, "failures": dict(self._failures), "visits": self._visits}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for passes, place in zip(self._passes, state["passes"], strict=True):
            passes.place = tuple(place)
        self._failures, self._visits = dict(state["failures"]), state["visits"]
        gone = [segment for segment in self._failures if self.given_up(segment)]
        self._left = self._met.sum(1) - self._met[:, gone].sum(1)

    def visit(self, state: tuple[int, int, list[tuple[float, int]]]) -> Visit:
        """The visit of a `Visit.state`, in today's segments."""
        number, epoch, windows = state
        segment = self.segments[number]
        fps = self._rate(segment)
        return Visit(number, epoch, tuple(Window(segment.path, start, fps, frames) for start, frames in windows))

    def _rate(self, segment: Segment) -> float:
        """Frames per second of a window."""
        whole = self.placement == "whole"
        return self.length / (segment.end_seconds - segment.start_seconds) if whole else self.fps

    def _place(self, segment: Segment) -> tuple[Window, ...]:
        number, self._visits = self._visits, self._visits + 1
        room = segment.end_seconds - segment.start_seconds
        if self.placement == "whole":
            window = Window(segment.path, segment.start_seconds, self._rate(segment), self.length)
            return (window,) * self.windows
        frames = max(1, min(self.length, int(room * self.fps + 1e-6)))
        slack = max(0.0, room - frames / self.fps)
        if self.placement == "random":
            share = np.sort(np.random.default_rng([self.seed, self.rank, number, 1]).random(self.windows))
        elif self.placement == "ends" and self.windows > 1:
            share = np.linspace(0, 1, self.windows)
        else:
            share = (np.arange(self.windows) + 0.5) / self.windows
        starts = segment.start_seconds + share * slack
        return tuple(Window(segment.path, float(start), self.fps, frames) for start in starts)


class _Passes:
    """An endless stream of (pass, segment) over some of the segments, of one process's share.

    Args:
        members: int64 (S,), numbers of segments. label: (S,) where couples are wanted. video: (S,).
    """

    def __init__(
        self,
        members: NDArray[np.int64],
        label: NDArray[np.int64] | None,
        video: NDArray[np.int64],
        *,
        seed: tuple[int, int],
        shuffle: bool,
        share: tuple[int, int],
    ) -> None:
        self._members, self._label, self._video = members, label, video
        self._seed, self._shuffle, (self._rank, self._world) = seed, shuffle, share
        self._pass, self._segments, self._starts = -1, members, members
        self.epoch = -1
        self.place: tuple[int, int] = (0, 0)  # units taken so far, and what is left of the last one
        self._deal(0)
        if len(self._starts) - 1 < self._world:
            raise ValueError(f"every rank needs a segment, got {len(members)} segments for world={self._world}")

    @property
    def met(self) -> NDArray[np.int64]:
        """Segments that come in this process's share, in whatever pass."""
        if self._shuffle or self._world == 1:
            return self._members
        units = len(self._starts) - 1
        mine = (np.arange(units) - self._rank) % np.gcd(units, self._world) == 0
        return self._segments[np.repeat(mine, np.diff(self._starts))]

    def next(self) -> tuple[int, int]:
        """(pass, number of the segment)."""
        taken, left = self.place
        if left == 0:
            taken += 1
        self.epoch, unit = divmod((taken - 1) * self._world + self._rank, len(self._starts) - 1)
        self._deal(self.epoch)
        begin, end = self._starts[unit], self._starts[unit + 1]
        left = int(end - begin) if left == 0 else left
        self.place = taken, left - 1
        return self.epoch, int(self._segments[end - left])

    def _deal(self, epoch: int) -> None:
        """Shuffle a pass: `_segments` in order of dealing; unit u is `_starts[u]` … `_starts[u + 1]` − 1 of them."""
        if epoch == self._pass:
            return
        self._pass, rng = epoch, np.random.default_rng([self._seed[0], epoch if self._shuffle else 0, 0, self._seed[1]])
        count = len(self._members)
        if self._label is None:
            self._segments = self._members[rng.permutation(count)] if self._shuffle else self._members
            self._starts = np.arange(count + 1)
            return
        # those of one video stand far apart within their class: first one of each video, then the second ones, …
        at = rng.permutation(count)
        label, video = self._label[at], self._video[at]
        turn = _turns(np.stack([label, video]))
        order = np.lexsort((rng.random(count), turn, label))
        at, label = at[order], label[order]
        couple = _turns(label[None]) // 2
        first = np.concatenate([[True], (couple[1:] != couple[:-1]) | (label[1:] != label[:-1])])
        unit = np.cumsum(first) - 1
        units = int(unit[-1]) + 1
        place = rng.permutation(units)[unit]
        order = np.argsort(place, kind="stable")
        self._segments = self._members[at[order]]
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(place, minlength=units))])


def _turns(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """(S,) how many columns of `keys` (K, S) before each equal it.

    >>> _turns(np.array([[4, 4, 7, 4]])).tolist()
    [0, 1, 0, 2]
    """
    order = np.lexsort(keys)
    ordered = keys[:, order]
    new = np.concatenate([[True], (ordered[:, 1:] != ordered[:, :-1]).any(0)])
    begin = np.flatnonzero(new)
    turn = np.empty(keys.shape[1], np.int64)
    turn[order] = np.arange(len(order)) - begin[np.cumsum(new) - 1]
    return turn
