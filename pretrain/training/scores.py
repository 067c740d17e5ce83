"""What validation and the log say of a head's scores: accuracies with intervals, confusion matrices.

Legend: N samples.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from ..common.statistics import accuracy, confusion_matrix, mean_interval

KEPT = (torch.bool, torch.int64)  # dtypes of scores that stay as they are
Scores = dict[str, Any]  # per sample: values (N,), hits (N,) of bool, or a pair of truth (N,) and prediction (N,)


class Wrong(NamedTuple):
    """A held-out sample that was not told right: its score's name, words for both answers, where it is from, frames."""

    score: str
    truth: str
    prediction: str
    segment: int
    frames_TYXC: np.ndarray  # uint8


def mistakes(scores: Scores, names: Mapping[str, list[str]]) -> Iterator[tuple[int, str, str, str]]:
    """(row, score, truth, prediction) of the samples of a batch that have a class and got another.

    >>> list(mistakes({"kind": (torch.tensor([0, 1, -1]), torch.tensor([0, 0, 1]))}, {"kind": ["cut", "none"]}))
    [(1, 'kind', 'none', 'cut')]
    """
    for name, value in scores.items():
        if not isinstance(value, tuple) or value[0].ndim != 1:
            continue
        truth, prediction = (each.cpu().numpy() for each in value)
        words = names.get(name)
        for row in np.flatnonzero((truth >= 0) & (truth != prediction)).tolist():
            true, told = (words[each] if words else str(each) for each in (truth[row], prediction[row]))
            yield row, name, true, told


class ScoreBook:
    """Collects a head's scores over steps without reading them from the device."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Any]] = defaultdict(list)

    def add(self, scores: Scores) -> None:
        for name, value in scores.items():
            self._rows[name].append(value)

    def arrays(self) -> dict[str, Any]:
        """Per score: values or hits (N, …), or (truth, prediction), of all samples."""
        found: dict[str, Any] = {}
        for name, rows in self._rows.items():
            if isinstance(rows[0], tuple):
                found[name] = tuple(torch.cat([row[i] for row in rows]).cpu().numpy() for i in (0, 1))
            else:
                values = torch.cat([row if row.ndim else row[None] for row in rows])
                found[name] = (values if values.dtype in KEPT else values.float()).cpu().numpy()
        return found

    def means(self) -> dict[str, float]:
        """Accuracies and means, NaN where nothing counted; the book is empty afterwards."""
        found = {}
        for name, value in self.arrays().items():
            hits = (value[0] == value[1])[value[0] >= 0] if isinstance(value, tuple) else value
            if len(value[0] if isinstance(value, tuple) else value):
                found[name] = float(hits.mean()) if len(hits) else float("nan")
        self._rows.clear()
        return found


def described(value: Any, video: np.ndarray, names: list[str] | None) -> dict[str, Any] | None:
    """What a validation says of a score, intervals by video; None where nothing counts.

    Args:
        value: as `ScoreBook.arrays` gives it; samples whose truth is −1 do not count. video: (N,).
        names: of classes.
    """
    if isinstance(value, tuple):
        counts = value[0] >= 0
        return classified(value[0][counts], value[1][counts], names, video[counts]) if counts.any() else None
    return averaged(value, video) if len(value) else None


def averaged(values: np.ndarray, video: np.ndarray | None = None) -> dict[str, Any]:
    """The mean with its interval: Wilson's of hits, which are bool, Student's t of numbers; by video where given.

    >>> averaged(np.array([True, False, True, True]))["low"] > 0 > averaged(np.array([1.0, 0.0, 1.0, 1.0]))["low"]
    True
    """
    found = accuracy(np.ones_like(values), values, video) if values.dtype == bool else mean_interval(values, video)
    return {**found._asdict(), **_videos(video)}


def classified(
    truth: np.ndarray, prediction: np.ndarray, names: list[str] | None, video: np.ndarray | None = None
) -> dict[str, Any]:
    """Accuracy with its interval, the same per class, the confusion matrix (row: truth), and the best constant answer.

    >>> result = classified(np.array([0, 0, 1]), np.array([0, 1, 1]), ["dc", "ss"])
    >>> round(result["value"], 3), result["classes"]["ss"]["value"], result["confusion"], round(result["constant"], 3)
    (0.667, 1.0, [[1, 1], [0, 1]], 0.667)
    """
    count = int(max(truth.max(initial=0), prediction.max(initial=0))) + 1
    names = names or [str(i) for i in range(count)]
    counts = np.bincount(truth, minlength=1)

    def of(mask: np.ndarray) -> dict[str, Any]:
        part = None if video is None else video[mask]
        return {**accuracy(truth[mask], prediction[mask], part)._asdict(), **_videos(part)}

    return {
        **of(np.ones(len(truth), bool)),
        "constant": float(counts.max() / max(1, len(truth))),
        "classes": {names[c]: of(truth == c) for c in np.flatnonzero(counts)},
        "confusion": confusion_matrix(truth, prediction, len(names)).tolist(),
    }


def _videos(video: np.ndarray | None) -> dict[str, int]:
    return {} if video is None else {"videos": len(np.unique(video))}


def quality(result: dict[str, Any]) -> float:
    """One number to choose the best model by: the mean of all accuracies, or the negative loss if there are none."""
    values = [each["value"] for each in result.values() if isinstance(each, dict) and "confusion" in each]
    return float(np.mean(values)) if values else -result["loss"]


def told(quality: float) -> str:
    """In words, by its sign: accuracies are not negative.

    >>> told(0.5), told(-3.2)
    ('score 0.500', 'loss 3.200')
    """
    return f"score {quality:.3f}" if quality >= 0 else f"loss {-quality:.3f}"
