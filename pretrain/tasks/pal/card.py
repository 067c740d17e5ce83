"""PAL's samples on the preview page. Legend: N samples, J clips of a composite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import gpuaug

from ...data.dataset import Dataset
from ..card import Card, Source, rows, seconds


def cards(
    batch: gpuaug.Batch, pictures_NTYXC: NDArray[np.uint8], names: dict[int, Source], dataset: Dataset
) -> list[Card]:
    """Two cards per pair, the query's above the key's: the middle frame of each clip, the aligned region underlined."""
    target = {name: value.cpu().numpy() for name, value in batch.target.items()}
    clips, frames = target["video"].shape[1], batch.plan.shape[1] // target["video"].shape[1]
    middle = np.arange(clips) * frames + frames // 2
    plan = batch.plan.at(middle)
    pairs = plan.shape[0] // 2
    video_NJ1 = target["video"][:, :, None]
    by_video = gpuaug.Plan(np.where(plan.weight > 0.5, video_NJ1, video_NJ1[:, :1]), plan.time, plan.weight)
    found = []
    for n in (part + pair for pair in range(pairs) for part in (0, pairs)):
        start, stop = int(target["start"][n]), int(target["stop"][n])
        first, last = target["source"][n, [start, stop - 1]]
        action, background = (Path(dataset.videos[target["video"][n, j]].path).name for j in (start, 0))
        named = {int(target["video"][n, start]): f"action, {action}", int(target["video"][n, 0]): background}
        part = "first of the two (query)" if n < pairs else "second (key)"
        title = f"Pair {n % pairs + 1}, {part}: {action} pasted on {background}"
        own, place = _span("clip", first, last), _span("", start, stop - 1)
        note = f"its {own} in place of {place}, {target['opacity'][n]:.0%} opaque (β)"
        picture, sample = pictures_NTYXC[n, middle], rows(by_video, [n])
        times = seconds(rows(plan, [n]), names)
        found.append(Card(title, picture, sample, named, times, kind="composite", note=note, span=(start, stop)))
    return found


def _span(word: str, first: int, last: int) -> str:
    """Clips as a reader counts them, from 1.

    >>> _span("clip", 2, 2), _span("clip", 0, 3), _span("", 0, 3)
    ('clip 3', 'clips 1 to 4', '1 to 4')
    """
    many = f"{word}s " if word else ""
    return f"{word} {first + 1}".strip() if first == last else f"{many}{first + 1} to {last + 1}"
