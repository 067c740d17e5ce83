"""Held-out loss, accuracy per class with 95 % intervals, and confusion matrices, always on the same samples.

Legend: N samples.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

import gpuaug

from .distributed import Group
from .feed import Batch, Feed
from .metrics import accuracy, confusion_matrix, mean_interval

Scores = dict[str, Any]  # per sample: values (N,), hits (N,) of bool, or a pair of truth (N,) and prediction (N,)


class Validation:
    """Measures a model on `batches` held-out batches per process.

    Args:
        make_feed: a deterministic feed over the held-out videos. A feed that keeps all of them is made once, another
            one anew for every validation, so that the samples never change.
        names: score → names of its classes.
        constant: score given as hits → what the best constant answer reaches.
    """

    def __init__(
        self,
        make_feed: Callable[[], Feed],
        batches: int,
        names: dict[str, list[str]],
        group: Group,
        constant: dict[str, float] | None = None,
    ) -> None:
        self.make_feed, self.batches, self.names, self.group = make_feed, batches, names, group
        self.constant = constant or {}
        self._feed: Feed | None = None

    def check(self) -> None:
        """Draw one batch, so that held-out videos that cannot be used fail before the training, not after it."""
        try:
            self._batch(0)
        except gpuaug.Starved as error:
            raise ValueError(
                f"the held-out videos do not suffice: {error} (give more with --val-videos or --holdout, or turn "
                "validation off with --val-batches 0)"
            ) from None

    def run(self, model: nn.Module, autocast: Callable[[], Any]) -> tuple[dict[str, Any], Batch]:
        """The results, equal on all processes, and the last batch."""
        losses, scores = [], ScoreBook()
        training = model.training
        model.eval()
        with torch.no_grad():
            for i in range(self.batches):
                batch = self._batch(i)
                with autocast():
                    loss, score = model(batch.clips, batch.target)
                losses.append(loss.item())
                scores.add(score)
        model.train(training)
        if self._feed is not None and not self._feed.resident:
            self.close()
        parts = self.group.gather((losses, scores.arrays()))
        merged: dict[str, list[Any]] = defaultdict(list)
        for _, arrays in parts:
            for name, value in arrays.items():
                merged[name].append(value)
        result: dict[str, Any] = {"loss": float(np.mean([loss for part in parts for loss in part[0]]))}
        for name, values in merged.items():
            if isinstance(values[0], tuple):
                truth, prediction = (np.concatenate([value[i] for value in values]) for i in (0, 1))
                result[name] = classified(truth, prediction, self.names.get(name))
            elif sum(map(len, values)):
                result[name] = averaged(np.concatenate(values))
                if name in self.constant:
                    result[name]["constant"] = self.constant[name]
        return result, batch

    def close(self) -> None:
        if self._feed is not None:
            self._feed.close()
            self._feed = None

    def _batch(self, i: int) -> Batch:
        if self._feed is None:
            self._feed = self.make_feed()
        return self._feed.batch(i)


class ScoreBook:
    """Collects a head's scores over steps without reading them from the device."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Any]] = defaultdict(list)

    def add(self, scores: Scores) -> None:
        for name, value in scores.items():
            self._rows[name].append(value)

    def arrays(self) -> dict[str, Any]:
        """Per score: values or hits (N,), or (truth, prediction) without the samples whose truth is −1."""
        found: dict[str, Any] = {}
        for name, rows in self._rows.items():
            if isinstance(rows[0], tuple):
                truth, prediction = (torch.cat([row[i] for row in rows]).cpu().numpy() for i in (0, 1))
                found[name] = (truth[truth >= 0], prediction[truth >= 0])
            else:
                values = torch.cat([row.reshape(-1) for row in rows])
                found[name] = (values if values.dtype == torch.bool else values.float()).cpu().numpy()
        return found

    def means(self) -> dict[str, float]:
        """Accuracies and means, NaN where nothing counted; the book is empty afterwards."""
        found = {
            name: float((value[0] == value[1]).mean()) if isinstance(value, tuple) else float(value.mean())
            for name, value in self.arrays().items()
            if len(value[0] if isinstance(value, tuple) else value)
        }
        self._rows.clear()
        return found


def averaged(values: np.ndarray) -> dict[str, Any]:
    """The mean with its interval: Wilson's of hits, which are bool, Student's t of numbers.

    >>> averaged(np.array([True, False, True, True]))["low"] > 0 > averaged(np.array([1.0, 0.0, 1.0, 1.0]))["low"]
    True
    """
    if values.dtype == bool:
        return accuracy(np.ones_like(values), values)._asdict()
    return mean_interval(values)._asdict()


def classified(truth: np.ndarray, prediction: np.ndarray, names: list[str] | None) -> dict[str, Any]:
    """Accuracy with its interval, the same per class, the confusion matrix (row: truth), and the best constant answer.

    >>> result = classified(np.array([0, 0, 1]), np.array([0, 1, 1]), ["dc", "ss"])
    >>> round(result["value"], 3), result["classes"]["ss"]["value"], result["confusion"], round(result["constant"], 3)
    (0.667, 1.0, [[1, 1], [0, 1]], 0.667)
    """
    count = int(max(truth.max(initial=0), prediction.max(initial=0))) + 1
    names = names or [str(i) for i in range(count)]
    counts = np.bincount(truth, minlength=1)
    return {
        **accuracy(truth, prediction)._asdict(),
        "constant": float(counts.max() / max(1, len(truth))),
        "classes": {
            names[c]: accuracy(truth[truth == c], prediction[truth == c])._asdict() for c in np.flatnonzero(counts)
        },
        "confusion": confusion_matrix(truth, prediction, len(names)).tolist(),
    }


def quality(result: dict[str, Any]) -> float:
    """One number to choose the best model by: the mean of all accuracies, or the negative loss if there are none."""
    values = [each["value"] for each in result.values() if isinstance(each, dict) and "confusion" in each]
    return float(np.mean(values)) if values else -result["loss"]
