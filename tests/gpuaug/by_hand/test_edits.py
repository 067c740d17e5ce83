"""Edits at their bounds, by hand: what is taken, what is refused, and which frames are shown."""

from __future__ import annotations

import numpy as np
import pytest

from gpuaug import edits
from gpuaug.edits import RULES
from gpuaug.plan import Plan


def frames(edit, counts, n=1, **parameters):
    first, second, alpha = RULES[edit](counts, n, **parameters)
    length = max(part.shape[1] for part in (first, second, alpha))
    rows = max(part.shape[0] for part in (first, second, alpha))
    return [np.broadcast_to(part, (rows, length)).tolist() for part in (first, second, 1.0 * alpha)]


def test_every_rule_is_known():
    assert list(RULES) == ["crossfade", "resample_speed", "paste", "take", "freeze"]


@pytest.mark.parametrize(
    ("counts", "given", "error"),
    [
        ((4, 4), {"center": 4, "overlap": 0}, None),  # nothing of the second
        ((4, 4), {"center": 0, "overlap": 0}, None),  # nothing of the first
        ((4, 4), {"center": 2, "overlap": 4}, None),
        ((3, 3), {"center": 2, "overlap": 2}, None),
        ((4, 1), {"center": 4, "overlap": 0}, None),
        ((2, 2), {"center": 2, "overlap": 2}, "first must have center .* = 3 frames, got 2"),
        ((3, 2), {"center": 2, "overlap": 2}, "second must have length .* = 3 frames, got 2"),
        ((4, 4), {"center": 5, "overlap": 0}, r"center must be in \[0, length=4\], got center=5"),
        ((4, 4), {"center": -1, "overlap": 0}, r"center must be in \[0, length=4\], got center=-1"),
        ((4, 4), {"center": 1, "overlap": 4}, "overlap must be even and in .*, got overlap=4"),
        ((9, 9), {"center": 3, "overlap": 4}, r"overlap must be at most 2\*\(length - center\), got overlap=4"),
        ((4, 4), {"center": 2, "overlap": -2}, "overlap must be even and in .*, got overlap=-2"),
        ((4, 4), {"center": 2, "overlap": 1}, "overlap must be even and in .*, got overlap=1"),
        ((9, 9), {"center": 0, "overlap": 2}, "overlap must be even and in .*, got overlap=2"),
        ((9, 9), {"center": 2, "overlap": -2}, "overlap must be even and in .*, got overlap=-2"),
        ((9, 9), {"center": 2, "overlap": -1}, "overlap must be even and in .*, got overlap=-1"),
        ((9, 9), {"center": 4, "overlap": 2}, r"overlap must be at most 2\*\(length - center\), got overlap=2"),
        ((4, 2), {"center": [2, 1]}, "second must have length .* = 3 frames, got 2"),  # the first that is too short
        ((2, 4), {"center": [2, 3]}, "first must have center .* = 3 frames, got 2"),
    ],
)
def test_crossfades_that_there_are(counts, given, error):
    if error is None:
        assert len(frames("crossfade", counts, length=4, **given)[0][0]) == 4
    else:
        with pytest.raises(ValueError, match=error):
            frames("crossfade", counts, np.size(given["center"]), length=4, **given)


def test_frames_of_a_crossfade():
    assert frames("crossfade", (3, 3), length=4, center=2, overlap=2) == [
        [[0, 1, 2, 2]],
        [[0, 0, 1, 2]],
        [[0, 0.5, 1, 1]],
    ]
    assert frames("crossfade", (4, 4), length=4, center=4, overlap=0)[2] == [[0, 0, 0, 0]]
    assert frames("crossfade", (4, 4), length=4, center=0, overlap=0) == [
        [[0, 1, 2, 3]],
        [[0, 1, 2, 3]],
        [[1, 1, 1, 1]],
    ]
    both = frames("crossfade", (6, 6), 2, length=4, center=[1, 2], overlap=[0, 4])
    assert both[2] == [[0, 1, 1, 1], [0.25, 0.5, 0.75, 1]]
    assert frames("crossfade", (2, 6), length=4, center=2)[:2] == [[[0, 1, 1, 1]], [[0, 0, 0, 1]]]
    assert frames("crossfade", (6, 1), length=4, center=4)[:2] == [[[0, 1, 2, 3]], [[0, 0, 0, 0]]]
    hard, soft = (RULES["crossfade"]((9, 9), 1, length=4, center=2, overlap=overlap).alpha for overlap in (0, 2))
    assert (hard.dtype, soft.dtype) == (bool, float), "a cut shows one of the two and mixes nothing"


@pytest.mark.parametrize(
    ("count", "given", "shown"),
    [
        (9, {"change_point": 3, "rate": 2}, [0, 1, 2, 4, 6, 8]),
        (8, {"change_point": 3, "rate": 2}, None),
        (6, {"change_point": 6, "rate": 9}, [0, 1, 2, 3, 4, 5]),
        (4, {"change_point": 1, "rate": 0.5}, [0, 1, 1, 2, 2, 3]),  # 2.5 is nearest to 3
        (3, {"change_point": 1, "rate": 0.5}, None),
        (3, {"change_point": 1, "rate": 0.49}, [0, 0, 1, 1, 2, 2]),
    ],
)
def test_speeds(count, given, shown):
    if shown:
        plan = edits.resample_speed(Plan.take(0, range(count)), length=6, **given)
        assert plan.frame[0, :, 0].tolist() == shown
    else:
        with pytest.raises(ValueError, match=f"clip must reach frame {count} for .*, it has {count} frames"):
            edits.resample_speed(Plan.take(0, range(count)), length=6, **given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"change_point": 0}, r"change_point must be in \[1, length=6\], got change_point=0"),
        ({"change_point": 7}, r"change_point must be in \[1, length=6\], got change_point=7"),
        ({"rate": 0}, "rate must be > 0 and finite, got rate=0"),
        ({"rate": -1}, "rate must be > 0 and finite, got rate=-1"),
        ({"rate": float("inf")}, "rate must be > 0 and finite, got rate=inf"),
        ({"rate": [1.0, float("nan")]}, "rate must be > 0 and finite, got rate=nan"),
        ({"length": 0}, "length must be a whole number ≥ 1, got length=0"),
        ({"length": 2.5}, "length must be whole numbers"),
        ({"change_point": [1, 2], "rate": [1, 1, 1]}, r"change_point must be a scalar or one value per sample \(3\)"),
    ],
)
def test_speeds_that_there_are_not(given, message):
    with pytest.raises(ValueError, match=message):
        edits.speed_times(**{"length": 6, "change_point": 2, "rate": 1.0, **given})


def test_times_of_speeds_per_sample():
    assert edits.speed_times(4, [1, 4], [2.0, 3.0]).tolist() == [[0, 2, 4, 6], [0, 1, 2, 3]]
    assert edits.speed_times(4, 2, [0.5, 1]).tolist() == [[0, 1, 1.5, 2], [0, 1, 2, 3]]
    assert edits.speed_times(1, 1, 5).tolist() == [[0]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"start": 0, "stop": 4}, None),
        ({"start": 2, "stop": 2}, None),
        ({"start": 4, "stop": 4}, None),
        ({"opacity": 0}, None),
        ({"opacity": 1}, None),
        ({"start": -1}, r"start must be in \[0, stop\], got start=-1"),
        ({"start": 4, "stop": 3}, r"start must be in \[0, stop\], got start=4"),
        ({"stop": 5}, "stop must be at most the background's 4 frames, got stop=5"),
        ({"start": 0, "stop": 4, "region": 3}, "region must have stop - start = 4 frames, got 3"),
        ({"opacity": 1.001}, r"opacity must be in \[0, 1\], got opacity=1.001"),
        ({"opacity": -0.001}, r"opacity must be in \[0, 1\], got opacity=-0.001"),
        ({"opacity": float("nan")}, r"opacity must be in \[0, 1\], got opacity=nan"),
    ],
)
def test_pastes(given, message):
    given = {"start": 1, "stop": 3, "opacity": 0.5, "region": 4, **given}
    region = given.pop("region")
    if message:
        with pytest.raises(ValueError, match=message):
            frames("paste", (4, region), **given)
        return
    first, second, alpha = frames("paste", (4, region), **given)
    inside = [given["start"] <= i < given["stop"] for i in range(4)]
    assert first == [[0, 1, 2, 3]]
    assert alpha == [[given["opacity"] * each for each in inside]]
    assert [s for s, each in zip(second[0], inside) if each] == list(range(given["stop"] - given["start"]))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"start": 1, "duration": 3}, [0, 1, 1, 1, 2, 3]),
        ({"start": 0, "duration": 1}, [0, 1, 2, 3, 4, 5]),
        ({"start": 0, "duration": 6}, [0] * 6),
        ({"start": 5, "duration": 9}, [0, 1, 2, 3, 4, 5]),
        ({"start": 1, "duration": 2, "count": 5}, [0, 1, 1, 2, 3, 4]),
        ({"start": 1, "duration": 2, "count": 4}, "clip must have 5 frames for this length, start and duration, got 4"),
        ({"start": 6, "duration": 1}, r"start must be in \[0, 5\], got start=6"),
        ({"start": -1, "duration": 1}, r"start must be in \[0, 5\], got start=-1"),
        ({"start": 1, "duration": 0}, "duration must be ≥ 1, got duration=0"),
    ],
)
def test_freezes(given, shown):
    count = given.pop("count", 6)
    if isinstance(shown, str):
        with pytest.raises(ValueError, match=shown):
            frames("freeze", (count,), length=6, **given)
    else:
        assert frames("freeze", (count,), length=6, **given)[0] == [shown]


@pytest.mark.parametrize("given", [[], [[]], [[[0]]], 0, -1, [[0, -1]], [5]])
def test_frames_that_there_are_not(given):
    with pytest.raises(ValueError, match=r"frames must (have shape|be in \[0, 4\])"):
        frames("take", (5,), frames=given)


def test_plans_and_parameters_of_one_number_of_samples():
    one, three = Plan.take(0, range(4)), Plan.take([0, 1, 2], range(4))
    assert edits.take(one, [[0], [1]]).shape == (2, 1, 1)
    assert edits.take(three, [0, 1]).shape == (3, 2, 1)
    assert edits.freeze(one, length=2, start=[0, 1], duration=1).shape == (2, 2, 1)
    assert edits.paste(one, three, start=[0], stop=1, opacity=1).shape[0] == 3
    for call in (
        lambda: edits.take(three, [[0], [1]]),
        lambda: edits.paste(three, Plan.take([0, 1], range(4)), start=0, stop=1, opacity=1),
        lambda: edits.concatenate(three, one, length=2, center=[1, 1]),
    ):
        with pytest.raises(ValueError, match="plans and parameters must have one number of samples"):
            call()
