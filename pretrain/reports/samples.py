"""One self-contained HTML page of samples: frames, where each comes from, and the target.

Legend: N samples, C channels, T frames, Y X picture, K taps.
"""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

import gpuaug

from ..common.files import new_text, readable, sweep
from ..data.dataset import Dataset
from ..tasks.card import Card, Source

COLORS = ("#2f63a8", "#a85c00", "#2d7a4d", "#a8353a", "#6c4a96", "#55627a")  # of clips, in order of appearance
WIDTH, HEIGHT = 104, 34  # of a frame on the page, and of the bars below it, in CSS pixels
MOVING, FRAME_MS = 208, 200  # width of the moving picture in CSS pixels, and how long it shows a frame

PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates"), encoding="utf-8"),
    autoescape=True,  # of every value: names of files and classes come from anywhere
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Bar(NamedTuple):
    """What part of an output frame a source frame is, in CSS pixels."""

    frame: int
    x: float
    y: float
    height: float
    color: str
    text: str  # "" where there is no room
    label: str


def write_page(
    path: Path, title: str, lead: str, cards: Sequence[Card], skipped: Sequence[tuple[str, str]] = ()
) -> None:
    """Write the page; every picture is inside the file. `skipped`: (file, reason) of what was left out."""
    shown = []
    for card in cards:
        colors = {clip: COLORS[i % len(COLORS)] for i, clip in enumerate(_in_order(card.plan))}
        shown.append((card, colors, list(_bars(card, colors))))
    page = PAGES.get_template("samples.html.j2").render(
        title=title,
        lead=lead,
        cards=shown,
        kinds=Counter(card.kind for card in cards if card.kind),
        width=WIDTH,
        height=HEIGHT,
        moving=MOVING,
        rate=1000 / FRAME_MS,
        palette=COLORS,
        skipped=skipped,
    )
    save_page(path, page)


def save_page(path: Path, page: str) -> None:
    """Put the page in place; names in it may be of bytes that are no text."""
    sweep(path)
    with new_text(path) as file:
        file.write(readable(page))


def jpeg_uri(picture_YXC: NDArray[np.uint8], quality: int = 88) -> str:
    """The picture as a JPEG data URI."""
    buffer = io.BytesIO()
    Image.fromarray(picture_YXC).save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def webp_uri(frames_TYXC: NDArray[np.uint8], quality: int = 75, ms: int = FRAME_MS) -> str:
    """The frames in motion, each for `ms`, again and again, as a WebP data URI."""
    first, *others = map(Image.fromarray, frames_TYXC)
    buffer = io.BytesIO()
    first.save(buffer, "WEBP", save_all=True, append_images=others, duration=ms, loop=0, quality=quality)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


PAGES.filters |= {"jpeg": jpeg_uri, "webp": webp_uri}


def _in_order(plan: gpuaug.Plan) -> list[int]:
    """Clip ids in the order in which they first appear with weight."""
    seen = plan.clip[plan.weight > 0]
    _, first = np.unique(seen, return_index=True)
    return seen[np.sort(first)].tolist()


def _bars(card: Card, colors: dict[int, str]) -> Iterator[Bar]:
    """Per output frame, one bar per source clip as high as its weight, with the time in the source's video."""
    plan = card.plan
    _, length, taps = plan.shape
    for t in range(length):
        top = 0.0
        for k in range(taps):
            weight = float(plan.weight[0, t, k])
            if weight == 0:
                continue
            height = weight * HEIGHT
            share = f"{weight:.2f}"  # what rounds to the whole is shown as it
            text = f"{card.seconds_TK[t, k]:.2f} s" + ("" if share == "1.00" else f" × {share}")
            clip, room = int(plan.clip[0, t, k]), height >= 10
            yield Bar(
                t, t * (WIDTH + 2), top, height, colors[clip], text if room else "", f"{card.names[clip]} at {text}"
            )
            top += height


def pictures(clips_NCTYX: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> NDArray[np.uint8]:
    """uint8 (N, T, Y, X, C): the clips as they were before normalisation."""
    shape = (1, -1, 1, 1, 1)
    value = clips_NCTYX.float() * torch.tensor(std).reshape(shape) + torch.tensor(mean).reshape(shape)
    return (value.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 4, 1).numpy()


def window_names(bank: gpuaug.ClipBank, plan: gpuaug.Plan, dataset: Dataset) -> dict[int, Source]:
    """slot → file and class of its window, and its times; of what the plan shows, which may be used up by now."""
    found = {}
    for slot in np.unique(plan.clip[plan.clip >= 0]).tolist():
        row = bank.info[slot]
        label = dataset.classes[row["label"]] if row["label"] >= 0 else "no label"
        file = Path(dataset.videos[row["video"]].path).name
        found[slot] = Source(f"{file}: {label}", float(row["start_seconds"]), float(row["fps"]))
    return found
