"""Modules that edit every clip on its own: speed, direction, freezes, jumps. Legend: N samples, T frames."""

from __future__ import annotations

import sys

import numpy as np
import torch
from numpy.typing import NDArray

from .. import edits
from ..plan import Plan
from ..values import positive
from .base import ClipTransform, real_range, whole_range


class RandomSpeed(ClipTransform):
    """Clips that change to another speed (BSP Eq. (3)), or have one throughout.

    Args:
        rates: least and greatest factor of the speed, > 0, drawn with equal chances of half and double.
        change: the clip begins at its own speed, and changes after 2 … length − 1 frames; False: all has the other one.
        length: frames of the result; None: as many as T frames give at the greatest rate.

    What is longer than the result needs begins anywhere that it fits, also where the speed stays.

    >>> RandomSpeed((2, 2), change=False, p=1)(torch.arange(7.0).reshape(7, 1, 1, 1)).flatten().tolist()
    [0.0, 2.0, 4.0, 6.0]
    """

    def __init__(
        self,
        rates: tuple[float, float] = (0.5, 2.0),
        *,
        change: bool = True,
        length: int | None = None,
        p: float = 0.5,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(p, generator, rates=rates, change=change, length=length)
        self.rates = real_range("rates", rates, sys.float_info.min, sys.float_info.max, "above 0 and finite")
        self.change, self.length = change, None if length is None else positive("length", length)

    def draw(self, rng: np.random.Generator, clips: Plan) -> tuple[Plan, Plan]:
        n, t, _ = clips.shape
        fastest = max(1.0, self.rates[1])
        most = 1 + int(np.floor((t - 1) / fastest + 1e-9))
        length = most if self.length is None else self.length
        if length > most:
            rule = f"1 + (T - 1)/{fastest:g} = {most} for T = {t} at the greatest rate"
            raise ValueError(f"length must be at most {rule}, got length={length}")
        rate = np.exp(rng.uniform(np.log(self.rates[0]), np.log(self.rates[1]), (n, 1))).clip(*self.rates)
        if self.change and length > 1:
            change = rng.integers(min(2, length - 1), length, (n, 1))
            times = edits.speed_times(length, change[:, 0], rate[:, 0])
        else:
            times = rate * np.arange(length)
        steady = np.broadcast_to(np.arange(length), (n, length))
        part = rng.random((n, 1))

        def placed(times: NDArray) -> Plan:
            return clips.at(times + np.floor(part * np.floor(t - times[:, -1:])))

        return placed(times), placed(steady)


class RandomReverse(ClipTransform):
    """Clips shown backwards.

    >>> RandomReverse(p=1)(torch.arange(3.0).reshape(3, 1, 1, 1)).flatten().tolist()
    [2.0, 1.0, 0.0]
    """

    keeps_shares = True

    def __init__(self, p: float = 0.5, *, generator: torch.Generator | None = None) -> None:
        super().__init__(p, generator)

    def draw(self, rng: np.random.Generator, clips: Plan) -> tuple[Plan, Plan]:
        return clips.at(np.arange(clips.shape[1])[::-1]), clips


class RandomFreeze(ClipTransform):
    """Clips of which a frame stays for some time, then they go on; T frames, so that their ends are not shown.

    Args:
        duration: least and greatest number of frames for which it is shown, ≥ 1 and at most T.

    >>> RandomFreeze((3, 3), p=1)(torch.arange(3.0).reshape(3, 1, 1, 1)).flatten().tolist()
    [0.0, 0.0, 0.0]
    """

    def __init__(
        self, duration: tuple[int, int] = (2, 8), *, p: float = 0.5, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(p, generator, duration=duration)
        self.duration = whole_range("duration", duration, 1)

    def draw(self, rng: np.random.Generator, clips: Plan) -> tuple[Plan, Plan]:
        n, t, _ = clips.shape
        if self.duration[1] > t:
            raise ValueError(f"duration must be at most the clips' T = {t} frames, got duration={self.duration}")
        duration = rng.integers(self.duration[0], self.duration[1] + 1, n)
        start = rng.integers(0, t - duration + 1)
        return edits.freeze(clips, length=t, start=start, duration=duration), clips


class RandomJump(ClipTransform):
    """Clips of which frames are left out somewhere: a jump cut, which `gpuaug.transitions.labels` names "jump".

    Args:
        left_out: least and greatest number of frames that are left out, ≥ 1.
        length: frames of the result, ≥ 2; None: T less the greatest number.

    >>> RandomJump((2, 2), p=1)(torch.arange(4.0).reshape(4, 1, 1, 1)).flatten().tolist()
    [0.0, 3.0]
    """

    def __init__(
        self,
        left_out: tuple[int, int] = (4, 16),
        *,
        length: int | None = None,
        p: float = 0.5,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(p, generator, left_out=left_out, length=length)
        self.left_out = whole_range("left_out", left_out, 1)
        self.length = None if length is None else positive("length", length)

    def draw(self, rng: np.random.Generator, clips: Plan) -> tuple[Plan, Plan]:
        n, t, _ = clips.shape
        most = t - self.left_out[1]
        length = most if self.length is None else self.length
        if not 2 <= length <= most:
            rule = f"T = {t} frames must be at least length + the most that is left out"
            raise ValueError(f"{rule}, with length ≥ 2, got length={length} and left_out={self.left_out}")
        gap = rng.integers(self.left_out[0], self.left_out[1] + 1, (n, 1))
        start = rng.integers(1, length, n)
        part, i = rng.random((n, 1)), np.arange(length)
        begin = np.floor(part * (t - length - gap + 1))
        later = np.minimum(begin + start[:, None] + gap + i, t - 1)
        cut = edits.transition(clips.at(begin + i), clips.at(later), "cut", length=length, start=start, duration=0)
        return cut, clips.at(np.floor(part * (t - length + 1)) + i)
