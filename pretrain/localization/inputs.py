"""Extracted features and annotations to windows of equal length: what the localiser learns from and is asked about.

Used by localizer.py, classifier.py and the command localize; imports features and data. Features are what `extract`
writes: rows per video, and a JSON that says which time each row stands for. They stay on the disk: a sequence and a
window read their values when asked, and `WindowValues` keeps as many as it may.
Legend of the shape suffixes: T rows of a video, or snippets of a window; F features; G actions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ..data.formats import BadFile, file_id, unique_ids
from ..data.segments import Segments, inside
from ..data.truth import read_truth
from ..features.grid import rescale
from ..features.store import Features


@dataclass(frozen=True)
class FeatureSequence:
    """One video's features (T, F) float32, and the times that its rows stand for, (T,) evenly spaced seconds.

    Attributes:
        rows, width: T and F.
        values: function of the first row and the last one + 1, which reads these.
        center_seconds: function that gives the times.
    """

    rows: int
    width: int
    values: Callable[[int, int], NDArray[np.float32]]
    center_seconds: Callable[[], NDArray[np.float64]]

    @staticmethod
    def of(values_TF: np.ndarray, center_seconds_T: np.ndarray) -> FeatureSequence:
        """A sequence in memory."""
        rows, width = values_TF.shape
        return FeatureSequence(rows, width, lambda start, stop: values_TF[start:stop], lambda: center_seconds_T)

    def step_seconds(self) -> float:
        """Time between two rows; of a single one, twice its own."""
        center = self.center_seconds()
        return float(center[1] - center[0]) if len(center) > 1 else float(2 * center[0])

    def rescaled(self, duration_seconds: float, length: int) -> NDArray[np.float32]:
        """(length, F): see `features.grid.rescale`."""
        return rescale(self.values(0, self.rows), self.center_seconds(), duration_seconds, length)


@dataclass
class Subset:
    """The videos of a subset that have features: these, duration in seconds and actions."""

    sequences: dict[str, FeatureSequence] = field(default_factory=dict)
    duration: dict[str, float] = field(default_factory=dict)
    actions: dict[str, Segments] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)  # a line for each video without usable features
    counts: Counter[str] = field(default_factory=Counter)  # of actions, as `data.segments.inside` counts

    def add(self, video: str, sequence: FeatureSequence, duration: float, actions: Segments) -> None:
        """Add a video, and its actions as far as they are in it.

        A duration that is not known (NaN) becomes the end of the last row.
        """
        end = duration if duration > 0 else sequence.center_seconds()[-1] + sequence.step_seconds() / 2
        self.sequences[video], self.duration[video] = sequence, end
        self.actions[video], counts = inside(actions, end)
        self.counts += counts


def read_subset(path: str | Path, annotations: str | Path, subset: str, val_list: str | Path | None = None) -> Subset:
    """Features (folder or HDF5) and annotations (see `read_truth`) of one subset; BadFile if no video has features.

    A video belongs to the annotated id that its name ends in: stems, with or without ActivityNet's leading "v_". All
    features are read once, to know that they can be.
    """
    truth, durations = read_truth(annotations, subset=subset, val_list=val_list)
    features, found = Features(path), Subset()
    names, actions = unique_ids(path, features, file_id), truth.by_video()
    for video, duration in tqdm(durations.items(), desc=f"read {subset}", leave=False, disable=None):
        if video not in names:
            found.left_out.append(f"{video}: no features in {path}")
            continue
        try:
            sequence = _stored(features, names[video])
        except BadFile as error:
            found.left_out.append(str(error))
            continue
        found.add(video, sequence, duration, actions.get(video, Segments.of([])))
    if not found.sequences:
        raise BadFile(path, "", f"must have features of the subset {subset!r} ({found.left_out[0]})")
    widths = sorted({sequence.width for sequence in found.sequences.values()})
    if len(widths) > 1:
        raise BadFile(path, "", f"features must have one width, got {widths}")
    return found


def _stored(features: Features, name: str) -> FeatureSequence:
    """A video's sequence; BadFile where its file is broken. What the settings file lacks is a ValueError for all."""
    rows, width = _read(features, name, 0, None).shape
    sequence = FeatureSequence(
        rows, width, partial(_read, features, name), partial(features.center_seconds, name, rows)
    )
    sequence.center_seconds()
    return sequence


def _read(features: Features, name: str, start: int, stop: int | None) -> NDArray[np.float32]:
    try:
        values = features.part(name, start, stop)
    except (OSError, ValueError, EOFError) as error:
        raise BadFile(features.path, repr(name), f"must be readable features ({error})") from None
    if values.ndim != 2 or 0 in values.shape or not np.issubdtype(values.dtype, np.floating):
        raise BadFile(features.path, repr(name), f"must be (T, F) floating point, got {values.dtype} {values.shape}")
    with np.errstate(over="ignore"):  # float64 may hold what float32 cannot
        values = values.astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        row = start + np.flatnonzero(~np.isfinite(values).all(1))[0]
        raise BadFile(features.path, repr(name), f"row {row} must be finite")
    return values


@dataclass(frozen=True)
class FeatureWindow:
    """Part of a video as T snippets; snippet k covers origin + [k, k + 1)·snippet seconds.

    `values` reads the features (T, F) float32. `snippets` of them hold features, the others (at the end) are zero.
    """

    video: str
    values: Callable[[], NDArray[np.float32]]
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
    for video, sequence in subset.sequences.items():
        found += sliding(video, sequence, length) if mode == "windows" else []
        if mode == "rescale":
            duration = subset.duration[video]
            found.append(
                FeatureWindow(video, partial(sequence.rescaled, duration, length), 0.0, duration / length, length)
            )
    return found


def sliding(video: str, sequence: FeatureSequence, length: int) -> list[FeatureWindow]:
    """Windows of `length` rows, each starting half a window later; the last one ends with the video.

    A video shorter than one window is filled with zeros.

    >>> found = sliding("v", FeatureSequence.of(np.zeros((5, 1), np.float32), np.arange(5) + 0.5), length=4)
    >>> [(w.origin_seconds, w.snippets) for w in found]
    [(0.0, 4), (1.0, 4)]
    """
    center, step = sequence.center_seconds(), sequence.step_seconds()
    last = max(sequence.rows - length, 0)
    found = []
    for start in sorted({*range(0, last, max(1, length // 2)), last}):
        own = min(length, sequence.rows - start)
        values = partial(_filled, sequence, start, start + own, length)
        found.append(FeatureWindow(video, values, float(center[start]) - step / 2, step, own))
    return found


def _filled(sequence: FeatureSequence, start: int, stop: int, length: int) -> NDArray[np.float32]:
    values = np.zeros((length, sequence.width), np.float32)
    values[: stop - start] = sequence.values(start, stop)
    return values


def visible(
    window: FeatureWindow, segments_G2: np.ndarray, least_fraction: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Actions in a window, in snippets and cut to it: (segments (K, 2), rows of segments_G2 (K,)).

    Left out: actions of which less than `least_fraction` is inside, and those without length.
    """
    snippets = window.to_snippets(np.asarray(segments_G2, np.float64).reshape(-1, 2))
    inside = np.clip(snippets, 0, window.snippets)
    length = inside[:, 1] - inside[:, 0]
    rows = np.flatnonzero((length > 0) & (length >= least_fraction * (snippets[:, 1] - snippets[:, 0])))
    return inside[rows], rows


class WindowValues:
    """The standardised features of windows, by number; those that fit are kept, the others read again.

    Args:
        windows: whose filled snippets give mean and standard deviation (at least 1e-6) of every feature.
        memory_bytes: of the values that are kept.
    """

    def __init__(self, windows: Sequence[FeatureWindow], memory_bytes: int) -> None:
        self.windows = windows
        self._kept: dict[int, NDArray[np.float32]] = {}
        count, total, square = 0, np.zeros(1), np.zeros(1)
        for k, window in enumerate(tqdm(windows, desc="standardise", leave=False, disable=None)):
            values_TF = window.values()
            filled = values_TF[: window.snippets].astype(np.float64)
            count, total, square = count + len(filled), total + filled.sum(0), square + (filled**2).sum(0)
            if (memory_bytes := memory_bytes - values_TF.nbytes) >= 0:
                self._kept[k] = values_TF
        mean = total / count
        std = np.sqrt(np.maximum(square / count - mean**2, 1e-12))
        self.mean_F, self.std_F = mean.astype(np.float32), std.astype(np.float32)
        for k, values_TF in self._kept.items():
            self._kept[k] = self._standardised(windows[k], values_TF)

    def __getitem__(self, k: int) -> NDArray[np.float32]:
        return self._kept[k] if k in self._kept else self.of(self.windows[k])

    def of(self, window: FeatureWindow) -> NDArray[np.float32]:
        """The values of any window, (T, F) float32."""
        return self._standardised(window, window.values())

    def _standardised(self, window: FeatureWindow, values_TF: NDArray[np.float32]) -> NDArray[np.float32]:
        values_TF = np.array(values_TF)
        values_TF[: window.snippets] = (values_TF[: window.snippets] - self.mean_F) / self.std_F
        return values_TF
