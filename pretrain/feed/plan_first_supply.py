"""Windows that are shown once: plans are drawn before decoding, and only the frames that they show are decoded.

Used by feed.py at a reuse limit of 1, in place of the pool that is shown again and again; imports reuse_supply, whose
order of segments, bank and decoding thread it works with.
Legend: N samples, T output frames, K taps; S slots; J windows of one segment (a group).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import gpuaug

from .reuse_supply import Refill, Refiller

BATCHES = 3  # planned at a time: one to be shown, the others being decoded
Draw = Callable[[int], tuple[gpuaug.Plan, dict[str, NDArray]]]


@dataclass(eq=False)
class Planned:
    """A batch whose windows are being decoded: `shown` are the frames (of its window) that each of `slots` shows."""

    step: int
    plan: gpuaug.Plan
    target: dict[str, NDArray]
    slots: list[int]
    shown: list[NDArray[np.int64]]
    future: Future[Any]


class Ahead:
    """Batches of the bank's windows, each of which is chosen first, planned with next, and decoded last.

    The bank's table says of a slot that is ready that a plan may be drawn with it; its pixels come with the batch.

    Args:
        refiller: whose order, decoder and bank are used.
        draw: step → plan and target, from the bank's table.
    """

    def __init__(self, refiller: Refiller, draw: Draw) -> None:
        self.refiller, self.bank, self.draw = refiller, refiller.bank, draw
        self.queue: deque[Planned] = deque()

    def batch(self, step: int) -> tuple[gpuaug.Plan, gpuaug.Plan, dict[str, NDArray]]:
        """(plan, the same plan by where its frames lie in the bank, target), after its windows were decoded.

        Where a window fails, one of another segment replaces it, and all that was planned is planned again.
        """
        if self.queue and self.queue[0].step != step:
            self._forget()
        while True:
            self._renew()
            self._plan(step)
            planned = self.queue.popleft()
            if self._place(planned):
                return planned.plan, _packed(planned), planned.target

    def state_dict(self) -> list[tuple[Any, ...]]:
        """The plans whose windows are being decoded."""
        return [(p.step, p.plan.clip, p.plan.time, p.plan.weight, p.target) for p in self.queue]

    def load_state_dict(self, state: list[tuple[Any, ...]]) -> None:
        """Decode again what was on its way. The refiller's content and the bank's table are there already."""
        for step, clip, time, weight, target in state:
            plan = gpuaug.Plan(clip.numpy(), time.numpy(), weight.numpy())
            self._decode(step, plan, {name: value.numpy() for name, value in target.items()})

    def _renew(self) -> None:
        """Choose new windows for the groups that were shown, and at first for all."""
        groups = self.bank.info.reshape(len(self.refiller.content), -1)
        coming = {slot // groups.shape[1] for planned in self.queue for slot in planned.slots}
        for group, held in enumerate(self.refiller.content):
            if held is None or (groups["uses"][group].any() and group not in coming):
                self._choose(group)

    def _choose(self, group: int) -> None:
        """A new segment's windows for a group: their rows of the table, no pixels yet."""
        refiller = self.refiller
        number = refiller.order.next()
        segment, windows = refiller.segments[number], refiller.choose(refiller.segments[number])
        refiller.content[group] = Refill(group, number, windows, due=0)
        rows = self.bank.info[group * len(windows) : (group + 1) * len(windows)]
        for position, window in enumerate(windows):
            rows[position] = (
                *(segment.video, segment.label, window.start_seconds, window.fps, window.frames, 0, 0, group, position),
                *(0, True),
            )

    def _plan(self, step: int) -> None:
        """Plan a step and those after it, as far as the windows suffice."""
        tries = 0
        while len(self.queue) < BATCHES:
            ahead = step + len(self.queue)
            try:
                self._decode(ahead, *self.draw(ahead))
            except gpuaug.Starved:
                if self.queue:
                    return
                if tries == 3:
                    raise
                for group in range(tries % 2, len(self.refiller.content), 2):  # what is left may not pair up
                    self._choose(group)
                tries += 1

    def _forget(self) -> None:
        """Give up what is planned; its windows may be planned with again."""
        for planned in self.queue:
            planned.future.cancel()
            self.bank.info["ready"][planned.slots] = True
        self.queue.clear()

    def _decode(self, step: int, plan: gpuaug.Plan, target: dict[str, NDArray]) -> None:
        """Have the frames decoded that the plan shows; its slots are not ready for other plans from now on."""
        clip, frame = plan.clip[plan.weight != 0], plan.frame[plan.weight != 0]
        slots = np.unique(clip).tolist()
        shown = [np.unique(frame[clip == slot]) for slot in slots]
        self.bank.info["ready"][slots] = False
        windows = [self._window(slot) for slot in slots]
        future = self.refiller.submit(windows, shown)
        self.queue.append(Planned(step, plan, target, slots, shown, future))

    def _window(self, slot: int) -> gpuaug.Window:
        group, position = divmod(slot, self.refiller.windows)
        held = self.refiller.content[group]
        assert held is not None
        return held.windows[position]

    def _place(self, planned: Planned) -> bool:
        """Write a batch's frames into their slots; False where windows failed, which are replaced."""
        frames, failures = planned.future.result()
        info = self.bank.info
        if failures:
            self.refiller.failures += failures
            info["ready"][planned.slots] = True
            self._forget()
            for group in sorted({planned.slots[failure.index] // self.refiller.windows for failure in failures}):
                held = self.refiller.content[group]
                assert held is not None
                self.refiller.order.strike(held.segment)
                self._choose(group)
            return False
        with torch.cuda.stream(self.bank.stream):  # nothing for None
            for slot, picture in zip(planned.slots, frames):
                row = {name: info[name][slot] for name in info.dtype.names or ()}
                self.bank.write(slot, picture, row)
                info["frames"][slot] = row["frames"]
        return True


def _packed(planned: Planned) -> gpuaug.Plan:
    """The plan by places in the bank, where a slot's frames that are shown lie one after the other."""
    plan, place = planned.plan, np.zeros_like(planned.plan.time)
    for slot, shown in zip(planned.slots, planned.shown):
        here = plan.clip == slot
        place[here] = np.searchsorted(shown, plan.frame[here])
    return gpuaug.Plan(plan.clip, place, plan.weight)
