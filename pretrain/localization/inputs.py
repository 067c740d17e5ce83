"""Extracted features and annotations to windows of equal length: what the localiser learns from and is asked about.

Used by localizer.py, classifier.py and the command localize; imports features and data. Features are what `extract`
writes: rows per video, and a JSON that says which time each row stands for.
Legend of the shape suffixes: T rows of a video, or snippets of a window; F features; G actions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from tqdm import tqdm

from ..data.annotations import read_activitynet_truth
from ..data.formats import BadFile, file_id, unique_ids
from ..data.segments import Segments
from ..features.grid import rescale
from ..features.store import Features


class FeatureSequence(NamedTuple):
    """One video's features (T, F) float32, and the time that each row stands for, (T,) evenly spaced seconds."""

    values_TF: np.ndarray
    center_seconds_T: np.ndarray

    @property
    def step_seconds(self) -> float:
        """Time between two rows; of a single one, twice its own."""
        center = self.center_seconds_T
        return float(center[1] - center[0]) if len(center) > 1 else float(2 * center[0])


@dataclass
class Subset:
    """The videos of a subset that have features: their rows, duration in seconds and actions."""

    rows: dict[str, FeatureSequence] = field(default_factory=dict)
    duration: dict[str, float] = field(default_factory=dict)
    actions: dict[str, Segments] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)  # a line for each video without usable features

    def add(self, video: str, rows: FeatureSequence, duration: float, actions: Segments) -> None:
        """Add a video. A duration that is not known (NaN) becomes the end of the last row."""
        self.rows[video], self.actions[video] = rows, actions
        self.duration[video] = duration if duration > 0 else rows.center_seconds_T[-1] + rows.step_seconds / 2


def read_subset(path: str | Path, annotations: str | Path, subset: str) -> Subset:
    """Features (folder or HDF5) and annotations (ActivityNet JSON) of one subset; BadFile if no video has features.

    A video belongs to the annotated id that its name ends in: stems, with or without ActivityNet's leading "v_".
    """
    truth, durations = read_activitynet_truth(annotations, subset=subset)
    features, found = Features(path), Subset()
    names, actions = unique_ids(path, features, file_id), truth.by_video()
    for video, duration in tqdm(durations.items(), desc=f"read {subset}", leave=False, disable=None):
        if video not in names:
            found.left_out.append(f"{video}: no features in {path}")
            continue
        try:
            rows = _read(features, names[video])
        except BadFile as error:
            found.left_out.append(str(error))
            continue
        found.add(video, rows, duration, actions.get(video, Segments.of([])))
    if not found.rows:
        raise BadFile(path, "", f"must have features of the subset {subset!r} ({found.left_out[0]})")
    widths = sorted({rows.values_TF.shape[1] for rows in found.rows.values()})
    if len(widths) > 1:
        raise BadFile(path, "", f"features must have one width, got {widths}")
    return found


def _read(features: Features, name: str) -> FeatureSequence:
    """A video's rows; BadFile where its file is broken. What the settings file lacks is a ValueError for all videos."""
    try:
        values = features[name]
    except (OSError, ValueError, EOFError) as error:
        raise BadFile(features.path, repr(name), f"must be readable features ({error})") from None
    if values.ndim != 2 or len(values) == 0 or not np.issubdtype(values.dtype, np.floating):
        raise BadFile(features.path, repr(name), f"must be (T, F) floating point, got {values.dtype} {values.shape}")
    if not np.isfinite(values).all():
        raise BadFile(features.path, repr(name), f"row {np.flatnonzero(~np.isfinite(values).all(1))[0]} must be finite")
    return FeatureSequence(values.astype(np.float32), features.center_seconds(name))


@dataclass(frozen=True)
class FeatureWindow:
    """Part of a video as T snippets: features (T, F) float32; snippet k covers origin + [k, k + 1)·snippet seconds.

    `snippets` of them hold features, the others (at the end) are zero.
    """

    video: str
    values_TF: np.ndarray
    origin_seconds: float
    snippet_seconds: float
    snippets: int

    def to_snippets(self, seconds: np.ndarray) -> np.ndarray:
        """Times in seconds in units of snippets of this window."""
        return (seconds - self.origin_seconds) / self.snippet_seconds

    def to_seconds(self, snippets: np.ndarray) -> np.ndarray:
        """The inverse of to_snippets."""
        return self.origin_seconds + snippets * self.snippet_seconds


def cut(subset: Subset, mode: Literal["rescale", "windows"], length: int) -> list[FeatureWindow]:
    """The videos as windows of `length` snippets: "rescale": one each; "windows": sliding, half overlapping."""
    found: list[FeatureWindow] = []
    for video, rows in subset.rows.items():
        found += sliding(video, rows, length) if mode == "windows" else []
        if mode == "rescale":
            duration = subset.duration[video]
            values = rescale(rows.values_TF, rows.center_seconds_T, duration, length)
            found.append(FeatureWindow(video, values, 0.0, duration / length, length))
    return found


def sliding(video: str, rows: FeatureSequence, length: int) -> list[FeatureWindow]:
    """Windows of `length` rows, each starting half a window later; the last one ends with the video.

    A video shorter than one window is filled with zeros.

    >>> found = sliding("v", FeatureSequence(np.zeros((5, 1), np.float32), np.arange(5) + 0.5), length=4)
    >>> [(w.origin_seconds, w.snippets) for w in found]
    [(0.0, 4), (1.0, 4)]
    """
    total, step = len(rows.values_TF), rows.step_seconds
    last = max(total - length, 0)
    found = []
    for start in sorted({*range(0, last, max(1, length // 2)), last}):
        values = np.zeros((length, rows.values_TF.shape[1]), np.float32)
        part = rows.values_TF[start : start + length]
        values[: len(part)] = part
        found.append(FeatureWindow(video, values, float(rows.center_seconds_T[start]) - step / 2, step, len(part)))
    return found


def visible(window: FeatureWindow, segments_G2: np.ndarray, fraction: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Actions in a window, in snippets and cut to it: (segments (K, 2), rows of segments_G2 (K,)).

    Left out: actions of which less than `fraction` is inside, and those without length.
    """
    snippets = window.to_snippets(np.asarray(segments_G2, np.float64).reshape(-1, 2))
    inside = np.clip(snippets, 0, window.snippets)
    length = inside[:, 1] - inside[:, 0]
    rows = np.flatnonzero((length > 0) & (length >= fraction * (snippets[:, 1] - snippets[:, 0])))
    return inside[rows], rows


def standardiser(windows: Iterable[FeatureWindow]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (F,) float32 over the filled snippets of all windows; at least 1e-6."""
    count, total, square = 0, np.zeros(1), np.zeros(1)
    for window in windows:
        values = window.values_TF[: window.snippets].astype(np.float64)
        count, total, square = count + len(values), total + values.sum(0), square + (values**2).sum(0)
    mean = total / count
    std = np.sqrt(np.maximum(square / count - mean**2, 1e-12))
    return mean.astype(np.float32), std.astype(np.float32)
