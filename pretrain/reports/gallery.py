"""Pictures of every kind of transition: one animated page, and a strip for each as PNG files by family.

Used by the command gallery; imports samples and gpuaug. Legend: N kinds, T frames, Y X picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import gpuaug
from gpuaug.transitions import FAMILIES, KINDS, NAMES

from ..common.files import atomic
from .samples import PAGES, jpeg_uri, save_page, webp_uri

BEFORE, LASTS, AFTER = 5, 16, 6  # frames of the first clip, of a transition, of the second one
FRAMES = BEFORE + LASTS + AFTER
MORE = 8  # of a clip, that a jump leaves out
LONG = FRAMES + MORE
SHOWN = tuple(BEFORE + j - 1 for j in (3, 6, 8, 10, 13))  # frames of a strip: progress j/16
RATE = 15.0  # frames/s, of the clips and of the page
SIZE, STRIP = (90, 160), (36, 64)  # rows and columns, on the page and in a strip
LOOKS: dict[str, Any] = {
    "angle": 20,
    "number": 6,
    "color": (0.45, 0.1, 0.5),
    "softness": 0.05,
    "skip": MORE,
    "rate": 0.25,
}


@dataclass(frozen=True)
class Shown:
    """A kind in motion: frames uint8 (T, Y, X, 3), and what is said of it."""

    name: str
    note: str
    frames_TYXC: NDArray[np.uint8]

    @property
    def strip(self) -> NDArray[np.uint8]:
        """(Y, 5·X + gaps, 3): five of the frames side by side."""
        return beside(self.frames_TYXC[list(SHOWN)])


def drawn(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Two clips of plain shapes, uint8 (2, LONG, Y, X, 3): the moon over hills, a ball over the sea."""
    return np.stack([np.stack([_picture(clip, t / LONG, size) for t in range(LONG)]) for clip in range(2)])


def read(paths: Iterable[str], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The middle of each video, uint8 (2, LONG, Y, X, 3). Errors (ValueError): one cannot be read."""
    clips = []
    for path in paths:
        video = gpuaug.probe([path], progress=False).videos[0]
        if video.error is not None:
            raise ValueError(f"{path} cannot be used: {video.error}")
        scale = max(size[0] / video.height, size[1] / video.width)
        fit = max(size[0], round(video.height * scale)), max(size[1], round(video.width * scale))
        begin = max(0.0, (video.duration_seconds - LONG / RATE) / 2)
        with gpuaug.Decoder("cpu", fit, backend="pyav", threads=1) as decoder:
            (frames,), failures = decoder.decode([gpuaug.Window(path, begin, RATE, LONG, edge="repeat")])
        if frames is None:
            raise ValueError(f"{path} cannot be used: {failures[0].reason}")
        top, left = (fit[0] - size[0]) // 2, (fit[1] - size[1]) // 2
        clips.append(frames[:, top : top + size[0], left : left + size[1]].numpy())
    return np.stack(clips)


def shown(clips: NDArray[np.uint8]) -> dict[str, list[Shown]]:
    """Every kind by family, over two clips (2, LONG, Y, X, 3)."""
    size = (clips.shape[2], clips.shape[3])
    first, second = (gpuaug.Plan.take(clip, range(clips.shape[1])) for clip in range(2))
    plan = gpuaug.edits.transition(
        first,
        second,
        NAMES,
        length=FRAMES,
        start=BEFORE,
        duration=[0 if name in ("cut", "jump") else LASTS for name in NAMES],
        luma=_luma(size),
        **LOOKS,
    )
    frames = gpuaug.render(torch.from_numpy(clips), plan, size=size, dtype=torch.uint8, layout="NTHWC").numpy()
    of = dict(zip(NAMES, frames))
    return {
        family: [Shown(name, ", ".join(KINDS[name].draws), of[name]) for name in kinds]
        for family, kinds in FAMILIES.items()
    }


def write_gallery(path: Path, lead: str, families: dict[str, list[Shown]]) -> None:
    """Write the page; every picture is inside the file."""
    sections = [
        {
            "name": family,
            "kinds": [
                {
                    "name": kind.name,
                    "note": kind.note,
                    "moving": webp_uri(kind.frames_TYXC, 60, round(1000 / RATE)),
                    "still": jpeg_uri(kind.frames_TYXC[SHOWN[2]], 75),
                    "strip": jpeg_uri(kind.strip, 70),
                }
                for kind in kinds
            ],
        }
        for family, kinds in families.items()
    ]
    page = PAGES.get_template("gallery.html.j2").render(title="Transitions", lead=lead, families=sections, size=SIZE)
    save_page(path, page)


def write_strips(folder: Path) -> list[Path]:
    """Write FAMILY.png for every family, with a strip for each kind, of the drawn clips; returns the files."""
    files = []
    for family, kinds in shown(drawn(STRIP)).items():
        rows = [_named(kind.name, kind.strip) for kind in kinds]
        path = folder / f"{family}.png"
        with atomic(path) as part:
            Image.fromarray(np.concatenate(rows)).save(part, "PNG", optimize=True)
        files.append(path)
    return files


def beside(frames_TYXC: NDArray[np.uint8], gap: int = 2) -> NDArray[np.uint8]:
    """The frames in a row, with white between them."""
    t, y, x, c = frames_TYXC.shape
    row = np.full((y, t * (x + gap) - gap, c), 255, np.uint8)
    for k, frame in enumerate(frames_TYXC):
        row[:, k * (x + gap) : k * (x + gap) + x] = frame
    return row


def _named(name: str, strip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The strip under its name."""
    line = Image.new("RGB", (strip.shape[1], 16), "white")
    ImageDraw.Draw(line).text((0, 3), name, (29, 37, 48))
    return np.concatenate([np.asarray(line), strip, np.full((4, strip.shape[1], 3), 255, np.uint8)])


def _luma(size: tuple[int, int]) -> NDArray[np.float64]:
    """A time map of one's own: a wave that runs from the left."""
    y, x = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]), indexing="ij")
    return x + 0.12 * np.sin(9 * y)


def _picture(clip: int, t: float, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A frame at t in [0, 1], drawn four times as large and averaged."""
    w, h = 4 * size[1], 4 * size[0]
    image = Image.new("RGB", (w, h), [(24, 52, 92), (244, 196, 120)][clip])
    draw = ImageDraw.Draw(image)
    if clip == 0:
        x, y, r = w * (0.2 + 0.6 * t), h * (0.42 - 0.2 * np.sin(np.pi * t)), h * 0.14
        draw.ellipse((x - r, y - r, x + r, y + r), (250, 244, 214))
        draw.polygon([(0, h), (0, h * 0.75), (w * 0.3, h * 0.5), (w * 0.62, h), (0, h)], (42, 96, 92))
        draw.polygon([(w * 0.35, h), (w * 0.75, h * 0.58), (w, h * 0.8), (w, h)], (58, 128, 104))
    else:
        draw.rectangle((0, h * 0.68, w, h), (38, 120, 150))
        x, y, r = w * (0.8 - 0.6 * t), h * (0.6 - 0.35 * abs(np.sin(2 * np.pi * t))), h * 0.16
        draw.ellipse((x - r, y - r, x + r, y + r), (204, 54, 44))
        draw.pieslice((x - r, y - r, x + r, y + r), 360 * t - 30, 360 * t + 30, (252, 250, 246))
    return np.asarray(image.resize(size[::-1], Image.Resampling.BOX))
