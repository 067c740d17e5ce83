"""Videos edited by a third renderer, moviepy, over clips that training never saw, and their boundaries.csv.

A script of its own, for an environment that has moviepy 2 (its pins of Pillow and others differ from ours) and nothing
of this project: `python benchmarks/shots/moviepy_edits.py --clips clips/held --out FOLDER`. `compare --truth FOLDER`
then measures. An effect of n frames begins at progress 0: of them n − 1 are mixed.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np

FPS, SIZE = 30, (128, 72)
LENGTH = 60  # frames of a clip that are used
SIDES = ("left", "right", "top", "bottom")
KINDS = ("crossfade", "fade_black", "fade_white", "fade_out", "fade_in", *(f"slide_in_{side}" for side in SIDES))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--clips", type=Path, required=True, help="folder of a scene each, as benchmarks.shots.sources writes it")
    add("--out", type=Path, required=True)
    add("--videos", type=int, default=30)
    add("--shots", type=int, default=8, help="of a video (default %(default)s)")
    add("--seed", type=int, default=0)
    args = parser.parse_args()
    clips = sorted(args.clips.glob("*/*.mp4"))
    args.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(args.videos):
        rng = np.random.default_rng((args.seed, number))
        chosen = [clips[i] for i in rng.choice(len(clips), args.shots, replace=False)]
        name = f"moviepy_{number:03d}"
        rows += [(name, *row) for row in edited(rng, chosen, args.out / f"{name}.mp4")]
    with open(args.out / "boundaries.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("video", "first", "last", "type"), *rows])


def edited(rng: np.random.Generator, paths: list[Path], path: Path) -> list[tuple[int, int, str]]:
    """Write the video; its boundaries."""
    from moviepy import CompositeVideoClip, ImageSequenceClip, VideoFileClip, vfx

    rows: list[tuple[int, int, str]] = []
    shown: list[Any] = []
    begin = 0
    for k, each in enumerate(paths):
        with VideoFileClip(str(each), audio=False) as file:
            frames = [file.get_frame(min(i / FPS, file.duration - 1 / FPS)) for i in range(LENGTH)]
        clip = ImageSequenceClip(frames, fps=FPS)
        if k:
            kind = str(rng.choice(KINDS)) if rng.random() >= 0.4 else "cut"
            n = int(rng.integers(4, 25))
            if kind == "cut":
                begin += LENGTH
                rows.append((begin, begin, kind))
            elif kind == "crossfade" or kind.startswith("slide"):  # over the end of the clip before
                effect = vfx.CrossFadeIn(n / FPS) if kind == "crossfade" else vfx.SlideIn(n / FPS, kind.split("_")[2])
                begin += LENGTH - n
                clip = clip.with_effects([effect])
                rows.append((begin + 1, begin + n - 1, kind))
            else:  # the clip before to a colour, this one from it
                color = [255] * 3 if kind == "fade_white" else [0] * 3
                begin += LENGTH
                first = last = begin
                if kind != "fade_in":
                    shown[-1] = shown[-1].with_effects([vfx.FadeOut(n / FPS, color)])
                    first = begin - n + 1
                if kind != "fade_out":
                    clip = clip.with_effects([vfx.FadeIn(n / FPS, color)])
                    last = begin + n - 1
                rows.append((first, last if kind != "fade_out" else begin - 1, kind))
        shown.append(clip.with_start(begin / FPS))
    whole = CompositeVideoClip(shown, size=SIZE)
    options = ["-crf", str(int(rng.integers(18, 34)))]
    whole.write_videofile(str(path), fps=FPS, codec="libx264", audio=False, ffmpeg_params=options, logger=None)
    return rows


if __name__ == "__main__":
    main()
