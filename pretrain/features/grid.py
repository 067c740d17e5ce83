"""Which clips of a video become rows of features, and where these lie in time.

Legend: T rows (clips) of a video, F features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

SHOWN_SECONDS = 1e-3  # a last frame that would be shown for less is not counted; containers round to this


@dataclass(frozen=True)
class Grid:
    """Which clips of a video become rows.

    Attributes:
        fps: frames per second, > 0.
        clip, stride: frames of a clip, and between the starts of two clips; ≥ 1.

    >>> grid = Grid(fps=15, clip=16, stride=16)
    >>> grid.frames(10.0), grid.rows(150), grid.center_seconds(2).tolist()
    (150, 9, [0.5333333333333333, 1.6])
    """

    fps: float
    clip: int
    stride: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"fps must be above 0, got fps={self.fps}")
        for name in ("clip", "stride"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be ≥ 1, got {name}={getattr(self, name)}")

    def frames(self, duration_seconds: float) -> int:
        """How many of the times 0, 1/fps, 2/fps, … a video has a frame for; ≥ 1."""
        return max(1, math.ceil((duration_seconds - SHOWN_SECONDS) * self.fps - 1e-6))

    def rows(self, frames: int) -> int:
        """⌊(frames − clip)/stride⌋ + 1, or 0 where there is no whole clip [C of TSP]."""
        return (frames - self.clip) // self.stride + 1 if frames >= self.clip else 0

    def center_seconds(self, rows: int) -> NDArray[np.float64]:
        """float64 (T,): the middle of each row's clip."""
        return np.asarray((np.arange(rows) * self.stride + self.clip / 2) / self.fps)


def rescale(
    rows_TF: NDArray[np.float32], center_seconds: ArrayLike, duration_seconds: float, length: int
) -> NDArray[np.float32]:
    """float32 (length, F): row k is what lies at (k + 0.5)/length of the video, interpolated between clip centres.

    BMN and G-TAD read ActivityNet videos rescaled like this to 100 rows. Before the first and after the last centre
    their rows are repeated. Where clips tile the video this equals torch's linear `interpolate(align_corners=False)`.

    >>> rescale(np.float32([[0], [4]]), [1, 3], 4.0, 4).ravel().tolist()
    [0.0, 1.0, 3.0, 4.0]
    """
    at = (np.arange(length) + 0.5) / length * duration_seconds
    center = np.asarray(center_seconds, np.float64)
    after = np.clip(np.searchsorted(center, at), 1, max(1, len(center) - 1))
    if len(center) == 1:
        return np.repeat(rows_TF, length, axis=0)
    fraction = np.clip((at - center[after - 1]) / (center[after] - center[after - 1]), 0, 1)[:, None]
    return ((1 - fraction) * rows_TF[after - 1] + fraction * rows_TF[after]).astype(np.float32)
