"""Numbers with their 95 % intervals, and counts of right and wrong.

Legend: N samples, C classes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

NORMAL_95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


class Interval(NamedTuple):
    """A value with a 95 % interval."""

    value: float
    low: float
    high: float
    samples: int


def accuracy(truth: ArrayLike, prediction: ArrayLike) -> Interval:
    """Fraction of equal entries with Wilson's 95 % interval (Wilson 1927); value NaN and (0, 1) for no samples.

    >>> [round(float(x), 4) for x in accuracy([0, 1, 2, 2], [0, 1, 2, 0])]
    [0.75, 0.3006, 0.9544, 4.0]
    """
    truth_N, prediction_N = np.asarray(truth), np.asarray(prediction)
    if truth_N.shape != prediction_N.shape or truth_N.ndim != 1:
        raise ValueError(f"truth and prediction must be (N,), got shapes {truth_N.shape} and {prediction_N.shape}")
    n = len(truth_N)
    if n == 0:
        return Interval(float("nan"), 0.0, 1.0, 0)
    # not SciPy's binomtest(…).proportion_ci: it also finds a p-value, 1 ms per class of every validation
    fraction, z2 = float((truth_N == prediction_N).mean()), NORMAL_95**2
    centre = (fraction + z2 / (2 * n)) / (1 + z2 / n)
    half = NORMAL_95 / (1 + z2 / n) * (fraction * (1 - fraction) / n + z2 / (4 * n * n)) ** 0.5
    return Interval(fraction, max(0.0, centre - half), min(1.0, centre + half), n)


def confusion_matrix(truth: ArrayLike, prediction: ArrayLike, classes: int) -> np.ndarray:
    """Counts (C, C) int64: row = true class, column = predicted class; classes are the integers 0…classes − 1.

    >>> confusion_matrix([0, 0, 1], [0, 1, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    truth_N, prediction_N = np.asarray(truth, np.int64), np.asarray(prediction, np.int64)
    for name, value in (("truth", truth_N), ("prediction", prediction_N)):
        if ((value < 0) | (value >= classes)).any():
            raise ValueError(f"{name} must be in [0, {classes}), got {value[(value < 0) | (value >= classes)][0]}")
    return np.bincount(truth_N * classes + prediction_N, minlength=classes * classes).reshape(classes, classes)


def mean_interval(values: ArrayLike) -> Interval:
    """Mean with its 95 % interval by Student's t, as for a few seeds; the interval of one value is infinite.

    >>> [round(float(x), 4) for x in mean_interval([1.0, 2.0, 3.0])]
    [2.0, -0.4841, 4.4841, 3.0]
    """
    values_N = np.asarray(values, np.float64).ravel()
    n = len(values_N)
    if n == 0:
        raise ValueError("values must hold at least one number, got none")
    mean = float(values_N.mean())
    if n == 1:
        return Interval(mean, float("-inf"), float("inf"), 1)
    from scipy.special import stdtrit  # here: a third of a second that no command needs to start

    half = float(stdtrit(n - 1, 0.975)) * float(values_N.std(ddof=1)) / n**0.5
    return Interval(mean, mean - half, mean + half, n)
