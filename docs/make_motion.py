"""Draws docs/motion.webp: four edits of Big Buck Bunny in motion, each over the plan that it is.

    pip download --no-deps --no-binary :all: moviepy==2.1.2    # in it docs/…/moviepy_10_minutes.zip has bbb.mp4
    python docs/make_motion.py bbb.mp4

Big Buck Bunny is © 2008 Blender Foundation, CC BY 3.0, www.bigbuckbunny.org.
Legend: T frames, Y X picture, C channels.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import gpuaug

STARTS = (106.0, 286.5, 53.0, 396.5)  # seconds into the film: shots without a cut
FRAMES, FPS = 36, 12
HEIGHT, WIDTH = 200, 356
STRIP, TITLE, GAP = 22, 26, 8
FIRST, SECOND, DARK, PAPER = (59, 111, 182), (224, 138, 30), (33, 37, 41), (255, 255, 255)


class Panel(NamedTuple):
    """An edit: what it is called, and its plan of one sample."""

    title: str
    plan: gpuaug.Plan


def panels() -> list[Panel]:
    """Four edits of clips 0 … 3."""
    times = np.arange(float(FRAMES))
    clip = [gpuaug.Plan.take([k], times[None]) for k in range(4)]
    speed = gpuaug.edits.resample_speed(
        gpuaug.Plan.take([2], np.arange(72.0)[None]), length=FRAMES, change_point=18, rate=0.5
    )
    return [
        Panel("crossfade: BSP's dc, the boundary is the target", gpuaug.edits.crossfade(
            clip[0], clip[1], length=FRAMES, center=18, overlap=14)),
        Panel("resample_speed: BSP's ds, half as fast from there on", speed),
        Panel("paste: PAL, an action in another video", gpuaug.edits.paste(
            clip[0], gpuaug.Plan.take([3], times[None, :16]), start=10, stop=26, opacity=0.85)),
        Panel("transition: one of 81 kinds, here star_open", gpuaug.edits.transition(
            clip[1], clip[3], kind="star_open", length=FRAMES, start=10, duration=16)),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film", help="bbb.mp4")
    film = parser.parse_args().film
    windows = [gpuaug.Window(film, start, FPS, 72) for start in STARTS]
    with gpuaug.Decoder("cpu", size=(HEIGHT, WIDTH)) as decoder:
        decoded, failed = decoder.decode(windows)
    if any(failed):
        raise SystemExit(f"{film}: {next(filter(None, failed))}")
    bank = torch.stack([each for each in decoded if each is not None])
    drawn = [movie(panel, gpuaug.blend(bank, panel.plan)[0].numpy()) for panel in panels()]
    pages = []
    for t in range(FRAMES):
        rows = [np.concatenate([drawn[k][t], drawn[k + 1][t]], 1) for k in (0, 2)]
        pages.append(Image.fromarray(np.concatenate(rows, 0)))
    out = Path(__file__).with_name("motion.webp")
    pages[0].save(out, save_all=True, append_images=pages[1:], duration=1000 // FPS, loop=0, quality=60, method=6)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {pages[0].size}")


def movie(panel: Panel, frames_TYXC: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """A picture per output frame: title, frame, and the plan with a cursor."""
    font = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", 13)
    strip = colors(panel.plan)
    pictures = []
    for t, frame_YXC in enumerate(frames_TYXC):
        page = Image.new("RGB", (WIDTH + 2 * GAP, TITLE + HEIGHT + STRIP + GAP), PAPER)
        draw = ImageDraw.Draw(page)
        draw.text((GAP, 5), panel.title, DARK, font)
        page.paste(Image.fromarray(frame_YXC), (GAP, TITLE))
        step, top = WIDTH / FRAMES, TITLE + HEIGHT
        for k, color in enumerate(strip):
            draw.rectangle((GAP + k * step, top + 6, GAP + (k + 1) * step - 2, top + 16), fill=color)
        draw.rectangle((GAP + t * step - 1, top + 2, GAP + (t + 1) * step - 1, top + 20), outline=DARK, width=2)
        pictures.append(np.asarray(page))
    return pictures


def colors(plan: gpuaug.Plan) -> list[tuple[int, ...]]:
    """Of each output frame: blue for the first clip, orange for another, by area; pale where time is slower."""
    area_TK, first = plan.area()[0], plan.clip[0, 0, 0]
    pace_T = np.diff(plan.time[0, :, 0], prepend=plan.time[0, 0, 0] - 1)
    found = []
    for t, area_K in enumerate(area_TK):
        own = area_K[plan.clip[0, t] == first].sum() / area_K.sum()
        mixed = own * np.array(FIRST) + (1 - own) * np.array(SECOND)
        pale = 0.55 if own == 1 and pace_T[t] < 0.75 else 0.0
        found.append(tuple(int(each) for each in np.rint(mixed + pale * (255 - mixed))))
    return found


if __name__ == "__main__":
    main()
