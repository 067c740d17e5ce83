"""Which prediction is matched with which ground truth of its video and class.

Legend of the shape suffixes: P predictions, G ground truths, M pairs of both from the same video (and class).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Ties = Literal["later", "earlier"]


def descending(score_P: np.ndarray, ties: Ties) -> np.ndarray:
    """Row numbers from the greatest score to the smallest; among equal scores the "later" or the "earlier" row first.

    "later" is what `argsort()[::-1]` of ActivityNet's evaluator amounts to (up to its unstable sort).

    >>> [descending(np.array([0.5, 0.9, 0.5]), ties).tolist() for ties in ("later", "earlier")]
    [[1, 2, 0], [1, 0, 2]]
    """
    if ties == "later":
        return np.argsort(score_P, kind="stable")[::-1]
    if ties == "earlier":
        return np.argsort(-score_P, kind="stable")
    raise ValueError(f"ties must be 'later' or 'earlier', got ties={ties!r}")


def pairs(key_P: np.ndarray, key_G: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of a prediction and a ground truth with the same integer key: (prediction (M,), truth (M,)) rows.

    >>> [column.tolist() for column in pairs(np.array([7, 5, 7]), np.array([5, 7, 7]))]
    [[0, 0, 1, 2, 2], [1, 2, 0, 1, 2]]
    """
    order_G = np.argsort(key_G, kind="stable")
    first_P = np.searchsorted(key_G[order_G], key_P, "left")
    count_P = np.searchsorted(key_G[order_G], key_P, "right") - first_P
    prediction_M = np.repeat(np.arange(len(key_P)), count_P)
    within_M = np.arange(len(prediction_M)) - np.repeat(np.cumsum(count_P) - count_P, count_P)
    return prediction_M, order_G[first_P[prediction_M] + within_M]


def greedy_match(
    prediction_M: np.ndarray, truth_M: np.ndarray, iou_M: np.ndarray, rank_P: np.ndarray, truths: int
) -> np.ndarray:
    """The ground truth that each prediction takes, (P,) int64, −1 for none, from the admissible pairs alone.

    Predictions choose in the order of rank_P (0 first, no two equal): each takes the ground truth with the greatest
    tIoU among those not yet taken, the later row if two are equal. That choice one after another is also the one
    stable matching when every ground truth prefers the lower rank, so it is found by rounds over all predictions at
    once: everyone asks for the best that has not refused them, every ground truth keeps the best rank that asked.

    >>> one, two = np.array([0, 0]), np.array([0, 1])  # two predictions want the only ground truth
    >>> greedy_match(two, one, np.array([0.6, 0.9]), rank_P=two, truths=1).tolist()
    [0, -1]
    """
    taken_P = np.full(len(rank_P), -1)
    order = np.lexsort((-truth_M, -iou_M, prediction_M))
    truth_M = truth_M[order]
    asking_A, first_A, count_A = np.unique(prediction_M[order], return_index=True, return_counts=True)
    rank_A, asked_A = rank_P[asking_A], np.zeros(len(asking_A), np.int64)
    held_G, best_G = np.full(truths, -1), np.full(truths, len(rank_P))
    free = np.arange(len(asking_A))
    while len(free):
        wanted = truth_M[first_A[free] + asked_A[free]]
        np.minimum.at(best_G, wanted, rank_A[free])
        won = best_G[wanted] == rank_A[free]
        displaced = held_G[wanted[won]]
        held_G[wanted[won]] = free[won]
        free = np.concatenate([free[~won], displaced[displaced >= 0]])
        asked_A[free] += 1
        free = free[asked_A[free] < count_A[free]]
    taken_P[asking_A[held_G[held_G >= 0]]] = np.flatnonzero(held_G >= 0)
    return taken_P
