"""Banks without pixels for BSP, and samples drawn from them."""

import numpy as np

import gpuaug
from pretrain.tasks.bsp import task as bsp

T = 8


def make_bank(slots=48, classes=4, frames=60, per_video=1, reuse_max=None):
    """A bank whose table is filled in, with videos dealt to the classes in turn; no pixels are needed."""
    bank = gpuaug.ClipBank(slots, int(np.max(frames)), 1, 1, reuse_max=reuse_max)
    video = np.arange(slots) // per_video
    bank.reserve(np.arange(slots), {"video": video, "label": video % classes, "frames": frames})
    return bank


def draw(n=400, seed=0, bank=None, **options):
    bank = bank or make_bank()
    plan, target = bsp.sample(np.random.default_rng(seed), bank, n, bsp.Settings(**options))
    return bank, plan, target
