"""The parameters of masks and colours, checked. NumPy only. Legend: N samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import values
from ..layers.columns import MAP
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
    def of(n: int, kinds: NDArray, edges: NDArray, luma: ArrayLike | None, **given: ArrayLike) -> Looks:
        one = {
            name: per_sample(name, given[name], n, whole=name == "seed")
            for name in ("softness", "angle", "number", "seed")
        }
        for name, least in (("softness", 0), ("seed", 0), ("angle", -np.inf)):
            rule = f"{name} must be finite{' and ≥ 0' if least == 0 else ''}, got {name}={{}}"
            require(np.isfinite(one[name]) & (one[name] >= least), rule, one[name])
        ok = np.isfinite(one["number"]) & (one["number"] > 0)
        require(ok, "number must be > 0 and finite, got number={}", one["number"])
        vectors = {}
        for name, size in (("center", 2), ("color", 3)):
            value = values.reals(name, given[name])
            if value.shape[-1] != size:
                raise ValueError(f"{name} must have {size} values, or so many per sample, got shape {value.shape}")
            ok = np.isfinite(value) & ((value >= 0) & (value <= 1) | (name == "center"))
            require(ok, f"{name} must be {'finite' if name == 'center' else 'in [0, 1]'}, got {name}={{}}", value)
            vectors[name] = np.broadcast_to(value, (n, size))
        maps = np.zeros((n, len(MAP)))
        column = {name: np.broadcast_to(np.ravel(value), n) for name, value in one.items()}
        for name, default in PLAIN.items():  # what a kind has no use for does nothing
            used = np.isin(kinds, [kind for kind, what in KINDS.items() if name in what.draws])
            if name in vectors:
                vectors[name] = np.where(used[:, None], vectors[name], default)
            else:
                column[name] = np.where(used, column[name], default)
        maps[:, 1], maps[:, 4], maps[:, 5] = column["angle"], column["number"], column["seed"]
        maps[:, 2:4] = vectors["center"]
        pictures = []
        if (kinds == LUMA).any():
            if luma is None:
                raise ValueError("luma must be given for the kind 'luma': a picture (h, w), or one per sample")
            given_luma = values.reals("luma", luma)
            if given_luma.ndim == 3 and given_luma.shape[2] in (3, 4) and given_luma.shape[1] > 4:
                raise ValueError(f"luma must be grey, (h, w) or (N, h, w), got shape {given_luma.shape} of colours")
            pictures = list(given_luma if given_luma.ndim == 3 else given_luma[None])
            if not given_luma.size or not np.isfinite(given_luma).all() or any(np.ptp(each) == 0 for each in pictures):
                raise ValueError("luma must be finite and have more than one value, or there is no order of changes")
        return Looks(column["softness"], edges == "smooth", vectors["center"], vectors["color"], maps, pictures)
