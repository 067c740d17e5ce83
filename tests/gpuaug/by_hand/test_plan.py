"""Plans in small cases by hand: marks, colours, shares, boundaries, edges, and what goes wrong at them."""

from __future__ import annotations

import numpy as np
import pytest

from gpuaug.layers.columns import COLOR, Layers, Marks
from gpuaug.plan import Plan, alike, columns_of, fade, over, where


def marked(kind, shot, clip=0):
    plan = Plan.take(clip, range(len(kind)))
    return Plan(plan.clip, plan.time, plan.weight, marks=Marks(np.array([kind]), np.array([shot])))


def test_a_colour_is_one_tap_without_a_clip():
    plan = Plan.color([[0, 0.5, 1], [1, 1, 1]], frames=3)
    assert plan.shape == (2, 3, 1)
    assert (plan.clip == COLOR).all()
    assert (plan.weight == 1).all()
    assert plan.layers.color[:, :, 0].tolist() == [[[0, 0.5, 1]] * 3, [[1, 1, 1]] * 3]
    assert plan.share(2).tolist() == [[0, 0], [0, 0]]
    assert plan.area().tolist() == [[[1]] * 3] * 2
    for wrong in ([0, 0], [0, 0, 1.1], [-0.1, 0, 0], [[[0, 0, 0]]], [0, 0, 0, 0], np.nan, 0.5):
        with pytest.raises(ValueError, match=r"color must be \(3,\) or \(N, 3\) in \[0, 1\], got"):
            Plan.color(wrong, frames=1)
    with pytest.raises(ValueError, match="frames must be a whole number ≥ 1, got frames=0"):
        Plan.color([0, 0, 0], frames=0)


@pytest.mark.parametrize(
    ("time", "frames", "edge", "expected"),
    [
        ([-3, 9], 4, "repeat", [0, 3]),
        ([-0.5, 3.49], 4, "error", [0, 3]),
        ([1, 2], [9, 9, 3], "error", [1, 2]),
        ([-7, 10**6], None, "repeat", [0, 10**6]),
    ],
)
def test_times_at_the_edges_of_a_clip(time, frames, edge, expected):
    assert Plan.take(2, time, frames=frames, edge=edge).frame[0, :, 0].tolist() == expected
    if edge == "error":
        for wrong in ([*time[:1], 3.5 if np.ndim(frames) == 0 else 2.5], [-0.51, 0]):
            with pytest.raises(ValueError, match=r"time must be in \[0, \d\] \(or use edge='repeat'\), got time="):
                Plan.take(2, wrong, frames=frames)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (0, "frames must be ≥ 1 for every clip shown, got frames=0"),
        ([5, 5, 0], "frames must be ≥ 1 for every clip shown, got frames=0"),
        ([5, 5], "clip must be below the number of clips 2, got clip=2"),
    ],
)
def test_lengths_of_clips(frames, message):
    with pytest.raises(ValueError, match=message):
        Plan.take(2, [0.0], frames=frames)
    assert Plan.take(2, [0.0], frames=[0, 0, 1]).frame.item() == 0, "others do not count"


def test_clips_per_sample_and_per_frame():
    assert Plan.take(3, [[0, 1], [2, 3]]).clip[:, :, 0].tolist() == [[3, 3], [3, 3]]
    assert Plan.take([3, 4], [0, 1]).clip[:, :, 0].tolist() == [[3, 3], [4, 4]]
    each = Plan.take([[3, 4]], [[0, 1], [2, 3]])
    assert each.clip[:, :, 0].tolist() == [[3, 4], [3, 4]]
    assert each.time[:, :, 0].tolist() == [[0, 1], [2, 3]]
    assert Plan.take(np.zeros((0,), int), [0, 1]).shape == (0, 2, 1)


def test_a_plan_of_one_sample_serves_many():
    plan = marked([-1, 2], [0, 1])
    assert plan.repeat(1) is plan
    three = plan.repeat(3)
    assert three.shape == (3, 2, 1)
    assert three.marks.kind.tolist() == [[-1, 2]] * 3
    assert three.marks.shot.tolist() == [[0, 1]] * 3
    assert Plan.color([1, 0, 0], frames=1).repeat(2).layers.color[:, 0, 0].tolist() == [[1, 0, 0]] * 2


def test_the_dominant_tap_is_the_earlier_of_two_equal_ones():
    plan = Plan(np.array([[[5, 6, 7]] * 3]), np.array([[[50.0, 60, 70]] * 3]),
                np.array([[[0.5, 0.5, 0], [0.25, 0.5, 0.25], [0.3, 0.3, 0.4]]], np.float32))  # fmt: skip
    assert plan.dominant.tolist() == [[0, 1, 2]]
    clip, time = plan.source()
    assert (clip.tolist(), time.tolist()) == ([[5, 6, 7]], [[50, 60, 70]])
    layers = Layers.none((1, 1, 2))
    layers.place[0, 0, 1] = 0, 0, 0.5, 0.5  # a full weight on a quarter of the output
    small = Plan(np.array([[[1, 2]]]), np.zeros((1, 1, 2)), np.ones((1, 1, 2), np.float32), layers)
    assert small.area().tolist() == [[[0.75, 0.25]]]
    assert small.area().dtype == np.float32
    assert small.dominant.tolist() == [[0]]
    assert small.share(3).tolist() == [[0, 0.75, 0.25]]
    assert small.share(3, size=(1, 1)).tolist() == [[0, 0.75, 0.25]]


def test_shares_name_every_clip():
    plan = fade(Plan.take([0, 2], [0, 1]), Plan.take([1, 1], [0, 1]), [[0.5, 0], [1, 0.25]])
    assert plan.share(3).tolist() == [[0.75, 0.25, 0], [0, 0.625, 0.375]]
    for clips in (0, 1, 2):
        with pytest.raises(ValueError, match=rf"above every clip id of the plan \(2\), got clips={clips}"):
            plan.share(clips)


@pytest.mark.parametrize(
    ("clip", "time", "expected"),
    [
        (0, [0, 1, 2, 3], -1),
        (0, [5], -1),
        (0, [0, 2], -1),
        (0, [0, 1, 1, 2], 2),
        ([[0, 0, 1, 1]], [0, 1, 2, 3], 2),
        ([[0, 1, 1, 1]], [0, 1, 2, 3], 1),
        (0, [0, 1, 2, 3 + 9e-7], -1),
        (0, [0, 1, 2, 3 + 2e-6], 3),
        (0, [3, 2, 1, 0], -1),
        (0, [3, 2, 1, 2], 3),
    ],
)
def test_boundaries(clip, time, expected):
    assert Plan.take(clip, time).boundary().tolist() == [expected]
    if time[-1] == 3 + 2e-6:
        assert Plan.take(clip, time).boundary(1e-5).tolist() == [-1]


def test_frames_between_two_are_of_the_nearer():
    plan = marked([-1, 4, -1], [0, 0, 1])
    found = plan.at([0, 0.25, 0.5, 1.49, 1.5, 2])
    assert found.time[0, :, 0].tolist() == [0, 0.25, 0.5, 1.49, 1.5, 2]
    assert found.marks.kind.tolist() == [[-1, -1, 4, 4, -1, -1]]
    assert found.marks.shot.tolist() == [[0, 0, 0, 0, 1, 1]]
    assert plan.at([-2, 7], edge="repeat").time[0, :, 0].tolist() == [0, 2]
    assert plan.at([-0.5, 2.49]).time[0, :, 0].tolist() == [0, 2]
    for wrong in ([-0.51], [2.5]):
        with pytest.raises(ValueError, match=r"order must be in \[0, 2\] \(or use edge='repeat'\), got order="):
            plan.at(wrong)
    for wrong in ([[0], [1]], [[[0]]]):
        with pytest.raises(ValueError, match=r"order must have shape \(T,\) or \(1, T\), got"):
            plan.at(wrong)
    with pytest.raises(ValueError, match="order must be finite"):
        plan.at([np.nan])


def test_marks_go_with_their_frames():
    one, plain = marked([3, -1], [0, 5]), Plan.take(1, range(2))
    both = where([[True, False]], one, plain)
    assert (both.marks.kind.tolist(), both.marks.shot.tolist()) == ([[3, -1]], [[0, 0]])
    assert where([[False, True]], one, plain).marks.kind.tolist() == [[-1, -1]]
    for alpha, kind, shot in ((0.0, 3, 5), (0.49, 3, 5), (0.5, -1, 0), (1.0, -1, 0)):
        faded = fade(one, plain, alpha)
        assert (faded.marks.kind[0, 0], faded.marks.shot[0, 1]) == (kind, shot), alpha
    assert fade(plain, plain, 0.5).marks is None
    joined = Plan.concat([plain, one])
    assert joined.marks.kind.tolist() == [[-1, -1], [3, -1]]
    assert joined.marks.shot.tolist() == [[0, 0], [0, 5]]
    assert Plan.concat([plain, plain]).marks is None
    with pytest.raises(ValueError, match=r"plans must have one number of output frames, got \[1, 2\]"):
        Plan.concat([plain, Plan.take(0, [0])])


def test_plans_with_and_without_layers_together():
    plain, colour = fade(Plan.take(0, [0]), Plan.take(1, [0]), 0.25), Plan.color([1, 0, 0], frames=1)
    assert over(colour) is colour
    laid = over(plain)
    assert laid.weight.tolist() == [[[1, 0.25]]]
    assert alike([plain, plain])[0].layers is None
    assert [part.layers is None for part in alike([plain, colour])] == [False, False]
    assert len(columns_of(plain)) == 3
    assert len(columns_of(laid)) == 10
    assert Plan.concat([plain, colour]).weight.tolist() == [[[1, 0.25]], [[1, 0]]]
    assert where([[True], [False]], plain.repeat(2), colour.repeat(2)).clip.tolist() == [[[0, 1]], [[-1, -1]]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clip": np.zeros((1, 2), int)}, r"clip must be a int64 array of shape \(N, T, K\), got int64 \(1, 2\)"),
        ({"time": [[[0.0]]]}, r"time must be a float64 array of shape \(N, T, K\), got list"),
        ({"weight": np.ones((1, 2, 1))}, r"weight must be a float32 array of shape \(N, T, K\), got float64"),
        ({"weight": np.ones((1, 1, 1), np.float32)}, "clip, time and weight must have one shape, got"),
        ({"time": np.zeros((1, 2, 2))}, "clip, time and weight must have one shape, got"),
    ],
)
def test_parts_of_a_plan(change, message):
    right = {"clip": np.zeros((1, 2, 1), int), "time": np.zeros((1, 2, 1)), "weight": np.ones((1, 2, 1), np.float32)}
    Plan(**right)
    with pytest.raises(ValueError, match=message):
        Plan(**{**right, **change})


@pytest.mark.parametrize("shape", [(1, 0, 1), (1, 1, 0)])
def test_a_plan_without_frames_or_taps(shape):
    with pytest.raises(ValueError, match="a plan needs at least one output frame and one tap, got shape"):
        Plan(np.zeros(shape, int), np.zeros(shape), np.zeros(shape, np.float32))


@pytest.mark.parametrize(("alpha", "right"), [(0, True), (1, True), (-1e-6, False), (1 + 1e-6, False)])
def test_weights_of_a_fade(alpha, right):
    plans = Plan.take(0, [0]), Plan.take(1, [0])
    if right:
        assert fade(*plans, alpha).clip.tolist() == [[[alpha]]]
    else:
        with pytest.raises(ValueError, match=r"alpha must be in \[0, 1\], got values in \["):
            fade(*plans, alpha)
