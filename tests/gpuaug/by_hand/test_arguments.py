"""The rules of arguments.py on either side of their bounds, and what a colour matrix makes of a byte, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpuaug import Plan, arguments, render
from gpuaug.layers.columns import Layers
from support import kernel_implementations

on_cpu = kernel_implementations.on("reference", "host")

FRAMES, WIDE = np.array([20]), np.array([30])


def boxed(box, *, size=(20, 30), n=1, aliasing=False):
    plan = arguments.FrameTaps(
        *(np.zeros((n, 1, 1), dtype) for dtype in (np.int64, np.int64)), np.ones((n, 1, 1), "f4")
    )
    return arguments.boxes(box, plan, FRAMES, WIDE, size, aliasing)


@pytest.mark.parametrize(
    ("box", "fits"),
    [
        ([0, 0, 20, 30], True),
        ([-9e-7, 0, 20 + 9e-7, 30 + 9e-7], True),  # computed boxes miss by the last places
        ([-2e-6, 0, 20, 30], False),
        ([0, -2e-6, 20, 30], False),
        ([0, 0, 20 + 2e-6, 30], False),
        ([0, 0, 20, 30 + 2e-6], False),
        ([0, 0, 20, 21], True),  # wider than high: y and x are not exchanged
        ([0, 0, 21, 20], False),
        ([20, 30, 0, 0], True),  # mirrored
        ([4, 5, 4 + 1e-9, 5 + 1e-9], True),
    ],
)
def test_boxes_inside_the_frame(box, fits):
    if fits:
        assert boxed([box], aliasing=True).tolist() == [[[box]]]
        return
    with pytest.raises(ValueError, match="box must lie inside the frame of 20 × 30 pixels, got box="):
        boxed([box], aliasing=True)


@pytest.mark.parametrize("box", [[5, 0, 5, 30], [0, 7, 20, 7]])
def test_boxes_without_rows_or_columns(box):
    with pytest.raises(ValueError, match="box must not be empty, got box="):
        boxed([box])


@pytest.mark.parametrize(
    ("size", "fits"), [((10, 15), True), ((9, 15), False), ((10, 14), False), ((20, 15), True), ((10, 30), True)]
)
def test_boxes_of_more_than_twice_the_output(size, fits):
    for box in (None, [[0, 0, 20, 30]], [[20, 30, 0, 0]], [[0, 0, 20 * (1 + 1e-8), 30]]):
        boxed(box, size=size, aliasing=True)
        if fits:
            boxed(box, size=size)
        else:
            with pytest.raises(
                ValueError, match=rf"at most 2 times the output's size \({size[0]}, {size[1]}\); decode"
            ):
                boxed(box, size=size)


def test_boxes_of_samples_frames_and_taps_are_told_by_their_axes():
    assert boxed(np.array([[0, 0, 1, 1], [0, 0, 2, 2]]), n=2).shape == (2, 1, 1, 4)
    assert boxed(np.array([[[0, 0, 1, 1]], [[0, 0, 2, 2]]]), n=2).shape == (2, 1, 1, 4)
    assert boxed(None).tolist() == [[[[0, 0, 20, 30]]]]
    assert boxed(None, n=3).shape == (1, 1, 1, 4), "the whole frame is one box for all"
    for shape in ((1, 4), (2, 2, 4), (2, 1, 2, 4), (2, 1, 1, 3)):
        with pytest.raises(ValueError, match="box must have a shape of"):
            boxed(np.ones(shape), n=2)


def test_the_frame_and_the_box_in_a_message_are_those_of_the_sample_and_tap():
    """Two clips of other sizes; the second tap of the second sample's frame is wrong."""
    plan = arguments.FrameTaps(np.array([[[0, 1]]] * 2), np.zeros((2, 1, 2), int), np.ones((2, 1, 2), np.float32))
    box = np.array([[[[0, 0, 8, 9], [0, 0, 8, 9]]], [[[0, 0, 8, 9], [0, 0, 8.0, 10]]]])
    with pytest.raises(ValueError, match=r"frame of 8 × 9 pixels, got box=\[0.0, 0.0, 8.0, 10.0\] for sample 1$"):
        arguments.boxes(box, plan, np.array([20, 8]), np.array([30, 9]), (20, 30), False)
    for heights, widths in (([20, 8], [30, 30]), ([20, 20], [30, 9])):  # one of the two alone may differ
        edge = arguments.boxes(None, plan, np.array(heights), np.array(widths), (20, 30), False)
        assert edge[0, 0].tolist() == [[0, 0, heights[0], widths[0]], [0, 0, heights[1], widths[1]]]


def test_the_matrix_takes_bytes_to_the_output():
    """top · (color · pixel/255 − mean)/std, by hand: a pixel of 51 is 0.2."""
    assert arguments.matrix(None, [0.5], [0.25], 1, 1.0) @ [51, 1] == pytest.approx((0.2 - 0.5) / 0.25)
    assert arguments.matrix([[3, 0.5]], [0.5], [0.25], 1, 1.0)[0] @ [51, 1] == pytest.approx(
        (3 * 0.2 + 0.5 - 0.5) / 0.25
    )
    assert arguments.matrix([[1, 0.1]], [0.2], [0.5], 1, 255.0)[0] @ [51, 1] == pytest.approx(255 * 0.1 / 0.5)
    each = arguments.matrix(np.array([[[1, 0.0]], [[2, 0.25]]]), [0.0], [1.0], 2, 255.0)
    assert (each @ [51, 1]).ravel().tolist() == pytest.approx([51, 2 * 51 + 0.25 * 255])
    color = np.arange(12.0).reshape(3, 4) / 10
    got = arguments.matrix(color, [0.1, 0.2, 0.3], [1, 2, 4], 5, 1.0)
    assert got.shape == (1, 3, 4)
    assert got.dtype == np.float32
    expected = (color @ [1, 0.4, 0.2, 1] - [0.1, 0.2, 0.3]) / [1, 2, 4]
    np.testing.assert_allclose(got[0] @ [255, 102, 51, 1], expected, rtol=1e-6)
    with pytest.raises(ValueError, match=r"color must have a shape of .*\(5, 3, 4\).*, got \(4, 3, 4\)"):
        arguments.matrix(np.zeros((4, 3, 4)), [0] * 3, [1] * 3, 5, 1.0)


def test_bytes_are_coloured_and_normalised_too(on_cpu):
    """51/255 = 0.2; (2 · 0.2 + 0.1 − 0.25) / 0.5 = 0.5, which is 127.5, rounded up."""
    bank = torch.full((1, 1, 2, 2, 3), 51, dtype=torch.uint8)
    color = np.concatenate([2 * np.eye(3), np.full((3, 1), 0.1)], 1)
    got = render(bank, Plan.take(0, [0]), size=(2, 2), color=color, mean=0.25, std=0.5, dtype=torch.uint8)
    assert set(got.flatten().tolist()) <= {127, 128}


PLACES = {  # y0, x0, y1, x1: whether it is a place, whether it is a crop
    (0, 0, 1, 1): (True, True),
    (-3, -2, 5, 4): (True, False),
    (0.5, 0.25, 0.5, 0.25): (True, False),  # nothing of it is seen
    (0.5, 0.25, 0.75, 0.25): (True, False),
    (0.5, 0.25, 0.5, 0.75): (True, False),
    (0.5, 0, 0.25, 1): (False, False),
    (0, 0.5, 1, 0.25): (False, False),
    (0.25, 0.5, 0.5, 1): (True, True),
    (-0.1, 0, 1, 1): (True, False),
    (0, -0.1, 1, 1): (True, False),
    (0, 0, 1.1, 1): (True, False),
    (0, 0, 1, 1.1): (True, False),
    (0, 0, float("inf"), 1): (False, False),
    (0, 0, 1, float("inf")): (False, False),
    (-float("inf"), 0, 1, 1): (False, False),
    (0, -float("inf"), 1, 1): (False, False),
    (float("nan"), 0, 1, 1): (False, False),
}


@pytest.mark.parametrize("column", ["place", "crop"])
@pytest.mark.parametrize("values", PLACES)
def test_places_and_crops(values, column):
    layers = Layers.none((1, 1, 2))
    getattr(layers, column)[0, 0, 1] = values
    if PLACES[values][column == "crop"]:
        arguments.laid(layers)
    else:
        with pytest.raises(ValueError, match=f"layers.{column} must be .*, got "):
            arguments.laid(layers)


@pytest.mark.parametrize(
    ("column", "value", "right"),
    [
        *(("progress", value, 0 <= value <= 1) for value in (0, 1, -1e-9, 1 + 1e-9)),
        *(("softness", value, 0 <= value <= 1e6) for value in (0, 1e6, -1e-9, 1.001e6)),
        *(("color", value, 0 <= value <= 1) for value in (0, 1, -1e-9, 1 + 1e-9)),
    ],
)
def test_numbers_of_layers(column, value, right):
    layers = Layers.none((1, 1, 1))
    getattr(layers, column)[...] = value
    if right:
        arguments.laid(layers)
    else:
        with pytest.raises(ValueError, match=f"layers.{column} must be in"):
            arguments.laid(layers)


def test_a_colour_is_no_clip_where_there_are_no_layers():
    lengths, laid = np.array([4, 2]), Plan.color([0.5] * 3, frames=2)
    with pytest.raises(ValueError, match=r"plan must show clips in \[0, 1\], got clip -1 at sample 0"):
        arguments.shown(Plan(laid.clip, laid.time, laid.weight), lengths)
    assert arguments.shown(laid, lengths).weight.tolist() == [[[0.0], [0.0]]], "there is no frame to read"
    with pytest.raises(ValueError, match="got clip -2 at sample 0"):
        arguments.shown(Plan(laid.clip - 1, laid.time, laid.weight, laid.layers), lengths)
    shown = arguments.shown(Plan.take([1, 0], [[1.4, 0.5]]), lengths)
    assert (shown.clip.ravel().tolist(), shown.frame.ravel().tolist()) == ([1, 1, 0, 0], [1, 1, 1, 1])
    hidden = Plan(np.array([[[1, 99]]]), np.array([[[1.0, -5.0]]]), np.array([[[1.0, 0.0]]], np.float32))
    shown = arguments.shown(hidden, lengths)
    assert (shown.clip.tolist(), shown.frame.tolist()) == ([[[1, 0]]], [[[1, 0]]]), "what is not seen is any frame"


def test_a_box_that_all_taps_share_has_to_fit_the_smallest_clip_shown():
    plan = arguments.FrameTaps(np.array([[[0, 0], [0, 1]]]), np.zeros((1, 2, 2), int), np.ones((1, 2, 2), "f4"))
    with pytest.raises(ValueError, match=r"frame of 8 × 9 pixels, got box=\[0.0, 0.0, 20.0, 9.0\] for sample 0$"):
        arguments.boxes([[0, 0, 20, 9]], plan, np.array([20, 8]), np.array([30, 9]), (20, 30), False)


@pytest.mark.parametrize(
    ("name", "value", "wrong"),
    [("std", 0.0, True), ("std", -1.0, True), ("std", 1e-9, False), ("mean", 0.0, False), ("mean", -1.0, False)]
    + [(name, value, True) for name in ("mean", "std") for value in (float("inf"), float("nan"), [1, 2], [1, 2, 3, 4])]
    + [("mean", [0, -float("inf"), 0], True), ("std", [1, 0, 1], True), ("std", [1, 1, float("nan")], True)],
)
def test_means_and_deviations(name, value, wrong):
    if not wrong:
        assert arguments.per_channel(name, value, 3) == [value] * 3
        return
    with pytest.raises(ValueError, match=f"{name} must be "):
        arguments.per_channel(name, value, 3)
