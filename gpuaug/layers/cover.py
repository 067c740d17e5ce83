"""How much of every pixel a tap makes up, in float64: what Layers mean. NumPy only.

Legend: F output frames, K taps, M time maps, Y X output.
"""

from __future__ import annotations

import operator

import numpy as np
from numpy.typing import NDArray

from .columns import ALL, Layers
from .fields import TOP, planes

AT_ONCE = 1 << 22  # values of an array here


def limits(layers: Layers) -> NDArray[np.float64]:
    """(…) of the taps: where the edge of a mask is, in 65535ths of a time map.

    Of a hard edge the least value that is not shown, a whole number; (p·(1 + softness))·65535 of a soft one.
    """
    p = layers.progress
    hard = np.where(p >= 1, TOP + 1, np.maximum(np.ceil(p * TOP - 1e-6), p > 0))
    return np.where(layers.softness > 0, p * (1 + layers.softness) * TOP, hard)


def covered(begin: NDArray, end: NDArray, outputs: int) -> NDArray[np.float64]:
    """(…, outputs): the part of every pixel of an axis between `begin` and `end` (…), in parts of the axis."""
    pixel = np.arange(outputs)
    low, high = np.maximum(begin[..., None] * outputs, pixel), np.minimum(end[..., None] * outputs, pixel + 1)
    return np.clip(high - low, 0, 1)


def shares(
    weight: NDArray[np.float32], layers: Layers, size: tuple[int, int], time: NDArray[np.uint16] | None = None
) -> NDArray[np.float64]:
    """(F, K, Y, X): the share of every tap in every pixel, of frames' taps (F, K); they sum to the first one's weight.

    `time` are the layers' time maps on `size`, where they have been made before.

    >>> one = Layers.none((1, 1, 2)).each(lambda column: column[0])
    >>> shares(np.array([[1, 0.25]], np.float32), one, (1, 1)).ravel().tolist()
    [0.75, 0.25]
    """
    time = planes(layers.maps, layers.pictures, size) if time is None else time
    limit, soft, place = limits(layers), layers.softness, layers.place
    rows, columns = covered(place[..., 0], place[..., 2], size[0]), covered(place[..., 1], place[..., 3], size[1])
    left = np.ones((len(weight), *size))
    found = np.empty((*weight.shape, *size))
    for k in range(weight.shape[1] - 1, -1, -1):
        share = np.broadcast_to(weight[:, k, None, None], left.shape).astype(np.float64)
        if k:
            share = share * rows[:, k, :, None] * columns[:, k, None]
        masked = layers.map[:, k] >= 0
        if masked.any():
            s = time[layers.map[masked, k]].astype(np.float64)
            edge, width = limit[masked, k, None, None], soft[masked, k, None, None]
            with np.errstate(over="ignore"):  # of edges that are all but hard
                mask = np.clip((edge - s) / np.where(width > 0, width * TOP, 1), 0, 1)
            mask = np.where(width > 0, mask, s < edge)
            smooth = layers.smooth[masked, k, None, None]
            share[masked] *= np.where(smooth, mask * mask * (3 - 2 * mask), mask)
        found[:, k] = left * share
        left = left * (1 - share)
    return found


def areas(weight: NDArray[np.float32], layers: Layers, size: tuple[int, int]) -> NDArray[np.float64]:
    """(N, T, K): `shares` of the taps (N, T, K), averaged over the pixels of an output of `size`.

    Pixels are made only of frames that have masks or places; the others' shares are the same everywhere.
    """
    n, t, k = weight.shape
    flat = layers.each(lambda column: column.reshape(n * t, *column.shape[2:]))
    weight = weight.reshape(n * t, k)
    shaped = (weight != 0) & ((flat.map >= 0) | (flat.place != ALL).any(-1))
    shaped[:, 0] = False  # the first tap covers everything
    left = np.cumprod(1 - weight[:, :0:-1].astype(np.float64), 1)[:, ::-1]  # beside what lies above each
    found = weight * np.concatenate([left, np.ones((n * t, 1))], 1)
    taps = np.where(shaped.any(1), k - np.argmax(weight[:, ::-1] != 0, 1), 0)  # up to the last that shows
    time = planes(layers.maps, layers.pictures, size) if taps.any() else None
    for many in np.unique(taps[taps > 0]):
        rows = np.flatnonzero(taps == many)
        step = max(1, AT_ONCE // (int(many) * size[0] * size[1]))
        for begin in range(0, len(rows), step):
            here = np.ix_(rows[begin : begin + step], np.arange(many))
            found[here] = shares(weight[here], flat.each(operator.itemgetter(here)), size, time).mean((2, 3))
    return found.reshape(n, t, k)
