"""Temporal segments of many videos as columns, their overlap, and who is matched with whom. NumPy only.

metrics.py builds on it. Legend of the shape suffixes: P predictions, G ground truths, M pairs of a prediction and a
ground truth of the same video (and class).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

Ties = Literal["later", "earlier"]


@dataclass(frozen=True)
class Instances:
    """Segments with their video, class and score: ground truth (scores are not read) or predictions.

    video (N,) str; segment (N, 2) float64, start and end in seconds, start <= end; label (N,) str, "" where the
    class does not matter; score (N,) float64, greater is better. Raises ValueError for other lengths, for a segment
    that ends before it starts and for numbers that are not finite.

    >>> truth = Instances.of([("v1", 0, 10, "jump"), ("v1", 20, 30, "run")])
    >>> truth.segment.tolist(), truth.label.tolist(), len(truth)
    ([[0.0, 10.0], [20.0, 30.0]], ['jump', 'run'], 2)
    """

    video: np.ndarray
    segment: np.ndarray
    label: np.ndarray
    score: np.ndarray

    def __post_init__(self) -> None:
        rows = len(self.video)
        if self.segment.shape != (rows, 2) or self.label.shape != (rows,) or self.score.shape != (rows,):
            raise ValueError(
                f"segment, label and score must have one row per video, got video ({rows},), segment "
                f"{self.segment.shape}, label {self.label.shape}, score {self.score.shape}"
            )
        finite = np.isfinite(self.segment).all(1) & np.isfinite(self.score)
        wrong = np.flatnonzero(~finite | (self.segment[:, 1] < self.segment[:, 0]))
        if len(wrong):
            row = wrong[0]
            raise ValueError(
                f"segment and score must be finite with start <= end, got segment {self.segment[row].tolist()} and "
                f"score {self.score[row]} for video {str(self.video[row])!r} (row {row})"
            )

    def __len__(self) -> int:
        return len(self.video)

    @staticmethod
    def of(rows: Sequence[tuple]) -> Instances:
        """Instances from rows (video, start, end), (video, start, end, label) or (video, start, end, label, score)."""
        return Instances.columns(
            [row[0] for row in rows],
            [row[1:3] for row in rows],
            [row[3] if len(row) > 3 else "" for row in rows],
            [row[4] if len(row) > 4 else 0.0 for row in rows],
        )

    @staticmethod
    def columns(video: ArrayLike, segment: ArrayLike, label: ArrayLike, score: ArrayLike) -> Instances:
        """Instances from four sequences of equal length, converted to the types above."""
        return Instances(
            np.asarray(video, dtype=str),
            np.asarray(segment, dtype=np.float64).reshape(-1, 2),
            np.asarray(label, dtype=str),
            np.asarray(score, dtype=np.float64),
        )

    def take(self, rows: np.ndarray) -> Instances:
        """The given rows (indices or a mask), in that order."""
        return Instances(self.video[rows], self.segment[rows], self.label[rows], self.score[rows])


def temporal_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of segments (..., 2) in seconds, broadcast; 0…1; 0 where the union has no length.

    >>> temporal_iou(np.array([0.0, 5.5]), np.array([[0.0, 10.0], [5.5, 9.0]])).tolist()
    [0.55, 0.0]
    """
    # The order of the additions is that of ActivityNet's evaluator: a tIoU on a threshold must round to the same side.
    intersection = np.clip(
        np.minimum(first[..., 1], second[..., 1]) - np.maximum(first[..., 0], second[..., 0]), 0, None
    )
    union = (second[..., 1] - second[..., 0]) + (first[..., 1] - first[..., 0]) - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def codes(*columns: np.ndarray) -> list[np.ndarray]:
    """Integers in place of the columns' strings: equal strings, in whatever column, have equal integers (from 0).

    >>> [column.tolist() for column in codes(np.array(["b", "a"]), np.array(["c", "b", "b"]))]
    [[1, 0], [2, 1, 1]]
    """
    _, inverse = np.unique(np.concatenate(columns), return_inverse=True)
    return np.split(inverse, np.cumsum([len(column) for column in columns])[:-1])


def descending(score_P: np.ndarray, ties: Ties) -> np.ndarray:
    """Row numbers from the greatest score to the smallest; among equal scores the "later" or the "earlier" row first.

    "later" is what `argsort()[::-1]` of ActivityNet's evaluator amounts to (up to its unstable sort).

    >>> [descending(np.array([0.5, 0.9, 0.5]), ties).tolist() for ties in ("later", "earlier")]
    [[1, 2, 0], [1, 0, 2]]
    """
    if ties == "later":
        return np.argsort(score_P, kind="stable")[::-1]
    if ties == "earlier":
        return np.argsort(-score_P, kind="stable")
    raise ValueError(f"ties must be 'later' or 'earlier', got ties={ties!r}")


def pairs(key_P: np.ndarray, key_G: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of a prediction and a ground truth with the same integer key: (prediction (M,), truth (M,)) rows.

    >>> [column.tolist() for column in pairs(np.array([7, 5, 7]), np.array([5, 7, 7]))]
    [[0, 0, 1, 2, 2], [1, 2, 0, 1, 2]]
    """
    order_G = np.argsort(key_G, kind="stable")
    first_P = np.searchsorted(key_G[order_G], key_P, "left")
    count_P = np.searchsorted(key_G[order_G], key_P, "right") - first_P
    prediction_M = np.repeat(np.arange(len(key_P)), count_P)
    within_M = np.arange(len(prediction_M)) - np.repeat(np.cumsum(count_P) - count_P, count_P)
    return prediction_M, order_G[first_P[prediction_M] + within_M]


def assign(
    prediction_M: np.ndarray, truth_M: np.ndarray, iou_M: np.ndarray, rank_P: np.ndarray, truths: int
) -> np.ndarray:
    """The ground truth that each prediction takes, (P,) int64, −1 for none, from the admissible pairs alone.

    Predictions choose in the order of rank_P (0 first, no two equal): each takes the ground truth with the greatest
    tIoU among those not yet taken, the later row if two are equal. That choice one after another is also the one
    stable matching when every ground truth prefers the lower rank, so it is found by rounds over all predictions at
    once: everyone asks for the best that has not refused them, every ground truth keeps the best rank that asked.

    >>> assign(np.array([0, 1]), np.array([0, 0]), np.array([0.6, 0.9]), rank_P=np.array([0, 1]), truths=1).tolist()
    [0, -1]
    """
    taken_P = np.full(len(rank_P), -1)
    order = np.lexsort((-truth_M, -iou_M, prediction_M))
    truth_M = truth_M[order]
    asking_A, first_A, count_A = np.unique(prediction_M[order], return_index=True, return_counts=True)
    rank_A, asked_A = rank_P[asking_A], np.zeros(len(asking_A), np.int64)
    held_G, best_G = np.full(truths, -1), np.full(truths, len(rank_P))
    free = np.arange(len(asking_A))
    while len(free):
        wanted = truth_M[first_A[free] + asked_A[free]]
        np.minimum.at(best_G, wanted, rank_A[free])
        won = best_G[wanted] == rank_A[free]
        displaced = held_G[wanted[won]]
        held_G[wanted[won]] = free[won]
        free = np.concatenate([free[~won], displaced[displaced >= 0]])
        asked_A[free] += 1
        free = free[asked_A[free] < count_A[free]]
    taken_P[asking_A[held_G[held_G >= 0]]] = np.flatnonzero(held_G >= 0)
    return taken_P
