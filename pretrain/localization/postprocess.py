"""From the network's maps to scored segments: candidate boundaries, their pairs, soft-NMS. NumPy only.

Legend: T snippets, D durations, P proposals, K kept.
"""

from __future__ import annotations

import numpy as np

from ..data.segments import temporal_iou


def candidates(probability_T: np.ndarray) -> np.ndarray:
    """Boundary positions: local peaks and whatever is above half of the maximum, as in BSN and BMN; int64 ascending.

    >>> candidates(np.array([0.1, 0.2, 0.1, 0.9, 0.6])).tolist()
    [1, 3, 4]
    """
    padded = np.pad(probability_T, 1, constant_values=-np.inf)
    peak = (probability_T > padded[:-2]) & (probability_T > padded[2:])
    return np.flatnonzero(peak | (probability_T > 0.5 * probability_T.max()))


def decode(boundary_2T: np.ndarray, confidence_2DT: np.ndarray, snippets: int) -> tuple[np.ndarray, np.ndarray]:
    """Proposals of one window: segments (P, 2) int64 [s, e) in snippets, e <= snippets, and scores (P,) in 0…1.

    boundary: probability of a start at edge s (row 0) and of an end at edge e (row 1, column e − 1); confidence:
    classification and regression. Score: start · end · √(classification · regression) [BMN].
    """
    durations = confidence_2DT.shape[1]
    start, end = np.meshgrid(candidates(boundary_2T[0]), candidates(boundary_2T[1]) + 1, indexing="ij")
    usable = (end > start) & (end - start <= durations) & (end <= snippets)
    start, end = start[usable], end[usable]
    confidence = np.sqrt(confidence_2DT[:, end - start - 1, start].prod(0))
    return np.stack([start, end], 1), boundary_2T[0, start] * boundary_2T[1, end - 1] * confidence


def soft_nms(
    segments_P2: np.ndarray, scores_P: np.ndarray, *, keep: int = 100, sigma: float = 0.4, threshold: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian soft-NMS (Bodla et al. 2017): rows in the order taken (K,), K <= keep, and their lowered scores (K,).

    The best remaining proposal is taken; every other one that overlaps it by more than `threshold` (tIoU) has its score
    multiplied by exp(−tIoU²/sigma). Defaults: sigma and threshold of BMN on ActivityNet.

    >>> segments = np.array([[0.0, 10.0], [0.0, 9.0], [20.0, 30.0]])
    >>> rows, scores = soft_nms(segments, np.array([0.9, 0.8, 0.5]))
    >>> rows.tolist(), scores.round(3).tolist()
    ([0, 2, 1], [0.9, 0.5, 0.106])
    """
    scores_P = scores_P.astype(np.float64).copy()
    free_P = np.ones(len(scores_P), bool)
    taken, given = [], []
    for _ in range(min(keep, len(scores_P))):
        best = int(np.where(free_P, scores_P, -np.inf).argmax())
        taken.append(best)
        given.append(scores_P[best])
        overlap_P = temporal_iou(segments_P2[best], segments_P2)
        scores_P *= np.where(overlap_P > threshold, np.exp(-(overlap_P**2) / sigma), 1.0)
        free_P[best] = False
    return np.array(taken, np.int64), np.array(given)
