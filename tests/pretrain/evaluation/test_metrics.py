"""Grounding, frame AP and the small statistics: fixture values, plain loops, SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pretrain.common import statistics
from pretrain.evaluation import actionness, grounding

QUICK = settings(max_examples=60, deadline=None)


def test_fixture_grounding():
    truth = [[0, 10]] * 5
    predicted = [[0, 10], [0, 5], [5, 10], [0, 3], [20, 30]]  # tIoU 1, .5, .5, .3, 0
    lgi = grounding.grounding(truth, predicted)
    tan = grounding.grounding(truth, predicted, convention="2d-tan", duration_seconds=100)
    np.testing.assert_allclose(list(lgi.recall.values()), [0.8, 0.6, 0.2], atol=1e-6)
    np.testing.assert_allclose(list(tan.recall.values()), [0.6, 0.2, 0.2], atol=1e-6)
    assert lgi.mean_iou == pytest.approx(0.46, abs=1e-6)
    assert tan.mean_iou == pytest.approx(0.46, abs=1e-6)


def test_2d_tan_cuts_the_truth_to_the_video():
    assert grounding.grounding([[0, 20]], [[0, 10]], convention="2d-tan", duration_seconds=[10]).mean_iou == 1
    assert grounding.grounding([[0, 20]], [[0, 10]]).mean_iou == 0.5
    with pytest.raises(ValueError, match="duration_seconds must be given"):
        grounding.grounding([[0, 20]], [[0, 10]], convention="2d-tan")


def test_fixture_frame_ap():
    y, s = [1, 0, 1, 1, 0, 0, 1, 0], [0.9, 0.8, 0.7, 0.6, 0.6, 0.4, 0.3, 0.1]
    assert actionness.average_precision(y, s) == pytest.approx(0.709524, abs=1e-6)


def slow_ap(y, s):
    """Σ (R_k − R_{k−1}) P_k, one distinct score after another."""
    total, before = 0.0, 0.0
    for score in sorted(set(s), reverse=True):
        found = y[s >= score]
        total += (found.sum() / y.sum() - before) * found.mean()
        before = found.sum() / y.sum()
    return total


@QUICK
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=1, max_size=60))
def test_frame_ap_is_its_definition(rows):
    y, s = np.array([row[0] for row in rows]), np.array([row[1] for row in rows]) / 3
    y[0] = True
    assert actionness.average_precision(y, s) == pytest.approx(slow_ap(y, s), abs=1e-12)


def test_frame_ap_of_many_distinct_scores():
    rng = np.random.default_rng(0)
    y, s = rng.random(20000) < 0.3, rng.random(20000)
    hits = y[np.argsort(-s)]
    precision = np.cumsum(hits) / np.arange(1, 20001)
    assert actionness.average_precision(y, s) == pytest.approx(precision[hits].mean(), abs=1e-12)


@QUICK
@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 3)), max_size=5), st.sampled_from(["centre", "any"]))
def test_frame_labels(steps, rule):
    steps = [(start, start + length) for start, length in steps]
    got = actionness.frame_labels(steps, 40, segment_seconds=0.25, rule=rule)
    for k in range(40):
        low, high = k * 0.25, (k + 1) * 0.25
        if rule == "centre":
            expected = any(start <= (low + high) / 2 < end for start, end in steps)
        else:
            expected = any(start < high and low < end for start, end in steps)
        assert got[k] == expected


def test_frame_labels_are_half_open():
    assert actionness.frame_labels([[0.5, 1.5]], 3, segment_seconds=1).tolist() == [True, False, False]
    assert actionness.frame_labels([[1, 2]], 4, segment_seconds=1, rule="any").tolist() == [False, True, False, False]


def test_wilson_interval():
    got = statistics.accuracy(np.arange(10) < 8, np.ones(10, bool))
    assert got == pytest.approx((0.8, 0.4901625, 0.9433178, 10), abs=1e-6)  # Newcombe 1998's method 3
    assert statistics.accuracy([1, 1], [1, 1]).high == 1
    assert np.isnan(statistics.accuracy([], []).value)


@pytest.mark.parametrize("n", [1, 2, 10, 137, 5000])
def test_wilson_interval_is_that_of_scipy(n):
    for hits in {0, 1, n // 3, n - 1, n}:
        low, high = stats.binomtest(hits, n).proportion_ci(method="wilson")
        expected = (hits / n, low, high, n)
        assert statistics.accuracy(np.arange(n) < hits, np.ones(n, bool)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n", [2, 3, 5, 30, 31, 32, 40, 200])
def test_mean_interval_is_students(n):
    values = np.random.default_rng(n).normal(3, 2, n)
    low, high = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert statistics.mean_interval(values) == pytest.approx((values.mean(), low, high, n), rel=1e-10)


def test_mean_interval_of_five_values_is_that_of_a_table():
    assert statistics.mean_interval([1, 2, 3, 4, 5]).high == pytest.approx(3 + 2.776445105 * 0.5**0.5, abs=1e-9)


def few_videos(rng, videos, alike):
    """Right answers to five samples of each video; 0.7 of all, and those of a video as much alike as is said."""
    p = rng.beta(0.7 * (1 - alike) / alike, 0.3 * (1 - alike) / alike, videos)
    return (rng.random((videos, 5)) < p[:, None]).ravel(), np.repeat(np.arange(videos), 5)


@pytest.mark.parametrize("videos", [5, 10, 40])
@pytest.mark.parametrize("alike", [0.1, 0.5, 0.9])
def test_intervals_by_video_hold_the_truth_19_times_of_20(videos, alike):
    rng, draws = np.random.default_rng(0), 1000
    found = {"by video": 0, "mean by video": 0, "by sample": 0}
    for _ in range(draws):
        hits, video = few_videos(rng, videos, alike)
        for name, interval in (
            ("by video", statistics.accuracy(hits, np.ones_like(hits), video)),
            ("mean by video", statistics.mean_interval(hits, video)),
            ("by sample", statistics.accuracy(hits, np.ones_like(hits))),
        ):
            found[name] += interval.low <= 0.7 <= interval.high
    assert found["by video"] >= 0.93 * draws
    if videos > 5:
        assert 0.9 * draws <= found["mean by video"] <= 0.98 * draws
    if alike > 0.1:
        assert found["by sample"] < 0.8 * draws, "negative control"


def test_intervals_by_video_where_every_sample_is_a_video_of_its_own():
    hits = np.arange(10) < 8
    assert statistics.accuracy(hits, np.ones(10, bool), np.arange(10)) == statistics.accuracy(hits, np.ones(10, bool))
    values = np.random.default_rng(0).normal(size=12)
    assert statistics.mean_interval(values, np.arange(12)) == statistics.mean_interval(values)
    twice = statistics.mean_interval(np.repeat(values, 2), np.repeat(np.arange(12), 2))
    assert twice[:3] == pytest.approx(statistics.mean_interval(values)[:3]), "copies tell nothing new"


def test_the_interval_of_one_video_says_nothing():
    assert statistics.accuracy([1, 0, 1], [1, 1, 1], [4, 4, 4])[1:3] == pytest.approx((0, 1))
    assert statistics.mean_interval([1, 0, 1], [4, 4, 4])[1:3] == (-np.inf, np.inf)
    one, many = (statistics.accuracy(np.ones(50), np.ones(50), np.arange(50) // per) for per in (25, 5))
    assert one.low < many.low < 1 == one.high == many.high


def test_mean_interval_of_one_value_is_infinite():
    assert statistics.mean_interval([4.0]) == (4.0, -np.inf, np.inf, 1)


def test_confusion_matrix_counts_pairs():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 3, 100), rng.integers(0, 4, 100)  # the last class is never true
    expected = [[sum((truth == i) & (predicted == j)) for j in range(4)] for i in range(4)]
    assert statistics.confusion_matrix(truth, predicted, 4).tolist() == expected


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: grounding.grounding([[0, 1]], [[0, 1], [0, 2]]), "one segment per query"),
        (lambda: grounding.grounding([[1, 0]], [[0, 1]]), "start <= end"),
        (lambda: grounding.grounding([[0, 1]], [[0, 1]], convention="x"), "convention must be"),
        (lambda: actionness.average_precision([0, 0], [1, 2]), "at least one 1"),
        (lambda: actionness.average_precision([0, 1], [1, np.nan]), "score must be finite"),
        (lambda: actionness.average_precision([0, 1], [1]), "one length"),
        (lambda: actionness.frame_labels([[0, 1]], 3, rule="x"), "rule must be"),
        (lambda: statistics.confusion_matrix([0, 3], [0, 1], 3), r"truth must be in \[0, 3\), got 3"),
        (lambda: statistics.accuracy([0, 1], [0]), r"must be \(N,\)"),
        (lambda: statistics.mean_interval([]), "at least one number"),
    ],
)
def test_errors_name_argument_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("truth", "found", "iou"),
    [((5, 5), (5, 5), 0), ((0, 10), (10, 20), 0), ((0, 10), (12, 20), 0), ((0, 8), (4, 12), 1 / 3)],
)
def test_sentences_without_a_common_extent(truth, found, iou):
    assert grounding.grounding([truth], [found]).mean_iou == pytest.approx(iou)
    assert grounding.GROUNDING == (0.3, 0.5, 0.7)
