"""Transitions at random: weights and ranges as data, all of it drawn by the caller's generator. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import values
from .easing import EASINGS
from .kinds import FAMILIES, LUMA

# How often families come: of the transitions annotated in ClipShots' training videos (148,928 in 3,657 videos) 79 %
# are cuts; dissolves and fades have half of the rest, the others share the other half. Kinds may stand here by name.
WEIGHTS: dict[str, float] = {"cut": 0.79, "dissolve": 0.06, "fade": 0.045}
WEIGHTS |= {family: 0.105 / (len(FAMILIES) - 3) for family in FAMILIES if family not in WEIGHTS}

# Lengths of the gradual transitions there, as (share, frames): from the last frame of one shot to the first of the
# next, both counted, so that a cut has 2. The end beyond the 95th percentile is ours.
DURATIONS: tuple[tuple[float, float], ...] = ((0.0, 2), (0.25, 2), (0.5, 10), (0.75, 19), (0.95, 36), (1.0, 72))

RANGES: dict[str, tuple[float, float]] = {  # of uniform draws
    "softness": (0.0, 0.3),  # half of the masks have hard edges
    "angle": (0.0, 360.0),
    "center": (0.25, 0.75),
    "number": (4, 16),  # whole
    "color": (0.0, 1.0),  # half of the colours are black
}
HARD, BLACK = 0.5, 0.5
MOST_SEEDS = 1 << 16


def draw(
    rng: np.random.Generator,
    n: int,
    *,
    length: int,
    start: ArrayLike | None = None,
    weights: Mapping[str, float] = WEIGHTS,
    durations: tuple[tuple[float, float], ...] = DURATIONS,
    ranges: Mapping[str, tuple[float, float]] = RANGES,
) -> dict[str, Any]:
    """The parameters of `transition` for `n` samples of `length` output frames: `transition(a, b, length=…, **drawn)`.

    Args:
        start: int (N,) in [1, length − 1], the first frame of transitions; None: drawn, so that all of it is seen.
        weights: how often families, or single kinds, come; need not sum to 1. A family's kinds are equally likely;
            "luma", which needs a picture, comes only where it is named itself.
        durations: (share, frames) of gradual transitions, as in DURATIONS, between which it is linear; longer ones than
            fit are not drawn. p has `frames` − 1 steps, at least 2.
        ranges: least and greatest of what is drawn uniformly.

    >>> drawn = draw(np.random.default_rng(0), 4, length=16)
    >>> sorted(drawn)
    ['angle', 'center', 'color', 'duration', 'easing', 'kind', 'number', 'seed', 'softness', 'start']
    """
    length = values.positive("length", length)
    if length < 2:
        raise ValueError(f"length must be ≥ 2 to hold a transition, got length={length}")
    kind = _kinds(rng, n, weights)
    given = None if start is None else np.broadcast_to(values.integers("start", start), n)
    if given is not None:
        values.require((given >= 1) & (given < length), f"start must be in [1, {length - 1}], got start={{}}", given)
    room = (length - 1 if given is None else length - given) * np.ones(n, np.int64)
    kind[(kind != "cut") & (room < 2)] = "cut"
    share, frames = (np.array(column, np.float64) for column in zip(*durations))
    if (np.diff(share) < 0).any() or (np.diff(frames) < 0).any() or share[0] != 0 or share[-1] != 1 or frames[0] < 2:
        raise ValueError(f"durations must be (share, frames) that rise from share 0 to 1, frames ≥ 2, got {durations}")
    reach = np.interp(room + 1, frames, share, right=1.0)  # the share of those that fit
    long = np.round(np.interp(rng.random(n) * np.maximum(reach, share[frames == frames[0]].max()), share, frames))
    duration = np.where(kind == "cut", 0, np.clip(long.astype(np.int64) - 1, 2, np.maximum(room, 2)))
    first = 1 + np.floor(rng.random(n) * (length - np.maximum(duration, 1))).astype(np.int64)
    uniform = {name: rng.uniform(*ranges[name], (n, *size)) for name, size in _SIZES.items()}
    black, hard = rng.random(n) < BLACK, rng.random(n) < HARD
    return {
        "kind": kind.tolist(),
        "start": first if given is None else given,
        "duration": duration,
        "easing": rng.choice(list(EASINGS), n).tolist(),
        "softness": np.where(hard, 0.0, uniform["softness"]),
        "angle": uniform["angle"],
        "center": uniform["center"],
        "number": rng.integers(int(ranges["number"][0]), int(ranges["number"][1]) + 1, n),
        "seed": rng.integers(0, MOST_SEEDS, n),
        "color": np.where(black[:, None], 0.0, uniform["color"]),
    }


_SIZES: dict[str, tuple[int, ...]] = {"softness": (), "angle": (), "center": (2,), "color": (3,)}


def _kinds(rng: np.random.Generator, n: int, weights: Mapping[str, float]) -> NDArray[Any]:
    """Names (N,) of kinds."""
    known = {kind for kinds in FAMILIES.values() for kind in kinds}
    chance: dict[str, float] = {}
    for name, weight in weights.items():
        if name not in FAMILIES and name not in known:
            raise ValueError(f"weights must be of families or kinds of gpuaug.transitions, got {name!r}")
        if not 0 <= weight < np.inf:
            raise ValueError(f"weights must be ≥ 0 and finite, got {name}: {weight}")
        own = [kind for kind in FAMILIES.get(name, ()) if kind != LUMA] or [name]
        for kind in own:
            chance[kind] = chance.get(kind, 0.0) + weight / len(own)
    total = sum(chance.values())
    if not total > 0:
        raise ValueError(f"weights must have one above 0, got {dict(weights)}")
    return rng.choice(np.array(list(chance), object), n, p=np.array(list(chance.values())) / total)
