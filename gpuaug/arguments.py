"""The arguments of blend and render, checked and brought into the form that the kernels take. NumPy only.

Legend: N samples, T output frames, K taps, S clips, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import values
from .kernels.kernel_args import FrameTaps
from .layers.columns import COLOR, FAR, Layers, whole
from .plan import Plan

MOST_REDUCTION = 2.0  # source pixels per output pixel that bilinear sampling bears without antialias
SLACK = 1e-6  # source pixels by which a computed box may miss its frame, and share by which it may be too large


def shown(plan: Plan, lengths: NDArray[np.int64]) -> FrameTaps:
    """The plan in frames of clips that exist; `lengths` (S,) is the number of frames of every clip.

    Raises:
        ValueError: naming the first visible tap whose clip or frame does not exist. Taps of weight 0 show nothing.
    """
    if not (np.isfinite(plan.weight).all() and np.isfinite(plan.time).all()):
        raise ValueError("plan must have finite weights and times, got nan or inf")
    clip, frame, weight = plan.clip, plan.frame, plan.weight
    if plan.layers is not None:
        laid(plan.layers)
        weight = np.where(clip == COLOR, np.float32(0), weight)
    visible = weight != 0
    bad = visible & ((clip < 0) | (clip >= len(lengths)))
    if bad.any():
        n, t, k = np.argwhere(bad)[0]
        where = f"clip {clip[n, t, k]} at sample {n}, output frame {t}"
        raise ValueError(f"plan must show clips in [0, {len(lengths) - 1}], got {where}")
    limit = lengths[np.where(visible, clip, 0)]
    bad = visible & ((frame < 0) | (frame >= limit))
    if bad.any():
        n, t, k = np.argwhere(bad)[0]
        where = f"frame {frame[n, t, k]} of clip {clip[n, t, k]} at sample {n}, output frame {t}"
        raise ValueError(f"plan must show frames inside its clips, got {where}; the clip has {limit[n, t, k]} frames")
    return FrameTaps(np.where(visible, clip, 0), np.where(visible, frame, 0), weight)


def laid(layers: Layers) -> None:
    """Refuse layers of values that are none.

    Raises:
        ValueError: naming the column, the first value that is wrong, and the rule.
    """
    for name, most in (("progress", 1), ("softness", FAR), ("color", 1)):
        column = getattr(layers, name)
        values.require(
            (column >= 0) & (column <= most), f"layers.{name} must be in [0, {most:g}], got {name}={{}}", column
        )
    place, crop = layers.place, layers.crop
    if whole(place) and whole(crop):  # as masks have them
        return
    (y0, x0, y1, x1), far = np.moveaxis(place, -1, 0), np.finfo(np.float64).max  # finite, each a comparison
    ordered = (y0 >= -far) & (y0 <= y1) & (y1 <= far) & (x0 >= -far) & (x0 <= x1) & (x1 <= far)
    if not ordered.all():
        raise ValueError(f"layers.place must be y0 ≤ y1, x0 ≤ x1 and finite, got {place[~ordered][0].tolist()}")
    y0, x0, y1, x1 = np.moveaxis(crop, -1, 0)
    inside = (y0 >= 0) & (y0 < y1) & (y1 <= 1) & (x0 >= 0) & (x0 < x1) & (x1 <= 1)
    if not inside.all():
        raise ValueError(f"layers.crop must be 0 ≤ y0 < y1 ≤ 1 and so for x, got {crop[~inside][0].tolist()}")


def boxes(
    box: ArrayLike | None,
    plan: FrameTaps,
    heights: NDArray[np.int64],
    widths: NDArray[np.int64],
    size: tuple[int, int],
    allow_aliasing: bool,
) -> NDArray[np.float64]:
    """float64 (N, T, K, 4), of size 1 where shared: y0, x0, y1, x1, inside every frame shown, not too large for `size`.

    Args:
        heights, widths: (S,) of every clip.
    """
    n, t, k = plan.clip.shape
    alike = (heights == heights[0]).all() and (widths == widths[0]).all()
    index = np.zeros((1, 1, 1), np.int64) if alike else plan.clip
    edge = np.stack([heights[index], widths[index], heights[index], widths[index]], -1).astype(np.float64)
    if box is None:
        box_NTK4 = edge * [0, 0, 1, 1]
    else:
        given = values.reals("box", box)
        allowed = [(n, 4), (n, t, 4), (n, t, k, 4)]
        if given.shape not in allowed:
            raise ValueError(f"box must have a shape of {allowed}, got {given.shape}")
        box_NTK4 = given.reshape(*given.shape[:-1], *[1] * (4 - given.ndim), 4)
    # a box that is shared by taps must fit all of them; taps of weight 0 (clip 0 by now) do not count
    visible = np.ones((1, 1, 1), bool) if alike else plan.weight != 0
    inside = ((box_NTK4 >= -SLACK) & (box_NTK4 <= edge + SLACK)).all(-1) | ~visible
    _require(inside, box_NTK4, lambda at: f"box must lie inside the frame of {_size(edge, at)} pixels")
    extent = np.abs(box_NTK4[..., 2:] - box_NTK4[..., :2])
    _require((extent > 0).all(-1) | ~visible, box_NTK4, lambda at: "box must not be empty")
    if not allow_aliasing:
        fits = (extent <= MOST_REDUCTION * (1 + SLACK) * np.array(size)).all(-1) | ~visible
        rule = f"box must be at most {MOST_REDUCTION:g} times the output's size {tuple(size)}; " + (
            "decode at a smaller size, or pass allow_aliasing=True"
        )
        _require(fits, box_NTK4, lambda at: rule)
    return box_NTK4


def matrix(
    color: ArrayLike | None, mean: Sequence[float], std: Sequence[float], samples: int, top: float
) -> NDArray[np.float32]:
    """float32 (N or 1, C, C+1) that takes pixels 0…255 to top · (color · pixel/255 − mean)/std."""
    channels = len(mean)
    if color is None:
        full = np.eye(channels, channels + 1)[None]
    else:
        full = values.reals("color", color)
        allowed = [(channels, channels + 1), (samples, channels, channels + 1)]
        if full.shape not in allowed:
            raise ValueError(f"color must have a shape of {allowed}, got {full.shape}")
        if not np.isfinite(full).all():
            raise ValueError("color must be finite, got nan or inf")
        full = full.reshape(-1, channels, channels + 1)
    weights = full[:, :, :channels] * (top / 255) / np.array(std)[:, None]
    offset = (full[:, :, channels] - np.array(mean)) * top / np.array(std)
    return np.concatenate([weights, offset[:, :, None]], 2).astype(np.float32)


def per_channel(name: str, value: float | Sequence[float], channels: int) -> list[float]:
    """One finite number per channel; `std` must be positive.

    >>> per_channel("mean", 0.5, 3)
    [0.5, 0.5, 0.5]
    """
    if hasattr(value, "tolist"):  # arrays and tensors
        value = value.tolist()
    numbers = [float(v) for v in value] if isinstance(value, Sequence) else [float(value)] * channels
    if len(numbers) != channels:
        raise ValueError(f"{name} must be one number or {channels}, one per channel, got {name}={value}")
    if not all(abs(v) < float("inf") and (v > 0 or name != "std") for v in numbers):
        raise ValueError(f"{name} must be finite{' and > 0' if name == 'std' else ''}, got {name}={value}")
    return numbers


def _require(ok: NDArray[np.bool_], box: NDArray[np.float64], rule) -> None:
    if not ok.all():
        at = tuple(np.argwhere(~ok)[0])
        own = tuple(min(i, extent - 1) for i, extent in zip(at, box.shape))
        raise ValueError(f"{rule(at)}, got box={box[own].tolist()} for sample {at[0]}")


def _size(edge: NDArray[np.float64], at: tuple) -> str:
    height, width = edge[tuple(min(i, extent - 1) for i, extent in zip(at, edge.shape))][:2].astype(int)
    return f"{height} × {width}"
