"""One sample on the preview page: what a task tells of it. Data only; `reports` makes the page.

Every task has a module `card` with a function `cards(batch, pictures_NTYXC, names, dataset)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import gpuaug

from ..data.dataset import Segment


@dataclass(frozen=True)
class Timeline:
    """Where a clip lies in its video: `clip` and `others` are start and end in seconds, `actions` those annotated."""

    duration_seconds: float
    actions: list[tuple[Segment, str]]  # with the name of its class
    clip: tuple[float, float]
    others: list[tuple[float, float]]  # clips of the same video


@dataclass(frozen=True)
class Card:
    """One sample on the page.

    Attributes:
        title, note: the target in words, and a smaller remark.
        frames_TYXC: uint8 pictures.
        plan: the plan of this sample alone (N = 1).
        names: clip id → what to call it.
        boundary: first output frame that belongs to something new; −1 for none.
        span: half-open range of output frames to underline; None for none.
        timeline: to be drawn under the frames; None for none.
    """

    title: str
    frames_TYXC: NDArray[np.uint8]
    plan: gpuaug.Plan
    names: dict[int, str]
    note: str = ""
    boundary: int = -1
    span: tuple[int, int] | None = None
    timeline: Timeline | None = None


def rows(plan: gpuaug.Plan, samples: list[int]) -> gpuaug.Plan:
    """The plan of some samples."""
    return gpuaug.Plan(plan.clip[samples], plan.time[samples], plan.weight[samples])
