"""The small ones, by pytest-benchmark: `pytest benchmarks/test_small.py`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gpuaug

CLIP = torch.zeros(16, 16, 3, 32, 32, dtype=torch.uint8)


@pytest.mark.parametrize(
    "edit",
    [
        lambda: gpuaug.crossfade(CLIP, CLIP, length=16, center=8, overlap=8),
        lambda: gpuaug.resample_speed(CLIP, length=16, change_point=8, rate=0.5),
        lambda: gpuaug.paste(CLIP, CLIP, start=4, stop=12, opacity=0.8),
        lambda: gpuaug.take(CLIP, range(15, -1, -1)),
    ],
    ids=["crossfade", "resample_speed", "paste", "take"],
)
def test_edit(benchmark, edit):
    assert benchmark(edit).shape == CLIP.shape


def test_plan(benchmark):
    first, second = gpuaug.Plan.take(np.arange(64), np.arange(8)), gpuaug.Plan.take(np.arange(64), np.arange(8))
    plan = benchmark(gpuaug.edits.crossfade, first, second, length=8, center=4, overlap=4)
    assert plan.shape == (64, 8, 2)
