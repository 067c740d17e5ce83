"""What blend and render mean: float64 NumPy, frame by frame, written without a look at the kernels.

Legend: N samples, T output frames, K taps, S clips, L frames of a clip, H W source, Y X output, C channels.
`frames` is an array (S, L, …) or a sequence of arrays (L_i, …). A tap whose weight is 0, or whose clip or frame does
not exist, adds nothing.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .layers import cover
from .layers.columns import COLOR
from .plan import Plan

Frames = NDArray[Any] | Sequence[NDArray[Any]]


def blend(frames: Frames, plan: Plan) -> NDArray[np.float64]:
    """float64 (N, T, …): Σ_k weight · frames[clip][frame], not rounded; of plans without layers.

    >>> blend(np.array([[10.0, 20.0], [30.0, 40.0]]), Plan.take([0, 1], [[1, 0]])).tolist()
    [[20.0, 10.0], [40.0, 30.0]]
    """
    n, t, _ = plan.shape
    out = np.zeros((n, t, *np.shape(frames[0])[1:]))
    for n, t, _, weight, image in _taps(frames, plan):
        out[n, t] += weight * image.astype(np.float64)
    return out


def render(
    frames: Frames,
    plan: Plan,
    *,
    size: tuple[int, int],
    box: ArrayLike | None = None,
    color: ArrayLike | None = None,
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1.0,
    layout: str = "NCTHW",
) -> NDArray[np.float64]:
    """float64, dimensions as `layout` names them: (color · Σ_k weight · resize(crop) − mean) / std on pixels in 0…1.

    The arguments are those of `gpuaug.render`.

    >>> row = np.array([0, 255], np.uint8).reshape(1, 1, 1, 2, 1)          # one clip of one frame of two pixels
    >>> render(row, Plan.take(0, [0]), size=(1, 4)).reshape(-1).tolist()   # centres at -0.25, 0.25, 0.75, 1.25
    [0.0, 0.25, 0.75, 1.0]
    """
    value = compose(frames, plan, size=size, box=box, top=255.0) / 255
    if color is not None:
        matrix = np.asarray(color, np.float64)
        matrix = np.broadcast_to(matrix, (plan.shape[0], *matrix.shape[-2:]))
        value = np.einsum("ncd,ntyxd->ntyxc", matrix[:, :, :-1], value) + matrix[:, None, None, None, :, -1]
    value = (value - np.asarray(mean, np.float64)) / np.asarray(std, np.float64)
    return value.transpose(["NTHWC".index(name) for name in layout])


def compose(
    frames: Frames, plan: Plan, *, size: tuple[int, int], box: ArrayLike | None = None, top: float = 1.0
) -> NDArray[np.float64]:
    """float64 (N, T, Y, X, C): Σ_k share · resize(crop) of pictures (H, W, C), before colours and normalisation.

    A tap's share of a pixel is its weight or, in plans with layers, what `gpuaug.layers.cover` says; colours are in
    parts of `top`.
    """
    n, t, k = plan.shape
    channels = np.shape(frames[0])[-1]
    value = np.zeros((n, t, *size, channels))
    if box is not None:
        box = np.asarray(box, np.float64)
        box = np.broadcast_to(box.reshape(*box.shape[:-1], *[1] * (4 - box.ndim), 4), (n, t, k, 4))
    if plan.layers is not None:
        weight = _shown(frames, plan)
        for i in range(n):  # sample by sample: shares take as much memory as pictures
            one = plan.layers.each(functools.partial(_row, i=i))
            share = cover.shares(weight[i], one, size)
            for j, k in np.argwhere(share.any((2, 3))):
                color = plan.layers.color[i, j, k] if channels == 3 else plan.layers.color[i, j, k, :1]
                shown = np.broadcast_to(color * top, (*size, channels))
                if plan.clip[i, j, k] != COLOR:
                    image = np.asarray(frames[plan.clip[i, j, k]][plan.frame[i, j, k]])
                    own = None if box is None else box[i, j, k]
                    own = _cropped(image, own, plan.layers.crop[i, j, k])
                    shown = _resized(image, size, own, plan.layers.place[i, j, k])
                value[i, j] += np.where(share[j, k, :, :, None] > 0, share[j, k, :, :, None] * shown, 0)
        return value
    for n, t, k, own_weight, image in _taps(frames, plan):
        value[n, t] += own_weight * _resized(image, size, None if box is None else box[n, t, k])
    return value


def _row(column: NDArray, i: int) -> NDArray:
    return column[i]


def _cropped(image: NDArray, box: NDArray | None, crop: NDArray) -> NDArray[np.float64]:
    y0, x0, y1, x1 = (0, 0, *image.shape[:2]) if box is None else box
    return np.array([y0, x0, y0, x0]) + crop * np.array([y1 - y0, x1 - x0, y1 - y0, x1 - x0])


def _resized(
    image: NDArray, size: tuple[int, int], box: NDArray | None, place: Sequence[float] = (0, 0, 1, 1)
) -> NDArray[np.float64]:
    """The box of a picture on `place` of an output of `size`, its outermost pixels beside it."""
    y0, x0, y1, x1 = (0, 0, *image.shape[:2]) if box is None else box
    rows = _interpolation(y0, y1, size[0], image.shape[0], place[0], place[2])
    columns = _interpolation(x0, x1, size[1], image.shape[1], place[1], place[3])
    return np.einsum("xw,ywc->yxc", columns, np.einsum("yh,hwc->ywc", rows, image.astype(np.float64)))


def _interpolation(
    begin: float, end: float, outputs: int, pixels: int, first: float, last: float
) -> NDArray[np.float64]:
    """(outputs, pixels): the weights of the source pixels in every output pixel, along one axis.

    `first` and `last` are where begin and end are put, in parts of the output; where a part shrinks its source by more
    than two, an output pixel is the mean of several samples.
    """
    part = max(last - first, 1e-6)
    count = 1
    if (first, last) != (0, 1):
        count = min(8, max(1, math.ceil(abs(end - begin) / (part * outputs) / 2 - 1e-6)))
    j = (np.arange(outputs * count) + 0.5) / count
    centre = begin + (j / outputs - first) / part * (end - begin)
    low, high, middle = min(begin, end), max(begin, end), (begin + end) / 2
    position = np.clip(centre, min(low + 0.5, middle), max(high - 0.5, middle)) - 0.5
    distance = np.abs(np.clip(position, 0, pixels - 1)[:, None] - np.arange(pixels))
    return np.maximum(0, 1 - distance).reshape(outputs, count, pixels).mean(1)


def _shown(frames: Frames, plan: Plan) -> NDArray[np.float32]:
    """The weights, 0 where a clip or frame does not exist."""
    weight = np.zeros_like(plan.weight)
    for n, t, k, value, _ in _taps(frames, plan):
        weight[n, t, k] = value
    return np.where(plan.clip == COLOR, plan.weight, weight)


def _taps(frames: Frames, plan: Plan) -> Iterator[tuple[int, int, int, float, NDArray[Any]]]:
    for n, t, k in np.ndindex(plan.shape):
        clip, frame, weight = int(plan.clip[n, t, k]), int(plan.frame[n, t, k]), float(plan.weight[n, t, k])
        if weight != 0 and 0 <= clip < len(frames) and 0 <= frame < len(frames[clip]):
            yield n, t, k, weight, np.asarray(frames[clip][frame])
