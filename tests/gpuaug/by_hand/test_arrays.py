"""What is an array, which of its axes is time, and what two arrays must have in common, at the edges of the rules."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

import gpuaug
from gpuaug import arrays

ONES = np.ones((2, 5, 4), np.float32)


class Exported:
    """An array of a library that nobody knows, by what DLPack wants of it."""

    def __init__(self, *names):
        for name in names:
            setattr(self, name, getattr(torch.from_numpy(ONES), name))


@pytest.mark.parametrize("names", [(), ("__dlpack__",), ("__dlpack_device__",)])
def test_half_of_dlpack_is_no_array(names):
    with pytest.raises(ValueError, match=r"^clip must be a torch, NumPy, CuPy or DLPack array, got Exported$"):
        arrays.accept("clip", Exported(*names))


def test_all_of_dlpack_is_one():
    got = arrays.accept("clip", Exported("__dlpack__", "__dlpack_device__"))
    assert type(got) is torch.Tensor
    assert got.data_ptr() == ONES.ctypes.data


@pytest.mark.parametrize("make", [lambda: ONES, lambda: torch.ones(2, 5), lambda: torch.nn.Parameter(torch.ones(2))])
def test_what_is_an_array_already_stays_itself(make):
    array = make()
    with torch.no_grad():
        assert arrays.accept("clip", array) is array


def test_what_would_be_lost_is_said():
    with pytest.raises(
        ValueError, match=r"^clip must be a plain NumPy array, got a MaskedArray, whose mask would be lost$"
    ):
        arrays.accept("clip", np.ma.array(ONES))
    with pytest.raises(
        ValueError, match=r"^clip must be a plain NumPy array, got a matrix, which the result would not be$"
    ):
        arrays.accept("clip", ONES[0].view(np.matrix))


@pytest.mark.parametrize(
    ("shapes", "refused"),
    [
        ([(2, 3, 7, 5, 6)], "2 for (N, C, T, H, W)"),
        ([(2, 3, 7, 5, 6)] * 2, "2 for (N, C, T, H, W)"),
        ([(2, 3, 7, 5, 6), (2, 3, 9, 5, 6)], "2 for (N, C, T, H, W)"),
        ([(7, 3, 5, 6)] * 2, "one clip lacks the batch axis, clip[None]"),
        ([(2, 3, 7, 5, 6), (2, 4, 7, 5, 6)], ""),  # two numbers of channels are none: they are frames
        ([(2, 3, 7, 5, 6), (2, 5, 7, 5, 6)], ""),
        ([(2, 5, 7, 5, 6), (2, 3, 7, 5, 6)], ""),
        ([(2, 3, 3, 5, 6)], ""),
        ([(2, 3, 7, 3, 6)], "2 for (N, C, T, H, W)"),  # rows are no channels
        ([(2, 3, 7, 5, 1)], ""),
        ([(2, 5, 7, 5, 6)], ""),
        ([(7, 1, 5, 6)], ""),
        ([(7, 3, 3, 6)], "one clip lacks the batch axis, clip[None]"),
        ([(7, 3, 5, 4)], ""),
        ([(7, 3, 5)], ""),
        ([(2, 3, 7, 5, 6, 8)], ""),
    ],
)
def test_what_can_only_be_channels(shapes, refused):
    given = {f"clip{k}": torch.zeros(shape) for k, shape in enumerate(shapes)}
    assert [arrays.time_axis(given, axis) for axis in (1, 2, -1)] == [1, 2, -1], "what is given is taken"
    if not refused:
        assert arrays.time_axis(given, None) == 1
        return
    with pytest.raises(ValueError, match="time_dim must be given where axis 1 may be channels, got clip0 of") as caught:
        arrays.time_axis(given, None)
    assert str(caught.value).endswith(f"got clip0 of shape {shapes[0]}: 1 if it is time; {refused}")


VIDEO, IMAGE, MASK = (
    getattr(tv_tensors, kind)(torch.zeros(shape))
    for kind, shape in (("Video", (2, 3, 5, 3, 6, 7)), ("Image", (2, 9, 5, 3, 6, 7)), ("Mask", (2, 9, 6, 7)))
)


@pytest.mark.parametrize(
    ("given", "axis", "expected"),
    [
        ((VIDEO,), None, 2),
        ((VIDEO,), -4, -4),
        ((IMAGE,), None, 1),
        ((IMAGE,), 2, 2),
        ((IMAGE,), 3, "at most 2"),
        ((IMAGE,), 0, "at most 2"),  # of a batch
        ((IMAGE,), -6, "at most 2"),
        ((VIDEO,), 1, "2"),
        ((MASK,), None, 1),
        ((MASK,), 2, "1|at most 1"),
        ((VIDEO[:, 0], torch.zeros(2, 5, 3, 6, 7)), None, 1),
        ((torch.zeros(2, 5, 3, 6, 7), VIDEO[:, 0]), None, 1),
    ],
)
def test_the_time_of_torchvisions_types(given, axis, expected):
    named = {f"clip{k}": (tv_tensors.wrap(a, like=VIDEO) if a.ndim == 5 and k == 0 else a) for k, a in enumerate(given)}
    if not isinstance(expected, str):
        assert arrays.time_axis(named, axis) == expected
        return
    with pytest.raises(ValueError, match=rf"^time_dim must be ({expected}) for clip0, a tv_tensors.\w+ of .*={axis}$"):
        arrays.time_axis(named, axis)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(
    ("tensor", "right"), [(VIDEO, {2}), (IMAGE, {0, 1, 2}), (MASK, {0, 1}), (torch.zeros(2, 3, 4), {0, 1, 2})]
)
def test_the_axis_that_is_read_is_that_of_the_type(tensor, right, axis):
    if axis in right:
        arrays.check_time("frames", tensor, axis)
        return
    with pytest.raises(
        ValueError, match=rf"^frames must have time at axis {axis}, got .*whose pictures take [23] axes$"
    ):
        arrays.check_time("frames", tensor, axis)


class Derived(torch.Tensor):
    """A tensor of no type of torchvision's."""


def test_rows_and_columns_of_other_types_lie_beside_the_channels():
    for make in (lambda t: t, lambda t: t.as_subclass(Derived)):
        assert arrays.picture_axes("clip", make(torch.zeros(2, 5, 6, 7, 3)), 1, None) == (2, 3)
        assert arrays.picture_axes("clip", make(torch.zeros(2, 5, 3, 6, 7)), 1, None) == (3, 4)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (torch.ones(2, 5, 4), "one library, got numpy and torch"),
        (np.ones((2, 5, 4), np.uint8), "one dtype, got torch.float32 and torch.uint8"),
        (
            np.ones((3, 5, 4), np.float32),
            r"one shape but for the frames, got \(\(2,\), \(4,\)\) and \(\(3,\), \(4,\)\)",
        ),
        (
            np.ones((2, 5, 3), np.float32),
            r"one shape but for the frames, got \(\(2,\), \(4,\)\) and \(\(2,\), \(3,\)\)",
        ),
        (np.ones((2, 9, 4), np.float32), ""),
    ],
)
def test_what_two_arrays_have_in_common(second, message):
    given = {"first": ONES, "second": second}
    looks = [arrays.look(name, array, 1) for name, array in given.items()]
    if not message:
        arrays.check_alike(given, looks)
        return
    with pytest.raises(ValueError, match=f"^first and second must have {message}$"):
        arrays.check_alike(given, looks)
    with pytest.raises(ValueError, match=f"^first and second must have {message}$"):
        gpuaug.concatenate(ONES, second, length=4, center=2)


def test_two_devices():
    looks = [
        (clips, dtype, torch.device(at)) for at in ("cpu", "cuda:1") for clips, dtype, _ in [arrays.look("a", ONES, 1)]
    ]
    with pytest.raises(ValueError, match=r"^a and b must have one device, got cpu and cuda:1$"):
        arrays.check_alike({"a": ONES, "b": ONES}, looks)


def test_the_library_of_an_array(monkeypatch):
    known, unknown = types.ModuleType("known"), types.ModuleType("unknown")
    known.from_dlpack = lambda out: ("known", out)
    for module in (known, unknown):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    of_known, of_unknown = (type("Array", (), {"__module__": f"{m}.deep.inside"})() for m in ("known", "unknown"))
    of_standard = type("Array", (), {"__module__": "unknown", "__array_namespace__": lambda self: known})()
    assert [arrays.library(a) for a in (of_known, of_standard, ONES, torch.ones(1))] == [known, known, np, torch]
    out = torch.ones(2)
    assert arrays.alike(out, [of_known]) == ("known", out)
    assert arrays.alike(out, [torch.ones(1), of_known]) is out
    with pytest.raises(ValueError, match=r"^arrays must belong to a library with from_dlpack, got Array$"):
        arrays.library(of_unknown)
