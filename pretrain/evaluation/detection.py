"""Temporal action detection and proposals: ActivityNet's mAP, the same by action length, AR@AN. NumPy only.

Where the reference tools differ the choice is a named argument. Legend of the shape suffixes: P predictions, G ground
truths, C classes, I tIoU thresholds, A points of the AN axis, V videos, M pairs of a prediction and a ground truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..data.segments import Segments, factorize, temporal_iou
from .matching import Ties, descending, greedy_match, pairs

ACTIVITYNET = np.linspace(0.5, 0.95, 10)  # the 9th is 0.8999999999999999, as in the official tool
THUMOS = np.linspace(0.3, 0.7, 5)
LENGTHS_SECONDS = (0.0, 30.0, 60.0, 120.0, 180.0, np.inf)  # DETAD's buckets XS, S, M, L, XL for ActivityNet


@dataclass(frozen=True)
class Detection:
    """What `detection_map` returns: AP per class and threshold, and which ground truth each prediction took."""

    classes: list[str]  # the ground truth's classes, sorted
    thresholds_I: np.ndarray
    ap_CI: np.ndarray  # 0…1
    matched_IP: np.ndarray  # row of the ground truth, −1 for a false positive
    ignored: dict[str, int]  # predictions left out per class that the ground truth does not have

    @property
    def map_I(self) -> np.ndarray:
        """Mean over the classes, per threshold."""
        return self.ap_CI.mean(0)

    @property
    def average_map(self) -> float:
        """Mean over classes and thresholds."""
        return float(self.map_I.mean())


def detection_map(
    truth: Segments,
    predictions: Segments,
    *,
    thresholds: ArrayLike = ACTIVITYNET,
    ties: Ties = "later",
    zero_length: Literal["never", "official"] = "never",
    unknown: Literal["ignore", "error"] = "ignore",
) -> Detection:
    """Mean average precision as ActivityNet's evaluator computes it (THUMOS14: `thresholds=THUMOS`).

    Per class, over all videos: predictions by score, each takes the free ground truth of its video and class with the
    greatest tIoU ≥ threshold (for each threshold by itself), else it is a false positive; so is one in a video without
    ground truth. AP is the area under the precision envelope over recall 0…1. A class without predictions counts 0.

    Args:
        thresholds: (I,) tIoU, each in (0, 1].
        ties: which of equal scores comes first. "later": the later row (ActivityNet's `argsort()[::-1]`).
        zero_length: "never": a segment without length matches nothing (as OpenTAD, which clamps the union).
            "official": such a prediction hits any such ground truth of its video and class, because 0/0 is not below
            a threshold.
        unknown: classes that only predictions have. "ignore": left out and counted; "error": ValueError (the official
            tool stops with a KeyError).

    A prediction of 80 % of the only action, before a false positive of the same score because its row is later:

    >>> truth = Segments.of([("v", 0, 10, "jump")])
    >>> result = detection_map(truth, Segments.of([("v", 50, 60, "jump", 0.5), ("v", 0, 8, "jump", 0.5)]))
    >>> result.map_I.round(2).tolist(), round(result.average_map, 6)
    ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0], 0.7)
    """
    thresholds_I = _thresholds(thresholds)
    _one_of("zero_length", zero_length, ("never", "official"))
    _one_of("unknown", unknown, ("ignore", "error"))
    if len(truth) == 0:
        raise ValueError("truth must hold at least one segment, got 0")
    video_G, video_P = factorize(truth.video, predictions.video)
    class_G, class_P = factorize(truth.label, predictions.label)
    known, count = np.unique(class_G, return_counts=True)
    known_P = np.isin(class_P, known)
    names, counts = np.unique(predictions.label[~known_P], return_counts=True)
    ignored = {str(name): int(number) for name, number in zip(names, counts)}
    if ignored and unknown == "error":
        raise ValueError(f"predictions must have classes of the ground truth only, got also {', '.join(ignored)}")
    order = descending(predictions.score, ties)
    rank_P = np.empty(len(order), np.int64)
    rank_P[order] = np.arange(len(order))
    classes = int(max(class_G.max(), class_P.max(initial=0))) + 1
    prediction_M, truth_M = pairs(video_P * classes + class_P, video_G * classes + class_G)
    iou_M = temporal_iou(predictions.segment[prediction_M], truth.segment[truth_M])
    if zero_length == "official":
        flat = (np.diff(predictions.segment[prediction_M]) + np.diff(truth.segment[truth_M]))[:, 0] == 0
        iou_M[flat] = np.inf
    matched_IP = np.empty((len(thresholds_I), len(predictions)), np.int64)
    for i, threshold in enumerate(thresholds_I):
        keep = iou_M >= threshold
        matched_IP[i] = greedy_match(prediction_M[keep], truth_M[keep], iou_M[keep], rank_P, len(truth))
    ap_CI = np.zeros((len(known), len(thresholds_I)))
    for row, (one, positives) in enumerate(zip(known, count)):
        ordered = order[class_P[order] == one]
        ap_CI[row] = _average_precision(matched_IP[:, ordered] >= 0, positives)
    labels = truth.label[np.unique(class_G, return_index=True)[1]]
    return Detection([str(label) for label in labels], thresholds_I, ap_CI, matched_IP, ignored)


def _average_precision(hit_IP: np.ndarray, positives: int, typical: float | None = None) -> np.ndarray:
    """(I,) all-point interpolated AP, predictions sorted by score; `typical`: DETAD's N, for normalised precision."""
    hits, misses = np.cumsum(hit_IP, 1), np.cumsum(~hit_IP, 1)
    recall = hits / positives
    found = hits if typical is None else recall * typical
    precision = np.divide(found, found + misses, out=np.zeros(hits.shape), where=found + misses > 0)
    envelope = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
    return (np.diff(recall, axis=1, prepend=0) * envelope).sum(1)


def map_by_length(
    truth: Segments,
    predictions: Segments,
    *,
    edges_seconds: Sequence[float] = LENGTHS_SECONDS,
    convention: Literal["detad", "plain"] = "detad",
    thresholds: ArrayLike = ACTIVITYNET,
    ties: Ties = "later",
) -> dict[str, np.ndarray]:
    """mAP per bucket of the ground truth's length, (I,) each; NaN for a bucket without ground truth (TSP, Table 9).

    Matching is done once, with all ground truth; the buckets are (edge, next edge]. A prediction that took a ground
    truth of another bucket is left out, a false positive counts in every bucket. The class mean is over the classes
    that have ground truth in the bucket.

    convention "detad": the normalised mAP_N of DETAD's sensitivity analysis: precision is r·n/(r·n + false positives)
    with r the recall and n the mean number of ground truths per class, and a prediction is left out if it took another
    bucket's ground truth at any of the thresholds. "plain": ordinary precision, each threshold by itself.

    >>> truth = Segments.of([("v", 0, 10, "a"), ("v", 100, 150, "a")])
    >>> result = map_by_length(truth, Segments.of([("v", 0, 10, "a", 0.9), ("v", 300, 310, "a", 0.8)]))
    >>> {name: float(value.mean()) for name, value in result.items()}
    {'(0,30]': 1.0, '(30,60]': 0.0, '(60,120]': nan, '(120,180]': nan, '>180': nan}
    """
    _one_of("convention", convention, ("detad", "plain"))
    result = detection_map(truth, predictions, thresholds=thresholds, ties=ties)
    edges = np.asarray(edges_seconds, np.float64)
    bucket_G = np.searchsorted(edges, truth.segment[:, 1] - truth.segment[:, 0], "left") - 1  # −1: below the first
    bucket_IP = np.where(result.matched_IP >= 0, bucket_G[result.matched_IP], -1)
    class_G, class_P = factorize(truth.label, predictions.label)
    order = descending(predictions.score, ties)
    typical = float((bucket_G >= 0).sum() / len(result.classes)) if convention == "detad" else None
    ap_BCI = np.full((len(edges) - 1, len(result.classes), len(result.thresholds_I)), np.nan)
    for row, one in enumerate(np.unique(class_G)):
        ordered = order[class_P[order] == one]
        for bucket in np.unique(bucket_G[(class_G == one) & (bucket_G >= 0) & (bucket_G < len(edges) - 1)]):
            positives = int(((class_G == one) & (bucket_G == bucket)).sum())
            hit_IP = bucket_IP[:, ordered] == bucket
            usable_IP = hit_IP | (result.matched_IP[:, ordered] < 0)
            if convention == "detad":
                usable_IP = np.broadcast_to(usable_IP.all(0), usable_IP.shape)
            for i, (hit, usable) in enumerate(zip(hit_IP, usable_IP)):
                ap_BCI[bucket, row, i] = _average_precision(hit[None, usable], positives, typical)[0]
    names = [f">{low:g}" if np.isinf(high) else f"({low:g},{high:g}]" for low, high in pairwise(edges)]
    empty = np.full(len(result.thresholds_I), np.nan)
    return {
        name: ap_CI[~np.isnan(ap_CI[:, 0])].mean(0) if not np.isnan(ap_CI).all() else empty
        for name, ap_CI in zip(names, ap_BCI)
    }


@dataclass(frozen=True)
class Recall:
    """What `average_recall` returns. AN: the average number of proposals per video with ground truth."""

    thresholds_I: np.ndarray
    an_A: np.ndarray
    recall_IA: np.ndarray  # 0…1

    @property
    def ar_A(self) -> np.ndarray:
        """Average recall: mean over the thresholds, at each AN."""
        return self.recall_IA.mean(0)

    @property
    def auc(self) -> float:
        """Area under AR over AN (trapezoids from the first AN) divided by the last AN; 0.99 for a perfect method."""
        return float((np.diff(self.an_A) * (self.ar_A[1:] + self.ar_A[:-1]) / 2).sum() / self.an_A[-1])

    def at(self, an: float) -> float:
        """AR at an average number of proposals, linear between the points of the curve."""
        return float(np.interp(an, self.an_A, self.ar_A))


def average_recall(
    truth: Segments,
    proposals: Segments,
    *,
    max_proposals: float | None = 100,
    thresholds: ArrayLike = ACTIVITYNET,
    ties: Ties = "later",
) -> Recall:
    """AR@AN of class-agnostic proposals, as ActivityNet's evaluator computes it.

    ratio = max_proposals · videos with ground truth / all proposals (also those of other videos); each video keeps its
    best min(n, int(n · ratio)). At each of 100 fractions (0.01…1, times max_proposals · videos / all kept) every video
    shows the first int(kept · fraction); recall is the fraction of ground truths with any shown proposal at
    tIoU ≥ threshold (two may share one proposal).

    Args:
        max_proposals: greatest average number per video; None: all.
        thresholds: (I,) tIoU, each in (0, 1].
        ties: which of equal scores comes first within a video.

    >>> truth = Segments.of([("v", 0, 10), ("v", 20, 30)])
    >>> curve = average_recall(truth, Segments.of([("v", 0, 10, "", 0.9), ("v", 20, 30, "", 0.8)]), max_proposals=2)
    >>> curve.an_A[[0, 49, 99]].tolist(), curve.ar_A[[0, 49, 99]].tolist()
    ([0.02, 1.0, 2.0], [0.0, 0.5, 1.0])
    """
    thresholds_I = _thresholds(thresholds)
    if len(truth) == 0:
        raise ValueError("truth must hold at least one segment, got 0")
    if max_proposals is not None and not max_proposals > 0:
        raise ValueError(f"max_proposals must be above 0 or None, got {max_proposals}")
    video_G, video_P = factorize(truth.video, proposals.video)
    videos = len(np.unique(video_G))
    limit = len(proposals) / videos if max_proposals is None else float(max_proposals)
    ratio = limit * videos / len(proposals) if len(proposals) else 0.0
    order = descending(proposals.score, ties)
    order = order[np.argsort(video_P[order], kind="stable")]  # by video, the best first
    sorted_P = video_P[order]
    count_V = np.bincount(sorted_P, minlength=int(video_G.max()) + 1)
    rank_P = np.arange(len(order)) - (np.cumsum(count_V) - count_V)[sorted_P]
    kept_V = np.minimum((count_V * ratio).astype(np.int64), count_V)
    kept_V[~np.isin(np.arange(len(kept_V)), video_G)] = 0
    keep = rank_P < kept_V[sorted_P]
    order, sorted_P, rank_P, kept = order[keep], sorted_P[keep], rank_P[keep], int(kept_V.sum())
    if kept == 0:  # no proposal in any video with ground truth
        return Recall(thresholds_I, np.arange(1, 101) / 100 * limit, np.zeros((len(thresholds_I), 100)))
    fraction_A = np.arange(1, 101) / 100.0 * (limit * videos / kept)
    shown_GA = np.minimum((kept_V[video_G][:, None] * fraction_A).astype(np.int64), kept_V[video_G][:, None])
    prediction_M, truth_M = pairs(sorted_P, video_G)
    iou_M = temporal_iou(proposals.segment[order[prediction_M]], truth.segment[truth_M])
    recall_IA = np.empty((len(thresholds_I), 100))
    for i, threshold in enumerate(thresholds_I):
        first_G = np.full(len(truth), len(order))
        hit = iou_M >= threshold
        np.minimum.at(first_G, truth_M[hit], rank_P[prediction_M[hit]])
        recall_IA[i] = (first_G[:, None] < shown_GA).mean(0)
    return Recall(thresholds_I, fraction_A * (kept / videos), recall_IA)


def _thresholds(thresholds: ArrayLike) -> np.ndarray:
    values = np.atleast_1d(np.asarray(thresholds, np.float64))
    if values.ndim != 1 or not ((values > 0) & (values <= 1)).all() or len(values) == 0:
        raise ValueError(f"thresholds must be tIoU in (0, 1], got {values.tolist()}")
    return values


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {name}={value!r}")
