"""Every window once, in order, always with the same others in the bank: for validation.

Used by loader; imports supply.
Legend: V visits, J windows of one visit make a group of slots.
"""

from __future__ import annotations

from collections import deque
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from ..bank import ClipBank
from ..video.window import Failure
from .decode_queue import DecodeQueue, Request
from .draw import Draw
from .plan_first import BATCHES
from .planned import Planned
from .sampler import SegmentSampler, Visit
from .supply import Groups, Shown


class SequentialSupply:
    """One pass over the share, the same however often it is repeated and however fast decoding is.

    Batch k shows visits k·n … (k + 1)·n − 1 of the share. Beside them the bank holds the visits before (at the
    beginning: after) them, as partners, and where the share does not fill it, visits of other processes' shares. What
    fits the bank is decoded once and kept. A visit that fails is named, and left out.

    Args:
        samplers: of this process, then of the others; they do not shuffle.
        bank: without a reuse limit. queue: closed by `close`.
        draw: plans from the bank's table, of given windows.
        visits: n per batch.
    """

    def __init__(
        self, samplers: list[SegmentSampler], bank: ClipBank, queue: DecodeQueue, draw: Draw, *, visits: int
    ) -> None:
        self._groups, self._draw, self._count = Groups(samplers[0], bank, queue), draw, visits
        self.bank = self.pixels = bank
        self._visits = _one_pass(samplers[0])
        self._share = len(self._visits)
        for other in samplers[1:]:
            if len(self._visits) < len(self._groups.held):
                self._visits += _one_pass(other)
        self._visits = self._visits[: max(self._share, len(self._groups.held))]
        self._asked: list[Request] = []
        self._placed = 0  # visits whose turn to be written has come
        self._lost: set[int] = set()

    def __len__(self) -> int:
        """Batches."""
        return -(-self._share // self._count)

    @property
    def failures(self) -> list[Failure]:
        return self._groups.failures

    def next(self, step: int) -> Shown | None:
        """Batch `step`, from 0, one after the other; None where all of its visits failed."""
        capacity, total = len(self._groups.held), len(self._visits)
        if not 0 <= step < len(self):
            raise ValueError(f"step must be in [0, {len(self)}), the batches of a pass, got step={step}")
        end = min(total, max(capacity, (step + 1) * self._count))
        if end < self._placed:  # from the beginning again
            self._asked, self._placed = [], 0
        if self._placed < end - capacity:  # gone on with in the middle: what would be overwritten is left out
            self._placed = end - capacity
            self._asked += [_TAKEN] * (self._placed - len(self._asked))
        self._ask(min(total, end + 2 * self._count))
        waiting = range(self._placed, end)
        for number in tqdm(waiting, desc="decoding", unit="window", delay=1.0, leave=False, disable=None):
            self._place(number)
        self._placed = max(end, self._placed)
        mine = range(step * self._count, min(self._share, (step + 1) * self._count))
        there = [number for number in mine if number not in self._lost]
        if not there:
            return None
        first = np.concatenate([self._groups.slots(number % capacity) for number in there])
        segment = np.repeat([self._visits[number].segment for number in there], self._groups.windows)
        rng, plan, target = self._draw(step, first=first)
        return Shown(rng, plan, target, self.bank, plan, first, segment)

    def after(self, step: int) -> None:
        """Nothing: what comes next is known."""

    def settle(self) -> None:
        """Wait until nothing is being decoded."""
        for request in self._asked:
            request.wait()

    def state_dict(self) -> dict[str, Any]:
        """Nothing has to be kept: a pass begins with its first batch."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to go on from."""

    def close(self) -> None:
        """Stop decoding; waits for the windows being decoded right now."""
        self._groups.close()

    def _ask(self, end: int) -> None:
        """Have the visits before `end` decoded, some more than are written: they are there when their turn comes."""
        new = self._visits[len(self._asked) : end]
        self._asked += self._groups.queue.request([visit.windows for visit in new])

    def _place(self, number: int) -> None:
        """Write a visit into its slots, over the oldest one; a visit that failed leaves them empty."""
        visit: Visit = self._visits[number]
        group = number % len(self._groups.held)
        slots = self._groups.slots(group)
        frames, lost = self._asked[number].wait()
        self._asked[number] = _TAKEN
        self.bank.release(slots)
        if lost:
            if number not in self._lost:
                self._groups.failures += lost
            self._lost.add(number)
            return
        self._lost.discard(number)
        for slot, picture, row in zip(slots.tolist(), frames, self._groups.rows(group, visit), strict=True):
            assert picture is not None
            with torch.cuda.stream(self.bank.stream):  # nothing for None
                self.bank.write(slot, picture, row)
        self._groups.held[group] = visit


class PlannedPass:
    """The same pass where windows hold many more frames than are shown, as whole videos: of these alone are decoded.

    Which visits the bank's table names beside those of a batch is as in `SequentialSupply`. A visit that fails is left
    out from then on, as a partner too.

    Args:
        as of `SequentialSupply`; bank: on the device "meta". pixels: a bank of any size for those of a batch.
    """

    def __init__(
        self,
        samplers: list[SegmentSampler],
        bank: ClipBank,
        queue: DecodeQueue,
        draw: Draw,
        *,
        visits: int,
        pixels: ClipBank,
    ) -> None:
        self._groups, self._draw, self._count = Groups(samplers[0], bank, queue), draw, visits
        self.bank, self.pixels = bank, pixels
        self._visits = _one_pass(samplers[0])
        self._share = len(self._visits)
        for other in samplers[1:]:
            self._visits += _one_pass(other) if len(self._visits) < len(self._groups.held) else []
        self._visits = self._visits[: max(self._share, len(self._groups.held))]
        self._planned: deque[tuple[Planned, Shown]] = deque()
        self._lost: set[int] = set()

    def __len__(self) -> int:
        """Batches."""
        return -(-self._share // self._count)

    @property
    def failures(self) -> list[Failure]:
        return self._groups.failures

    def next(self, step: int) -> Shown | None:
        """Batch `step`; None where nothing of it can be shown."""
        if not 0 <= step < len(self):
            raise ValueError(f"step must be in [0, {len(self)}), the batches of a pass, got step={step}")
        while True:
            if self._planned and self._planned[0][0].step != step:
                self._forget()
            if not self._planned and not self._plan(step):
                return None
            for ahead in range(step + len(self._planned), min(step + BATCHES, len(self))):
                if not self._plan(ahead):
                    break
            planned, shown = self._planned.popleft()
            self.pixels, lost = planned.write(self.pixels, self.bank.info)
            if not lost:
                return shown._replace(rng=self._draw.views(step), pixels=self.pixels, packed=planned.packed())
            self._groups.failures += lost
            self._forget()
            numbers = self._numbers(step)
            self._lost |= {numbers[int(planned.slots[each.index]) // self._groups.windows] for each in lost}

    def after(self, step: int) -> None:
        """Nothing: what comes next is known."""

    def settle(self) -> None:
        """Wait until nothing is being decoded."""
        for planned, _ in self._planned:
            planned.request.wait()

    def state_dict(self) -> dict[str, Any]:
        """Nothing has to be kept: a pass begins with its first batch."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to go on from."""

    def close(self) -> None:
        """Stop decoding; waits for the windows being decoded right now."""
        self._groups.close()

    def _forget(self) -> None:
        for planned, _ in self._planned:
            planned.request.cancel()
        self._planned.clear()

    def _numbers(self, step: int) -> dict[int, int]:
        """Group of slots → number of the visit that it names at a step."""
        capacity, total = len(self._groups.held), len(self._visits)
        end = min(total, max(capacity, (step + 1) * self._count))
        return {number % capacity: number for number in range(max(0, end - capacity), end) if number not in self._lost}

    def _plan(self, step: int) -> bool:
        """Plan a batch and have its frames decoded; False where nothing of it is left."""
        self.bank.release(np.arange(len(self.bank.info)))
        held = self._numbers(step)
        for group, number in held.items():
            visit = self._groups.held[group] = self._visits[number]
            for slot, row in zip(self._groups.slots(group).tolist(), self._groups.rows(group, visit), strict=True):
                self.bank.reserve([slot], row)
        mine = range(step * self._count, min(self._share, (step + 1) * self._count))
        there = [number for number in mine if number not in self._lost]
        if not there:
            return False
        first = np.concatenate([self._groups.slots(number % len(self._groups.held)) for number in there])
        segment = np.repeat([self._visits[number].segment for number in there], self._groups.windows)
        rng, plan, target = self._draw(step, first=first)
        if plan.shape[0] == 0:
            return False
        windows = {
            slot: self._visits[held[slot // self._groups.windows]].windows[slot % self._groups.windows]
            for slot in np.unique(plan.clip).tolist()
        }
        planned = Planned.ask(step, plan, target, windows, self._groups.queue)
        video_S = self.bank.info["video"].copy()
        self._planned.append((planned, Shown(rng, plan, target, self.pixels, plan, first, segment, video_S)))
        return True


def _one_pass(sampler: SegmentSampler) -> list[Visit]:
    return list(takewhile(lambda visit: visit.epoch == 0, iter(sampler.next, None)))


class _Taken(Request):
    """Stands where a request was whose pictures have been written."""

    def __init__(self) -> None:
        pass

    def wait(self) -> tuple[list[torch.Tensor | None], list[Failure]]:
        return [], []


_TAKEN = _Taken()
