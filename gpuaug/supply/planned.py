"""A batch that was planned and whose frames are being decoded.

Used by plan_first; imports bank, plan, decode_queue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..bank import ClipBank
from ..plan import Plan
from ..video.window import Failure, Window
from .decode_queue import DecodeQueue, Request


@dataclass(eq=False)
class Planned:
    """`frames` are those, by their number in the window, that each of `slots` shows."""

    step: int
    plan: Plan
    target: dict[str, NDArray]
    slots: NDArray[np.int64]
    frames: list[NDArray[np.int64]]
    request: Request

    @staticmethod
    def ask(
        step: int, plan: Plan, target: dict[str, NDArray], windows: dict[int, Window], queue: DecodeQueue
    ) -> Planned:
        """Have the frames decoded that a plan shows; `windows` by slot."""
        clip, frame = plan.clip[plan.weight != 0], plan.frame[plan.weight != 0]
        slots = np.unique(clip)
        frames = [np.unique(frame[clip == slot]) for slot in slots]
        return Planned(step, plan, target, slots, frames, queue.request_frames([windows[s] for s in slots], frames))

    def write(self, pixels: ClipBank, info: NDArray) -> tuple[ClipBank, list[Failure]]:
        """Write the frames into the first slots of `pixels`, once they are there; nothing where windows failed.

        Returns:
            the bank, which is a greater one if they did not fit; and the failures.
        """
        pictures, lost = self.request.wait()
        if lost:
            return pixels, lost
        have = pixels.frames.shape[:4]
        sides = [(picture.shape[1], picture.shape[2]) for picture in pictures if picture is not None]
        if pixels.tall is not None:
            sides = [(min(side), max(side)) for side in sides]
        need = (len(self.slots), max(map(len, self.frames)), *(max(side[k] for side in sides) for k in (0, 1)))
        if any(wanted > there for wanted, there in zip(need, have)):
            upright = pixels.tall is not None
            slots, length, height, width = map(max, need, have)
            larger = ClipBank(slots, length, height, width, pixels.frames.device, upright=upright)
            larger.decoded, larger.rendered = pixels.decoded, pixels.rendered
            pixels = larger
        with torch.cuda.stream(pixels.stream):  # nothing for None
            for place, (slot, picture) in enumerate(zip(self.slots, pictures)):
                assert picture is not None
                row = {name: info[name][slot] for name in ("video", "label", "start_seconds", "fps", "epoch")}
                pixels.write(place, picture, row)
        return pixels, []

    def packed(self) -> Plan:
        """The plan by places in the bank that was written: a slot's frames lie there one after the other."""
        place, clip = np.zeros_like(self.plan.time), np.zeros_like(self.plan.clip)
        for k, (slot, frames) in enumerate(zip(self.slots, self.frames)):
            here = self.plan.clip == slot
            clip[here], place[here] = k, np.searchsorted(frames, self.plan.frame[here])
        return Plan(clip, place, self.plan.weight)
