"""What is asked of a decoder, and why it could not be had."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Window:
    """`frames` frames of a video, from `start_seconds` on, `fps` a second.

    Frame k is the one shown at start_seconds + k/fps, with seconds counted from the first frame shown; any rate may be
    asked of any file. `edge`: what comes after the video's end, an error or its last frame again.

    >>> Window("a.mp4", start_seconds=1.5, fps=25, frames=16)
    Window(path='a.mp4', start_seconds=1.5, fps=25, frames=16, edge='error')
    >>> Window("a.mp4", start_seconds=-1, fps=25, frames=16)
    Traceback (most recent call last):
    ...
    ValueError: start_seconds must be finite and >= 0, got start_seconds=-1
    """

    path: str
    start_seconds: float
    fps: float
    frames: int
    edge: Literal["error", "repeat"] = "error"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_seconds) and self.start_seconds >= 0):
            raise ValueError(f"start_seconds must be finite and >= 0, got start_seconds={self.start_seconds}")
        if not (math.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"fps must be finite and > 0, got fps={self.fps}")
        if not (isinstance(self.frames, int | np.integer) and self.frames >= 1):
            raise ValueError(f"frames must be an integer >= 1, got frames={self.frames}")
        if self.edge not in ("error", "repeat"):
            raise ValueError(f'edge must be "error" or "repeat", got edge={self.edge!r}')


@dataclass(frozen=True)
class Failure:
    """Why window number `index` of a call could not be decoded, in one line."""

    index: int
    path: str
    reason: str
