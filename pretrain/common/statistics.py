"""Numbers with their 95 % intervals, and counts of right and wrong. NumPy only.

Legend: N samples, C classes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

NORMAL_95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution
STUDENT_95 = (  # the same of Student's t for 1…30 degrees of freedom
    12.706204736, 4.302652730, 3.182446305, 2.776445105, 2.570581836, 2.446911851, 2.364624252, 2.306004135,
    2.262157163, 2.228138852, 2.200985160, 2.178812830, 2.160368656, 2.144786688, 2.131449546, 2.119905299,
    2.109815578, 2.100922040, 2.093024054, 2.085963447, 2.079613845, 2.073873068, 2.068657610, 2.063898562,
    2.059538553, 2.055529439, 2.051830516, 2.048407142, 2.045229642, 2.042272456,
)  # fmt: skip


class Interval(NamedTuple):
    """A value with a 95 % interval."""

    value: float
    low: float
    high: float
    samples: int


def accuracy(truth: ArrayLike, prediction: ArrayLike) -> Interval:
    """Share of equal entries with Wilson's 95 % interval (Wilson 1927); value NaN and (0, 1) for no samples.

    >>> [round(float(x), 4) for x in accuracy([0, 1, 2, 2], [0, 1, 2, 0])]
    [0.75, 0.3006, 0.9544, 4.0]
    """
    truth_N, prediction_N = np.asarray(truth), np.asarray(prediction)
    if truth_N.shape != prediction_N.shape or truth_N.ndim != 1:
        raise ValueError(f"truth and prediction must be (N,), got shapes {truth_N.shape} and {prediction_N.shape}")
    n = len(truth_N)
    if n == 0:
        return Interval(float("nan"), 0.0, 1.0, 0)
    share, z2 = float((truth_N == prediction_N).mean()), NORMAL_95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = NORMAL_95 / (1 + z2 / n) * (share * (1 - share) / n + z2 / (4 * n * n)) ** 0.5
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half), n)


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
    half = _student(n - 1) * float(values_N.std(ddof=1)) / n**0.5
    return Interval(mean, mean - half, mean + half, n)


def _student(freedom: int) -> float:
    """Two-sided 95 % quantile of Student's t: tabulated, beyond 30 by its expansion about the normal (error < 1e-6)."""
    if freedom <= len(STUDENT_95):
        return STUDENT_95[freedom - 1]
    z, v = NORMAL_95, freedom
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / v + second / v**2 + third / v**3
