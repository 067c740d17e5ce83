"""What does a start cost with as many videos as Kinetics or ActivityNet has? `python -m benchmarks.scale [--videos N]`

Each case is one step of `train` in a process of its own: small, with the distinct files alone, and at size, where these
are repeated: Kinetics, 240,000 hard links to videos of 3 s in 25 class folders; ActivityNet, 10,000 copies of videos of
2 minutes with small pictures and three actions each. The large starts are warm: `probe` has been there. With --probe
rows (the default) its cache has the rows of the distinct files once more under the name of every link, and the bytes of
a first start are those of the distinct files times the repeats; with --probe all, probe reads every file. Seconds are
from the start of the process to the end of the first step, memory is the highest of the process, at size above that of
the small start (imports, encoder and a batch), bytes are those that it asks the system for, above the small start's.
The CPU's share is the calling thread's part of the process's CPU time for a batch of the loader alone.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import gpuaug
from pretrain.commands.train import main as train
from pretrain.common.environment import usable_cores
from pretrain.data.dataset import read_videos

from . import common, videos

MIB = 1 << 20
STARTS = 3
SMALL = ["--encoder", "tsm_resnet18", "--size", "64", "--batch", "16", "--steps", "1", "--val-batches", "0", "--quiet"]


class Case(NamedTuple):
    """A data set: `distinct` files of so many frames, repeated up to `total`, in folders of so many classes."""

    name: str
    flags: list[str]
    total: int
    distinct: int
    frames: int
    size: tuple[int, int]
    classes: int
    annotated: bool


CASES = (
    Case("Kinetics", ["--task", "bsp", "--window-frames", "32"], 240_000, 100, 90, (256, 340), 25, False),
    Case("ActivityNet", ["--task", "tsp"], 10_000, 8, 3600, (48, 64), 200, True),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Make the files, measure, print and save."""
    suite = common.Suite("scale", __doc__, {"cpu": STARTS, "cuda": STARTS}, smoke=True)
    suite.option("--videos", type=int, metavar="N", help="at most, of each case (default: as many as it has)")
    suite.option("--probe", choices=("rows", "all"), default="rows", help="default: rows, see above")
    args = suite.parse(argv)
    for case in CASES:
        if suite.smoke:
            case = case._replace(flags=[*case.flags, "--batch", "4"], total=40, distinct=8, frames=300)
        one_case(suite, case._replace(total=min(case.total, args.videos or case.total)), args)
    return suite.finish()


def one_case(suite: common.Suite, case: Case, args: Any) -> None:
    """Rows of a data set."""
    with videos.folder(f"{case.distinct} of {case.frames} frames, {case.size[0]} by {case.size[1]}") as made:
        height, width = case.size
        few = [
            Path(videos.write(made / f"{i}.mp4", 250, seed=i, height=height, width=width, frames=case.frames))
            for i in range(case.distinct)
        ]
        with tempfile.TemporaryDirectory(dir=made, prefix="links-") as folder:  # links do not reach another disk
            root = Path(folder)
            small, large = root / "few", root / "many"
            links = {place: list(linked(case, few, place, n)) for place, n in ((small, len(few)), (large, case.total))}
            for place, paths in links.items():
                annotate(case, paths, place)
            before, begin = bytes_read(), time.perf_counter()
            gpuaug.probe(few, cache=root / "cache", progress=False)
            first = (bytes_read() - before) * case.total / len(few)
            seconds = (time.perf_counter() - begin) * case.total / len(few)
            if args.probe == "all":
                before, begin = bytes_read(), time.perf_counter()
                gpuaug.probe(large, cache=root / "cache", progress=False)
                first, seconds = bytes_read() - before, time.perf_counter() - begin
            for paths in links.values():
                repeat_rows(root / "cache", few, paths)
            starts = {place: [start(case, place, root) for _ in range(suite.rounds)] for place in links}
            values = {place: np.array(rows) for place, rows in starts.items()}
            base, title = np.median(values[small], 0), f"{case.name}, {case.total:,} videos"
            suite.row(f"{title}: first step after a warm probe", "s", values[large][:, 0])
            suite.row(f"{title}: the same with {len(few)} videos", "s", values[small][:, 0])
            suite.row(f"{title}: memory above that", "MiB", values[large][:, 1] - base[1])
            suite.row(f"{title}: read by a first start", "MiB", np.array([first / MIB]), probe=args.probe)
            suite.row(f"{title}: probing, on {usable_cores()} cores", "s", np.array([seconds]), probe=args.probe)
            suite.row(f"{title}: read by a second start", "MiB", values[large][:, 2] - base[2])
            suite.row(f"{title}: of the first start's", "%", 100 * (values[large][:, 2] - base[2]) * MIB / first)
            share(suite, title, large, root / "cache")


def linked(case: Case, few: list[Path], place: Path, count: int) -> Iterator[Path]:
    """Names of the files in class folders, or all in one where they are annotated."""
    for i in range(count):
        path = (
            place
            / (f"class{i % len(few) % min(case.classes, len(few) // 4):03d}" * (not case.annotated))
            / f"v_{i:011d}.mp4"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copy2 if case.annotated else os.link)(few[i % len(few)], path)  # annotated under one name only
        yield path


def annotate(case: Case, paths: list[Path], place: Path) -> None:
    """Three actions in each video, in ActivityNet's form."""
    if not case.annotated:
        return
    seconds, database = case.frames / videos.FPS, {}
    for i, path in enumerate(paths):
        spans = [[seconds * (k + 0.1) / 3, seconds * (k + 0.8) / 3] for k in range(3)]
        actions = [{"segment": span, "label": f"action {(i + k) % case.classes}"} for k, span in enumerate(spans)]
        database[path.stem[2:]] = {"subset": "training", "duration": seconds, "annotations": actions}
    place.with_suffix(".json").write_text(json.dumps({"database": database}))


def repeat_rows(cache: Path, few: list[Path], paths: list[Path]) -> None:
    """What the cache has of the files, once more for their links."""
    with closing(sqlite3.connect(cache)) as rows, rows:
        for table in ("files", "tables"):
            of = {path: rest for path, *rest in rows.execute(f"SELECT * FROM {table}")}
            known = (of[str(path)] for path in itertools.cycle(few))
            rows.executemany(
                f"INSERT OR IGNORE INTO {table} VALUES (?, ?, ?, ?, ?)",
                ((str(path), *rest) for path, rest in zip(paths, known)),
            )


def start(case: Case, place: Path, root: Path) -> tuple[float, float, float]:
    """(seconds, MiB at most, MiB read) of one step of `train` in another process."""
    flags = [*SMALL, *case.flags, "--videos", str(place), "--cache", str(root / "cache"), "--device", "cpu"]
    flags += ["--annotations", str(place.with_suffix(".json"))] * case.annotated
    with tempfile.TemporaryDirectory(dir=root, prefix="run-") as out:
        words = [sys.executable, "-m", "benchmarks.scale", "--step", *flags, "--out", str(Path(out) / "run")]
        begin = time.time()
        done = subprocess.run(words, cwd=common.ROOT.parent, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
    ended, memory, read = json.loads(done.stdout.splitlines()[-1])
    return ended - begin, memory / MIB, read / MIB


def share(suite: common.Suite, title: str, place: Path, cache: Path) -> None:
    """Rows of the loader alone: CPU time of a batch, and the calling thread's part of it."""
    segments = read_videos(place, cache=cache, progress=False).segments

    def plan(rng: np.random.Generator, bank: gpuaug.ClipBank, n: int) -> gpuaug.Plan:
        return gpuaug.Plan.take(bank.draw(rng, n)[:n], np.arange(16))

    with gpuaug.Loader(segments, plan, batch=16, frames=16, fps=15, size=64, cache=cache) as loader:
        batches = iter(loader)
        next(batches)
        all_of_it, mine = [], []
        for _ in range(10 * suite.rounds):
            whole, own = time.process_time(), time.thread_time()
            if next(batches, None) is None:
                break
            all_of_it.append(time.process_time() - whole)
            mine.append(time.thread_time() - own)
    suite.row(f"{title}: CPU time of a batch of 16", "ms", 1e3 * np.array(all_of_it))
    suite.row(f"{title}: the calling thread's part", "%", np.array([100 * sum(mine) / sum(all_of_it)]))


def bytes_read() -> int:
    """Bytes that this process has asked the system for."""
    return int(Path("/proc/self/io").read_text().split()[1])


def step(flags: list[str]) -> int:
    """One step, in this process; prints [time, most memory, bytes read]."""
    status = train(flags)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps([time.time(), peak, bytes_read()]))
    return status


if __name__ == "__main__":
    raise SystemExit(step(sys.argv[2:]) if sys.argv[1:2] == ["--step"] else main())
