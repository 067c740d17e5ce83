"""Parameters of masks and colours at their bounds, and what a kind has no use for."""

from __future__ import annotations

import numpy as np
import pytest

from gpuaug.transitions.kinds import KINDS
from gpuaug.transitions.looks import Looks, time_maps

GIVEN = {"softness": 0.25, "angle": 30.0, "number": 5, "seed": 3, "center": [0.2, 0.7], "color": [0.1, 0.2, 0.3]}
PLAIN = {"softness": 0, "angle": 0, "number": 8, "seed": 0, "center": [0.5, 0.5], "color": [0, 0, 0]}


def looks(*kinds, edges=None, luma=None, **given):
    edges = np.array(edges or ["linear"] * len(kinds))
    return Looks.of(len(kinds), np.array(kinds), edges, luma, **{**GIVEN, **given})


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "luma"])
def test_a_kind_has_the_parameters_that_it_draws_and_else_the_usual_ones(kind):
    found, other = looks(kind, "cut"), looks("cut", kind)
    for made, at in ((found, 0), (other, 1)):
        wanted = {name: GIVEN[name] if name in KINDS[kind].draws else PLAIN[name] for name in PLAIN}
        assert made.softness[at] == wanted["softness"]
        assert made.color[at].tolist() == wanted["color"]
        assert made.center[at].tolist() == wanted["center"]
        row = [0, wanted["angle"], *wanted["center"], wanted["number"], wanted["seed"], 0]
        assert made.maps[at].tolist() == row
    assert found.pictures == []


def test_parameters_per_sample():
    found = looks("wipe", "wipe", edges=["smooth", "linear"], angle=[10, 20], softness=[0, 0.5])
    assert found.maps[:, 1].tolist() == [10, 20]
    assert found.softness.tolist() == [0, 0.5]
    assert found.smooth.tolist() == [True, False]
    centres = looks("clock", "clock", center=[[0, 1], [2, 3]]).center
    assert centres.tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize(
    ("given", "right"),
    [
        *(({"softness": v}, 0 <= v <= 1e6) for v in (0, 1e6, -1e-9, 1.01e6)),
        *(({"number": v}, 1e-6 <= v <= 1e6) for v in (1e-6, 1e6, 0.9e-6, 1.01e6, 0, -1)),
        *(({"center": [v, 0.5]}, abs(v) <= 1e6) for v in (1e6, -1e6, 1.01e6, -1.01e6)),
        *(({"center": [0.5, v]}, abs(v) <= 1e6) for v in (1e6, -1.01e6)),
        *(({"color": [0, 0, v]}, 0 <= v <= 1) for v in (0, 1, -1e-9, 1.001)),
        *(({"seed": v}, v >= 0) for v in (0, 2**61, -1)),
        *(({"angle": v}, np.isfinite(v)) for v in (-1e300, 1e300, np.inf, np.nan)),
        ({"center": [0.5]}, False),
        ({"center": [0.5] * 3}, False),
        ({"color": [0.5] * 2}, False),
        ({"seed": 0.5}, False),
    ],
)
def test_bounds(given, right):
    if right:
        looks("clock", **given)
    else:
        (name,) = given
        with pytest.raises(ValueError, match=f"^{name} must "):
            looks("clock", **given)


def test_pictures_of_a_time_map():
    picture = np.arange(6.0).reshape(2, 3)
    one = looks("luma", "wipe", luma=picture)
    assert len(one.pictures) == 1
    assert one.pictures[0] is picture or np.array_equal(one.pictures[0], picture)
    each = looks("luma", "luma", luma=np.stack([picture, picture + 1]))
    assert [p[0, 0] for p in each.pictures] == [0, 1]
    assert looks("wipe", "wipe", luma=picture).pictures == []
    with pytest.raises(ValueError, match="luma must be given for the kind 'luma'"):
        looks("luma", "wipe")


@pytest.mark.parametrize(
    ("shape", "right"),
    [((2, 3), True), ((4, 2, 3), True), ((2, 4, 3), True), ((2, 4, 4), True), ((2, 5, 3), False), ((2, 5, 4), False),
     ((2, 5, 5), True), ((2, 5, 2), True), ((6,), False), ((1, 2, 2, 2), False), ((0, 3), False)],
)  # fmt: skip
def test_shapes_of_time_maps(shape, right):
    given = np.arange(float(np.prod(shape))).reshape(shape)
    if right:
        assert time_maps(given).shape == shape
    else:
        with pytest.raises(ValueError, match="luma must be "):
            time_maps(given)


def test_time_maps_have_an_order():
    flat = np.stack([np.arange(4.0).reshape(2, 2), np.ones((2, 2))])
    for wrong in (flat, np.ones((2, 2)), np.array([[0, np.nan]]), np.array([[0, np.inf]])):
        with pytest.raises(ValueError, match="luma must be finite and have more than one value"):
            time_maps(wrong)
