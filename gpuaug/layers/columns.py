"""The columns of a plan whose taps lie over each other, and those that say which frames belong to a transition.

Legend: N samples, T output frames, K taps, M time maps. NumPy only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

TAPS = {"map": np.int64, "progress": np.float64, "softness": np.float64, "smooth": np.bool_}  # of shape (N, T, K)
TAPS |= {"place": np.float64, "crop": np.float64, "color": np.float64}  # (N, T, K, 4), the same, and (N, T, K, 3)
WIDTH = {"place": (4,), "crop": (4,), "color": (3,)}
ALL = (0.0, 0.0, 1.0, 1.0)  # a place, or a crop
PLAIN: tuple[Any, ...] = (-1, 1.0, 0.0, False, ALL, ALL, 0.0)  # what TAPS are of a tap that covers everything
MAP = ("field", "angle", "center_y", "center_x", "number", "seed", "reverse")  # the columns of `maps`
FAR = 1e6  # what numbers of masks reach, far beyond what can be seen, and near enough for float32 to tell them apart
COLOR = -1  # the clip of a tap that shows a colour


@dataclass(frozen=True, eq=False)
class Layers:
    """How the taps of a plan lie over each other: out ← out·(1 − a) + a·tap, from the first tap to the last.

    The first tap covers everything. The share a of a further one in a pixel is its weight, times the part of the pixel
    that its place covers, times its mask: clamp((p·(1 + softness) − s)/softness, 0, 1) for progress p and the pixel's
    value s of the time map; 1 where p > s, and everywhere at p = 1, for softness 0.

    Attributes:
        map: int64 (N, T, K), row of `maps`, −1: no mask.
        progress: float64 (N, T, K), p in [0, 1].
        softness: float64 (N, T, K), in [0, 1e6]: how much of the time that a mask takes, an edge takes to pass.
        smooth: bool (N, T, K): m·m·(3 − 2m) instead of m, the mask's value.
        place: float64 (N, T, K, 4): y0, x0, y1, x1, where the tap's picture is put, in parts of the output, which it
            may leave; (0, 0, 1, 1) is all of it. Beside it a tap shows nothing, and the first one its outermost pixels.
        crop: float64 (N, T, K, 4): y0, x0, y1, x1, what of the picture is shown, in parts of it, in [0, 1].
        color: float64 (N, T, K, 3) in [0, 1], shown by taps whose clip is −1; grey pictures have the first value.
        maps: float64 (M, 7): a time map per row, of columns MAP. The field is a place in `fields.NAMES`, or
            −1 − i for `pictures[i]`; angle in degrees, centre in parts of the output; reverse is 1 where 1 − s counts.
        pictures: time maps of users, float64 (h, w) each.
    """

    map: NDArray[np.int64]
    progress: NDArray[np.float64]
    softness: NDArray[np.float64]
    smooth: NDArray[np.bool_]
    place: NDArray[np.float64]
    crop: NDArray[np.float64]
    color: NDArray[np.float64]
    maps: NDArray[np.float64]
    pictures: tuple[NDArray[np.float64], ...] = ()

    def check(self, shape: tuple[int, int, int]) -> None:
        """Raise ValueError where a column does not fit a plan of `shape` (N, T, K)."""
        for name, dtype in TAPS.items():
            array, wanted = getattr(self, name), (*shape, *WIDTH.get(name, ()))
            if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != wanted:
                got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
                raise ValueError(f"layers.{name} must be {np.dtype(dtype)} of shape {wanted}, got {got}")
        if self.maps.ndim != 2 or self.maps.shape[1] != len(MAP) or self.maps.dtype != np.float64:
            raise ValueError(f"layers.maps must be float64 of shape (M, {len(MAP)}), got {self.maps.shape}")
        if self.map.size and not -1 <= self.map.min() <= self.map.max() < len(self.maps):
            raise ValueError(f"layers.map must be in [-1, {len(self.maps) - 1}], got {self.map.min()}…{self.map.max()}")
        if (self.map[:, :, 0] >= 0).any():
            raise ValueError("layers.map must be -1 for the first tap, which covers everything")

    def each(self, change: Callable[[NDArray], NDArray]) -> Layers:
        """`change` of every column of taps."""
        changed: dict[str, Any] = {name: change(getattr(self, name)) for name in TAPS}
        return replace(self, **changed)

    @staticmethod
    def none(shape: tuple[int, int, int]) -> Layers:
        """Columns of taps that cover everything."""
        made: dict[str, Any] = {}
        for (name, dtype), value in zip(TAPS.items(), PLAIN):
            made[name] = np.empty((*shape, *WIDTH.get(name, ())), dtype)
            made[name][...] = value
        return Layers(**made, maps=np.zeros((0, len(MAP))))


def whole(column: NDArray[np.float64]) -> bool:
    """Whether places or crops (N, …, 4) are all of it."""
    if not column.size:
        return True
    rows = column.reshape(len(column), -1)  # four values at a time take NumPy long
    return bool((rows == _all(rows.shape[1] // 4)).all())


@functools.lru_cache(8)
def _all(n: int) -> NDArray[np.float64]:
    return np.tile(ALL, n)


def together(parts: Sequence[Layers]) -> list[Layers]:
    """The same layers with one common table of maps and pictures."""
    owners = [part for part in parts if len(part.maps)]
    if len(owners) < 2:  # one table serves all
        only = (owners or parts)[0]
        return [replace(part, maps=only.maps, pictures=only.pictures) for part in parts]
    tables, pictures = [], tuple(picture for part in parts for picture in part.pictures)
    found: list[Layers] = []
    rows = own = 0
    for part in parts:
        table = part.maps.copy()
        table[table[:, 0] < 0, 0] -= own
        tables.append(table)
        found.append(replace(part, map=np.where(part.map < 0, -1, part.map + rows)))
        rows, own = rows + len(table), own + len(part.pictures)
    maps, place = _unique(np.concatenate(tables))
    return [replace(part, map=place[part.map], maps=maps, pictures=pictures) for part in found]


def unique(layers: Layers) -> Layers:
    """The same layers with every time map once, so that it is made once."""
    if len(layers.maps) < 2:
        return layers
    maps, place = _unique(layers.maps)
    return replace(layers, map=place[layers.map], maps=maps)


def _unique(maps: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The different rows, and where each is now; the last place is that of −1."""
    if len(maps) and (maps == maps[0]).all():  # as most batches have it; sorting rows takes long
        return maps[:1].copy(), np.append(np.zeros(len(maps), np.int64), -1)
    rows, place = np.unique(maps, axis=0, return_inverse=True)
    return rows, np.append(place.reshape(-1), -1)  # some versions give (M, 1)


@dataclass(frozen=True, eq=False)
class Marks:
    """Which frames belong to a transition.

    Attributes:
        kind: int64 (N, T): place in `gpuaug.transitions.LABELS` of the transition in the middle of which a frame is,
            −1: of none.
        shot: int64 (N, T): number of the shot that a frame belongs to; where it changes between frames that are in the
            middle of no transition is a cut or, within one clip, a jump.
    """

    kind: NDArray[np.int64]
    shot: NDArray[np.int64]

    def each(self, change: Callable[[NDArray], NDArray]) -> Marks:
        return Marks(change(self.kind), change(self.shot))

    @staticmethod
    def none(n: int, t: int) -> Marks:
        """One shot without a transition."""
        return Marks(np.full((n, t), -1), np.zeros((n, t), np.int64))
