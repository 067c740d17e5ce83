"""`python -m pretrain train`: pre-train an encoder with BSP, PAL or TSP on a folder of videos."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

import gpuaug

from ..common.distributed import Group, sync_batch_norm
from ..common.settings import option, renamed
from ..data import overlap
from ..data.annotations import training_subset
from ..data.dataset import Dataset, read_annotations, read_videos, split
from ..data.needs import lacking
from ..feed.loaders import EncoderInput, held_out_loader, passes, training_loader
from ..models import checkpoint, cost
from ..models.encoders import encoder
from ..tasks.task import Task
from .about import config, foresee, summary
from .loop import Loop, Model
from .optimizer import Optimizer, peak_rates
from .run_folder import RunFolder
from .scores import told
from .settings import KINDS, TrainSettings, check_files
from .validation import Validation

PRECISION = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

WEIGHTS = "weights"  # folder of a run, once it is over: its best encoder in the form of Hugging Face's tools

FIXED = (  # what a resumed run has to be given as before
    *("task", "encoder", "frames", "size", "batch", "accumulate", "seed", "window_frames", "windows_per_segment"),
    *("window_placement", "fps", "reuse_min", "reuse_max", "deterministic"),
)

SAVED = {  # what a checkpoint that is gone on from has to have
    **{"config": dict, "step": int, "seconds": int | float, "best": int | float, "last": dict, "model": dict},
    **{"optimizer": dict, "plateau": dict, "feed": list, "plans": list},
}


def run(settings: TrainSettings, task: Task, *, device: torch.device, group: Group, record: RunFolder) -> str:
    """Train as the settings say; the run's status, "finished" or "stopped"."""
    state, source = _resumed(settings, record)
    if settings.run.minutes and group.world > 1:
        raise ValueError("--minutes is for one process; use --steps or --epochs with several")
    for line in settings.deviations:
        record.say(f"deviation from {settings.recipe}: {line}")
    check_files(settings)
    torch.manual_seed(settings.run.seed)
    wanted = settings.encoder
    net = encoder(wanted.encoder, init=wanted.init, frames=wanted.frames, size=wanted.size)
    if net.loaded:
        for line in net.loaded.lines():
            record.say(line)
    train_set, val_set = read_data(settings, task, group, record)
    if state is not None and state["config"]["segments"] != gpuaug.Segment.fingerprint(train_set.segments):
        flags = "--videos, --annotations, --subset and what is held out"
        raise ValueError(f"{flags} must be as in the run being resumed; their training segments differ")
    head = task.Head(net.features, train_set.classes, settings.options)
    model = Model(net, head).to(device)
    # before batch norms wait for the other processes, which do not measure
    each = cost.measure(net) if device.type == "cpu" and group.main and not wanted.compile else None
    if group.world > 1 and settings.optim.sync_bn:
        sync_batch_norm(model, device)
    if wanted.compile:
        net.compile()
    whole_batch = settings.optim.batch * settings.optim.accumulate * group.world
    settings = replace(settings, optim=peak_rates(settings.optim, settings.defaults, whole_batch))
    dtype = PRECISION[wanted.precision] if wanted.precision != "auto" else _fast(device, net)
    optimizer = Optimizer(model, net.stem, settings.optim, scale=dtype == torch.float16, device=device.type)

    pictures = EncoderInput(net.mean, net.std, dtype, device)
    make = functools.partial(make_loader, settings, task, pictures=pictures, group=group)
    names = getattr(head, "names", {})
    validation = None
    if settings.run.val_batches != 0 and val_set is not None:
        held_out = functools.partial(make, val_set, train=False)
        how: dict[str, Any] = {"batches": settings.run.val_batches, "colors": (net.mean, net.std)}
        validation = Validation(held_out, names, group, **how)
        validation.check()
    epoch_steps = len(train_set.segments) * settings.run.clips_per_segment / whole_batch
    about = config(settings, task, net, train_set, names, device, dtype, group)
    with make(train_set, train=True) as loader:
        loop = Loop(
            settings.run,
            settings.optim,
            model,
            optimizer,
            loader,
            validation,
            group=group,
            record=record,
            config=about,
            epoch_steps=epoch_steps,
            dtype=dtype,
        )
        epochs = loop.total / epoch_steps
        if not settings.run.minutes:
            draws, count = task.draws(settings.options, settings.feed.windows_per_segment), len(train_set.segments)
            samples = epochs * settings.run.clips_per_segment
            filling = loader.report()["slots"] * group.world / loader.pass_windows
            shown = passes(draws, settings.feed, samples, resident=loader.resident, filling=filling)
            record.say(f"{epochs:.4g} epochs, {loop.total} steps: {shown} over {count:,} segments")
        if state is not None:
            loop.load(state, source)
        elif record.writes:
            for old in checkpoint.those_in(record.folder):  # --overwrite: a later --resume must not find them
                old.unlink()
        refused = ""
        if each and loop.progress < 1:
            steps = 0 if settings.run.minutes else loop.total - loop.step
            try:
                for line in foresee(settings, task, model, loader, steps, each, beside=group.beside):
                    record.say(line)
            except ValueError as error:
                refused = str(error)
        if refused := group.gather(refused)[0]:  # by the first process, and by all, so that none waits for it in vain
            raise ValueError(refused)
        record.rewind(loop.step)
        if state is not None:
            record.say(f"resumed after step {loop.step}")
        record.json("config.json", about)
        teachers = (getattr(settings.options, name, None) for name in ("teacher_action", "teacher_boundary"))
        before = [overlap.of_run(weights) for weights in (wanted.init, *teachers)]
        trained_on = overlap.stated([*train_set.named, *(video for run in before for video in run)])
        record.json(overlap.RECORD, trained_on)
        status = "failed"
        over = loop.progress >= 1
        try:
            status = loop.run()
        except KeyboardInterrupt:  # a second ^C
            status = "stopped"
            raise
        finally:
            if validation is not None and val_set is not None:
                validation.close()
                record.wrong(validation.wrong, val_set.segments)
            record.json("summary.json", summary(status, loop, train_set, val_set))
    if status == "stopped":
        record.say(f"stopped after step {loop.step}; --resume goes on from there")
    elif over:
        record.say(f"{record.folder} had finished after step {loop.step}: nothing was left to do")
    else:
        best = f", best held-out {told(loop.best)}" if val_set is not None and math.isfinite(loop.best) else ""
        if record.writes:
            checkpoint.export(record.folder, record.folder / WEIGHTS)
            record.json(f"{WEIGHTS}/{overlap.RECORD}", trained_on)
        record.say(f"finished after step {loop.step}{best}: {record.folder / WEIGHTS}")
    return status


def _resumed(settings: TrainSettings, record: RunFolder) -> tuple[dict[str, Any] | None, Path]:
    """The checkpoint to go on from, and its path; a folder that has a run already is left alone unless asked for."""
    folder = Path(settings.run.out)
    there = checkpoint.those_in(folder)
    if not settings.run.resume:
        if there and not settings.run.overwrite:
            raise ValueError(
                f"--out {folder} holds a run already; give --resume to go on with it, another folder, or --overwrite "
                f"to delete {', '.join(path.name for path in there)}"
            )
        return None, folder
    state, problems, path = checkpoint.newest(folder)
    for problem in problems:
        record.say(f"passed over: {problem}")
    if state is None:
        if there:
            raise ValueError(
                f"--out {folder} has no checkpoint to resume, only {there[-1].name} (--init {there[-1]} and another "
                "--out begin with its weights)"
            )
        return None, folder
    for name, kind in SAVED.items():
        if not isinstance(state.get(name), kind) or isinstance(state[name], bool):
            what = getattr(kind, "__name__", kind)
            raise ValueError(f"{path} cannot be resumed: its {name} must be {what}, got {state.get(name)!r:.60}")
    for name in ("step", "seconds"):
        if not 0 <= state[name] < 1e15:  # NaN neither
            raise ValueError(f"{path} cannot be resumed: its {name} must be in [0, 1e15), got {state[name]}")
    for name in ("flags", "segments"):
        if name not in state["config"]:
            raise ValueError(f"{path} cannot be resumed: its config has no {name}")
    if any(isinstance(part, bytes) or "supply" not in part for part in state["feed"]):
        raise ValueError(
            f"--out {folder} cannot be resumed: its checkpoint is of a version that dealt out segments otherwise "
            f"(--init {folder / checkpoint.NAME} and another --out begin with its weights)"
        )
    batches = state["step"] * settings.optim.accumulate
    if state.get("batches", batches) != batches:  # those of the last version do not say
        raise ValueError(
            f"{path} cannot be resumed: it is of {state['batches']} batches, step {state['step']} of {batches}"
        )
    before, now = renamed(state["config"]["flags"], KINDS.values()), settings.saved()
    for name in FIXED:
        if now[name] != before.get(name):
            raise ValueError(f"{option(name)} must be as in the run being resumed, {before.get(name)}, got {now[name]}")
    return state, path


def read_data(settings: TrainSettings, task: Task, group: Group, record: RunFolder) -> tuple[Dataset, Dataset | None]:
    """Training and held-out segments that are long enough for the task; what cannot be used is named."""
    data, fps, needed = settings.data, settings.feed.fps, task.window_frames(settings.options)
    needs = getattr(task, "needs", None)

    def read(flag: str, annotations: str | None, subset: str | None, classes: list[str] | None = None) -> Dataset:
        paths = (flag == "--val-videos" and data.val_videos) or data.videos
        with group.one_per_node():  # the first process probes the videos, the others then read what it found
            if not annotations:
                found = read_videos(paths, cache=data.cache)
            elif len(paths) != 1:
                raise ValueError(f"{flag} must be one folder where there are annotations, got {len(paths)} paths")
            else:
                only = None if subset == "all" else subset
                found = read_annotations(
                    annotations, paths[0], subset=only, classes=classes, background=data.background, cache=data.cache
                )
        whole = settings.feed.window_placement == "whole"  # however long a segment is, its window has all frames
        long = [whole or int((s.end_seconds - s.start_seconds) * fps + 1e-6) >= needed for s in found.segments]
        short = [segment for segment, enough in zip(found.segments, long) if not enough]
        reason = f"shorter than {needed} frames at {fps:g} per second"
        kept = replace(found, segments=[segment for segment, enough in zip(found.segments, long) if enough])
        kept = kept.take(sorted({segment.video for segment in kept.segments}))
        lost = [(f"{s.path} at {s.start_seconds:.2f} s", reason) for s in short]
        return replace(kept, skipped=found.skipped + lost, counts=found.counts)

    subset = data.subset
    if data.annotations and not subset:
        subset = training_subset(data.annotations)
        if subset:
            record.say(f"training on the subset {subset}; --subset names another, or all")
    train_set, val_set = read("--videos", data.annotations, subset), None
    if not train_set.segments:
        raise ValueError(f"--videos must hold a segment that can be used, none is left: {train_set.skipped[-1][1]}")
    too_short = sum(reason.startswith("shorter than") for _, reason in train_set.skipped)
    hint = f"; --fps {fps:g} asks for {needed / fps:.2f} s, a higher one for less" if too_short else ""
    record.skipped(train_set.skipped, len(train_set.segments) + len(train_set.skipped), hint=hint)
    if empty := train_set.empty_classes:
        record.say(f"nothing to train on of {len(empty)} classes: {', '.join(empty)}")
    given = next((name for name in ("val_subset", "val_annotations", "val_videos") if getattr(data, name)), None)
    if given:
        annotations = data.val_annotations or data.annotations
        classes = train_set.classes if annotations else None
        val_set = read("--val-videos" if data.val_videos else "--videos", annotations, data.val_subset, classes)
        if val_set.classes != train_set.classes and not (needs and needs(settings.options).any_held_out):
            raise ValueError(
                f"--val-videos must have the classes of --videos, got {val_set.classes}, not {train_set.classes}"
            )
        hint = "; --val-subset or --val-annotations tells them apart" if given == "val_videos" and annotations else ""
        overlap.refuse(train_set.named, val_set.named, f"--{given.replace('_', '-')}", hint=hint)
    elif settings.run.val_batches != 0:
        train_set, val_set = split(train_set, holdout=data.holdout, seed=settings.run.seed)
    if needs and (lacks := lacking(train_set, needs(settings.options))):
        raise ValueError(lacks)
    record.say(f"training: {train_set}")
    if val_set is not None:
        record.say(f"held out: {val_set}")
    return train_set, val_set


def make_loader(
    settings: TrainSettings,
    task: Task,
    dataset: Dataset,
    pictures: EncoderInput,
    *,
    train: bool,
    group: Group,
) -> gpuaug.Loader:
    """The loader of training or of held-out batches."""
    sample = functools.partial(task.sample, settings=settings.options)
    draws = task.draws(settings.options, settings.feed.windows_per_segment)
    how: dict[str, Any] = {"rank": group.rank, "world": group.world, "cache": settings.data.cache}
    if train:
        return training_loader(dataset.segments, sample, draws, settings.feed, settings.augment, pictures, **how)
    return held_out_loader(dataset.segments, sample, draws, settings.feed, pictures, **how)


def _fast(device: torch.device, net: nn.Module) -> torch.dtype:
    """bfloat16 where the hardware multiplies it, float32 elsewhere.

    On the CPU not for 3-D convolutions: their bfloat16 weight gradients are NaN now and then (torch 2.14, two frames
    deep).
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    deep = any(isinstance(module, nn.Conv3d) for module in net.modules())
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() and not deep else torch.float32
