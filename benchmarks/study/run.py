"""Do the features find boundaries? Every pre-training, then one localiser, on the same untrimmed videos.

`python -m benchmarks.study.run --out runs/study` makes toy videos, pre-trains each row of setting.py with each seed
on as many clips, extracts features of the untrimmed videos, trains the localiser on their training subset and evaluates
it on the others. As in the papers, which classes a video has is given to all rows alike: the numbers are about when,
not what. Every finished step is kept: a stopped study goes on where it was. With --actions, --untrimmed and
--annotations it runs on real videos. Table and picture: table.py.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pretrain.commands import evaluate as evaluate_command
from pretrain.commands import extract as extract_command
from pretrain.commands import localize, train
from pretrain.common.environment import usable_cores
from pretrain.common.files import write_json
from pretrain.features.store import Features, Store
from pretrain.models import checkpoint
from pretrain.toy import dataset as toy

from .. import common
from . import table as study_table
from .setting import ACTIONS, ENCODER, FEATURES, LOCALISER, ROWS, SHARED, SMALL, TASKS, TOY_LENGTHS, UNTRIMMED, USUAL


class Study:
    """One study: the videos, its folder and the length of its runs."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.clips, self.lengths, self.out = args.clips, args.lengths, Path(args.out)
        self.actions = args.actions or str(self.out / "videos" / "actions")
        self.untrimmed = args.untrimmed or str(self.out / "videos" / "untrimmed")
        self.annotations = args.annotations or str(self.out / "videos" / "untrimmed" / "annotations.json")
        self.video_scores = args.video_scores or str(self.out / "video_scores.json")

    def run(self, row: str, seed: int) -> dict[str, Any]:
        """What `numbers.json` of a row and seed holds; its steps are done if it does not exist."""
        folder = self.folder(row, seed)
        done = folder / "numbers.json"
        if not done.exists():
            folder.mkdir(parents=True, exist_ok=True)
            begin = time.perf_counter()
            with open(folder / "log.txt", "a") as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                features = self.features(row, seed)
                found = self.evaluate(folder, features, seed)
            task = self.validation(row, seed) if ROWS[row].flags else {}
            write_json(done, {"numbers": found, "task": task, "seconds": round(time.perf_counter() - begin)})
        return json.loads(done.read_text())

    def folder(self, row: str, seed: int) -> Path:
        return self.out / f"{row.replace(' ', '-')}-{seed}"

    def checkpoint(self, row: str, seed: int) -> str:
        """The run folder of a row, trained if need be."""
        flags, needs = ROWS[row]
        run = self.folder(row, seed) / "run"
        summary = run / "summary.json"
        if summary.exists() and json.loads(summary.read_text())["status"] == "finished":
            return str(run)
        setting, clips = TASKS[flags[1]]
        videos = ["--videos", self.actions]
        more: list[str] = []
        if flags[1] == "tsp":
            videos = ["--videos", self.untrimmed, "--annotations", self.annotations]
            videos += ["--subset", "training", "--val-subset", "validation"]
            more = ["--init", str(checkpoint.locate(self.checkpoint("vanilla", seed)))]
            if row == "TSP":
                gvf = self.folder(row, seed) / "gvf"
                self.join(gvf, ["vanilla"], seed, lambda rows: rows[0].max(0), pool="max", axes="F")
                more += ["--gvf", str(gvf)]
        elif needs:
            for flag, name in zip(("--teacher-action", "--teacher-boundary"), needs):
                more += [flag, self.checkpoint(name, seed)]
        length = ["--steps", str(max(1, self.clips // clips)), "--seed", str(seed), "--resume", "--out", str(run)]
        call(train.main, [*flags, *videos, *ENCODER, *SHARED, *setting, *more, *length])
        return str(run)

    def validation(self, row: str, seed: int) -> dict[str, Any]:
        """What the network learned of its own task: {name: value, low, high … on held-out videos}."""
        summary = json.loads((self.folder(row, seed) / "run" / "summary.json").read_text())
        measured = {name: value for name, value in summary["validation"].items() if isinstance(value, dict)}
        keep = ("value", "low", "high", "samples", "constant", "chance")
        return {name: {key: value[key] for key in keep if key in value} for name, value in measured.items()}

    def features(self, row: str, seed: int) -> Path:
        """Features of all untrimmed videos; a row that only joins others has theirs side by side, as `extract` does."""
        flags, needs = ROWS[row]
        out = self.folder(row, seed) / "features"
        if needs and not flags:
            return self.join(out, needs, seed, lambda rows: np.concatenate(rows, 1))
        model = [*ENCODER, "--init", "none", "--seed", str(seed)]
        if flags:
            model = ["--checkpoint", self.checkpoint(row, seed)]
        call(extract_command.main, ["--videos", self.untrimmed, "--out", str(out), *model, *FEATURES])
        return out

    def join(
        self, out: Path, rows: Sequence[str], seed: int, how: Callable[[list[NDArray]], NDArray], **settings: Any
    ) -> Path:
        """Features that `extract` would make of other rows' networks with several --checkpoint or with --pool max."""
        parts, store = [Features(self.features(row, seed)) for row in rows], Store(out)
        for video in parts[0]:
            store.write(video, how([part[video] for part in parts]))
        models = [model for part in parts for model in part.settings["models"]]
        trained_on = sorted({video for part in parts for video in part.settings.get("trained_on", ())})
        wide = sum(part.settings["features"] for part in parts)
        about = {"features": wide, "models": models, "trained_on": trained_on, **settings}
        write_json(store.settings_file, parts[0].settings | about)
        return out

    def evaluate(self, folder: Path, features: Path, seed: int) -> dict[str, float]:
        """Train the localiser, evaluate detections, proposals and the actionness of 0.2 s segments; by name, in %."""
        found = {kind: folder / f"{kind}-found.json" for kind in ("detection", "proposals", "steps")}
        files = ["--features", str(features), "--annotations", self.annotations, "--seed", str(seed)]
        more = ["--out", str(found["detection"]), "--proposals", str(found["proposals"])]
        call(localize.main, [*files, *more, "--video-scores", self.video_scores, *LOCALISER])
        call(localize.main, [*files, "--out", str(found["steps"]), "--task", "steps"])
        results = {}
        for kind, predictions in found.items():
            json_file = folder / f"{kind}.json"
            lengths = ["--lengths", self.lengths] if kind == "detection" else []
            truth = ["--truth", self.annotations, "--subset", "validation", *lengths]
            call(evaluate_command.main, [kind, *truth, "--predictions", str(predictions), "--json", str(json_file)])
            results[kind] = json.loads(json_file.read_text())
        return study_table.numbers(results["detection"], results["proposals"], results["steps"])


def true_video_scores(annotations: str) -> dict[str, Any]:
    """Each video's classes with their shares of its actions, in the form of ActivityNet's classification results."""
    results = {}
    for video, entry in json.loads(Path(annotations).read_text(encoding="utf-8"))["database"].items():
        labels = [action["label"] for action in entry["annotations"]]
        results[video] = [{"label": name, "score": labels.count(name) / len(labels)} for name in sorted(set(labels))]
    return {"version": "shares of the annotated actions", "results": results, "external_data": {}}


def call(main: Callable[[Sequence[str] | None], int], arguments: list[str]) -> None:
    """Run a command; the row stops where it fails, and goes on there next time."""
    if main(arguments):
        raise RuntimeError(f"stopped at {main.__module__} {' '.join(arguments)}")


def order(rows: Sequence[str], seeds: Sequence[int]) -> list[tuple[str, int]]:
    """What there is to do, a seed after the other: the rows, and before them those whose networks they take.

    Rows without training are short, and come last, when no long one is left for one of the processes.

    >>> order(["random", "two-stream"], [0])
    [('vanilla', 0), ('BSP', 0), ('random', 0), ('two-stream', 0)]
    """
    wanted = {*rows, *(name for row in rows for name in ROWS[row].needs)}
    jobs = [(row, seed) for seed in seeds for row in ROWS if row in wanted]
    return sorted(jobs, key=lambda job: not ROWS[job[0]].flags)


def run_all(study: Study, todo: list[tuple[str, int]], jobs: int) -> None:
    """Run every row and seed, `jobs` at a time, each when the rows that it takes networks from are done."""
    begin = time.perf_counter()
    finished: set[tuple[str, int]] = set()
    running: dict[Future[dict[str, Any]], tuple[str, int]] = {}
    os.environ["OMP_NUM_THREADS"] = "1"  # small networks: two processes of one thread beat one of two
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _begin) as pool:
        while todo or running:
            ready = [(row, seed) for row, seed in todo if all((need, seed) in finished for need in ROWS[row].needs)]
            for job in ready[: jobs - len(running)]:
                todo.remove(job)
                running[pool.submit(study.run, *job)] = job
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                row, seed = job = running.pop(future)
                try:
                    found = future.result()["numbers"]
                except Exception as error:
                    log = study.folder(row, seed) / "log.txt"
                    raise SystemExit(f"study: {row}, seed {seed}: {error} (see {log})") from None
                finished.add(job)
                shown = ", ".join(f"{name} {found[name]:.1f}" for name in study_table.SHOWN)
                print(f"{time.perf_counter() - begin:5.0f} s  {row}, seed {seed}: {shown}", flush=True)


def _begin() -> None:
    """A worker has one thread, and ends with its parent: a killed study must not go on writing."""
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main(argv: Sequence[str] | None = None) -> int:
    """0 done, 1 a step failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study.run", description=__doc__)
    add = parser.add_argument
    add("--out", default="runs/study", metavar="DIR", help="(default %(default)s)")
    add("--rows", nargs="+", choices=list(ROWS), default=USUAL, help="(default: all but BSP regression dc)")
    add("--seeds", nargs="+", type=int, default=[0, 1, 2], help="(default 0 1 2)")
    add("--clips", type=int, default=5_120, help="that each pre-training learns from (default %(default)s)")
    add("--jobs", type=int, default=usable_cores(), help="at once, of one thread each (default: one per core)")
    add("--actions", help="trimmed videos in class folders (default: toy)")
    add("--untrimmed", help="untrimmed videos (default: toy)")
    add("--annotations", help="of the untrimmed ones, ActivityNet JSON (default: toy)")
    add("--video-scores", help="classes of whole videos, as localize takes them (default: those annotated)")
    add("--lengths", help=f"edges of the buckets of action lengths, seconds (default: {TOY_LENGTHS} for toy videos)")
    add("--save", action="store_true", help="write benchmarks/results, docs/study.md and docs/study.png")
    args = parser.parse_args(argv)
    real = args.actions and args.untrimmed and args.annotations
    args.lengths = args.lengths or ("0,30,60,120,180,inf" if real else TOY_LENGTHS)
    study = Study(args)
    if not real:
        toy.make_actions(study.actions, **SMALL, **ACTIONS)
        toy.make_untrimmed(study.untrimmed, **SMALL, **UNTRIMMED)
    if not args.video_scores:
        write_json(Path(study.video_scores), true_video_scores(study.annotations))
    run_all(study, order(args.rows, args.seeds), args.jobs)
    found = {row: [study.run(row, seed) for seed in args.seeds] for row in args.rows}
    seconds = sum(run["seconds"] for runs in found.values() for run in runs)
    record = {"clips": args.clips, "seeds": args.seeds, "minutes": seconds / 60 / args.jobs, "rows": found}
    write_json(study.out / "study.json", record)
    study_table.draw(found, study.out / "study.png")
    print("", study_table.table(found), "", study_table.tasks(found), "", study_table.claims(found), sep="\n")
    if args.save:
        file = common.save("study", study_table.results(found), **record)
        study_table.publish(json.loads(file.read_text(encoding="utf-8")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
