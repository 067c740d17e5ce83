"""Random plans with layers: every kind of mask, places partly outside, crops, colours, frames of few and many taps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gpuaug import Plan
from gpuaug.layers import fields
from gpuaug.layers.columns import MAP, Layers


def random_plan(rng, clips, length, n=3, t=4, k=4, colors=True, maps=6):
    """A plan of `clips` clips of `length` frames; the first sample's taps are masked only, the second's placed only."""
    shape = (n, t, k)
    layers = Layers.none(shape)
    table = np.zeros((maps + 1, len(MAP)))
    table[:, 0] = rng.integers(0, len(fields.NAMES), maps + 1)
    table[:, 1] = rng.choice([0.0, 90.0, 180.0, 270.0, 37.5], maps + 1)
    table[:, 2:4] = rng.uniform(0, 1, (maps + 1, 2))
    table[:, 4:6] = rng.integers(1, 9, (maps + 1, 2))
    table[:, 6] = rng.integers(0, 2, maps + 1)
    table[-1, 0] = -1
    layers.map[:] = rng.integers(-1, maps + 1, shape)
    layers.map[:, :, 0] = -1
    layers.progress[:] = rng.choice([0.0, 0.25, 0.6180339, 1.0], shape)
    layers.softness[:] = rng.choice([0.0, 0.02, 0.3, 2.0], shape)
    layers.smooth[:] = rng.random(shape) < 0.5
    low = rng.uniform(-0.7, 0.9, (*shape, 2))
    placed = np.concatenate([low, low + rng.uniform(0.01, 1.7, (*shape, 2))], -1)
    layers.place[:] = np.where(rng.random((*shape, 1)) < 0.5, placed, layers.place)
    layers.place[0] = 0, 0, 1, 1
    cropped = rng.uniform(0, 0.5, (*shape, 4)) + np.array([0, 0, 0.5, 0.5])
    layers.crop[:] = np.where(rng.random((*shape, 1)) < 0.3, cropped, layers.crop)
    layers.map[1:2] = -1
    layers.color[:] = rng.uniform(0, 1, (*shape, 3))
    weight = rng.choice([0.0, 0.3, 1.0, 1.0], shape).astype(np.float32)
    weight[:, :, 0] = 1
    clip = rng.integers(-1 if colors else 0, clips, shape)
    layers = replace(layers, maps=table, pictures=(rng.uniform(0, 1, (3, 5)),))
    return Plan(clip, rng.integers(0, length, shape).astype(np.float64), weight, layers)
