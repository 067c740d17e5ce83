"""Cuts, transitions and jumps of videos, as lists that programs and editors read, and as a page.

For every VIDEO (files, or folders with videos) OUT has NAME.json, .csv, .edl and .otio, and one shots.html for all. A
video that cannot be read is named, and the others are done; the exit status is then 1. --clean writes the shots of all
videos as segments, which train --annotations reads, so that no clip of a training has a cut within.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

import gpuaug

from ..common.cli import Failed, Parser, command, next_step, prog
from ..common.files import local, new_text, readable
from ..reports.contact_sheet import section, write_sheet
from ..shots.detect import Detector
from ..shots.formats import CLEAN, SUFFIXES, clean, write
from ..shots.frames import Source, VideoError


@command("shots")
def main(argv: Sequence[str] | None = None) -> int:
    """0 done, 1 failed or some videos cannot be read, 2 wrong usage."""
    parser = Parser(prog=prog("shots"), description=__doc__)
    add = parser.add_argument
    add("videos", nargs="+", type=Path, metavar="VIDEO", help="files, or folders that are searched")
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the lists and the page")
    add(
        "--weights",
        type=Path,
        metavar="FILE",
        help="run of `train --task shots`, or exported; without it the package's",
    )
    add("--formats", nargs="+", choices=SUFFIXES, default=list(SUFFIXES), help="lists to write (default all)")
    add("--no-page", action="store_true", help="without shots.html")
    add("--shard", type=_shard, default=(0, 1), metavar="I/N", help="only the I-th of N parts of the videos, I from 0")
    add("--device", default="cpu", help="that the network runs on (default %(default)s)")
    add(
        "--clean",
        type=Path,
        metavar="CSV",
        help="also write the shots of all videos as segments for train --annotations, named like their folders",
    )
    add("--least", type=_frames, default=16, metavar="FRAMES", help="of a shot in --clean (default %(default)s)")
    args = parser.parse_args(argv)
    if "otio" in args.formats and importlib.util.find_spec("opentimelineio") is None:
        raise Failed("otio needs opentimelineio (pip install opentimelineio), or --formats without it")
    part, parts = args.shard
    names = _names(args.videos)
    detector = Detector(args.weights, device=args.device)
    sections, failed, whole = [], 0, 0
    segments: list[tuple[str, float, float, str]] = []
    mine = list(names.items())[part::parts]
    for path, name in tqdm(mine, "videos", unit="video", disable=None if len(mine) > 1 else True):
        try:
            if not path.exists():  # else FFmpeg might take it for an address
                raise VideoError(f"there is no such file{local(path)}")
            source = Source(path)
            with tqdm(total=source.expected, desc=readable(path.name), unit="frame", leave=False, disable=None) as bar:
                found = detector(path, pictures=not args.no_page, progress=bar.update)
        except (VideoError, OSError) as error:
            failed += 1
            tqdm.write(f"shots: {readable(str(path))} cannot be read: {readable(str(error))}", file=sys.stderr)
            continue
        for suffix in args.formats:
            write(args.out / f"{name}.{suffix}", str(path), found)
        segments += clean(_told(path, args.videos), path.resolve().parent.name, found, least=args.least)
        whole += not found.boundaries
        if not args.no_page:
            sections.append(section(readable(str(path)), found))
    done = len(mine) - failed
    if done and not args.no_page:
        page = args.out / (f"shots-{part}of{parts}.html" if parts > 1 else "shots.html")
        write_sheet(page, sections)
        print(page)
    if args.clean:
        with new_text(args.clean) as file:
            csv.writer(file, lineterminator="\n").writerows([CLEAN, *segments])
        print(
            f"{args.clean}: {len(segments)} shots; {whole} of {done} videos have no boundary, {done - whole} have some"
        )
    print(f"{done} video{'s' * (done != 1)} done, {failed} cannot be read: {args.out}")
    if done and args.clean:
        folder = args.videos[0] if _one_folder(args.videos) else "VIDEOS"
        words = ("--annotations", args.clean, "--background", "none", "--out", "run")
        next_step("train", "--task", "TASK", "--videos", folder, *words)
    return 1 if failed else 0


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """Every video once → its name in OUT: that of its file, with a number where several have the same."""
    files: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found = gpuaug.probe(path)
            files |= dict.fromkeys(Path(video.path) for video in [*found.usable, *found.failed])
        else:
            files[path] = None
    if not files:
        raise ValueError(f"VIDEO must be files, or folders with videos, found none in {', '.join(map(str, paths))}")
    taken: dict[str, int] = {}
    named: dict[Path, str] = {}
    for path in files:
        count = taken[path.stem] = taken.get(path.stem, 0) + 1
        named[path] = path.stem if count == 1 else f"{path.stem}-{count}"
    return named


def _one_folder(videos: Sequence[Path]) -> bool:
    return len(videos) == 1 and videos[0].is_dir()


def _told(path: Path, videos: Sequence[Path]) -> str:
    """How --clean calls a file: as train finds it, by its place in the one folder of videos, or by its whole path."""
    return os.path.relpath(path, videos[0]) if _one_folder(videos) else os.path.abspath(path)


def _shard(text: str) -> tuple[int, int]:
    part, slash, parts = text.partition("/")
    if not slash or not part.isdecimal() or not parts.isdecimal() or not int(part) < int(parts):
        raise argparse.ArgumentTypeError(f"must be I/N with 0 ≤ I < N, got {text}")
    return int(part), int(parts)


def _frames(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number ≥ 1, got {text}")
    return int(text)
