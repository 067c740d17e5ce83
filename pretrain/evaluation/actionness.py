"""Step localisation as actionness of short segments: labels and average precision. Legend: N segments."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .grounding import as_segments


def frame_labels(
    steps: ArrayLike, frames: int, *, segment_seconds: float = 0.2, rule: Literal["centre", "any"] = "centre"
) -> np.ndarray:
    """Which of the consecutive segments of a video belong to any step: bool (frames,).

    Segment k covers [k, k + 1)·segment_seconds. CrossTask's actionness protocol (Zhukov et al. 2020, BSP §5) cuts
    videos into segments of 0.2 s; which of them a step "covers" is our choice.

    Args:
        steps: (S, 2) start and end in seconds, half-open, in any order, may overlap; S may be 0.
        frames: number of segments; steps past the last one are cut.
        rule: "centre": the segment's centre is inside a step (ours). "any": the two overlap at all.

    >>> frame_labels([[0.25, 0.5]], 4).tolist(), frame_labels([[0.25, 0.5]], 4, rule="any").tolist()
    ([False, True, False, False], [False, True, True, False])
    """
    if rule not in ("centre", "any"):
        raise ValueError(f"rule must be 'centre' or 'any', got rule={rule!r}")
    steps_S2 = as_segments("steps", steps)[:, None] / segment_seconds  # in units of segments
    start, end = steps_S2[..., 0], steps_S2[..., 1]
    k = np.arange(frames)
    inside = (start <= k + 0.5) & (k + 0.5 < end) if rule == "centre" else (start < k + 1) & (k < end)
    return np.any(inside, axis=0)


def average_precision(truth: ArrayLike, score: ArrayLike) -> float:
    """Step-wise average precision, Σ (R_k − R_{k−1}) P_k over the distinct scores: equal scores enter together.

    That of scikit-learn; no interpolation.

    Args:
        truth: (N,) bool or 0/1, at least one of them 1.
        score: (N,) finite.

    >>> round(average_precision([1, 0, 1, 1, 0, 0, 1, 0], [0.9, 0.8, 0.7, 0.6, 0.6, 0.4, 0.3, 0.1]), 6)
    0.709524
    """
    truth_N, score_N = np.asarray(truth), np.asarray(score, np.float64)
    if truth_N.shape != score_N.shape or truth_N.ndim != 1:
        raise ValueError(f"truth and score must be of one length, got shapes {truth_N.shape} and {score_N.shape}")
    if not np.isin(truth_N, (0, 1)).all() or not truth_N.any():
        raise ValueError("truth must be 0 or 1 with at least one 1, got other values or none")
    if not np.isfinite(score_N).all():
        raise ValueError(f"score must be finite, got {score_N[~np.isfinite(score_N)][0]}")
    from sklearn.metrics import average_precision_score  # here: a second that the other metrics do not need

    return float(average_precision_score(truth_N.astype(bool), score_N))
