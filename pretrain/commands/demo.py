"""From nothing to a trained encoder and pictures in some minutes, on any machine.

It learns to tell a cut between two toy videos from none. On one thread, with batches that do not depend on timing, so
that a seed gives the same digits every time on one machine; elsewhere they lie near those that were measured.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

import gpuaug

from ..common.cli import Failed, Parser, command, prog
from ..models import checkpoint
from . import preview, report, train
from . import toy as toy_command

STEPS = 160
SETTING = {"encoder": "tsm_resnet18", "size": 32, "fps": 12, "window-frames": 48, "boundaries": ["dc", "ss"]}
# From scratch and in minutes, unlike the papers: small pictures, AdamW, no dropout (with 0.5 it learns nothing in time)
RECIPE = {
    **{"batch": 16, "optimizer": "adamw", "lr": 4e-4, "weight-decay": 0.01, "dropout": 0, "schedule": "cosine"},
    **{"bias-factor": 1, "decay": "all"},
    **{"warmup": 1, "steps": STEPS, "val-every": 4, "keep": 1, "precision": "fp32", "device": "cpu", "threads": 1},
}
MEASURED = Path(__file__).with_name("demo.json")


@command("demo")
def main(argv: Sequence[str] | None = None) -> int:
    """0 done, 1 failed or cut short, 2 wrong usage. A second run in the same folder takes up what is finished."""
    examples = ["--out demo", "--seed 3 --out demo3"]
    parser = Parser(prog=prog("demo"), description=__doc__, examples=examples)
    parser.add_argument("--out", default="demo", metavar="DIR", help="folder for everything (default %(default)s)")
    text = "the most that training may take; cut short, it makes no claim (default %(default)g)"
    parser.add_argument("--minutes", type=float, default=15.0, help=text)
    parser.add_argument("--seed", type=int, default=0, help="of the videos and the training (default %(default)s)")
    args = parser.parse_args(argv)
    if not 0 < args.minutes < 1e5:
        parser.error(f"--minutes must be in (0, 1e5), got {args.minutes:g}")
    begin, out, seed = time.perf_counter(), Path(args.out), str(args.seed)
    videos, run_dir, look = out / "videos", out / "bsp", out / "preview"
    data = ["--task", "bsp", "--videos", str(videos / "actions"), "--seed", seed]

    step("1/5 toy videos: sprites whose class only their motion tells")
    run(toy_command.main, ["--out", str(videos), "--seed", seed, "--videos", "0"])
    step("2/5 probe: what is in the files")
    manifest = gpuaug.probe(videos / "actions")
    manifest.save(out / "manifest.csv")
    print(f"{len(manifest.usable)} usable videos, {len(manifest.failed)} unusable: {out / 'manifest.csv'}")
    step("3/5 preview: what training will see")
    run(preview.main, [*data, *flags(SETTING), "--out", str(look), "--samples", "24"])
    step(f"4/5 train TSM-ResNet-18 to tell a cut from none: {STEPS} steps on one thread")
    if finished(run_dir, args.seed):
        print(f"{run_dir} has finished before")
    else:
        words = [*data, *flags(SETTING), *flags(RECIPE), "--deterministic", "--resume", "--out", str(run_dir)]
        with one_thread(), time_cap(60 * args.minutes) as cut:
            status = train.main(words)
        if cut.is_set() and status:
            print(f"\nno result: cut at {args.minutes:g} minutes; the same command goes on, --minutes gives it longer")
            return 1
        if status:
            raise Failed(f"stopped: the step above ended with status {status}")
    slim(run_dir)
    step("5/5 report")
    run(report.main, [str(run_dir)])
    print(summary(json.loads((run_dir / "summary.json").read_text()), out, time.perf_counter() - begin))
    return 0


def step(text: str) -> None:
    print(f"\n{text}", flush=True)


def flags(values: dict[str, Any]) -> list[str]:
    words: list[str] = []
    for name, value in values.items():
        words += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return words


def run(command_main: Callable[[Sequence[str]], int], arguments: list[str]) -> None:
    """Run another command's main; its message is already printed when it fails."""
    if status := command_main(arguments):
        raise Failed(f"stopped: the step above ended with status {status}")


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in one order, on any number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def time_cap(seconds: float) -> Iterator[threading.Event]:
    """After so many seconds training is told to stop, as by SIGTERM, and the event is set."""
    cut = threading.Event()

    def stop() -> None:
        cut.set()
        if signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, signal.SIG_IGN, None):  # the loop listens
            signal.raise_signal(signal.SIGTERM)

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield cut
    finally:
        timer.cancel()


def finished(run_dir: Path, seed: int) -> bool:
    """Has a run with this seed ended here, and was made slim?"""
    try:
        summary, config = (json.loads((run_dir / f"{name}.json").read_text()) for name in ("summary", "config"))
    except (OSError, ValueError):
        return False
    slim = not (run_dir / checkpoint.NAME).exists() and (run_dir / "best.pt").exists()
    return bool(slim and summary["status"] == "finished" and config["flags"]["seed"] == seed)


def slim(run_dir: Path) -> None:
    """Keep the best encoder alone: the optimizer's state is two thirds of a checkpoint."""
    if not (run_dir / checkpoint.NAME).exists():
        return
    best = checkpoint.read(run_dir)
    kept = {name: value for name, value in best.items() if name not in ("optimizer", "feed", "plans", "format")}
    checkpoint.save(run_dir, kept, keep=1, best=True)
    (run_dir / checkpoint.NAME).unlink()


def expected() -> tuple[float, float, int]:
    """The lowest and the highest held-out accuracy that were measured, and with how many seeds."""
    values = [seed["accuracy"] for seed in json.loads(MEASURED.read_text(encoding="utf-8"))["seeds"].values()]
    return min(values), max(values), len(values)


def summary(run_summary: dict[str, Any], out: Path, seconds: float) -> str:
    """What to look at, in a few lines."""
    boundary = run_summary["validation"]["boundary"]
    share = run_summary["share_of_time"]
    accuracy, low, high = (f"{boundary[name]:.3f}" for name in ("value", "low", "high"))
    least, most, count = expected()
    lines = [
        "",
        f"held-out accuracy   {accuracy}, 95 % interval {low}–{high}; chance 0.5",
        f"to be expected      {least:.3f} to {most:.3f}, measured with {count} seeds",
        f"samples per second  {run_summary['samples_per_second']:.0f}",
        f"reuse               {run_summary['echo']:.1f} samples shown per decoded window",
        f"limited by          {run_summary['limited_by']}: encoder {share['encoder']:.0%}, waiting {share['wait']:.0%}",
        f"look at             {out / 'preview' / 'preview.html'}, {out / 'bsp' / 'report.html'}",
        f"took                {seconds:.0f} s with gpuaug {gpuaug.__version__}",
        f"next                {prog('preview')} --task bsp --videos YOUR_VIDEOS --out look",
    ]
    return "\n".join(lines)
