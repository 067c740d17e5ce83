"""One sample on the preview page: what a task tells of it. Data only; `reports` makes the page.

Every task has a module `card` with a function `cards(batch, pictures_NTYXC, names, dataset)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

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


class Source(NamedTuple):
    """A window that a sample shows: what to call it, and when in its video its frames are."""

    text: str
    start_seconds: float
    fps: float


@dataclass(frozen=True)
class Card:
    """One sample on the page.

    Attributes:
        title, note: the target in words, and a smaller remark.
        frames_TYXC: uint8 pictures.
        plan: the plan of this sample alone (N = 1).
        names: clip id → what to call it.
        seconds_TK: when in its video each source frame is shown, by output frame and tap of the plan.
        kind: of the sample, to be counted; "" for none.
        boundary: first output frame that belongs to something new; −1 for none.
        span: half-open range of output frames to underline; None for none.
        timeline: to be drawn under the frames; None for none.
    """

    title: str
    frames_TYXC: NDArray[np.uint8]
    plan: gpuaug.Plan
    names: dict[int, str]
    seconds_TK: NDArray[np.float64]
    kind: str = ""
    note: str = ""
    boundary: int = -1
    span: tuple[int, int] | None = None
    timeline: Timeline | None = None


def seconds(plan: gpuaug.Plan, sources: Mapping[int, Source]) -> NDArray[np.float64]:
    """(T, K): times of the source frames of one sample in their videos; 0 where a tap shows nothing.

    >>> plan = gpuaug.Plan.take([3], [[0.0, 6.0]])
    >>> seconds(plan, {3: Source("a.mp4", 2.0, 30.0)}).ravel().tolist()
    [2.0, 2.2]
    """
    clip_TK, frame_TK = plan.clip[0], plan.frame[0]
    found = np.zeros(clip_TK.shape)
    for slot in set(clip_TK[plan.weight[0] > 0].tolist()):
        source = sources[slot]
        found = np.where(clip_TK == slot, source.start_seconds + frame_TK / source.fps, found)
    return found


def rows(plan: gpuaug.Plan, samples: list[int]) -> gpuaug.Plan:
    """The plan of some samples."""
    return gpuaug.Plan(plan.clip[samples], plan.time[samples], plan.weight[samples])
