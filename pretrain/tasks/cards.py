"""What preview shows of a batch, task by task: the samples' frames, where they come from, and their targets.

Legend: N samples, T frames, Y X picture, C channels, J clips of a composite.
"""

from __future__ import annotations

import html
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import gpuaug

from ..data.dataset import Dataset
from ..feed.feed import Batch
from .bsp.task import KINDS
from .card import COLORS, WIDTH, Card

MEANING = {"dc": "different class", "sc": "same class", "ds": "different speed", "ss": "same speed"}
SHOWN = 8  # frames of a TSP clip on the page


def bsp(batch: Batch, pictures_NTYXC: NDArray[np.uint8], names: dict[int, str], dataset: Dataset) -> list[Card]:
    """A card per sample: the kind of boundary, and a red line before the first frame that belongs to something new."""
    cards = []
    kinds, boundaries, actions = (batch.target[name].tolist() for name in ("kind", "boundary", "action"))
    for n, (kind, boundary, action) in enumerate(zip(kinds, boundaries, actions)):
        title = f"{KINDS[kind]}: {MEANING[KINDS[kind]]}"
        note = f"boundary at frame {boundary}" if boundary >= 0 else "no boundary"
        if action >= 0:
            note += f"; action {dataset.classes[action]}"
        plan = rows(batch.plan, [n])
        cards.append(Card(title, pictures_NTYXC[n], plan, names, note=note, boundary=boundary))
    return cards


def pal(batch: Batch, pictures_NTYXC: NDArray[np.uint8], names: dict[int, str], dataset: Dataset) -> list[Card]:
    """Two cards per pair, the query's above the key's: the middle frame of each clip, the aligned region underlined."""
    target = {name: value.cpu().numpy() for name, value in batch.target.items()}
    clips, frames = target["video"].shape[1], batch.plan.shape[1] // target["video"].shape[1]
    middle = np.arange(clips) * frames + frames // 2
    plan = batch.plan.at(middle)
    pairs = plan.shape[0] // 2
    video_NJ1 = target["video"][:, :, None]
    by_video = gpuaug.Plan(np.where(plan.weight > 0.5, video_NJ1, video_NJ1[:, :1]), plan.time, plan.weight)
    cards = []
    for n in (part + pair for pair in range(pairs) for part in (0, pairs)):
        start, stop = int(target["start"][n]), int(target["stop"][n])
        first, last = target["source"][n, [start, stop - 1]]
        action, background = (Path(dataset.videos[target["video"][n, j]].path).name for j in (start, 0))
        named = {int(target["video"][n, start]): f"action, {action}", int(target["video"][n, 0]): background}
        title = f"Pair {n % pairs + 1}, {'query' if n < pairs else 'key'}: {action} on {background}"
        note = f"clips {start}…{stop - 1} show clips {first}…{last} of {action}, β = {target['opacity'][n]:.2f}"
        picture, sample = pictures_NTYXC[n, middle], rows(by_video, [n])
        cards.append(Card(title, picture, sample, named, note=note, span=(start, stop)))
    return cards


def tsp(batch: Batch, pictures_NTYXC: NDArray[np.uint8], names: dict[int, str], dataset: Dataset) -> list[Card]:
    """A card per clip, with the time line of its video: annotated actions, this clip, and the batch's others of it."""
    target = {name: value.cpu().numpy() for name, value in batch.target.items()}
    span_N2 = np.stack([target["start_seconds"], target["end_seconds"]], 1)
    shown = np.unique(np.linspace(0, batch.plan.shape[1] - 1, SHOWN).round().astype(int))
    cards = []
    for n, (action, video) in enumerate(zip(target["action"].tolist(), target["video"].tolist())):
        title = f"action: {dataset.classes[action]}" if action >= 0 else "background"
        note = f"{Path(dataset.videos[video].path).name}, {span_N2[n, 0]:.2f} … {span_N2[n, 1]:.2f} s"
        line = timeline(dataset, video, span_N2[target["video"] == video], span_N2[n])
        plan = rows(batch.plan, [n]).at(shown)
        cards.append(Card(title, pictures_NTYXC[n, shown], plan, names, note=note, extra=line))
    return cards


CARDS = {"bsp": bsp, "pal": pal, "tsp": tsp}


def rows(plan: gpuaug.Plan, samples: list[int]) -> gpuaug.Plan:
    """The plan of some samples."""
    return gpuaug.Plan(plan.clip[samples], plan.time[samples], plan.weight[samples])


def timeline(
    dataset: Dataset, video: int, clips_N2: NDArray[np.float64], this_2: NDArray[np.float64], width: int = SHOWN * WIDTH
) -> str:
    """SVG: the actions of a video as boxes with their names, clips as ticks below them, this one in red.

    Args:
        clips_N2: start and end of every clip to mark, in seconds. this_2: of the one to point out.
    """
    end = dataset.videos[video].duration_seconds
    scale = width / end
    parts = [f'<rect y=14 width={width} height=20 fill="#e4e8ed"/>']
    for segment in dataset.segments:
        if segment.video != video or segment.label < 0:
            continue
        name = html.escape(dataset.classes[segment.label])
        x, w = segment.start_seconds * scale, (segment.end_seconds - segment.start_seconds) * scale
        fill = COLORS[segment.label % len(COLORS)]
        seconds = f"{segment.start_seconds:.2f} … {segment.end_seconds:.2f} s"
        parts.append(
            f"<svg x={x:.1f} y=14 width={w:.1f} height=20><title>{name}, {seconds}</title>"
            f'<rect width="100%" height="100%" fill="{fill}"/><text x=4 y=14 fill="#fff">{name}</text></svg>'
        )
    for start, stop in [*clips_N2.tolist(), this_2.tolist()]:
        this = (start, stop) == tuple(this_2.tolist())
        size = f"width={max(2.0, (stop - start) * scale):.1f} height={8 if this else 5}"
        parts.append(f'<rect class=clip x={start * scale:.1f} y=36 {size} fill="{"#d0112b" if this else "#1d2530"}"/>')
    ends = f'<text y=10>0 s</text><text x={width} y=10 text-anchor="end">{end:.1f} s</text>'
    return f'<svg width={width} height=46 role="img">{ends}{"".join(parts)}</svg>'
