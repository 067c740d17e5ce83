"""The annotated actions of videos, by video id."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .annotations import read_entries


def read_actions(file: str | Path) -> dict[str, NDArray[np.float64]]:
    """video id without a leading "v_" → float64 (G, 2) actions as published; background rows are left out."""
    found = {}
    for entry in read_entries(file):
        spans = [row[:2] for row in entry.rows if row.label is not None]
        found[plain(entry.video)] = np.array(spans, np.float64).reshape(-1, 2)
    return found


def plain(video: str) -> str:
    """The id of a video as annotations have it: without folders and a leading "v_"."""
    return video.rpartition("/")[2].removeprefix("v_")
