"""What transitions refuse, and what they show of parameters and pictures at the ends of what is allowed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpuaug import Plan, blend, reference
from gpuaug.transitions import KINDS, NAMES, transition
from support import kernel_implementations

implementation = kernel_implementations.cpu
LENGTH, START, DURATION, SIZE = 9, 2, 5, (6, 10)
LUMA = np.array([[0.0, 1.0, 4.0], [2.0, 3.0, 0.5]])
GRADUAL = [name for name in NAMES if KINDS[name].family not in ("cut", "time")]


def clips(n):
    return [Plan.take(np.full(n, k), range(LENGTH)) for k in (0, 1)]


def frames(size):
    return torch.from_numpy(np.random.default_rng(3).normal(size=(2, LENGTH, *size, 3))).float()


def make(**given):
    given = {"length": LENGTH, "start": START, "duration": DURATION, "luma": LUMA} | given
    return transition(*clips(len(GRADUAL)), GRADUAL, **given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"kind": "wipe_lef"},
            "kind must be of gpuaug.transitions.NAMES, got kind='wipe_lef'; did you mean 'wipe_left'",
        ),
        ({"easing": "fast"}, r"easing must be of \['linear', 'smooth', 'in', 'out', 'back'\], got easing='fast'"),
        ({"start": -1}, r"start must be in \[0, length=9\], got start=-1"),
        ({"duration": 8}, r"duration must be in \[0, length - start\], length=9, got duration=8"),
        ({"kind": "cut"}, "duration must be 0 for cuts and jumps, got duration=5"),
        ({"softness": -0.5}, r"softness must be in \[0, 1e\+06\], got softness=-0.5"),
        ({"softness": 1e300}, r"softness must be in \[0, 1e\+06\], got softness=1e\+300"),
        ({"angle": np.inf}, "angle must be finite, got angle=inf"),
        ({"number": 0}, r"number must be in \[1e-06, 1e\+06\], got number=0"),
        ({"number": 1e17}, r"number must be in \[1e-06, 1e\+06\], got number=1e\+17"),
        ({"center": [0.5, 1e300]}, r"center must be in \[-1e\+06, 1e\+06\], got center=1e\+300"),
        ({"kind": None}, "kind must be a name or one per sample, got NoneType: kind=None"),
        ({"kind": b"wipe"}, "kind must be a name or one per sample, got bytes: kind=b'wipe'"),
        ({"kind": [["wipe", "cut"]]}, "kind must be a name or one per sample, got list"),
        ({"easing": 3}, "easing must be a name or one per sample, got int: easing=3"),
        ({"seed": 0.5}, "seed must be whole numbers"),
        ({"center": 0.5}, r"center must have 1 axes, or one more for samples, got shape \(\)"),
        ({"color": [0, 0, 2]}, r"color must be in \[0, 1\], got color=2"),
        ({"kind": "luma"}, "luma must be given for the kind 'luma'"),
        ({"kind": "luma", "luma": np.ones((2, 5, 3))}, r"luma must be grey, .* got shape \(2, 5, 3\) of colours"),
        ({"kind": "luma", "luma": np.ones((5, 6, 3))}, r"luma must be grey, .* got shape \(5, 6, 3\) of colours"),
        ({"kind": "luma", "luma": np.ones((3, 4))}, "luma must be finite and have more than one value"),
        (
            {"start": [1, 2, 3]},
            r"plans and parameters must have one number of samples \(or one sample\), got \[2, 3\]: first has 2, start",
        ),
        (
            {"kind": ["cut", "wipe", "wipe"]},
            r"plans and parameters must have one number of samples .* got \[2, 3\]: first has 2, kind has 3",
        ),
        ({"length": 10**9}, "second must have 999999998 frames for this start, got 9"),  # before they are made
        ({"length": 20, "duration": 18}, "first must have 19 frames for this start, got 9"),
    ],
)
def test_bad_parameters_are_refused_in_one_line(given, message):
    given = {"kind": "wipe_left", "length": LENGTH, "start": START, "duration": DURATION} | given
    kind = given.pop("kind")
    with pytest.raises(ValueError, match=message) as caught:
        transition(*clips(2), kind, **given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1), (2, 3)])
def test_pictures_of_a_row_or_a_pixel(implementation, size):
    """Halves of a picture of one pixel are its pixel, and not what lies before it in memory."""
    bank, plan = frames(size), make(softness=0.25, angle=30.0, center=(0.3, 0.8))
    got = blend(bank.to(implementation), plan, spatial_dims=(2, 3)).cpu()
    np.testing.assert_allclose(got, reference.compose(bank.double().numpy(), plan, size=size), atol=1e-4)


@pytest.mark.parametrize("given", [{"seed": 2**62 - 1}, {"number": 1e6}, {"center": (1e6, -1e6)}, {"angle": 1e300}])
@pytest.mark.parametrize("softness", [0.0, 5e-324, 1e6])
def test_parameters_far_beyond_what_can_be_seen(implementation, given, softness):
    """In little memory, and with numbers in every pixel."""
    bank, plan = frames(SIZE), make(softness=softness, **given)
    got = blend(bank.to(implementation), plan, spatial_dims=(2, 3)).cpu()
    np.testing.assert_allclose(got, reference.compose(bank.double().numpy(), plan, size=SIZE), atol=2e-3)
