"""Boundaries between shots, and the rule that makes them of what the network says of every frame.

Used by detect, the task, evaluation and reports; NumPy only. Legend: T frames, M marks of a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FAMILIES = ("cut", "jump", "dissolve", "fade", "wipe", "push", "zoom", "shape")
INSTANT = ("cut", "jump")


class Boundary(NamedTuple):
    """Where one shot becomes another.

    Attributes:
        first, last: frames from 0: of a cut or jump twice the first new one; else the first and last mixed frame.
        kind: of FAMILIES; all but "cut" and "jump" (time is left out within one shot) are gradual.
        score: in [0, 1].
    """

    first: int
    last: int
    kind: str
    score: float = 1.0


@dataclass(frozen=True)
class Thresholds:
    """Least probabilities in [0, 1]: of a new shot for cuts, of its presence in a gradual transition, of the frames of
    such a one, and of a jump."""

    cut: float = 0.5
    gradual: float = 0.3
    inside: float = 0.5
    jump: float = 0.5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {name}={value}")


CLOSED = 1  # frames of a hole in a gradual transition that is closed
LEAST = 2  # frames of a gradual transition; a single mixed frame belongs to a cut
NEAR = 2  # frames around a boundary in which there is no other


def boundaries(
    mark_TM: NDArray[np.floating],
    family_TK: NDArray[np.floating],
    families: Sequence[str] = FAMILIES,
    thresholds: Thresholds | None = None,
) -> list[Boundary]:
    """The boundaries of a video, in order of time.

    The rule:
    1. A gradual transition is a longest run of frames inside one with a probability of `inside` or more, holes of one
       frame closed, of at least two frames, in which (or one frame beside which) a new shot has a probability of
       `gradual` or more. Its kind is the gradual family with the greatest mean over the run.
    2. A cut is a frame whose probability of a new shot is `cut` or more and the greatest within 2 frames, the earliest
       of equal ones; not within 2 frames of a gradual transition. A jump likewise. Where both are within 2 frames, the
       more probable one stays, of equal ones the cut.

    Args:
        mark_TM: probabilities of (new shot, inside a transition, jump), (T, 3).
        family_TK: probabilities or logits of the families, (T, len(families)).

    >>> mark = np.zeros((12, 3))
    >>> mark[3, 0], mark[6:9, 1], mark[7, 0] = 0.9, 0.8, 0.6
    >>> family = np.tile(np.eye(8)[2], (12, 1))
    >>> [(b.first, b.last, b.kind) for b in boundaries(mark, family)]
    [(3, 3, 'cut'), (6, 8, 'dissolve')]
    """
    least = thresholds or Thresholds()
    mark_TM, count = np.asarray(mark_TM, float), len(mark_TM)
    found: list[Boundary] = []
    taken = np.zeros(count, bool)
    gradual = [k for k, name in enumerate(families) if name not in INSTANT]
    for first, last in runs(mark_TM[:, 1] >= least.inside, closed=CLOSED):
        new = mark_TM[max(0, first - 1) : last + 2, 0].max()
        if last - first + 1 < LEAST or new < least.gradual:
            continue
        kind = gradual[int(np.argmax(np.asarray(family_TK)[first : last + 1, gradual].mean(0)))] if gradual else 0
        score = float(np.clip((mark_TM[first : last + 1, 1].mean() + new) / 2, 0, 1))
        found.append(Boundary(first, last, families[kind], score))
        taken[max(0, first - NEAR) : last + NEAR + 1] = True
    peaks = [
        (-mark_TM[t, column], order, t, name)
        for order, (column, name, bound) in enumerate(((0, "cut", least.cut), (2, "jump", least.jump)))
        for t in _peaks(mark_TM[:, column], bound)
    ]
    for value, _, t, name in sorted(peaks):
        if not taken[t]:
            found.append(Boundary(t, t, name, float(min(1.0, -value))))
            taken[max(0, t - NEAR) : t + NEAR + 1] = True
    return sorted(found)


def runs(mask_T: NDArray[np.bool_], *, closed: int = 0) -> list[tuple[int, int]]:
    """First and last frame of every run of true values; holes of up to `closed` frames are filled.

    >>> runs(np.array([0, 1, 1, 0, 1, 0, 0, 1], bool), closed=1)
    [(1, 4), (7, 7)]
    """
    edge = np.diff(np.concatenate([[0], np.asarray(mask_T, np.int8), [0]]))
    found: list[tuple[int, int]] = []
    for first, last in zip(np.flatnonzero(edge == 1).tolist(), (np.flatnonzero(edge == -1) - 1).tolist()):
        if found and first - found[-1][1] - 1 <= closed:
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return found


def _peaks(value_T: NDArray[np.floating], least: float) -> list[int]:
    return [
        int(t)
        for t in np.flatnonzero(value_T >= max(least, 1e-9))
        if value_T[t] >= value_T[t : t + NEAR + 1].max()
        and (t == 0 or value_T[t] > value_T[max(0, t - NEAR) : t].max())
    ]
