"""Spatial views: which box of its clip every sample shows. NumPy only; `render` samples the pixels.

A view is drawn once per sample in relative units, then becomes one box per source clip, so that both clips of a
cross-fade, of whatever size, are cropped alike. Legend: N samples; boxes are (…, 4): y0, x0, y1, x1 in source pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Unit = Literal["short", "area"]


@dataclass(frozen=True, eq=False)
class View:
    """One crop per sample, relative to the frame it is taken from.

    Attributes:
        unit: "short": height and width are shares of the frame's short side; "area": share of its area, and aspect
            ratio width/height of the crop.
        height_or_area, width_or_aspect: float64 (N,), > 0; by `unit`.
        y, x: float64 (N,) in [0, 1]: place of the crop in the free space; 0 top or left, 1 bottom or right.
        mirrored: bool (N,), flipped left to right.
    """

    unit: Unit
    height_or_area: NDArray[np.float64]
    width_or_aspect: NDArray[np.float64]
    y: NDArray[np.float64]
    x: NDArray[np.float64]
    mirrored: NDArray[np.bool_]

    def box(self, height: ArrayLike, width: ArrayLike) -> NDArray[np.float64]:
        """float64 (N, …, 4) boxes in frames of `height` × `width` pixels, each (N, …), never larger than the frame.

        >>> center_crop(1).box([[240]], [[320]])[0, 0].tolist()
        [0.0, 40.0, 240.0, 280.0]
        """
        height, width = np.asarray(height, np.float64), np.asarray(width, np.float64)
        first, second, y0, x0, mirrored = (
            v.reshape(v.shape + (1,) * (height.ndim - 1))
            for v in (self.height_or_area, self.width_or_aspect, self.y, self.x, self.mirrored)
        )
        if self.unit == "short":
            short = np.minimum(height, width)
            crop_h, crop_w = first * short, second * short
        else:
            area, aspect = first * height * width, second
            crop_h, crop_w = np.sqrt(area / aspect), np.sqrt(area * aspect)
        crop_h, crop_w = np.minimum(crop_h, height), np.minimum(crop_w, width)
        top, left = y0 * (height - crop_h), x0 * (width - crop_w)
        right = left + crop_w
        left, right = np.where(mirrored, right, left), np.where(mirrored, left, right)
        return np.stack([top, left, top + crop_h, right], -1)


def center_crop(n: int, *, scale: float = 1.0) -> View:
    """The central square of `scale` times the short side, not mirrored."""
    _share("scale", scale)
    full, half = np.full(n, float(scale)), np.full(n, 0.5)
    return View("short", full, full, half, half, np.zeros(n, bool))


def multiscale_crop(
    rng: np.random.Generator,
    n: int,
    *,
    scales: Sequence[float] = (1.0, 0.875, 0.75, 0.66),
    max_distort: int = 1,
    flip: float = 0.5,
) -> View:
    """TSN's and TSM's multi-scale crop: height and width from `scales` of the short side, at one of 13 fixed places.

    Args:
        scales: shares of the short side, in (0, 1].
        max_distort: the greatest distance in `scales` between the height's and the width's entry; 0 keeps squares.
        flip: probability of a left-right mirror, in [0, 1].

    The places are the corners, the centre, the middles of the sides and the middles of the quarters.
    """
    sizes = np.array([_share("scales", s) for s in scales])
    pairs = [(h, w) for i, h in enumerate(sizes) for j, w in enumerate(sizes) if abs(i - j) <= max_distort]
    picked = np.array(pairs)[rng.integers(len(pairs), size=n)]
    quarters = [(i, j) for i in range(5) for j in range(5) if (i % 2 == 0) == (j % 2 == 0)]
    place = np.array(quarters)[rng.integers(len(quarters), size=n)] / 4
    return View("short", picked[:, 0], picked[:, 1], place[:, 0], place[:, 1], _mirror(rng, n, flip))


def random_crop(rng: np.random.Generator, n: int, *, scale: float = 112 / 128, flip: float = 0.5) -> View:
    """A square of fixed relative size at a uniform place.

    The default is TSP's 112², from a frame resized to 128 × 171 (its code) or to a short side of 128 (its paper).

    Args:
        scale: share of the short side, in (0, 1].
        flip: probability of a left-right mirror, in [0, 1].
    """
    side = np.full(n, _share("scale", scale))
    return View("short", side, side, rng.random(n), rng.random(n), _mirror(rng, n, flip))


def resized_crop(
    rng: np.random.Generator,
    n: int,
    *,
    area: tuple[float, float] = (0.2, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    flip: float = 0.5,
) -> View:
    """A crop of uniform random area and log-uniform aspect ratio (MoCo v2's, as PAL uses it), cut to the frame.

    Args:
        area: bounds of the crop's share of the frame's area, 0 < low ≤ high ≤ 1.
        ratio: bounds of width/height, 0 < low ≤ high.
        flip: probability of a left-right mirror, in [0, 1].
    """
    if not 0 < area[0] <= area[1] <= 1:
        raise ValueError(f"area must be 0 < low ≤ high ≤ 1, got area={area}")
    if not 0 < ratio[0] <= ratio[1]:
        raise ValueError(f"ratio must be 0 < low ≤ high, got ratio={ratio}")
    share, aspect = rng.uniform(*area, n), np.exp(rng.uniform(np.log(ratio[0]), np.log(ratio[1]), n))
    return View("area", share, aspect, rng.random(n), rng.random(n), _mirror(rng, n, flip))


def _mirror(rng: np.random.Generator, n: int, probability: float) -> NDArray[np.bool_]:
    if not 0 <= probability <= 1:
        raise ValueError(f"flip must be a probability in [0, 1], got flip={probability}")
    return rng.random(n) < probability


def _share(name: str, value: float) -> float:
    if not 0 < value <= 1:
        raise ValueError(f"{name} must be in (0, 1], got {name}={value}")
    return float(value)
