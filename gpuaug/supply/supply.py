"""What every supply has: groups of slots in a bank, a sampler of windows, a queue that decodes them.

Used by reuse, plan_first and sequential; imports bank, plan, sampler, decode_queue.
Legend: J windows of one visit make a group of slots; group g has the slots g·J … g·J + J − 1.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ..bank import ClipBank
from ..plan import Plan
from ..video.window import Failure
from .decode_queue import DecodeQueue
from .sampler import SegmentSampler, Visit


class Shown(NamedTuple):
    """What a batch is made of.

    Attributes:
        rng: what is drawn of the batch after its plan.
        plan: by slot and frame of the window, as targets are read.
        pixels, packed: a bank, and the plan by where its frames lie in it.
        first, segment: int64 (n,), slots of the windows that the samples are of, and their segments, where that is
            given; None where the plan chose.
        video_S: int64 (S,), the video of every slot; None: as the table of `pixels` says.
    """

    rng: np.random.Generator
    plan: Plan
    target: dict[str, NDArray]
    pixels: ClipBank
    packed: Plan
    first: NDArray[np.int64] | None = None
    segment: NDArray[np.int64] | None = None
    video_S: NDArray[np.int64] | None = None

    def samples(self, per_visit: int, windows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]] | tuple[None, None]:
        """(N,) video and segment of each sample, where the windows were given: by the target "slot" or in their order.

        Args: samples, and windows, of a visit.
        """
        if self.first is None or self.segment is None:
            return None, None
        slot = self.target.get("slot", np.repeat(self.first[::windows], per_visit))
        video_S = self.pixels.info["video"] if self.video_S is None else self.video_S
        segment_S = np.zeros(len(video_S), np.int64)
        segment_S[self.first] = self.segment
        return video_S[slot], segment_S[slot]


class Supply(Protocol):
    """Windows for plans, step by step."""

    bank: ClipBank
    pixels: ClipBank

    @property
    def failures(self) -> list[Failure]:
        """Windows that could not be decoded so far."""

    def next(self, step: int) -> Shown | None:
        """What step `step` shows; waits for decoding where it must. None: nothing that can be decoded."""

    def after(self, step: int) -> None:
        """The step's batch has been rendered: ask for new windows where old ones are used up."""

    def state_dict(self) -> dict[str, Any]:
        """Plain data to go on from: windows by their place in the files, no pixels."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there; what was in memory is decoded again."""

    def settle(self) -> None:
        """Wait until nothing is being decoded."""

    def close(self) -> None:
        """Stop decoding."""


class Groups:
    """Which visit each group of slots holds, and what the table says of it.

    Attributes:
        held: visit by group; None: none yet.
        failures: of all windows so far.
    """

    def __init__(self, sampler: SegmentSampler, bank: ClipBank, queue: DecodeQueue) -> None:
        self.sampler, self.bank, self.queue = sampler, bank, queue
        self.windows = sampler.windows
        self.held: list[Visit | None] = [None] * (len(bank.info) // self.windows)
        self.failures: list[Failure] = []

    def slots(self, group: int) -> NDArray[np.int64]:
        """(J,) slots of a group."""
        return np.arange(group * self.windows, (group + 1) * self.windows)

    def rows(self, group: int, visit: Visit) -> list[dict[str, Any]]:
        """What the bank's table says of each window of a visit, but for the picture's size."""
        segment = self.sampler.segments[visit.segment]
        same = {"video": segment.video, "label": segment.label, "group": group, "epoch": visit.epoch}
        return [
            {**same, "position": k, "start_seconds": w.start_seconds, "fps": w.fps, "frames": w.frames}
            for k, w in enumerate(visit.windows)
        ]

    def choose(self, group: int) -> None:
        """The next visit for a group: its rows of the table, no pixels yet."""
        visit = self.held[group] = self.sampler.next()
        for slot, row in zip(self.slots(group).tolist(), self.rows(group, visit), strict=True):
            self.bank.reserve([slot], row)

    def state_dict(self) -> dict[str, Any]:
        return {
            "sampler": self.sampler.state_dict(),
            "bank": self.bank.state_dict(),
            "held": [visit and visit.state() for visit in self.held],
            "failures": [asdict(failure) for failure in self.failures],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if len(state["held"]) != len(self.held):
            raise ValueError(f"slots must be as in the checkpoint, {len(state['held'])} groups, got {len(self.held)}")
        self.sampler.load_state_dict(state["sampler"])
        self.held = [visit and self.sampler.visit(visit) for visit in state["held"]]
        self.failures = [Failure(**failure) for failure in state["failures"]]
        self.bank.load_state_dict(state["bank"])

    def close(self) -> None:
        self.queue.close()


def plain(value: Any) -> Any:
    """The same lists, tuples and dicts with tensors for arrays: PyTorch stores those without code."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return type(value)(plain(each) for each in value) if isinstance(value, list | tuple) else value
