"""Ours, TransNet V2 and PySceneDetect on the same annotated videos in one run: measures, intervals, frames per second.

TRUTH is a folder with boundaries.csv (video, first, last, type; type cut, sudden_jump, or what is gradual), maybe
traps.csv (video, first, last), and the videos. What cannot be imported is named and left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pretrain.common.cli import command
from pretrain.common.environment import commit, versions
from pretrain.common.files import write_json
from pretrain.evaluation.shots import Judged, Range, intervals, judge, measures
from pretrain.shots.frames import Source

from . import detectors

KINDS = {"cut": "cut", "sudden_jump": "jump", "jump": "jump"}
PEERS: dict[str, Callable[[], detectors.Find]] = {
    "transnet": detectors.transnet,
    **{name.lower(): partial(detectors.scenedetect, name) for name in ("Content", "Adaptive", "Hash", "Histogram")},
}


@command("compare")
def main(argv: Sequence[str] | None = None) -> None:
    """0 done, 1 failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shots.compare", description=__doc__)
    add = parser.add_argument
    add("--truth", type=Path, required=True)
    add("--only", nargs="+", choices=("ours", *PEERS), help="without it all")
    add("--weights", type=Path, help="of ours; without it the package's")
    add("--out", type=Path, help="JSON of everything, ranges included")
    args = parser.parse_args(argv)
    truth, traps, files = read_truth(args.truth)
    found: dict[str, dict[str, list[Range]]] = {}
    seconds: dict[str, float] = {}
    absent: dict[str, str] = {}
    frames = 0
    minutes = 0.0
    for path in files.values():
        source = Source(path)
        frames += source.expected or 0
        minutes += float((source.expected or 0) / source.rate) / 60
    for name in args.only or ("ours", *PEERS):
        try:
            find = detectors.ours(args.weights) if name == "ours" else PEERS[name]()
        except (ImportError, ValueError) as error:
            absent[name] = str(error)
            continue
        begin = time.perf_counter()
        for video, path in files.items():
            for variant, ranges in find(path).items():
                found.setdefault(variant, {})[video] = ranges
                seconds[variant] = time.perf_counter() - begin
    results: dict[str, Any] = {}
    for variant, videos in found.items():
        judged = {video: judge(videos[video], truth.get(video, [])) for video in files}
        results[variant] = told(judged, minutes, traps) | {"frames_per_second": frames / seconds[variant]}
        line = {k: round(v, 3) for k, v in results[variant].items() if isinstance(v, float | int)}
        print(f"{variant}: {json.dumps(line)}")
    for name, why in absent.items():
        print(f"{name} left out: {why}")
    if args.out:
        about = {"commit": commit(), "versions": versions(), "absent": absent, "minutes": minutes, "frames": frames}
        write_json(args.out, {"about": about, "results": results, "ranges": found})


def told(judged: dict[str, Judged], minutes: float, traps: Any) -> dict[str, Any]:
    """The measures of all videos with intervals, and those of every video."""
    each = minutes / max(1, len(judged))
    return {
        **measures(judged, minutes, traps=traps),
        "intervals": intervals(judged, minutes),
        "found_of_kind": _kinds(judged),
        "videos": {video: measures({video: one}, each, traps=traps) for video, one in judged.items()},
    }


def _kinds(judged: dict[str, Judged]) -> dict[str, tuple[int, int]]:
    """By kind of the truth: how many were found, and how many there are."""
    hits: dict[str, list[bool]] = {}
    for each in judged.values():
        for boundary, hit in zip(each.truth, each.hit):
            hits.setdefault(boundary.kind, []).append(hit)
    return {kind: (sum(found), len(found)) for kind, found in sorted(hits.items())}


def read_truth(folder: Path) -> tuple[dict[str, list[Range]], dict[str, list[tuple[int, int]]], dict[str, Path]]:
    """Boundaries, traps and files by video."""
    truth: dict[str, list[Range]] = {}
    with open(folder / "boundaries.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            kind = KINDS.get(row["type"], row["type"])
            truth.setdefault(row["video"], []).append(Range(int(row["first"]), int(row["last"]), kind))
    traps: dict[str, list[tuple[int, int]]] = {}
    if (folder / "traps.csv").exists():
        with open(folder / "traps.csv", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                traps.setdefault(row["video"], []).append((int(row["first"]), int(row["last"])))
    files: dict[str, Path] = {}
    for video in truth:
        paths = [path for path in (folder / video, *sorted(folder.glob(f"{video}.*"))) if path.is_file()]
        if not paths:
            raise ValueError(f"--truth {folder} must have a file of every video, there is none of {video}")
        files[video] = paths[0]
    return truth, traps, files


if __name__ == "__main__":
    sys.exit(main(None))
