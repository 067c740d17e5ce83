"""From nothing to a trained encoder and pictures in some minutes, on any machine."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import gpuaug

from ..common.cli import Failed, command, prog
from . import preview, report, train
from . import toy as toy_command

SETTING = {"encoder": "tsm_resnet18", "size": 32, "fps": 12, "window-frames": 48}
# From scratch and in minutes, unlike the papers: small pictures, AdamW, no dropout (with 0.5 it learns nothing in time)
RECIPE = {
    **{"batch": 16, "optimizer": "adamw", "lr": 2e-3, "weight-decay": 0.01, "dropout": 0},
    **{"schedule": "cosine", "warmup": 3},
}


@command("demo")
def main(argv: Sequence[str] | None = None) -> int:
    """0 done, 1 failed, 2 wrong usage. A second run in the same folder takes up what is finished."""
    parser = argparse.ArgumentParser(prog=prog("demo"), description=__doc__)
    parser.add_argument("--out", default="demo", metavar="DIR", help="folder for everything (default %(default)s)")
    parser.add_argument("--minutes", type=float, default=3.0, help="of training (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the videos and the training (default %(default)s)")
    args = parser.parse_args(argv)
    begin, out, seed = time.perf_counter(), Path(args.out), str(args.seed)
    videos = out / "videos"

    step("1/4 toy videos: sprites whose class only their motion tells")
    run(toy_command.main, ["--out", str(videos), "--seed", seed, "--videos", "0"])
    step("2/4 probe: what is in the files")
    manifest = gpuaug.probe(videos / "actions")
    manifest.save(out / "manifest.csv")
    print(f"{len(manifest.usable)} usable videos, {len(manifest.failed)} unusable: {out / 'manifest.csv'}")
    step(f"3/4 train TSM-ResNet-18 to tell BSP's four boundaries apart, {args.minutes:g} minutes")
    run_dir = out / "bsp"
    data = ["--task", "bsp", "--videos", str(videos / "actions"), "--seed", seed]
    length = ["--minutes", str(args.minutes), "--resume"]
    run(train.main, [*data, *flags(SETTING), *flags(RECIPE), *length, "--out", str(run_dir)])
    step("4/4 pictures")
    run(preview.main, [*data, *flags(SETTING), "--out", str(out / "preview"), "--samples", "24"])
    run(report.main, [str(run_dir)])
    print(summary(json.loads((run_dir / "summary.json").read_text()), out, time.perf_counter() - begin))
    return 0


def step(text: str) -> None:
    print(f"\n{text}", flush=True)


def flags(values: dict[str, object]) -> list[str]:
    return [part for name, value in values.items() for part in (f"--{name}", str(value))]


def run(command_main: object, arguments: list[str]) -> None:
    """Run another command's main; its message is already printed when it fails."""
    status = command_main(arguments)  # type: ignore[operator]
    if status:
        raise Failed(f"stopped: the step above ended with status {status}")


def summary(run_summary: dict, out: Path, seconds: float) -> str:
    """What to look at, in a few lines."""
    boundary = run_summary["validation"]["boundary"]
    share = run_summary["share_of_time"]
    accuracy, low, high = (f"{boundary[name]:.3f}" for name in ("value", "low", "high"))
    lines = [
        "",
        f"held-out accuracy   {accuracy}, 95 % interval {low}–{high}; chance 0.25",
        f"samples per second  {run_summary['samples_per_second']:.0f}",
        f"reuse               {run_summary['echo']:.1f} samples shown per decoded window",
        f"limited by          {run_summary['limited_by']}: encoder {share['encoder']:.0%}, waiting {share['wait']:.0%}",
        f"look at             {out / 'preview' / 'preview.html'}, {out / 'bsp' / 'report.html'}",
        f"took                {seconds:.0f} s with gpuaug {gpuaug.__version__}",
    ]
    return "\n".join(lines)
