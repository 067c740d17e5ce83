"""Videos edited by another renderer, ffmpeg's xfade, over clips that training never saw, and their boundaries.csv.

`compare --truth OUT` then measures. xfade begins at progress 0: of its n frames the first is still the first clip
alone, so that n − 1 frames are mixed.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pretrain.common.cli import Failed, command
from pretrain.common.files import atomic, new_text

from .sources import FPS

SIDES, CORNERS = ("left", "right", "up", "down"), ("tl", "tr", "bl", "br")
# Kinds of xfade that the package has too (docs/transitions.md) → the detector's families.
KINDS = {
    **dict.fromkeys(("fade", "dissolve"), "dissolve"),
    **dict.fromkeys(("fadeblack", "fadewhite"), "fade"),
    **{f"{way}{side}": "wipe" for way in ("wipe", "smooth") for side in SIDES},
    **{f"diag{corner}": "wipe" for corner in CORNERS},
    **dict.fromkeys(("vertopen", "vertclose", "horzopen", "horzclose"), "wipe"),
    **{f"{way}{side}": "push" for way in ("slide", "cover", "reveal") for side in SIDES},
    **dict.fromkeys(("zoomin", "squeezeh", "squeezev"), "zoom"),
    **dict.fromkeys(("circleopen", "circleclose", "radial"), "shape"),
}
# Kinds that only xfade has.
OTHERS = (
    *(f"wipe{corner}" for corner in CORNERS),
    *("circlecrop", "rectcrop", "distance", "fadegrays", "fadefast", "fadeslow", "pixelize", "hblur"),
    *("hlslice", "hrslice", "vuslice", "vdslice", "hlwind", "hrwind", "vuwind", "vdwind"),
)
LENGTH = 60  # frames of a clip that are used


@command("foreign")
def main(argv: Sequence[str] | None = None) -> None:
    """0 done, 1 failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shots.foreign", description=__doc__)
    add = parser.add_argument
    add("--clips", type=Path, required=True, help="folder of a scene each, as sources writes it (OUT/held)")
    add("--out", type=Path, required=True)
    add("--videos", type=int, default=60)
    add("--shots", type=int, default=16, help="of a video (default %(default)s)")
    add("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    clips = sorted(args.clips.glob("*/*.mp4"))
    if len(clips) < args.shots:
        raise Failed(f"--clips must hold at least {args.shots} clips, {args.clips} has {len(clips)}")
    rows = []
    for number in tqdm(range(args.videos), "videos"):
        rng = np.random.default_rng((args.seed, number))
        chosen = [clips[i] for i in rng.choice(len(clips), args.shots, replace=False)]
        name = f"xfade_{number:03d}"
        rows += [(name, *row) for row in _edited(rng, chosen, args.out / f"{name}.mp4")]
    with new_text(args.out / "boundaries.csv") as file:
        csv.writer(file, lineterminator="\n").writerows([("video", "first", "last", "type"), *rows])


def _edited(rng: np.random.Generator, clips: list[Path], path: Path) -> list[tuple[int, int, str]]:
    """Write the video; its boundaries."""
    import imageio_ffmpeg

    words, graph, rows = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error"], [], []
    for k, clip in enumerate(clips):
        words += ["-i", str(clip)]
        cut = f"fps={FPS},tpad=stop_mode=clone:stop_duration=2,trim=end_frame={LENGTH},setpts=PTS-STARTPTS"
        graph.append(f"[{k}:v]{cut},settb=1/{FPS},format=yuv420p,setsar=1[c{k}]")
    total, last = LENGTH, "c0"
    for k in range(1, len(clips)):
        if rng.random() < 0.4:
            graph.append(f"[{last}][c{k}]concat=n=2:v=1,settb=1/{FPS}[v{k}]")
            rows.append((total, total, "cut"))
            total += LENGTH
        else:
            kind = str(rng.choice([*KINDS, *OTHERS]))
            length = int(rng.integers(4, 31))
            begin = total - length
            graph.append(
                f"[{last}][c{k}]xfade=transition={kind}:duration={length / FPS:.9f}:offset={begin / FPS:.9f},"
                f"settb=1/{FPS}[v{k}]"
            )
            rows.append((begin + 1, total - 1, kind))
            total = begin + LENGTH
        last = f"v{k}"
    with atomic(path) as part:
        made = [*words, "-filter_complex", ";".join(graph), "-map", f"[{last}]", "-crf", str(int(rng.integers(18, 34)))]
        subprocess.run([*made, "-r", str(FPS), "-f", "mp4", str(part)], check=True)
    return rows


if __name__ == "__main__":
    sys.exit(main(None))
