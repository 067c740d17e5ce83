"""Everything that a module may draw is drawn, and nothing else: the ends of ranges, places, chances, what is usual."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch

from gpuaug import transforms, transitions
from gpuaug.plan import Plan
from gpuaug.transforms import (
    CrossFade,
    MixClips,
    Paste,
    RandomFreeze,
    RandomJump,
    RandomReverse,
    RandomSpeed,
    RandomTransition,
)

MANY = 3000


def drawn(transform, t, n=MANY, seed=0):
    """The plans of n clips of t frames, edited and not."""
    rng = np.random.default_rng(seed)
    if isinstance(transform, transforms.base.PairTransform):
        return transform.mix(rng, Plan.take(np.arange(n), range(t)), Plan.take(n + np.arange(n), range(t)))
    return transform.draw(rng, Plan.take(np.arange(n), range(t)))


def test_a_freeze_lasts_and_begins_as_it_may():
    edited, plain = drawn(RandomFreeze((2, 4)), 6, 600)
    found = set()
    for row in edited.time[:, :, 0].astype(int):
        still = np.flatnonzero(np.diff(row) == 0)
        start, duration = int(still[0]), len(still) + 1
        assert row.tolist() == [*range(start), *[start] * duration, *range(start + 1, 7 - duration)][:6]
        found.add((start, duration))
    assert found == {(start, d) for d in (2, 3, 4) for start in range(7 - d)}
    assert plain.time[0, :, 0].tolist() == list(range(6))
    assert drawn(RandomFreeze((4, 4)), 4, 9)[0].time.max() == 0, "as long as the clip is the most"
    with pytest.raises(ValueError, match=r"duration must be at most the clips' T = 3 frames, got duration=\(1, 4\)"):
        drawn(RandomFreeze((1, 4)), 3)


@pytest.mark.parametrize(("length", "most"), [(None, 5), (5, 5), (2, 2)])
def test_a_jump_leaves_out_and_begins_as_it_may(length, most):
    edited, plain = drawn(RandomJump((1, 3), length=length), 8, 800)
    found = set()
    for row in edited.time[:, :, 0].astype(int):
        (new,) = np.flatnonzero(np.diff(row) > 1)
        found.add((int(row[0]), int(new) + 1, int(row[new + 1] - row[new]) - 1))
        assert np.delete(np.diff(row), new).tolist() == [1] * (most - 2)
    expected = {(b, new, gap) for gap in (1, 2, 3) for new in range(1, most) for b in range(8 - most - gap + 1)}
    assert found == expected
    assert set(plain.time[:, 0, 0]) == set(range(8 - most + 1))
    assert (np.diff(plain.time[:, :, 0]) == 1).all()


@pytest.mark.parametrize(
    ("t", "length", "right"), [(5, 2, True), (4, 2, False), (5, 3, False), (5, None, True), (4, None, False)]
)
def test_frames_that_a_jump_needs(t, length, right):
    transform = RandomJump((1, 3), length=length)
    if right:
        assert drawn(transform, t, 4)[0].shape == (4, 2, 1)
    else:
        with pytest.raises(
            ValueError, match=rf"^T = {t} frames must be at least .*length ≥ 2, got length={length or 1} and"
        ):
            drawn(transform, t, 4)


def test_a_speed_is_as_often_below_its_middle_as_above():
    """Of logarithms: half as fast is as likely as twice; positions are not rounded, so that they tell the rate."""
    edited, plain = drawn(RandomSpeed((0.25, 4.0), length=5, change=False), 33)
    rate = edited.time[:, 1, 0] - edited.time[:, 0, 0]
    np.testing.assert_allclose(np.quantile(np.log2(rate), [0, 0.25, 0.5, 0.75, 1]), [-2, -1, 0, 1, 2], atol=0.15)
    np.testing.assert_allclose(np.diff(edited.time[:, :, 0]), rate[:, None].repeat(4, 1), atol=1e-9)
    begin = edited.time[:, 0, 0]
    room = np.floor(33 - 4 * rate)
    assert (begin >= 0).all()
    assert (begin <= room - 1).all()
    assert (begin == np.floor(begin)).all()
    assert (begin == room - 1).any()
    assert set(plain.time[:, 0, 0]) == set(range(29))
    assert (np.diff(plain.time[:, :, 0]) == 1).all()


@pytest.mark.parametrize(("length", "changes"), [(6, {2, 3, 4, 5}), (3, {2}), (2, {1})])
def test_a_speed_changes_after_two_frames_at_least(length, changes):
    edited, _ = drawn(RandomSpeed((3.0, 3.0), length=length), 40)
    steps = np.diff(edited.time[:, :, 0])
    assert set(np.unique(steps)) <= {1, 3}
    found = {int(np.argmax(row == 3)) + 1 if (row == 3).any() else length for row in steps}
    assert found == changes


@pytest.mark.parametrize(
    ("rates", "t", "most"), [((0.5, 2), 9, 5), ((0.5, 2), 10, 5), ((2, 3), 10, 4), ((0.1, 0.5), 9, 9), ((1, 1), 1, 1)]
)
def test_frames_that_a_speed_leaves(rates, t, most):
    for length in (None, most):
        assert drawn(RandomSpeed(rates, length=length), t, 5)[0].shape == (5, most, 1)
    with pytest.raises(ValueError, match=rf"= {most} for T = {t} at the greatest rate, got length={most + 1}$"):
        drawn(RandomSpeed(rates, length=most + 1), t, 5)


def test_a_crossfade_overlaps_and_begins_as_it_may():
    plan = drawn(CrossFade((0, 4)), 7, 400)
    second = plan.clip >= 400
    found = set()
    for weight, clip in zip((plan.weight * second).sum(2), second):
        start, overlap = int(np.argmax(weight > 0)), max(1, len(set(weight) - {0, 1}) + 1)
        found.add((start, overlap))
        np.testing.assert_allclose(weight, np.clip((np.arange(7) - start + 1) / overlap, 0, 1), rtol=1e-6)
        assert clip.any()
    assert found == {(start, 1) for start in range(1, 7)} | {(s, o) for o in (2, 4) for s in range(1, 8 - o)}


@pytest.mark.parametrize(
    ("overlap", "t", "right"), [((0, 4), 5, True), ((0, 4), 4, False), ((0, 0), 2, True), ((0, 0), 1, False)]
)
def test_frames_that_a_crossfade_needs(overlap, t, right):
    if right:
        assert drawn(CrossFade(overlap), t, 4).shape[:2] == (4, t)
    else:
        with pytest.raises(ValueError, match=rf"^overlap must be at most T - 1 = {t - 1}, got overlap="):
            drawn(CrossFade(overlap), t, 4)


@pytest.mark.parametrize(("alpha", "middle"), [(1.0, 0.5), (0.2, 0.162), (20.0, 0.999)])
def test_weights_of_a_mix_are_of_a_beta_distribution(alpha, middle):
    """How many lie between a quarter and three quarters; each clip has a weight for all of its frames."""
    plan = drawn(MixClips(alpha), 3)
    weight = (plan.weight * (plan.clip >= MANY)).sum(2)
    assert (weight == weight[:, :1]).all()
    assert ((weight > 0.25) & (weight < 0.75)).mean() == pytest.approx(middle, abs=0.03)
    assert weight.mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("frames", "t", "counts"),
    [((0, 0), 6, {1}), ((1, 1), 6, {6}), ((0, 1), 4, {1, 2, 3, 4}), ((0.5, 0.5), 6, {3}), ((0.25, 0.5), 8, {2, 3, 4})],
)
def test_a_paste_is_as_long_and_lies_as_it_may(frames, t, counts):
    plan = drawn(Paste(frames, opacity=(0.5, 0.75)), t)
    second = (plan.clip >= MANY) & (plan.weight > 0)
    inside = second.any(2)
    assert set(inside.sum(1)) == counts
    found = set()
    for shown, where, times in zip(second, inside, plan.time):
        start, count = int(np.argmax(where)), int(where.sum())
        assert where.tolist() == [start <= i < start + count for i in range(t)]
        region = times[shown]
        assert region.tolist() == [region[0] + i for i in range(count)]
        found.add((count, start, int(region[0])))
    assert found == {(c, s, b) for c in counts for s in range(t - c + 1) for b in range(t - c + 1)}
    opacity = (plan.weight * second).max((1, 2))
    np.testing.assert_allclose(np.quantile(opacity, [0, 0.5, 1]), [0.5, 0.625, 0.75], atol=0.01)


@pytest.mark.parametrize("p", [0, 0.25, 1])
def test_as_many_clips_are_edited_as_asked_for(p):
    clips = torch.arange(4.0).view(1, 4, 1, 1, 1).expand(2000, 4, 1, 1, 1)
    torch.manual_seed(0)
    out = RandomReverse(p)(clips)
    assert (out[:, 0, 0, 0, 0] == 3).float().mean() == pytest.approx(p, abs=0.03 if 0 < p < 1 else 0)


USUAL = {
    RandomReverse: {"p": 0.5},
    RandomSpeed: {"rates": (0.5, 2.0), "change": True, "length": None, "p": 0.5},
    RandomFreeze: {"duration": (2, 8), "p": 0.5},
    RandomJump: {"left_out": (4, 16), "length": None, "p": 0.5},
    CrossFade: {"overlap": (0, 8), "p": 1.0},
    MixClips: {"alpha": 1.0, "p": 1.0},
    Paste: {"frames": (0.125, 0.5), "opacity": (0.6, 1.0), "p": 1.0},
    RandomTransition: {
        **{"kinds": transitions.WEIGHTS, "durations": transitions.DURATIONS, "ranges": transitions.RANGES},
        **{"luma": None, "p": 1.0},
    },
}


@pytest.mark.parametrize("kind", USUAL)
def test_what_is_usual(kind):
    pair = {"num_classes": None, "pairs": "roll"} if issubclass(kind, transforms.base.PairTransform) else {}
    found = {name: each.default for name, each in inspect.signature(kind).parameters.items()}
    assert found == {**USUAL[kind], **pair, "generator": None}
    assert kind.keeps_shares == (kind is RandomReverse)


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (RandomReverse(), "RandomReverse(p=0.5)"),
        (RandomSpeed((1, 2), length=3), "RandomSpeed(rates=(1, 2), change=True, length=3, p=0.5)"),
        (RandomJump((1, 2), length=3), "RandomJump(left_out=(1, 2), length=3, p=0.5)"),
        (CrossFade((0, 2)), "CrossFade(overlap=(0, 2), num_classes=None, pairs='roll', p=1.0)"),
        (Paste((0, 1)), "Paste(frames=(0, 1), opacity=(0.6, 1.0), num_classes=None, pairs='roll', p=1.0)"),
        (RandomTransition("cut"), "RandomTransition(kinds={'cut': 1.0}, num_classes=None, pairs='roll', p=1.0)"),
    ],
)
def test_modules_show_their_settings(made, shown):
    assert repr(made) == shown


@pytest.mark.parametrize("settings", [{"p": 0.3}, {"p": 1, "generator": torch.Generator()}, {"p": 0}])
def test_settings_are_kept_and_shown(settings):
    made = RandomFreeze((2, 3), **settings)
    assert (made.p, made.generator, made.duration) == (settings["p"], settings.get("generator"), (2, 3))
    assert repr(made) == f"RandomFreeze(duration=(2, 3), p={settings['p']})"
    pair = MixClips(0.5, num_classes=3, pairs="permutation", **settings)
    assert (pair.num_classes, pair.pairs, pair.alpha) == (3, "permutation", 0.5)
    assert repr(pair) == f"MixClips(alpha=0.5, num_classes=3, pairs='permutation', p={settings['p']})"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomReverse(-0.001), r"p must be in \[0, 1\], got p=-0.001"),
        (lambda: RandomReverse(1.001), r"p must be in \[0, 1\], got p=1.001"),
        (lambda: RandomFreeze((1, 1)), ""),
        (lambda: RandomFreeze((1.0, 2.0)), ""),
        (
            lambda: RandomFreeze((3, 2)),
            r"duration must be two whole numbers, 1 ≤ least ≤ greatest, got duration=\(3, 2\)",
        ),
        (lambda: RandomFreeze((1, 2.5)), "duration must be two whole numbers"),
        (lambda: RandomJump((0, 2)), "left_out must be two whole numbers, 1 ≤ least"),
        (lambda: CrossFade((0, 0)), ""),
        (lambda: CrossFade((-2, 0)), "overlap must be two whole numbers, 0 ≤ least"),
        (lambda: CrossFade((0, 3)), r"overlap must be even, got overlap=\(0, 3\)"),
        (lambda: RandomSpeed((1, 1)), ""),
        (lambda: RandomSpeed((1, float("inf"))), "rates must be two numbers, above 0 and finite"),
        (lambda: RandomSpeed((0, 1)), "rates must be two numbers, above 0 and finite"),
        (lambda: Paste((0, 1), opacity=(0, 1)), ""),
        (lambda: Paste((-0.001, 1)), r"frames must be two numbers, in \[0, 1\]"),
        (lambda: Paste((0, 1.001)), r"frames must be two numbers, in \[0, 1\]"),
        (lambda: Paste((0.2, 0.2)), ""),
        (lambda: Paste((0.2, 0.1)), "frames must be two numbers, .*the lesser one first, got"),
        (lambda: Paste(opacity=(0, 1.001)), r"opacity must be two numbers, in \[0, 1\], the lesser"),
        (lambda: MixClips(1e-9), ""),
        (lambda: MixClips(float("inf")), "alpha must be > 0 and finite, got alpha=inf"),
        (lambda: MixClips(0), "alpha must be > 0 and finite, got alpha=0"),
        (lambda: RandomTransition(["cut", "time"]), "kinds must be of two clips, got 'time'"),
        (lambda: RandomTransition({"cut": 1, "freeze": 1}), "kinds must be of two clips, got 'freeze'"),
        (lambda: RandomTransition({"cut": 1, "freeze": 0}), ""),
    ],
)
def test_bounds_of_settings(make, message):
    if not message:
        make()
        return
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


def test_settings_of_transitions_reach_what_draws_them(monkeypatch):
    asked = []
    draw = transitions.draw

    def noted(rng, n, **how):
        asked.append((n, how))
        return draw(rng, n, **how)

    monkeypatch.setattr(transitions, "draw", noted)
    durations, ranges = ((0.0, 3), (1.0, 5)), {"angle": (0.0, 90.0)}
    made = RandomTransition("wipe", durations=durations, ranges=ranges)
    assert made.weights == {"wipe": 1.0}
    drawn(made, 9, 4)
    how = {"weights": {"wipe": 1.0}, "durations": durations, "ranges": {**transitions.RANGES, **ranges}}
    assert asked == [(0, {"length": 2, **how}), (4, {"length": 9, **how})]
    assert RandomTransition(["wipe", "cut"]).weights == {"wipe": 1.0, "cut": 1.0}
    assert RandomTransition({"wipe": 3}).weights == {"wipe": 3}
