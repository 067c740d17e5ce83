"""Columns of taps that are sorted, padded and mixed: answers by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gpuaug.layers import taps
from gpuaug.layers.columns import TAPS, Layers


def columns(clip, time, weight):
    return [np.array(clip), np.array(time, float), np.array(weight, np.float32)]


def lists(found):
    return [column.tolist() for column in found]


def test_taps_of_weight_0_come_last_and_are_the_first_again():
    found = taps.compact(
        columns([[[1, 2, 3], [4, 5, 6]]], [[[10, 20, 30], [40, 50, 60]]], [[[0, 0.5, 0.5], [1, 0, 0]]])
    )
    assert lists(found) == [[[[2, 3], [4, 4]]], [[[20, 30], [40, 40]]], [[[0.5, 0.5], [1, 0]]]]
    ordered = taps.compact(
        columns([[[1, 2, 3], [4, 5, 6]]], [[[10, 20, 30], [40, 50, 60]]], [[[1, 0.5, 0], [1, 0, 0]]])
    )
    assert lists(ordered) == [[[[1, 2], [4, 4]]], [[[10, 20], [40, 40]]], [[[1, 0.5], [1, 0]]]]
    nothing = taps.compact(columns([[[1, 2]]], [[[10, 20]]], [[[0, 0]]]))
    assert lists(nothing) == [[[[1]]], [[[10]]], [[[0]]]]
    before = columns([[[1, 2]]], [[[10, 20]]], [[[1, 0]]])
    taps.compact(before)
    assert lists(before) == [[[[1, 2]]], [[[10, 20]]], [[[1, 0]]]], "nobody else's arrays are changed"


def test_columns_of_layers_are_sorted_with_their_taps():
    layers = Layers.none((1, 1, 3))
    for k in range(3):
        for name in TAPS:
            getattr(layers, name)[0, 0, k] = k
    for weight, kept in (([0.5, 0, 1], [0, 2]), ([0, 0, 1], [2]), ([1, 1, 0], [0, 1]), ([0, 1, 1], [1, 2])):
        shown = [*columns([[[7, 8, 9]]], [[[7, 8, 9]]], [[weight]]), *(getattr(layers, name) for name in TAPS)]
        found = taps.compact(shown)
        assert found[taps.CLIP].tolist() == [[[7 + k for k in kept]]]
        assert found[taps.WEIGHT].tolist() == [[[weight[k] for k in kept]]]
        for name, column in zip(TAPS, found[3:]):
            assert (column == getattr(layers, name)[:, :, kept]).all(), name


def test_padded_taps_are_copies_of_weight_0():
    one = columns([[[1], [2]]], [[[10], [20]]], [[[1], [0.5]]])
    assert taps.pad(one, 1) is one
    assert lists(taps.pad(one, 3)) == [
        [[[1, 1, 1], [2, 2, 2]]],
        [[[10, 10, 10], [20, 20, 20]]],
        [[[1, 0, 0], [0.5, 0, 0]]],
    ]
    two = columns([[[3, 4], [5, 6]]], [[[30, 40], [50, 60]]], [[[1, 1], [1, 1]]])
    assert taps.stack([one, two])[taps.CLIP].tolist() == [[[1, 1], [2, 2]], [[3, 4], [5, 6]]]
    assert taps.stack([two, one])[taps.WEIGHT].tolist() == [[[1, 1], [1, 1]], [[1, 0], [0.5, 0]]]


@pytest.mark.parametrize("mask", [[True, False], [False, True], [True, True], [False, False]])
@pytest.mark.parametrize("count", [(1, 1), (1, 3), (3, 1), (2, 3), (2, 2)])
def test_one_or_the_other(mask, count):
    sides = []
    for begin, k in zip((10, 20), count):
        number = np.arange(begin, begin + 2 * k).reshape(1, 2, k)
        sides.append(columns(number, number / 10, np.full(number.shape, 0.25)))
    found = taps.where(np.array([mask]), *sides)
    for t, first in enumerate(mask):
        own = sides[0] if first else sides[1]
        k = own[0].shape[2]
        assert [column[0, t, :k].tolist() for column in found] == [column[0, t].tolist() for column in own]
        assert (found[taps.WEIGHT][0, t, k:] == 0).all()
    flat = taps.where(np.array([mask]), [np.array([[1, 2]])] * 2, [np.array([[3, 4]])] * 2)
    assert flat[1].tolist() == [[1 if mask[0] else 3, 2 if mask[1] else 4]]


def test_between_two_frames():
    """Mixed where both show the same clips, and masks; else the nearer, and of two as near the later."""
    time, weight = np.array([[[0.0, 10], [4.0, 30], [8.0, 50]]]), np.array([[[1.0, 0], [0.5, 0.5], [0, 1]]], np.float32)
    clip, mask = np.array([[[1, 2], [1, 2], [3, 2]]]), np.array([[[-1, 0], [-1, 0], [-1, 0]]])
    place = np.array([[[[0.0] * 4] * 2, [[1.0] * 4] * 2, [[2.0] * 4] * 2]])
    row, low = np.array([[0]]), np.array([[0, 0, 0, 1, 1, 1]])
    part = np.array([[0.25, 0.5, 0.75, 0.25, 0.5, 0.75]])
    found = taps.between([clip, time, weight, mask, place], row, low, low + 1, part)
    assert found[0][0, :, 0].tolist() == [1, 1, 1, 1, 3, 3]
    assert found[1][0].tolist() == [[1, 15], [2, 20], [3, 25], [4, 30], [8, 50], [8, 50]]
    assert found[2][0, :3].tolist() == [[0.875, 0.125], [0.75, 0.25], [0.625, 0.375]]
    assert found[2].dtype == np.float32
    assert found[4][0, :, 1, 3].tolist() == [0.25, 0.5, 0.75, 1, 2, 2]
    mask = np.array([[[-1, 0], [-1, 1], [-1, 0]]])  # other masks
    found = taps.between([clip, time, weight, mask, place], row, low[:, :3], low[:, :3] + 1, part[:, :3])
    assert found[1][0].tolist() == [[0, 10], [4, 30], [4, 30]]
    assert found[3][0, :, 1].tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("weight", "opacity"),
    [
        ([1], [1]),
        ([0.25, 0.75], [1, 0.75]),
        ([0.5, 0.25, 0.25], [1, 1 / 3, 0.25]),
        ([0, 0.25, 0.75], [0, 1, 0.75]),
        ([0.2, 0, 0.8], [1, 0, 0.8]),
        ([1 - 9e-6, 0], [1, 0]),  # as near as float32 sums come
    ],
)
def test_opacities_of_weights(weight, opacity):
    """Each by the sum up to it; laid over each other they give the weights again."""
    found = taps.opacities(np.array([[weight]], np.float32))
    np.testing.assert_allclose(found[0, 0], opacity, rtol=1e-6)
    assert found.dtype == np.float32
    left, seen = 1.0, []
    for share in found[0, 0, ::-1].tolist():
        seen.append(left * share)
        left *= 1 - share
    np.testing.assert_allclose(seen[::-1], weight, atol=2e-5)


@pytest.mark.parametrize("weight", [[0.5], [2.0], [0.5, 0.25], [1.5, -0.5], [1 - 2e-5, 0], [1 + 2e-5, 0]])
def test_weights_that_are_no_shares(weight):
    with pytest.raises(ValueError, match="weights of a plan must be ≥ 0 and sum to 1 to be laid"):
        taps.opacities(np.array([[weight]], np.float32))


def test_a_fade_of_layers_puts_the_single_tap_on_top():
    single, several = columns([[[1]]], [[[5]]], [[[1]]]), columns([[[2, 3]]], [[[6, 7]]], [[[1, 0.5]]])
    for alpha in (0.0, 0.25, 1.0):
        for first, second, share in ((several, single, alpha), (single, several, 1 - alpha)):
            clip, _, weight = taps.faded(first, second, np.array([[[alpha]]], np.float32))
            seen = [(c, w) for c, w in zip(clip[0, 0].tolist(), weight[0, 0].tolist()) if w]
            assert seen == [(2, 1), (3, 0.5)] * (share < 1) + [(1, share)] * (share > 0)
    with pytest.raises(ValueError, match="both have several at sample 0, frame 0"):
        taps.faded(several, several, np.array([[[0.5]]], np.float32))
    for alpha in (0, 1):  # where one side alone shows it may have as many as it likes
        assert taps.faded(several, several, np.array([[[alpha]]], np.float32))[taps.CLIP].shape == (1, 1, 4)
