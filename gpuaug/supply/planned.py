"""A batch that was planned and whose frames are being decoded.

Used by plan_first; imports bank, plan, decode_queue.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..bank import ClipBank
from ..layers.columns import Layers, Marks
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
        used = (plan.weight != 0) & (plan.clip >= 0)  # a clip of −1 is a colour
        clip, frame = plan.clip[used], plan.frame[used]
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
        place, clip = np.zeros_like(self.plan.time), np.minimum(self.plan.clip, 0)
        for k, (slot, frames) in enumerate(zip(self.slots, self.frames)):
            here = self.plan.clip == slot
            clip[here], place[here] = k, np.searchsorted(frames, self.plan.frame[here])
        return replace(self.plan, clip=clip, time=place)


def plan_data(plan: Plan) -> dict[str, Any]:
    """A plan as dicts of arrays, for `plan_of`."""
    return {
        **{name: getattr(plan, name) for name in ("clip", "time", "weight")},
        "layers": None if plan.layers is None else {**vars(plan.layers)},
        "marks": None if plan.marks is None else {**vars(plan.marks)},
    }


def plan_of(data: dict[str, Any]) -> Plan:
    """The plan that `plan_data` made plain, as arrays or tensors."""
    layers, marks = data["layers"], data["marks"]
    if layers is not None:
        pictures = tuple(np.asarray(each) for each in layers["pictures"])
        layers = Layers(**{name: np.asarray(v) for name, v in layers.items() if name != "pictures"}, pictures=pictures)
    if marks is not None:
        marks = Marks(**{name: np.asarray(value) for name, value in marks.items()})
    clip, time, weight = (np.asarray(data[name]) for name in ("clip", "time", "weight"))
    return Plan(clip, time, weight, layers, marks)
