"""`python -m pretrain evaluate detection|proposals|grounding|steps`: files in, a table and JSON out."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from . import charades_crosstask, metrics, results
from .cli import command
from .metrics import ACTIVITYNET, GROUNDING, LENGTHS_SECONDS, THUMOS, Instances
from .overlap import Named, of_predictions, refuse
from .results import BadFile, video_id

Row = tuple[str, str]


@command("evaluate")
def main(argv: Sequence[str] | None = None) -> int:
    """0 done, 1 failed (one line on standard error), 2 wrong usage."""
    args = _parser().parse_args(argv)
    tasks = {"detection": _detection, "proposals": _proposals, "grounding": _grounding, "steps": _steps}
    with tqdm(total=3, desc=args.task, leave=False, disable=None) as progress:
        result, rows = tasks[args.task](args, progress)
    result = {"task": args.task, "truth": str(args.truth), "predictions": str(args.predictions), **result}
    if args.json == "-":
        print(json.dumps(_plain(result), indent=1))
    else:
        _print_table(rows, result["notes"])
    if args.json not in (None, "-"):
        with results.new_file(args.json) as file:
            json.dump(_plain(result), file, indent=1)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pretrain evaluate", description=__doc__)
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


def _detection(args: argparse.Namespace, progress: tqdm) -> tuple[dict[str, Any], list[Row]]:
    truth, predictions, notes = _read_segments(args, progress, labelled=True)
    options = {"thresholds": args.thresholds, "ties": args.ties}
    found = metrics.detection_map(truth, predictions, zero_length=args.zero_length, unknown=args.unknown, **options)
    notes += [f"class {name!r}: {count} predictions ignored, no ground truth" for name, count in found.ignored.items()]
    unpredicted = len(set(found.classes) - set(predictions.label.tolist()))
    if unpredicted:
        notes.append(f"{unpredicted} classes without predictions count as 0")
    result: dict[str, Any] = {
        "thresholds": args.thresholds,
        "map": found.map_I,
        "average_map": found.average_map,
        "ap": dict(zip(found.classes, found.ap_CI)),
    }
    rows = [(f"mAP@{t:.2f}", _percent(value)) for t, value in zip(args.thresholds, found.map_I)]
    rows.append(("average mAP", _percent(found.average_map)))
    if args.length_convention != "none":
        by_length = metrics.map_by_length(
            truth, predictions, edges_seconds=args.lengths, convention=args.length_convention, **options
        )
        result["by_length"] = {"convention": args.length_convention, "seconds": by_length}
        name = "average mAP_N" if args.length_convention == "detad" else "average mAP"
        rows += [(f"{name}, {bucket} s", _percent(value.mean())) for bucket, value in by_length.items()]
    progress.update()
    return {**result, "notes": notes}, rows


def _proposals(args: argparse.Namespace, progress: tqdm) -> tuple[dict[str, Any], list[Row]]:
    truth, proposals, notes = _read_segments(args, progress, labelled=False)
    curve = metrics.average_recall(
        truth, proposals, max_proposals=args.max_proposals or None, thresholds=args.thresholds, ties=args.ties
    )
    points = [an for an in (1, 5, 10, 50, 100) if an <= curve.an_A[-1] + 1e-9]
    rows = [(f"AR@{an}", _percent(curve.at(an))) for an in points]
    rows.append(("AUC", _percent(curve.auc)))
    progress.update()
    result = {
        "thresholds": args.thresholds,
        "auc": curve.auc,
        "an": curve.an_A,
        "ar": curve.ar_A,
        "recall": dict(zip((f"{t:.4g}" for t in args.thresholds), curve.recall_IA)),
    }
    return {**result, "notes": notes}, rows


def _grounding(args: argparse.Namespace, progress: tqdm) -> tuple[dict[str, Any], list[Row]]:
    truth = charades_crosstask.read_charades(args.truth)
    progress.update()
    predicted = charades_crosstask.answers(args.predictions, truth, charades_crosstask.read_charades(args.predictions))
    progress.update()
    duration = None
    if args.convention == "2d-tan":
        if args.durations is None:
            raise ValueError("--durations must be given for --convention 2d-tan: it cuts the ground truth to the video")
        known = charades_crosstask.read_charades_durations(args.durations)
        missing = next((query.video for query in truth if query.video not in known), None)
        if missing is not None:
            raise BadFile(args.durations, repr(missing), "must have a row")
        duration = [known[query.video] for query in truth]
    found = metrics.grounding(
        [(query.start, query.end) for query in truth],
        predicted,
        convention=args.convention,
        duration_seconds=duration,
    )
    progress.update()
    rows = [(f"R@1, tIoU {'>' if duration else '>='} {t}", _percent(found.recall[t])) for t in GROUNDING]
    result = {"convention": args.convention, "queries": len(truth), "recall": found.recall, "mean_iou": found.mean_iou}
    return {**result, "notes": []}, [*rows, ("mIoU", _percent(found.mean_iou))]


def _steps(args: argparse.Namespace, progress: tqdm) -> tuple[dict[str, Any], list[Row]]:
    steps: dict[str, list[tuple[float, float]]]
    durations: dict[str, float] = {}
    if args.truth.is_dir():
        steps = {
            video: [(s.start, s.end) for s in found]
            for video, found in charades_crosstask.read_crosstask(args.truth).items()
        }
    else:
        truth, durations = results.read_activitynet_truth(args.truth, subset=_subset(args))
        steps = {video: [] for video in durations}
        for video, segment in zip(truth.video.tolist(), truth.segment.tolist()):
            steps[video].append(segment)
    progress.update()
    _refuse_trained_on(args, steps)
    seconds, scores = charades_crosstask.read_frame_scores(args.predictions)
    scores = {video_id(video): values for video, values in scores.items()}
    progress.update()
    labels = []
    for video, segments in steps.items():
        if video not in scores:
            raise BadFile(args.predictions, "results", f"must have the video {video!r}")
        count, expected = len(scores[video]), durations.get(video, math.nan) / seconds
        if abs(count - expected) > max(1.0, 0.01 * expected):  # never true for an unknown duration
            raise BadFile(args.predictions, repr(video), f"must have about {expected:.0f} scores, got {count}")
        labels.append(metrics.frame_labels(segments, count, segment_seconds=seconds, rule=args.rule))
    pooled = np.concatenate(labels)
    found = metrics.average_precision(pooled, np.concatenate([scores[video] for video in steps]))
    progress.update()
    extra = len(set(scores) - set(steps))
    notes = [f"{extra} predicted videos are not in the truth and were left out"] if extra else []
    result = {"segment_seconds": seconds, "rule": args.rule, "videos": len(steps), "segments": len(pooled)}
    result.update(positive_share=float(pooled.mean()), average_precision=found, notes=notes)
    return result, [("AP", _percent(found)), ("share of positives (AP by chance)", _percent(pooled.mean()))]


def _read_segments(
    args: argparse.Namespace, progress: tqdm, *, labelled: bool
) -> tuple[Instances, Instances, list[str]]:
    """Ground truth, predictions and notes on what was left out."""
    if args.truth.is_dir():
        truth = results.read_thumos_truth(args.truth)
        videos = set(truth.video.tolist())
    else:
        truth, durations = results.read_activitynet_truth(args.truth, subset=_subset(args))
        videos = set(durations)
    progress.update()
    if args.classes is not None:
        predictions = results.read_thumos_results(args.predictions, results.read_thumos_classes(args.classes))
    else:
        predictions = results.read_activitynet_results(args.predictions, labelled=labelled)
    notes = []
    if args.exclude is not None:
        try:
            blocked = [video_id(name) for name in json.loads(results.read_text(args.exclude))]
        except (json.JSONDecodeError, TypeError, AttributeError):
            raise BadFile(args.exclude, "", "must be a JSON list of video names") from None
        truth, predictions = (part.take(~np.isin(part.video, blocked)) for part in (truth, predictions))
        notes.append(f"{len(videos & set(blocked))} videos left out by {args.exclude}")
        videos -= set(blocked)
    if args.classes is None:
        _refuse_trained_on(args, videos)
    elsewhere = ~np.isin(predictions.video, np.unique(truth.video))
    if elsewhere.any():
        count = len(np.unique(predictions.video[elsewhere]))
        notes.append(f"{elsewhere.sum()} predictions are in {count} videos without ground truth: false positives")
    progress.update()
    return truth, predictions, notes


def _refuse_trained_on(args: argparse.Namespace, videos: Iterable[str]) -> None:
    """ValueError if the predictions say that they were trained on a video of the truth."""
    held_out = [Named(id=video) for video in sorted(videos)]
    by, hint = f" by what made {args.predictions}", "; --subset or --exclude leaves them out"
    refuse(of_predictions(args.predictions), held_out, "--truth", by=by, hint=hint)


def _subset(args: argparse.Namespace) -> str | None:
    return None if args.subset == "all" else args.subset


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


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.2f} %"


def _print_table(rows: list[Row], notes: list[str]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value:>9}")
    for note in notes:
        print(f"note: {note}")


def _plain(value: Any) -> Any:
    """The value in JSON's types; NaN becomes null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
