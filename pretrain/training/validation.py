"""Held-out loss, accuracy per class with 95 % intervals, and confusion matrices: every held-out segment, once.

Used by session.py and loop.py; imports common, scores.
Legend: N samples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

import gpuaug

from ..common.cli import Failed
from ..common.distributed import Group
from .scores import ScoreBook, Wrong, described, mistakes

MOST_WRONG, MOST_OF_VIDEO = 12, 2  # samples that are kept to be shown, of one video


class Validation:
    """Measures a model on all held-out segments, or on the first `batches` batches of them.

    Segments are shared out among the processes; clips are evenly spaced and always the same, so that a network that has
    not changed gives the same numbers. Intervals are by video. A head with a method `held_out` says itself what its
    scores of all samples come to, as PAL's, whose queries look for their keys.

    Args:
        make_loader: of held-out batches, not shuffled. One that keeps all of its windows is made once.
        names: score → names of its classes.
        batches: the most per process; None: all.
        colors: mean and std of the clips' channels, to show what was not told right.

    Attributes:
        wrong: some samples of this process that the last validation did not get right, of as many videos as it can be.
    """

    def __init__(
        self,
        make_loader: Callable[[], gpuaug.Loader],
        names: dict[str, list[str]],
        group: Group,
        *,
        batches: int | None = None,
        colors: tuple[Sequence[float], Sequence[float]] = ((0.0,) * 3, (1.0,) * 3),
    ) -> None:
        self._make_loader, self._names, self._group, self._batches = make_loader, names, group, batches
        self._colors = colors
        self._loader: gpuaug.Loader | None = None
        self.wrong: list[Wrong] = []
        self.failures: list[gpuaug.Failure] = []  # of the held-out windows, at the last validation
        self.left_out = ""  # why the last validation has no results

    def check(self) -> None:
        """Draw one batch, so that held-out videos that cannot be used fail before the training, not after it."""
        try:
            if next(self._held_out(), None) is None:
                first = self.failures[0]
                raise Failed(f"no held-out window can be decoded, for example {first.path}: {first.reason}")
        except gpuaug.Starved as error:
            raise ValueError(
                f"the held-out videos do not suffice: {error} (give more with --val-videos or --holdout, or turn "
                "validation off with --val-batches 0)"
            ) from None

    def run(self, model: nn.Module, autocast: Callable[[], Any]) -> tuple[dict[str, Any] | None, gpuaug.Batch | None]:
        """The results, equal on all processes, and the last batch of this one, if it had any.

        None where so few windows can be decoded any more that there is nothing to show, or no partner for it, on one
        of the processes; `left_out` then says why.
        """
        losses: list[float] = []
        videos: list[Any] = []
        segments: list[Any] = []
        scores, batch, training, starved = ScoreBook(), None, model.training, ""
        model.eval()
        self.wrong, seen = [], Counter[int]()
        try:
            with torch.no_grad():
                for batch in self._held_out():
                    with autocast():
                        loss, score = model(batch.clips, batch.target)
                    losses.append(loss.item())
                    scores.add(score)
                    self._keep(batch, score, seen)
                    videos.append(batch.video)
                    segments.append(batch.segment)
        except gpuaug.Starved as error:  # files are gone since `check`
            starved = str(error)
        model.train(training)
        if self._loader is not None and (starved or not self._loader.resident):
            self.close()
        told = self._group.gather((bool(losses), self.failures, starved))
        self.failures = [failure for _, failures, _ in told for failure in failures]
        self.left_out = next((reason for *_, reason in told if reason), "")
        if not any(some for some, *_ in told):
            self.left_out = self.left_out or "no held-out window can be decoded"
        if self.left_out:
            return None, None
        return self._merge(model, losses, scores.arrays(), videos, segments), batch

    def _keep(self, batch: gpuaug.Batch, score: dict[str, Any], seen: Counter[int]) -> None:
        """Keep what was not told right, if there is room and its video is not there too often."""
        if batch.video is None or batch.segment is None:
            return
        for row, name, truth, told in mistakes(score, self._names):
            if len(self.wrong) >= MOST_WRONG or row >= len(batch.video) or seen[int(batch.video[row])] >= MOST_OF_VIDEO:
                continue
            seen[int(batch.video[row])] += 1
            mean, std = (torch.tensor(each)[:, None, None, None] for each in self._colors)
            clip_CTYX = (batch.clips[row].float().cpu() * std + mean).clamp(0, 1)
            frames = (255 * clip_CTYX).round().byte().permute(1, 2, 3, 0).numpy()
            self.wrong.append(Wrong(name, truth, told, int(batch.segment[row]), frames))

    def close(self) -> None:
        if self._loader is not None:
            self._loader.close()
            self._loader = None

    def _held_out(self) -> Iterator[gpuaug.Batch]:
        if self._loader is None:
            self._loader = self._make_loader()
        self._loader.step = 0  # the whole pass, also where the last one was left early
        batches = islice(self._loader, self._batches)
        count = min(len(self._loader), self._batches or len(self._loader))
        quiet = None if self._group.main else True
        self.failures = self._loader.failures
        with suppress(gpuaug.NoSegmentLeft):
            yield from tqdm(batches, "validating", count, leave=False, delay=2.0, disable=quiet)

    def _merge(
        self, model: nn.Module, losses: list[float], scores: dict[str, Any], videos: list[Any], segments: list[Any]
    ) -> dict[str, Any]:
        """Results from the scores of all processes, in the order of the held-out segments."""
        parts = self._group.gather((losses, scores, videos, segments))
        order = np.argsort(np.concatenate([each for part in parts for each in part[3]]), kind="stable")
        video = np.concatenate([each for part in parts for each in part[2]])[order]

        def joined(name: str) -> Any:
            values = [part[1][name] for part in parts if name in part[1]]
            if isinstance(values[0], tuple):
                return tuple(np.concatenate([value[i] for value in values])[order] for i in (0, 1))
            return np.concatenate(values)[order]

        everything = {name: joined(name) for name in {name: None for part in parts for name in part[1]}}
        counts = [len(each) for part in parts for each in part[2]]
        loss = float(np.average([loss for part in parts for loss in part[0]], weights=counts))
        head: Any = model.head
        if hasattr(head, "held_out"):
            loss, everything = head.held_out(everything)
        constant = getattr(head, "constant", {})
        result: dict[str, Any] = {"loss": loss}
        for name, value in everything.items():
            if (found := described(value, video, self._names.get(name))) is not None:
                result[name] = {**found, **({"constant": constant[name]} if name in constant else {})}
        return result
