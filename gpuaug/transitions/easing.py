"""How progress goes with time. NumPy only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
OVERSHOOT = 1.70158  # of "back": a tenth of the way

# p of t in [0, 1]: 0 at 0 and 1 at 1. "back" goes back before it goes ahead, and too far before it ends; what is below
# 0 or above 1 is cut off, so that it starts late and ends early, fast.
EASINGS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda t: t,
    "smooth": lambda t: t * t * (3 - 2 * t),
    "in": lambda t: t * t,
    "out": lambda t: t * (2 - t),
    "back": lambda t: np.where(t < 0.5, _back(2 * t) / 2, 1 - _back(2 - 2 * t) / 2),
}


def _back(t: Array) -> Array:
    return t * t * ((OVERSHOOT + 1) * t - OVERSHOOT)


def ease(t: Array, names: NDArray[np.str_]) -> Array:
    """Progress (N, T) at times t (N, T) in [0, 1], by the name of every sample's easing (N,)."""
    found = np.array(t)
    for name in np.unique(names):
        rows = names == name
        found[rows] = np.clip(EASINGS[name](t[rows]), 0, 1)
    return found
