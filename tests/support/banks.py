"""Tables of banks as tests want them, banks without pixels for BSP, and samples drawn from them."""

import numpy as np

import gpuaug
from pretrain.tasks.bsp import task as bsp

T = 8


def set_columns(bank: gpuaug.ClipBank, **columns) -> None:
    """Give the columns of the bank's table these values, a number or one per slot, and leave the others as they are."""
    now = {name: bank.info[name].copy() for name in bank.info.dtype.names}
    ready = np.broadcast_to(columns.pop("ready", now.pop("ready")), len(bank.info))
    bank.reserve(np.arange(len(bank.info)), {**{k: v for k, v in now.items() if k != "ready"}, **columns})
    bank.release(np.flatnonzero(~ready))


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
