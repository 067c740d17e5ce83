"""Extracted features and annotations in, predictions that `evaluate` reads out.

Detection: boundary-matching proposals trained on one subset, soft-NMS, and labels for each proposal from a
linear classifier of its mean feature or from given scores of whole videos; written in ActivityNet's form.
Steps: a linear classifier of single features scores segments of 0.2 s (actionness).
"""

from __future__ import annotations

from collections.abc import Sequence

from ..common.cli import command, few, next_step, prog, read
from ..common.files import readable, write_json
from ..common.settings import saved
from ..data.charades_crosstask import write_frame_scores
from ..data.results import read_video_scores, write_activitynet_results
from ..localization.inputs import read_subset
from ..localization.localizer import STEP_SECONDS, actionness, localize, trained_videos
from ..localization.settings import LocalizerSettings, LocalizeSettings

USUAL = ("features", "annotations", "out", "proposals", "train_subset", "subset", "task", "mode", "device", "config")
EXAMPLES = (
    "--features features --annotations truth.json --out detections.json",
    "--features thumos --annotations thumos14.json --out detections.json --mode windows",
)


@command("localize")
def main(argv: Sequence[str] | None = None) -> int:
    """0 done, 1 failed (one line on standard error), 2 wrong usage."""
    args: LocalizeSettings
    settings: LocalizerSettings
    kinds = {"files": LocalizeSettings, "localiser": LocalizerSettings}
    about = {"prog": prog("localize"), "description": __doc__, "usual": USUAL, "examples": EXAMPLES}
    args, settings = read(argv, kinds, usage="--features PATH --annotations FILE --out FILE", **about)
    train, test = (
        read_subset(args.features, args.annotations, each, args.val_list) for each in (args.train_subset, args.subset)
    )
    trained_on = trained_videos(args.features, train, test)
    if args.task == "steps":
        write_frame_scores(args.out, STEP_SECONDS, actionness(train, test, seed=settings.seed), trained_on=trained_on)
    else:
        scores = read_video_scores(args.video_scores) if args.video_scores else None
        found = localize(train, test, settings, video_scores=scores)
        for path, segments in ((args.out, found.predictions), (args.proposals, found.proposals)):
            if path:
                write_activitynet_results(path, segments, videos=test.sequences, trained_on=trained_on)
        print(f"{len(found.predictions)} predictions, training loss {found.loss:.3f}")
    left_out = train.left_out + test.left_out
    write_json(args.out.with_suffix(".config.json"), {"flags": saved(args, settings), "left_out": left_out})
    print(f"{len(train.sequences)} videos to learn from, {len(test.sequences)} localised: {args.out}")
    for name, subset in ((args.train_subset, train), (args.subset, test)):
        parts = [f"{count} actions {what}" for what, count in sorted(subset.counts.items())]
        if parts:
            print(f"{name}: {', '.join(parts)}")
    if left_out:
        print(f"{len(left_out)} videos left out:", *few(map(readable, left_out)), sep="\n  ")
    if args.task == "detection":
        next_step("evaluate", "detection", "--truth", args.annotations, "--predictions", args.out)
    else:
        next_step("evaluate", "steps", "--truth", "TRUTH", "--predictions", args.out)
    return 0
