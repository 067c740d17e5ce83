"""Modules that edit every clip of a batch with another one: transitions, cross-fades, mixes, pastes.

Legend: N samples, T frames.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike

from .. import edits, transitions
from ..plan import Plan, fade
from ..transitions.looks import time_maps
from .base import PairTransform, real_range, whole_range


class RandomTransition(PairTransform):
    """Clips that become another one by a transition of any kind, drawn by `gpuaug.transitions.draw`.

    Args:
        kinds: how often families or single kinds come, as a mapping, or names of them, equally often; the default is
            ClipShots' prior, in which 79 % are cuts.
        durations, ranges: as in `draw`.
        luma: (h, w), the time map of the kind "luma", where that is among the kinds.
        p, num_classes, pairs, generator: as for all; see `gpuaug.transforms`.

    >>> clips = torch.stack([torch.zeros(8, 1, 4, 4), torch.ones(8, 1, 4, 4)])
    >>> soft = RandomTransition(["wipe", "push"], num_classes=2)(clips, torch.tensor([0, 1]))[1]
    >>> soft.shape, soft.sum(1).tolist()
    (torch.Size([2, 2]), [1.0, 1.0])
    """

    def __init__(
        self,
        kinds: Mapping[str, float] | Sequence[str] | str = transitions.WEIGHTS,
        *,
        durations: tuple[tuple[float, float], ...] = transitions.DURATIONS,
        ranges: Mapping[str, tuple[float, float]] = transitions.RANGES,
        luma: ArrayLike | None = None,
        p: float = 1.0,
        num_classes: int | None = None,
        pairs: str = "roll",
        generator: torch.Generator | None = None,
    ) -> None:
        names = [kinds] if isinstance(kinds, str) else kinds
        weights = dict(names) if isinstance(names, Mapping) else dict.fromkeys(names, 1.0)
        super().__init__(p, num_classes, pairs, generator, kinds=weights)
        self.weights, self.durations, self.ranges, self.luma = (
            weights,
            durations,
            {**transitions.RANGES, **ranges},
            None if luma is None else time_maps(luma),
        )
        if alone := [name for name in weights if name in ("time", *transitions.FAMILIES["time"]) and weights[name]]:
            raise ValueError(f"kinds must be of two clips, got {alone[0]!r}: RandomJump, RandomFreeze, … are of one")
        transitions.draw(np.random.default_rng(0), 0, length=2, **self._how())  # refuse now what it would refuse
        if "luma" in weights and luma is None:
            raise ValueError("luma must be given for the kind 'luma': a picture (h, w)")

    def mix(self, rng: np.random.Generator, own: Plan, other: Plan) -> Plan:
        n, length, _ = own.shape
        drawn = transitions.draw(rng, n, length=length, **self._how())
        return edits.transition(own, other, length=length, luma=self.luma, **drawn)

    def _how(self) -> dict:
        return {"weights": self.weights, "durations": self.durations, "ranges": self.ranges}


class CrossFade(PairTransform):
    """Clips that fade into another one (BSP Eq. (1)); 0 frames of overlap are a hard cut.

    Args:
        overlap: least and greatest number of blended frames, even, at most T − 1.
    """

    def __init__(
        self,
        overlap: tuple[int, int] = (0, 8),
        *,
        p: float = 1.0,
        num_classes: int | None = None,
        pairs: str = "roll",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(p, num_classes, pairs, generator, overlap=overlap)
        self.overlap = whole_range("overlap", overlap, 0)
        if any(each % 2 for each in self.overlap):
            raise ValueError(f"overlap must be even, got overlap={overlap}")

    def mix(self, rng: np.random.Generator, own: Plan, other: Plan) -> Plan:
        n, length, _ = own.shape
        if max(self.overlap[1], 1) >= length:
            raise ValueError(f"overlap must be at most T - 1 = {length - 1}, got overlap={self.overlap}")
        overlap = 2 * rng.integers(self.overlap[0] // 2, self.overlap[1] // 2 + 1, n)
        start = rng.integers(1, length - np.maximum(overlap, 1) + 1)
        return edits.transition(own, other, "dissolve", length=length, start=start, duration=overlap)


class MixClips(PairTransform):
    """Clips seen through another one, all the time by the same amount: MixUp with a weight of every clip's own.

    Args:
        alpha: of the Beta distribution of the weights, > 0.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        p: float = 1.0,
        num_classes: int | None = None,
        pairs: str = "roll",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(p, num_classes, pairs, generator, alpha=alpha)
        if not 0 < alpha < sys.float_info.max:
            raise ValueError(f"alpha must be > 0 and finite, got alpha={alpha}")
        self.alpha = float(alpha)

    def mix(self, rng: np.random.Generator, own: Plan, other: Plan) -> Plan:
        return fade(own, other, 1 - rng.beta(self.alpha, self.alpha, (own.shape[0], 1)))


class Paste(PairTransform):
    """Clips on which some frames of another one are pasted, half transparent: PAL's pseudo-actions.

    Args:
        frames: least and greatest length of what is pasted, in parts of T, in [0, 1]; at least a frame.
        opacity: least and greatest weight of it, in [0, 1] [PAL: 0.6 … 1].
    """

    def __init__(
        self,
        frames: tuple[float, float] = (0.125, 0.5),
        *,
        opacity: tuple[float, float] = (0.6, 1.0),
        p: float = 1.0,
        num_classes: int | None = None,
        pairs: str = "roll",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(p, num_classes, pairs, generator, frames=frames, opacity=opacity)
        self.frames = real_range("frames", frames, 0, 1, "in [0, 1]")
        self.opacity = real_range("opacity", opacity, 0, 1, "in [0, 1]")

    def mix(self, rng: np.random.Generator, own: Plan, other: Plan) -> Plan:
        n, t, _ = own.shape
        count = np.clip(np.round(rng.uniform(*self.frames, n) * t), 1, t).astype(np.int64)
        start, begin = rng.integers(0, t - count + 1), rng.integers(0, t - count + 1)
        region = other.at(begin[:, None] + np.arange(t), edge="repeat")
        opacity = rng.uniform(*self.opacity, n)
        return edits.paste(own, region, start=start, stop=start + count, opacity=opacity)
