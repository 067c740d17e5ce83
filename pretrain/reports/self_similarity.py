"""Temporal self-similarity: cosine similarity of all clips of a video, with the true actions (TSP, Figure 2).

Legend: T rows (clips) of a video, F features, G annotated actions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from ..common.files import atomic, readable
from ..data.formats import file_id
from ..features.store import Features
from .feature_change import unit

GREEN = "#35c75a"


class ActionContrast(NamedTuple):
    """Mean similarity of two clips: both in one action, and one in an action and one in none; NaN without such."""

    inside: float
    across: float


def cosine(rows_TF: NDArray[Any]) -> NDArray[np.float64]:
    """float64 (T, T): cosine of the angle between every two rows; 0 with a row of zeros.

    >>> cosine(np.array([[1.0, 0.0], [3.0, 4.0]])).round(2).tolist()
    [[1.0, 0.6], [0.6, 1.0]]
    """
    if rows_TF.ndim != 2:
        raise ValueError(f"features must be (T, F), one row per clip, got shape {rows_TF.shape}")
    unit_TF = unit(rows_TF.astype(np.float64))
    return np.clip(unit_TF @ unit_TF.T, -1, 1)


def contrast(
    similarity_TT: NDArray[np.float64], center_T: NDArray[np.float64], action_G2: NDArray[Any]
) -> ActionContrast:
    """How alike clips are within an action, and how alike to the background around it.

    Args:
        center_T: the clips' middles in seconds; a clip is in the action that its middle is in.
        action_G2: start and end in seconds, half-open.

    >>> similarity = np.array([[1.0, 0.8, 0.1], [0.8, 1.0, 0.3], [0.1, 0.3, 1.0]])
    >>> contrast(similarity, np.array([0.5, 1.5, 2.5]), np.array([[0.0, 2.0]]))
    ActionContrast(inside=0.8, across=0.2)
    """
    inside_GT = np.asarray((action_G2[:, :1] <= center_T) & (center_T < action_G2[:, 1:]))
    same_TT = (inside_GT[:, :, None] & inside_GT[:, None]).any(0) & ~np.eye(len(center_T), dtype=bool)
    any_T = np.asarray(inside_GT.any(0))
    across_TT = any_T[:, None] & ~any_T
    means = [float(similarity_TT[pairs].mean()) if pairs.any() else float("nan") for pairs in (same_TT, across_TT)]
    return ActionContrast(*means)


def draw(
    sets: Mapping[str, Features],
    videos: Sequence[str],
    actions: Mapping[str, NDArray[np.float64]],
    out: Path,
    *,
    rows: int = 1000,
) -> dict[tuple[str, str], ActionContrast]:
    """Write the picture, a row per set of features and a column per video; the numbers in its titles, by (set, video).

    Green lines are the annotated actions.
    """
    figure = Figure(figsize=(4.4 * len(videos), 4.2 * len(sets)), layout="constrained")
    panels = figure.subplots(len(sets), len(videos), squeeze=False)
    found = {}
    bar = tqdm(total=panels.size, desc="similarity", unit="picture", leave=False, delay=2.0, disable=None)
    for line, (path, features) in zip(panels, sets.items()):
        for panel, video in zip(line, videos):
            bar.update()
            values, center = features[video], features.center_seconds(video)
            step = -(-len(center) // rows)
            similarity = cosine(values[::step])
            center = center[::step]
            action_G2 = actions.get(file_id(video), np.zeros((0, 2)))
            number = found[path, video] = contrast(similarity, center, action_G2)
            half = (center[1] - center[0]) / 2 if len(center) > 1 else 0.5
            low, high = center[0] - half, center[-1] + half
            image = panel.imshow(similarity, extent=(low, high, high, low), cmap="magma", interpolation="nearest")
            figure.colorbar(image, ax=panel, shrink=0.8)
            for start, end in np.clip(action_G2, low, high):
                panel.plot([start, end, end, start, start], [start, start, end, end, start], color=GREEN, lw=1)
                panel.plot([start, end], [high, high], color=GREEN, lw=5, clip_on=False, solid_capstyle="butt")
                panel.plot([low, low], [start, end], color=GREEN, lw=5, clip_on=False, solid_capstyle="butt")
            panel.set(xlim=(low, high), ylim=(high, low), xlabel="seconds")
            panel.set_ylabel(readable(Path(path).name), parse_math=False)
            shown = [("within actions", number.inside), ("to background", number.across)]
            text = ", ".join(f"{name} {value:.2f}" for name, value in shown if np.isfinite(value))
            panel.set_title(f"{readable(video)}\n{text}", size=9, parse_math=False)
    bar.close()
    with atomic(out) as part:
        figure.savefig(part, dpi=120, format=out.suffix[1:] or "png")
    return found
