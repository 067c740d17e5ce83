"""What config.json and summary.json say about a run.

Used by session.py; imports loop, settings, data and models.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import torch

import gpuaug

from ..common.distributed import Group
from ..common.environment import environment
from ..data.dataset import Dataset
from ..models.encoders import Encoder
from ..tasks.task import Task
from .loop import Loop
from .settings import TrainSettings


def config(
    settings: TrainSettings,
    task: Task,
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
        "segments": gpuaug.Segment.fingerprint(dataset.segments),
        "names": {name: list(values) for name, values in names.items()},
        "extract_fps": getattr(task, "EXTRACT_FPS", settings.feed.fps),
        "deviations": list(settings.deviations),
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
