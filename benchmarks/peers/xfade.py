"""ffmpeg's xfade, a call for each pair of files, as it is used from a shell. Legend: N pairs, T frames, H W picture."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg

NAMES = {
    "wipe_left": "wipeleft",
    "circle_open": "circleopen",
    "dissolve": "fade",
    "push_left": "slideleft",
    "fade_black": "fadeblack",
}


def cross(folder: Path, kinds: list[str], frames: int, side: int) -> None:
    """Make folder/n.out of folder/n.a and folder/n.b for every kind: raw frames, planes of eight bits, all mixed."""
    raw = ["-f", "rawvideo", "-pix_fmt", "gbrp", "-s", f"{side}x{side}", "-r", str(frames)]
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]
    for n, kind in enumerate(kinds):
        given = [*raw, "-i", str(folder / f"{n}.a"), *raw, "-i", str(folder / f"{n}.b")]
        graph = f"xfade=transition={NAMES[kind]}:duration=1:offset=0"
        made = ["-filter_complex", graph, "-f", "rawvideo", "-pix_fmt", "gbrp", str(folder / f"{n}.out")]
        subprocess.run([*program, *given, *made], check=True, stdin=subprocess.DEVNULL)
