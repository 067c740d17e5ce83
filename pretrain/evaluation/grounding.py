"""R@1 and mean IoU of sentence grounding, as LGI or as 2D-TAN count. Legend: N queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

GROUNDING = (0.3, 0.5, 0.7)


class Grounding(NamedTuple):
    """R@1 per threshold, and the mean tIoU, all 0…1."""

    recall: dict[float, float]
    mean_iou: float


def grounding(
    truth: ArrayLike,
    prediction: ArrayLike,
    *,
    convention: Literal["lgi", "2d-tan"] = "lgi",
    thresholds: Sequence[float] = GROUNDING,
    duration_seconds: ArrayLike | None = None,
) -> Grounding:
    """Sentence grounding: fraction of queries whose first prediction reaches the tIoU, and the mean tIoU.

    Args:
        truth: (N, 2) start and end in seconds.
        prediction: (N, 2) likewise: each query's best prediction.
        convention: "lgi": tIoU ≥ threshold (LGI's evaluator). "2d-tan": tIoU > threshold, and the ground truth's end is
            cut to the video's duration (2D-TAN's data set and evaluator).
        duration_seconds: (N,) of the query's video; needed for "2d-tan", not read for "lgi".

    The tIoU of two segments without any common extent is 0, also where the union has no length.

    >>> grounding([[0, 10], [0, 10]], [[0, 10], [5, 10]], thresholds=[0.5])
    Grounding(recall={0.5: 1.0}, mean_iou=0.75)
    >>> grounding([[0, 10], [0, 10]], [[0, 10], [5, 10]], convention="2d-tan", thresholds=[0.5], duration_seconds=10)
    Grounding(recall={0.5: 0.5}, mean_iou=0.75)
    """
    truth_N2, prediction_N2 = as_segments("truth", truth), as_segments("prediction", prediction)
    if len(truth_N2) != len(prediction_N2) or len(truth_N2) == 0:
        raise ValueError(f"prediction must have one segment per query, got {len(prediction_N2)} for {len(truth_N2)}")
    if convention == "2d-tan":
        if duration_seconds is None:
            raise ValueError("duration_seconds must be given for convention='2d-tan', got None")
        truth_N2 = np.minimum(truth_N2, np.reshape(np.asarray(duration_seconds, np.float64), (-1, 1)))
    elif convention != "lgi":
        raise ValueError(f"convention must be 'lgi' or '2d-tan', got convention={convention!r}")
    low, high = np.minimum(prediction_N2, truth_N2), np.maximum(prediction_N2, truth_N2)
    common_N, extent_N = np.clip(low[:, 1] - high[:, 0], 0, None), high[:, 1] - low[:, 0]  # rounds as both tools do
    iou_N = np.divide(common_N, extent_N, out=np.zeros(len(low)), where=extent_N > 0)
    reached = np.greater if convention == "2d-tan" else np.greater_equal
    return Grounding({float(t): float(reached(iou_N, t).mean()) for t in thresholds}, float(iou_N.mean()))


def as_segments(name: str, value: ArrayLike) -> np.ndarray:
    segments = np.asarray(value, np.float64)
    segments = segments.reshape(-1, 2) if segments.size == 0 else segments
    if segments.ndim != 2 or segments.shape[1] != 2 or not np.isfinite(segments).all():
        raise ValueError(f"{name} must be (N, 2) finite seconds, got shape {segments.shape}")
    if (segments[:, 1] < segments[:, 0]).any():
        wrong = segments[segments[:, 1] < segments[:, 0]][0]
        raise ValueError(f"{name} must have start <= end, got {wrong.tolist()}")
    return segments
