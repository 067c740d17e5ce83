"""Windows that are shown several times: decode, then plan with what is there, and replace what is used up.

Used by loader; imports supply. The bank is written by the caller's thread only.
Legend: J windows of one visit make a group of slots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from ..bank import ClipBank, Starved
from ..video.window import Failure
from .decode_queue import CHUNK, DecodeQueue, Request
from .draw import Draw
from .sampler import SegmentSampler, Visit
from .supply import Groups, Shown

FILL_AHEAD = 64  # windows decoded or being decoded while the bank is first filled


@dataclass(eq=False)
class WindowRequest:
    """A visit on its way into a group of slots."""

    group: int
    visit: Visit
    due_step: int  # from which it is used, in deterministic mode
    request: Request
    credited_uses: int = 0  # when it arrives


class ReuseSupply:
    """A group of slots is replaced as a whole: as soon as one of its windows has been shown as often as the bank
    allows; earlier, after `reuse_min` times, when the decoder has nothing else to do.

    Args:
        sampler, bank, queue: where windows come from and go to; the queue is closed by `close`.
        draw: plans from the bank's table.
        reuse_min: samples that show a window before an idle decoder replaces it, ≥ 1.
        resident: the bank holds all of the data: nothing is replaced.
        deterministic: a request is used from its due step on, `lag` steps later, however fast decoding is.
    """

    def __init__(
        self,
        sampler: SegmentSampler,
        bank: ClipBank,
        queue: DecodeQueue,
        draw: Draw,
        *,
        reuse_min: int,
        resident: bool,
        deterministic: bool,
        lag: int,
    ) -> None:
        self._groups, self._draw = Groups(sampler, bank, queue), draw
        self.bank = self.pixels = bank
        self._reuse_min, self._resident, self._deterministic, self._lag = reuse_min, resident, deterministic, lag
        self._pending: list[WindowRequest] = []
        self._unfilled: list[int] | None = None  # groups that were never asked for; None: none was yet

    @property
    def failures(self) -> list[Failure]:
        return self._groups.failures

    def next(self, step: int) -> Shown:
        """Draw from the windows that are there, waiting for more while they do not suffice."""
        if self._unfilled is None:
            self._fill(step)
        self._collect(step)
        forced, groups = 0, len(self._groups.held)
        while True:
            try:
                rng, plan, target = self._draw(step)
                return Shown(rng, plan, target, self.bank, plan)
            except Starved:
                self._top_up(step)
                if not self._pending:  # what is left does not pair up: replace the most used windows early
                    forced += 1
                    if forced > 3 or self._resident:
                        raise
                    self._request(np.argsort(-self._uses(), kind="stable")[: (groups + 1) // 2].tolist(), step)
                self._collect(self._pending[0].due_step, wait=True)

    def after(self, step: int) -> None:
        """Ask for replacements of groups that are used up, and of others while the decoder is idle."""
        self._top_up(step)
        if self._resident or self._unfilled:
            return
        coming = {pending.group for pending in self._pending}
        spent = self.bank.spent().reshape(-1, self._groups.windows).any(1)
        wanted = [group for group in np.flatnonzero(spent).tolist() if group not in coming]
        if not self._deterministic and not self._pending and not wanted:
            uses = self._uses()
            by_use = np.argsort(-uses, kind="stable").tolist()
            wanted = [g for g in by_use if uses[g] >= self._reuse_min][: max(1, CHUNK // self._groups.windows)]
        self._request(wanted, step + self._lag)

    def settle(self) -> None:
        """Wait until nothing is being decoded."""
        for pending in self._pending:
            pending.request.wait()

    def state_dict(self) -> dict[str, Any]:
        pending = [(p.group, p.visit.state(), p.due_step, p.credited_uses) for p in self._pending]
        return {**self._groups.state_dict(), "pending": pending}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Decode the bank's windows again, and ask again for what was on its way."""
        groups = self._groups
        groups.load_state_dict(state)
        there = [(group, visit) for group, visit in enumerate(groups.held) if visit]
        requests = groups.queue.request([visit.windows for _, visit in there])
        for (group, visit), request in zip(there, requests):
            if lost := self._place(WindowRequest(group, visit, -1, request)):
                raise RuntimeError(f"{lost[0].path} was readable before the restart: {lost[0].reason}")
        self.bank.load_state_dict(state["bank"])
        coming = [(group, groups.sampler.visit(visit), *rest) for group, visit, *rest in state["pending"]]
        requests = groups.queue.request([visit.windows for _, visit, *_ in coming])
        self._pending = [
            WindowRequest(group, visit, due, request, credited)
            for (group, visit, due, credited), request in zip(coming, requests)
        ]
        asked = {pending.group for pending in self._pending}
        self._unfilled = [g for g, visit in enumerate(groups.held) if visit is None and g not in asked]

    def close(self) -> None:
        """Stop decoding; waits for the windows being decoded right now."""
        self._groups.close()

    def _request(self, groups: list[int], due_step: int) -> list[WindowRequest]:
        """Ask for the next visits, to replace `groups` at step `due_step`."""
        visits = [self._groups.sampler.next() for _ in groups]
        requests = self._groups.queue.request([visit.windows for visit in visits])
        new = [WindowRequest(group, visit, due_step, req) for group, visit, req in zip(groups, visits, requests)]
        self._pending += new
        return new

    def _collect(self, step: int, *, wait: bool = False, most: int | None = None) -> None:
        """Move decoded windows into the bank: in deterministic mode those due, otherwise those that are there.

        With `wait`, at least one. A visit that failed is replaced by the next one, due at the same step.
        """
        taken = 0
        for pending in list(self._pending):
            due = pending.due_step <= step if self._deterministic else pending.request.ready
            if not due and not (wait and taken == 0):
                continue
            while lost := self._place(pending):
                self._groups.failures += lost
                self._groups.sampler.count_failure(pending.visit.segment, self._groups.failures)
                pending.visit = self._groups.sampler.next()
                (pending.request,) = self._groups.queue.request([pending.visit.windows])
            self._pending.remove(pending)
            taken += 1
            if taken == most:
                return

    def _place(self, pending: WindowRequest) -> list[Failure]:
        """Write a decoded visit into its slots; nothing is written where one of its windows failed."""
        frames, lost = pending.request.wait()
        if lost:
            return lost
        groups = self._groups
        rows = groups.rows(pending.group, pending.visit)
        for slot, picture, row in zip(groups.slots(pending.group).tolist(), frames, rows, strict=True):
            assert picture is not None
            with torch.cuda.stream(self.bank.stream):  # nothing for None
                self.bank.write(slot, picture, row, uses=pending.credited_uses)
        groups.held[pending.group] = pending.visit
        return []

    def _fill(self, step: int) -> None:
        """Fill the bank; while racing, go on as soon as a quarter of it is there."""
        groups = len(self._groups.held)
        self._unfilled = list(range(groups))
        enough = groups if self._deterministic or self._resident else -(-groups // 4)
        with tqdm(total=enough, desc="decoding", unit="window", delay=1.0, leave=False, disable=None) as bar:
            while (have := sum(visit is not None for visit in self._groups.held)) < enough:
                bar.update(have - bar.n)
                self._top_up(step)
                self._collect(step, wait=True, most=1)

    def _top_up(self, step: int) -> None:
        """Ask for groups that were never filled, not all at once: windows on their way take memory."""
        if not self._unfilled:
            return
        windows, groups = self._groups.windows, len(self._groups.held)
        room = max(1, FILL_AHEAD // windows) - len(self._pending)
        if 0 < room < min(max(1, CHUNK // windows), len(self._unfilled)) and self._pending:
            return  # the decoder is better with several files at once
        now, self._unfilled = self._unfilled[:room], self._unfilled[room:]
        limit = self.bank.reuse_max
        for pending in self._request(now, step):  # spread the uses, or all windows would be used up at once
            pending.credited_uses = pending.group * (limit - self._reuse_min) // groups if limit else 0

    def _uses(self) -> NDArray[np.int64]:
        """(groups,) the uses of each group's most used window."""
        return self.bank.info["uses"].reshape(-1, self._groups.windows).max(1)
