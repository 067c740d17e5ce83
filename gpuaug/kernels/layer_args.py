"""The layers of a plan as the kernels take them, laid out as layers.cuh says. NumPy only.

Legend: N samples, T output frames, K taps, Y X output.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..layers import columns, cover
from ..layers.columns import ALL, COLOR, Layers
from ..layers.fields import TOP

FIELDS = 16  # of 32 bits in a Layer
MOST_SAMPLES = 8  # along an axis of a pixel: places that shrink their source by more than 16 show some of it
REDUCTION = 2.0  # source pixels that a sample stands for


def layers(
    clip: NDArray, weight: NDArray[np.float32], given: Layers, box_NTK4: NDArray, size: tuple[int, int], top: float
) -> NDArray[np.float32]:
    """float32 (N, T, K, 16), of which `plane`, `flags`, `down` and `across` are int32.

    Args:
        box_NTK4: what is shown of the sources, in pixels.
        top: what a colour's 1 is, among the values of the sources.
    """
    row = np.zeros(FIELDS, np.float32)
    row[3:7], row.view(np.int32)[12:14], row[14:16] = (0, size[0], 0, size[1]), 1, 1
    found = np.broadcast_to(row, (*weight.shape, FIELDS)).copy()
    whole = found.view(np.int32)
    found[..., 0] = weight
    found[..., 1] = cover.limits(given)
    found[..., 2] = np.where(given.softness > 0, 1 / np.maximum(given.softness * TOP, 1e-30), 0)
    found[..., 7:10] = given.color * top
    whole[..., 10] = given.map
    whole[..., 11] = (clip == COLOR) + 2 * given.smooth
    if columns.whole(given.place):
        return found
    found[..., 3:5] = np.clip(given.place[..., 0::2] * size[0], -1e6, 1e6)
    found[..., 5:7] = np.clip(given.place[..., 1::2] * size[1], -1e6, 1e6)
    whole[..., 12:14] = samples(box_NTK4, given.place, size)
    found[..., 14:16] = 1 / whole[..., 12:14]
    return found


def samples(box: NDArray[np.float64], place: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.int64]:
    """(…, 2): samples along y and x of an output pixel, as many as keep each from standing for more than two pixels.

    What is put on the whole of the output has one: `render` bounds its reduction, or was told not to.
    """
    outputs = np.maximum((place[..., 2:] - place[..., :2]) * np.array(size), 1e-6)
    reduction = np.abs(box[..., 2:] - box[..., :2]) / outputs
    count = np.clip(np.ceil(reduction / REDUCTION - 1e-6), 1, MOST_SAMPLES).astype(np.int64)
    return np.where((place == ALL).all(-1, keepdims=True), 1, count)


def cropped(box: NDArray[np.float64], crop: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes (…, 4) of what crops, in parts of them, leave of given ones; those themselves where they leave all."""
    if columns.whole(crop):
        return box
    begin, extent = np.tile(box[..., :2], 2), np.tile(box[..., 2:] - box[..., :2], 2)
    return begin + crop * extent
