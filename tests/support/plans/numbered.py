"""Clips whose pixels say which clip and frame they are, 100 · clip + frame, and modules to edit them."""

from __future__ import annotations

import torch

from gpuaug.transforms import (
    CrossFade,
    MixClips,
    Paste,
    RandomFreeze,
    RandomJump,
    RandomReverse,
    RandomSpeed,
    RandomTransition,
)

N, T = 6, 24
ONE = {
    "speed": lambda **how: RandomSpeed((0.4, 2.5), **how),
    "speed throughout": lambda **how: RandomSpeed((0.5, 2.0), change=False, length=9, **how),
    "reverse": lambda **how: RandomReverse(**how),
    "freeze": lambda **how: RandomFreeze((1, 7), **how),
    "jump": lambda **how: RandomJump((1, 6), **how),
}
TWO = {
    "transition": lambda **how: RandomTransition({"wipe": 1, "push": 1, "fade": 1, "cut": 1, "zoom": 1}, **how),
    "crossfade": lambda **how: CrossFade((0, 6), **how),
    "mix": lambda **how: MixClips(0.7, **how),
    "paste": lambda **how: Paste((0.1, 0.6), **how),
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def numbered(n=N, t=T, size=(2, 3), channels=1, device="cpu"):
    value = 100.0 * torch.arange(n, device=device)[:, None] + torch.arange(t, device=device)
    return value[:, :, None, None, None].expand(n, t, channels, *size).contiguous()


def own_time(clips):
    """Which frame of its clip every frame shows."""
    return clips[:, :, 0, 0, 0] % 100
