"""What a batch is, and what says what it shows.

Used by loader and its users; imports bank and plan.
Legend: N samples, C channels, T frames, Y X picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ..bank import ClipBank
from ..plan import Plan


class PlanFunction(Protocol):
    """What batches show.

    Args: a generator, the bank, the number of samples. Where a loader does not shuffle also `first`, int64: the slots
    of the windows that the samples are of, in order.

    Returns: a plan, and a dictionary of arrays that go to the device as tensors (a plan alone is as one with none).
    """

    def __call__(
        self, rng: np.random.Generator, bank: ClipBank, n: int, /, **first: Any
    ) -> tuple[Plan, dict[str, NDArray[Any]]] | Plan: ...


@dataclass
class Batch:
    """One batch. `clips` is overwritten by the next one."""

    clips: torch.Tensor  # (N, C, T, Y, X), normalised
    target: dict[str, torch.Tensor]
    plan: Plan
    wait_seconds: float  # time spent waiting for decoded windows
    video: NDArray[np.int64] | None = None  # (N,) of each sample, where the loader does not shuffle
    segment: NDArray[np.int64] | None = None  # (N,) likewise, its number in the data set
