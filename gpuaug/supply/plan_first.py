"""Windows that are shown once: plan first, some batches ahead, then decode only the frames that the plans show.

Used by loader; imports supply. The bank is a table without pixels; those of a batch lie in a small bank of their own.
Legend: N samples, T output frames, K taps; J windows of one visit make a group of slots.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bank import ClipBank, Starved
from ..plan import Plan
from ..video.window import Failure, Window
from .decode_queue import DecodeQueue
from .draw import Draw
from .planned import Planned
from .sampler import SegmentSampler
from .supply import Groups, Shown

BATCHES = 3  # planned at a time: one to be shown, the others being decoded


class PlanFirstSupply:
    """Every window is chosen first, planned with next, decoded last, and shown once; batches are always deterministic.

    A group is replaced once all of its windows were shown, with `whole_visits` once any was. A slot of the bank that is
    ready may be planned with.

    Args:
        sampler, queue: where windows come from; the queue is closed by `close`.
        bank: on the device "meta", with a `reuse_max` of one sample.
        draw: plans from the bank's table.
        pixels: a bank of any size for those of a batch; it is replaced by larger ones.
        whole_visits: plans take all windows of a group, whether they show them or not.
    """

    def __init__(
        self,
        sampler: SegmentSampler,
        bank: ClipBank,
        queue: DecodeQueue,
        draw: Draw,
        *,
        pixels: ClipBank,
        whole_visits: bool = False,
    ) -> None:
        self._groups, self._draw, self.bank = Groups(sampler, bank, queue), draw, bank
        self.pixels, self._whole_visits = pixels, whole_visits
        self._planned: deque[Planned] = deque()

    @property
    def failures(self) -> list[Failure]:
        return self._groups.failures

    def next(self, step: int) -> Shown:
        """The batch of `step`, once its frames are there.

        Where a window fails, one of another segment replaces it, and all that was planned is planned again.
        """
        if self._planned and self._planned[0].step != step:
            self._forget()
        while True:
            self._renew()
            self._plan(step)
            planned = self._planned.popleft()
            self.pixels, lost = planned.write(self.pixels, self.bank.info)
            if not lost:
                with self.bank.reading(planned.plan.clip):
                    pass  # counts the uses; there are no pixels to guard
                return Shown(self._draw.views(step), planned.plan, planned.target, self.pixels, planned.packed())
            self._replace(planned, lost)

    def after(self, step: int) -> None:
        """Nothing: windows are asked for when plans are made."""

    def settle(self) -> None:
        """Wait until nothing is being decoded."""
        for planned in self._planned:
            planned.request.wait()

    def state_dict(self) -> dict[str, Any]:
        planned = [(p.step, p.plan.clip, p.plan.time, p.plan.weight, p.target) for p in self._planned]
        return {**self._groups.state_dict(), "planned": planned}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Decode again what was on its way."""
        self._groups.load_state_dict(state)
        self._planned.clear()
        for step, clip, time, weight, target in state["planned"]:
            arrays = {name: np.asarray(value) for name, value in target.items()}
            self._ask(step, Plan(np.asarray(clip), np.asarray(time), np.asarray(weight)), arrays)

    def close(self) -> None:
        """Stop decoding; waits for the windows being decoded right now."""
        self._groups.close()

    def _renew(self) -> None:
        """Choose new windows for the groups that were shown, and at first for all."""
        uses = self.bank.info["uses"].reshape(-1, self._groups.windows)
        shown = (uses.max(1) if self._whole_visits else uses.min(1)) > 0
        for group, visit in enumerate(self._groups.held):
            if visit is None or shown[group]:
                self._groups.choose(group)

    def _plan(self, step: int) -> None:
        """Plan a step and those after it, as far as the windows suffice."""
        tries = 0
        while len(self._planned) < BATCHES:
            ahead = step + len(self._planned)
            try:
                _, plan, target = self._draw(ahead)
            except Starved:
                if self._planned:
                    return
                if tries == 3:
                    raise
                for group in range(tries % 2, len(self._groups.held), 2):  # what is left may not pair up
                    self._groups.choose(group)
                tries += 1
            else:
                self._ask(ahead, plan, target)

    def _forget(self) -> None:
        """Give up what is planned; its windows may be planned with again."""
        for planned in self._planned:
            planned.request.cancel()
            self.bank.offer(self._taken(planned))
        self._planned.clear()

    def _ask(self, step: int, plan: Plan, target: dict[str, NDArray]) -> None:
        """Have a plan's frames decoded; its slots are not ready for other plans from now on."""
        planned = Planned.ask(step, plan, target, self._windows(plan), self._groups.queue)
        self.bank.release(self._taken(planned))
        self._planned.append(planned)

    def _taken(self, planned: Planned) -> NDArray[np.int64]:
        """Slots that no other plan may show: those shown, or of the groups that they are of."""
        if not self._whole_visits:
            return planned.slots
        groups = np.unique(planned.slots // self._groups.windows)
        return np.concatenate([self._groups.slots(group) for group in groups.tolist()])

    def _windows(self, plan: Plan) -> dict[int, Window]:
        """The windows that a plan shows, by slot."""
        found = {}
        for slot in np.unique(plan.clip).tolist():
            group, position = divmod(slot, self._groups.windows)
            visit = self._groups.held[group]
            assert visit is not None
            found[slot] = visit.windows[position]
        return found

    def _replace(self, planned: Planned, lost: list[Failure]) -> None:
        """Give the groups of windows that failed to other segments; what was planned is planned again."""
        self._groups.failures += lost
        self.bank.offer(self._taken(planned))
        self._forget()
        failed = {int(planned.slots[failure.index]) // self._groups.windows for failure in lost}
        visits = dict(enumerate(visit for visit in self._groups.held if visit))
        for group in sorted(failed):
            self._groups.sampler.count_failure(visits[group].segment, self._groups.failures)
        for group, visit in visits.items():
            if group in failed or self._groups.sampler.given_up(visit.segment):
                self._groups.choose(group)
