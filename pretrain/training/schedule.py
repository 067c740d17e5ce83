"""What happens when in a run: learning rates, as factors of the base rate, and validations.

Positions are in epochs or in shares of the run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["constant", "step", "cosine", "plateau"]
LEAST_BETWEEN = 20  # steps from one validation to the next, where nobody says how often
FIRST = 1e-5  # factor of the first step of a warm-up [C of TSP]; 0 would waste the step


def factor(
    kind: Kind,
    *,
    epoch: float,
    progress: float,
    warmup: float = 0.0,
    milestones: Sequence[float] = (),
    gamma: float = 0.1,
    plateau: float = 1.0,
) -> float:
    """What to multiply the base learning rate by.

    Args:
        kind: constant; step multiplies by `gamma` at every milestone; cosine falls to 0 at the end of the run; plateau
            is the factor of a `Plateau`.
        epoch: where the step begins, in epochs, ≥ 0; fractions count.
        progress: share of the run that is over, in [0, 1].
        warmup: epochs during which the rate grows linearly, from `FIRST` on.
        milestones: epochs of "step"; the first step that begins at one or after it has the new rate.
        gamma: factor at a milestone.
        plateau: present factor of "plateau".

    >>> [factor("step", epoch=e, progress=0, milestones=(20, 40)) for e in (0, 20, 39.9)]
    [1.0, 0.1, 0.1]
    >>> f"{factor('cosine', epoch=1, progress=0.5, warmup=4):.6f}"
    '0.125004'
    """
    part = min(1.0, epoch / warmup) if warmup > 0 else 1.0
    rise = FIRST * (1 - part) + part
    if kind == "step":
        return rise * gamma ** sum(epoch >= milestone - 1e-9 for milestone in milestones)
    if kind == "cosine":
        return rise * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    if kind == "plateau":
        return rise * plateau
    if kind == "constant":
        return rise
    raise ValueError(f"kind must be constant, step, cosine or plateau, got kind={kind!r}")


def validations_due(step: int, epochs: float, progress: float, every: float | None) -> int:
    """How many validations are due by a step: one every so many epochs; without that 10 in a run, 20 steps apart.

    >>> [validations_due(step, 0.0, step / 50, None) for step in (5, 19, 20, 49, 50)]
    [0, 0, 1, 2, 2]
    """
    if every:
        return int(epochs / every)
    return min(int(10 * min(1.0, progress)), step // LEAST_BETWEEN)


@dataclass
class Plateau:
    """A factor that shrinks when the validation loss stops falling (PAL).

    Attributes:
        patience: validations without a new minimum before the factor is multiplied by `gamma`.
        best: smallest loss so far. waited: validations since. factor: the present one.
    """

    patience: int = 5
    gamma: float = 0.1
    best: float = math.inf
    waited: int = 0
    factor: float = 1.0

    def update(self, loss: float) -> None:
        """Take note of a validation loss."""
        if loss < self.best:
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.factor, self.waited = self.factor * self.gamma, 0
