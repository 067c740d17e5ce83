"""What blend and render mean: float64 NumPy, frame by frame, written without a look at the kernels.

Legend: N samples, T output frames, K taps, S clips, L frames of a clip, H W source, Y X output, C channels.
`frames` is an array (S, L, …) or a sequence of arrays (L_i, …). A tap whose weight is 0, or whose clip or frame does
not exist, adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .plan import Plan

Frames = NDArray[Any] | Sequence[NDArray[Any]]


def blend(frames: Frames, plan: Plan) -> NDArray[np.float64]:
    """float64 (N, T, …): Σ_k weight · frames[clip][frame], not rounded.

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
    n, t, k = plan.shape
    channels = np.shape(frames[0])[-1]
    value = np.zeros((n, t, *size, channels))
    if box is not None:
        box = np.asarray(box, np.float64)
        box = np.broadcast_to(box.reshape(*box.shape[:-1], *[1] * (4 - box.ndim), 4), (n, t, k, 4))
    for n, t, k, weight, image in _taps(frames, plan):
        whole = (0, 0, *image.shape[:2])
        y0, x0, y1, x1 = whole if box is None else box[n, t, k]
        rows = _interpolation(y0, y1, size[0], image.shape[0])
        columns = _interpolation(x0, x1, size[1], image.shape[1])
        resized = np.einsum("yh,hwc->ywc", rows, image / 255)
        value[n, t] += weight * np.einsum("xw,ywc->yxc", columns, resized)
    if color is not None:
        matrix = np.asarray(color, np.float64)
        matrix = np.broadcast_to(matrix, (plan.shape[0], *matrix.shape[-2:]))
        value = np.einsum("ncd,ntyxd->ntyxc", matrix[:, :, :-1], value) + matrix[:, None, None, None, :, -1]
    value = (value - np.asarray(mean, np.float64)) / np.asarray(std, np.float64)
    return value.transpose(["NTHWC".index(name) for name in layout])


def _interpolation(begin: float, end: float, outputs: int, pixels: int) -> NDArray[np.float64]:
    """(outputs, pixels): the weights of the source pixels in every output pixel, along one axis."""
    centre = begin + (np.arange(outputs) + 0.5) * (end - begin) / outputs
    low, high, middle = min(begin, end), max(begin, end), (begin + end) / 2
    position = np.clip(centre, min(low + 0.5, middle), max(high - 0.5, middle)) - 0.5
    distance = np.abs(np.clip(position, 0, pixels - 1)[:, None] - np.arange(pixels))
    return np.maximum(0, 1 - distance)


def _taps(frames: Frames, plan: Plan) -> Iterator[tuple[int, int, int, float, NDArray[Any]]]:
    for n, t, k in np.ndindex(plan.shape):
        clip, frame, weight = int(plan.clip[n, t, k]), int(plan.frame[n, t, k]), float(plan.weight[n, t, k])
        if weight != 0 and 0 <= clip < len(frames) and 0 <= frame < len(frames[clip]):
            yield n, t, k, weight, np.asarray(frames[clip][frame])
