"""TSP's samples on the preview page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import gpuaug

from ...data.dataset import Dataset
from ..card import Card, Source, Timeline, rows, seconds

SHOWN = 8  # frames of a clip on the page


def cards(
    batch: gpuaug.Batch, pictures_NTYXC: NDArray[np.uint8], names: dict[int, Source], dataset: Dataset
) -> list[Card]:
    """A card per clip, with the timeline of its video: annotated actions, this clip, and the batch's others of it."""
    action_N, video_N, starts, ends = (
        batch.target[name].tolist() for name in ("action", "video", "start_seconds", "end_seconds")
    )
    clip_N = list(zip(starts, ends))
    shown = np.unique(np.linspace(0, batch.plan.shape[1] - 1, SHOWN).round().astype(int))
    found = []
    for n, (action, video, clip) in enumerate(zip(action_N, video_N, clip_N)):
        file = dataset.videos[video]
        title = f"action: {dataset.classes[action]}" if action >= 0 else "background"
        note = f"{Path(file.path).name}, {clip[0]:.2f} … {clip[1]:.2f} s"
        actions = [(s, dataset.classes[s.label]) for s in dataset.segments if s.video == video and s.label >= 0]
        others = [other for m, other in enumerate(clip_N) if video_N[m] == video and m != n]
        timeline = Timeline(file.duration_seconds, actions, clip, others)
        plan = rows(batch.plan, [n]).at(shown)
        named, times = {slot: source.text for slot, source in names.items()}, seconds(plan, names)
        kind = "action" if action >= 0 else "background"
        picture = pictures_NTYXC[n, shown]
        found.append(Card(title, picture, plan, named, times, kind=kind, note=note, timeline=timeline))
    return found
