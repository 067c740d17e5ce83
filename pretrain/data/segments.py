"""Temporal segments of many videos as columns, and their overlap. NumPy only.

Used by evaluation, localization and the readers of results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


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
