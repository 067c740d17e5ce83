"""Banks of groups for PAL, and composites of colours with an encoder that sees nothing else."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import nn

from gpuaug.bank import ClipBank
from pretrain.tasks.pal import task as pal

J, FRAMES = 8, 4


def make_bank(videos, windows=J, length=29, reuse_max=None, short=None):
    """Groups in a shuffled order of slots; the pixels of a slot say (video, position, frame)."""
    bank = ClipBank(len(videos) * windows, length, 1, 1, reuse_max=reuse_max)
    slots = np.random.default_rng(0).permutation(len(bank.info)).reshape(len(videos), windows)
    for group, video in enumerate(videos):
        for position, slot in enumerate(slots[group]):
            put(bank, slot, video, group, position, (short or {}).get(video, length))
    return bank


def put(bank, slot, video, group, position, length):
    frames = torch.zeros(length, 1, 1, 3, dtype=torch.uint8)
    frames[..., 0], frames[..., 1] = video, position
    frames[..., 2] = torch.arange(length)[:, None, None]
    bank.write(slot, frames, {"video": video, "group": group, "position": position})


class Colors(nn.Module):
    """The mean colour of a clip, through a linear layer."""

    def __init__(self, features=6):
        super().__init__()
        self.linear = nn.Linear(3, features)
        self.features = features

    def forward(self, clip_NCTYX):
        assert clip_NCTYX.shape[2] == FRAMES
        return self.linear(clip_NCTYX.mean((2, 3, 4)))


@functools.cache
def bank_of(videos):
    """Made once: no batch changes it."""
    return make_bank(range(videos))


@functools.cache
def batch(n, seed):
    """Clips in which each of 24 videos has a colour of its own, rendered from a plan of PAL."""
    hues = np.random.default_rng(7).normal(size=(24, 3))
    bank = bank_of(len(hues))
    plan, target = pal.sample(np.random.default_rng(seed), bank, n, pal.Settings(frames=FRAMES))
    color_NTKC = hues[bank.info["video"][plan.clip]]
    clip_NTC = (color_NTKC * plan.weight[..., None]).sum(2)
    clips = torch.from_numpy(clip_NTC).float().transpose(1, 2)[..., None, None].expand(-1, -1, -1, 2, 2)
    return clips.contiguous(), {name: torch.from_numpy(value) for name, value in target.items()}
