"""Extracted features and annotations in, predictions that `evaluate` reads out.

Detection: boundary-matching proposals trained on one subset, soft-NMS, and labels for each proposal from a
linear classifier of its mean feature or from given scores of whole videos; written in ActivityNet's form.
Steps: a linear classifier of single features scores segments of 0.2 s (actionness).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from ..common.cli import add_options, command, prog, take_options
from ..common.files import readable
from ..data.charades_crosstask import write_frame_scores
from ..data.results import read_video_scores, write_activitynet_results
from ..localization.inputs import read_subset
from ..localization.localizer import STEP_SECONDS, actionness, localize, trained_videos


@command("localize")
def main(argv: Sequence[str] | None = None) -> int:
    """0 done, 1 failed (one line on standard error), 2 wrong usage."""
    args = _parser().parse_args(argv)
    train = read_subset(args.features, args.annotations, args.train_subset)
    test = read_subset(args.features, args.annotations, args.subset)
    trained_on = trained_videos(args.features, train, test)
    if args.task == "steps":
        write_frame_scores(args.out, STEP_SECONDS, actionness(train, test, seed=args.seed), trained_on=trained_on)
    else:
        options = take_options(localize, args)
        options["video_scores"] = read_video_scores(args.video_scores) if args.video_scores else None
        found = localize(train, test, **options)
        write_activitynet_results(args.out, found.predictions, videos=test.sequences, trained_on=trained_on)
        if args.proposals:
            write_activitynet_results(args.proposals, found.proposals, videos=test.sequences, trained_on=trained_on)
        print(f"{len(found.predictions)} predictions, training loss {found.loss:.3f}")
    print(f"{len(train.sequences)} videos to learn from, {len(test.sequences)} localised: {args.out}")
    for name, subset in ((args.train_subset, train), (args.subset, test)):
        parts = [f"{count} actions {what}" for what, count in sorted(subset.counts.items())]
        if parts:
            print(f"{name}: {', '.join(parts)}")
    left_out = train.left_out + test.left_out
    if left_out:
        print(f"{len(left_out)} videos left out:", *map(readable, left_out), sep="\n  ")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog("localize"), description=(__doc__ or "").split("\nLegend")[0])
    files = parser.add_argument_group("files")
    files.add_argument("--features", type=Path, required=True, help="folder or HDF5 file written by extract")
    files.add_argument("--annotations", type=Path, required=True, help="ActivityNet JSON (plain or gzip)")
    files.add_argument("--out", type=Path, required=True, help="predictions, or scores of 0.2 s for steps (JSON)")
    files.add_argument("--proposals", type=Path, help="write the proposals without class there as well")
    files.add_argument("--video-scores", type=Path, help="classification results JSON in place of the classifier")
    files.add_argument("--train-subset", default="training", help="subset to learn from (default training)")
    files.add_argument("--subset", default="validation", help="subset to localise (default validation)")
    task = parser.add_argument_group("task")
    task.add_argument("--task", choices=("detection", "steps"), default="detection", help="(default detection)")
    add_options(task, [localize], taken=["video_scores", "device"])
    devices = ["cuda", "cpu"] if torch.cuda.is_available() else ["cpu"]
    task.add_argument("--device", choices=devices, default=devices[0], help=f"torch device (default {devices[0]})")
    return parser
