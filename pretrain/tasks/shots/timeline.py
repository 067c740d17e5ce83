"""Edit lists: which shots a sample shows, how they follow each other, and what its frames then are, read from its plan.

Used by the task; imports gpuaug. Legend: N samples, T frames, S shots of a sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gpuaug
from gpuaug import transitions

from ...shots.boundaries import FAMILIES, runs

# Families of the package → what the network tells apart.
FAMILY = {name: name for name in ("cut", "jump", "dissolve", "fade", "wipe", "push", "zoom")}
FAMILY |= dict.fromkeys(("iris", "clock", "blinds", "blocks", "matte"), "shape")
FAMILY["time"] = "jump"  # jumps are made here, between shots of one clip; freezes and changes of speed are no boundary
FAMILY |= dict.fromkeys(("slide", "whip"), "push") | dict.fromkeys(("squeeze", "split"), "zoom")
# Of gradual transitions: what people use most is half of them; all families of the package are seen.
WEIGHTS = {"dissolve": 0.3, "fade": 0.2}
_OTHERS = [name for name in transitions.FAMILIES if name not in {"cut", "time", *WEIGHTS}]
WEIGHTS |= {name: 0.5 / len(_OTHERS) for name in _OTHERS}
DURATIONS = ((0.0, 4), (0.25, 8), (0.5, 14), (0.75, 23), (0.95, 36), (1.0, 60))  # of ClipShots' gradual ones, test
HELD = 0.4  # of the fades: share of those that stay in the colour for a while
FURTHER = (6, 90)  # frames of the clip that a jump leaves out
FAST = (1.5, 5.0)  # how much faster things move in some shots


@dataclass(frozen=True)
class Timeline:
    """Edit lists of N samples; unused shots begin at the end.

    Attributes:
        begin: int64 (N, S), the frame at which a shot begins to show; of the first one 0.
        mixed: int64 (N, S), how many frames later it is there alone, 0: at once, a cut or a jump.
        held: int64 (N, S), of these, how many show nothing but a colour; 0 for all but some fades.
        jump: bool (N, S), whether a shot goes on with the clip of the one before, some time later.
        length: frames.
        looks: parameters of `gpuaug.transitions.transition`, (N, S) or (N, S, …).
    """

    begin: NDArray[np.int64]
    mixed: NDArray[np.int64]
    held: NDArray[np.int64]
    jump: NDArray[np.bool_]
    length: int
    looks: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def used(self) -> NDArray[np.bool_]:
        return self.begin < self.length


def draw(
    rng: np.random.Generator,
    n: int,
    *,
    length: int,
    shots: int,
    dense: float,
    gradual: float,
    jumps: float,
    weights: Mapping[str, float] = WEIGHTS,
) -> Timeline:
    """Edit lists of `length` frames.

    Args:
        shots: the most in a sample. dense: probability of a run of short shots; otherwise one of one to three.
        gradual, jumps: probabilities that a boundary is a transition, or a jump; else a cut.
        weights: of the families or kinds of gradual transitions.
    """
    begin = np.full((n, shots), length)
    mixed, held = np.zeros((2, n, shots), np.int64)
    jump = np.zeros((n, shots), bool)
    begin[:, 0] = 0
    drawn = transitions.draw(rng, n * shots, length=length, weights=weights, durations=DURATIONS)
    looks = {name: np.array(value).reshape(n, shots, *np.shape(value)[1:]) for name, value in drawn.items()}
    for i in range(n):
        packed = rng.random() < dense
        count = rng.integers(min(3, shots), shots + 1) if packed else rng.integers(1, min(3, shots) + 1)
        mean = length / (count + 0.5)
        at = int(rng.integers(1, max(2, int(mean))))
        for s in range(1, count):
            kind = rng.random()
            if kind < gradual:
                mixed[i, s] = min(looks["duration"][i, s], length - at)
                if transitions.KINDS[looks["kind"][i, s]].family == "fade" and rng.random() < HELD:
                    held[i, s] = min(rng.integers(1, 25), length - at - mixed[i, s])
                    mixed[i, s] += held[i, s]
            jump[i, s] = gradual <= kind < gradual + jumps
            if at + mixed[i, s] >= length - 1 or (0 < mixed[i, s] - held[i, s] < 2):
                mixed[i, s], held[i, s], jump[i, s] = 0, 0, False
                break
            begin[i, s] = at
            at += int(mixed[i, s]) + max(2, round(float(np.exp(rng.normal(np.log(max(3.0, 0.5 * mean)), 0.7)))))
    looks["kind"] = np.where(mixed > 0, looks["kind"], "cut")
    return Timeline(begin, mixed, held, jump, length, looks)


def compose(
    rng: np.random.Generator, timeline: Timeline, frames: NDArray[np.int64], *, fast: float = 0.0
) -> gpuaug.Plan:
    """The plan that shows the shots one after another; its clips are the shots' numbers in their sample.

    A clip that is shorter than its shot goes back and forth, or, where it jumps, is slowed down.

    Args:
        frames: (N, S), of the clips of the shots.
        fast: share of shots that are shown `FAST` times faster.
    """
    (n, shots), length = frames.shape, timeline.length
    end = np.concatenate([timeline.begin[:, 1:] + timeline.mixed[:, 1:], np.full((n, 1), length)], 1)
    span = np.maximum(1, np.minimum(end, length) - timeline.begin)  # frames that a shot shows
    step = np.exp(rng.normal(0, 0.35, (n, shots))).clip(0.4, 2.5)
    step *= np.where(
        rng.random((n, shots)) < fast, np.exp(rng.uniform(np.log(FAST[0]), np.log(FAST[1]), (n, shots))), 1
    )
    last = frames - 1.0
    jumps = timeline.jump | np.pad(timeline.jump, ((0, 0), (0, 1)))[:, 1:]  # to it, or from it
    step = np.where(jumps, np.minimum(step, last / span), step)
    start = rng.random((n, shots)) * np.where(jumps, np.maximum(0.0, last - step * span), last)
    for s in range(1, shots):
        going = timeline.jump[:, s]
        if going.any():  # the same clip, further on; where it ends too early, from its beginning
            now = start[:, s - 1] + step[:, s - 1] * span[:, s - 1]
            step[:, s] = np.where(going, np.minimum(step[:, s - 1], last[:, s] / (2.0 * span[:, s])), step[:, s])
            room = last[:, s] - step[:, s] * span[:, s] - now
            wanted = np.exp(rng.uniform(float(np.log(FURTHER[0])), float(np.log(FURTHER[1])), n))
            further = now + np.minimum(np.maximum(room, 0), wanted)
            start[:, s] = np.where(going, np.where(room >= FURTHER[0], further, 0.0), start[:, s])
    time = start[..., None] + step[..., None] * np.arange(length)
    turned = last[..., None] - np.abs(time % (2 * last[..., None]) - last[..., None])  # there and back
    time = np.where(jumps[..., None], np.clip(time, 0, last[..., None]), turned)
    return gpuaug.Plan.concat([_sample(timeline, i, time[i]) for i in range(n)])


def _sample(timeline: Timeline, i: int, time_ST: NDArray[np.float64]) -> gpuaug.Plan:
    """The plan of sample `i`. What lies between two gradual transitions is one plan, cuts and jumps included."""
    length = time_ST.shape[1]
    groups: list[list[int]] = []
    for s in np.flatnonzero(timeline.used[i]).tolist():
        if timeline.mixed[i, s] or not groups:
            groups.append([])
        groups[-1].append(s)
    plan = None
    for group in groups:
        opening, frame = int(timeline.begin[i, group[0]]), np.arange(length)
        since = timeline.begin[i, group] - opening  # frames before each of its shots
        place = np.searchsorted(since, frame, "right") - 1
        clip = np.array(group)[place]
        second = gpuaug.Plan.take(clip[None], time_ST[clip, frame - since[place]][None])
        plan = second if plan is None else _joined(plan, second, timeline, i, group[0])
    assert plan is not None
    return plan


def _joined(first: gpuaug.Plan, second: gpuaug.Plan, timeline: Timeline, i: int, s: int) -> gpuaug.Plan:
    """`first`, then the shot `s` of sample `i`, maybe by a colour that stays for a while."""
    length = timeline.length
    begin, mixed, held = (int(each[i, s]) for each in (timeline.begin, timeline.mixed, timeline.held))
    looks = {name: value[i, s] for name, value in timeline.looks.items() if name not in ("start", "duration")}
    if not held:
        return transitions.transition(first, second, length=length, start=begin, duration=mixed, **looks)
    out = max(1, (mixed - held) // 2)  # of these frames the last one is the colour alone, as are those held
    color = gpuaug.Plan.color(looks["color"], frames=length)
    kind = "dissolve" if out > 1 else "cut"
    plan = transitions.transition(
        first, color, kind, length=length, start=begin, duration=out if out > 1 else 0, easing=looks["easing"]
    )
    begin, mixed = begin + out + held, mixed - out - held
    return transitions.transition(
        plan, second, "dissolve", length=length, start=begin, duration=mixed, easing=looks["easing"]
    )


def targets(plan: gpuaug.Plan, jump: NDArray[np.bool_]) -> dict[str, NDArray]:
    """What the frames of a plan of `compose` are, whatever was done to it since, by the marks of its transitions.

    Args:
        jump: (N, S), as in `Timeline`.

    Returns:
        new: float32 (N, T), 1 at the first frame of a new shot, and in the middle of a gradual transition.
        inside: float32 (N, T), 1 in the middle of a gradual transition: neither clip alone, on two frames or more.
        jump: float32 (N, T), 1 at the first frame after time was left out, or turned back, within one clip.
        known: float32 (N, T), 0 in transitions that go on beyond the ends, of which the middle is not seen.
        family: int64 (N, T), place in FAMILIES of what a frame belongs to, −1: nothing.

    >>> taken = [gpuaug.Plan.take(clip, range(8)) for clip in (0, 1)]
    >>> plan = transitions.transition(*taken, "dissolve", length=8, start=2, duration=4)
    >>> found = targets(plan, np.zeros((1, 2), bool))
    >>> found["new"][0].tolist(), found["inside"][0].tolist()
    ([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    """
    n, t = plan.shape[:2]
    kind = plan.marks.kind if plan.marks else np.full((n, t), -1)
    clip = plan.clip[:, :, 0]
    color = (kind < 0) & (clip < 0)
    mixed = (kind >= 0) | color
    inside = mixed.copy()
    names = [transitions.KINDS[k].family if k in transitions.KINDS else k for k in transitions.LABELS]
    place = np.array([FAMILIES.index(FAMILY[name]) for name in names])
    family = np.where(color, FAMILIES.index("fade"), np.where(kind >= 0, place[kind], -1))
    new, known = np.zeros((n, t), bool), np.ones((n, t), bool)
    for i in range(n):
        for first, last in runs(mixed[i]):
            if color[i, first : last + 1].any():
                family[i, first : last + 1] = FAMILIES.index("fade")
            if first == 0 or last == t - 1:
                known[i, first : last + 1] = False
            elif last == first:  # a single mixed frame belongs to a cut
                inside[i, first], new[i, first + 1] = False, True
                family[i, first : first + 2] = -1, FAMILIES.index("cut")
            else:
                new[i, (first + last) // 2] = True
    sudden = np.zeros((n, t), bool)
    sudden[:, 1:] = (clip[:, 1:] != clip[:, :-1]) & ~(mixed[:, 1:] | mixed[:, :-1])
    same = jump[np.arange(n)[:, None], np.maximum(clip, 0)]
    jumped, new = sudden & same, new | (sudden & ~same)
    family = np.where(jumped, FAMILIES.index("jump"), np.where(sudden & ~same, FAMILIES.index("cut"), family))
    marks = {"new": new, "inside": inside, "jump": jumped, "known": known}
    return {**{name: value.astype(np.float32) for name, value in marks.items()}, "family": family.astype(np.int64)}


def converted(rng: np.random.Generator, plan: gpuaug.Plan, *, length: int, share: float) -> gpuaug.Plan:
    """A window of `length` frames of a longer plan; of a `share` of the samples at another rate, by frames that are
    repeated or left out (24 → 30, 25 → 30, 30 → 25, 15 → 30), and of as many with a picture that stands for a while,
    or with single frames left out. None of these is a jump."""
    n, total, _ = plan.shape
    rate = np.where(rng.random(n) < share, rng.choice([24 / 30, 25 / 30, 30 / 25, 0.5], n), 1.0)
    reach = np.ceil(rate * length).astype(int)
    begin = (rng.random(n) * (total - reach)).astype(int)
    order = begin[:, None] + np.floor(rate[:, None] * np.arange(length) + rng.random((n, 1)) * (rate != 1)[:, None])
    for i in np.flatnonzero(rng.random(n) < share):
        if rng.random() < 0.5:  # still for 3 to 40 frames, then on from there
            at, long = int(rng.integers(0, length)), int(rng.integers(3, 41))
            order[i, at:] = np.concatenate([np.repeat(order[i, at], long), order[i, at + 1 :]])[: length - at]
        else:
            lost = rng.random(length) < rng.uniform(0.01, 0.08)
            order[i] += np.cumsum(lost)
    return plan.at(np.minimum(order, total - 1))
