"""What crops and colours are drawn by default, as the papers and their codes have them, and by hand."""

from __future__ import annotations

import colorsys
import inspect

import numpy as np
import pytest

from gpuaug import color, crop
from gpuaug.crop import View

DEFAULTS = {
    color.jitter: {  # MoCo v2
        "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1, "probability": 0.8, "grayscale": 0.2,
    },
    crop.center_crop: {"scale": 1.0},
    crop.multiscale_crop: {"scales": (1.0, 0.875, 0.75, 0.66), "max_distort": 1, "flip": 0.5},  # TSN, TSM
    crop.random_crop: {"scale": 0.875, "flip": 0.5},  # TSP: 112 of 128
    crop.resized_crop: {"area": (0.2, 1.0), "ratio": (0.75, 4 / 3), "flip": 0.5},  # MoCo v2
}  # fmt: skip


@pytest.mark.parametrize("function", DEFAULTS, ids=lambda function: function.__name__)
def test_defaults(function):
    found = inspect.signature(function).parameters.values()
    assert {p.name: p.default for p in found if p.default is not p.empty} == DEFAULTS[function]


def test_boxes_by_hand():
    """Shares of the short side, or of the area; 0 is top and left, 1 bottom and right; mirrored x1 is before x0."""
    half = np.array([0.5])
    for y, x, mirrored, expected in (
        (0, 0, False, [0, 0, 50, 75]),
        (1, 1, False, [50, 125, 100, 200]),
        (0.5, 0.2, False, [25, 25, 75, 100]),
        (0.5, 0.2, True, [25, 100, 75, 25]),
    ):
        where = np.array([float(y)]), np.array([float(x)]), np.array([mirrored])
        assert View("short", half, half * 1.5, *where).box([100], [200])[0].tolist() == expected
        tall = View("short", half * 1.5, half, *where).box([200], [100])[0]
        assert (tall[2] - tall[0], abs(tall[3] - tall[1])) == (75, 50)
    # an eighth of 100 × 200 pixels, as wide as high, or four times as wide
    origin = np.array([0.0]), np.array([0.0]), np.array([False])
    assert View("area", half / 4, np.array([1.0]), *origin).box([100], [200])[0].tolist() == [0, 0, 50, 50]
    assert View("area", half / 4, np.array([4.0]), *origin).box([100], [200])[0].tolist() == [0, 0, 25, 100]
    cut = View("area", np.array([1.0]), np.array([1.0]), np.array([0.5]), np.array([0.5]), np.array([False]))
    box = cut.box([100], [200])[0]
    assert box.tolist() == pytest.approx([0, 100 - np.sqrt(20000) / 2, 100, 100 + np.sqrt(20000) / 2])
    assert crop.center_crop(2, scale=0.5).box([100, 60], [200, 40]).tolist() == [[25, 75, 75, 125], [20, 10, 40, 30]]


def test_resized_crops_are_uniform_in_area_and_in_the_ratios_logarithm():
    view = crop.resized_crop(np.random.default_rng(0), 20000, area=(0.25, 0.75), ratio=(0.5, 2.0), flip=0.3)
    area, ratio = view.height_or_area, np.log2(view.width_or_aspect)
    for values, low, high in ((area, 0.25, 0.75), (ratio, -1, 1), (view.y, 0, 1), (view.x, 0, 1)):
        assert low <= values.min() < low + 0.01
        assert high - 0.01 < values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.02)
    assert view.mirrored.mean() == pytest.approx(0.3, abs=0.02)
    assert view.unit == "area"


def test_places_of_a_multiscale_crop():
    """13, equally likely: corners, centre, middles of sides and of quarters."""
    view = crop.multiscale_crop(np.random.default_rng(0), 13000, scales=(1.0, 0.5), max_distort=0)
    places, counts = np.unique(np.stack([view.y, view.x], 1), axis=0, return_counts=True)
    even, odd = (0, 0.5, 1), (0.25, 0.75)
    assert set(map(tuple, places.tolist())) == {(y, x) for side in (even, odd) for y in side for x in side}
    assert counts.min() > 850
    assert set(view.height_or_area) == {1.0, 0.5}
    assert (view.height_or_area == view.width_or_aspect).all()
    two = crop.multiscale_crop(np.random.default_rng(0), 300, scales=(1.0, 0.8, 0.6), max_distort=2)
    assert len({*zip(two.height_or_area, two.width_or_aspect)}) == 9


def test_a_random_crop_is_anywhere():
    view = crop.random_crop(np.random.default_rng(0), 5000, scale=0.5, flip=0)
    assert (view.height_or_area == 0.5).all()
    assert (view.width_or_aspect == 0.5).all()
    for place in (view.y, view.x):
        assert place.min() < 0.01
        assert place.max() > 0.99
    assert not view.mirrored.any()


@pytest.mark.parametrize(
    ("call", "right"),
    [
        *((lambda rng, v=v: crop.center_crop(1, scale=v), 0 < v <= 1) for v in (0, 1, 1.001, -1)),
        *((lambda rng, v=v: crop.random_crop(rng, 1, flip=v), 0 <= v <= 1) for v in (0, 1, -0.001, 1.001)),
        *((lambda rng, v=v: crop.multiscale_crop(rng, 1, scales=(1, v)), 0 < v <= 1) for v in (1, 0, 1.1)),
        *((lambda rng, v=v: crop.resized_crop(rng, 1, area=v), ok) for v, ok in
          (((1, 1), True), ((0.1, 0.1), True), ((0, 1), False), ((0.5, 1.1), False), ((0.6, 0.5), False))),
        *((lambda rng, v=v: crop.resized_crop(rng, 1, ratio=v), ok) for v, ok in
          (((1, 1), True), ((0.1, 50), True), ((0, 1), False), ((2, 1), False))),
        *((lambda rng, v=v: color.jitter(rng, 1, **v), ok) for v, ok in
          (({"hue": 0.5}, True), ({"hue": 0.51}, False), ({"hue": -0.1}, False), ({"brightness": 1}, True),
           ({"brightness": 1.1}, False), ({"contrast": 1}, True), ({"contrast": 1.1}, False), ({"saturation": 1}, True),
           ({"saturation": 1.1}, False), ({"probability": 1.1}, False), ({"grayscale": -0.1}, False))),
    ],
)  # fmt: skip
def test_bounds(call, right):
    if right:
        call(np.random.default_rng(0))
    else:
        with pytest.raises(ValueError, match=", got "):
            call(np.random.default_rng(0))


def only(n=2000, **strength):
    none = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0, "probability": 1, "grayscale": 0}
    return color.jitter(np.random.default_rng(0), n, **{**none, **strength})


PIXEL = np.array([0.8, 0.3, 0.1])
GREY = 0.299 * 0.8 + 0.587 * 0.3 + 0.114 * 0.1


def shown(matrix, pixel=PIXEL):
    return matrix[:, :, :3] @ pixel + matrix[:, :, 3]


def test_how_strong_each_change_is():
    """Factors are uniform in 1 ± the strength, and a hue turns by at most that part of a whole turn."""
    factor = (shown(only(brightness=0.4)) / PIXEL)[:, 0]
    contrast = ((shown(only(contrast=0.3)) - 0.5) / (PIXEL - 0.5))[:, 0]
    mixed = ((shown(only(saturation=0.2)) - GREY) / (PIXEL - GREY))[:, 0]
    for values, strength in ((factor, 0.4), (contrast, 0.3), (mixed, 0.2)):
        assert 1 - strength <= values.min() + 1e-9 < 1 - strength + 0.01
        assert 1 + strength - 0.01 < values.max() <= 1 + strength + 1e-9
        assert values.mean() == pytest.approx(1, abs=0.02)
    yiq = np.array(colorsys.rgb_to_yiq(*PIXEL))
    turned = np.array([colorsys.rgb_to_yiq(*rgb) for rgb in shown(only(hue=0.1))])
    turn = (np.arctan2(turned[:, 2], turned[:, 1]) - np.arctan2(yiq[2], yiq[1])) / (2 * np.pi)
    assert -0.103 < turn.min() < -0.096  # colorsys rounds YIQ's numbers
    assert 0.096 < turn.max() < 0.103
    np.testing.assert_allclose(np.hypot(turned[:, 1], turned[:, 2]), np.hypot(yiq[1], yiq[2]), rtol=0.02)


def test_changes_follow_each_other():
    """Brightness, then contrast about mid-grey, then saturation, which keeps both: the luma is theirs."""
    matrix = only(brightness=0.4, contrast=0.4, saturation=0.4)
    rng = np.random.default_rng(0)
    bright, stretch, mix = (1 + 0.4 * rng.uniform(-1, 1, 2000) for _ in range(3))
    step = (bright * stretch)[:, None] * PIXEL + 0.5 * (1 - stretch)[:, None]
    luma = step @ [0.299, 0.587, 0.114]
    expected = mix[:, None] * step + (1 - mix)[:, None] * luma[:, None]
    np.testing.assert_allclose(shown(matrix), expected, atol=1e-5)


def test_shares_of_samples():
    matrix = only(20000, brightness=0.4, probability=0.7, grayscale=0.25)
    grey = np.ptp(shown(matrix), axis=1) < 1e-9
    same = (matrix == np.eye(3, 4)).all((1, 2))
    assert grey.mean() == pytest.approx(0.25, abs=0.01)
    assert same.mean() == pytest.approx(0.3 * 0.75, abs=0.01)
    plain_grey = np.isclose(shown(matrix)[grey][:, 0], GREY).mean()
    assert plain_grey == pytest.approx(0.3, abs=0.02), "of those not jittered"
