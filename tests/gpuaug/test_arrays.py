"""Arrays as they come: every dtype, byte order, alignment, stride and type is read rightly or refused in one line."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gpuaug
from gpuaug import Plan
from support import kernel_implementations

cpu = kernel_implementations.cpu

# name: (the edit of one or two arrays, what it shows in plain NumPy); the values are small, so that means are exact
EDITS = {
    "take": (lambda a, b: gpuaug.take(a, [3, 0, 3]), lambda a, b: a[:, [3, 0, 3]]),
    "concatenate": (
        lambda a, b: gpuaug.concatenate(a, b, length=4, center=2),
        lambda a, b: np.concatenate([a[:, :2], b[:, :2]], 1),
    ),
    "crossfade": (
        lambda a, b: gpuaug.crossfade(a, b, length=4, center=2, overlap=2),
        lambda a, b: np.stack([a[:, 0], (a[:, 1] + b[:, 0]) / 2, b[:, 1], b[:, 2]], 1),
    ),
    "resample_speed": (
        lambda a, b: gpuaug.resample_speed(a, length=3, change_point=2, rate=2),
        lambda a, b: a[:, [0, 1, 3]],
    ),
    "paste": (
        lambda a, b: gpuaug.paste(a, b, start=1, stop=3, opacity=0.5),
        lambda a, b: np.stack([a[:, 0], (a[:, 1] + b[:, 0]) / 2, (a[:, 2] + b[:, 1]) / 2, a[:, 3]], 1),
    ),
}


def filled(like, seed):
    """Even numbers of 0…126 in the memory of an array, also where elements share it."""
    like[...] = 2 * np.random.default_rng(seed).integers(0, 64, like.shape)
    return like


def record(dtype):
    """A field between others: elements neither side by side nor at multiples of their size."""
    return np.zeros((2, 4, 5, 3), [("before", "u1"), ("pixel", dtype), ("after", "u1")])["pixel"]


def shifted(dtype):
    size = 2 * 4 * 5 * 3 * np.dtype(dtype).itemsize
    return np.frombuffer(bytearray(size + 1), dtype, offset=1).reshape(2, 4, 5, 3)


def overlapping(dtype):
    return np.lib.stride_tricks.sliding_window_view(np.zeros((2, 4, 7), dtype), 3, 2, writeable=True)


LAYOUTS = {  # of (2, 4, 5, 3)
    "dense": lambda dtype: np.zeros((2, 4, 5, 3), dtype),
    "reversed": lambda dtype: np.zeros((2, 4, 5, 3), dtype)[::-1, ::-1, ::-1, ::-1],
    "time reversed": lambda dtype: np.zeros((2, 4, 5, 3), dtype)[:, ::-1],
    "every other": lambda dtype: np.zeros((4, 8, 10, 6), dtype)[::2, ::2, 1::2, ::2],
    "Fortran": lambda dtype: np.zeros((2, 4, 5, 3), dtype, order="F"),
    "rows overlap": overlapping,
    "not aligned": shifted,
    "field": record,
}


@pytest.mark.parametrize("edit", EDITS)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dtype=st.sampled_from(["u1", "f2", "f4"]),
    orders=st.tuples(*[st.sampled_from("<>")] * 2),
    layouts=st.tuples(*[st.sampled_from(sorted(LAYOUTS))] * 2),
    read_only=st.booleans(),
    samples=st.sampled_from([None, 3]),
)
def test_numpy_arrays_of_any_memory(cpu, edit, dtype, orders, layouts, read_only, samples):
    """Both arrays may differ in byte order and strides; a batch may be one clip, broadcast."""
    first, second = (filled(LAYOUTS[at](order + dtype), seed) for seed, (at, order) in enumerate(zip(layouts, orders)))
    if samples:
        first, second = (np.broadcast_to(array[:1], (samples, *array.shape[1:])) for array in (first, second))
    elif read_only:
        first.flags.writeable = second.flags.writeable = False
    before = first.copy()
    make, truth = EDITS[edit]
    got = make(first, second)
    assert type(got) is np.ndarray
    assert got.dtype == np.dtype(dtype)
    assert got.dtype.isnative
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, truth(first.astype(np.float64), second.astype(np.float64)))
    np.testing.assert_array_equal(first, before)


@pytest.mark.parametrize("time_dim", [2, 3, -1])
@pytest.mark.parametrize("dtype", [">f2", ">f4"])
def test_another_byte_order_on_any_time_axis(cpu, dtype, time_dim):
    clip = filled(np.zeros((2, 4, 4, 4), dtype), 0)
    got = gpuaug.take(clip, [3, 0, 3], time_dim=time_dim)
    np.testing.assert_array_equal(got, np.take(clip.astype(np.float64), [3, 0, 3], time_dim))


def test_a_wrong_byte_order_would_be_noticed():
    """Negative control: the bytes read as they lie are other numbers."""
    clip = filled(np.zeros((2, 4, 5, 3), ">f4"), 0)
    assert (clip.view("<f4") != clip).any()


def test_a_file_in_memory(cpu, tmp_path):
    """np.memmap is an array and nothing else; the result is one in memory."""
    filled(np.memmap(tmp_path / "clips", ">f4", "w+", offset=3, shape=(2, 4, 5, 3)), 0)
    clip = np.memmap(tmp_path / "clips", ">f4", "r", offset=3, shape=(2, 4, 5, 3))
    got = gpuaug.take(clip, [3, 0])
    assert type(got) is np.ndarray
    np.testing.assert_array_equal(got, np.array(clip)[:, [3, 0]])


def test_negated_on_reading(cpu):
    """torch marks the imaginary part of a conjugate as negative and leaves its memory as it is."""
    clip = torch.complex(torch.zeros(2, 3), torch.arange(6.0).view(2, 3)).conj().imag
    assert clip.is_neg()
    expected = [[-1.0, 0.0], [-4.0, -3.0]]
    assert gpuaug.take(clip, [1, 0]).tolist() == expected
    assert gpuaug.blend(clip, Plan.take([0, 1], [[1, 0]])).tolist() == expected
    pixels = torch.zeros(1, 1, 1, 1, 1, dtype=torch.uint8)
    out = torch.zeros(1, 1, 1, 1, 1, dtype=torch.complex64).conj().imag
    with pytest.raises(ValueError, match="out must hold its values as they are"):
        gpuaug.render(pixels, Plan.take(0, [0]), size=(1, 1), out=out)


class Wrapper(torch.Tensor):
    """As DTensor: a tensor that holds others and has no memory of its own."""

    @staticmethod
    def __new__(cls):
        return torch.Tensor._make_wrapper_subclass(cls, (2, 4, 5), dtype=torch.float32)

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        raise NotImplementedError(function)


class Derived(torch.Tensor):
    """As MONAI's MetaTensor: values and more."""


def freed():
    clip = torch.ones(2, 4, 5)
    clip.untyped_storage().resize_(0)
    return clip


ONES = np.ones((2, 4, 5), np.float32)
REFUSED = {  # what is given: (how to make it, what the message says)
    **{
        name: (lambda name=name: ONES.astype(name), "must be uint8, float16 or float32, got")
        for name in ("bool", "int8", "int64", "uint16", ">i2", "float64", ">f8", "longdouble", "complex64", "object")
    },
    "times": (lambda: ONES.astype("m8[s]"), "must be uint8, float16 or float32, got timedelta64"),
    "text": (lambda: ONES.astype("U1"), "must be uint8, float16 or float32, got <U1"),
    "a record": (lambda: np.zeros((2, 4), "u1,f4"), "must be uint8, float16 or float32, got .*f0"),
    "a mask": (lambda: np.ma.array(ONES, mask=ONES > 0), "must be a plain NumPy array, got a MaskedArray, whose mask"),
    "no mask yet": (lambda: np.ma.array(ONES), "must be a plain NumPy array, got a MaskedArray, whose mask"),
    "np.matrix": (lambda: ONES[0].view(np.matrix), "must be a plain NumPy array, got a matrix"),
    "np.recarray": (lambda: ONES.view(np.recarray), "must be a plain NumPy array, got a recarray"),
    "a scalar": (lambda: np.float32(1), "must be a torch, NumPy, CuPy or DLPack array, got float32"),
    "no axis": (lambda: np.array(1, np.float32), "time_dim must be an axis of clip behind the batch axis, .*ndim=0"),
    "no frame": (lambda: ONES[:, :0], r"must not be empty, got shape \(2, 0, 5\)"),
    "no pixel": (lambda: torch.ones(2, 4, 0), r"must not be empty, got shape \(2, 4, 0\)"),
    "a list": (lambda: ONES.tolist(), "must be a torch, NumPy, CuPy or DLPack array, got list"),
    "a file": (lambda: io.BytesIO(), "must be a torch, NumPy, CuPy or DLPack array, got BytesIO"),
    "torch.bool": (lambda: torch.ones(2, 4, dtype=torch.bool), "must be uint8, .*, got torch.bool"),
    "torch.int64": (lambda: torch.ones(2, 4, dtype=torch.int64), "must be uint8, .*, got torch.int64"),
    "torch.complex64": (lambda: torch.ones(2, 4, dtype=torch.complex64), "must be uint8, .*, got torch.complex64"),
    "sparse": (lambda: torch.ones(2, 4).to_sparse(), "must have memory of its own, got torch.sparse_coo"),
    "mkldnn": (lambda: torch.ones(2, 4).to_mkldnn(), "must have memory of its own, got torch._mkldnn"),
    "freed": (freed, "must have memory of its own, got torch.strided on cpu"),
    "meta": (lambda: torch.ones(2, 4, device="meta"), "must be on the CPU or a GPU, got device meta"),
    "wrapped": (Wrapper, "must be a plain tensor or one of torchvision's .*, got Wrapper"),
    "derived": (lambda: torch.ones(2, 4).as_subclass(Derived), "must be a plain tensor .*, got Derived"),
    "gradients": (lambda: torch.ones(2, 4, requires_grad=True), "must not require gradients"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_in_one_line(cpu, what):
    """Their memory is not what their values are, or is not there: read all the same they are wrong, or a crash."""
    make, message = REFUSED[what]
    with pytest.raises(ValueError, match=message) as caught:
        gpuaug.take(make(), [0, 0])
    assert "clip" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_second_array_is_looked_at_too(cpu):
    for second in (np.ma.array(ONES), ONES.astype(bool)):
        with pytest.raises(ValueError, match="second must be"):
            gpuaug.concatenate(ONES, second, length=2, center=1)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("sparse", "frames must have memory of its own"),
        ("freed", "frames must have memory of its own"),
        ("wrapped", "frames must be a plain tensor"),
        ("derived", "frames must be a plain tensor"),
        ("gradients", "frames must not require gradients"),
    ],
)
def test_blend_refuses_the_same(cpu, what, message):
    frames = REFUSED[what][0]()
    for given_ in [frames] if what == "freed" else [frames, [frames]]:  # torch itself makes no list's bank of the freed
        with pytest.raises(ValueError, match=message):
            gpuaug.blend(given_, Plan.take(0, [0]))


def test_parameters_of_a_module_are_plain_tensors(cpu):
    clip = torch.nn.Parameter(torch.arange(6.0).view(2, 3))
    with torch.no_grad():
        assert gpuaug.take(clip, [2]).tolist() == [[2.0], [5.0]]
        assert type(gpuaug.take(clip, [2])) is torch.Tensor


def test_inside_vmap_there_is_no_memory(cpu):
    with pytest.raises(ValueError, match="clip must have memory of its own"):
        torch.vmap(lambda clip: gpuaug.take(clip, [0]))(torch.ones(2, 3, 4))
