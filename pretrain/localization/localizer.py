"""`python -m pretrain localize`: extracted features and annotations in, predictions that `evaluate` reads out.

Detection: boundary-matching proposals (bmn.py) trained on one subset, soft-NMS, and labels for each proposal from a
linear classifier of its mean feature or from given scores of whole videos; written in ActivityNet's form.
Steps: a linear classifier of single features scores segments of 0.2 s (actionness).
Legend of the shape suffixes: F features, G actions, P proposals, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from ..common.distributed import pick_device
from ..data.formats import file_id
from ..data.overlap import Named, refuse
from ..data.segments import Segments
from ..evaluation.actionness import frame_labels
from ..features.store import read_settings
from . import inputs
from .bmn import BoundaryMatching, Maps, fit, targets
from .classifier import LinearProbe, mean_features
from .inputs import FeatureWindow, Subset, WindowValues
from .postprocess import decode, soft_nms
from .settings import LocalizerSettings

STEP_SECONDS = 0.2  # segments of CrossTask's actionness protocol (Zhukov et al. 2020)
STEP_SAMPLES = 200_000  # segments that the actionness classifier is trained on, at most
LEAST_STEPS = 200  # of the proposal network, where 20 passes over a small set would be fewer


class Found(NamedTuple):
    """Labelled predictions, the same proposals without class, and the mean loss of the last epoch."""

    predictions: Segments
    proposals: Segments
    loss: float


def localize(
    train: Subset,
    test: Subset,
    settings: LocalizerSettings,
    *,
    video_scores: Mapping[str, Mapping[str, float]] | None = None,
) -> Found:
    """Train on `train`, localise the actions of `test`. The same seed gives the same result on the same CPU.

    Args:
        video_scores: {video: {class: score}} in place of the linear classifier of proposals.
    """
    scores = video_scores or {}
    if video_scores is not None and not scores.keys() >= test.sequences.keys():
        lacking = min(test.sequences.keys() - scores.keys())
        raise ValueError(f"video_scores must have every video of the test subset, has not {lacking!r}")
    mode, length, longest = settings.mode, settings.snippets, settings.longest
    device, keep, batch, epochs = str(pick_device(settings.device)), settings.keep, settings.batch, settings.epochs
    used, seen = inputs.cut(train, mode, length), inputs.cut(test, mode, length)
    if mode == "windows":  # as BMN does on THUMOS14, train on windows with an action only
        used = [w for w in used if len(inputs.visible(w, train.actions[w.video].segment)[1])]
    if not any(len(inputs.visible(w, train.actions[w.video].segment)[1]) for w in used):
        left = "".join(f", {count} {what}" for what, count in sorted(train.counts.items()))
        raise ValueError(f"the training subset must have an action with a length, got none{left}")
    values = WindowValues(used, settings.memory << 20)

    def examples(numbers: Sequence[int]) -> tuple[torch.Tensor, Maps]:
        shown = (inputs.visible(used[n], train.actions[used[n].video].segment)[0] for n in numbers)
        maps = [targets(segments_G2, length, longest) for segments_G2 in shown]
        values_NFT = torch.stack([torch.from_numpy(values[n].T) for n in numbers])
        return values_NFT, Maps(*(torch.stack([each[k] for each in maps]) for k in (0, 1)))

    epochs = max(20, -(-LEAST_STEPS // -(-len(used) // batch))) if epochs is None else epochs
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = BoundaryMatching(
            len(values.mean_F),
            length=length,
            durations=longest,
            samples=settings.samples,
            width=settings.width,
            dropout=settings.dropout,
        )
        last = fit(
            model, len(used), examples, epochs=epochs, batch=batch, lr=settings.lr, seed=settings.seed, device=device
        )
    classes, classifier = _classifier(values, train) if video_scores is None else ([], None)
    by_video: dict[str, list[FeatureWindow]] = {}
    for window in seen:
        by_video.setdefault(window.video, []).append(window)
    rows, bare = [], []
    for video, own in tqdm(by_video.items(), desc="localise", leave=False, disable=None):
        segments_P2, score_P, feature_PF = _proposals(model, values, own, test.duration[video], keep, device)
        bare += [(video, *segment, "", score) for segment, score in zip(segments_P2.tolist(), score_P.tolist())]
        if classifier is not None:
            probability_PC, names = classifier.probability(feature_PF), classes
        else:
            names = list(scores[video])
            probability_PC = np.tile(list(scores[video].values()), (len(score_P), 1))
        for p, best in enumerate(np.argsort(-probability_PC, 1, kind="stable")[:, : settings.labels]):
            rows += [(video, *segments_P2[p].tolist(), names[c], score_P[p] * probability_PC[p, c]) for c in best]
    return Found(Segments.of(rows), Segments.of(bare), last)


def _classifier(values: WindowValues, train: Subset) -> tuple[list[str], LinearProbe]:
    """Class names and the classifier of mean features, trained on the actions that the windows show."""
    features: list[np.ndarray] = []
    labels: list[str] = []
    videos: list[str] = []
    for k, window in enumerate(values.windows):
        segments_G2, rows = inputs.visible(window, train.actions[window.video].segment)
        if not len(rows):
            continue
        features.append(mean_features(values[k], segments_G2, window.snippets))
        labels += train.actions[window.video].label[rows].tolist()
        videos += [window.video] * len(rows)
    classes, y = np.unique(labels, return_inverse=True)
    return classes.tolist(), LinearProbe(np.concatenate(features), y, len(classes), group_N=np.array(videos))


def _proposals(
    model: BoundaryMatching,
    values: WindowValues,
    own: list[FeatureWindow],
    duration_seconds: float,
    keep: int,
    device: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A video's best proposals: segments (P, 2) in seconds, scores (P,), mean features (P, F)."""
    snippets, seconds, scores, source = [], [], [], []
    model.eval()
    for k, window in enumerate(own):
        with torch.no_grad():
            maps = model(torch.from_numpy(values.of(window).T[None]).to(device))
        boundary, confidence = (m[0].sigmoid().cpu().numpy().astype(np.float64) for m in maps)
        found, score = decode(boundary, confidence, window.snippets)
        snippets.append(found)
        seconds.append(np.clip(window.to_seconds(found), 0, duration_seconds))
        scores.append(score)
        source.append(np.full(len(found), k))
    kept, score_P = soft_nms(np.concatenate(seconds), np.concatenate(scores), keep=keep)
    source_P, snippets_P2 = np.concatenate(source)[kept], np.concatenate(snippets)[kept]
    feature_PF = np.zeros((len(kept), len(values.mean_F)))
    for k in np.unique(source_P).tolist():
        inside = source_P == k
        feature_PF[inside] = mean_features(values.of(own[k]), snippets_P2[inside], own[k].snippets)
    return np.concatenate(seconds)[kept], score_P, feature_PF


def actionness(train: Subset, test: Subset, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Score of every 0.2 s of the test videos, {video: (segments,) in 0…1}: a linear classifier of the feature there.

    Positive in training: segments whose centre is inside an action; at most about 200,000 segments are drawn.
    """

    def grid(subset: Subset, video: str) -> np.ndarray:
        """(segments, F): features interpolated at the segments' centres."""
        count = max(1, int(subset.duration[video] / STEP_SECONDS + 1e-6))
        return subset.sequences[video].rescaled(count * STEP_SECONDS, count)

    if not any(len(actions) for actions in train.actions.values()):
        raise ValueError("the training subset must have an action, got none")
    rng = np.random.default_rng(seed)
    fraction = STEP_SAMPLES * STEP_SECONDS / sum(train.duration.values())
    x, y, videos = [], [], []
    for video in train.sequences:
        values = grid(train, video)
        chosen = rng.random(len(values)) < fraction
        x.append(values[chosen])
        y.append(frame_labels(train.actions[video].segment, len(values), segment_seconds=STEP_SECONDS)[chosen])
        videos += [video] * int(chosen.sum())
    classifier = LinearProbe(np.concatenate(x), np.concatenate(y), 2, group_N=np.array(videos))
    return {video: classifier.probability(grid(test, video))[:, 1] for video in test.sequences}


def trained_videos(features: Path, train: Subset, test: Subset) -> set[str]:
    """Ids of what the localiser and the features' networks are trained on.

    Errors (ValueError): a video to be localised is among them.
    """
    about = read_settings(features)
    files = {file_id(name): str(each.get("path", "")) for name, each in about.get("videos", {}).items()}
    own, held_out = ([Named(files.get(video, ""), video) for video in subset.sequences] for subset in (train, test))
    refuse(own, held_out, "--subset", by=" as --train-subset")
    by_networks = [Named(id=video) for video in about.get("trained_on", ())]
    refuse(by_networks, held_out, "--subset", by=f" by the networks that made {features}")
    return {video.id for video in (*own, *by_networks)}
