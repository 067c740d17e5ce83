"""Transitions at random: weights and ranges as data, all of it drawn by the caller's generator. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import values
from ..layers.columns import FAR
from .easing import EASINGS, ease
from .kinds import FAMILIES, LUMA
from .times import FAMILY, JUMP, RAMP, SUDDEN

# How often families come: of the transitions annotated in ClipShots' training videos (148,928 in 3,657 videos) 79 %
# are cuts; dissolves and fades have half of the rest, the others share the other half. What stays within one clip is
# none of them there, and comes where it is given a weight. Kinds may stand here by name.
WEIGHTS: dict[str, float] = {"cut": 0.79, "dissolve": 0.06, "fade": 0.045, FAMILY: 0.0}
WEIGHTS |= {family: 0.105 / (len(FAMILIES) - 4) for family in FAMILIES if family not in WEIGHTS}

# Lengths of the gradual transitions there, as (share, frames): from the last frame of one shot to the first of the
# next, both counted, so that a cut has 2. The end beyond the 95th percentile is ours.
DURATIONS: tuple[tuple[float, float], ...] = ((0.0, 2), (0.25, 2), (0.5, 10), (0.75, 19), (0.95, 36), (1.0, 72))

RANGES: dict[str, tuple[float, float]] = {  # of uniform draws; of rates in logarithms
    "softness": (0.0, 0.3),  # half of the masks have hard edges
    "angle": (0.0, 360.0),
    "center": (0.25, 0.75),
    "number": (4, 16),  # whole
    "color": (0.0, 1.0),  # half of the colours are black
    "skip": (4, 48),  # whole; two seconds at most
    "rate": (0.25, 4.0),
}
HARD, BLACK = 0.5, 0.5
MOST_SEEDS = 1 << 16


def draw(
    rng: np.random.Generator,
    n: int,
    *,
    length: int,
    frames: int | None = None,
    start: ArrayLike | None = None,
    weights: Mapping[str, float] = WEIGHTS,
    durations: tuple[tuple[float, float], ...] = DURATIONS,
    ranges: Mapping[str, tuple[float, float]] = RANGES,
) -> dict[str, Any]:
    """The parameters of `transition` for `n` samples of `length` output frames: `transition(a, b, length=…, **drawn)`.

    Args:
        frames: frames of the first clip, of which a jump needs more than `length`, and so does a ramp to more than its
            own speed; None: `length`. No more than fits is drawn of either, and "jump" not where nothing does.
        start: int (N,) in [1, length − 1], the first frame of transitions; None: drawn, so that all of it is seen.
        weights: how often families, or single kinds, come; need not sum to 1. A family's kinds are equally likely;
            "luma", which needs a picture, comes only where it is named itself.
        durations: (share, frames) of gradual transitions, as in DURATIONS, between which it is linear; longer ones than
            fit are not drawn. p has `frames` − 1 steps, at least 2.
        ranges: least and greatest of what is drawn uniformly; what is not given is as in RANGES.

    >>> drawn = draw(np.random.default_rng(0), 4, length=16)
    >>> sorted(drawn)
    ['angle', 'center', 'color', 'duration', 'easing', 'kind', 'number', 'rate', 'seed', 'skip', 'softness', 'start']
    """
    length = values.positive("length", length)
    if length < 2:
        raise ValueError(f"length must be ≥ 2 to hold a transition, got length={length}")
    ranges, spare = _ranges(ranges), _spare(length, frames)
    kind = _kinds(rng, n, weights, _unfit(spare, length, ranges))
    given = None if start is None else np.broadcast_to(values.integers("start", start), n)
    if given is not None:
        values.require((given >= 1) & (given < length), f"start must be in [1, {length - 1}], got start={{}}", given)
    room = (length - 1 if given is None else length - given) * np.ones(n, np.int64)
    kind[~np.isin(kind, SUDDEN) & (room < 2)] = "cut"
    table = values.reals("durations", durations)
    share, many = table.T if table.ndim == 2 and table.shape[1] == 2 else np.zeros((2, 1))
    if (
        not np.isfinite(table).all()
        or (np.diff(share) < 0).any()
        or (np.diff(many) < 0).any()
        or share[0] != 0
        or share[-1] != 1
        or many[0] < 2
    ):
        raise ValueError(f"durations must be (share, frames) that rise from share 0 to 1, frames ≥ 2, got {durations}")
    reach = np.interp(room + 1, many, share, right=1.0)  # the share of those that fit
    long = np.round(np.interp(rng.random(n) * np.maximum(reach, share[many == many[0]].max()), share, many))
    duration = np.where(np.isin(kind, SUDDEN), 0, np.clip(long.astype(np.int64) - 1, 2, np.maximum(room, 2)))
    first = 1 + np.floor(rng.random(n) * (length - np.maximum(duration, 1))).astype(np.int64)
    uniform = {name: rng.uniform(*ranges[name], (n, *size)) for name, size in _SIZES.items()}
    black, hard = rng.random(n) < BLACK, rng.random(n) < HARD
    begin, easing = first if given is None else given, rng.choice(list(EASINGS), n)
    drawn = {
        "kind": kind.tolist(),
        "start": begin,
        "duration": duration,
        "easing": easing.tolist(),
        "softness": np.where(hard, 0.0, uniform["softness"]),
        "angle": uniform["angle"],
        "center": uniform["center"],
        "number": rng.integers(int(ranges["number"][0]), int(ranges["number"][1]) + 1, n),
        "seed": rng.integers(0, MOST_SEEDS, n),
        "color": np.where(black[:, None], 0.0, uniform["color"]),
    }
    least, most = (int(each) for each in ranges["skip"])
    drawn["skip"] = rng.integers(least, max(least, min(most, spare)) + 1, n)
    slow, fast = ranges["rate"]
    t = np.clip((np.arange(1, length) - begin[:, None] + 1) / np.maximum(duration[:, None], 1), 0, 1)
    most_rate = np.minimum(fast, 1 + spare / np.maximum(ease(t, easing).sum(1), 1e-9))  # the first clip ends there
    drawn["rate"] = np.exp(rng.uniform(np.log(slow), np.log(np.maximum(most_rate, slow)), n))
    return drawn


_SIZES: dict[str, tuple[int, ...]] = {"softness": (), "angle": (), "center": (2,), "color": (3,)}


_BOUNDS = {"softness": (0, FAR), "angle": (-FAR, FAR), "center": (-FAR, FAR), "color": (0, 1)}
_BOUNDS |= {"number": (1, FAR), "skip": (1, FAR), "rate": (1 / FAR, FAR)}


def _ranges(given: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Those given, and RANGES for the rest."""
    for name, value in given.items():
        if name not in RANGES:
            raise ValueError(f"ranges must be of {', '.join(RANGES)}, got {name!r}{values.meant(name, RANGES)}")
        pair, (low, high) = values.reals(f"ranges of {name}", value), _BOUNDS[name]
        if pair.shape != (2,) or not low <= pair[0] <= pair[1] <= high:
            raise ValueError(
                f"ranges of {name} must be two numbers in [{low:g}, {high:g}] that rise, got {name}: {value}"
            )
    return {**RANGES, **given}


def _spare(length: int, frames: int | None) -> int:
    """Frames of the first clip beyond those of the output."""
    spare = 0 if frames is None else values.positive("frames", frames) - length
    if spare < 0:
        raise ValueError(f"frames must be at least length={length}, got frames={frames}")
    return spare


def _unfit(spare: int, length: int, ranges: Mapping[str, tuple[float, float]]) -> dict[str, str]:
    """Kinds for which the first clip may be too short, and how many frames it needs, in words."""
    skip, slow = ranges["skip"][0], ranges["rate"][0]
    need = {JUMP: int(skip), RAMP: int(np.ceil((slow - 1) * (length - 1)))}
    return {name: f"length + {more} = {length + more}" for name, more in need.items() if more > spare}


def _kinds(rng: np.random.Generator, n: int, weights: Mapping[str, float], unfit: Mapping[str, str]) -> NDArray[Any]:
    """Names (N,) of kinds."""
    known = {kind for kinds in FAMILIES.values() for kind in kinds}
    chance: dict[str, float] = {}
    for name, weight in weights.items():
        if name not in FAMILIES and name not in known:
            near = values.meant(name, [*FAMILIES, *known])
            raise ValueError(f"weights must be of families or kinds of gpuaug.transitions, got {name!r}{near}")
        if not 0 <= weight < np.inf:
            raise ValueError(f"weights must be ≥ 0 and finite, got {name}: {weight}")
        if name in unfit and weight > 0:
            raise ValueError(f"frames must be at least {unfit[name]} for the kind {name!r}")
        own = [kind for kind in FAMILIES.get(name, ()) if kind != LUMA and kind not in unfit] or [name]
        for kind in own:
            chance[kind] = chance.get(kind, 0.0) + weight / len(own)
    total = sum(chance.values())
    if not total > 0:
        raise ValueError(f"weights must have one above 0, got {dict(weights)}")
    return rng.choice(np.array(list(chance), object), n, p=np.array(list(chance.values())) / total)
