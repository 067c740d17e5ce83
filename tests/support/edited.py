"""Sources for edited videos whose pixels say which source and frame they are, and the command over them.

A picture: the upper half has the source's colour, the lower one is brighter with every frame.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import av
import numpy as np

import gpuaug
from pretrain.commands.edited import synthesise

RATE, HEIGHT, WIDTH = 20, 32, 48
SMALL = ["--size", str(HEIGHT), str(WIDTH), "--fps", str(RATE), "--seconds", "3", "4"]
COLORS = [(220, 30, 30), (30, 200, 40), (40, 40, 230), (220, 220, 40), (210, 60, 220), (30, 210, 220), (128, 128, 128)]
VIDEOS = 8  # made in most tests


def picture(source, frame, size=(HEIGHT, WIDTH)):
    pixels = np.empty((*size, 3), np.uint8)
    pixels[: size[0] // 2], pixels[size[0] // 2 :] = COLORS[source], 2 * frame + 10
    return pixels


def make_clips(folder):
    """A video for each colour, of several sizes, in two classes."""
    for k in range(len(COLORS)):
        (folder / f"class{k % 2}").mkdir(exist_ok=True)
        size = [(HEIGHT, WIDTH), (HEIGHT, 2 * WIDTH), (2 * HEIGHT, WIDTH), (48, 72)][k % 4]
        frames = (picture(k, i, size) for i in range(100))
        gpuaug.write_video(folder / f"class{k % 2}" / f"{k}.mp4", frames, RATE, options={"qp": "4"})
    return folder


def run(clips, out, *flags, count=VIDEOS):
    return synthesise.main([str(clips), "-o", str(out), "--count", str(count), *SMALL, *flags])


def run_alone(*arguments):
    raise SystemExit(run(*arguments))


def whole(folder: Path) -> dict[str, bytes]:
    """Every file that has its name; a video with its labels, or neither, counts."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            found[str(path.relative_to(folder))] = path.read_bytes()
            if path.suffix == ".json":
                json.loads(path.read_text())
                if path.parent != folder:
                    assert path.with_suffix(".mp4").exists()
                    assert path.with_suffix(".csv").exists()
            elif path.suffix == ".mp4":
                decoded(path)
    return found


def read(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def decoded(path):
    with av.open(str(path)) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])
