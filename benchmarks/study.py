"""Do the features find boundaries? Every pre-training, then one localiser, on the same untrimmed videos.

`python -m benchmarks.study --out runs/study` makes toy videos, pre-trains each row of `ROWS` with each seed for
`--minutes`, extracts features of the untrimmed videos, trains the localiser on their training subset and evaluates the
held-out one. Every finished step is kept: a stopped study goes on where it was. With --actions, --untrimmed and
--annotations it runs on real videos.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pretrain import checkpoint, evaluate, extract, localize, toy, train
from pretrain.metrics import mean_interval

BSP = ["--task", "bsp", "--dropout", "0"]
# row: flags of `train`; what it takes from other rows; the paper's own number, average mAP of G-TAD on ActivityNet
ROWS: dict[str, tuple[list[str], list[str], float | None]] = {
    "random": ([], [], 25.58),
    "vanilla": ([*BSP, "--mode", "action"], [], 33.59),
    "BSP regression dc": ([*BSP, "--mode", "regression", "--boundaries", "dc"], [], 26.56),
    "BSP regression sc": ([*BSP, "--mode", "regression", "--boundaries", "sc"], [], 27.75),
    "BSP regression ds": ([*BSP, "--mode", "regression", "--boundaries", "ds"], [], 28.77),
    "BSP dc ss": ([*BSP, "--boundaries", "dc", "ss"], [], 29.17),
    "BSP sc ss": ([*BSP, "--boundaries", "sc", "ss"], [], 29.09),
    "BSP ds ss": ([*BSP, "--boundaries", "ds", "ss"], [], 29.75),
    "BSP all": (BSP, [], 29.97),
    "two-head": ([*BSP, "--mode", "two_head"], [], 33.54),
    "distillation": ([*BSP, "--mode", "distill"], ["vanilla", "BSP all"], 33.74),
    "two-stream": ([], ["vanilla", "BSP all"], 33.96),
    "PAL": (["--task", "pal"], [], None),
    "TSP without GVF": (["--task", "tsp"], ["vanilla"], None),
    "TSP": (["--task", "tsp"], ["vanilla"], None),
}
SHARED = "--encoder tsm_resnet18 --optimizer adamw --weight-decay 0.01 --schedule cosine --warmup 2 --quiet".split()  # noqa: SIM905
SIZES = {
    "bsp": "--size 32 --fps 12 --window 48 --batch 16 --lr 2e-3".split(),  # noqa: SIM905
    "pal": "--size 32 --fps 12 --window 29 --batch 8 --lr 1e-3 --queue 512".split(),  # noqa: SIM905
    "tsp": "--size 32 --bank-size 37 49 --fps 12 --frames 8 --window 8 --batch 32 --lr 1e-3 --windows 5".split(),  # noqa: SIM905
}


class Study:
    """One study: the videos, its folder and the length of its runs."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.out = args, Path(args.out)
        self.actions = args.actions or str(self.out / "videos" / "actions")
        self.untrimmed = args.untrimmed or str(self.out / "videos" / "untrimmed")
        self.annotations = args.annotations or str(self.out / "videos" / "untrimmed" / "annotations.json")

    def run(self, row: str, seed: int) -> dict[str, float]:
        """The numbers of one row and seed; from its file if it is finished."""
        folder = self.folder(row, seed)
        done = folder / "numbers.json"
        if not done.exists():
            print(f"\n{row}, seed {seed}", flush=True)
            self.localize(folder, self.features(row, seed, folder / "features"), seed)
            detection = json.loads((folder / "detection.json").read_text())
            proposals = json.loads((folder / "proposals.json").read_text())
            write(done, {"detection": detection, "proposals": proposals})
        found = json.loads(done.read_text())
        return {**numbers(found["detection"]), **numbers(found["proposals"])}

    def folder(self, row: str, seed: int) -> Path:
        return self.out / f"{row.replace(' ', '-')}-{seed}"

    def checkpoint(self, row: str, seed: int) -> str:
        """The run folder of a row, trained if need be."""
        flags, needs, _ = ROWS[row]
        run = self.folder(row, seed) / "run"
        summary = run / "summary.json"
        if summary.exists() and json.loads(summary.read_text())["status"] == "finished":
            return str(run)
        task = flags[1]
        videos = ["--videos", self.actions]
        more: list[str] = []
        if task == "tsp":
            videos = ["--videos", self.untrimmed, "--annotations", self.annotations, "--subset", "training"]
            more = ["--init", str(checkpoint.locate(self.checkpoint("vanilla", seed)))]
            if row == "TSP":
                gvf = self.folder(row, seed) / "gvf.h5"
                if not gvf.exists():
                    pooled = ["--pool", "max", "--checkpoint", self.checkpoint("vanilla", seed)]
                    call(extract.main, [*pooled, "--videos", self.untrimmed, "--out", str(gvf)])
                more += ["--gvf", str(gvf)]
        if row == "distillation":
            teachers = (self.checkpoint(name, seed) for name in needs)
            more = [
                part
                for flag, run_ in zip(("--teacher-action", "--teacher-boundary"), teachers)
                for part in (flag, run_)
            ]
        length = ["--minutes", str(self.args.minutes), "--seed", str(seed), "--resume", "--out", str(run)]
        call(train.main, [*flags, *videos, *SHARED, *SIZES[task], *more, *length])
        return str(run)

    def features(self, row: str, seed: int, out: Path) -> Path:
        """Features of all untrimmed videos."""
        flags, needs, _ = ROWS[row]
        if flags:
            model = ["--checkpoint", self.checkpoint(row, seed)]
        elif needs:
            model = [part for name in needs for part in ("--checkpoint", self.checkpoint(name, seed))]
        else:
            model = ["--encoder", "tsm_resnet18", "--init", "none", "--size", "32", "--seed", str(seed)]
        clips = ["--fps", "12", "--clip", "8", "--stride", "4"]
        call(extract.main, ["--videos", self.untrimmed, "--out", str(out), *model, *clips])
        return out

    def localize(self, folder: Path, features: Path, seed: int) -> None:
        """Train the localiser, evaluate its detections and proposals."""
        detections, proposals = folder / "detections-found.json", folder / "proposals-found.json"
        files = ["--features", str(features), "--annotations", self.annotations, "--out", str(detections)]
        call(localize.main, [*files, "--proposals", str(proposals), "--seed", str(seed)])
        truth = ["--truth", self.annotations, "--subset", "validation"]
        for kind, found in (("detection", detections), ("proposals", proposals)):
            call(evaluate.main, [kind, *truth, "--predictions", str(found), "--json", str(folder / f"{kind}.json")])


def write(file: Path, content: dict[str, Any]) -> None:
    """A JSON file that is complete whenever it exists."""
    part = file.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    part.replace(file)


def call(main: Callable[[Sequence[str] | None], int], arguments: list[str]) -> None:
    """Run a command; the study stops where it fails, and goes on there next time."""
    if main(arguments):
        raise SystemExit(f"study: stopped at {main.__module__} {' '.join(arguments)}")


def numbers(result: dict[str, Any]) -> dict[str, float]:
    """Every number of an evaluation's JSON by name, nested names joined by a space."""
    flat: dict[str, float] = {}
    for name, value in result.items():
        if isinstance(value, dict):
            flat.update({f"{name} {inner}": number for inner, number in numbers(value).items()})
        elif isinstance(value, int | float):
            flat[name] = float(value)
    return flat


def main(argv: Sequence[str] | None = None) -> int:
    """0 done, 2 wrong usage; another status where a step failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", description=__doc__)
    parser.add_argument("--out", default="runs/study", metavar="DIR", help="(default %(default)s)")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS), help="(default: all)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1], help="(default 0 1)")
    parser.add_argument("--minutes", type=float, default=1.2, help="of every pre-training (default %(default)s)")
    parser.add_argument("--actions", help="trimmed videos in class folders (default: toy)")
    parser.add_argument("--untrimmed", help="untrimmed videos (default: toy)")
    parser.add_argument("--annotations", help="of the untrimmed ones, ActivityNet JSON (default: toy)")
    args = parser.parse_args(argv)
    study = Study(args)
    if not (args.actions and args.untrimmed and args.annotations):
        call(toy.main, ["--out", str(study.out / "videos"), "--hard", "--videos", "24"])
    rows = {row: [study.run(row, seed) for seed in args.seeds] for row in args.rows}
    write(study.out / "study.json", {"minutes": args.minutes, "seeds": args.seeds, "rows": rows})
    print(table(rows))
    return 0


def table(rows: dict[str, list[dict[str, float]]]) -> str:
    """Markdown: mean and half the 95 % interval over seeds of each number, in %."""
    names = sorted({name for runs in rows.values() for run in runs for name in run})
    lines = ["| pre-training | " + " | ".join(names) + " | paper, average mAP |", "|---" * (len(names) + 2) + "|"]
    for row, runs in rows.items():
        cells = []
        for name in names:
            values = np.array([run[name] for run in runs if name in run])
            interval = mean_interval(values) if len(values) > 1 else None
            half = f" ± {50 * (interval.high - interval.low):.1f}" if interval else ""
            cells.append(f"{100 * values.mean():.1f}{half}" if len(values) else "")
        paper = ROWS[row][2]
        lines.append(f"| {row} | " + " | ".join(cells) + f" | {paper if paper else ''} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
