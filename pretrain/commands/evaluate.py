"""Files of truth and predictions in, a table and JSON of metrics out."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..common.cli import command, prog
from ..common.files import jsonable, write_json
from ..evaluation.detection import ACTIVITYNET, LENGTHS_SECONDS, THUMOS
from ..evaluation.evaluate import TASKS, Row


@command("evaluate")
def main(argv: Sequence[str] | None = None) -> int:
    """0 done, 1 failed (one line on standard error), 2 wrong usage."""
    args = _parser().parse_args(argv)
    with tqdm(total=3, desc=args.task, leave=False, disable=None) as progress:
        result, rows = TASKS[args.task](args, progress)
    result = {"task": args.task, "truth": str(args.truth), "predictions": str(args.predictions), **result}
    if args.json == "-":
        print(json.dumps(jsonable(result), indent=1))
    else:
        _print_table(rows, result["notes"])
    if args.json not in (None, "-"):
        write_json(args.json, result)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog("evaluate"), description=__doc__)
    tasks = parser.add_subparsers(dest="task", required=True, metavar="detection|proposals|grounding|steps")
    parts = {
        "detection": "mean average precision of labelled segments (ActivityNet's evaluator), also by action length",
        "proposals": "AR@AN and its area, of segments without class (ActivityNet's evaluator)",
        "grounding": "R@1 and mean tIoU of sentence grounding (Charades-STA files)",
        "steps": "average precision of actionness scores of 0.2 s segments (CrossTask)",
    }
    for task, text in parts.items():
        p = tasks.add_parser(task, help=text, description=text)
        files, rules = p.add_argument_group("files (plain or gzip)"), p.add_argument_group("rules")

        def rule(name: str, default: Any, text: str, group: Any = rules, **more: Any) -> None:
            group.add_argument(name, default=default, help=f"{text} (default {default})", **more)

        files.add_argument("--truth", required=True, type=Path, help=_TRUTH[task])
        files.add_argument("--predictions", required=True, type=Path, help=_PREDICTIONS[task])
        files.add_argument("--json", metavar="FILE", help="write the numbers there; - prints them instead of the table")
        if task != "grounding":
            rule("--subset", "validation", "subset of an ActivityNet JSON, 'all' for every one")
        if task in ("detection", "proposals"):
            files.add_argument(
                "--exclude", type=Path, help="JSON list of videos to leave out, as ActivityNet's blocked"
            )
            files.add_argument("--classes", type=Path, help="THUMOS14's class list, for predictions in its text form")
            rule("--thresholds", "activitynet", "tIoU: activitynet, thumos or a,b,c", type=_thresholds)
            rule("--ties", "later", "which row is first of equal scores", choices=("later", "earlier"))
        if task == "detection":
            text = "segments of 0 s: they never hit, or any such one hits any such truth, as in the official tool"
            rule("--zero-length", "never", text, choices=("never", "official"))
            rule("--unknown", "ignore", "predicted classes that have no ground truth", choices=("ignore", "error"))
            text = "mAP by action length: DETAD's normalised one, ordinary, or none"
            rule("--length-convention", "detad", text, choices=("detad", "plain", "none"))
            edges = ",".join(f"{edge:g}" for edge in LENGTHS_SECONDS)
            rule("--lengths", edges, "edges of the length buckets in seconds", type=_edges)
        elif task == "proposals":
            rule("--max-proposals", 100, "greatest mean number of proposals per video, 0 for all", type=float)
        elif task == "grounding":
            files.add_argument(
                "--durations", type=Path, help="Charades' CSV with the columns id and length, for 2d-tan"
            )
            text = "hit at tIoU >= threshold, or at > with the truth cut to the video"
            rule("--convention", "lgi", text, choices=("lgi", "2d-tan"))
        else:
            text = "a segment is a step if its centre is inside one, or if they overlap at all (ours)"
            rule("--rule", "centre", text, choices=("centre", "any"))
    return parser


_SEGMENTS = "ActivityNet JSON, or the folder of THUMOS14's CLASS_test.txt files"
_TRUTH = {
    "detection": _SEGMENTS,
    "proposals": _SEGMENTS,
    "grounding": "Charades-STA lines VIDEO START END##SENTENCE",
    "steps": "CrossTask's annotation folder, or ActivityNet JSON (every action counts as a step)",
}
_PREDICTIONS = {
    "detection": "ActivityNet results JSON, or THUMOS14's text (then --classes)",
    "proposals": "ActivityNet results JSON (labels not needed), or THUMOS14's text (then --classes)",
    "grounding": "as the truth; with a score before ##, several lines per query are allowed",
    "steps": 'JSON {"segment_seconds": 0.2, "results": {video: [score, ...]}}',
}


def _thresholds(text: str) -> np.ndarray:
    if text in ("activitynet", "thumos"):
        return ACTIVITYNET if text == "activitynet" else THUMOS
    values = np.array([float(part) for part in text.split(",")])
    if not ((values > 0) & (values <= 1)).all():
        raise argparse.ArgumentTypeError(f"must be in (0, 1], got {text}")
    return values


def _edges(text: str) -> list[float]:
    values = [float(part) for part in text.split(",")]
    if len(values) < 2 or values != sorted(set(values)):
        raise argparse.ArgumentTypeError(f"must be two or more increasing seconds, got {text}")
    return values


def _print_table(rows: list[Row], notes: list[str]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value:>9}")
    for note in notes:
        print(f"note: {note}")
