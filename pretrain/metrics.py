"""The project's metrics, each giving the reference tool's numbers, and small statistics for training. NumPy only.

    detection_map, map_by_length       ActivityNet's and THUMOS14's mean average precision; the same by action length
    average_recall                     ActivityNet's proposals: AR@AN and the area under it
    grounding                          R@1 and mean IoU of sentence grounding, as LGI or as 2D-TAN count
    frame_labels, average_precision    step localisation as actionness of short segments
    accuracy, confusion_matrix, mean_interval

The first two lines live in detection.py. Legend of the shape suffixes: N samples (queries, frames), C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .detection import (
    ACTIVITYNET,
    LENGTHS_SECONDS,
    THUMOS,
    Detection,
    Recall,
    average_recall,
    detection_map,
    map_by_length,
)
from .matching import Instances, Ties, temporal_iou

__all__ = [
    "ACTIVITYNET",
    "GROUNDING",
    "LENGTHS_SECONDS",
    "THUMOS",
    "Detection",
    "Grounding",
    "Instances",
    "Interval",
    "Recall",
    "Ties",
    "accuracy",
    "average_precision",
    "average_recall",
    "confusion_matrix",
    "detection_map",
    "frame_labels",
    "grounding",
    "map_by_length",
    "mean_interval",
    "temporal_iou",
]

GROUNDING = (0.3, 0.5, 0.7)
NORMAL_95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution
STUDENT_95 = (  # the same of Student's t for 1…30 degrees of freedom
    12.706204736, 4.302652730, 3.182446305, 2.776445105, 2.570581836, 2.446911851, 2.364624252, 2.306004135,
    2.262157163, 2.228138852, 2.200985160, 2.178812830, 2.160368656, 2.144786688, 2.131449546, 2.119905299,
    2.109815578, 2.100922040, 2.093024054, 2.085963447, 2.079613845, 2.073873068, 2.068657610, 2.063898562,
    2.059538553, 2.055529439, 2.051830516, 2.048407142, 2.045229642, 2.042272456,
)  # fmt: skip


class Grounding(NamedTuple):
    """R@1 per threshold, and the mean tIoU, all 0…1."""

    recall: dict[float, float]
    mean_iou: float


def grounding(
    truth: ArrayLike,
    prediction: ArrayLike,
    *,
    convention: Literal["lgi", "2d-tan"] = "lgi",
    thresholds: Sequence[float] = GROUNDING,
    duration_seconds: ArrayLike | None = None,
) -> Grounding:
    """Sentence grounding: share of queries whose first prediction reaches the tIoU, and the mean tIoU.

    Args:
        truth: (N, 2) start and end in seconds.
        prediction: (N, 2) likewise: each query's best prediction.
        convention: "lgi": tIoU ≥ threshold (LGI's evaluator). "2d-tan": tIoU > threshold, and the ground truth's end is
            cut to the video's duration (2D-TAN's data set and evaluator).
        duration_seconds: (N,) of the query's video; needed for "2d-tan", not read for "lgi".

    The tIoU of two segments without any common extent is 0, also where the union has no length.

    >>> grounding([[0, 10], [0, 10]], [[0, 10], [5, 10]], thresholds=[0.5])
    Grounding(recall={0.5: 1.0}, mean_iou=0.75)
    >>> grounding([[0, 10], [0, 10]], [[0, 10], [5, 10]], convention="2d-tan", thresholds=[0.5], duration_seconds=10)
    Grounding(recall={0.5: 0.5}, mean_iou=0.75)
    """
    truth_N2, prediction_N2 = _segments("truth", truth), _segments("prediction", prediction)
    if len(truth_N2) != len(prediction_N2) or len(truth_N2) == 0:
        raise ValueError(f"prediction must have one segment per query, got {len(prediction_N2)} for {len(truth_N2)}")
    if convention == "2d-tan":
        if duration_seconds is None:
            raise ValueError("duration_seconds must be given for convention='2d-tan', got None")
        truth_N2 = np.minimum(truth_N2, np.reshape(np.asarray(duration_seconds, np.float64), (-1, 1)))
    elif convention != "lgi":
        raise ValueError(f"convention must be 'lgi' or '2d-tan', got convention={convention!r}")
    low, high = np.minimum(prediction_N2, truth_N2), np.maximum(prediction_N2, truth_N2)
    common_N, extent_N = np.clip(low[:, 1] - high[:, 0], 0, None), high[:, 1] - low[:, 0]  # rounds as both tools do
    iou_N = np.divide(common_N, extent_N, out=np.zeros(len(low)), where=extent_N > 0)
    reached = np.greater if convention == "2d-tan" else np.greater_equal
    return Grounding({float(t): float(reached(iou_N, t).mean()) for t in thresholds}, float(iou_N.mean()))


def frame_labels(
    steps: ArrayLike, frames: int, *, segment_seconds: float = 0.2, rule: Literal["centre", "any"] = "centre"
) -> np.ndarray:
    """Which of the consecutive segments of a video belong to any step: bool (frames,).

    Segment k covers [k, k + 1)·segment_seconds. CrossTask's actionness protocol (Zhukov et al. 2020, BSP §5) cuts
    videos into segments of 0.2 s; which of them a step "covers" is our choice.

    Args:
        steps: (S, 2) start and end in seconds, half-open, in any order, may overlap; S may be 0.
        frames: number of segments; steps past the last one are cut.
        rule: "centre": the segment's centre is inside a step (ours). "any": the two overlap at all.

    >>> frame_labels([[0.25, 0.5]], 4).tolist(), frame_labels([[0.25, 0.5]], 4, rule="any").tolist()
    ([False, True, False, False], [False, True, True, False])
    """
    if rule not in ("centre", "any"):
        raise ValueError(f"rule must be 'centre' or 'any', got rule={rule!r}")
    steps_S2 = _segments("steps", steps)[:, None] / segment_seconds  # in units of segments
    start, end = steps_S2[..., 0], steps_S2[..., 1]
    k = np.arange(frames)
    inside = (start <= k + 0.5) & (k + 0.5 < end) if rule == "centre" else (start < k + 1) & (k < end)
    return np.any(inside, axis=0)


def average_precision(truth: ArrayLike, score: ArrayLike) -> float:
    """Step-wise average precision, Σ (R_k − R_{k−1}) P_k over the distinct scores: equal scores enter together.

    The definition of scikit-learn's average_precision_score; no interpolation.

    Args:
        truth: (N,) bool or 0/1, at least one of them 1.
        score: (N,) finite.

    >>> round(average_precision([1, 0, 1, 1, 0, 0, 1, 0], [0.9, 0.8, 0.7, 0.6, 0.6, 0.4, 0.3, 0.1]), 6)
    0.709524
    """
    truth_N, score_N = np.asarray(truth), np.asarray(score, np.float64)
    if truth_N.shape != score_N.shape or truth_N.ndim != 1:
        raise ValueError(f"truth and score must be of one length, got shapes {truth_N.shape} and {score_N.shape}")
    if not np.isin(truth_N, (0, 1)).all() or not truth_N.any():
        raise ValueError("truth must be 0 or 1 with at least one 1, got other values or none")
    if not np.isfinite(score_N).all():
        raise ValueError(f"score must be finite, got {score_N[~np.isfinite(score_N)][0]}")
    order = np.argsort(-score_N, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score_N[order])), len(order) - 1)  # last row of each group of equal scores
    hits = np.cumsum(truth_N[order].astype(bool))[last]
    return float((np.diff(hits / hits[-1], prepend=0) * hits / (last + 1)).sum())


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


def _segments(name: str, value: ArrayLike) -> np.ndarray:
    segments = np.asarray(value, np.float64)
    segments = segments.reshape(-1, 2) if segments.size == 0 else segments
    if segments.ndim != 2 or segments.shape[1] != 2 or not np.isfinite(segments).all():
        raise ValueError(f"{name} must be (N, 2) finite seconds, got shape {segments.shape}")
    if (segments[:, 1] < segments[:, 0]).any():
        wrong = segments[segments[:, 1] < segments[:, 0]][0]
        raise ValueError(f"{name} must have start <= end, got {wrong.tolist()}")
    return segments
