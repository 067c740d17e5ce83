"""Kinds that change the time of one clip: jumps, freezes, speed ramps, reverse; against frames written by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import gpuaug
from gpuaug import Plan, render
from gpuaug.transitions import FAMILIES, KINDS, draw, labels, transition

FRAMES = 24
OTHER = Plan.take(1, range(FRAMES))


def made(kind, *, length=10, start=3, duration=4, n=1, **given):
    clip = Plan.take(np.zeros(n, int), range(FRAMES))
    return transition(clip, OTHER, kind, length=length, start=start, duration=duration, **given)


@pytest.mark.parametrize(
    ("kind", "given", "frames", "label"),
    [
        ("jump", {"duration": 0, "skip": 5}, [0, 1, 2, 8, 9, 10, 11, 12, 13, 14], (-1, -1, 3)),
        ("jump", {"duration": 0, "skip": 1, "start": 9}, [0, 1, 2, 3, 4, 5, 6, 7, 8, 10], (-1, -1, 9)),
        ("freeze", {}, [0, 1, 2, 3, 3, 3, 3, 4, 5, 6], (3, 6, 7)),
        ("freeze", {"start": 0, "duration": 2}, [0, 0, 1, 2, 3, 4, 5, 6, 7, 8], (0, 1, 2)),
        ("freeze", {"start": 6}, [0, 1, 2, 3, 4, 5, 6, 6, 6, 6], (6, 9, 10)),
        ("reverse", {}, [0, 1, 2, 6, 5, 4, 3, 7, 8, 9], (3, 6, 7)),
        ("reverse", {"start": 0, "duration": 10}, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0], (0, 9, 10)),
        # steps 1.25, 1.5, 1.75, 2, 2, …: positions 3.25, 4.75, 6.5, 8.5, 10.5, 12.5, 14.5
        ("speed_ramp", {"rate": 2.0}, [0, 1, 2, 3, 5, 7, 9, 11, 13, 15], (3, 5, 6)),
        # steps 0.75, 0.5, then 0.5 for good, by easing "out": p = 0.5·1.5 = 0.75, then 1
        (
            "speed_ramp",
            {"rate": 0.5, "duration": 2, "easing": "out"},
            [0, 1, 2, 3, 3, 4, 4, 5, 5, 6],  # 2.625, 3.125, 3.625, …
            (3, 3, 4),
        ),
    ],
)
def test_frames_and_labels(kind, given, frames, label):
    plan = made(kind, **given)
    assert plan.shape == (1, 10, 1)
    assert (plan.clip == 0).all()
    assert plan.frame[0, :, 0].tolist() == frames
    found = labels(plan)
    assert found.names == [kind]
    assert found.families == ["time"]
    assert (found.first[0], found.last[0], found.new[0]) == label


def by_hand(kind, i, start, duration, skip, rate):
    if kind == "jump":
        return i if i < start else i + skip
    if kind == "freeze":
        return i if i < start else start if i < start + duration else i - duration + 1
    if kind == "reverse":
        return start + (start + duration - 1 - i) if start <= i < start + duration else i
    position = 0.0
    for frame in range(1, i + 1):
        j = frame - start + 1
        position += 1 + (rate - 1) * min(max(j, 0), duration) / duration
    return position


@given(
    kind=st.sampled_from(FAMILIES["time"]),
    start=st.integers(0, 7),
    duration=st.integers(2, 5),
    skip=st.integers(1, 9),
    rate=st.floats(0.1, 2.0),
)
def test_any_parameters(kind, start, duration, skip, rate):
    length = 12
    found = made(kind, length=length, start=start, duration=0 if kind == "jump" else duration, skip=skip, rate=rate)
    wanted = [by_hand(kind, i, start, duration, skip, rate) for i in range(length)]
    np.testing.assert_allclose(found.time[0, :, 0], wanted, atol=1e-8)
    assert found.frame[0, :, 0].tolist() == [math.floor(round(w, 9) + 0.5) for w in wanted]


def test_labels_of_drawn_ones_are_those_of_pixels():
    """Every frame is a flat picture of its number, so that steps can be seen; other kinds stand beside in the batch."""
    n, length = 400, 16
    weights = {"jump": 1, "freeze": 1, "reverse": 1, "wipe": 0.5, "cut": 0.5}
    drawn = draw(np.random.default_rng(0), n, length=length, frames=60, weights=weights)
    clips = [Plan.take(np.full(n, k), range(60)) for k in (0, 1)]
    plan = transition(*clips, length=length, **drawn)
    bank = torch.arange(120, dtype=torch.uint8).view(2, 60, 1, 1, 1).expand(2, 60, 3, 4, 3).contiguous()
    shown = np.round(render(bank, plan, size=(3, 4)).numpy() * 255).astype(int)[:, 0, :, 0, 0]
    step = np.diff(shown, axis=1)
    found = labels(plan)
    assert found.sample.tolist() == list(range(n))
    for i, kind in enumerate(drawn["kind"]):
        got = found.first[i], found.last[i], found.new[i]
        if kind == "jump":
            wanted = -1, -1, 1 + np.flatnonzero(step[i] != 1)[0]
            assert step[i].max() == 1 + drawn["skip"][i]
        elif kind in ("freeze", "reverse"):
            same = np.flatnonzero(step[i] == (0 if kind == "freeze" else -1))
            wanted = same[0], same[-1] + 1, same[-1] + 2
        else:
            continue
        assert found.names[i] == kind
        assert got == wanted, (kind, drawn["start"][i], drawn["duration"][i])
    assert {KINDS[name].family for name in found.names} == {"time", "wipe", "cut"}


def test_within_a_plan_of_several_shots():
    """A transition that is played backwards, frozen or left out, is where its frames are."""
    both = transition(Plan.take(0, range(FRAMES)), OTHER, "wipe_left", length=16, start=4, duration=4)
    back = labels(transition(both, OTHER, "reverse", length=16, start=10, duration=4))
    assert back.names == ["wipe_left", "reverse"]
    assert back.first.tolist() == [4, 10]
    gone = labels(transition(both, OTHER, "jump", length=6, start=4, duration=0, skip=10))
    assert gone.names == ["cut"]
    assert gone.new.tolist() == [4]


def test_kinds_of_either_sort_in_one_call_of_arrays():
    kinds = ["freeze", "push_left", "jump", "dissolve", "reverse"]
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 256, (2, 5, 12, 5, 6, 3), dtype=np.uint8)
    keep = {"length": 8, "start": 2, "duration": [3, 4, 0, 2, 4], "skip": 4}
    got = gpuaug.transition(first, second, kinds, **keep)
    assert (got[0] == first[0, [0, 1, 2, 2, 2, 3, 4, 5]]).all()
    assert (got[2] == first[2, [0, 1, 6, 7, 8, 9, 10, 11]]).all()
    assert (got[4] == first[4, [0, 1, 5, 4, 3, 2, 6, 7]]).all()
    for i in (1, 3):
        own = {**keep, "duration": keep["duration"][i]}
        assert (got[i] == gpuaug.transition(first[i : i + 1], second[i : i + 1], kinds[i], **own)[0]).all()


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("jump", {"duration": 2}, "duration must be 0 for cuts and jumps, got duration=2"),
        ("freeze", {"duration": 1}, "duration must be ≥ 2 for freezes, speed ramps and reverse, got duration=1"),
        ("jump", {"duration": 0, "skip": 0}, "skip must be ≥ 1, got skip=0"),
        ("jump", {"duration": 0, "skip": 1.5}, "skip must be whole numbers"),
        ("jump", {"duration": 0, "skip": 15}, "first must have 25 frames for this kind and start, got 24"),
        ("speed_ramp", {"rate": 0}, "rate must be > 0 and finite, got rate=0"),
        ("speed_ramp", {"rate": 1e300}, "first must have .* frames for this kind and start, got 24"),
    ],
)
def test_what_cannot_be_had_is_refused(kind, given, message):
    with pytest.raises(ValueError, match=message):
        made(kind, **given)
