"""What is drawn of transitions: distributions, bounds, and the frames that a clip has."""

from __future__ import annotations

import numpy as np
import pytest

from gpuaug.transitions import DURATIONS, FAMILIES, KINDS, RANGES, WEIGHTS, draw
from gpuaug.transitions.easing import EASINGS


def drawn(n=6000, seed=0, **given):
    return draw(np.random.default_rng(seed), n, **{"length": 64, **given})


def test_the_prior_is_clipshots():
    assert (WEIGHTS["cut"], WEIGHTS["dissolve"], WEIGHTS["fade"], WEIGHTS["time"]) == (0.79, 0.06, 0.045, 0)
    assert sum(WEIGHTS.values()) == pytest.approx(1)
    assert set(WEIGHTS) == set(FAMILIES)
    rest = {weight for family, weight in WEIGHTS.items() if family not in ("cut", "dissolve", "fade", "time")}
    assert len(rest) == 1, "the others are equally likely"
    assert DURATIONS == ((0, 2), (0.25, 2), (0.5, 10), (0.75, 19), (0.95, 36), (1, 72))
    assert RANGES == {
        "softness": (0, 0.3), "angle": (0, 360), "center": (0.25, 0.75), "number": (4, 16), "color": (0, 1),
        "skip": (4, 48), "rate": (0.25, 4),
    }  # fmt: skip


def uniform(values, low, high):
    assert low <= values.min() < low + 0.02 * (high - low)
    assert high - 0.02 * (high - low) < values.max() <= high
    assert values.mean() == pytest.approx((low + high) / 2, abs=0.02 * (high - low))


def test_looks():
    found = drawn(frames=200)
    soft = found["softness"]
    assert (soft == 0).mean() == pytest.approx(0.5, abs=0.02)
    uniform(soft[soft > 0], 0, 0.3)
    uniform(found["angle"], 0, 360)
    assert found["center"].shape == (6000, 2)
    for k in range(2):
        uniform(found["center"][:, k], 0.25, 0.75)
    color = found["color"]
    black = (color == 0).all(1)
    assert black.mean() == pytest.approx(0.5, abs=0.02)
    for k in range(3):
        uniform(color[~black][:, k], 0, 1)
    for name, low, high in (("number", 4, 16), ("skip", 4, 48)):
        assert sorted(set(found[name].tolist())) == list(range(low, high + 1)), name
    assert found["seed"].min() >= 0
    assert 65000 < found["seed"].max() < 65536
    names, counts = np.unique(found["easing"], return_counts=True)
    assert set(names) == set(EASINGS)
    assert counts.min() > 1050
    assert abs(np.corrcoef(soft == 0, black)[0, 1]) < 0.05, "one says nothing of the other"


def test_rates_are_uniform_in_their_logarithm():
    found = np.log2(drawn(frames=1000)["rate"])
    uniform(found, -2, 2)
    slower = np.log2(drawn()["rate"])  # nothing to spare: no faster than it is
    uniform(slower, -2, 0)
    narrow = drawn(ranges={"rate": (0.5, 0.5)})["rate"]
    np.testing.assert_allclose(narrow, 0.5)


def test_what_is_left_of_the_first_clip_bounds_jumps():
    for frames, most in ((64 + 4, 4), (64 + 20, 20), (64 + 100, 48)):
        assert drawn(frames=frames, weights={"jump": 1})["skip"].max() == most
    with pytest.raises(ValueError, match=r"frames must be at least length \+ 4 = 68 for the kind 'jump'"):
        drawn(frames=67, weights={"jump": 1})
    assert set(drawn(frames=67, weights={"time": 1})["kind"]) == set(FAMILIES["time"]) - {"jump"}
    assert "jump" in drawn(frames=68, weights={"time": 1})["kind"]
    fast = {"rate": (2, 3)}  # at least 63 more frames
    with pytest.raises(ValueError, match=r"frames must be at least length \+ 63 = 127 for the kind 'speed_ramp'"):
        drawn(frames=126, weights={"speed_ramp": 1}, ranges=fast)
    drawn(frames=127, weights={"speed_ramp": 1}, ranges=fast)
    assert drawn(weights={"jump": 0, "cut": 1})["kind"] == ["cut"] * 6000, "a weight of 0 asks for nothing"


def test_durations_are_linear_between_what_is_given():
    table = ((0.0, 5), (0.5, 5), (1.0, 25))
    found = drawn(weights={"wipe": 1}, durations=table)["duration"]
    assert found.min() == 4, "a frame at either end is counted"
    assert found.max() == 24
    assert (found == 4).mean() == pytest.approx(0.5 + 0.5 * 0.025, abs=0.02)
    assert np.median(found[found > 4]) == pytest.approx(14, abs=1)
    short = drawn(length=12, weights={"wipe": 1}, durations=table)["duration"]
    assert (short.min(), short.max()) == (4, 11), "longer ones than fit are not drawn"
    assert (short == 11).mean() < 0.1
    least = drawn(length=4, weights={"wipe": 1}, durations=table)["duration"]
    assert set(least) == {3}
    tiny = drawn(weights={"wipe": 1}, durations=((0, 2), (1, 2)))["duration"]
    assert set(tiny) == {2}, "p has two steps at least"


def test_starts_are_such_that_all_is_seen():
    found = drawn(length=8, weights={"cut": 1})
    assert sorted(set(found["start"].tolist())) == list(range(1, 8))
    found = drawn(length=8, weights={"wipe": 1}, durations=((0, 4), (1, 4)))
    assert set(found["duration"]) == {3}
    starts, counts = np.unique(found["start"], return_counts=True)
    assert starts.tolist() == [1, 2, 3, 4, 5]
    assert counts.min() > 1000
    given = drawn(6, length=8, start=[1, 2, 3, 5, 6, 7], weights={"wipe": 1}, durations=((0, 9), (1, 9)))
    assert given["start"].tolist() == [1, 2, 3, 5, 6, 7]
    assert given["duration"].tolist() == [7, 6, 5, 3, 2, 0]
    assert given["kind"][-1] == "cut", "there is no room for a frame in the middle"
    assert all(KINDS[kind].family == "wipe" for kind in given["kind"][:-1])
    with pytest.raises(ValueError, match=r"start must be in \[1, 7\], got start=8"):
        drawn(1, length=8, start=8)
    assert drawn(3, length=2, weights={"wipe": 1})["kind"] == ["cut"] * 3


def test_weights_are_relative_and_a_familys_kinds_equally_likely():
    kinds, counts = np.unique(drawn(weights={"push": 3, "cover_left": 1})["kind"], return_counts=True)
    shares = dict(zip(kinds.tolist(), (counts / 6000).tolist()))
    expected = {f"push_{to}": 0.75 / 4 for to in ("left", "right", "up", "down")} | {"cover_left": 0.25}
    assert shares == pytest.approx(expected, abs=0.02)
    both = drawn(weights={"push": 1, "push_left": 1})["kind"]
    assert both.count("push_left") / 6000 == pytest.approx(1.25 / 2, abs=0.02), "named itself, too"


@pytest.mark.parametrize(
    ("durations", "right"),
    [
        (((0, 2), (1, 2)), True),
        (((0, 2), (0.5, 2), (0.5, 9), (1, 9)), True),
        (((0, 1.9), (1, 5)), False),
        (((0.1, 2), (1, 5)), False),
        (((0, 2), (0.9, 5)), False),
        (((0, 2), (0.6, 3), (0.5, 4), (1, 5)), False),
        (((0, 2), (0.5, 6), (1, 5)), False),
        (((0, 2, 3), (1, 5, 3)), False),
        (((0, 2), (1, float("inf"))), False),
    ],
)
def test_tables_of_durations(durations, right):
    if right:
        drawn(3, durations=durations)
    else:
        with pytest.raises(ValueError, match=r"durations must be \(share, frames\) that rise from share 0 to 1"):
            drawn(3, durations=durations)
