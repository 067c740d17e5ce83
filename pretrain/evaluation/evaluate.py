"""`python -m pretrain evaluate detection|proposals|grounding|steps`: files in, a table and JSON out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from tqdm import tqdm

from ..data import charades_crosstask, results
from ..data.annotations import read_activitynet_truth, read_thumos_truth
from ..data.formats import BadFile, read_text, video_id
from ..data.overlap import Named, of_predictions, refuse
from ..data.segments import Segments, beyond
from ..data.truth import read_truth
from . import actionness, detection, grounding
from .grounding import GROUNDING
from .settings import DetectionSettings, GroundingSettings, ProposalSettings, StepsSettings, edges, tious

Row = tuple[str, str]


def _detection(args: DetectionSettings, progress: tqdm) -> tuple[dict[str, Any], list[Row]]:
    truth, predictions, notes = _read_segments(args, progress, labelled=True)
    thresholds = tious(args.thresholds)
    found = detection.detection_map(
        truth, predictions, thresholds=thresholds, ties=args.ties, zero_length=args.zero_length, unknown=args.unknown
    )
    notes += [f"class {name!r}: {count} predictions ignored, no ground truth" for name, count in found.ignored.items()]
    unpredicted = len(set(found.classes) - set(predictions.label.tolist()))
    if unpredicted:
        notes.append(f"{unpredicted} classes without predictions count as 0")
    result: dict[str, Any] = {
        "thresholds": thresholds,
        "map": found.map_I,
        "average_map": found.average_map,
        "ap": dict(zip(found.classes, found.ap_CI)),
    }
    rows = [(f"mAP@{t:.2f}", _percent(value)) for t, value in zip(thresholds, found.map_I)]
    rows.append(("average mAP", _percent(found.average_map)))
    if args.length_convention != "none":
        by_length = detection.map_by_length(
            truth,
            predictions,
            edges_seconds=edges(args.lengths),
            convention=args.length_convention,
            thresholds=thresholds,
            ties=args.ties,
        )
        result["by_length"] = {"convention": args.length_convention, "seconds": by_length}
        name = "average mAP_N" if args.length_convention == "detad" else "average mAP"
        rows += [(f"{name}, {bucket} s", _percent(value.mean())) for bucket, value in by_length.items()]
    progress.update()
    return {**result, "notes": notes}, rows


def _proposals(args: ProposalSettings, progress: tqdm) -> tuple[dict[str, Any], list[Row]]:
    truth, proposals, notes = _read_segments(args, progress, labelled=False)
    thresholds = tious(args.thresholds)
    curve = detection.average_recall(
        truth, proposals, max_proposals=args.max_proposals or None, thresholds=thresholds, ties=args.ties
    )
    points = [an for an in (1, 5, 10, 50, 100) if an <= curve.an_A[-1] + 1e-9]
    rows = [(f"AR@{an}", _percent(curve.at(an))) for an in points]
    rows.append(("AUC", _percent(curve.auc)))
    progress.update()
    result = {
        "thresholds": thresholds,
        "auc": curve.auc,
        "an": curve.an_A,
        "ar": curve.ar_A,
        "recall": dict(zip((f"{t:.4g}" for t in thresholds), curve.recall_IA)),
    }
    return {**result, "notes": notes}, rows


def _grounding(args: GroundingSettings, progress: tqdm) -> tuple[dict[str, Any], list[Row]]:
    truth = charades_crosstask.read_charades(args.truth)
    progress.update()
    predicted = charades_crosstask.answers(args.predictions, truth, charades_crosstask.read_charades(args.predictions))
    progress.update()
    duration = None
    if args.convention == "2d-tan":
        assert args.durations is not None
        known = charades_crosstask.read_charades_durations(args.durations)
        missing = next((query.video for query in truth if query.video not in known), None)
        if missing is not None:
            raise BadFile(args.durations, repr(missing), "must have a row")
        duration = [known[query.video] for query in truth]
    found = grounding.grounding(
        [(query.start, query.end) for query in truth],
        predicted,
        convention=args.convention,
        duration_seconds=duration,
    )
    progress.update()
    rows = [(f"R@1, tIoU {'>' if duration else '>='} {t}", _percent(found.recall[t])) for t in GROUNDING]
    result = {"convention": args.convention, "queries": len(truth), "recall": found.recall, "mean_iou": found.mean_iou}
    return {**result, "notes": []}, [*rows, ("mIoU", _percent(found.mean_iou))]


def _steps(args: StepsSettings, progress: tqdm) -> tuple[dict[str, Any], list[Row]]:
    notes = list[str]()
    if args.truth.is_dir():
        subset = "validation" if args.val_list else None
        truth, durations = read_truth(args.truth, subset=subset, val_list=args.val_list)
    else:
        truth, durations = read_activitynet_truth(args.truth, subset=_subset(args))
        notes += _beyond(truth, durations)
    own = truth.by_video()
    steps = {video: own[video].segment.tolist() if video in own else [] for video in durations}
    progress.update()
    _refuse_trained_on(args, steps)
    seconds, scores = charades_crosstask.read_frame_scores(args.predictions)
    progress.update()
    labels = []
    for video, segments in steps.items():
        if video not in scores:
            raise BadFile(args.predictions, "results", f"must have the video {video!r}")
        count, expected = len(scores[video]), durations.get(video, math.nan) / seconds
        if abs(count - expected) > max(1.0, 0.01 * expected):  # never true for an unknown duration
            raise BadFile(args.predictions, repr(video), f"must have about {expected:.0f} scores, got {count}")
        labels.append(actionness.frame_labels(segments, count, segment_seconds=seconds, rule=args.rule))
    pooled = np.concatenate(labels)
    found = actionness.average_precision(pooled, np.concatenate([scores[video] for video in steps]))
    progress.update()
    extra = len(set(scores) - set(steps))
    notes += [f"{extra} predicted videos are not in the truth and were left out"] * bool(extra)
    result: dict[str, Any] = {
        "segment_seconds": seconds,
        "rule": args.rule,
        "videos": len(steps),
        "segments": len(pooled),
    }
    result.update(positive_share=float(pooled.mean()), average_precision=found, notes=notes)
    return result, [("AP", _percent(found)), ("share of positives (AP by chance)", _percent(pooled.mean()))]


def _read_segments(
    args: DetectionSettings | ProposalSettings, progress: tqdm, *, labelled: bool
) -> tuple[Segments, Segments, list[str]]:
    """Ground truth, predictions and notes on what was left out."""
    notes = list[str]()
    if args.truth.is_dir():
        truth = read_thumos_truth(args.truth)
        videos = set(truth.video.tolist())
    else:
        truth, durations = read_activitynet_truth(args.truth, subset=_subset(args))
        videos = set(durations)
        notes += _beyond(truth, durations)
    progress.update()
    if args.classes is not None:
        predictions = results.read_thumos_results(args.predictions, results.read_thumos_classes(args.classes))
    else:
        predictions = results.read_activitynet_results(args.predictions, labelled=labelled)
    if args.exclude is not None:
        try:
            blocked = [video_id(name) for name in json.loads(read_text(args.exclude))]
        except BadFile:
            raise
        except (ValueError, TypeError, AttributeError, RecursionError):
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


def _beyond(truth: Segments, durations: Mapping[str, float]) -> list[str]:
    """How many actions training would leave out or clip, for they are outside their video or reach beyond it."""
    found = beyond(truth.segment, [durations[video] for video in truth.video.tolist()])
    parts = [
        f"{each.sum()} {what}" for each, what in zip(found, ("outside the video", "reach beyond it")) if each.any()
    ]
    return [f"actions of the truth: {', '.join(parts)}; they are kept as published"] * bool(parts)


def _refuse_trained_on(args: DetectionSettings | ProposalSettings | StepsSettings, videos: Iterable[str]) -> None:
    """ValueError if the predictions say that they were trained on a video of the truth."""
    held_out = [Named(id=video) for video in sorted(videos)]
    by, hint = f" by what made {args.predictions}", "; --subset or --exclude leaves them out"
    refuse(of_predictions(args.predictions), held_out, "--truth", by=by, hint=hint)


def _subset(args: DetectionSettings | ProposalSettings | StepsSettings) -> str | None:
    return None if args.subset == "all" else args.subset


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.2f} %"


Evaluate = Callable[[Any, tqdm], tuple[dict[str, Any], list[Row]]]
TASKS: dict[str, tuple[type[Any], Evaluate]] = {
    "detection": (DetectionSettings, _detection),
    "proposals": (ProposalSettings, _proposals),
    "grounding": (GroundingSettings, _grounding),
    "steps": (StepsSettings, _steps),
}
