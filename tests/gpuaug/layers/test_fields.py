"""Time maps against their definitions, written out for one pixel with plain numbers, and small ones by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gpuaug.layers import fields
from gpuaug.layers.fields import FIELDS, NAMES, planes


def part(x):
    return x - math.floor(x)


def angle(y, x):
    """Turns clockwise from upwards."""
    return part(math.atan2(x, -y) / (2 * math.pi))


def number_at(y, x, seed):
    """The hash, with Python's whole numbers."""
    value = (y * 73856093 ^ x * 19349663 ^ seed * 83492791) & 0x7FFFFFFF
    for _ in range(3):
        value = (value * 48271 + 11) % (2**31 - 1)
        value ^= value >> 13
    return (value & 0x7FFFFFFF) / 2**31


def cell(p, n):
    return math.floor((p + 1) / 2 * n)


def inside(p, n):
    return (p + 1) / 2 * n - cell(p, n)


def spiral(y, x, n):
    turn = angle(y, x)
    return math.floor(math.hypot(y, x) * n - turn) + turn


def star(y, x):
    beam = 2 * abs(part(5 * angle(y, x)) - 0.5)
    return math.hypot(y, x) * (1 + 1.2 * (1 - beam))


def clouds(y, x, n, seed):
    total = 0.0
    for octave in range(3):
        v, u = ((p + 4) / 2 * n * 2**octave for p in (y, x))
        i, j = math.floor(v), math.floor(u)
        b, a = (p * p * (3 - 2 * p) for p in (v - i, u - j))
        rows = [(1 - a) * number_at(k, j, seed + octave) + a * number_at(k, j + 1, seed + octave) for k in (i, i + 1)]
        total += ((1 - b) * rows[0] + b * rows[1]) / 2**octave
    return total


MEANING = {
    "line": lambda y, x, n, s: x,
    "doors": lambda y, x, n, s: abs(x),
    "circle": lambda y, x, n, s: math.hypot(y, x),
    "diamond": lambda y, x, n, s: abs(y) + abs(x),
    "box": lambda y, x, n, s: max(abs(y), abs(x)),
    "cross": lambda y, x, n, s: min(abs(y), abs(x)),
    "star": lambda y, x, n, s: star(y, x),
    "clock": lambda y, x, n, s: angle(y, x),
    "fan": lambda y, x, n, s: -abs(2 * angle(y, x) - 1),
    "windmill": lambda y, x, n, s: part(n * angle(y, x)),
    "spiral": lambda y, x, n, s: spiral(y, x, n),
    "blinds": lambda y, x, n, s: inside(x, n),
    "bars": lambda y, x, n, s: number_at(0, cell(x, n), s),
    "comb": lambda y, x, n, s: x if cell(y, n) % 2 == 0 else -x,
    "checker": lambda y, x, n, s: (cell(y, n) + cell(x, n)) % 2 + inside(x, n),
    "grid": lambda y, x, n, s: max(abs(inside(y, n) - 0.5), abs(inside(x, n) - 0.5)),
    "dots": lambda y, x, n, s: math.hypot(inside(y, n) - 0.5, inside(x, n) - 0.5),
    "mosaic": lambda y, x, n, s: number_at(cell(y, n), cell(x, n), s),
    "clouds": clouds,
    "noise": lambda y, x, n, s: number_at(round(4096 * y), round(4096 * x), s),
}
POINTS = [(-0.83, -0.31), (-0.37, 0.77), (0.11, 0.43), (0.59, -0.71), (0.93, 0.97), (0.21, -0.05), (1.3, -1.7)]


def test_every_field_is_written_out():
    assert tuple(MEANING) == NAMES, "plans have their places: new ones last"


@pytest.mark.parametrize("name", NAMES)
def test_a_field_is_what_is_written_out(name):
    for number, seed in ((3, 0), (4.5, 7), (8.0, 65535)):
        wanted = np.array([[MEANING[name](y, x, number, seed) for _, x in POINTS] for y, _ in POINTS])
        y, x = (np.array([point[k] for point in POINTS]) for k in (0, 1))
        along = np.broadcast_to(FIELDS[name](y[:, None], x[None], number, seed), wanted.shape)
        np.testing.assert_allclose(along, wanted, atol=1e-12)  # of the axes, as they are where nothing is turned
        everywhere = FIELDS[name](*np.meshgrid(y, x, indexing="ij"), number, seed)
        np.testing.assert_allclose(np.broadcast_to(everywhere, wanted.shape), wanted, atol=1e-12)


def test_upwards_is_no_turn_and_right_a_quarter():
    y, x = np.array([-1.0, 0, 1, 0]), np.array([0.0, 1, 0, -1])
    assert FIELDS["clock"](y, x, 1, 0).tolist() == [0, 0.25, 0.5, 0.75]
    assert FIELDS["fan"](y, x, 1, 0).tolist() == [-1, -0.5, 0, -0.5]


def test_random_numbers_are_spread_and_depend_on_all():
    y, x = np.mgrid[:40, :50].astype(float)
    values = fields._random(y, x, 3)
    assert 0.48 < values.mean() < 0.52
    assert np.abs(np.sort(values.ravel()) - np.linspace(0, 1, 2000)).max() < 0.04
    for other in (fields._random(y, x, 4), fields._random(y + 1, x, 3), fields._random(y, x + 1, 3)):
        assert abs(np.corrcoef(values.ravel(), other.ravel())[0, 1]) < 0.08


def plane(name, size, *, turned=0.0, center=(0.5, 0.5), number=1.0, seed=0, reverse=0):
    return planes(np.array([[NAMES.index(name), turned, *center, number, seed, reverse]]), (), size)[0].tolist()


A, B, C = 21845, 43690, 65535  # a third, two, and all of the time


@pytest.mark.parametrize(
    ("turned", "expected"),
    [
        (0, [[0, A, B, C]] * 2),
        (180, [[C, B, A, 0]] * 2),
        (360, [[0, A, B, C]] * 2),
        (90, [[0] * 4, [C] * 4]),
        (270, [[C] * 4, [0] * 4]),
        (-90, [[C] * 4, [0] * 4]),
    ],
)
def test_a_line_turned_clockwise(turned, expected):
    """At 0 the left changes first, at 90 what is above."""
    assert plane("line", (2, 4), turned=turned) == expected
    assert plane("line", (2, 4), turned=turned, reverse=1) == [[C - value for value in row] for row in expected]


def test_a_line_turned_by_any_angle_is_a_slope():
    """The distance along (cos, sin), in parts of the height, from the first pixel to the last."""
    for turned in (30.0, 123.4, -45.0):
        y, x = np.mgrid[:6, :9]
        along = x * math.cos(math.radians(turned)) + y * math.sin(math.radians(turned))
        wanted = (along - along.min()) / np.ptp(along) * 65535
        np.testing.assert_allclose(plane("line", (6, 9), turned=turned), wanted, atol=0.51)


def test_circles_are_round_and_boxes_have_the_frames_form():
    """On 4 × 8 pixels: a circle's values are distances in pixels, a box's in parts of the frame."""
    y, x = np.mgrid[:4, :8]
    y, x = y - 1.5, x - 3.5
    for name, field in (
        ("circle", np.hypot(y, x)),
        ("diamond", np.abs(y) + np.abs(x)),
        ("box", np.maximum(np.abs(y) / 2, np.abs(x) / 4)),
        ("cross", np.minimum(np.abs(y) / 2, np.abs(x) / 4)),
    ):
        wanted = (field - field.min()) / np.ptp(field) * 65535
        np.testing.assert_allclose(plane(name, (4, 8)), wanted, atol=0.51, err_msg=name)
    turned = plane("box", (4, 8), turned=90)  # of the frame, too, which is as high as it was wide
    wanted = np.maximum(np.abs(y) / 2, np.abs(x) / 4)
    np.testing.assert_allclose(turned, (wanted - wanted.min()) / np.ptp(wanted) * 65535, atol=0.51)


def test_the_centre_is_given_in_parts_of_the_frame():
    for center, least in (((0.25, 0.125), (0, 0)), ((0.75, 0.625), (1, 2)), ((0.25, 0.875), (0, 3))):
        found = np.array(plane("circle", (2, 4), center=center))
        assert np.argwhere(found == 0).tolist() == [list(least)]
    assert plane("line", (2, 4), center=(3.0, -2.0)) == plane("line", (2, 4)), "a line has none"


def test_number_and_seed_are_the_fields():
    assert plane("blinds", (1, 4), number=2) == [[0, C, 0, C]]
    assert plane("blinds", (4, 1), turned=90, number=2) == [[0], [C], [0], [C]]
    first = plane("mosaic", (4, 4), number=2, seed=1)
    assert first != plane("mosaic", (4, 4), number=2, seed=2)
    assert [row[::2] for row in first[::2]] == [row[1::2] for row in first[1::2]], "cells of 2 × 2"


def test_where_no_pixel_differs_the_corner_changes_first():
    """A cell for every pixel: there is no order but from the upper left on, by distances in pixels."""
    for name in ("grid", "dots"):
        assert plane(name, (2, 2), number=2) == [[0, 32768], [32768, C]]
        assert plane(name, (1, 2), number=2) == [[0, C]]
    assert plane("blinds", (3, 2), number=2) == [[0, A], [A, B], [B, C]]
    assert plane("line", (1, 1)) == [[0]]


def test_pictures_of_ones_own_are_bilinear():
    """On as many pixels as they have they are themselves, stretched to all of the time; beside them, their edge."""
    own = (np.array([[1.0, 2.0], [4.0, 7.0]]), np.array([[5.0, 3.0, 4.0]]))
    row = np.array([[-1, 0, 0.5, 0.5, 1, 0, 0], [-2, 0, 0.5, 0.5, 1, 0, 1.0]])
    first, second = planes(row, own, (2, 2))[0], planes(row, own, (2, 3))[1]
    assert first.tolist() == [[0, 10922], [32768, C]]  # (2 − 1)/6 and (4 − 1)/6
    assert second.tolist() == [[0, C, 32767]] * 2  # reversed: 1 − (5 − 3)/2, 1 − 0, 1 − (4 − 3)/2
    larger = planes(row[:1], own, (4, 4))[0] / 65535 * 6 + 1
    assert larger[0].tolist() == pytest.approx([1, 1.25, 1.75, 2], abs=1e-3)
    assert larger[:, 0].tolist() == pytest.approx([1, 1.75, 3.25, 4], abs=1e-3)
    assert larger[1, 1] == pytest.approx(0.75**2 * 1 + 0.75 * 0.25 * (2 + 4) + 0.25**2 * 7, abs=1e-3)
    turned = planes(np.array([[-1, 180, 0.5, 0.5, 1, 0, 0.0]]), own, (2, 2))[0]
    assert turned.tolist() == first[::-1, ::-1].tolist()


def test_maps_of_a_table_come_in_its_order_and_are_not_written_to():
    table = np.array([[NAMES.index("line"), turned, 0.5, 0.5, 1, 0, reverse] for turned, reverse in ((0, 0), (90, 1))])
    found = planes(table, (), (2, 2))
    assert found.dtype == np.uint16
    assert found.tolist() == [[[0, C], [0, C]], [[C, C], [0, 0]]]
    assert planes(table, (), (2, 2)).tolist() == found.tolist(), "also when they were kept, and one was reversed"
    assert planes(np.zeros((0, 7)), (), (3, 2)).shape == (0, 3, 2)
