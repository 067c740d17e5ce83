"""`python -m pretrain train`: pre-train an encoder with BSP, PAL or TSP on a folder of videos."""

from __future__ import annotations

import argparse
import functools
import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from ..common.cli import take_options
from ..common.distributed import Group, sync_batch_norm
from ..common.unpickle import tensors, unpickle
from ..data import overlap
from ..data.annotations import training_subset
from ..data.dataset import Dataset, read_annotations, read_videos, split
from ..feed.augment import Augment
from ..feed.feed import Feed
from ..models import checkpoint
from ..models.encoders import Encoder, encoder
from .about import config, fingerprint, plain, summary
from .loop import Loop, Model
from .optimizer import Optimizer, peak_rates
from .run_folder import RunFolder
from .settings import TASKS
from .validation import Validation

PRECISION = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
VALIDATION_SEED = 1_000_003  # added to the seed: held-out samples differ from the training ones in every draw


def run(args: argparse.Namespace, task: ModuleType, *, device: torch.device, group: Group, record: RunFolder) -> str:
    """Train as the flags say; the run's status, "finished" or "stopped"."""
    state = _resumed(args, record)
    if args.minutes and group.world > 1:
        raise ValueError("--minutes is for one process; use --steps or --epochs with several")
    train_set, val_set = read_data(args, group, record)
    if state is not None and state["config"]["segments"] != fingerprint(train_set):
        flags = "--videos, --annotations, --subset and what is held out"
        raise ValueError(f"{flags} must be as in the run being resumed; their training segments differ")
    torch.manual_seed(args.seed)
    net = encoder(args.encoder, init=args.init, frames=args.frames, size=args.size)
    if net.loaded:
        for line in net.loaded.lines():
            record.say(line)
    head = task.Head(net.features, train_set.classes, **take_options(task.Head, args))
    model = Model(net, head).to(device)
    if group.world > 1 and args.sync_bn:
        sync_batch_norm(model, device)
    if args.compile:
        net.compile()
    peak_rates(args, task.Head.recipe, args.batch * args.accumulate * group.world)
    dtype = PRECISION[args.precision] if args.precision != "auto" else _fast(device, net)
    optimizer = Optimizer(model, net.stem, args, scale=dtype == torch.float16, device=device.type)

    sample = functools.partial(task.sample, **take_options(task.sample, args))
    make = functools.partial(make_feed, args, net, sample=sample, dtype=dtype, device=device, group=group)
    names = getattr(head, "names", {})
    validation = None
    if args.val_batches and val_set is not None:
        held_out, constant = functools.partial(make, val_set, train=False), getattr(head, "constant", {})
        validation = Validation(held_out, args.val_batches, names, group, constant)
        validation.check()
    epoch_steps = len(train_set.segments) * args.clips_per_segment
    epoch_steps /= args.batch * args.accumulate * group.world
    about = config(args, net, train_set, names, device, dtype, group)
    with make(train_set, train=True) as feed:
        loop = Loop(
            args,
            model,
            optimizer,
            feed,
            validation,
            group=group,
            record=record,
            config=about,
            epoch_steps=epoch_steps,
            dtype=dtype,
        )
        record.rewind(0 if state is None else state["step"])
        if state is not None:
            loop.load(state)
            record.say(f"resumed after step {loop.step}")
        record.json("config.json", about)
        before = [overlap.of_run(getattr(args, name, None)) for name in ("init", "teacher_action", "teacher_boundary")]
        record.json(overlap.RECORD, overlap.stated([*train_set.named, *(video for run in before for video in run)]))
        status = "failed"
        try:
            status = loop.run()
        finally:
            if validation is not None:
                validation.close()
            record.json("summary.json", summary(status, loop, train_set, val_set))
    if status == "stopped":
        record.say(f"stopped after step {loop.step}; --resume goes on from there")
    return status


def _resumed(args: argparse.Namespace, record: RunFolder) -> dict[str, Any] | None:
    """The checkpoint to go on from; a folder that has a run already is left alone unless asked for."""
    folder = Path(args.out)
    if not args.resume:
        if (folder / checkpoint.NAME).exists():
            raise ValueError(f"--out {folder} holds a run already; give --resume to go on with it, or another folder")
        return None
    state, problems = checkpoint.newest(folder)
    for problem in problems:
        record.say(f"passed over: {problem}")
    if state is None:
        return None
    try:  # version 0.1.0 pickled the state of every process's feed
        state["feed"] = [tensors(unpickle(part)) if isinstance(part, bytes) else part for part in state["feed"]]
    except ValueError as error:
        raise ValueError(f"--out {folder} cannot be resumed, by the feed's state in its checkpoint: {error}") from None
    before = state["config"]["flags"]
    fixed = (
        "task",
        "encoder",
        "frames",
        "size",
        "batch",
        "accumulate",
        "seed",
        "window",
        "fps",
        "videos",
        "annotations",
    )
    for name in fixed:
        if plain(getattr(args, name)) != before[name]:
            flag = "--" + name.replace("_", "-")
            raise ValueError(f"{flag} must be as in the run being resumed, {before[name]}, got {getattr(args, name)}")
    return state


def read_data(args: argparse.Namespace, group: Group, record: RunFolder) -> tuple[Dataset, Dataset | None]:
    """Training and held-out segments that are long enough for the task; what cannot be used is named."""
    task = importlib.import_module(TASKS[args.task])
    needed = task.Head.least_frames(**take_options(task.Head.least_frames, args))
    if args.window < needed:
        raise ValueError(f"--window must be ≥ {needed}, the frames that samples reach over, got {args.window}")

    def read(flag: str, annotations: str | None, subset: str | None, classes: list[str] | None = None) -> Dataset:
        paths = args.val_videos if flag == "--val-videos" else args.videos
        if not group.main:
            group.gather(None)  # the first process probes the videos, the others then read what it found
        if annotations:
            if len(paths) != 1:
                raise ValueError(f"{flag} must be one folder where there are annotations, got {len(paths)} paths")
            only = None if subset == "all" else subset
            found = read_annotations(annotations, paths[0], subset=only, classes=classes, cache=args.cache)
        else:
            found = read_videos(paths, cache=args.cache)
        if group.main:
            group.gather(None)
        long = [int((s.end_seconds - s.start_seconds) * args.fps + 1e-6) >= needed for s in found.segments]
        short = [segment for segment, enough in zip(found.segments, long) if not enough]
        reason = f"shorter than {needed} frames at {args.fps:g} per second"
        kept = replace(found, segments=[segment for segment, enough in zip(found.segments, long) if enough])
        kept = kept.take(sorted({segment.video for segment in kept.segments}))
        lost = [(f"{s.path} at {s.start_seconds:.2f} s", reason) for s in short]
        return replace(kept, skipped=found.skipped + lost, counts=found.counts)

    subset = args.subset
    if args.annotations and not subset:
        subset = training_subset(args.annotations)
        if subset:
            record.say(f"training on the subset {subset}; --subset names another, or all")
    train_set, val_set = read("--videos", args.annotations, subset), None
    if not train_set.segments:
        raise ValueError(f"--videos must hold a segment that can be used, none is left: {train_set.skipped[-1][1]}")
    for path, reason in train_set.skipped:
        record.say(f"skipped {path}: {reason}")
    if lacking := train_set.empty_classes:
        record.say(f"nothing to train on of {len(lacking)} classes: {', '.join(lacking)}")
    given = next((name for name in ("val_subset", "val_annotations", "val_videos") if getattr(args, name)), None)
    if given:
        annotations = args.val_annotations or args.annotations
        classes = train_set.classes if annotations else None
        val_set = read("--val-videos" if args.val_videos else "--videos", annotations, args.val_subset, classes)
        if val_set.classes != train_set.classes:
            raise ValueError(
                f"--val-videos must have the classes of --videos, got {val_set.classes}, not {train_set.classes}"
            )
        hint = "; --val-subset or --val-annotations tells them apart" if given == "val_videos" and annotations else ""
        overlap.refuse(train_set.named, val_set.named, f"--{given.replace('_', '-')}", hint=hint)
    elif args.val_batches:
        train_set, val_set = split(train_set, holdout=args.holdout, seed=args.seed)
    record.say(f"training: {train_set}")
    if val_set is not None:
        record.say(f"held out: {val_set}")
    return train_set, val_set


def make_feed(
    args: argparse.Namespace,
    net: Encoder,
    dataset: Dataset,
    *,
    train: bool,
    sample: Any,
    dtype: torch.dtype,
    device: torch.device,
    group: Group,
) -> Feed:
    """The feed of training or of held-out batches; the latter see the centre of the picture, unchanged."""
    views = Augment(args.crop, args.flip, args.jitter, args.grayscale, args.blur) if train else Augment("center", 0.0)
    return Feed(
        dataset,
        sample,
        batch=args.batch,
        frames=args.window,
        fps=args.fps,
        size=args.size,
        mean=net.mean,
        std=net.std,
        augment=views,
        dtype=dtype,
        bank_size=tuple(args.bank_size) if args.bank_size else None,
        fit=args.fit,
        windows=args.windows,
        place=args.place if train else "spread",
        bank_bytes=int(args.bank_gib * 2**30 / (1 if train else 4)),
        reuse_min=min(args.reuse_min, args.reuse_max),
        reuse_max=args.reuse_max,
        deterministic=args.deterministic or not train,
        seed=args.seed if train else args.seed + VALIDATION_SEED * (group.rank + 1),
        rank=group.rank if train else 0,
        world=group.world if train else 1,  # held-out videos are few: every process draws from all of them
        device=device,
        backend=args.backend,
        threads=args.threads,
    )


def _fast(device: torch.device, net: nn.Module) -> torch.dtype:
    """bfloat16 where the hardware multiplies it, float32 elsewhere.

    On the CPU not for 3-D convolutions: their bfloat16 weight gradients are NaN now and then (torch 2.14, two frames
    deep).
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    deep = any(isinstance(module, nn.Conv3d) for module in net.modules())
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() and not deep else torch.float32
