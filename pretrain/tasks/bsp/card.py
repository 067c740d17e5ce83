"""BSP's samples on the preview page."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import gpuaug

from ...data.dataset import Dataset
from ..card import Card, Source, rows, seconds
from .task import KINDS

MEANING = {
    "dc": "cross-fade to a clip of another class",
    "sc": "cut to another clip of the same class",
    "ds": "the speed changes",
    "ss": "one clip at one speed",
}


def cards(
    batch: gpuaug.Batch, pictures_NTYXC: NDArray[np.uint8], names: dict[int, Source], dataset: Dataset
) -> list[Card]:
    """A card per sample: the kind of boundary, and a red line before the first frame that belongs to something new."""
    found = []
    kinds, boundaries, actions = (batch.target[name].tolist() for name in ("kind", "boundary", "action"))
    for n, (kind, boundary, action) in enumerate(zip(kinds, boundaries, actions)):
        name, plan = KINDS[kind], rows(batch.plan, [n])
        title = f"{MEANING[name]} ({name})"
        note = f"boundary before frame {boundary + 1}" if boundary >= 0 else "no boundary"
        if action >= 0:
            note += f"; action {dataset.classes[action]}"
        times = seconds(plan, names)
        named = {slot: source.text for slot, source in names.items()}
        found.append(Card(title, pictures_NTYXC[n], plan, named, times, kind=name, note=note, boundary=boundary))
    return found
