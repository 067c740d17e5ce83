"""Edit lists: which shots a sample shows, how they follow each other, and what its frames then are, read from its plan.

Used by the task; imports gpuaug. Legend: N samples, T frames, S shots of a sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import gpuaug

from ...shots.boundaries import FAMILIES

CUT, JUMP, DISSOLVE = (FAMILIES.index(name) for name in ("cut", "jump", "dissolve"))
QUANTILES = (
    (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1),
    (2, 4, 8, 14, 22, 36, 60),
)  # of ClipShots' gradual transitions, frames
LEAST_JUMP = 3.0  # source frames more than usual between two frames of a clip: time was left out


@dataclass(frozen=True)
class Timeline:
    """Edit lists of N samples; unused shots begin at the end.

    Attributes:
        begin: int64 (N, S), the frame at which a shot begins to show; of the first one 0.
        mixed: int64 (N, S), how long it then takes to be there alone, 0: at once.
        jump: bool (N, S), whether a shot goes on with the clip of the one before, some time later.
    """

    begin: NDArray[np.int64]
    mixed: NDArray[np.int64]
    jump: NDArray[np.bool_]

    @property
    def used(self) -> NDArray[np.bool_]:
        return (self.begin < self.begin.max()) | (np.arange(self.begin.shape[1]) == 0)


def draw(
    rng: np.random.Generator, n: int, *, length: int, shots: int, dense: float, gradual: float, jumps: float
) -> Timeline:
    """Edit lists of `length` frames.

    Args:
        shots: the most in a sample. dense: probability of a run of short shots; otherwise one of one to three.
        gradual, jumps: probabilities that a boundary is a transition, or a jump; else a cut.
    """
    begin = np.full((n, shots), length)
    mixed, jump = np.zeros((n, shots), np.int64), np.zeros((n, shots), bool)
    begin[:, 0] = 0
    for i in range(n):
        packed = rng.random() < dense
        count = rng.integers(min(3, shots), shots + 1) if packed else rng.integers(1, min(3, shots) + 1)
        mean = length / (count + 0.5)
        at = int(rng.integers(1, max(2, int(mean))))
        for s in range(1, count):
            kind = rng.random()
            if kind < gradual:
                wanted = int(np.interp(rng.random(), *QUANTILES)) // 2 * 2  # crossfades have even lengths
                mixed[i, s] = max(2, min(wanted, (length - at) // 2 * 2))
            jump[i, s] = gradual <= kind < gradual + jumps
            if at + mixed[i, s] >= length - 1:
                mixed[i, s], jump[i, s] = 0, False
                break
            begin[i, s] = at
            at += int(mixed[i, s]) + max(2, round(float(np.exp(rng.normal(np.log(max(3.0, 0.5 * mean)), 0.7)))))
    return Timeline(begin, mixed, jump)


def compose(
    rng: np.random.Generator,
    timeline: Timeline,
    slot: NDArray[np.int64],
    frames: NDArray[np.int64],
    *,
    length: int,
) -> gpuaug.Plan:
    """The plan that shows the clips `slot` (N, S) one after another.

    Args:
        frames: (N, S), of the clips.
    """
    n, shots = slot.shape
    end = np.concatenate([timeline.begin[:, 1:] + timeline.mixed[:, 1:], np.full((n, 1), length)], 1)
    span = np.maximum(1, np.minimum(end, length) - timeline.begin)  # frames that a shot shows
    step = np.exp(rng.normal(0, 0.35, (n, shots))).clip(0.4, 2.5)
    last = frames - 1.0
    step = np.minimum(step, last / span)
    start = rng.random((n, shots)) * np.maximum(0.0, last - step * span)
    plan = gpuaug.Plan.take(slot[:, 0], _times(start[:, 0], step[:, 0], last[:, 0], length))
    for s in range(1, shots):
        going = timeline.jump[:, s]
        if going.any():  # the same clip, further on; where it ends too early, from its beginning
            now = start[:, s - 1] + step[:, s - 1] * span[:, s - 1]
            step[:, s] = np.where(going, np.minimum(step[:, s - 1], last[:, s] / (2.0 * span[:, s])), step[:, s])
            room = last[:, s] - step[:, s] * span[:, s] - now
            further = now + np.minimum(np.maximum(room, 0), rng.uniform(8, 48, n))
            start[:, s] = np.where(going, np.where(room >= 8, further, 0.0), start[:, s])
        second = gpuaug.Plan.take(slot[:, s], _times(start[:, s], step[:, s], last[:, s], length))
        half = timeline.mixed[:, s] // 2
        center = np.minimum(timeline.begin[:, s] + half, length)
        plan = gpuaug.edits.crossfade(plan, second, length=length, center=center, overlap=2 * half)
    return plan


def _times(start: NDArray, step: NDArray, last: NDArray, length: int) -> NDArray[np.float64]:
    return np.clip(start[:, None] + step[:, None] * np.arange(length), 0, last[:, None])


def targets(plan: gpuaug.Plan) -> dict[str, NDArray]:
    """What the frames of a plan are.

    Returns:
        new: float32 (N, T), 1 at the first frame of a new shot: another clip is the dominant one.
        inside: float32 (N, T), 1 in the middle of a gradual transition: two clips at once, on two frames or more.
        jump: float32 (N, T), 1 at the first frame after time was left out, or turned back, within one clip.
        family: int64 (N, T), place in FAMILIES of what a frame belongs to, −1: nothing.

    >>> taken = [gpuaug.Plan.take(clip, range(8)) for clip in (0, 1)]
    >>> found = targets(gpuaug.edits.crossfade(*taken, length=8, center=4, overlap=4))
    >>> found["new"][0].tolist(), found["inside"][0].tolist()
    ([0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    """
    clip, time = plan.source()
    n, t = clip.shape
    shown = plan.weight > 0
    mixed = (shown & (plan.clip != plan.clip[:, :, :1])).any(2)
    alone = mixed & ~_beside(mixed)
    inside = mixed & ~alone  # a single mixed frame belongs to a cut
    new = np.zeros((n, t), bool)
    new[:, 1:] = clip[:, 1:] != clip[:, :-1]
    step = np.zeros((n, t))
    step[:, 1:] = time[:, 1:] - time[:, :-1]
    usual = np.zeros((n, t))
    usual[:, 2:] = step[:, 1:-1]
    jump = ~new & ((np.abs(step - usual) > LEAST_JUMP) | (step < -LEAST_JUMP))
    jump[:, 2:] &= ~(new[:, 1:-1] | jump[:, 1:-1])  # what follows a boundary has nothing usual
    jump[:, :2] = False
    family = np.where(inside, DISSOLVE, np.where(new, CUT, np.where(jump, JUMP, -1)))
    return {
        "new": new.astype(np.float32),
        "inside": inside.astype(np.float32),
        "jump": jump.astype(np.float32),
        "family": family.astype(np.int64),
    }


def _beside(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    found = np.zeros_like(mask)
    found[:, 1:] |= mask[:, :-1]
    found[:, :-1] |= mask[:, 1:]
    return found


def converted(rng: np.random.Generator, plan: gpuaug.Plan, *, length: int, share: float) -> gpuaug.Plan:
    """A window of `length` frames of a longer plan; of a `share` of the samples at another rate, by frames that are
    repeated or left out (never at a boundary alone: 24 → 30, 25 → 30, 30 → 25, 15 → 30)."""
    n, total, _ = plan.shape
    rate = np.where(rng.random(n) < share, rng.choice([24 / 30, 25 / 30, 30 / 25, 0.5], n), 1.0)
    reach = np.ceil(rate * length).astype(int)
    begin = (rng.random(n) * (total - reach)).astype(int)
    order = begin[:, None] + np.floor(rate[:, None] * np.arange(length) + rng.random((n, 1)) * (rate != 1)[:, None])
    return plan.at(np.minimum(order, total - 1))
