"""Feature files and annotations to windows of equal length for the localiser.

A feature file is VIDEO.npy, (T, F) floating point, with VIDEO.json beside it, or one features.json for its folder:

    {"fps": 15.0, "clip_frames": 16, "stride_frames": 16, "offset_frames": 0}

Feature k describes the clip_frames frames from offset_frames + k·stride_frames on, at fps; its time is their middle.
Legend: T features of a video, or cells of a window; F features; G ground truths.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from .results import BadFile, number_of, read_activitynet_truth, read_json, video_id

FIELDS = ("fps", "clip_frames", "stride_frames", "offset_frames")


@dataclass(frozen=True)
class Features:
    """One video's features (T, F) float32, the time of the first one and the time between two, in seconds."""

    values_TF: np.ndarray
    first_seconds: float
    step_seconds: float
    end_seconds: float  # of the last clip

    def at(self, seconds: np.ndarray) -> np.ndarray:
        """Features (…, F) interpolated at times; before the first and after the last time those stay.

        >>> features = Features(np.array([[0.0], [2.0]]), first_seconds=1.0, step_seconds=1.0, end_seconds=3.0)
        >>> features.at(np.array([0.0, 1.5, 9.0])).tolist()
        [[0.0], [1.0], [2.0]]
        """
        position = np.clip((seconds - self.first_seconds) / self.step_seconds, 0, len(self.values_TF) - 1)
        low = np.minimum(np.floor(position).astype(np.int64), max(len(self.values_TF) - 2, 0))
        share = (position - low)[..., None].astype(self.values_TF.dtype)
        high = np.minimum(low + 1, len(self.values_TF) - 1)
        return self.values_TF[low] * (1 - share) + self.values_TF[high] * share


@dataclass(frozen=True)
class Window:
    """Part of a video as T cells: features (T, F) float32; cell k covers origin + [k, k + 1)·cell seconds.

    `cells` of them hold features, the others (at the end) are zero.
    """

    video: str
    values_TF: np.ndarray
    origin_seconds: float
    cell_seconds: float
    cells: int

    def to_cells(self, seconds: np.ndarray) -> np.ndarray:
        """Times in seconds in units of cells of this window."""
        return (seconds - self.origin_seconds) / self.cell_seconds

    def to_seconds(self, cells: np.ndarray) -> np.ndarray:
        """The inverse of to_cells."""
        return self.origin_seconds + cells * self.cell_seconds


def find_features(folder: str | Path) -> dict[str, Path]:
    """{video id: path} of all .npy files below a folder; BadFile if a video occurs twice or there is none."""
    found: dict[str, Path] = {}
    for path in sorted(Path(folder).rglob("*.npy")):
        name = video_id(path.stem)
        if name in found:
            raise BadFile(path, repr(name), f"must occur once, is also {found[name]}")
        found[name] = path
    if not found:
        raise BadFile(folder, "", "must be a folder with .npy files")
    return found


def read_features(path: str | Path) -> Features:
    """One feature file with the JSON beside it; BadFile names what is wrong."""
    path = Path(path)
    own, shared = path.with_suffix(".json"), path.parent / "features.json"
    description = own if own.exists() or not shared.exists() else shared
    data = read_json(description, *FIELDS)
    fps, clip, stride, offset = (number_of(description, "", field, data[field]) for field in FIELDS)
    if not (0 < fps < math.inf and clip > 0 and stride > 0 and math.isfinite(clip + stride + offset)):
        raise BadFile(description, "", "fps, clip_frames and stride_frames must be above 0 and finite")
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadFile(path, "", f"must be a .npy array ({error})") from None
    if values.ndim != 2 or len(values) == 0 or not np.issubdtype(values.dtype, np.floating):
        raise BadFile(path, "", f"must be (T, F) floating point with T >= 1, got {values.dtype} {values.shape}")
    if not np.isfinite(values).all():
        raise BadFile(path, f"feature {np.flatnonzero(~np.isfinite(values).all(1))[0]}", "must be finite")
    end = (offset + (len(values) - 1) * stride + clip) / fps
    return Features(values.astype(np.float32), (offset + clip / 2) / fps, stride / fps, end)


@dataclass
class Subset:
    """The videos of a subset that have features: features, duration in seconds, actions (G, 2) and their labels."""

    features: dict[str, Features] = field(default_factory=dict)
    duration: dict[str, float] = field(default_factory=dict)
    segments: dict[str, np.ndarray] = field(default_factory=dict)
    labels: dict[str, list[str]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)  # one line per video without a usable feature file


def read_subset(folder: str | Path, annotations: str | Path, subset: str) -> Subset:
    """Features and annotations (ActivityNet JSON) of one subset; BadFile if none of its videos has features.

    Durations that the annotations do not have are the end of the last clip.
    """
    truth, durations = read_activitynet_truth(annotations, subset=subset)
    files = find_features(folder)
    found = Subset()
    rows_of: dict[str, list[int]] = {}
    for row, video in enumerate(truth.video.tolist()):
        rows_of.setdefault(video, []).append(row)
    for video, duration in tqdm(durations.items(), desc=f"read {subset}", leave=False, disable=None):
        try:
            if video not in files:
                raise BadFile(folder, repr(video), "must have a .npy file")
            features = read_features(files[video])
        except BadFile as error:
            found.left_out.append(str(error))
            continue
        found.features[video] = features
        found.duration[video] = duration if duration > 0 else features.end_seconds
        rows = rows_of.get(video, [])
        found.segments[video], found.labels[video] = truth.segment[rows], truth.label[rows].tolist()
    if not found.features:
        raise BadFile(folder, "", f"must have features of the subset {subset!r} ({found.left_out[0]})")
    widths = sorted({features.values_TF.shape[1] for features in found.features.values()})
    if len(widths) > 1:
        raise BadFile(folder, "", f"features must have one width, got {widths}")
    return found


def cut(subset: Subset, mode: Literal["rescale", "windows"], length: int) -> list[Window]:
    """The subset's videos as windows of `length` cells: "rescale": one each; "windows": sliding, half overlapping."""
    found: list[Window] = []
    for video, features in subset.features.items():
        if mode == "rescale":
            found.append(rescaled(video, features, subset.duration[video], length))
        else:
            found += sliding(video, features, length)
    return found


def rescaled(video: str, features: Features, duration_seconds: float, length: int) -> Window:
    """The whole video as one window of `length` equal cells, features interpolated at their middles (ActivityNet)."""
    cell = duration_seconds / length
    values = features.at((np.arange(length) + 0.5) * cell)
    return Window(video, values, 0.0, cell, length)


def sliding(video: str, features: Features, length: int, overlap: float = 0.5) -> list[Window]:
    """Windows of `length` features at their own rate, each starting (1 − overlap)·length later (THUMOS14).

    The last one ends with the video; a video shorter than one window is filled with zeros.

    >>> found = sliding("v", Features(np.zeros((5, 1), np.float32), 0.5, 1.0, 5.0), length=4)
    >>> [(w.origin_seconds, w.cells) for w in found]
    [(0.0, 4), (1.0, 4)]
    """
    total, hop = len(features.values_TF), max(1, round(length * (1 - overlap)))
    starts = sorted({*range(0, max(total - length, 0), hop), max(total - length, 0)})
    windows = []
    for start in starts:
        values = np.zeros((length, features.values_TF.shape[1]), np.float32)
        part = features.values_TF[start : start + length]
        values[: len(part)] = part
        origin = features.first_seconds + (start - 0.5) * features.step_seconds
        windows.append(Window(video, values, origin, features.step_seconds, len(part)))
    return windows


def visible(window: Window, segments_G2: np.ndarray, share: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Actions in a window, in cells and cut to it: (segments (K, 2), rows of segments_G2 (K,)).

    Left out: actions of which less than `share` is inside, and those without length.
    """
    cells = window.to_cells(np.asarray(segments_G2, np.float64).reshape(-1, 2))
    inside = np.clip(cells, 0, window.cells)
    length = inside[:, 1] - inside[:, 0]
    rows = np.flatnonzero((length > 0) & (length >= share * (cells[:, 1] - cells[:, 0])))
    return inside[rows], rows


def standardiser(windows: Iterable[Window]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (F,) float32 over the filled cells of all windows; at least 1e-6."""
    count, total, square = 0, np.zeros(1), np.zeros(1)
    for window in windows:
        values = window.values_TF[: window.cells].astype(np.float64)
        count, total, square = count + len(values), total + values.sum(0), square + (values**2).sum(0)
    mean = total / count
    spread = np.sqrt(np.maximum(square / count - mean**2, 1e-12))
    return mean.astype(np.float32), spread.astype(np.float32)
