"""What config.json and summary.json say about a run.

Used by session.py; imports loop, settings, data and models.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

import torch

from ..common.distributed import Group
from ..common.environment import environment
from ..data.dataset import Dataset
from ..models.encoders import Encoder
from .loop import Loop
from .settings import TrainSettings


def config(
    settings: TrainSettings,
    net: Encoder,
    dataset: Dataset,
    names: dict[str, list[str]],
    device: torch.device,
    dtype: torch.dtype,
    group: Group,
) -> dict[str, Any]:
    """What config.json and every checkpoint say about the run."""
    return {
        "task": settings.task,
        "encoder": {"name": net.name, "frames": net.frames, "size": net.size, "features": net.features},
        "mean": list(net.mean),
        "std": list(net.std),
        "fps": settings.feed.fps,
        "classes": dataset.classes,
        "empty_classes": dataset.empty_classes,
        "segments": fingerprint(dataset),
        "names": {name: list(values) for name, values in names.items()},
        "precision": str(dtype).removeprefix("torch."),
        "world": group.world,
        "flags": settings.saved(),
        **environment(device),
    }


def summary(status: str, loop: Loop, train_set: Dataset, val_set: Dataset | None) -> dict[str, Any]:
    """What summary.json says: how it ended, how good, how fast, and what limited it."""
    share = loop.meter.shares()
    limit = "decoding" if share["wait"] > 0.2 else "rendering" if share["render"] > 0.4 else "the encoder"
    return {
        "status": status,
        "steps": loop.step,
        "samples": loop.step * loop.samples,
        "seconds": loop.seconds,
        "samples_per_second": loop.step * loop.samples / max(1e-9, loop.seconds),
        "limited_by": limit,
        "share_of_time": {**share, "encoder": max(0.0, 1 - sum(share.values()))},
        "best": loop.best if math.isfinite(loop.best) else None,
        "validation": loop.last,
        "training_videos": len(train_set.videos),
        "held_out_videos": len(val_set.videos) if val_set else 0,
        "skipped": [list(each) for each in train_set.skipped],
        "held_out_failures": [asdict(failure) for failure in loop.validation.failures] if loop.validation else [],
        **loop.loader.report(),
    }


def fingerprint(dataset: Dataset) -> str:
    """Eight hexadecimal digits that change with the segments: names of files, places in them, labels and order.

    Folders do not count: a run goes on with data that were moved.
    """
    rows = [
        (PurePath(s.path).name, s.video, round(s.start_seconds, 3), round(s.end_seconds, 3), s.label)
        for s in dataset.segments
    ]
    return f"{zlib.crc32(repr(rows).encode()):08x}"
