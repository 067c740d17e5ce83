"""ffmpeg's own transitions (its filter xfade) beside ours: which are the same, and by how much they differ.

`python -m support.xfade`, from tests, prints the table of docs/transitions.md.
"""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from gpuaug import Plan, render
from gpuaug.transitions import transition

FRAMES, HEIGHT, WIDTH = 8, 768, 1024  # steps are whole pixels, and numbers that ffmpeg's floats have exactly
LEVELS = 2


class Pair(NamedTuple):
    """A kind of ffmpeg's and what of ours is compared with it; `late`: its progress is 1.5 p − 0.25, cut off."""

    kind: str
    soft: bool = False  # softness 1, a smooth edge
    late: bool = False
    differs: str = ""  # why the definitions are not the same
    hard: bool = False  # an edge, which may lie a pixel off


PAIRS = {"fade": Pair("dissolve")}
PAIRS |= {f"wipe{to}": Pair(f"wipe_{to}", hard=True) for to in ("left", "right", "up", "down")}
PAIRS |= {f"slide{to}": Pair(f"push_{to}") for to in ("left", "right", "up", "down")}
PAIRS |= {f"cover{to}": Pair(f"cover_{to}") for to in ("left", "right", "up", "down")}
PAIRS |= {f"reveal{to}": Pair(f"reveal_{to}") for to in ("left", "right", "up", "down")}
PAIRS |= {f"smooth{to}": Pair(f"wipe_{to}", soft=True) for to in ("left", "right", "up", "down")}
PAIRS |= {f"circle{way}": Pair(f"circle_{way}", soft=True, late=True) for way in ("open", "close")}
PAIRS |= {f"vert{way}": Pair(f"barn_{way}_horizontal", soft=True) for way in ("open", "close")}
PAIRS |= {f"horz{way}": Pair(f"barn_{way}_vertical", soft=True) for way in ("open", "close")}
PAIRS |= {
    "dissolve": Pair("noise_dissolve", differs="another noise"),
    "fadeblack": Pair("fade_black", differs="smooth steps that overlap, ours are linear and meet at the colour"),
    "fadewhite": Pair("fade_white", differs="as fadeblack"),
    "radial": Pair("clock", soft=True, differs="turns 1.25 times, with an edge of a radian"),
    "squeezeh": Pair("squeeze_vertical", differs="nearest pixels, ours are means"),
    "squeezev": Pair("squeeze_horizontal", differs="nearest pixels, ours are means"),
    "zoomin": Pair("zoom_in", differs="zooms without end in the first half, dissolves in the second"),
    "diagtl": Pair("wipe_down_right", soft=True, differs="the product of x and y, ours is their sum"),
    "diagbr": Pair("wipe_up_left", soft=True, differs="as diagtl"),
    "diagtr": Pair("wipe_down_left", soft=True, differs="as diagtl"),
    "diagbl": Pair("wipe_up_right", soft=True, differs="as diagtl"),
}
ABSENT = {
    "circlecrop, rectcrop": "to black and back by a shape: two transitions",
    "distance, fadefast, fadeslow": "depend on the values of pixels",
    "fadegrays": "mixes the channels of each clip",
    "pixelize": "mosaics of pictures; our mosaic is of the time of change",
    "hblur": "blurs; whip_left blurs along a movement",
    "hlslice … vdslice, hlwind … vdwind": "fields that move with time",
    "wipetl … wipebr": "rectangles that grow from a corner; our diagonal wipes are lines",
}


def pictures(seed: int) -> np.ndarray:
    """uint8 (FRAMES + 1, HEIGHT, WIDTH, 3): smooth, moving, of all values."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    t = np.arange(FRAMES + 1)[:, None, None]
    found = np.empty((FRAMES + 1, HEIGHT, WIDTH, 3))
    for c in range(3):
        a, b, phase = rng.uniform(0.01, 0.05), rng.uniform(0.01, 0.05), rng.uniform(0, 6)
        found[..., c] = 127.5 + 127.5 * np.sin(a * y + b * x + 0.1 * t + phase)
    return found.round().astype(np.uint8)


def ffmpeg_xfade(ffmpeg: str, name: str, first: np.ndarray, second: np.ndarray, folder) -> np.ndarray:
    """What the filter makes of two clips, frame i at progress i / FRAMES."""
    files = [folder / "first.raw", folder / "second.raw"]
    for file, clip in zip(files, (first, second)):
        file.write_bytes(clip[..., [1, 2, 0]].transpose(0, 3, 1, 2).tobytes())  # planes of green, blue, red
    raw = ["-f", "rawvideo", "-pix_fmt", "gbrp", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(FRAMES)]
    inputs = [part for file in files for part in (*raw, "-i", str(file))]
    filters = f"[0][1]xfade=transition={name}:duration=1:offset=0,format=gbrp"
    command = [ffmpeg, "-v", "error", *inputs, "-filter_complex", filters, "-f", "rawvideo", "-"]
    out = subprocess.run(command, check=True, capture_output=True).stdout
    frames = np.frombuffer(out, np.uint8).reshape(-1, 3, HEIGHT, WIDTH).transpose(0, 2, 3, 1)[..., [2, 0, 1]]
    return frames[: FRAMES + 1]


def ours(pair: Pair, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """float64 of the same shape: frame 0 before the transition, frame j its j-th."""
    clips = [Plan.take(0, range(FRAMES + 1)), Plan.take(1, range(1, FRAMES + 1))]
    look = {"softness": 1.0, "edge": "smooth"} if pair.soft else {}
    plan = transition(*clips, pair.kind, length=FRAMES + 1, start=1, duration=FRAMES, **look)
    if pair.late:
        progress = np.clip(1.5 * plan.layers.progress - 0.25, 0, 1)
        plan = replace(plan, layers=replace(plan.layers, progress=progress))
    bank = torch.from_numpy(np.stack([first, second]))
    return render(bank, plan, size=(HEIGHT, WIDTH), layout="NTHWC")[0].double().numpy() * 255


def difference(pair: Pair, theirs: np.ndarray, shown: np.ndarray) -> tuple[float, float]:
    """The largest difference in levels where p > 0, and the share of pixels left out: a line at an edge."""
    apart = np.abs(theirs[1:].astype(np.float64) - shown[1:]).max(-1)
    band = np.zeros(apart.shape, bool)
    if pair.hard:
        across = pair.kind in ("wipe_left", "wipe_right")
        lines = (apart > LEVELS).any(1 if across else 2)  # columns, or rows
        assert lines.sum(1).max() <= 1, "more than one line of pixels differs"
        band |= lines[:, None, :] if across else lines[:, :, None]
    return float(apart[~band].max()), float(band.mean())


def rows(ffmpeg: str, folder) -> list[str]:
    """The table's rows, one for each kind of ffmpeg's."""
    first, second = pictures(0), pictures(1)
    found = ["| ffmpeg xfade | here | largest difference, of 255 | |", "|---|---|---|---|"]
    for name, pair in PAIRS.items():
        worst, band = difference(pair, ffmpeg_xfade(ffmpeg, name, first, second, folder), ours(pair, first, second))
        note = pair.differs or (f"beside one line of pixels at the edge ({100 * band:.2f} %)" if band else "")
        look = ", softness 1, smooth edge" * pair.soft + ", p′ = 1.5 p − 0.25" * pair.late
        found.append(f"| {name} | {pair.kind}{look} | {worst:.1f} | {note} |")
    return [*found, *(f"| {name} | – | – | {why} |" for name, why in ABSENT.items())]


if __name__ == "__main__":
    import tempfile
    from pathlib import Path

    import imageio_ffmpeg

    with tempfile.TemporaryDirectory() as place:
        print("\n".join(rows(imageio_ffmpeg.get_ffmpeg_exe(), Path(place))))
