"""Windows that are shown several times: which segment comes into which group of the bank's slots, and when.

Used by feed.py and plan_first_supply.py; imports sampler (which segment is next) and data. A group is what PAL and TSP
take from one video; elsewhere it is one window. Decoding runs in one background thread; the bank itself is written by
the caller's thread only.
Legend: J windows of one segment make a group of slots.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

import gpuaug

from ..data.dataset import Segment
from .sampler import Order

Decoded = tuple[list[torch.Tensor | None], list[gpuaug.Failure]]
CHUNK = 8  # windows per call of the decoder: few enough that the first ones arrive early


@dataclass
class Refill:
    """A segment on its way into a group of slots, or in it."""

    group: int
    segment: int
    windows: list[gpuaug.Window]
    due: int  # the step from which it is used, in deterministic mode
    age: int = 0  # uses it is credited with when it arrives
    first: int = 0  # place of its first window in the decoder's call
    future: Future[Decoded] | None = None


class Refiller:
    """Keeps groups of slots supplied with windows of segments, in the order of `order`.

    Args:
        segments: all of the data set. order: which of them come next.
        bank, decoder: where windows go and come from; the decoder is closed by `close`.
        windows: J. place: "random" in the segment, or "spread" evenly over it.
        frames, fps: length and rate of a window.
        seed, rank: of the windows' places.
        deterministic: a refill is used from its due step on, whether it was decoded early or late.
    """

    def __init__(
        self,
        segments: list[Segment],
        order: Order,
        bank: gpuaug.ClipBank,
        decoder: gpuaug.Decoder,
        *,
        windows: int,
        place: Literal["random", "spread"],
        frames: int,
        fps: float,
        seed: int,
        rank: int,
        deterministic: bool,
    ) -> None:
        self.segments, self.order, self.bank, self.decoder = segments, order, bank, decoder
        self.windows, self.place, self.length, self.fps = windows, place, frames, fps
        self.seed, self.rank, self.deterministic = seed, rank, deterministic
        self.pending: list[Refill] = []
        self.content: list[Refill | None] = [None] * (len(bank.info) // windows)
        self.failures: list[gpuaug.Failure] = []
        self._drawn = 0
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="gpuaug-decode")

    def request(self, groups: list[int], due: int) -> list[Refill]:
        """Ask for the next segments to replace `groups` at step `due`."""
        refills = []
        for group in groups:
            segment = self.order.next()
            refills.append(Refill(group, segment, self.choose(self.segments[segment]), due))
        self.pending += refills
        self._submit(refills)
        return refills

    def collect(self, step: int, *, wait: bool = False, most: int | None = None) -> None:
        """Move decoded windows into the bank: in deterministic mode those due, otherwise those that are there.

        With `wait`, at least one. A segment that failed is replaced by the next one, due at the same step.
        """
        taken = 0
        for refill in list(self.pending):
            assert refill.future is not None
            due = refill.due <= step if self.deterministic else refill.future.done()
            if not due and not (wait and taken == 0):
                continue
            while lost := self._place(refill):
                self.failures += lost
                self.order.strike(refill.segment)
                refill.segment = self.order.next()
                refill.windows = self.choose(self.segments[refill.segment])
                self._submit([refill])
            self.pending.remove(refill)
            taken += 1
            if taken == most:
                return

    def state_dict(self) -> dict[str, Any]:
        """What is in the bank and on its way, by place in the files."""
        return {
            "order": self.order.state_dict(),
            "drawn": self._drawn,
            "content": [c and (c.segment, [asdict(w) for w in c.windows]) for c in self.content],
            "pending": [(r.group, r.segment, [asdict(w) for w in r.windows], r.due) for r in self.pending],
            "failures": [asdict(failure) for failure in self.failures],
        }

    def load_state_dict(self, state: dict[str, Any], *, decode: bool = True) -> None:
        """Decode the bank's windows again, and ask again for what was on its way; without `decode`, only note them."""
        if len(state["content"]) != len(self.content):
            have, want = len(self.content), len(state["content"])
            raise ValueError(f"slots must be as in the checkpoint, {want} groups, got {have}")
        self.order.load_state_dict(state["order"])
        self._drawn = state["drawn"]
        held = [(group, *entry) for group, entry in enumerate(state["content"]) if entry]
        now = [Refill(group, segment, [gpuaug.Window(**w) for w in windows], -1) for group, segment, windows in held]
        if decode:
            self._submit(now)
        for refill in now:
            self.content[refill.group] = refill
            if decode and (lost := self._place(refill)):
                raise RuntimeError(f"{lost[0].path} was readable before the restart: {lost[0].reason}")
        self.pending = [Refill(g, s, [gpuaug.Window(**w) for w in ws], due) for g, s, ws, due in state["pending"]]
        self._submit(self.pending)
        self.failures = [gpuaug.Failure(**failure) for failure in state["failures"]]

    def submit(self, windows: list[gpuaug.Window], shown: list[NDArray[np.int64]]) -> Future[Decoded]:
        """Have these windows decoded, of each only the frames that are shown."""
        return self._worker.submit(self._decode, windows, shown)

    def close(self) -> None:
        """Stop decoding; waits for the windows being decoded right now."""
        self._worker.shutdown(cancel_futures=True)
        self.decoder.close()

    def _submit(self, refills: list[Refill]) -> None:
        """Hand the refills to the decoding thread, several to a call."""
        step = max(1, CHUNK // self.windows)
        for i in range(0, len(refills), step):
            part = refills[i : i + step]
            job = self._worker.submit(self._decode, [w for refill in part for w in refill.windows])
            for refill in part:
                refill.future = job
                refill.first = sum(len(r.windows) for r in part[: part.index(refill)])

    def _decode(self, windows: list[gpuaug.Window], frames_needed: list[NDArray[np.int64]] | None = None) -> Decoded:
        """In the decoding thread; on a GPU on the bank's stream, behind no training step."""
        with torch.cuda.stream(self.bank.stream):  # nothing for None
            return self.decoder.decode(windows, frames_needed)

    def choose(self, segment: Segment) -> list[gpuaug.Window]:
        """The windows of one visit to a segment, in order of time."""
        rng = np.random.default_rng([self.seed, self.rank, self._drawn, 1])
        self._drawn += 1
        room = segment.end_seconds - segment.start_seconds
        frames = max(1, min(self.length, int(room * self.fps + 1e-6)))
        slack = max(0.0, room - frames / self.fps)
        share = (np.arange(self.windows) + 0.5) / self.windows if self.windows > 1 else np.array([0.5])
        if self.place == "random":
            share = np.sort(rng.random(self.windows))
        starts = segment.start_seconds + share * slack
        return [gpuaug.Window(segment.path, float(start), self.fps, frames) for start in starts]

    def _place(self, refill: Refill) -> list[gpuaug.Failure]:
        """Write a decoded group into its slots; nothing is written where one of its windows failed."""
        assert refill.future is not None
        frames, failures = refill.future.result()
        here = range(refill.first, refill.first + len(refill.windows))
        lost = [failure for failure in failures if failure.index in here]
        if lost:
            return lost
        segment = self.segments[refill.segment]
        for position, (window, index) in enumerate(zip(refill.windows, here)):
            slot = refill.group * self.windows + position
            picture = frames[index]
            assert picture is not None
            row = {"video": segment.video, "label": segment.label, "group": refill.group, "position": position}
            with torch.cuda.stream(self.bank.stream):
                self.bank.write(slot, picture, {**row, "start_seconds": window.start_seconds, "fps": window.fps})
            self.bank.info["uses"][slot] = refill.age
        refill.future = None
        self.content[refill.group] = refill
        return []
