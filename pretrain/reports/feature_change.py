"""How much features change where actions start and end, and elsewhere: the numbers of BSP's Figure 4.

Used by figures.py, run_report.py and the command report; imports features and data.
Legend: T snippets of a video, P pairs of consecutive snippets, F features, B boundaries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from ..data.formats import file_id
from ..features.store import Features


class Auc(NamedTuple):
    """Area under the ROC curve with a 95 % interval (Hanley and McNeil 1982, which takes pairs as independent)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Differences:
    """Absolute differences of the unit-length features of consecutive snippets.

    Attributes:
        change_P: float64, mean over the features of each pair.
        boundary_P: bool, whether an action starts or ends between the two snippets' middles.
        at_boundary_F, elsewhere_F: mean over the pairs of either kind; NaN where there is none.
        videos: how many videos they come from.
        left_out: a line for each video whose features cannot be used.
    """

    change_P: NDArray[np.float64]
    boundary_P: NDArray[np.bool_]
    at_boundary_F: NDArray[np.float64]
    elsewhere_F: NDArray[np.float64]
    videos: int
    left_out: list[str] = field(default_factory=list)

    @property
    def auc(self) -> Auc:
        """How well the change alone tells boundaries from the rest; 0.5 is chance."""
        return auc(self.change_P, self.boundary_P)


def differences(features: Features, actions: Mapping[str, NDArray[np.float64]]) -> Differences:
    """The differences in all videos that have both features and annotations.

    Args:
        features: of snippets; where these overlap only every so many are taken that they do not.
        actions: of `read_actions`: start and end of every action in seconds, by video.

    Errors (ValueError): no pair of snippets, or not both kinds of pairs.
    """
    change, boundary, left_out = [], [], []
    total = np.zeros((2, 0))
    for name in tqdm(features, "features", unit="video", leave=False, delay=2.0, disable=None):
        if file_id(name) not in actions:
            continue
        try:
            rows_TF, center_T = _snippets(features, name, total.shape[1])
        except (OSError, ValueError, EOFError) as error:
            left_out.append(f"{name}: {error}")
            continue
        change_PF = np.abs(np.diff(unit(rows_TF), axis=0))
        if not len(change_PF):
            continue
        at_P = crossed(center_T, actions[file_id(name)].ravel())
        change.append(change_PF.mean(1))
        boundary.append(at_P)
        part = np.stack([change_PF[at_P].sum(0), change_PF[~at_P].sum(0)])
        total = total + part if total.size else part
    if not change and left_out:
        raise ValueError(f"features must be readable, got none of {len(left_out)}, the first is {left_out[0]}")
    if not change:
        got, needed = next(iter(actions), "none"), next(iter(features))
        raise ValueError(f"annotations must be of videos with features, got {got} …, but features of {needed} …")
    change_P, boundary_P = np.concatenate(change), np.concatenate(boundary)
    counts = np.array([boundary_P.sum(), (~boundary_P).sum()])
    if not counts.all():
        what = "elsewhere" if counts[1] else "at boundaries"
        raise ValueError(
            f"features must have snippets at boundaries and elsewhere, all {counts.max()} pairs are {what}"
        )
    at_F, elsewhere_F = total / counts[:, None]
    return Differences(change_P, boundary_P, at_F, elsewhere_F, len(change), left_out)


def _snippets(features: Features, name: str, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Features (T, F) of snippets that do not overlap, and the times of their middles. `width`: F, if not 0."""
    grid = features.grid(name)
    apart = -(-grid.clip // grid.stride)
    rows_TF = features[name].astype(np.float64)
    if rows_TF.ndim != 2 or width not in (0, rows_TF.shape[1]):
        raise ValueError(f"features must be (T, {width or 'F'}), got shape {rows_TF.shape}")
    if not np.isfinite(rows_TF).all():
        raise ValueError(f"features must be finite, got {rows_TF[~np.isfinite(rows_TF)][0]}")
    return rows_TF[::apart], features.center_seconds(name, len(rows_TF))[::apart]


def crossed(center_T: NDArray[np.float64], boundary_B: ArrayLike) -> NDArray[np.bool_]:
    """bool (T − 1,): does a boundary lie between the times of snippets p and p + 1? At the latter, it does.

    >>> crossed(np.array([1.0, 2.0, 3.0, 4.0]), [0.5, 2.0, 3.1]).tolist()
    [True, False, True]
    """
    place_B = np.searchsorted(center_T, np.asarray(boundary_B, np.float64)) - 1
    inside_B = place_B[(place_B >= 0) & (place_B < len(center_T) - 1)]
    found = np.zeros(max(0, len(center_T) - 1), bool)
    found[inside_B] = True
    return found


def unit(rows_TF: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every row divided by its norm; rows of zeros stay."""
    norm_T1 = np.linalg.norm(rows_TF, axis=1, keepdims=True)
    return np.asarray(rows_TF / np.where(norm_T1 > 0, norm_T1, 1))


def auc(score: ArrayLike, positive: ArrayLike) -> Auc:
    """Probability that a positive has a higher score than a negative, equal scores counting half.

    Errors (ValueError): not both kinds, a score that is not finite.

    >>> [round(float(x), 3) for x in auc([0.1, 0.4, 0.35, 0.8], [False, False, True, True])]
    [0.75, 0.208, 1.0]
    """
    score_N, positive_N = np.asarray(score, np.float64), np.asarray(positive, bool)
    m, n = int(positive_N.sum()), int((~positive_N).sum())
    if not m or not n:
        raise ValueError(f"positive must have both values, got {m} of {m + n}")
    if not np.isfinite(score_N).all():
        raise ValueError(f"score must be finite, got {score_N[~np.isfinite(score_N)][0]}")
    from sklearn.metrics import roc_auc_score  # here: a second that a report without features does not need

    value = float(roc_auc_score(positive_N, score_N))
    one, two = value / (2 - value), 2 * value**2 / (1 + value)
    variance = (value * (1 - value) + (m - 1) * (one - value**2) + (n - 1) * (two - value**2)) / (m * n)
    half = 1.96 * max(0.0, variance) ** 0.5
    return Auc(value, max(0.0, value - half), min(1.0, value + half))
