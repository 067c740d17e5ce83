"""Samples of the task shots on the preview page."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import gpuaug

from ...data.dataset import Dataset
from ...shots.boundaries import FAMILIES, runs
from ..card import Card, Source, rows, seconds


def cards(
    batch: gpuaug.Batch, pictures_NTYXC: NDArray[np.uint8], names: dict[int, Source], dataset: Dataset
) -> list[Card]:
    """A card per sample: its boundaries in words, before anything happens to the pictures."""
    found = []
    new, inside, jump, family = (batch.target[name].numpy() for name in ("new", "inside", "jump", "family"))
    for n, frames in enumerate(pictures_NTYXC):
        spans = runs(inside[n] > 0)
        words = [f"{FAMILIES[family[n, a]]} {a}…{b}" for a, b in spans]
        words += [f"cut {t}" for t in np.flatnonzero((new[n] > 0) & (inside[n] == 0))]
        words += [f"jump {t}" for t in np.flatnonzero(jump[n])]
        at = np.flatnonzero((new[n] > 0) | (jump[n] > 0))
        span = (spans[0][0], spans[0][1] + 1) if spans else None
        note = ", ".join(words) or "no boundary"
        first = int(at[0]) if len(at) else -1
        title, plan = f"{len(at)} boundaries", rows(batch.plan, [n])
        named, times = {slot: source.text for slot, source in names.items()}, seconds(plan, names)
        found.append(Card(title, frames, plan, named, times, note=note, boundary=first, span=span))
    return found
