"""The edits on arrays: one body over all libraries, implementations, dtypes, axes and strides; the truth is NumPy's."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import torch

from gpuaug import Plan, blend, edits, functional
from support import kernel_implementations


class Foreign:
    """An array of a library that we know nothing of but DLPack and the array API standard."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __dlpack__(self, **keep):
        return self.tensor.__dlpack__(**keep)

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()

    def __array_namespace__(self):
        return Foreign

    @staticmethod
    def from_dlpack(array):
        return Foreign(torch.from_dlpack(array))


class Older(Foreign):
    """One that only has from_dlpack in its package (here: this module), as CuPy."""

    __array_namespace__ = property()


Older.__module__ = "older"  # where the library is looked for
older = types.ModuleType("older")
older.from_dlpack = lambda array: Older(torch.from_dlpack(array))
sys.modules["older"] = older


def to_cupy(tensor):
    cupy = pytest.importorskip("cupy")
    return cupy.from_dlpack(tensor.cuda())


def to_jax(tensor):
    return pytest.importorskip("jax.numpy").from_dlpack(tensor.contiguous())


# name: (from a torch tensor on the CPU, back to one, type of the array)
LIBRARIES = {
    "torch": (lambda t: t, lambda a: a, torch.Tensor),
    "numpy": (lambda t: t.numpy(), torch.from_numpy, np.ndarray),
    "foreign": (Foreign, lambda a: a.tensor, Foreign),
    "older": (Older, lambda a: a.tensor, Older),
    "jax": (to_jax, torch.from_dlpack, object),
    "cuda": (lambda t: t.cuda(), lambda a: a.cpu(), torch.Tensor),
    "cupy": (to_cupy, lambda a: torch.from_dlpack(a).cpu(), object),
}
ON_GPU = ("cuda", "cupy")
PARAMETERS = [
    pytest.param((name, serves), id=f"{name}-{serves}", marks=[pytest.mark.gpu] * (name in ON_GPU))
    for name in LIBRARIES
    for serves in (["cuda"] if name in ON_GPU else ["reference", "host", "emulated"])
]
DTYPES = [torch.uint8, torch.float16, torch.bfloat16, torch.float32]


cpu = kernel_implementations.cpu


@pytest.fixture(params=PARAMETERS)
def library(request, monkeypatch):
    """How to make and read the arrays of a library, with one implementation in charge of them."""
    name, serves = request.param
    kernel_implementations.put_in_charge(serves, monkeypatch)
    return LIBRARIES[name]


def arrays(count, shape, dtype, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (count, *shape))
    return [torch.from_numpy(v).to(dtype) for v in values]


def exact(tensor):
    return tensor.to(torch.float64).numpy()


def rounded(value, dtype):
    """Float64 to `dtype`: uint8 to the nearest, halves upwards."""
    tensor = torch.from_numpy(value)
    return torch.floor(tensor + 0.5).to(dtype) if dtype == torch.uint8 else tensor.to(dtype)


def same(got, expected):
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    step = 0.01 if got.dtype == torch.bfloat16 else 0.002
    torch.testing.assert_close(got.double(), expected.double(), rtol=step if got.dtype.is_floating_point else 0, atol=0)


def skip_bfloat16_in_numpy(library, dtype):
    if library[2] is np.ndarray and dtype == torch.bfloat16:
        pytest.skip("NumPy has no bfloat16")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("center", "overlap"), [(4, 4), (4, 0), ([2, 4, 5], [4, 2, 0]), (8, 0), (0, 0)])
def test_crossfade(library, dtype, center, overlap):
    """BSP Eq. (1), frame by frame as in the docstring of gpuaug.edits.crossfade."""
    skip_bfloat16_in_numpy(library, dtype)
    give, back, kind = library
    first, second = arrays(2, (3, 8, 5, 2), dtype)
    got = functional.crossfade(give(first), give(second), length=8, center=center, overlap=overlap)
    assert isinstance(got, kind)
    expected = np.zeros(first.shape)
    for n, i in np.ndindex(3, 8):
        c, o = (int(np.broadcast_to(v, 3)[n]) for v in (center, overlap))
        j = i - (c - o // 2)
        if j < 0:
            expected[n, i] = exact(first)[n, i]
        elif j < o:
            weight = (j + 1) / o
            expected[n, i] = (1 - weight) * exact(first)[n, i] + weight * exact(second)[n, j]
        else:
            expected[n, i] = exact(second)[n, j]
    same(back(got), rounded(expected, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_concatenate(library, dtype):
    skip_bfloat16_in_numpy(library, dtype)
    give, back, _ = library
    first, second = arrays(2, (2, 4, 3), dtype)
    got = functional.concatenate(give(first), give(second), length=5, center=[2, 3])
    expected = torch.stack([torch.cat([first[n, :c], second[n, : 5 - c]]) for n, c in enumerate((2, 3))])
    assert torch.equal(back(got), expected)


def test_resample_speed(library):
    """BSP Eq. (3): nearest frame, halves upwards."""
    give, back, _ = library
    (clip,) = arrays(1, (3, 12, 4), torch.uint8)
    change, rate = [3, 2, 5], [0.5, 3.0, 1.0]
    got = back(functional.resample_speed(give(clip), length=5, change_point=change, rate=rate))
    for n, (t, r) in enumerate(zip(change, rate)):
        index = [i if i < t else int(np.floor(t - 1 + r * (i - t + 1) + 0.5)) for i in range(5)]
        assert torch.equal(got[n], clip[n, index])


@pytest.mark.parametrize("dtype", DTYPES)
def test_paste(library, dtype):
    skip_bfloat16_in_numpy(library, dtype)
    give, back, _ = library
    (background,), (region,) = arrays(1, (2, 7, 3), dtype), arrays(1, (2, 3, 3), dtype, seed=1)
    got = functional.paste(give(background), give(region), start=[1, 4], stop=[3, 7], opacity=[0.6, 1.0])
    expected = exact(background).copy()
    for n, (start, stop, opacity) in enumerate(((1, 3, 0.6), (4, 7, 1.0))):
        for i in range(start, stop):
            expected[n, i] = opacity * exact(region)[n, i - start] + (1 - opacity) * exact(background)[n, i]
    same(back(got), rounded(expected, dtype))


def test_take(library):
    give, back, _ = library
    (clip,) = arrays(1, (2, 5, 3), torch.uint8)
    assert torch.equal(back(functional.take(give(clip), [4, 3, 2, 1, 0])), clip.flip(1))
    each = back(functional.take(give(clip), [[0, 0], [4, 2]]))
    assert torch.equal(each, torch.stack([clip[0, [0, 0]], clip[1, [4, 2]]]))


@pytest.mark.parametrize("time_dim", [1, 2, 3, 4, -1, -4])
def test_time_axis_anywhere(library, time_dim):
    give, back, _ = library
    shape = [2, 3, 4, 5]
    shape.insert(time_dim % 5, 6)
    first, second = arrays(2, shape, torch.uint8)
    got = back(functional.crossfade(give(first), give(second), length=8, center=4, overlap=2, time_dim=time_dim))
    moved = [t.movedim(time_dim, 1).contiguous() for t in (first, second)]
    assert torch.equal(got.movedim(time_dim, 1), functional.crossfade(*moved, length=8, center=4, overlap=2))
    assert got.is_contiguous()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_strides(library, dtype):
    """Sliced, permuted and expanded inputs give what dense copies give, and are not changed."""
    give, back, _ = library
    for make in (
        lambda t: t[:, ::2],
        lambda t: t.permute(0, 1, 4, 3, 2),
        lambda t: t[:1].expand(4, -1, -1, -1, -1),
        lambda t: t[:, 1:9, 1:, :, 1:2],
        lambda t: t.transpose(0, 1)[:4],
    ):
        first, second = (make(t) for t in arrays(2, (4, 16, 5, 6, 3), dtype))
        length = first.shape[1]
        keep = {"length": length, "center": length // 2, "overlap": 2}
        before = first.clone()
        got = back(functional.crossfade(give(first), give(second.contiguous()), **keep))
        assert torch.equal(got, functional.crossfade(first.contiguous(), second.contiguous(), **keep))
        assert torch.equal(first, before)


LAYOUTS = {  # of (3, 8, 5, 4) in memory; the first three have dense frames
    "dense": lambda t: t,
    "every other frame": lambda t: torch.stack([t, t + 1], 2).flatten(1, 2)[:, ::2],
    "one clip for all": lambda t: t[:1].expand(3, -1, -1, -1),
    "columns apart": lambda t: torch.stack([t, t + 1], 4)[..., 0],
    "columns first": lambda t: t.transpose(2, 3).contiguous().transpose(2, 3),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("threads", [1, 3])
def test_copies_show_what_the_plan_shows(cpu, layout, threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    first, second = (LAYOUTS[layout](a) for a in arrays(2, (3, 8, 5, 4), torch.uint8))
    one, two = (Plan.take(i + np.arange(3), range(8)) for i in (0, 3))
    clips = [*first, *second]
    for center in (0, 3, 8, [1, 8, 5]):
        plan = edits.concatenate(one, two, length=8, center=center)
        assert torch.equal(functional.concatenate(first, second, length=8, center=center), blend(clips, plan))
    speed = {"length": 6, "change_point": [2, 6, 3], "rate": [0.5, 9.0, 1.5]}
    assert torch.equal(functional.resample_speed(first, **speed), blend(clips, edits.resample_speed(one, **speed)))
    for order in ([7, 0, 0], [[1, 2], [3, 4], [7, 6]]):
        assert torch.equal(functional.take(first, order), blend(clips, edits.take(one, order)))


def test_frames_of_a_megabyte_are_copied_by_several_threads(cpu):
    clip = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 5, 3, 300, 301), dtype=np.uint8))
    assert torch.equal(functional.take(clip, [4, 0, 2]), clip[:, [4, 0, 2]])


def test_numpy_read_only_and_reversed(cpu):
    array = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    array.flags.writeable = False
    assert np.array_equal(functional.take(array, [3, 0]), array[:, [3, 0]])
    assert np.array_equal(functional.take(array[:, ::-1, ::-1], [3, 0]), array[:, [0, 3], ::-1])


def test_inputs_are_not_copied(cpu):
    """A few frames of two arrays of 32 GB (one megabyte, expanded): a copy of the inputs would not fit anywhere."""
    clips = torch.zeros(1, 1, 1 << 20, dtype=torch.uint8).expand(64, 512, -1)
    assert functional.take(clips, [511]).shape == (64, 1, 1 << 20)
    assert functional.crossfade(clips, clips, length=2, center=1, overlap=2).shape == (64, 2, 1 << 20)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: functional.take([[1, 2]], [0]), "clip must be a torch, NumPy, CuPy or DLPack array, got list"),
        (lambda a: functional.take(a.astype(np.int64), [0]), "clip must be uint8, float16 or float32, got int64"),
        (
            lambda a: functional.take(torch.from_numpy(a).long(), [0]),
            "clip must be uint8, float16, bfloat16 or float32",
        ),
        (
            lambda a: functional.take(a, [0], time_dim=0),
            "time_dim must be an axis of clip behind the batch axis, got time_dim=0",
        ),
        (lambda a: functional.take(a, [0], time_dim=3), "got time_dim=3, ndim=3"),
        (lambda a: functional.take(a[0, 0], [0]), "got time_dim=1, ndim=1"),
        (lambda a: functional.take(torch.zeros(1, 2, requires_grad=True), [0]), "clip must not require gradients"),
        (lambda a: functional.take(a[:0], [0]), "clip must not be empty"),
        (lambda a: functional.take(a, [6]), r"frames must be in \[0, 5\], got frames=6"),
        (lambda a: functional.take(a, np.zeros((3, 2))), r"got \(3, 2\)|3 values"),
        (
            lambda a: functional.concatenate(a, torch.from_numpy(a), length=4, center=2),
            "first and second must have one library",
        ),
        (lambda a: functional.concatenate(a, a.astype(np.float32), length=4, center=2), "must have one dtype"),
        (
            lambda a: functional.concatenate(a, a[:, :, 1:], length=4, center=2),
            "must have one shape but for the frames",
        ),
        (lambda a: functional.crossfade(a, a, length=6, center=3, overlap=3), "overlap must be even"),
        (lambda a: functional.crossfade(a, a, length=6, center=[3, 3, 3], overlap=2), "3"),
    ],
)
def test_errors_name_argument_and_rule(cpu, call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call(np.zeros((2, 6, 5), np.uint8))
    assert "\n" not in str(caught.value)
