"""Transitions as plans: the layers of every sample's kind, put together. NumPy only.

Legend: N samples, T output frames, K taps.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import values
from ..layers import columns, fields, taps
from ..layers.columns import ALL, COLOR, MAP, PLAIN, Layers, Marks
from ..plan import Plan, alike, columns_of, fade, where, with_columns
from ..values import TooShort, per_sample, require
from .easing import EASINGS, ease
from .kinds import FIRST, KINDS, LABELS, LUMA, NAMES, PAINT, SECOND, Motion
from .looks import Looks, time_maps
from .times import JUMP, SUDDEN, TIMES, Clock, shown

MASK_EDGES = ("linear", "smooth")
MANY = 1 << 20  # output frames, more than one means to ask for


def transition(
    first: Plan,
    second: Plan,
    kind: str | Sequence[str],
    *,
    length: int,
    start: ArrayLike,
    duration: ArrayLike,
    easing: str | Sequence[str] = "linear",
    softness: ArrayLike = 0.0,
    edge: str | Sequence[str] = "linear",
    angle: ArrayLike = 0.0,
    center: ArrayLike = (0.5, 0.5),
    color: ArrayLike = (0.0, 0.0, 0.0),
    number: ArrayLike = 8,
    seed: ArrayLike = 0,
    skip: ArrayLike = 8,
    rate: ArrayLike = 0.5,
    luma: ArrayLike | None = None,
) -> Plan:
    """`first`, then a transition of `duration` frames from output frame `start` on, then `second`.

    The j-th of these frames (j = 1 … duration) has progress p = easing(j/duration); those with 0 < p < 1 show both, or
    something between; the last of them is pure second. Frame i ≥ start shows second[i − start], up to there first[i].
    Duration 0 is a cut: `start` is the first new frame. "dissolve" is `crossfade` with start = center − overlap/2 and
    duration = overlap. All but `length` is one value, or one per sample; a parameter that a kind has no use for does
    nothing (`KINDS[kind].draws` are those it has).

    Kinds of the family "time" show nothing of `second`. "jump": frame i ≥ start is first[i + skip]. "freeze":
    first[start] stays for `duration` frames, then first[i − duration + 1] follows. "speed_ramp": the j-th of `duration`
    frames is 1 + (rate − 1)·easing(j/duration) source frames after the one before, those that follow `rate`.
    "reverse": `duration` frames from start on are shown backwards.

    Args:
        first: plan that reaches as far as it is shown, start + duration − 1 frames (start frames for a cut).
        second: plan of at least length − start frames.
        kind: names of `NAMES`.
        length: output frames, ≥ 1.
        start: int in [0, length].
        duration: int in [0, length − start]; 0 for cuts and jumps, ≥ 2 for the others of the family "time".
        easing: "linear", "smooth", "in", "out" or "back".
        softness: float in [0, 1e6] of masks: how long an edge takes to pass, in parts of the rest; 0 is a hard edge.
        edge: "linear" or "smooth": how a soft edge goes from 0 to 1.
        angle: degrees clockwise by which a mask is turned.
        center: (2,) or (N, 2) in [-1e6, 1e6]: y, x of a mask, or of what is scaled, in parts of the output.
        color: (3,) or (N, 3) in [0, 1]: of fades through a colour, and behind doors.
        number: in [1e-6, 1e6]: of stripes, cells, turns of a mask.
        seed: int ≥ 0 of random masks.
        skip: int ≥ 1, how many frames a jump leaves out.
        rate: > 0: of a speed ramp.
        luma: (h, w) or (N, h, w), the time map of "luma": where it is least changes first; of any numbers.

    Raises:
        ValueError: naming the argument, its value and the rule.

    >>> clips = Plan.take(0, range(6)), Plan.take(1, range(6))
    >>> plan = transition(*clips, ["push_left", "cut"], length=6, start=[1, 3], duration=[4, 0])
    >>> plan.area()[0, :, 1].tolist()
    [0.0, 0.25, 0.5, 0.75, 0.0, 0.0]
    """
    kinds = _names("kind", kind, NAMES)
    easings, edges = _names("easing", easing, EASINGS), _names("edge", edge, MASK_EDGES)
    given = {"start": (start, 0), "duration": (duration, 0), "softness": (softness, 0), "angle": (angle, 0)}
    given |= {"number": (number, 0), "seed": (seed, 0), "center": (center, 1), "color": (color, 1)}
    given |= {"skip": (skip, 0), "rate": (rate, 0)}
    named = {"first": first.shape[0], "second": second.shape[0]}
    named |= {"kind": len(kinds), "easing": len(easings), "edge": len(edges)}
    if luma is not None:
        luma = time_maps(luma)
        given["luma"] = luma, 2
    n = _samples(named, given)
    kinds, easings, edges = (np.broadcast_to(names, n) for names in (kinds, easings, edges))
    length = values.positive("length", length)
    start, duration = per_sample("start", start, n), per_sample("duration", duration, n)
    start, duration = (np.broadcast_to(v, (n, 1)) for v in (start, duration))
    own = {"softness": softness, "angle": angle, "number": number, "seed": seed, "center": center, "color": color}
    looks = Looks.of(n, kinds, edges, luma, **own)
    require((start >= 0) & (start <= length), f"start must be in [0, length={length}], got start={{}}", start)
    fits = (duration >= 0) & (duration <= length - start)
    require(fits, f"duration must be in [0, length - start], length={length}, got duration={{}}", duration)
    sudden, timed = np.isin(kinds, SUDDEN)[:, None], np.isin(kinds, list(TIMES))[:, None]
    require((duration == 0) | ~sudden, "duration must be 0 for cuts and jumps, got duration={}", duration)
    lasts = (duration >= 2) | ~timed | sudden
    require(lasts, "duration must be ≥ 2 for freezes, speed ramps and reverse, got duration={}", duration)
    skip, rate = per_sample("skip", skip, n), per_sample("rate", rate, n, whole=False)
    require(skip >= 1, "skip must be ≥ 1, got skip={}", skip)
    require((rate > 0) & np.isfinite(rate), "rate must be > 0 and finite, got rate={}", rate)

    if length >= MANY:  # before so many frames are made
        rule = f"second must have {{}} frames for this start, got {second.shape[1]}"
        require(timed | (length - start <= second.shape[1]), rule, length - start, TooShort)
    i = np.arange(length)[None]
    t = np.where(duration > 0, (i - start + 1) / np.maximum(duration, 1), i >= start)
    p = ease(np.clip(t, 0.0, 1.0), easings)
    skip, rate = (np.broadcast_to(v, (n, 1)) for v in (skip, rate))
    position, middle = shown(kinds, Clock(i, p, start, duration, skip, rate))
    p = np.where(timed, 0.0, p)
    need = np.where(p < 1, np.floor(position + 0.5) + 1, 0).max(1), np.where(p > 0, i - start + 1, 0).max(1)
    for name, plan, most in (("first", first, need[0]), ("second", second, need[1])):
        why = "kind and start" if timed.any() else "start"
        rule = f"{name} must have {{:.12g}} frames for this {why}, got {plan.shape[1]}"
        require(most <= plan.shape[1], rule, most, TooShort)
    a = first.repeat(n).at(np.minimum(position, first.shape[1] - 1))
    b = second.repeat(n).at(np.clip(i - start, 0, second.shape[1] - 1))
    mixed = (p > 0) & (p < 1)
    marks = _marks(a, b, kinds, mixed | middle, p > 0)
    marks = replace(marks, shot=marks.shot + ((kinds == JUMP)[:, None] & (i >= start)))
    dissolve = (kinds == "dissolve")[:, None]
    laid = mixed & ~dissolve
    if not laid.any():
        return replace(fade(a, b, p), marks=marks)
    stack, source = _together(kinds, Motion(p, looks.center[:, None]), mixed, looks)
    if _plain(a) and _plain(b):
        return with_columns(stack, _shown(stack, source, a, b, p, mixed & dissolve), marks)
    plain = fade(a, b, np.where(laid, 0.0, p))
    return replace(where(laid, _filled(stack, source, a, b, mixed), plain), marks=marks)


def _together(kinds: NDArray, motion: Motion, mixed: NDArray, looks: Looks) -> tuple[Plan, NDArray[np.int64]]:
    """The layers of frames in the middle of transitions, without what they show, and their sources (N, K).

    The other frames are whatever comes of it.
    """
    n, length = mixed.shape
    names = [name for name in np.unique(kinds[mixed.any(1)]) if name != "dissolve"]
    rows = [np.flatnonzero(kinds == name) for name in names]
    made = [KINDS[name].layers(Motion(motion.p[own], motion.center[own])) for name, own in zip(names, rows)]
    shape = (n, length, max(2, *map(len, made)))
    source, weight, layers = np.full((n, shape[2]), PAINT), np.zeros(shape, np.float32), Layers.none(shape)
    layers.progress[:] = motion.p[:, :, None]
    layers.softness[:] = looks.softness[:, None, None]
    layers.smooth[:] = looks.smooth[:, None, None]
    weight[:, :, 0] = 1
    maps = [np.zeros((0, len(MAP)))]
    for own, found in zip(rows, made):
        for k, layer in enumerate(found):
            source[own, k], weight[own, :, k] = layer.source, layer.weight
            layers.place[own, :, k], layers.crop[own, :, k] = layer.place, layer.crop
            if layer.source == PAINT:
                layers.color[own, :, k] = looks.color[own, None] if layer.color is None else layer.color
            if layer.field:
                table = looks.maps[own]
                if layer.field == LUMA:
                    table[:, 0] = -1 - (own if len(looks.pictures) > 1 else 0)
                else:
                    table[:, 0] = fields.NAMES.index(layer.field)
                table[:, 1], table[:, -1] = (table[:, 1] + layer.angle) % 360, layer.reverse
                layers.map[own, :, k] = (sum(map(len, maps)) + np.arange(len(own)))[:, None]
                maps.append(table)
    layers = columns.unique(replace(layers, maps=np.concatenate(maps), pictures=tuple(looks.pictures)))
    return Plan(np.full(shape, COLOR), np.zeros(shape), weight, layers), source


def _shown(stack: Plan, source: NDArray, first: Plan, second: Plan, p: NDArray, faded: NDArray) -> taps.Columns:
    """The columns of `stack` showing plain clips, which stand alone where progress is 0 or 1, fade where `faded`."""
    made = columns_of(stack)
    if (made[taps.MAP][:, :, 1:] < 0).any():  # below masks something is always seen
        made[taps.WEIGHT] = np.where(_hidden(stack, _everywhere(stack)), np.float32(0), made[taps.WEIGHT])
    for plan, number in ((first, FIRST), (second, SECOND)):
        for i, column in ((taps.CLIP, plan.clip), (taps.TIME, plan.time)):
            made[i] = np.where((source == number)[:, None], column, made[i])
    for alone, plan in (((p <= 0) | faded, first), (p >= 1, second)):
        if alone.any():
            for column, value in zip(made, [plan.clip[alone], plan.time[alone], 0, *PLAIN]):
                column[alone] = value
            made[taps.WEIGHT][alone, 0] = 1
    if faded.any():
        alpha = p[faded].astype(np.float32)[None, :, None]
        weight = taps.opacities(np.concatenate([1 - alpha, alpha], 2))[0, :, 1:]
        for column, value in zip(made, [second.clip[faded], second.time[faded], weight]):
            column[faded, 1:2] = value
    visible = (made[taps.WEIGHT] != 0) | ((p <= 0) | (p >= 1) | faded)[:, :, None]
    return made if visible.all() else taps.compact(made)


def _filled(stack: Plan, source: NDArray, first: Plan, second: Plan, mixed: NDArray) -> Plan:
    """The layers of `stack` showing their sources (N, K), which are the clips' taps.

    What a clip shows in a frame may be several taps, masked or placed, only where it is the lowest layer, as it is.
    """
    everywhere = _everywhere(stack)
    hidden = _hidden(stack, everywhere)
    stack, first, second = alike([stack, first, second])
    made = columns_of(stack)
    made[taps.WEIGHT] = np.where(hidden, np.float32(0), made[taps.WEIGHT])
    lowest = [column[:, :, :1] for column in made]
    between = []
    for name, plan, number in (("first", first, FIRST), ("second", second, SECOND)):
        own = columns_of(plan)
        used = (source == number)[:, None] & mixed[:, :, None] & (made[taps.WEIGHT] != 0)
        whole = used[:, :, 0] & ~used[:, :, 1:].any(2) & everywhere[:, :, 0]
        bad = used.any(2) & ~whole & ~_single(plan)
        if bad.any():
            n, t = np.argwhere(bad)[0]
            raise ValueError(
                f"{name} must show a single, whole tap in frames that this kind moves, or lays over the other clip's; "
                f"it shows others at sample {n}, output frame {t}"
            )
        for k in range(source.shape[1]):
            here = (source[:, k] == number)[:, None]
            for i in (taps.CLIP, taps.TIME, -1):  # -1: the colour
                made[i][:, :, k] = np.where(
                    here.reshape(-1, *[1] * (made[i].ndim - 2)), own[i][:, :, 0], made[i][:, :, k]
                )
        lowest = taps.where(whole, [column[:, :, :1] for column in own], [column[:, :, :1] for column in made])
        for i, column in enumerate(lowest):
            made[i][:, :, :1] = column
        more = [column[:, :, 1:] for column in own]
        more[taps.WEIGHT] = more[taps.WEIGHT] * whole[:, :, None]
        between.append(more)
    parts = [lowest, *between, [column[:, :, 1:] for column in made]]
    return with_columns(stack, taps.compact([np.concatenate(each, 2) for each in zip(*parts)]))


def _plain(plan: Plan) -> bool:
    """Whether every frame is one tap, as it is."""
    return plan.layers is None and plan.shape[2] == 1 and bool((plan.weight == 1).all())


def _everywhere(plan: Plan) -> NDArray[np.bool_]:
    """(N, T, K): whether a tap is put on all of the output, uncropped and without a mask."""
    assert plan.layers is not None
    whole = plan.layers.map < 0
    for column in (plan.layers.place, plan.layers.crop):
        for i, bound in enumerate(ALL):  # which takes NumPy less long than `all` along four values
            whole &= column[..., i] == bound
    return whole


def _single(plan: Plan) -> NDArray[np.bool_]:
    """(N, T): whether a frame is one tap, as it is."""
    return (plan.weight[:, :, 1:] == 0).all(2) & _everywhere(plan)[:, :, 0]


def _hidden(plan: Plan, everywhere: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N, T, K): whether a later tap covers everything."""
    covers = (plan.weight == 1) & everywhere
    return np.cumsum(covers[:, :, ::-1], 2)[:, :, ::-1] > covers


def _marks(first: Plan, second: Plan, kinds: NDArray, mixed: NDArray, later: NDArray) -> Marks:
    """Which frames are in the middle of this transition, or of one that the clips have had before."""
    a, b = (plan.marks or Marks.none(*plan.shape[:2]) for plan in (first, second))
    number = np.array([LABELS.index(name) for name in kinds])[:, None]
    kind = np.where(mixed, number, np.where(later, b.kind, a.kind))
    after = a.shot.max(1, keepdims=True) + 1 - b.shot.min(1, keepdims=True)
    return Marks(kind, np.where(later, b.shot + after, a.shot))


def _samples(sizes: dict[str, int], given: dict[str, tuple[ArrayLike, int]]) -> int:
    """The batch size of plans and names, and of parameters, each with the axes that one value has."""
    sizes = dict(sizes)
    for name, (value, axes) in given.items():
        shape = values.array(name, value).shape
        if len(shape) == axes + 1:
            sizes[name] = shape[0]
        elif len(shape) != axes:
            raise ValueError(f"{name} must have {axes} axes, or one more for samples, got shape {shape}")
    return values.batch(sizes)


def _names(name: str, given: str | Sequence[str], known: Collection[str]) -> NDArray[np.str_]:
    """The names, (1,) or (N,)."""
    if not isinstance(given, (str, Sequence, np.ndarray)) or isinstance(given, bytes) or np.ndim(given) > 1:
        raise ValueError(f"{name} must be a name or one per sample, got {type(given).__name__}: {name}={given!r:.50}")
    found = np.array([given] if isinstance(given, str) else list(given), dtype=object)
    for each in found:
        if not isinstance(each, str) or each not in known:
            choice = list(known) if len(known) < 9 else "gpuaug.transitions.NAMES"
            raise ValueError(f"{name} must be of {choice}, got {name}={each!r}{values.meant(each, known)}")
    if not len(found):
        raise ValueError(f"{name} must be a name or one per sample, got none")
    return found.astype(str)
