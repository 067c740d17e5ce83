"""What the study compares: its pre-trainings with their flags, the encoder, the localiser, the toy videos."""

from __future__ import annotations

from fractions import Fraction
from shlex import split
from typing import Any, NamedTuple

from pretrain.toy import dataset as toy


class Row(NamedTuple):
    """One pre-training: its flags of `train` (none: nothing is trained), and the rows whose networks it takes."""

    flags: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def _bsp(*flags: str, needs: tuple[str, ...] = ()) -> Row:
    return Row(("--task", "bsp", "--dropout", "0", *flags), needs)


ROWS = {
    "random": Row(),
    "vanilla": _bsp("--mode", "action"),
    "BSP regression": _bsp("--mode", "regression"),
    "BSP regression dc": _bsp("--mode", "regression", "--boundaries", "dc"),
    "BSP dc ss": _bsp("--boundaries", "dc", "ss"),
    "BSP sc ss": _bsp("--boundaries", "sc", "ss"),
    "BSP ds ss": _bsp("--boundaries", "ds", "ss"),
    "BSP": _bsp(),
    "two-head": _bsp("--mode", "two_head"),
    "distillation": _bsp("--mode", "distill", needs=("vanilla", "BSP")),
    "two-stream": Row(needs=("vanilla", "BSP")),
    "PAL": Row(("--task", "pal")),
    "TSP without GVF": Row(("--task", "tsp"), ("vanilla",)),
    "TSP": Row(("--task", "tsp"), ("vanilla",)),
}
USUAL = [row for row in ROWS if row != "BSP regression dc"]  # with it the study would take about an hour
ENCODER = split("--encoder tsm_resnet18 --size 32")
SHARED = split("--optimizer adamw --weight-decay 0.01 --schedule cosine --threads 1 --val-every 1000 --quiet")
# per task: flags, and clips in a step, of which gradients are taken. A snippet of 8 frames takes 1.3 s, as in FEATURES.
# BSP's head starts as torch's layers do and learns at the encoder's rate: from N(0, 0.001), as published for SGD and an
# encoder that knows pictures, an untrained one learns nothing in 320 steps (docs/study.md).
TASKS = {
    "bsp": (
        split("--fps 12 --window-frames 54 --sampling dense --stride 2 --batch 16 --lr 2e-3 --warmup 2")
        + split("--lr-head 2e-3 --head-std 0.025"),
        16,
    ),
    "pal": (
        split(
            "--fps 12 --window-frames 29 --batch 8 --lr 2e-4 --queue 64 --momentum 0.99 --batch-statistics --warmup 1"
        )
        + split("--crop multiscale --grayscale 0 --blur 0"),
        64,
    ),
    "tsp": (
        split("--fps 6 --window-frames 8 --windows-per-segment 5 --frames 8 --bank-size 37 49 --batch 32")
        + split("--lr 5e-4 --warmup 0.1"),
        32,
    ),
}
FEATURES = split("--fps 6 --frames 8 --stride 4 --threads 1")
LOCALISER = split("--length 64 --labels 2")
# Texture shortcuts that the held-out videos lack, similar backgrounds, changes of speed inside actions, cuts elsewhere
# than at boundaries, repeated actions, objects that tell most but not all actions by their looks: random features must
# not solve it, and looks alone must not either.
STYLE = toy.Style(shortcut=0.1, similar=0.5, speed_change=0.2, props=0.8)
SMALL: dict[str, Any] = {
    "sizes": ((64, 84), (72, 96), (80, 106)),
    "rates": (15, Fraction(24000, 1001), 20),
    "style": STYLE,
}
# Pre-training sees other classes than the localiser, as with Kinetics and ActivityNet (TSP excepted, as in its paper).
ACTIONS: dict[str, Any] = {
    "classes": ("up", "down", "circle", "zoom", "spin", "shake"),
    "clips_per_class": 66,
    "seconds": (4.5, 5.5),
}
UNTRIMMED: dict[str, Any] = {
    "classes": ("across", "bounce", "zigzag", "swing", "square"),
    "videos": 120,
    "validation": 1 / 3,
    "seconds": (25.0, 40.0),
    "action_seconds": (3.0, 7.0),
    "gap_seconds": (2.0, 6.0),
    "idle": 0.7,
    "boundary_cuts": 0.5,
    "false_cuts": 0.2,
}
TOY_LENGTHS = "0,4,5.5,inf"  # seconds; DETAD's buckets begin at 30 s, where toy actions have long ended
