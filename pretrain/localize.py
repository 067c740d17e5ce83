"""`python -m pretrain localize`: extracted features and annotations in, predictions that `evaluate` reads out.

Detection: boundary-matching proposals (bmn.py) trained on one subset, soft-NMS, and labels for each proposal from a
linear classifier of its mean feature or from given scores of whole videos; written in ActivityNet's form.
Steps: a linear classifier of single features scores segments of 0.2 s (actionness).
Legend: F features, G ground truths, P proposals, C classes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from . import windows
from .bmn import BoundaryMatching, fit, targets
from .charades_crosstask import write_frame_scores
from .linear import Linear, mean_features
from .metrics import Instances, frame_labels
from .proposals import decode, soft_nms
from .results import read_video_scores, write_activitynet_results
from .windows import Subset, Window

STEP_SECONDS = 0.2  # segments of CrossTask's actionness protocol (Zhukov et al. 2020)
STEP_SAMPLES = 200_000  # segments that the actionness classifier is trained on, at most


class Found(NamedTuple):
    """Labelled predictions, the same proposals without class, and the mean loss of the last epoch."""

    predictions: Instances
    proposals: Instances
    loss: float


def localize(
    train: Subset,
    test: Subset,
    *,
    mode: Literal["rescale", "windows"] = "rescale",
    length: int | None = None,
    durations: int | None = None,
    epochs: int = 20,
    batch: int = 16,
    lr: float = 1e-3,
    width: int = 64,
    samples: int = 16,
    labels: int = 1,
    keep: int = 100,
    video_scores: Mapping[str, Mapping[str, float]] | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> Found:
    """Train on `train`, localise the actions of `test`. The same seed gives the same result on the same machine.

    Args:
        mode: "rescale": every video interpolated to one window of `length` cells (100, as BMN on ActivityNet).
            "windows": sliding windows of `length` features at their own rate (256, as G-TAD on THUMOS14).
        durations: longest proposal in cells; by default the length for "rescale" and 64 for "windows".
        epochs, batch, lr: of the proposal network, with Adam.
        width, samples: hidden channels and sample points of the proposal network.
        labels: classes given to each proposal, the most probable first; score = proposal's score · probability.
        keep: proposals per video.
        video_scores: {video: {class: score}}, used in place of the linear classifier.
    """
    scores = video_scores or {}
    if video_scores is not None and not scores.keys() >= test.features.keys():
        lacking = min(test.features.keys() - scores.keys())
        raise ValueError(f"video_scores must have every video of the test subset, has not {lacking!r}")
    length = length or (100 if mode == "rescale" else 256)
    durations = durations or (length if mode == "rescale" else min(64, length))
    used, seen = windows.cut(train, mode, length), windows.cut(test, mode, length)
    if mode == "windows":  # as BMN does, train on windows with an action only
        used = [w for w in used if len(windows.visible(w, train.segments[w.video])[1])]
    if not any(len(windows.visible(w, train.segments[w.video])[1]) for w in used):
        raise ValueError("the training subset must have an action with a length, got none")
    mean_F, spread_F = windows.standardiser(used)
    for window in used + seen:
        window.values_TF[: window.cells] = (window.values_TF[: window.cells] - mean_F) / spread_F
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BoundaryMatching(len(mean_F), length=length, durations=durations, samples=samples, width=width)
    maps = [targets(windows.visible(w, train.segments[w.video])[0], length, durations) for w in used]
    values_NFT = torch.stack([torch.from_numpy(w.values_TF.T) for w in used])
    last = fit(model, values_NFT, maps, epochs=epochs, batch=batch, lr=lr, seed=seed, device=device)
    classes, classifier = _classifier(used, train, seed) if video_scores is None else ([], None)
    by_video: dict[str, list[Window]] = {}
    for window in seen:
        by_video.setdefault(window.video, []).append(window)
    rows, bare = [], []
    for video, own in tqdm(by_video.items(), desc="localise", leave=False, disable=None):
        segments_P2, score_P, feature_PF = _proposals(model, own, test.duration[video], keep, device)
        bare += [(video, *segment, "", score) for segment, score in zip(segments_P2.tolist(), score_P.tolist())]
        if classifier is not None:
            probability_PC, names = classifier.probability(feature_PF), classes
        else:
            names = list(scores[video])
            probability_PC = np.tile(list(scores[video].values()), (len(score_P), 1))
        for p, best in enumerate(np.argsort(-probability_PC, 1, kind="stable")[:, :labels]):
            rows += [(video, *segments_P2[p].tolist(), names[c], score_P[p] * probability_PC[p, c]) for c in best]
    return Found(Instances.of(rows), Instances.of(bare), last)


def _classifier(used: list[Window], train: Subset, seed: int) -> tuple[list[str], Linear]:
    """Class names and the classifier of mean features, trained on the actions that the windows show."""
    features, labels = [], []
    for window in used:
        segments_G2, rows = windows.visible(window, train.segments[window.video])
        features.append(mean_features(window, segments_G2))
        labels += [train.labels[window.video][row] for row in rows]
    classes, y = np.unique(labels, return_inverse=True)
    return classes.tolist(), Linear(np.concatenate(features), y, len(classes), seed=seed)


def _proposals(
    model: BoundaryMatching, own: list[Window], duration_seconds: float, keep: int, device: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A video's best proposals: segments (P, 2) in seconds, scores (P,), mean features (P, F)."""
    cells, seconds, scores, source = [], [], [], []
    model.eval()
    for k, window in enumerate(own):
        with torch.no_grad():
            maps = model(torch.from_numpy(window.values_TF.T[None]).to(device))
        boundary, confidence = (m[0].sigmoid().cpu().numpy().astype(np.float64) for m in maps)
        found, score = decode(boundary, confidence, window.cells)
        cells.append(found)
        seconds.append(np.clip(window.to_seconds(found), 0, duration_seconds))
        scores.append(score)
        source.append(np.full(len(found), k))
    kept, score_P = soft_nms(np.concatenate(seconds), np.concatenate(scores), keep=keep)
    source_P, cells_P2 = np.concatenate(source)[kept], np.concatenate(cells)[kept]
    feature_PF = np.zeros((len(kept), own[0].values_TF.shape[1]))
    for k, window in enumerate(own):
        feature_PF[source_P == k] = mean_features(window, cells_P2[source_P == k])
    return np.concatenate(seconds)[kept], score_P, feature_PF


def actionness(train: Subset, test: Subset, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Score of every 0.2 s of the test videos, {video: (segments,) in 0…1}: a linear classifier of the feature there.

    Positive in training: segments whose centre is inside an action; at most 200,000 segments are drawn.
    """

    def grid(subset: Subset, video: str) -> np.ndarray:
        return (np.arange(max(1, int(subset.duration[video] / STEP_SECONDS + 1e-6))) + 0.5) * STEP_SECONDS

    rng = np.random.default_rng(seed)
    share = STEP_SAMPLES / sum(len(grid(train, video)) for video in train.features)
    x, y = [], []
    for video, features in train.features.items():
        centres = grid(train, video)
        rows = np.flatnonzero(rng.random(len(centres)) < share)
        x.append(features.at(centres[rows]))
        y.append(frame_labels(train.segments[video], len(centres), segment_seconds=STEP_SECONDS)[rows])
    classifier = Linear(np.concatenate(x), np.concatenate(y), 2, seed=seed)
    return {video: classifier.probability(f.at(grid(test, video)))[:, 1] for video, f in test.features.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """0 done, 1 failed (one line on standard error); wrong usage exits with 2."""
    args = _parser().parse_args(argv)
    try:
        train = windows.read_subset(args.features, args.annotations, args.train_subset)
        test = windows.read_subset(args.features, args.annotations, args.subset)
        if args.task == "steps":
            write_frame_scores(args.out, STEP_SECONDS, actionness(train, test, seed=args.seed))
        else:
            names = ("mode", "length", "epochs", "batch", "lr", "width", "samples", "labels", "keep", "seed", "device")
            options = {name: getattr(args, name) for name in names}
            scores = read_video_scores(args.video_scores) if args.video_scores else None
            found = localize(train, test, durations=args.max_duration, video_scores=scores, **options)
            write_activitynet_results(args.out, found.predictions, videos=test.features)
            if args.proposals:
                write_activitynet_results(args.proposals, found.proposals, videos=test.features)
            print(f"loss {found.loss:.3f}, {len(found.predictions)} predictions")
    except (ValueError, OSError) as error:
        print(f"localize: {error}", file=sys.stderr)
        return 1
    print(f"{len(train.features)} videos to learn from, {len(test.features)} localised: {args.out}")
    left_out = train.left_out + test.left_out
    if left_out:
        print(f"{len(left_out)} videos left out:", *left_out, sep="\n  ")
    return 0


def _parser() -> argparse.ArgumentParser:
    show = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m pretrain localize", description=__doc__, formatter_class=show)
    files = parser.add_argument_group("files")
    files.add_argument("--features", type=Path, required=True, help="folder of VIDEO.npy (T, F) with VIDEO.json")
    files.add_argument("--annotations", type=Path, required=True, help="ActivityNet JSON (plain or gzip)")
    files.add_argument("--out", type=Path, required=True, help="predictions, or scores of 0.2 s for steps (JSON)")
    files.add_argument("--proposals", type=Path, help="write the proposals without class there as well")
    files.add_argument("--video-scores", type=Path, help="classification results JSON in place of the classifier")
    files.add_argument("--train-subset", default="training", help="subset of the annotations to learn from")
    files.add_argument("--subset", default="validation", help="subset to localise")
    task = parser.add_argument_group("task")
    task.add_argument("--task", choices=("detection", "steps"), default="detection", help="what to predict")
    task.add_argument(
        "--mode", choices=("rescale", "windows"), default="rescale", help="whole videos, or sliding windows"
    )
    task.add_argument("--length", type=_positive, help="cells of a window (100 for rescale, 256 for windows)")
    task.add_argument("--max-duration", type=_positive, help="longest proposal in cells (the length; 64 for windows)")
    task.add_argument("--labels", type=_positive, default=1, help="classes per proposal")
    task.add_argument("--keep", type=_positive, default=100, help="proposals per video")
    network = parser.add_argument_group("proposal network (all but BMN's learning rate and batch are ours)")
    network.add_argument("--epochs", type=_positive, default=20, help="passes over the training windows")
    network.add_argument("--batch", type=_positive, default=16, help="windows per step")
    network.add_argument(
        "--lr", type=float, default=1e-3, help="learning rate of Adam; a tenth for the last 30 %% of steps"
    )
    network.add_argument("--width", type=_positive, default=64, help="hidden channels")
    network.add_argument("--samples", type=_positive, default=16, help="sample points per proposal")
    network.add_argument("--seed", type=int, default=0, help="of the initial weights and the order")
    network.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="torch device")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value
