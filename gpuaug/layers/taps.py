"""Columns of taps, arrays (N, T, K, …), joined and sorted. NumPy only.

Lists of columns begin with clip, time and weight; those of plans with layers go on as `columns.TAPS` does.
Legend: N samples, T output frames, K taps.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Columns = list[NDArray]
CLIP, TIME, WEIGHT, MAP = range(4)  # places in a list


def compact(shown: Columns) -> Columns:
    """Taps of weight 0 last (as copies of the first tap), the ones that are 0 everywhere dropped."""
    weight = shown[WEIGHT]
    if weight.shape[2] == 1:
        return shown
    visible = weight != 0
    if visible.all():
        return shown
    taps = max(1, int(visible.sum(2).max(initial=1)))
    if (visible[:, :, :-1] >= visible[:, :, 1:]).all():  # in order already
        hidden = ~visible[:, :, 1:taps]
        moved = [column[:, :, :taps].copy() for column in shown]
        for column in moved[:WEIGHT] + moved[WEIGHT + 1 :]:
            np.copyto(column[:, :, 1:], column[:, :, :1], where=hidden.reshape(*hidden.shape, *[1] * (column.ndim - 3)))
        return moved
    order = np.argsort(~visible, axis=2, kind="stable")[:, :, :taps]
    n, t = np.ogrid[: weight.shape[0], : weight.shape[1]]
    n, t = n[:, :, None], t[:, :, None]
    kept = weight[n, t, order]
    order = np.where(kept == 0, order[:, :, :1], order)
    moved = [column[n, t, order] for column in shown]
    moved[WEIGHT] = kept
    return moved


def pad(shown: Columns, taps: int) -> Columns:
    """Columns of `taps` taps; the added ones have weight 0 and are else the first."""
    more = taps - shown[CLIP].shape[2]
    if more == 0:
        return shown
    padded = [np.concatenate([column, np.repeat(column[:, :, :1], more, 2)], 2) for column in shown]
    padded[WEIGHT][:, :, -more:] = 0
    return padded


def stack(parts: Sequence[Columns]) -> Columns:
    """The samples of all parts, one after another."""
    most = max(part[CLIP].shape[2] for part in parts)
    return [np.concatenate(each) for each in zip(*(pad(part, most) for part in parts))]


def where(mask: NDArray[np.bool_], a: Columns, b: Columns) -> Columns:
    """`a` where the mask (N, T) is true, else `b`; columns without taps, (N, T), are taken as well."""
    if a[CLIP].ndim == 2:
        return [np.where(mask, x, y) for x, y in zip(a, b)]
    most = max(a[CLIP].shape[2], b[CLIP].shape[2])
    single = [side[CLIP].shape[2] == 1 for side in (a, b)]  # broadcast, which takes less long than to pad all columns
    a, b = (side if one else pad(side, most) for side, one in zip((a, b), single))
    found = [np.where(mask.reshape(*mask.shape, *[1] * (x.ndim - 2)), x, y) for x, y in zip(a, b)]
    for one, own in zip(single, (mask, ~mask)):
        if one:
            found[WEIGHT][:, :, 1:][own] = 0
    return found


def between(shown: Columns, row: NDArray, low: NDArray, high: NDArray, part: NDArray) -> Columns:
    """Frames `part` of the way from `low` to `high`: interpolated where both show the same, elsewhere the nearer."""
    near = np.where(part < 0.5, low, high)
    same = np.ones(part.shape, bool)
    for column in shown[CLIP : CLIP + 1] + shown[MAP : MAP + 1]:
        same &= (column[row, low] == column[row, high]).all(2)

    def mixed(column: NDArray) -> NDArray:
        if column.dtype.kind != "f":
            return column[row, near]
        mix, both = (v.reshape(*v.shape, *[1] * (column.ndim - 2)) for v in (part, same))
        value = (1 - mix) * column[row, low] + mix * column[row, high]
        return np.where(both, value, column[row, near]).astype(column.dtype)

    return [mixed(column) for column in shown]


def opacities(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """What makes layers of weights that are summed up: each by the sum up to it."""
    if weight.shape[2] == 1 and (weight == 1).all():
        return weight
    total = np.cumsum(weight, 2, dtype=np.float64)
    if not (np.abs(total[:, :, -1] - 1) < 1e-5).all() or (weight < 0).any():
        raise ValueError("weights of a plan must be ≥ 0 and sum to 1 to be laid under or over others")
    shown = (weight / np.maximum(total, 1e-30)).astype(np.float32)
    first = np.argmax(weight != 0, 2)[:, :, None]  # whatever is nothing but rounding must cover everything
    np.put_along_axis(shown, first, 1, 2)
    return shown


def faded(a: Columns, b: Columns, alpha: NDArray[np.float32]) -> Columns:
    """(1 − alpha)·a + alpha·b of layers, alpha (N, T, 1): where both show, one must be a single tap."""
    both = ((alpha > 0) & (alpha < 1))[:, :, 0]
    few_a, few_b = ((side[WEIGHT][:, :, 1:] == 0).all(2) for side in (a, b))
    bad = both & ~few_a & ~few_b
    if bad.any():
        n, t = np.argwhere(bad)[0]
        raise ValueError(
            f"fade must have one side of a single tap where both show, both have several at sample {n}, frame {t}"
        )
    turned = both & ~few_b  # b below, a over it
    lower, upper = where(turned, b, a), where(turned, a, b)
    share = np.where(turned[:, :, None], 1 - alpha, alpha)
    lower[WEIGHT], upper[WEIGHT] = lower[WEIGHT] * (share < 1), upper[WEIGHT] * share
    return [np.concatenate(each, 2) for each in zip(lower, upper)]
