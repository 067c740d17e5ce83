"""Temporal edits: one rule each, and the functions that apply it to plans (BSP Eq. (1)–(3), PAL's paste, any frames).

A rule says which frames an edit shows; nothing else knows it. `gpuaug.functional` executes the same rules on arrays,
through functions of the same names and arguments. Every parameter is a scalar or one value per sample.
Used by functional, compile, tasks and users; imports plan. Legend: N samples, T frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import values
from .plan import Plan, fade
from .transitions.edit import transition as transition
from .values import TooShort, holds, per_sample, positive, require


class Frames(NamedTuple):
    """What an edit shows, each (N or 1, T or 1): a frame of the first clip, one of the second, the second's weight.

    `first` may be float positions, of which the nearest frame is shown. A weight of bool shows one of the two; the
    edits of one clip never show a second.
    """

    first: NDArray
    second: NDArray[np.int64] = np.zeros((1, 1), np.int64)
    alpha: NDArray = np.zeros((1, 1), bool)


# rule(counts, n, **parameters): the frames of an edit of clips of `counts` frames, for n samples; ValueError for what
# cannot be had
Rule = Callable[..., Frames]
RULES: dict[str, Rule] = {}  # by the edit's name


# ---- on plans --------------------------------------------------------------------------------------------------------


def crossfade(first: Plan, second: Plan, *, length: int, center: ArrayLike, overlap: ArrayLike) -> Plan:
    """`first`, then `overlap` blended frames, then `second` (BSP Eq. (1): length = 2τ, center = τ, overlap = 2ε).

    Output frame i (from 0): i < center − overlap/2 shows first[i]; then `overlap` blended frames, the j-th of them
    (j = 1…overlap) with weight j/overlap on second; afterwards second[i − (center − overlap/2)]. Overlap 0 is a hard
    cut: the first frame of `second` is output frame `center`.

    Args:
        first: plan of at least center + overlap/2 frames.
        second: plan of at least length − center + overlap/2 frames.
        length: output frames, ≥ 1.
        center: int in [0, length].
        overlap: even int in [0, 2·center], at most 2·(length − center).

    >>> plan = crossfade(Plan.take(0, range(6)), Plan.take(1, range(6)), length=8, center=4, overlap=4)
    >>> plan.weight[0, 2:6, 0].tolist()     # ω1 on first: (2ε−1)/2ε … ; the last blended frame is pure second
    [0.75, 0.5, 0.25, 1.0]
    >>> plan.clip[0, :, 0].tolist()
    [0, 0, 0, 0, 0, 1, 1, 1]
    """
    return _apply("crossfade", [first, second], length=length, center=center, overlap=overlap)


def concatenate(first: Plan, second: Plan, *, length: int, center: ArrayLike) -> Plan:
    """`center` frames of `first`, then `second` (BSP Eq. (2), center = τ): the cross-fade whose overlap is 0.

    >>> concatenate(Plan.take(0, range(4)), Plan.take(1, range(4)), length=4, center=2).frame[0, :, 0].tolist()
    [0, 1, 0, 1]
    """
    return _apply("crossfade", [first, second], length=length, center=center, overlap=0)


def resample_speed(clip: Plan, *, length: int, change_point: ArrayLike, rate: ArrayLike) -> Plan:
    """`clip` at its own speed for `change_point` frames, then at `rate` times that speed (BSP Eq. (3)).

    Times are composed; the nearest source frame is taken when the plan is executed.

    Args: as in `speed_times`; `clip` must reach the last position,
        (change_point − 1) + rate·(length − change_point), rounded to the nearest frame.

    >>> resample_speed(Plan.take(0, range(9)), length=6, change_point=3, rate=0.5).frame[0, :, 0].tolist()
    [0, 1, 2, 3, 3, 4]
    """
    return _apply("resample_speed", [clip], length=length, change_point=change_point, rate=rate)


def paste(background: Plan, region: Plan, *, start: ArrayLike, stop: ArrayLike, opacity: ArrayLike) -> Plan:
    """`background` whose frames start…stop−1 show opacity·region[i−start] + (1−opacity)·background[i] (PAL).

    Args:
        background: plan of T frames; the result has T frames.
        region: plan of at least stop − start frames.
        start, stop: ints, 0 ≤ start ≤ stop ≤ T; half-open.
        opacity: float in [0, 1] (PAL draws it from [0.6, 1]).

    >>> plan = paste(Plan.take(0, range(4)), Plan.take(1, range(4)), start=1, stop=3, opacity=0.75)
    >>> plan.weight[0].tolist()
    [[1.0, 0.0], [0.25, 0.75], [0.25, 0.75], [1.0, 0.0]]
    """
    return _apply("paste", [background, region], start=start, stop=stop, opacity=opacity)


def take(clip: Plan, frames: ArrayLike) -> Plan:
    """The frames of `clip` in the given order: reverse, freeze, drop, repeat, shuffle.

    Args:
        clip: plan of T frames.
        frames: ints in [0, T−1], (T',) for all samples or (N, T').

    >>> take(Plan.take(0, [10, 11, 12]), [2, 2, 0]).frame[0, :, 0].tolist()
    [12, 12, 10]
    """
    return _apply("take", [clip], frames=frames)


def freeze(clip: Plan, *, length: int, start: ArrayLike, duration: ArrayLike) -> Plan:
    """`clip`, whose frame `start` stays for `duration` output frames; then it goes on.

    Output frame i (from 0): i < start shows clip[i]; then clip[start] for `duration` frames; afterwards
    clip[i − (duration − 1)].

    Args:
        clip: plan of more than `start` frames, and of as many as are shown.
        length: output frames, ≥ 1.
        start: int ≥ 0; at or beyond `length` nothing is frozen.
        duration: int ≥ 1; 1 changes nothing.

    >>> freeze(Plan.take(0, range(4)), length=6, start=1, duration=3).frame[0, :, 0].tolist()
    [0, 1, 1, 1, 2, 3]
    """
    return _apply("freeze", [clip], length=length, start=start, duration=duration)


def _apply(edit: str, plans: Sequence[Plan], **parameters: ArrayLike) -> Plan:
    """A rule on plans: times are composed, and only a second clip adds taps."""
    n = _samples(plans, parameters)
    first, second, alpha = RULES[edit]([plan.shape[1] for plan in plans], n, **parameters)
    shown = plans[0].repeat(n).at(first)
    return fade(shown, plans[1].repeat(n).at(second), 1.0 * alpha) if len(plans) > 1 else shown


# ---- rules ----------------------------------------------------------------------------------------------------------


def _rule(function: Rule) -> Rule:
    RULES[function.__name__.removeprefix("_")] = function
    return function


@_rule
def _crossfade(counts: Sequence[int], n: int, /, length: int, center: ArrayLike, overlap: ArrayLike = 0) -> Frames:
    length = positive("length", length)
    center, overlap = per_sample("center", center, n), per_sample("overlap", overlap, n)
    half = overlap // 2
    begin, end = center - half, center + half
    fits = (overlap == 2 * half) & (half >= 0) & (begin >= 0) & (end <= min(length, counts[0]))
    need = length - begin
    if not holds(fits & (need <= counts[1])):
        inside = (center >= 0) & (center <= length)
        require(inside, f"center must be in [0, length={length}], got center={{}}", center)
        even = (overlap == 2 * half) & (overlap >= 0) & (overlap <= 2 * center)
        require(even, "overlap must be even and in [0, 2*center], got overlap={}", overlap)
        require(end <= length, "overlap must be at most 2*(length - center), got overlap={}", overlap)
        require(end <= counts[0], f"first must have center + overlap/2 = {{}} frames, got {counts[0]}", end, TooShort)
        rule = f"second must have length - center + overlap/2 = {{}} frames, got {counts[1]}"
        require(need <= counts[1], rule, need, TooShort)
    i = np.arange(length)[None]
    alpha = i >= center
    if not holds(overlap == 0):
        part = (i - begin + 1) / np.maximum(overlap, 1)
        alpha = np.where(overlap > 0, np.minimum(np.maximum(part, 0), 1), alpha)
    return Frames(np.minimum(i, counts[0] - 1), np.maximum(i - begin, 0), alpha)


@_rule
def _resample_speed(counts: Sequence[int], n: int, /, length: int, change_point: ArrayLike, rate: ArrayLike) -> Frames:
    length, change, per_frame = _speed(length, change_point, rate)
    reached = np.floor(_positions(np.float64(length - 1), change, per_frame) + 0.5)  # before so many frames are made
    rule = f"clip must reach frame {{:.0f}} for this change_point and rate, it has {counts[0]} frames"
    require(reached < counts[0], rule, reached, TooShort)
    return Frames(_positions(np.arange(length, dtype=np.float64)[None], change, per_frame))


def speed_times(length: int, change_point: ArrayLike, rate: ArrayLike) -> NDArray[np.float64]:
    """float64 (N, length): BSP Eq. (3) as positions in the clip's frames, not yet rounded.

    The first `change_point` frames are i = 0, 1, …; frame i ≥ change_point is at
    (change_point − 1) + rate·(i − change_point + 1). The paper counts from 1: t = change_point.

    Args:
        length: output frames, ≥ 1.
        change_point: int in [1, length]; length means no change.
        rate: float > 0; below 1 slows down, above 1 speeds up.

    >>> speed_times(6, 3, 2.0).tolist()
    [[0.0, 1.0, 2.0, 4.0, 6.0, 8.0]]
    """
    length, change, rate = _speed(length, change_point, rate)
    return _positions(np.arange(length, dtype=np.float64)[None], change, rate)


def _speed(length: int, change_point: ArrayLike, rate: ArrayLike) -> tuple[int, NDArray, NDArray]:
    """The parameters of a change of speed, checked."""
    length = positive("length", length)
    n = max(values.array(*given).size for given in (("change_point", change_point), ("rate", rate)))
    change, rate = per_sample("change_point", change_point, n), per_sample("rate", rate, n, whole=False)
    inside = (change >= 1) & (change <= length)
    require(inside, f"change_point must be in [1, length={length}], got change_point={{}}", change)
    require((rate > 0) & np.isfinite(rate), "rate must be > 0 and finite, got rate={}", rate)
    return length, change, rate


def _positions(i: Any, change: NDArray, rate: NDArray) -> NDArray[np.float64]:
    return np.where(i < change, i, (change - 1) + rate * (i - change + 1))


@_rule
def _paste(counts: Sequence[int], n: int, /, start: ArrayLike, stop: ArrayLike, opacity: ArrayLike) -> Frames:
    length, frames = counts
    start, stop = per_sample("start", start, n), per_sample("stop", stop, n)
    opacity = per_sample("opacity", opacity, n, whole=False)
    require((start >= 0) & (start <= stop), "start must be in [0, stop], got start={}", start)
    require(stop <= length, f"stop must be at most the background's {length} frames, got stop={{}}", stop, TooShort)
    require((opacity >= 0) & (opacity <= 1), "opacity must be in [0, 1], got opacity={}", opacity)
    rule = f"region must have stop - start = {{}} frames, got {frames}"
    require(stop - start <= frames, rule, stop - start, TooShort)
    i = np.arange(length)[None]
    alpha = np.where((i >= start) & (i < stop), opacity, 0.0)
    return Frames(i, np.minimum(np.maximum(i - start, 0), frames - 1), alpha)


@_rule
def _take(counts: Sequence[int], n: int, /, frames: ArrayLike) -> Frames:
    order = values.integers("frames", frames)
    order = order[None] if order.ndim == 1 else order
    if order.ndim != 2 or 0 in order.shape:
        raise ValueError(f"frames must have shape (T',) or (N, T') and not be empty, got {np.shape(frames)}")
    if order.min() < 0 or order.max() >= counts[0]:
        rule = f"frames must be in [0, {counts[0] - 1}], got frames={{}}"
        require(order >= 0, rule, order)
        require(order < counts[0], rule, order, TooShort)
    return Frames(order)


@_rule
def _freeze(counts: Sequence[int], n: int, /, length: int, start: ArrayLike, duration: ArrayLike) -> Frames:
    length = positive("length", length)
    start, duration = per_sample("start", start, n), per_sample("duration", duration, n)
    rule = f"start must be in [0, {counts[0] - 1}], got start={{}}"
    require(start >= 0, rule, start)
    require(start < counts[0], rule, start, TooShort)
    require(duration >= 1, "duration must be ≥ 1, got duration={}", duration)

    def shown(i: Any) -> NDArray:
        return np.minimum(i, np.maximum(start, i - (duration - 1)))

    need = shown(np.int64(length - 1)) + 1  # before so many frames are made
    rule = f"clip must have {{}} frames for this length, start and duration, got {counts[0]}"
    require(need <= counts[0], rule, need, TooShort)
    return Frames(shown(np.arange(length)[None]))


def _samples(plans: Sequence[Plan], parameters: dict[str, ArrayLike]) -> int:
    """The batch size of plans and parameters; a single sample or value serves a whole batch."""
    sizes = {f"plan {k}": plan.shape[0] for k, plan in enumerate(plans, 1)}
    for name, value in parameters.items():
        shape = values.array(name, value).shape
        if len(shape) == (2 if name == "frames" else 1):  # a list of frames is one value
            sizes[name] = shape[0]
    return values.batch(sizes)
