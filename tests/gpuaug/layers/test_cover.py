"""How much of a pixel a tap makes up, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gpuaug.layers import cover
from gpuaug.layers.columns import MAP, Layers

TOP = 65535
LEFT_TO_RIGHT = np.array([[0, 0, 0.5, 0.5, 1, 0, 0.0]])


def taps(k, **columns):
    """Columns (1, K) of one frame, those given per tap."""
    layers = replace(Layers.none((1, 1, k)), maps=LEFT_TO_RIGHT).each(lambda column: column[0])
    for name, values in columns.items():
        getattr(layers, name)[0] = values
    return layers


@pytest.mark.parametrize(
    ("progress", "softness", "limit"),
    [
        (0, 0, 0),  # nothing is shown
        (1e-12, 0, 1),  # the first pixel is, however early
        (1 / TOP, 0, 1),
        (1.5 / TOP, 0, 2),
        (2 / TOP, 0, 2),  # a value of 2 is not below p, which rounding must not change
        (0.5, 0, 32768),
        (1 - 1e-9, 0, TOP),
        (1, 0, TOP + 1),  # everything is
        (0, 0.5, 0),
        (0.5, 0.5, 0.75 * TOP),
        (1, 0.25, 1.25 * TOP),
        (1, 1e-6, 1.000001 * TOP),
    ],
)
def test_where_the_edge_of_a_mask_is(progress, softness, limit):
    assert cover.limits(taps(1, progress=progress, softness=softness))[0, 0] == pytest.approx(limit, abs=1e-9)


def test_the_part_of_a_pixel_that_a_place_covers():
    begin, end = np.array([0.25, 0.125, 0.3, -2, 0.5, 0.9]), np.array([0.75, 1.5, 0.35, 3, 0.5, 0.95])
    expected = [[0, 1, 1, 0], [0.5, 1, 1, 1], [0, 0.2, 0, 0], [1] * 4, [0] * 4, [0, 0, 0, 0.2]]
    np.testing.assert_allclose(cover.covered(begin, end, 4), expected, atol=1e-12)


def test_taps_lie_over_each_other():
    """The last one is on top; the first is what is left, wherever it is put."""
    layers = taps(3, place=[(0, 0, 0.5, 0.5), (0, 0, 1, 0.5), (0.5, 0, 1, 1)])
    share = cover.shares(np.array([[1, 0.5, 0.25]], np.float32), layers, (2, 2))[0]
    assert share[2].tolist() == [[0, 0], [0.25, 0.25]]
    assert share[1].tolist() == [[0.5, 0], [0.375, 0]]
    assert share[0].tolist() == [[0.5, 1], [0.375, 0.75]]


@pytest.mark.parametrize(
    ("smooth", "softness", "progress", "expected"),
    [
        (False, 0, 0.5, [1, 1, 0, 0]),
        (True, 0, 0.5, [1, 1, 0, 0]),
        (False, 1, 0.5, [1, 2 / 3, 1 / 3, 0]),  # (2p − s)/1
        (False, 0.5, 0.5, [1, 5 / 6, 1 / 6, 0]),  # (1.5p − s)/0.5
        (True, 1, 0.5, [1, 20 / 27, 7 / 27, 0]),  # m²(3 − 2m)
        (False, 1, 0, [0, 0, 0, 0]),
        (False, 1, 1, [1, 1, 1, 1]),
    ],
)
def test_masks(smooth, softness, progress, expected):
    """On four pixels that change at 0, 1/3, 2/3 and 1."""
    layers = taps(2, map=[-1, 0], progress=progress, softness=softness, smooth=smooth)
    share = cover.shares(np.array([[1, 1]], np.float32), layers, (1, 4))[0]
    np.testing.assert_allclose(share[1, 0], expected, atol=1e-9)
    np.testing.assert_allclose(share[0, 0], 1 - np.array(expected), atol=1e-9)
    half = cover.shares(np.array([[1, 0.5]], np.float32), layers, (1, 4))[0]
    np.testing.assert_allclose(half[1, 0], 0.5 * np.array(expected), atol=1e-9)
    time = np.array([[[TOP, 0, 0, TOP]]], np.uint16)  # of masks that were made before
    given = cover.shares(np.array([[1, 1]], np.float32), layers, (1, 4), time)[0, 1, 0]
    np.testing.assert_allclose(given, np.array(expected)[[3, 0, 0, 3]], atol=1e-9)


def test_areas_by_hand():
    """Two frames: in the second the upper tap is hidden, and one between them is on a quarter of the output."""
    layers = Layers.none((1, 2, 3))
    layers.place[0, :, 1] = 0, 0, 0.5, 0.5
    weight = np.array([[[1, 1, 0.5], [1, 0.5, 0]]], np.float32)
    expected = [[[0.5 * 0.75, 0.5 * 0.25, 0.5], [1 - 0.125, 0.125, 0]]]
    np.testing.assert_allclose(cover.areas(weight, layers, (4, 4)), expected)
    flat = np.array([[[1, 0.5, 0.25], [1, 0, 1]]], np.float32)
    np.testing.assert_allclose(
        cover.areas(flat, Layers.none((1, 2, 3)), (1, 1)), [[[0.375, 0.375, 0.25], [0, 0, 1]]], atol=1e-12
    )
    masked = replace(Layers.none((1, 1, 2)), maps=np.zeros((1, len(MAP))) + LEFT_TO_RIGHT)
    masked.map[0, 0, 1], masked.progress[0, 0, 1] = 0, 0.5
    np.testing.assert_allclose(cover.areas(np.ones((1, 1, 2), np.float32), masked, (2, 4)), [[[0.5, 0.5]]])
