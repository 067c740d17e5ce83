"""Numbers with their 95 % intervals, and counts of right and wrong.

Samples of one video are alike: where videos are given, intervals are of the videos, not of the samples.

Legend: N samples, V videos, C classes.
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


def accuracy(truth: ArrayLike, prediction: ArrayLike, video: ArrayLike | None = None) -> Interval:
    """Fraction of equal entries with Wilson's 95 % interval (Wilson 1927); value NaN and (0, 1) for no samples.

    Args:
        video: (N,), the video of each sample. The interval is then that of as many independent samples as would vary as
            much as the videos do (Korn and Graubard 1998); where all or none are right, of as many as there are videos.

    >>> [round(float(x), 4) for x in accuracy([0, 1, 2, 2], [0, 1, 2, 0])]
    [0.75, 0.3006, 0.9544, 4.0]
    >>> [round(float(x), 4) for x in accuracy([0, 1, 2, 2], [0, 1, 2, 0], video=[5, 5, 6, 6])[1:]]
    [0.0103, 0.9988, 4.0]
    """
    truth_N, prediction_N = np.asarray(truth), np.asarray(prediction)
    if truth_N.shape != prediction_N.shape or truth_N.ndim != 1:
        raise ValueError(f"truth and prediction must be (N,), got shapes {truth_N.shape} and {prediction_N.shape}")
    n = len(truth_N)
    if n == 0:
        return Interval(float("nan"), 0.0, 1.0, 0)
    hit_N = truth_N == prediction_N
    fraction, count = float(hit_N.mean()), float(n)
    if video is not None and (videos := len(np.unique(video))) < n:
        deviation, quantile = _of_videos(hit_N, video)
        count = float(videos)
        if 0 < fraction < 1:
            count = min(n, fraction * (1 - fraction) / max(deviation**2, 1e-30) * (NORMAL_95 / quantile) ** 2)
    # not SciPy's binomtest(…).proportion_ci: it also finds a p-value, 1 ms per class of every validation
    z2 = NORMAL_95**2
    centre = (fraction * count + z2 / 2) / (count + z2)
    half = NORMAL_95 / (count + z2) * (fraction * (1 - fraction) * count + z2 / 4) ** 0.5
    return Interval(fraction, max(0.0, centre - half), min(1.0, centre + half), n)


def _of_videos(values: ArrayLike, video: ArrayLike) -> tuple[float, float]:
    """Standard deviation of the mean of all samples when videos are drawn, and Student's 97.5 % quantile of them."""
    from scipy.special import stdtrit  # here: a third of a second that no command needs to start

    values_N = np.asarray(values, np.float64)
    _, number_N = np.unique(video, return_inverse=True)
    sum_V = np.bincount(number_N, values_N - values_N.mean())
    if (count := len(sum_V)) < 2:
        return float("inf"), float("inf")
    return float((count / (count - 1) * (sum_V**2).sum()) ** 0.5 / len(values_N)), float(stdtrit(count - 1, 0.975))


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


def mean_interval(values: ArrayLike, video: ArrayLike | None = None) -> Interval:
    """Mean with its 95 % interval by Student's t, as for a few seeds; the interval of one value is infinite.

    Args:
        video: (N,), the video of each value: the interval is then by how much the videos vary.

    >>> [round(float(x), 4) for x in mean_interval([1.0, 2.0, 3.0])]
    [2.0, -0.4841, 4.4841, 3.0]
    """
    values_N = np.asarray(values, np.float64).ravel()
    n = len(values_N)
    if n == 0:
        raise ValueError("values must hold at least one number, got none")
    mean = float(values_N.mean())
    deviation, quantile = _of_videos(values_N, np.arange(n) if video is None else video)
    half = deviation * quantile
    return Interval(mean, mean - half, mean + half, n)
