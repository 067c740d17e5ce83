"""Intervals against Student's and Wilson's tables."""

import math

import numpy as np
import pytest

from pretrain.common.statistics import accuracy, confusion_matrix, mean_interval

# 97.5 % quantiles of Student's t by degrees of freedom, from the tables of textbooks
STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228,
           11: 2.201, 12: 2.179, 15: 2.131, 20: 2.086, 25: 2.060, 30: 2.042, 60: 2.000, 120: 1.980}  # fmt: skip


@pytest.mark.parametrize(("freedom", "quantile"), STUDENT.items())
def test_mean_interval_is_students(freedom, quantile):
    values = np.random.default_rng(freedom).normal(size=freedom + 1)
    found = mean_interval(values)
    half = quantile * values.std(ddof=1) / math.sqrt(len(values))
    assert (found.value, found.samples) == (pytest.approx(values.mean()), freedom + 1)
    assert found.high - found.value == pytest.approx(half, rel=3e-4)
    assert found.value - found.low == pytest.approx(half, rel=3e-4)


def test_an_interval_of_equal_videos_is_that_of_their_means():
    values, video = np.array([1.0, 3.0, 4.0, 6.0, 9.0, 11.0]), np.array([7, 7, 2, 2, 5, 5])
    own, of_means = mean_interval(values, video), mean_interval([2.0, 5.0, 10.0])
    assert own[:3] == pytest.approx(of_means[:3])
    assert (own.samples, of_means.samples) == (6, 3)


def test_intervals_of_little():
    assert mean_interval([2.0])[:3] == (2.0, -math.inf, math.inf)
    assert mean_interval([2.0, 2.0, 2.0])[:3] == (2.0, 2.0, 2.0)
    with pytest.raises(ValueError, match="values must hold at least one number"):
        mean_interval([])
    nothing = accuracy([], [])
    assert math.isnan(nothing.value)
    assert nothing[1:] == (0.0, 1.0, 0)


# Wilson's interval, by https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval's formula, by hand
@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(0, 10, 0.0, 0.27753), (10, 10, 0.72247, 1.0), (5, 10, 0.23659, 0.76341), (81, 263, 0.25526, 0.36625)],
)
def test_accuracy_is_wilsons(hits, count, low, high):
    truth = np.zeros(count, int)
    found = accuracy(truth, np.arange(count) >= hits)
    assert found == pytest.approx((hits / count, low, high, count), abs=6e-5)


def test_all_right_in_few_videos_is_as_few_samples():
    truth, video = np.zeros(40, int), np.repeat(np.arange(4), 10)
    assert accuracy(truth, truth, video)[:3] == pytest.approx(accuracy(truth[:4], truth[:4])[:3])


def test_confusion():
    assert confusion_matrix([0, 0, 2], [0, 1, 2], 3).tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    for bad in (-1, 2):
        with pytest.raises(ValueError, match=rf"truth must be in \[0, 2\), got {bad}"):
            confusion_matrix([bad], [0], 2)
        with pytest.raises(ValueError, match=rf"prediction must be in \[0, 2\), got {bad}"):
            confusion_matrix([0], [bad], 2)
