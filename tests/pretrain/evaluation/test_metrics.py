"""Grounding, frame AP and the small statistics: fixture values, scikit-learn, SciPy, plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from sklearn.metrics import confusion_matrix as sklearn_confusion

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


@QUICK
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=1, max_size=60))
def test_frame_ap_agrees_with_scikit_learn(rows):
    y, s = np.array([row[0] for row in rows]), np.array([row[1] for row in rows]) / 3
    y[0] = True
    assert actionness.average_precision(y, s) == pytest.approx(average_precision_score(y, s), abs=1e-12)


def test_frame_ap_agrees_on_many_distinct_scores():
    rng = np.random.default_rng(0)
    y, s = rng.random(20000) < 0.3, rng.random(20000)
    assert actionness.average_precision(y, s) == pytest.approx(average_precision_score(y, s), abs=1e-12)


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


@pytest.mark.parametrize("n", [2, 3, 5, 30, 31, 32, 40, 200])
def test_mean_interval_is_students(n):
    from scipy import stats

    values = np.random.default_rng(n).normal(3, 2, n)
    low, high = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert statistics.mean_interval(values) == pytest.approx((values.mean(), low, high, n), abs=2e-6)


def test_mean_interval_of_one_value_is_infinite():
    assert statistics.mean_interval([4.0]) == (4.0, -np.inf, np.inf, 1)


def test_confusion_matrix_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 4, 100), rng.integers(0, 4, 100)
    assert (
        statistics.confusion_matrix(truth, predicted, 4) == sklearn_confusion(truth, predicted, labels=range(4))
    ).all()


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
