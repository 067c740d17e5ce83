"""What a batch is, and what says what it shows.

Used by loader and its users; imports plan.
Legend: N samples, C channels, T frames, Y X picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..plan import Plan

PlanFunction = Callable[..., "tuple[Plan, dict[str, NDArray[Any]]] | Plan"]
"""What batches show: (generator, bank, number of samples) → a plan, and arrays by name, on the device later.

Where a loader does not shuffle, it also gives `first=`, int64: the slots of the windows that the samples are to be of.
"""


@dataclass
class Batch:
    """One batch. `clips` is overwritten by the next one."""

    clips: torch.Tensor  # (N, C, T, Y, X), normalised
    target: dict[str, torch.Tensor]
    plan: Plan
    wait_seconds: float  # time spent waiting for decoded windows
    video: NDArray[np.int64] | None = None  # (N,) of each sample, where the loader does not shuffle
    segment: NDArray[np.int64] | None = None  # (N,) likewise, its number in the data set
