"""How plans and edits reach a kernel, by hand: taps of two arrays, dense frames, rounded results."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpuaug import execute, values
from gpuaug.arrays import view
from gpuaug.edits import Frames


def lists(shown):
    return [
        column[..., k].tolist() for column in (shown.clip, shown.frame, shown.weight) for k in range(column.shape[2])
    ]


def test_samples_of_the_second_array_are_the_clips_behind_those_of_the_first():
    first, second = np.array([[0, 1]]), np.array([[5, 6], [7, 8]])
    cut = execute._two_taps(Frames(first, second, np.array([[False, True]])), 2, 2)
    assert lists(cut) == [[[0, 2], [1, 3]], [[0, 6], [0, 8]], [[1, 1], [1, 1]]]
    mixed = execute._two_taps(Frames(first, second, np.array([[0.25, 1.0]])), 2, 2)
    assert lists(mixed) == [
        *([[0, 0], [1, 1]], [[2, 2], [3, 3]]),
        *([[0, 1], [0, 1]], [[5, 6], [7, 8]]),
        *([[0.75, 0], [0.75, 0]], [[0.25, 1], [0.25, 1]]),
    ]
    assert [column.dtype for column in (mixed.clip, mixed.frame, mixed.weight)] == [np.int32, np.int32, np.float32]


@pytest.mark.parametrize(
    ("make", "dense"),
    [
        (lambda t: t, True),
        (lambda t: t[::2, 1:], True),  # from clip to clip and frame to frame any steps
        (lambda t: t[:, :, :2], True),
        (lambda t: t[:, :, :, :2], False),
        (lambda t: t[..., :1], False),
        (lambda t: t[..., ::2], False),
        (lambda t: t.flip(4), True),  # a copy
        (lambda t: t.transpose(2, 3), False),
        (lambda t: t[:, :, :1, :1, :1], True),
        (lambda t: t[:, :, 0, 0, 0], True),
        (lambda t: t[:, :, :1].transpose(2, 3), True),  # axes of one element do not count
        (lambda t: t[:, :, :, :1].transpose(2, 3), False),
        (lambda t: t[:1].expand(4, -1, -1, -1, -1), True),
        (lambda t: t[:, :, :1].expand(-1, -1, 4, -1, -1), False),
    ],
)
def test_frames_that_lie_in_memory_as_in_their_shape(make, dense):
    assert execute._is_dense(view(make(torch.zeros(4, 6, 3, 4, 5)))) == dense


def test_what_is_written_as_bytes_is_the_nearest_one():
    out = torch.zeros(8, dtype=torch.uint8)
    execute._fill(out, np.array([-5, 0.49, 0.5, 1.5, 254.5, 254.49, 255.6, 300]))
    assert out.tolist() == [0, 0, 1, 2, 255, 254, 255, 255]
    real = torch.zeros(2)
    execute._fill(real, np.array([-5.25, 300.5]))
    assert real.tolist() == [-5.25, 300.5]


# ---- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, [3]),
        ([1, 2], [1, 2]),
        (2.0, [2]),
        (np.uint64(7), [7]),
        (np.array([1.0, -2.0]), [1, -2]),
        (-(2.0**62), [-(2**62)]),
    ],
)
def test_whole_numbers(value, expected):
    found = values.integers("n", value)
    assert found.dtype == np.int64
    assert np.ravel(found).tolist() == expected


@pytest.mark.parametrize("value", [0.5, 2.0**63, float("inf"), float("nan"), [1, 1.5], np.array([2**63], np.uint64)])
def test_numbers_that_are_not_whole(value):
    with pytest.raises(ValueError, match="n must be whole numbers of 64 bits, got n="):
        values.integers("n", value)


@pytest.mark.parametrize(
    ("value", "right"), [(1, True), (2**62 - 1, True), (0, False), (-1, False), (True, False), ([1], False)]
)
def test_positive_numbers(value, right):
    if right:
        assert values.positive("n", value) == value
        assert values.positive("n", np.int64(value)) == value
    else:
        with pytest.raises(ValueError, match=r"n must be (a whole number ≥ 1|numbers), got"):
            values.positive("n", value)


def test_values_per_sample():
    assert values.per_sample("n", 3, 5) == 3
    assert values.per_sample("n", [3], 5).tolist() == [[3]]
    assert values.per_sample("n", [3, 4], 2).tolist() == [[3], [4]]
    assert values.per_sample("x", [0.5, 4], 2, whole=False).tolist() == [[0.5], [4]]
    assert values.per_sample("x", 0.5, 2, whole=False) == 0.5
    for wrong in ([1, 2, 3], [[1, 2]]):
        with pytest.raises(ValueError, match=r"n must be a scalar or one value per sample \(2\), got shape"):
            values.per_sample("n", wrong, 2)
    for far in (2**62, -(2**62), [0, 2**62]):
        with pytest.raises(ValueError, match=r"n must be between -2\^62 and 2\^62, got n="):
            values.per_sample("n", far, 2)
    assert values.per_sample("n", [2**62 - 1], 1).tolist() == [[2**62 - 1]]


def test_one_number_of_samples():
    assert values.batch({}) == values.batch({"a": 1, "b": 1}) == 1
    assert values.batch({"a": 1, "b": 4, "c": 4}) == 4
    with pytest.raises(ValueError, match=r"got \[2, 4\]: b has 2, a has 4"):
        values.batch({"a": 4, "b": 2, "c": 1, "d": 2})
    assert values.batch({"a": 0, "b": 1}) == 0


def test_the_first_value_that_breaks_a_rule_is_told():
    values.require(np.array([True, True]), "x={}", np.array([1, 2]))
    with pytest.raises(values.TooShort, match=r"^x=7$"):
        values.require(np.array([[True, False], [True, False]]), "x={}", np.array([5, 7]), values.TooShort)
    with pytest.raises(ValueError, match=r"^x=5$"):
        values.require(np.bool_(False), "x={}", np.array([5, 7]))
