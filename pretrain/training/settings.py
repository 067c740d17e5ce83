"""The flags of `python -m pretrain train`: those of every task, and, made from its functions, those of the one chosen.

Defaults that differ between tasks come from the task's `Head.recipe`.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
from collections.abc import Sequence
from types import ModuleType
from typing import Any, get_args

import gpuaug

from ..common.cli import add_options
from ..common.distributed import DEVICES
from ..feed.augment import Crop
from .schedule import Kind

TASKS = {"bsp": "pretrain.tasks.bsp.task", "pal": "pretrain.tasks.pal.task", "tsp": "pretrain.tasks.tsp.task"}
EPILOG = "[P]: the task's paper, [C]: its authors' public code (for BSP: TSM's), [D], [ours]: this project's choice."


def parse(
    argv: Sequence[str] | None, *, prog: str, parents: Sequence[argparse.ArgumentParser] = ()
) -> tuple[argparse.Namespace, ModuleType]:
    """The flags, with the task's defaults filled in, and the task's module.

    Args:
        parents: parsers (without help) whose flags are taken too.
    """
    first = argparse.ArgumentParser(prog=prog, add_help=False, allow_abbrev=False)
    first.add_argument("--task", choices=sorted(TASKS))
    known, _ = first.parse_known_args(argv)
    parser = argparse.ArgumentParser(prog=prog, epilog=EPILOG, parents=list(parents), allow_abbrev=False)
    parser.add_argument("--task", choices=sorted(TASKS), required=True, help="with --help: also shows its own flags")
    task = importlib.import_module(TASKS[known.task]) if known.task else None
    recipe: dict[str, Any] = task.Head.recipe if task else {}
    _data(parser.add_argument_group("data"))
    _run(parser.add_argument_group("run"))
    _encoder(parser.add_argument_group("encoder"))
    _feed(parser.add_argument_group("decoding and the bank of decoded windows"))
    _view(parser.add_argument_group("augmentation of the picture, one draw per sample"))
    _optimization(parser.add_argument_group("optimisation"))
    taken = {action.dest for action in parser._actions}
    rates = ("lr", "lr_head", "lr_stem")  # filled in later, when the whole batch is known
    parser.set_defaults(**{name: value for name, value in recipe.items() if name in taken and name not in rates})
    if task:
        notes = recipe_notes(task.Head)
        for action in parser._actions:
            if action.dest in recipe:
                value = f"the recipe's {recipe[action.dest]}"
                if recipe["optimizer"] == "sgd":
                    value += f" at batch {recipe['batch']}, in proportion to the whole batch"
                default = f" (default {value})" if action.dest in rates else ""
                action.help = f"{action.help}{default} {notes.get(action.dest, '')}".strip()
        add_options(parser.add_argument_group(f"options of {known.task}"), (task.sample, task.Head), taken)
    args = parser.parse_args(argv)
    assert task is not None
    for name, value in recipe.items():
        if name not in taken:
            setattr(args, name, value)
    try:
        _check(args)
    except ValueError as error:
        parser.error(str(error))
    return args, task


def recipe_notes(head: type) -> dict[str, str]:
    """name → the comment behind its entry in the source of `head.recipe`: where the default comes from."""
    try:
        source = inspect.getsource(head)
    except OSError:
        return {}
    return {name: note.replace("%", "%%") for name, note in re.findall(r'^        "(\w+)": .*?  # (.+)$', source, re.M)}


def _data(group: Any) -> None:
    add = group.add_argument
    add("--videos", nargs="+", required=True, metavar="PATH", help="folders (class folders give labels), files, or CSV")
    add("--annotations", metavar="FILE", help="segments of untrimmed videos (ActivityNet, THUMOS14, TSP or our CSV)")
    add("--subset", help="of the annotations to train on, all: every one (default: training or train; THUMOS14: val)")
    add("--val-videos", nargs="+", metavar="PATH", help="held-out videos; without a --val flag, --holdout of --videos")
    add("--val-annotations", metavar="FILE", help="of the held-out videos (default: --annotations)")
    add("--val-subset", help="of the held-out videos' annotations (default: all of them)")
    add("--holdout", type=float, default=0.2, help="share of the videos held out, stratified (default %(default)s)")
    add("--cache", metavar="FILE", help="remembers probed videos (default: the user's cache folder)")


def _run(group: Any) -> None:
    add = group.add_argument
    add("-o", "--out", required=True, metavar="DIR", help="run folder")
    add("--resume", action="store_true", help="go on from OUT's newest whole checkpoint, if there is one")
    add("--seed", type=int, default=0, help="of everything random (default %(default)s)")
    add("--device", default="auto", help=DEVICES)
    add("--deterministic", action="store_true", help="same seed, same batches: wait for decoding instead of racing it")
    add("--log-every", type=int, default=10, metavar="STEPS", help="(default %(default)s)")
    add("--val-every", type=float, metavar="EPOCHS", help="validation; always at the end too (default: 10 times a run)")
    add("--val-batches", type=int, default=16, help="held-out batches per validation, 0: none (default %(default)s)")
    add("--checkpoint-every", type=int, default=500, metavar="STEPS", help="also at validations (default %(default)s)")
    add("--keep", type=int, default=3, help="rolling checkpoints (default %(default)s)")
    add("--tensorboard", action="store_true", help="also write scalars and sample clips for TensorBoard")
    add("--quiet", action="store_true", help="no progress bar")


def _encoder(group: Any) -> None:
    add = group.add_argument
    add("--encoder", help="tsm_resnet18, r2plus1d_18, …, timm:NAME, hf:NAME (default %(default)s)")
    add("--init", metavar="FILE", help="weights to start from: torchvision, TSM, TSP or our checkpoints")
    add("--size", type=int, help="height and width of its input in pixels (default %(default)s)")
    add("--frames", type=int, help="frames of a clip (default %(default)s)")
    add("--precision", choices=("auto", "fp32", "bf16", "fp16"), default="auto", help="auto: bf16 if it is fast here")
    add("--compile", action="store_true", help="torch.compile the encoder")


def _feed(group: Any) -> None:
    add = group.add_argument
    add("--fps", type=float, help="frames per second at which windows are decoded (default %(default)s)")
    add("--window", type=int, help="frames of a window, of which samples show parts (default %(default)s)")
    add("--windows", type=int, default=1, help="windows of one segment, decoded together (default %(default)s)")
    add("--place", choices=("random", "spread"), default="random", help="of windows in a segment; spread in validation")
    add("--bank-gib", type=float, default=1.0, help="memory for decoded windows, GiB (default %(default)s)")
    add("--bank-size", type=int, nargs=2, metavar=("H", "W"), help="pixels (default: 8/7 and 32/21 of --size)")
    add("--fit", choices=("inside", "stretch"), default="inside", help="of videos in the bank (default %(default)s)")
    add(
        "--reuse-min",
        type=int,
        default=8,
        help="samples that show a window before an idle decoder replaces it (default %(default)s)",
    )
    add("--reuse-max", type=int, default=32, help="the most; data that fit the bank are kept (default %(default)s)")
    add("--backend", choices=get_args(gpuaug.Decoder.Backend), default="auto", help="decoder (default %(default)s)")
    add("--threads", type=int, help="decoding threads (default: chosen by the decoder)")


def _view(group: Any) -> None:
    add = group.add_argument
    add("--crop", choices=get_args(Crop), default="multiscale", help="in training (default %(default)s)")
    add("--flip", type=float, default=0.5, help="probability of a mirror (default %(default)s)")
    add("--jitter", type=float, default=0.0, help="probability of colour jitter (default %(default)s)")
    add("--grayscale", type=float, default=0.0, help="probability of grey (default %(default)s)")
    add("--blur", type=float, default=0.0, help="probability of a Gaussian blur (default %(default)s)")


def _optimization(group: Any) -> None:
    add = group.add_argument
    add("--batch", type=int, help="samples per step and process (default %(default)s)")
    add("--accumulate", type=int, default=1, help="batches whose gradients are summed per step (default %(default)s)")
    add("--epochs", type=float, help="passes over the training videos (default %(default)s)")
    add("--clips-per-segment", type=int, default=1, help="samples per segment in an epoch (default %(default)s)")
    add("--steps", type=int, help="length of the run in steps, instead of --epochs")
    add("--minutes", type=float, help="length of the run in minutes of training, instead of --epochs")
    add("--optimizer", choices=("sgd", "adamw", "adam"), help="(default %(default)s); sgd has momentum 0.9")
    add("--lr", type=float, help="peak rate of learning")
    add("--lr-head", type=float, help="of the head, if it differs")
    add("--lr-stem", type=float, help="of the encoder's first layers, if it differs")
    add("--weight-decay", type=float, default=0.0, help="(default %(default)s)")
    add("--schedule", choices=get_args(Kind), default="constant", help="of the rate (default %(default)s)")
    add("--milestones", type=float, nargs="*", default=(), metavar="EPOCH", help="of step (default %(default)s)")
    add("--gamma", type=float, default=0.1, help="factor at milestones and plateaus (default %(default)s)")
    add("--patience", type=int, default=5, help="validations without progress, for plateau (default %(default)s)")
    add("--warmup", type=float, default=0.0, metavar="EPOCHS", help="of a linear rise (default %(default)s)")
    add("--clip", type=float, default=0.0, help="largest norm of the gradient, 0: any (default %(default)s)")
    add("--no-sync-bn", dest="sync_bn", action="store_false", help="batch statistics per process, not over all")


def _check(args: argparse.Namespace) -> None:
    least = {
        "batch": 1,
        "accumulate": 1,
        "log_every": 1,
        "checkpoint_every": 1,
        "keep": 1,
        "val_batches": 0,
        "window": 1,
        "windows": 1,
        "clips_per_segment": 1,
        "patience": 0,
        "clip": 0,
        "warmup": 0,
        "weight_decay": 0,
    }
    for name, low in least.items():
        if getattr(args, name) < low:
            raise ValueError(f"--{name.replace('_', '-')} must be ≥ {low}, got {getattr(args, name)}")
    for name in ("epochs", "steps", "minutes", "fps", "bank_gib", "val_every", "lr", "gamma"):
        value = getattr(args, name)
        if value is not None and value <= 0:
            raise ValueError(f"--{name.replace('_', '-')} must be > 0, got {value}")
    if args.steps and args.minutes:
        raise ValueError("--steps and --minutes cannot both give the length of the run")
    for name in ("subset", "val_annotations", "val_subset"):
        if getattr(args, name) and not args.annotations:
            raise ValueError(f"--{name.replace('_', '-')} needs --annotations")
