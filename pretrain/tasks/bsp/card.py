"""BSP's samples on the preview page."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import gpuaug

from ...data.dataset import Dataset
from ..card import Card, rows
from .task import KINDS

MEANING = {"dc": "different class", "sc": "same class", "ds": "different speed", "ss": "same speed"}


def cards(
    batch: gpuaug.Batch, pictures_NTYXC: NDArray[np.uint8], names: dict[int, str], dataset: Dataset
) -> list[Card]:
    """A card per sample: the kind of boundary, and a red line before the first frame that belongs to something new."""
    found = []
    kinds, boundaries, actions = (batch.target[name].tolist() for name in ("kind", "boundary", "action"))
    for n, (kind, boundary, action) in enumerate(zip(kinds, boundaries, actions)):
        title = f"{KINDS[kind]}: {MEANING[KINDS[kind]]}"
        note = f"boundary at frame {boundary}" if boundary >= 0 else "no boundary"
        if action >= 0:
            note += f"; action {dataset.classes[action]}"
        found.append(Card(title, pictures_NTYXC[n], rows(batch.plan, [n]), names, note=note, boundary=boundary))
    return found
