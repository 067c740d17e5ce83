"""The one table of temporal segments: annotations, ground truth and predictions of many videos as columns. NumPy only.

Its readers are annotations.py and results.py; `Dataset`, the localiser and all metrics are made from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

# TSP's published background rows differ from the complement. As its tables show (all 15,956 + 7,747 rows of ActivityNet
# and all but one of THUMOS14's follow), a gap runs from the end of the action that *starts* before, even where a longer
# one goes on (100 + 69 and 4 + 28 rows lie partly inside actions), and is kept from 160 frames at 30 fps on, five of
# TSP's clips (THUMOS14: 32, one clip). With one clip of 16/15 s as the limit, the complement has 20,275 + 9,904 pieces
# in ActivityNet and 2,177 + 2,550 in THUMOS14.
Background = Literal["complement", "file", "none"]
AMBIGUOUS = "Ambiguous"  # THUMOS14: neither action nor background
CLIP_SECONDS = 16 / 15  # TSP's clip: 16 frames at 15 per second [C]
SLACK = 1e-6  # seconds; published ends are rounded decimals


@dataclass(frozen=True)
class Segments:
    """Segments with their video, class and score: annotations (scores are not read) or predictions.

    video (N,) str; segment (N, 2) float64, start and end in seconds, start <= end; label (N,) str, "" for background
    and where the class does not matter; score (N,) float64, greater is better. Raises ValueError for other lengths,
    for a segment that ends before it starts and for numbers that are not finite.

    >>> truth = Segments.of([("v1", 0, 10, "jump"), ("v1", 20, 30, "run")])
    >>> truth.segment.tolist(), truth.label.tolist(), len(truth)
    ([[0.0, 10.0], [20.0, 30.0]], ['jump', 'run'], 2)
    """

    video: np.ndarray
    segment: np.ndarray
    label: np.ndarray
    score: np.ndarray

    def __post_init__(self) -> None:
        rows = len(self.video)
        if self.segment.shape != (rows, 2) or self.label.shape != (rows,) or self.score.shape != (rows,):
            raise ValueError(
                f"segment, label and score must have one row per video, got video ({rows},), segment "
                f"{self.segment.shape}, label {self.label.shape}, score {self.score.shape}"
            )
        finite = np.isfinite(self.segment).all(1) & np.isfinite(self.score)
        wrong = np.flatnonzero(~finite | (self.segment[:, 1] < self.segment[:, 0]))
        if len(wrong):
            row = wrong[0]
            raise ValueError(
                f"segment and score must be finite with start <= end, got segment {self.segment[row].tolist()} and "
                f"score {self.score[row]} for video {str(self.video[row])!r} (row {row})"
            )

    def __len__(self) -> int:
        return len(self.video)

    @staticmethod
    def of(rows: Sequence[tuple]) -> Segments:
        """Segments from rows (video, start, end), (video, start, end, label) or (video, start, end, label, score)."""
        return Segments.columns(
            [row[0] for row in rows],
            [row[1:3] for row in rows],
            [row[3] if len(row) > 3 else "" for row in rows],
            [row[4] if len(row) > 4 else 0.0 for row in rows],
        )

    @staticmethod
    def columns(video: ArrayLike, segment: ArrayLike, label: ArrayLike, score: ArrayLike) -> Segments:
        """Segments from four sequences of equal length, converted to the types above."""
        return Segments(
            np.asarray(video, dtype=str),
            np.asarray(segment, dtype=np.float64).reshape(-1, 2),
            np.asarray(label, dtype=str),
            np.asarray(score, dtype=np.float64),
        )

    def take(self, rows: np.ndarray) -> Segments:
        """The given rows (indices or a mask), in that order."""
        return Segments(self.video[rows], self.segment[rows], self.label[rows], self.score[rows])

    def by_video(self) -> dict[str, Segments]:
        """The segments of each video that has any, in their order."""
        rows: dict[str, list[int]] = {}
        for row, video in enumerate(self.video.tolist()):
            rows.setdefault(video, []).append(row)
        return {video: self.take(np.array(own)) for video, own in rows.items()}


def temporal_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of segments (..., 2) in seconds, broadcast; 0…1; 0 where the union has no length.

    >>> temporal_iou(np.array([0.0, 5.5]), np.array([[0.0, 10.0], [5.5, 9.0]])).tolist()
    [0.55, 0.0]
    """
    # The order of the additions is that of ActivityNet's evaluator: a tIoU on a threshold must round to the same side.
    intersection = np.clip(
        np.minimum(first[..., 1], second[..., 1]) - np.maximum(first[..., 0], second[..., 0]), 0, None
    )
    union = (second[..., 1] - second[..., 0]) + (first[..., 1] - first[..., 0]) - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def factorize(*columns: np.ndarray) -> list[np.ndarray]:
    """Integers in place of the columns' strings: equal strings, in whatever column, have equal integers (from 0).

    >>> [column.tolist() for column in factorize(np.array(["b", "a"]), np.array(["c", "b", "b"]))]
    [[1, 0], [2, 1, 1]]
    """
    _, inverse = np.unique(np.concatenate(columns), return_inverse=True)
    return np.split(inverse, np.cumsum([len(column) for column in columns])[:-1])


def complement(spans: Iterable[tuple[float, float]], duration_seconds: float) -> list[tuple[float, float]]:
    """The parts of [0, duration) outside all spans, ascending; spans may overlap, touch and leave the video.

    >>> complement([(2, 4), (3, 5), (9, 12)], 10)
    [(0.0, 2), (5, 9)]
    """
    gaps, end = [], 0.0
    for start, stop in sorted(spans):
        if min(start, duration_seconds) > end:
            gaps.append((end, min(start, duration_seconds)))
        end = max(end, stop)
    return [*gaps, (end, duration_seconds)] if duration_seconds > end else gaps


def beyond(segments: ArrayLike, duration_seconds: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Which segments (N, 2) lie outside their video, and which only reach beyond it: bool (N,) each.

    The same everywhere: training and the localiser drop the former and clip the latter, evaluation only counts them. An
    unknown duration, NaN, has no end.

    >>> [found.tolist() for found in beyond([[2, 4], [9, 12], [10, 11], [-3, 1], [-3, 0]], 10.0)]
    [[False, False, True, False, True], [False, True, False, True, False]]
    """
    start, end = np.asarray(segments, np.float64).reshape(-1, 2).T
    duration = np.asarray(duration_seconds, np.float64)
    outside = (start >= duration) | ((end <= 0) & (end > start))
    return outside, ~outside & ((start < 0) | (end > duration))


def inside(segments: Segments, duration_seconds: float) -> tuple[Segments, Counter[str]]:
    """One video's segments as far as they are in it; how many were "outside the video" or "clipped to the video"."""
    outside, clipped = beyond(segments.segment, duration_seconds)
    kept = segments.take(~outside)
    span = np.clip(kept.segment, 0.0, duration_seconds if duration_seconds > 0 else None)
    counts = Counter({"outside the video": int(outside.sum()), "clipped to the video": int(clipped.sum())})
    return Segments(kept.video, span, kept.label, kept.score), +counts


def cut(
    published: Segments,
    duration_seconds: float,
    *,
    clip_seconds: float = CLIP_SECONDS,
    background: Background = "complement",
) -> tuple[Segments, Counter[str]]:
    """The usable segments of one video, actions before background, and what was done to the published ones.

    Actions are clipped to [0, duration) and dropped if nothing, or less than one clip, is left. Background (label "")
    is what no action covers (short and ambiguous ones cover, too), again without pieces shorter than a clip; or, with
    "file", the published background, clipped likewise.

    The counts: "action" and "background" kept; "action too short", "background too short" and "outside the video"
    dropped; "clipped to the video" of those kept.

    >>> published = Segments.of([("v", 2, 4, "dive"), ("v", 3.5, 4.2, "swim"), ("v", 9, 12, "dive")])
    >>> kept, counts = cut(published, 10.0, clip_seconds=1.0)
    >>> kept.segment.tolist(), kept.label.tolist()
    ([[2.0, 4.0], [9.0, 10.0], [0.0, 2.0], [4.2, 9.0]], ['dive', 'dive', '', ''])
    >>> sorted(counts.items())
    [('action', 2), ('action too short', 1), ('background', 2), ('clipped to the video', 1)]
    """
    rows = list(zip(published.segment.tolist(), published.label.tolist()))
    actions = [row for row in rows if row[1]]
    if background == "complement":
        rest = [(gap, "") for gap in complement([(start, end) for (start, end), _ in actions], duration_seconds)]
    else:
        rest = [row for row in rows if not row[1] and background == "file"]
    kept, counts = [], Counter[str]()
    for (first, last), label in [*(row for row in actions if row[1] != AMBIGUOUS), *rest]:
        kind = "action" if label else "background"
        start, end = max(first, 0.0), min(last, duration_seconds)
        outside, clipped = (bool(each[0]) for each in beyond((first, last), duration_seconds))
        if outside:
            counts["outside the video"] += 1
        elif end <= start or end - start < clip_seconds - SLACK:
            counts[f"{kind} too short"] += 1
        else:
            counts[kind] += 1
            counts["clipped to the video"] += clipped
            kept.append((published.video[0] if len(published) else "", start, end, label))
    return Segments.of(kept), +counts
