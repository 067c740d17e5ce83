"""Plans from the bank's table: a user's plan function, with a generator of its own for every step.

Used by the supplies and loader; imports bank, plan, batch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..bank import ClipBank
from ..plan import Plan
from .batch import PlanFunction
from .checks import planned


class Draw:
    """Step by step: a generator, which later draws the views, a plan, and its targets.

    Args:
        function: what batches show. bank: what it draws from.
        batch: samples. seed, rank: of the generators.
        windows, samples_per_visit: of those that `first` names, so many make so many samples.
        rows: of the plan per sample.
    """

    def __init__(
        self,
        function: PlanFunction,
        bank: ClipBank,
        *,
        batch: int,
        seed: int,
        rank: int,
        windows: int,
        samples_per_visit: int,
        rows: int,
    ) -> None:
        self._function, self._bank, self._batch, self._seed, self._rank = function, bank, batch, seed, rank
        self._windows, self._samples, self._rows = windows, samples_per_visit, rows

    def __call__(
        self, step: int, first: NDArray[np.int64] | None = None
    ) -> tuple[np.random.Generator, Plan, dict[str, NDArray]]:
        """Of step `step`; of the windows in the slots `first`, where they are given.

        Errors: gpuaug.Starved where the bank holds too little; ValueError where what comes back cannot be shown.
        """
        rng = np.random.default_rng([self._seed, self._rank, step])
        n = self._batch if first is None else len(first) // self._windows * self._samples
        made = self._function(rng, self._bank, n, **({} if first is None else {"first": first}))
        return rng, *planned(made, self._bank, n, rows=self._rows, chosen=first is not None)

    def views(self, step: int) -> np.random.Generator:
        """A generator for the views of a step whose plan was drawn long before."""
        return np.random.default_rng([self._seed, self._rank, step, 2])
