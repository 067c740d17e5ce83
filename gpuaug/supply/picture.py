"""The pixels of a batch: a view of every sample, one render, blur.

Used by loader; imports augment, supply, render.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..plan import Plan
from ..render import render
from .augment import Augment, gaussian_blur
from .supply import Shown


class Pictures:
    """Renders batches into one tensor, again and again.

    Args:
        size: Y = X in pixels. mean, std: on pixels in 0…1. dtype: of the clips. augment: which views are drawn.
    """

    def __init__(
        self,
        *,
        size: int,
        mean: float | Sequence[float],
        std: float | Sequence[float],
        dtype: torch.dtype,
        augment: Augment,
    ) -> None:
        self._size, self._mean, self._std, self._dtype, self._augment = size, mean, std, dtype, augment
        self._out: torch.Tensor | None = None

    def render(self, shown: Shown) -> torch.Tensor:
        """Clips (N, C, T, Y, X); the next call overwrites them."""
        rng, plan, pixels = shown.rng, shown.packed, shown.pixels
        n = plan.shape[0]
        view = self._augment.view(rng, n)
        matrix = self._augment.matrix(rng, n)
        sigma = self._augment.sigma(rng, n, self._size)
        height, width = pixels.info["height"][plan.clip], pixels.info["width"][plan.clip]
        if (height == height[:, :1, :1]).all() and (width == width[:, :1, :1]).all():
            height, width = height[:, 0, 0], width[:, 0, 0]
        banks, clip = pixels.sources(plan.clip)
        with pixels.reading(plan.clip):
            self._out = render(
                banks if len(banks) > 1 else banks[0],
                plan if len(banks) == 1 else Plan(clip, plan.time, plan.weight),
                size=(self._size, self._size),
                box=view.box(height, width),
                color=matrix,
                mean=self._mean,
                std=self._std,
                dtype=self._dtype,
                out=self._out if self._out is not None and self._out.shape[:3:2] == plan.shape[:2] else None,
            )
        return self._out if sigma is None else gaussian_blur(self._out, sigma)


def to_device(value: NDArray[Any], device: torch.device) -> torch.Tensor:
    """An array as a tensor there; on a GPU without waiting."""
    tensor = torch.from_numpy(np.ascontiguousarray(value))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
