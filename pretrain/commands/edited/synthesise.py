"""Edited videos made of a folder of videos, with exact labels: cuts, transitions of all kinds, jumps, changes of speed.

Every video of VIDEOS is taken for one shot: films are to be split before (`shots` finds where). OUT gets, in folders of
a thousand, NUMBER.mp4, NUMBER.json (boundaries, their parameters, where every shot is from) and NUMBER.csv
(boundaries); of all, clipshots.json in ClipShots' form and boundaries.csv. A video depends on --seed and its number
alone. The same command goes on where it was stopped; started several times, on one machine or many that share OUT, all
work together, and nothing is made twice. What cannot be read is named, and left out.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from ...common.cli import Failed, Parser, add_flags, command, few, make, next_step, parse, prog
from ...common.files import readable
from ...common.settings import BadSetting, check, required, setting
from ...shots.edits import EditSettings, read_sources
from ...shots.synthesis import CODECS, Collection, has_codec, usual_codec

USUAL = ("videos", "out", "count", "seed", "shard", "size", "fps", "seconds", "codec")
EXAMPLES = (
    "clips -o edited --count 1000",
    "clips -o edited --count 100000 --seed 1 --shard 3/64",
    "clips -o edited --count 50 --size 128 224 --seconds 4 8 --gradual 0.8",
)


@dataclass(frozen=True, kw_only=True)
class SynthesiseSettings:
    """What is made, and which part of it."""

    out: str = required("folder of the videos and their labels", short="-o", metavar="DIR")
    count: int = required("how many videos; a greater one later adds the rest", least=1, most=1_000_000)
    seed: int = setting(0, "another seed makes other videos", least=0)
    shard: str = setting("0/1", "only every N-th of them, from the I-th on, I from 0", metavar="I/N")
    codec: str | None = setting(None, f"of {', '.join(CODECS)}; without it the first that FFmpeg has")
    quality: tuple[int, int] = setting(
        (18, 32), "rate factor, drawn for every video", least=0, most=51, metavar=("BEST", "WORST")
    )

    def __post_init__(self) -> None:
        check(self)
        part, slash, parts = self.shard.partition("/")
        if not (slash and part.isdecimal() and parts.isdecimal() and int(part) < int(parts)):
            raise BadSetting("shard", "I/N with 0 ≤ I < N", self.shard)
        if self.codec is not None and self.codec not in CODECS:
            raise BadSetting("codec", f"one of {', '.join(CODECS)}", self.codec)
        if self.quality[0] > self.quality[1]:
            raise BadSetting("quality", "the lesser number first", f"{self.quality[0]} {self.quality[1]}")


@command("synthesise", goes_on=True)
def main(argv: Sequence[str] | None = None) -> int:
    """0 done, 1 failed, 2 wrong usage."""
    about = {"usual": USUAL, "usage": "VIDEOS [VIDEOS …] -o DIR --count N", "examples": EXAMPLES}
    parser = Parser(prog=prog("synthesise"), description=__doc__, **about)
    parser.add_argument("videos", nargs="+", metavar="VIDEOS", help="files, folders, or CSVs with a column path")
    kinds = {"input and output": SynthesiseSettings, "videos": EditSettings}
    add_flags(parser, kinds)
    values = parse(parser, argv, kinds)
    try:
        settings, edits = make(SynthesiseSettings, values), make(EditSettings, values)
    except ValueError as error:
        parser.error(getattr(error, "flag", str(error)))
    if settings.codec is not None and not has_codec(settings.codec):
        raise Failed(f"this FFmpeg cannot encode {settings.codec}; without --codec it is {usual_codec()}")
    out, (part, parts) = Path(settings.out), (int(number) for number in settings.shard.split("/"))
    if out.exists() and not out.is_dir():
        raise Failed(f"--out must be a folder, got the file {out}")
    sources, left = read_sources(values["videos"], edits)
    for line in few(f"{readable(path)}: {readable(reason)}; left out" for path, reason in left):
        print(line, file=sys.stderr)
    if not sources:
        raise Failed(f"none of {len(left)} videos can be used")
    codec = settings.codec or usual_codec()
    made = Collection(
        out, sources, edits, seed=settings.seed, codec=codec, quality=settings.quality, say=lambda text: tqdm.write(
            readable(text), file=sys.stderr
        )
    )  # fmt: skip
    numbers = range(part, settings.count, parts)
    with tqdm(total=len(numbers), desc="edited videos", unit="video", disable=None) as bar:
        found = made.make(numbers, progress=bar.update)
    done = made.write_lists()
    made.close()
    others = f", {found.others} in the hands of other processes" if found.others else ""
    lost = f"; {len(left) + len(made.unreadable)} sources left out" if left or made.unreadable else ""
    print(f"{found.made} videos made of {len(sources)} sources, {found.there} there already{others}{lost}")
    print(f"{done} of {settings.count} are done: {out / 'clipshots.json'}")
    next_step("shots", out, "--out", "found")
    return 0
