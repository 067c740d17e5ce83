"""What parameters change: time maps of one's own, and nothing where a kind has no use for them."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import torch

from gpuaug import Plan, render
from gpuaug.transitions import KINDS, NAMES, transition
from support import kernel_implementations

implementation = kernel_implementations.cpu
LENGTH, START, DURATION, SIZE = 9, 2, 5, (6, 10)
GRADUAL = [name for name in NAMES if KINDS[name].family not in ("cut", "time")]
BLACK_TO_WHITE = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1, 1).expand(2, LENGTH, *SIZE, 3).contiguous()


def plan_of(kinds, **given):
    clips = [Plan.take(np.full(len(kinds), k), range(LENGTH)) for k in (0, 1)]
    given = {"length": LENGTH, "start": START, "duration": DURATION} | given
    return transition(*clips, list(kinds), **given)


def shown(plan):
    """float64 (N, T, Y, X), where the second clip is shown."""
    return render(BLACK_TO_WHITE, plan, size=SIZE, layout="NTHWC").double().numpy()[..., 0]


@pytest.mark.parametrize("form", ["array", "tensor", "picture"])
def test_a_time_map_of_ones_own(implementation, form):
    """Where the map is least changes first; stretched from its least to its greatest value; one for all or each."""
    gray = np.arange(60, dtype=np.uint8).reshape(SIZE)
    form = {"array": np.asarray, "tensor": torch.from_numpy, "picture": PIL.Image.fromarray}[form]
    got = shown(plan_of(["luma"], luma=form(gray)))[0]
    changed = got > 1 - 1e-6
    for j in range(1, DURATION):
        assert (changed[START + j - 1] == (gray < np.ceil(59 * j / DURATION))).all()
    if not isinstance(form(gray), PIL.Image.Image):
        both = shown(plan_of(["luma", "luma"], luma=form(np.stack([gray, gray[::-1, ::-1]]))))
        np.testing.assert_array_equal(both[0], got)
        np.testing.assert_array_equal(both[1], got[:, ::-1, ::-1])


def test_parameters_change_what_they_are_for_and_nothing_else():
    """What a kind has no use for, and `draw` gives all the same, must not turn a wipe to the left upwards."""
    rng = np.random.default_rng(6)
    bank = torch.from_numpy(rng.integers(0, 256, (2, LENGTH, 32, 48, 3), dtype=np.uint8))
    other = {"angle": 37.0, "center": (0.2, 0.7), "number": 5, "seed": 3, "softness": 0.6, "color": (0.2, 0.4, 0.5)}
    luma, seen = rng.uniform(0, 1, (4, 5)), {}
    for name, value in {"": None, **other}.items():
        plan = plan_of(GRADUAL, luma=luma, **({name: value} if name else {}))
        seen[name] = render(bank, plan, size=(32, 48)).numpy()
    for i, kind in enumerate(GRADUAL):
        changes = {name for name in other if not np.array_equal(seen[name][i], seen[""][i])}
        assert changes == set(KINDS[kind].draws), kind
