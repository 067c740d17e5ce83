"""One property of the edits over libraries × dtypes × byte orders × strides × read-only × zero size: NumPy's values."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torchvision import tv_tensors

import gpuaug
from gpuaug import arrays

TORCH = {"u1": torch.uint8, "f2": torch.float16, "f4": torch.float32, "bf16": torch.bfloat16}


RULES = {  # the edit of one or two arrays, and what it shows in plain NumPy, of arrays with time in front
    "take": (lambda a, b, **how: gpuaug.take(a, [3, 0, 3], **how), lambda a, b: a[[3, 0, 3]]),
    "reverse": (lambda a, b, **how: gpuaug.take(a, [3, 2, 1, 0], **how), lambda a, b: a[3::-1]),
    "freeze": (
        lambda a, b, **how: gpuaug.freeze(a, length=5, start=1, duration=3, **how),
        lambda a, b: a[[0, 1, 1, 1, 2]],
    ),
    "concatenate": (
        lambda a, b, **how: gpuaug.concatenate(a, b, length=4, center=2, **how),
        lambda a, b: np.concatenate([a[:2], b[:2]]),
    ),
    "crossfade": (
        lambda a, b, **how: gpuaug.crossfade(a, b, length=4, center=2, overlap=2, **how),
        lambda a, b: np.stack([a[0], (a[1] + b[0]) / 2, b[1], b[2]]),
    ),
}


@st.composite
def layouts(draw, reversible):
    """A function from a dense array to one of the same values in another memory: axes stored in any order, with steps,
    reversed (NumPy alone), the batch broadcast; and whether it is, so that values repeat."""
    order = draw(st.permutations(range(5)))
    steps = draw(st.tuples(*[st.sampled_from([1, 1, 2, -1, -3] if reversible else [1, 1, 2, 3])] * 5))
    return order, steps


def numpy_in(array, layout):
    """The values in memory of that order and steps."""
    order, steps = layout
    big = [size * abs(step) for size, step in zip(array.shape, steps)]
    memory = np.zeros([big[axis] for axis in order], array.dtype).transpose(np.argsort(order))
    found = memory[tuple(slice(None, None, step) for step in steps)]
    found[...] = array
    return found


def torch_in(array, layout):
    order, steps = layout
    big = [size * step for size, step in zip(array.shape, steps)]
    memory = torch.zeros([big[axis] for axis in order], dtype=array.dtype).permute(np.argsort(order).tolist())
    found = memory[tuple(slice(None, None, step) for step in steps)]
    return found.copy_(array)


def of_numpy(array, dtype, layout, read_only, swapped):
    found = numpy_in(array.astype(np.dtype(dtype).newbyteorder("S" if swapped else "=")), layout)
    found.flags.writeable = not read_only
    return found


def of_torch(array, dtype, layout, read_only, swapped):
    return torch_in(torch.from_numpy(array.copy()).to(TORCH[dtype]), layout)


def of_parameter(array, dtype, layout, read_only, swapped):
    return torch.nn.Parameter(of_torch(array, dtype, layout, read_only, swapped), requires_grad=False)


def of_video(array, dtype, layout, read_only, swapped):
    return tv_tensors.Video(of_torch(array, dtype, layout, read_only, swapped))


def of_jax(array, dtype, layout, read_only, swapped):
    jax_numpy = pytest.importorskip("jax.numpy")
    return jax_numpy.asarray(array, "bfloat16" if dtype == "bf16" else np.dtype(dtype))


LIBRARIES = {  # name: (how it is made, dtypes, the type of the result)
    "numpy": (of_numpy, ["u1", "f2", "f4"], np.ndarray),
    "torch": (of_torch, list(TORCH), torch.Tensor),
    "parameter": (of_parameter, ["f2", "f4", "bf16"], torch.Tensor),
    "video": (of_video, list(TORCH), tv_tensors.Video),
    "jax": (of_jax, list(TORCH), None),
}


def values_of(array):
    if isinstance(array, torch.Tensor):
        return array.detach().to(torch.float64).as_subclass(torch.Tensor).numpy()
    return np.asarray(array, np.float64)


@st.composite
def cases(draw, library):
    """Two arrays of one shape and dtype, the float64 values of both, the axis of time, and how that is said."""
    make, dtypes, _ = LIBRARIES[library]
    dtype = draw(st.sampled_from(dtypes))
    time = draw(st.sampled_from([1, 2] if library != "video" else [1]))
    shape = [draw(st.sampled_from(sizes)) for sizes in ([1, 2, 3, 0], [1, 2, 3], [1, 2, 4], [1, 3, 5])]
    shape.insert(time, draw(st.sampled_from([4, 5, 7, 0])))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    given, values = [], []
    for _ in range(2):
        values.append(2.0 * rng.integers(0, 64, shape))  # even and small: means are exact in every dtype
        layout = draw(layouts(library == "numpy"))
        options = {"read_only": draw(st.booleans()), "swapped": draw(st.booleans())}
        given.append(make(values[-1].astype(np.float32), dtype, layout, **options))
    return given, values, time, draw(st.sampled_from([time, time - 5]))


def check(library, rule, given, values, time, time_dim):
    edit, truth = RULES[rule]
    if 0 in values[0].shape:
        with pytest.raises(ValueError, match="must not be empty, got shape"):
            edit(*given, time_dim=time_dim)
        return
    got = edit(*given, time_dim=time_dim)
    expected = np.moveaxis(truth(*(np.moveaxis(each, time, 0) for each in values)), 0, time)
    np.testing.assert_array_equal(values_of(got), expected)
    for array, before in zip(given, values):
        np.testing.assert_array_equal(values_of(array), before)
    assert type(got) is (LIBRARIES[library][2] or type(given[0]))
    native = isinstance(got, np.ndarray)
    assert got.dtype == (given[0].dtype.newbyteorder("=") if native else given[0].dtype)


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), rule=st.sampled_from(sorted(RULES)))
def test_an_edit_is_numpys(library, rule, data):
    check(library, rule, *data.draw(cases(library)))


def test_strides_that_are_ignored_would_be_noticed():
    """Negative control: the memory of a reversed array read as if it were dense."""
    values = 2.0 * np.random.default_rng(0).integers(0, 64, (2, 4, 2, 3, 2))
    clip = of_numpy(values.astype(np.float32), "f4", (range(5), (1, -1, 1, 1, 1)), False, False)

    def dense(address, shape, strides, size, array):
        return real(address - 3 * 48, shape, (48, 12, 6, 2, 1), size, array)

    check("numpy", "take", [clip, clip], [values, values], 1, 1)
    real = arrays.StridedClips
    with mock.patch.object(arrays, "StridedClips", dense), pytest.raises(AssertionError):
        check("numpy", "take", [clip, clip], [values, values], 1, 1)
