"""What config.json and summary.json say about a run, and what it will take and its annotations come to before it.

Used by session.py; imports loop, settings, data and models.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

import gpuaug

from ..common.distributed import Group
from ..common.environment import environment, usable_cores
from ..data.annotations import training_subset
from ..data.dataset import Dataset
from ..data.rows import counted
from ..models import cost
from ..models.encoders import Encoder
from ..tasks.task import Task
from .loop import Loop
from .settings import TrainSettings

LONG_SECONDS = 3600.0  # a run beyond is told how to be shorter


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


def dry_run(settings: TrainSettings, task: Task) -> list[str]:
    """What the annotations come to, a line for each file. Errors: ValueError without annotations."""
    data = settings.data
    if not data.annotations:
        raise ValueError("--dry-run needs --annotations")
    seconds = task.window_frames(settings.options) / settings.feed.fps
    parts = [(data.annotations, data.subset or training_subset(data.annotations))]
    if data.val_annotations or data.val_subset:
        parts.append((data.val_annotations or data.annotations, data.val_subset))
    return [
        counted(file, subset=None if subset == "all" else subset, background=data.background, clip_seconds=seconds)[0]
        for file, subset in parts
    ]


def foresee(
    settings: TrainSettings,
    task: Task,
    model: nn.Module,
    loader: gpuaug.Loader,
    steps: int,
    each: cost.Cost,
    *,
    beside: int = 1,
) -> list[str]:
    """What a run on the CPU will take, and the flags that help where that is much.

    Args:
        steps: those that are left; 0 where the run's length is not in steps.
        each: of one clip, in a process that is alone.
        beside: processes of this machine, which share its memory and cores.

    Errors (ValueError): a step needs more memory than there is.
    """
    net: Any = model.encoder
    optim, draws = settings.optim, task.draws(settings.options, settings.feed.windows_per_segment)
    clips = optim.batch * (settings.feed.windows_per_segment if draws.whole_visits else 1)
    learning = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    states = 1 if optim.optimizer == "sgd" else 2

    def needed(batch: int) -> int:
        step = each.step_bytes(clips * batch // optim.batch, learning, states=states)
        return int(beside * (step + loader.report()["bank_bytes"]))

    others = (draws.rows_per_sample - 1) * clips
    crowd = max(1.0, beside * torch.get_num_threads() / usable_cores())
    seconds = crowd * optim.accumulate * each.step_seconds(clips, others)
    least, free = needed(optim.batch), cost.free_bytes()
    several = f"each of {beside} processes " if beside > 1 else ""
    size = f"{several}{optim.batch} samples of {clips // optim.batch * net.frames} × {net.size}² with {net.name}"
    help_small = "" if settings.preset else "--preset small, or "
    if free is not None and least > free:
        fits = next((batch for batch in _halves(optim.batch) if 1.4 * needed(batch) < free), 0)
        fewer = f"--batch {fits} --accumulate {optim.batch * optim.accumulate // fits}" if fits else "a smaller --size"
        fewer = f"fewer processes, {fewer}" if beside > 1 else fewer
        raise ValueError(
            f"--batch {optim.batch}: a step needs at least {least / 1e9:.1f} GB ({size}), and {free / 1e9:.1f} GB are "
            f"free; {help_small}{fewer}"
        )
    lines = [
        f"on this CPU: a step takes about {_time(seconds)} and at least {least / 1e9:.1f} GB ({size})"
        + (f", {steps:,} steps about {_time(seconds * steps)}" if steps else "")
    ]
    if free is not None and 1.4 * least > free:
        lines.append(f"memory may run out, {free / 1e9:.1f} GB are free; {help_small}a smaller --batch takes less")
    if seconds * steps > LONG_SECONDS:
        lines.append(f"that is long; {help_small}a smaller --size, --steps or --minutes make it shorter")
    return lines


def _halves(batch: int) -> Iterator[int]:
    while batch > 1:
        batch //= 2
        yield batch


def _time(seconds: float) -> str:
    """
    >>> _time(0.52), _time(95), _time(4000), _time(9e5)
    ('0.5 s', '95 s', '67 min', '10 days')
    """
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            value = seconds / unit
            return f"{value:.1f} {name}" if value < 10 else f"{value:.0f} {name}"
    return f"{seconds / 86400:.0f} days"


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
