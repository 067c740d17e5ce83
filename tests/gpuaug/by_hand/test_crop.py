"""Crops by hand: which box a view is, how views are drawn, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from gpuaug import crop

FRAME = (np.array([100]), np.array([400]))


def view(unit, first, second, y=0.0, x=0.0, mirrored=False):
    return crop.View(unit, *(np.array([v]) for v in (first, second, y, x, mirrored)))


@pytest.mark.parametrize(
    ("drawn", "size", "box"),
    [
        (view("short", 0.5, 0.25), (100, 400), [0, 0, 50, 25]),
        (view("short", 0.5, 0.25), (400, 100), [0, 0, 50, 25]),
        (view("short", 0.5, 0.25, y=0.5, x=1), (100, 400), [25, 375, 75, 400]),
        (view("short", 0.5, 0.25, y=1, x=0.2, mirrored=True), (100, 400), [50, 100, 100, 75]),
        # area 0.25 · 40 000 = h · w and w / h = 4
        (view("area", 0.25, 4.0), (100, 400), [0, 0, 50, 200]),
        (view("area", 0.25, 4.0, y=0.5, x=1), (100, 400), [25, 200, 75, 400]),
        (view("area", 0.25, 0.25), (400, 100), [0, 0, 200, 50]),
        (view("area", 1.0, 4.0, x=0.3), (100, 100), [0, 0, 50, 100]),  # cut to the frame
        (view("area", 1.0, 0.25, y=0.3), (100, 100), [0, 0, 100, 50]),
    ],
)
def test_the_box_of_a_view(drawn, size, box):
    np.testing.assert_allclose(drawn.box([size[0]], [size[1]]), [box])


def test_resized_crops_have_uniform_areas_and_log_uniform_ratios():
    """By the quantiles of both distributions, and of the places."""
    drawn = crop.resized_crop(np.random.default_rng(3), 20000, area=(0.1, 0.5), ratio=(0.25, 16.0))
    quarters = [0.0, 0.25, 0.5, 0.75, 1.0]
    assert drawn.unit == "area"
    np.testing.assert_allclose(np.quantile(drawn.height_or_area, quarters), [0.1, 0.2, 0.3, 0.4, 0.5], atol=0.01)
    np.testing.assert_allclose(np.log2(np.quantile(drawn.width_or_aspect, quarters)), [-2, -0.5, 1, 2.5, 4], atol=0.1)
    for place in (drawn.y, drawn.x):
        np.testing.assert_allclose(np.quantile(place, quarters), quarters, atol=0.02)
    assert abs(np.corrcoef([drawn.height_or_area, drawn.width_or_aspect, drawn.y, drawn.x]) - np.eye(4)).max() < 0.05


def test_views_without_arguments_are_those_of_the_papers():
    rng = np.random.default_rng(0)
    moco = crop.resized_crop(rng, 20000)
    assert (moco.height_or_area.min(), moco.height_or_area.max()) == pytest.approx((0.2, 1), abs=0.01)
    assert (moco.width_or_aspect.min(), moco.width_or_aspect.max()) == pytest.approx((0.75, 4 / 3), abs=0.01)
    assert set(crop.random_crop(rng, 5).height_or_area) == {0.875}
    for drawn in (moco, crop.random_crop(rng, 20000), crop.multiscale_crop(rng, 20000)):
        assert drawn.mirrored.mean() == pytest.approx(0.5, abs=0.02)
    assert crop.center_crop(2).box([30, 50], [40, 40]).tolist() == [[0, 5, 30, 35], [5, 0, 45, 40]]


@pytest.mark.parametrize(("distort", "pairs"), [(0, 3), (1, 7), (2, 9), (3, 9)])
def test_multiscale_crops_take_every_pair_and_place_as_often(distort, pairs):
    drawn = crop.multiscale_crop(np.random.default_rng(1), 9000, scales=(1.0, 0.5, 0.25), max_distort=distort)
    assert drawn.unit == "short"
    found, counts = np.unique(np.stack([drawn.height_or_area, drawn.width_or_aspect]), axis=1, return_counts=True)
    assert found.shape[1] == pairs
    assert counts.min() > 0.8 * 9000 / pairs
    places, counts = np.unique(np.stack([drawn.y, drawn.x]), axis=1, return_counts=True)
    corners, middles = [0, 0.5, 1], [0.25, 0.75]
    expected = {(y, x) for line in (corners, middles) for y in line for x in line}
    assert {tuple(place) for place in places.T.tolist()} == expected
    assert counts.min() > 0.8 * 9000 / 13


RNG = np.random.default_rng(0)
BOUNDS = [
    *((lambda v=v: crop.center_crop(1, scale=v), 0 < v <= 1, "scale") for v in (0, 1e-9, 1, 1.001, -0.5)),
    *((lambda v=v: crop.random_crop(RNG, 1, scale=v), 0 < v <= 1, "scale") for v in (0, 1, 1.001)),
    *((lambda v=v: crop.multiscale_crop(RNG, 1, scales=(1, v)), 0 < v <= 1, "scales") for v in (0, 1, 1.001)),
    *(
        (lambda v=v, draw=draw: draw(RNG, 1, flip=v), 0 <= v <= 1, "flip")
        for draw in (crop.random_crop, crop.multiscale_crop, crop.resized_crop)
        for v in (-0.001, 0, 1, 1.001)
    ),
    (lambda: crop.resized_crop(RNG, 1, area=(0, 0.5)), False, "area"),
    (lambda: crop.resized_crop(RNG, 1, area=(0.5, 0.5)), True, ""),
    (lambda: crop.resized_crop(RNG, 1, area=(1, 1)), True, ""),
    (lambda: crop.resized_crop(RNG, 1, area=(0.5, 0.4)), False, "area"),
    (lambda: crop.resized_crop(RNG, 1, area=(0.5, 1.001)), False, "area"),
    (lambda: crop.resized_crop(RNG, 1, ratio=(0, 1)), False, "ratio"),
    (lambda: crop.resized_crop(RNG, 1, ratio=(0.5, 0.5)), True, ""),
    (lambda: crop.resized_crop(RNG, 1, ratio=(2, 1)), False, "ratio"),
]


@pytest.mark.parametrize(("draw", "right", "name"), BOUNDS)
def test_bounds_of_crops(draw, right, name):
    if right:
        draw()
        return
    with pytest.raises(ValueError, match=f"^{name} must be .*, got {name}="):
        draw()


@pytest.mark.parametrize(("flip", "share"), [(0, 0), (1, 1), (0.25, 0.25)])
def test_as_many_are_mirrored_as_asked_for(flip, share):
    drawn = crop.random_crop(np.random.default_rng(0), 20000, flip=flip)
    assert drawn.mirrored.mean() == pytest.approx(share, abs=0.01 if 0 < share < 1 else 0)
