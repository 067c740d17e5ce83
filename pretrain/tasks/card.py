"""One sample on the preview page: what a task tells of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

import gpuaug

COLORS = ("#3b6fb6", "#e08a1e", "#4f9d69", "#b0413e", "#7d5ba6", "#6b7a8f")  # of clips, in order of appearance
WIDTH = 104  # of a frame on the page, in CSS pixels


@dataclass
class Card:
    """One sample on the page.

    Attributes:
        title, note: the target in words, and a smaller remark.
        frames_TYXC: uint8 pictures.
        plan: the plan of this sample alone (N = 1).
        names: clip id → what to call it.
        boundary: first output frame that belongs to something new; −1 for none.
        span: half-open range of output frames to underline; None for none.
        extra: HTML to put under the strip, e.g. a time line.
    """

    title: str
    frames_TYXC: NDArray[np.uint8]
    plan: gpuaug.Plan
    names: dict[int, str]
    note: str = ""
    boundary: int = -1
    span: tuple[int, int] | None = None
    extra: str = field(default="")
