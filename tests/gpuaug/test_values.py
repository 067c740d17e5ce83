"""Parameters of edits and plans: numbers of any dtype, byte order and strides mean the same; no others are accepted."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gpuaug
from gpuaug import Plan, edits, fade, render, values, where
from support import kernel_implementations

on_cpu = kernel_implementations.on("reference", "host")
CLIP = np.random.default_rng(0).integers(0, 256, (2, 9, 3), np.uint8)
NUMBERS = [
    "i1",
    "u1",
    *(order + kind for order in "<>" for kind in ("i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8")),
]

# edit: (its parameters, two samples' values of each, which any dtype here can hold)
EDITS = {
    "crossfade": {"center": [3, 4], "overlap": [2, 4]},
    "concatenate": {"center": [0, 5]},
    "paste": {"start": [1, 2], "stop": [3, 7], "opacity": [0, 1]},
    "resample_speed": {"change_point": [1, 3], "rate": [1, 2]},
    "take": {"frames": [[8, 0, 3], [1, 1, 5]]},
}
LENGTH = {"crossfade": 6, "concatenate": 6, "resample_speed": 4}


def edited(edit, **parameters):
    clips = [CLIP, CLIP[::-1]] if edit in ("crossfade", "concatenate", "paste") else [CLIP]
    length = {"length": LENGTH[edit]} if edit in LENGTH else {}
    return getattr(gpuaug, edit)(*clips, **length, **parameters)


MEMORY = {
    "dense": lambda a: a,
    "strided": lambda a: np.repeat(a, 2, -1)[..., ::2],
    "reversed": lambda a: a[..., ::-1].copy()[..., ::-1],
    "not aligned": lambda a: np.frombuffer(b"\0" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
}


@pytest.mark.parametrize("edit", EDITS)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_dtype_byte_order_and_strides(on_cpu, edit, data):
    expected = edited(edit, **EDITS[edit])
    parameters = {}
    for name, usual in EDITS[edit].items():
        array = np.array(usual, data.draw(st.sampled_from(NUMBERS)))
        parameters[name] = MEMORY[data.draw(st.sampled_from(sorted(MEMORY)))](array)
        parameters[name].flags.writeable = data.draw(st.booleans()) and parameters[name].flags.writeable
    np.testing.assert_array_equal(edited(edit, **parameters), expected)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("kind", [torch.tensor, tuple, lambda value: np.array(value, object)])
def test_other_kinds_of_arrays(on_cpu, edit, kind):
    parameters = {name: kind(usual) for name, usual in EDITS[edit].items()}
    np.testing.assert_array_equal(edited(edit, **parameters), edited(edit, **EDITS[edit]))


@pytest.mark.parametrize(
    "number", [Fraction(3, 2), Decimal("1.5"), np.float16(1.5), np.array(1.5, ">f4"), [1.5], (1.5, 1.5)]
)
def test_a_rate_of_any_number(on_cpu, number):
    expected = gpuaug.resample_speed(CLIP, length=4, change_point=1, rate=1.5)
    np.testing.assert_array_equal(gpuaug.resample_speed(CLIP, length=4, change_point=1, rate=number), expected)


NONE = {  # what is no number: what the message says after the name
    "truth": (True, "must be numbers, got bool"),
    "truths": ([True, False], "must be numbers, got bool"),
    "a mask": (np.array([True, False]), "must be numbers, got bool"),
    "torch's truths": (torch.tensor([True, False]), "must be numbers, got bool"),
    "text": ("2", "must be numbers, got <U1"),
    "bytes": (b"2", "must be numbers, got .S1"),
    "complex": (np.array([1 + 2j, 2]), "must be numbers, got complex128"),
    "masked": (np.ma.array([1, 2], mask=[0, 1]), "must not be a masked array"),
    "not masked yet": (np.ma.array([1, 2]), "must not be a masked array"),
    "times": (np.array([1, 2], "m8[s]"), "must be numbers, got timedelta64"),
    "dates": (np.array(["2020-01-01"], "M8[D]"), "must be numbers, got datetime64"),
    "none": (None, "must be numbers, got object"),
    "truths among objects": (np.array([1, True], object), "must be numbers, got object"),
    "a record": (np.zeros(2, "i4,i4"), "must be numbers, got"),
    "rows of several lengths": ([[1], [1, 2]], "must be numbers"),
    "gradients": (torch.ones(2, requires_grad=True), "must be numbers"),
    "an object": (object(), "must be numbers, got object"),
    "very large": (10**400, "must be numbers below"),
}
WRONG = {  # numbers, but none of frames
    "half": (1.5, "must be whole numbers"),
    "not a number": (float("nan"), "must be whole numbers"),
    "infinite": (np.array([1, np.inf], ">f4"), "must be whole numbers"),
    "unsigned": (np.array([2**64 - 1], np.uint64), "must be whole numbers"),
}


@pytest.mark.parametrize("what", NONE)
@pytest.mark.parametrize(("edit", "name"), [(edit, name) for edit, names in EDITS.items() for name in names])
def test_what_is_no_number_is_refused(on_cpu, what, edit, name):
    """NumPy would make numbers of most of them: True of 1, '2' of 2, the real part, what is under a mask."""
    value, message = NONE[what]
    with pytest.raises(ValueError, match=f"{name} {message}") as caught:
        edited(edit, **{**EDITS[edit], name: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("name", ["center", "overlap", "start", "stop", "change_point", "frames"])
def test_what_is_not_whole_is_refused(on_cpu, what, name):
    value, message = WRONG[what]
    value = np.reshape(value, -1) if name == "frames" else value
    edit = next(edit for edit, names in EDITS.items() if name in names)
    with pytest.raises(ValueError, match=f"{name} {message}"):
        edited(edit, **{**EDITS[edit], name: value})


@pytest.mark.parametrize(
    "length",
    [True, "4", 4.5, None, float("nan"), float("inf"), [4, 4], 0, -1, np.ma.array(4), pytest.param(10**400, id="huge")],
)
def test_length_is_a_whole_number(on_cpu, length):
    for call in (
        lambda: gpuaug.concatenate(CLIP, CLIP, length=length, center=0),
        lambda: gpuaug.resample_speed(CLIP, length=length, change_point=1, rate=1),
        lambda: edits.speed_times(length, 1, 1),
    ):
        with pytest.raises(ValueError, match=r"^length must "):
            call()
    assert gpuaug.concatenate(CLIP, CLIP, length=np.array(4.0, ">f4"), center=2).shape == (2, 4, 3)


PLANS = {
    "time": lambda value: Plan.take(0, value),
    "clip": lambda value: Plan.take(value, [0.0]),
    "frames": lambda value: Plan.take(0, [0.0], frames=value),
    "order": lambda value: Plan.take(0, range(4)).at(value),
    "box": lambda value: render(
        torch.zeros(1, 1, 4, 4, 3, dtype=torch.uint8), Plan.take(0, [0]), size=(4, 4), box=value
    ),
    "color": lambda value: render(
        torch.zeros(1, 1, 4, 4, 3, dtype=torch.uint8), Plan.take(0, [0]), size=(4, 4), color=value
    ),
}


MAY_BE_NONE = ("box", "color", "frames")  # the whole frame, no change, any number


@pytest.mark.parametrize(
    ("what", "name"), [(what, name) for what in NONE for name in PLANS if what != "none" or name not in MAY_BE_NONE]
)
def test_plans_refuse_the_same(what, name):
    value, message = NONE[what]
    with pytest.raises(ValueError, match=f"{name} {message}"):
        PLANS[name](value)


@pytest.mark.parametrize("dtype", NUMBERS)
def test_plans_of_any_dtype_and_byte_order(dtype):
    a, b = Plan.take(np.array([0, 1], dtype), np.array([[0, 1, 2]] * 2, dtype), frames=np.array([3, 3], dtype)), None
    assert a.clip[:, 0, 0].tolist() == [0, 1]
    assert a.frame[0, :, 0].tolist() == [0, 1, 2]
    b = a.at(np.array([2, 1, 0], dtype))
    assert b.frame[0, :, 0].tolist() == [2, 1, 0]
    assert where(np.array([[0, 1, 0]], dtype), a, b).frame[0, :, 0].tolist() == [2, 1, 0]
    assert fade(a, b, np.array([[0, 1, 0]], dtype)).frame[0, :, 0].tolist() == [0, 1, 2]
    for part in (a.clip, a.time, b.clip, b.time):
        assert part.dtype.isnative
    box = np.array([[0, 0, 2, 2]] * 2, dtype)
    bank = torch.arange(2 * 3 * 16, dtype=torch.uint8).view(2, 3, 4, 4, 1)
    got = render(bank, a, size=(2, 2), box=box, dtype=torch.uint8, layout="NTHWC", color=np.array([[1, 0]], dtype))
    assert torch.equal(got, bank[:, :, :2, :2])


@pytest.mark.parametrize(
    ("part", "array"),
    [
        ("clip", np.zeros((1, 1, 1), ">i8")),
        ("time", np.zeros((1, 1, 1), ">f8")),
        ("weight", np.ones((1, 1, 1), ">f4")),
        ("clip", np.ma.zeros((1, 1, 1), np.int64)),
        ("time", np.ma.zeros((1, 1, 1))),
        ("weight", np.ma.ones((1, 1, 1), np.float32)),
    ],
)
def test_a_plan_of_arrays_wants_them_as_they_are(part, array):
    parts = {
        "clip": np.zeros((1, 1, 1), np.int64),
        "time": np.zeros((1, 1, 1)),
        "weight": np.ones((1, 1, 1), np.float32),
    }
    with pytest.raises(ValueError, match=f"{part} must be a .* array of shape .*, got (>|MaskedArray)"):
        Plan(**{**parts, part: array})


@pytest.mark.parametrize(
    "mask", [0.5, [[0, 2, 0]], np.nan, "True", 1j, None, np.ma.array([[True] * 3], mask=[[1, 0, 0]])]
)
def test_a_mask_is_true_or_false(mask):
    plan = Plan.take(0, [0, 1, 2])
    with pytest.raises(ValueError, match="mask must "):
        where(mask, plan, plan)
    assert where(torch.tensor([[True, False, True]]), plan, plan).shape == (1, 3, 1)


@pytest.mark.parametrize("alpha", ["0.5", 0.5 + 1j, None, np.ma.array([[0.5] * 3]), np.nan])
def test_a_weight_is_a_number(alpha):
    plan = Plan.take(0, [0, 1, 2])
    with pytest.raises(ValueError, match="alpha must "):
        fade(plan, plan, alpha)
    cut = fade(plan, Plan.take(1, [0, 1, 2]), np.array([[False, True, True]]))  # truth values are weights of 0 and 1
    assert cut.clip[0, :, 0].tolist() == [0, 1, 1]


def test_nan_frames_do_not_lift_the_check():
    with pytest.raises(ValueError, match="frames must be whole numbers"):
        Plan.take(0, [5], frames=float("nan"))


def test_numbers_are_not_copied_without_need():
    array = np.arange(3.0)
    assert values.reals("array", array) is array
