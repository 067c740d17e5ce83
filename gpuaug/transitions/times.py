"""The kinds that change the time of one clip: which of its frames an output frame shows. NumPy only.

The second clip is not shown. Legend: N samples, T output frames.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FAMILY = "time"


class Clock(NamedTuple):
    """What such a kind may depend on: output frames i (1, T), progress p (N, T), and of every sample the rest (N, 1).

    p is 0 before `start`, and 1 from frame start + duration − 1 on.
    """

    i: NDArray[np.int64]
    p: NDArray[np.float64]
    start: NDArray[np.int64]
    duration: NDArray[np.int64]
    skip: NDArray[np.int64]
    rate: NDArray[np.float64]

    @property
    def lasts(self) -> NDArray[np.bool_]:
        """(N, T): the `duration` frames from `start` on."""
        return (self.i >= self.start) & (self.i < self.start + self.duration)


def _jump(c: Clock) -> NDArray:
    return c.i + c.skip * (c.i >= c.start)


def _freeze(c: Clock) -> NDArray:
    return np.minimum(c.i, np.maximum(c.start, c.i - (c.duration - 1)))


def _speed_ramp(c: Clock) -> NDArray:
    """Steps of 1 that become steps of `rate`; rounded, so that halves are halves on every machine."""
    step = 1 + (c.rate - 1) * c.p
    step[:, 0] = 0
    with np.errstate(over="ignore"):  # beyond the end of any clip
        return np.round(np.cumsum(step, 1), 9)


def _reverse(c: Clock) -> NDArray:
    return np.where(c.lasts, 2 * c.start + c.duration - 1 - c.i, c.i)


TIMES: dict[str, Callable[[Clock], NDArray]] = {  # frames of the first clip, (N, T); positions where they are floats
    "jump": _jump,
    "freeze": _freeze,
    "speed_ramp": _speed_ramp,
    "reverse": _reverse,
}
JUMP, RAMP = "jump", "speed_ramp"
SUDDEN = ("cut", JUMP)  # kinds that have no frame in their middle


def shown(kinds: NDArray[np.str_], clock: Clock) -> tuple[NDArray, NDArray[np.bool_]]:
    """(N or 1, T): positions in the first clip, and which frames are in the middle; of other kinds i, and none."""
    if not np.isin(kinds, list(TIMES)).any():
        return clock.i, np.zeros((1, 1), bool)
    position = np.broadcast_to(clock.i, clock.p.shape).astype(np.float64)
    middle = np.zeros(clock.p.shape, bool)
    for name in set(kinds) & set(TIMES):
        rows = kinds == name
        own = Clock(clock.i, *(column[rows] for column in clock[1:]))
        position[rows] = TIMES[name](own)
        if name != JUMP:
            middle[rows] = (own.p > 0) & (own.p < 1) if name == RAMP else own.lasts
    return position, middle
