"""The reference by hand: colours, crops of boxes, how pictures are made smaller; what `render` takes and fills."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpuaug import Plan, fade, plan, reference, render
from support import kernel_implementations

on_cpu = kernel_implementations.on("reference", "host")


@pytest.mark.parametrize("channels", [1, 3])
def test_a_colour_is_the_same_in_parts_of_any_top(channels):
    picture = np.zeros((1, 1, 2, 3, channels), np.uint8)
    shown = Plan.color([0.2, 0.4, 0.6], frames=1)
    expected = np.broadcast_to([0.2, 0.4, 0.6][:channels], (1, 1, 2, 3, channels))
    np.testing.assert_allclose(reference.render(picture, shown, size=(2, 3), layout="NTHWC"), expected, rtol=1e-6)
    np.testing.assert_allclose(reference.compose(picture, shown, size=(2, 3)), expected, rtol=1e-6)
    np.testing.assert_allclose(reference.compose(picture, shown, size=(2, 3), top=255.0), 255 * expected, rtol=1e-6)
    mixed = fade(shown, Plan.take(0, [0]), 0.75)
    np.testing.assert_allclose(reference.compose(picture, mixed, size=(2, 3)), 0.25 * expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("box", "crop", "expected"),
    [
        (None, (0, 0, 1, 1), (0, 0, 8, 12)),
        (None, (0.25, 0.5, 0.5, 0.75), (2, 6, 4, 9)),
        ((2, 3, 6, 9), (0, 0, 1, 1), (2, 3, 6, 9)),
        ((2, 3, 6, 9), (0, 0.5, 0.5, 1), (2, 6, 4, 9)),
        ((6, 9, 2, 3), (0, 0.5, 0.5, 1), (6, 6, 4, 3)),  # mirrored
    ],
)
def test_a_crop_is_of_the_box(box, crop, expected):
    got = reference._cropped(np.zeros((8, 12, 3)), None if box is None else np.array(box), np.array(crop))
    assert got.tolist() == list(expected)


def weights(*given):
    """Of the source pixels in every output pixel, those that are not 0."""
    return [{k: round(float(w), 6) for k, w in enumerate(row) if w} for row in reference._interpolation(*given)]


def test_what_is_not_put_on_a_part_is_sampled_once():
    assert weights(0, 16, 4, 16, 0, 1) == [{1: 0.5, 2: 0.5}, {5: 0.5, 6: 0.5}, {9: 0.5, 10: 0.5}, {13: 0.5, 14: 0.5}]
    assert weights(0, 2, 4, 2, 0, 1) == [{0: 1}, {0: 0.75, 1: 0.25}, {0: 0.25, 1: 0.75}, {1: 1}]
    assert weights(2, 0, 2, 2, 0, 1) == [{1: 1}, {0: 1}], "mirrored"
    assert weights(1, 1.5, 2, 4, 0, 1) == [{0: 0.25, 1: 0.75}] * 2, "of less than a pixel the middle is shown"


def test_what_is_put_on_a_part_is_the_mean_of_several_samples():
    """One sample for every two source pixels, at most eight; beside the part its outermost pixels."""
    half = weights(0, 16, 4, 16, 0, 0.5)
    assert half[:2] == [dict.fromkeys(range(8), 0.125), dict.fromkeys(range(8, 16), 0.125)]
    assert half[2:] == [{15: 1}, {15: 1}]
    assert weights(0, 4, 4, 4, 0, 0.5)[:2] == [{0: 0.5, 1: 0.5}, {2: 0.5, 3: 0.5}], "two are one sample"
    assert weights(0, 6, 4, 6, 0.5, 1)[2] == {0: 0.375, 1: 0.25, 2: 0.375}, "three are two, at 0.75 and 2.25"
    assert weights(0, 40, 2, 40, 0, 0.5)[0] == {2 + 5 * k: 0.125 for k in range(8)}


def test_a_layer_fades_as_it_covers():
    """A quarter of a clip over a colour, and the other way round."""
    clip, paint = Plan.take(0, [0, 1]), Plan.color([1, 1, 1], frames=2)
    shown = fade(paint, clip, [[0.25, 1.0]])
    assert shown.layers is not None
    assert shown.share(1).tolist() == [[0.625]]
    assert fade(clip, paint, [[0.25, 0.0]]).share(1).tolist() == [[0.875]]
    assert fade(plan.over(clip), clip, 0.5).share(1).tolist() == [[1.0]]


def test_a_list_holds_clips_and_banks(on_cpu):
    """Whose clips are counted through."""
    bank = torch.arange(2, dtype=torch.uint8).view(2, 1, 1, 1, 1).expand(2, 2, 4, 5, 1).contiguous() + 10
    clip = torch.full((2, 6, 3, 1), 20, dtype=torch.uint8)
    for frames, expected in (([bank, clip], [10, 11, 20]), ([clip, bank], [20, 10, 11])):
        got = render(frames, Plan.take([0, 1, 2], [0]), size=(3, 3), dtype=torch.uint8)
        assert got.amax((1, 2, 3, 4)).tolist() == got.amin((1, 2, 3, 4)).tolist() == expected


def test_what_render_fills(on_cpu):
    bank, shown = torch.full((1, 1, 4, 5, 1), 51, dtype=torch.uint8), Plan.take(0, [0])
    out = torch.empty_strided((1, 1, 1, 4, 5), (0, 0, 0, 5, 1))  # axes of one value may have any step
    assert render(bank, shown, size=(4, 5), out=out) is out
    np.testing.assert_allclose(out.numpy(), 0.2, rtol=1e-6)
    with pytest.raises(ValueError, match=r"out must be torch.float32 \(1, 1, 1, 4, 5\) on cpu, got .* on meta"):
        render(bank, shown, size=(4, 5), out=torch.empty(1, 1, 1, 4, 5, device="meta"))
    with pytest.raises(ValueError, match="out must have a place of its own for every value"):
        render(bank, shown, size=(4, 5), out=torch.empty_strided((1, 1, 1, 4, 5), (0, 0, 0, 0, 1)))


@pytest.mark.parametrize(
    ("channels", "strides", "right"),
    [
        (3, (15, 3, 1), True),
        (3, (30, 3, 1), True),
        (3, (30, 6, 1), False),
        (3, (30, 3, 2), False),
        (3, (1, 4, 20), False),
        (1, (5, 1, 7), True),  # one value has no step
        (1, (10, 2, 1), False),
    ],
)
def test_rows_whose_pixels_lie_side_by_side(on_cpu, channels, strides, right):
    bank = torch.zeros(200, dtype=torch.uint8).as_strided((1, 1, 4, 5, channels), (0, 0, *strides))
    if right:
        assert render(bank, Plan.take(0, [0]), size=(4, 5)).shape == (1, channels, 1, 4, 5)
        narrow = bank[:, :, :, :1].as_strided((1, 1, 4, 1, channels), (0, 0, 15, 9, bank.stride(4)))
        assert render(narrow, Plan.take(0, [0]), size=(4, 1)).shape == (1, channels, 1, 4, 1), "one pixel has no step"
        return
    with pytest.raises(ValueError, match="frames must have the pixels of a row side by side, got strides"):
        render(bank, Plan.take(0, [0]), size=(4, 5))
