"""Transitions of mixed kinds with torch and kornia: by name, functions without arguments.

Clips are uint8 (N, T, C, H, W); each function returns a new uint8 array. What stands here are the fastest expressions
that we know: samples of one kind together, frames that are pure not mixed. All have the same p, one value per frame.
Legend: N samples, T frames, H W picture.
"""

from __future__ import annotations

from collections.abc import Callable

import kornia
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..common import Candidates

KINDS = ("wipe", "circle_open", "dissolve", "push_left", "fade_black")
Mix = Callable[[Tensor, Tensor, Tensor], Tensor]  # of float clips, by the second one's weight


def transitions(
    a: Tensor, b: Tensor, kinds: NDArray, angle: NDArray, center: NDArray, softness: NDArray, p: NDArray, compiled: bool
) -> Candidates:
    """Candidates for samples of `kinds` (N,); angle (N,) in degrees, center (N, 2), softness (N,), progress p (T,)."""
    size = (a.shape[3], a.shape[4])
    rows = {kind: torch.from_numpy(np.flatnonzero(kinds == kind)) for kind in KINDS}
    part = torch.from_numpy(p).float()
    mixed = torch.from_numpy(np.flatnonzero((p > 0) & (p < 1)))
    pure = torch.from_numpy(np.flatnonzero(p >= 1))
    turn, place, soft = (torch.from_numpy(v).float() for v in (np.radians(angle), center, softness))

    def mask(kind: str) -> Tensor:
        """(N', T', 1, H, W): the weights of the second clip in the frames between."""
        own = rows[kind]
        y = (torch.arange(size[0]) + 0.5).view(1, -1, 1) - place[own, 0].view(-1, 1, 1) * size[0]
        x = (torch.arange(size[1]) + 0.5).view(1, 1, -1) - place[own, 1].view(-1, 1, 1) * size[1]
        if kind == "wipe":
            cos, sin = (f(turn[own]).view(-1, 1, 1) for f in (torch.cos, torch.sin))
            field = cos * x + sin * y
        else:
            field = torch.hypot(y, x)
        low, high = field.amin((1, 2), keepdim=True), field.amax((1, 2), keepdim=True)
        s = ((field - low) / (high - low))[:, None, None]
        width, progress = soft[own].view(-1, 1, 1, 1, 1), part[mixed].view(1, -1, 1, 1, 1)
        return torch.where(width > 0, ((progress * (1 + width) - s) / width).clamp(0, 1), (progress > s).float())

    def by_kind(mix: Mix) -> Callable[[], Tensor]:
        def run() -> Tensor:
            out = torch.empty_like(a)
            for kind, own in rows.items():
                first, second = a[own[:, None], mixed], b[own[:, None], mixed]
                progress = part[mixed].view(1, -1, 1, 1, 1)
                if kind == "push_left":
                    shown = torch.empty_like(first)
                    for j, step in enumerate((part[mixed] * size[1]).round().long().tolist()):
                        shown[:, j, ..., : size[1] - step] = first[:, j, ..., step:]
                        shown[:, j, ..., size[1] - step :] = second[:, j, ..., :step]
                elif kind == "fade_black":
                    value = first * (1 - 2 * progress).clamp(min=0) + second * (2 * progress - 1).clamp(min=0)
                    shown = value.add_(0.5).to(torch.uint8)
                else:
                    weight = progress if kind == "dissolve" else mask(kind)
                    shown = mix(first.float(), second.float(), weight).add_(0.5).to(torch.uint8)
                out[own[:, None], mixed] = shown
            out[:, pure] = b[:, pure]
            return out

        return run

    eager = by_kind(torch.lerp)
    found: Candidates = {"torch": eager, "kornia": by_kind(_added)}
    return {**found, "torch compiled": torch.compile(eager)} if compiled else found


def _added(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    shape = first.shape
    weight = weight.expand(shape)
    one, before, other, after = (v.reshape(-1, *shape[2:]) for v in (first, 1 - weight, second, weight))
    return kornia.enhance.add_weighted(one, before, other, after, 0.0).view(shape)
