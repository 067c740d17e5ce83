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

from ..common.distributed import Group
from ..feed.feed import Batch, Feed
from .scores import ScoreBook, averaged, classified


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
