"""Edits against the papers' equations, written out with the papers' own indices (from 1)."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuaug import edits
from gpuaug.plan import Plan


def weights_by_source(plan: Plan, sample: int = 0) -> list[dict[tuple[int, int], float]]:
    """For every output frame {(clip, frame): weight}, without zero weights."""
    out = []
    for t in range(plan.shape[1]):
        shown: dict[tuple[int, int], float] = {}
        for k in range(plan.shape[2]):
            if plan.weight[sample, t, k]:
                key = (int(plan.clip[sample, t, k]), int(plan.frame[sample, t, k]))
                shown[key] = shown.get(key, 0) + float(plan.weight[sample, t, k])
        out.append(shown)
    return out


def equation_1(tau: int, epsilon: int) -> list[dict[tuple[int, int], float]]:
    """BSP Eq. (1); clips 0 and 1, frames counted from 1 as printed, moved to 0 at the end."""
    out = []
    for i in range(1, 2 * tau + 1):
        if i <= tau - epsilon:
            shown = {(0, i): Fraction(1)}
        elif i <= tau + epsilon:
            first, second = Fraction(tau + epsilon - i, 2 * epsilon), Fraction(i - tau + epsilon, 2 * epsilon)
            assert first + second == 1
            shown = {(0, i): first, (1, i - tau + epsilon): second}
        else:
            shown = {(1, i - tau + epsilon): Fraction(1)}
        out.append({(clip, frame - 1): float(weight) for (clip, frame), weight in shown.items() if weight})
    return out


@given(st.integers(1, 12).flatmap(lambda tau: st.tuples(st.just(tau), st.integers(0, tau))))
def test_crossfade_is_equation_1(sizes):
    tau, epsilon = sizes
    first, second = Plan.take(0, range(tau + epsilon)), Plan.take(1, range(tau + epsilon))
    plan = edits.crossfade(first, second, length=2 * tau, center=tau, overlap=2 * epsilon)
    expected = equation_1(tau, epsilon)
    assert len(expected) == plan.shape[1]
    for got, want in zip(weights_by_source(plan), expected):
        assert got.keys() == want.keys()
        assert all(got[key] == pytest.approx(want[key], abs=1e-6) for key in want)
    assert plan.shape[2] == (2 if epsilon else 1)
    if epsilon:
        assert plan.weight[0, tau - epsilon, 0] == pytest.approx((2 * epsilon - 1) / (2 * epsilon))
        assert weights_by_source(plan)[tau + epsilon - 1] == {(1, 2 * epsilon - 1): 1.0}  # i = τ+ε is pure V2
    assert plan.boundary().tolist() == [tau]


def test_a_wrong_weight_would_be_noticed():
    """Negative control: weights j/(overlap+1), the common mistake, are not Eq. (1)."""
    wrong = [(j / 5, 1 - j / 5) for j in range(1, 5)]
    right = [(frame.get((0, i), 0.0)) for i, frame in enumerate(equation_1(4, 2))][2:6]
    assert [w[1] for w in wrong] != pytest.approx(right)


@given(st.integers(1, 10))
def test_concatenate_is_equation_2(tau):
    plan = edits.concatenate(Plan.take(3, range(tau)), Plan.take(5, range(tau)), length=2 * tau, center=tau)
    for i, shown in enumerate(weights_by_source(plan), start=1):
        assert shown == ({(3, i - 1): 1.0} if i <= tau else {(5, i - tau - 1): 1.0})


@given(
    st.integers(2, 16).flatmap(lambda length: st.tuples(st.just(length), st.integers(1, length))),
    st.sampled_from([Fraction(1, 4), Fraction(1, 3), Fraction(1, 2), Fraction(2), Fraction(5, 2), Fraction(4)]),
)
def test_resample_speed_is_equation_3(sizes, gamma):
    length, t = sizes
    expected = []
    for i in range(1, length + 1):
        position = Fraction(i) if i <= t else t + gamma * (i - t)
        expected.append((position - 1 + Fraction(1, 2)).__floor__())
    clip = Plan.take(0, range(max(expected) + 1))
    plan = edits.resample_speed(clip, length=length, change_point=t, rate=float(gamma))
    assert plan.frame[0, :, 0].tolist() == expected
    if 2 <= t < length:  # with t = 1 every step has the new speed: nothing changes within the clip
        assert plan.boundary().tolist() == [t]
    if max(expected) == 0:
        return
    with pytest.raises(ValueError, match="clip must reach frame"):
        edits.resample_speed(Plan.take(0, range(max(expected))), length=length, change_point=t, rate=float(gamma))


def test_parameters_may_differ_per_sample():
    first, second = Plan.take([0, 2], np.arange(8)), Plan.take([1, 3], np.arange(8))
    both = edits.crossfade(first, second, length=8, center=[4, 5], overlap=[4, 0])
    for n, (center, overlap) in enumerate([(4, 4), (5, 0)]):
        a, b = Plan.take(2 * n, range(8)), Plan.take(2 * n + 1, range(8))
        one = edits.crossfade(a, b, length=8, center=center, overlap=overlap)
        assert weights_by_source(both, n) == weights_by_source(one)
    one_clip = edits.resample_speed(Plan.take(0, range(40)), length=8, change_point=[2, 6], rate=[4, 0.5])
    assert one_clip.shape == (2, 8, 1)
    assert one_clip.boundary().tolist() == [2, 6]


def test_center_at_the_end_never_shows_the_second():
    plan = edits.crossfade(Plan.take(0, range(8)), Plan.take(1, range(1)), length=8, center=8, overlap=0)
    assert (plan.clip == 0).all()


def test_paste_is_soft_and_half_open():
    plan = edits.paste(Plan.take(0, range(6)), Plan.take(1, range(3)), start=2, stop=4, opacity=0.75)
    shown = weights_by_source(plan)
    assert shown[1] == {(0, 1): 1.0}
    assert shown[2] == {(1, 0): 0.75, (0, 2): 0.25}
    assert shown[3] == {(1, 1): 0.75, (0, 3): 0.25}
    assert shown[4] == {(0, 4): 1.0}
    source, _ = plan.source()
    assert source[0].tolist() == [0, 0, 1, 1, 0, 0]
    opaque = edits.paste(Plan.take(0, range(6)), Plan.take(1, range(3)), start=2, stop=4, opacity=1)
    assert opaque.shape[2] == 1
    empty = edits.paste(Plan.take(0, range(6)), Plan.take(1, range(3)), start=3, stop=3, opacity=1)
    assert (empty.clip == 0).all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        ({"center": 4, "overlap": 5}, r"overlap must be even and in \[0, 2\*center\], got overlap=5"),
        ({"center": 4, "overlap": 10}, r"overlap must be even and in \[0, 2\*center\], got overlap=10"),
        ({"center": 6, "overlap": 6}, r"overlap must be at most 2\*\(length - center\), got overlap=6"),
        ({"center": 9, "overlap": 0}, r"center must be in \[0, length=8\], got center=9"),
        ({"center": [4, 4, 4], "overlap": [0, 0]}, "one number of samples"),
        ({"center": 4.5, "overlap": 0}, "center must be whole numbers"),
        ({"center": 4, "overlap": 0, "length": 0}, "length must be a whole number ≥ 1, got length=0"),
    ],
)
def test_bad_parameters_are_named(build, message):
    arguments = {"length": 8, **build}
    with pytest.raises(ValueError, match=message):
        edits.crossfade(Plan.take(0, range(12)), Plan.take(1, range(12)), **arguments)


def test_too_short_clips_are_named():
    with pytest.raises(ValueError, match=r"first must have center \+ overlap/2 = 6 frames, got 5"):
        edits.crossfade(Plan.take(0, range(5)), Plan.take(1, range(8)), length=8, center=4, overlap=4)
    with pytest.raises(ValueError, match=r"second must have length - center \+ overlap/2 = 6 frames, got 5"):
        edits.crossfade(Plan.take(0, range(8)), Plan.take(1, range(5)), length=8, center=4, overlap=4)
    with pytest.raises(ValueError, match=r"frames must be in \[0, 4\], got frames=5"):
        edits.take(Plan.take(0, range(5)), [0, 5])
    with pytest.raises(ValueError, match="rate must be > 0 and finite, got rate=0"):
        edits.speed_times(8, 4, 0)
