"""The parameters of masks and colours, checked. NumPy only. Legend: N samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import values
from ..layers.columns import FAR, MAP
from ..values import per_sample, require
from .kinds import KINDS, LUMA

PLAIN = {"softness": 0.0, "angle": 0.0, "number": 8.0, "seed": 0.0, "center": 0.5, "color": 0.0}


@dataclass
class Looks:
    """The parameters of masks and colours, one per sample; `maps` (N, 7) lacks field and reverse."""

    softness: NDArray
    smooth: NDArray
    center: NDArray
    color: NDArray
    maps: NDArray
    pictures: list[NDArray]

    @staticmethod
    def of(n: int, kinds: NDArray, edges: NDArray, luma: NDArray[np.float64] | None, **given: ArrayLike) -> Looks:
        one = {
            name: per_sample(name, given[name], n, whole=name == "seed")
            for name in ("softness", "angle", "number", "seed")
        }
        for name, low, high in (("softness", 0, FAR), ("number", 1 / FAR, FAR)):
            ok = (one[name] >= low) & (one[name] <= high)
            require(ok, f"{name} must be in [{low:g}, {high:g}], got {name}={{}}", one[name])
        require(np.isfinite(one["angle"]), "angle must be finite, got angle={}", one["angle"])
        require(one["seed"] >= 0, "seed must be ≥ 0, got seed={}", one["seed"])
        vectors = {}
        for name, size in (("center", 2), ("color", 3)):
            value = values.reals(name, given[name])
            if value.shape[-1] != size:
                raise ValueError(f"{name} must have {size} values, or so many per sample, got shape {value.shape}")
            low, high = (-FAR, FAR) if name == "center" else (0, 1)
            require((value >= low) & (value <= high), f"{name} must be in [{low:g}, {high:g}], got {name}={{}}", value)
            vectors[name] = np.broadcast_to(value, (n, size))
        maps = np.zeros((n, len(MAP)))
        column = {name: np.broadcast_to(np.ravel(value), n) for name, value in one.items()}
        known, place = np.unique(kinds, return_inverse=True)
        for name, default in PLAIN.items():  # what a kind has no use for does nothing
            used = np.array([name in KINDS[kind].draws for kind in known])[place]
            if name in vectors:
                vectors[name] = np.where(used[:, None], vectors[name], default)
            else:
                column[name] = np.where(used, column[name], default)
        maps[:, 1], maps[:, 4], maps[:, 5] = column["angle"], column["number"], column["seed"]
        maps[:, 2:4] = vectors["center"]
        if (kinds == LUMA).any() and luma is None:
            raise ValueError("luma must be given for the kind 'luma': a picture (h, w), or one per sample")
        pictures = [] if luma is None or not (kinds == LUMA).any() else list(luma if luma.ndim == 3 else luma[None])
        return Looks(column["softness"], edges == "smooth", vectors["center"], vectors["color"], maps, pictures)


def time_maps(luma: ArrayLike) -> NDArray[np.float64]:
    """Pictures of callers, (h, w) or (N, h, w), as time maps."""
    given = values.reals("luma", luma)
    if given.ndim not in (2, 3):
        raise ValueError(f"luma must be grey, (h, w) or (N, h, w), got shape {given.shape}")
    if given.ndim == 3 and given.shape[2] in (3, 4) and given.shape[1] > 4:
        raise ValueError(f"luma must be grey, (h, w) or (N, h, w), got shape {given.shape} of colours")
    pictures = given if given.ndim == 3 else given[None]
    if not given.size or not np.isfinite(given).all() or any(np.ptp(each) == 0 for each in pictures):
        raise ValueError("luma must be finite and have more than one value, or there is no order of changes")
    return given
