"""One animated page of every kind of transition, over two videos of yours or two drawn ones.

Below each kind stand five of its frames, its name, and the parameters that change it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from gpuaug.transitions import FAMILIES, NAMES

from ...common.cli import Failed, Parser, command, prog
from ...common.files import readable
from ...reports.gallery import SIZE, drawn, read, shown, write_gallery, write_strips


@command("gallery")
def main(argv: Sequence[str] | None = None) -> int:
    """Write OUT/gallery.html; 0 done, 1 failed, 2 wrong usage."""
    parser = Parser(prog=prog("gallery"), description=__doc__, examples=["-o look", "first.mp4 second.mp4 -o look"])
    add = parser.add_argument
    add("videos", nargs="*", metavar="VIDEO", help="two videos, of which the middle is shown; without them drawn ones")
    add("-o", "--out", required=True, type=Path, metavar="DIR", help="folder of the page")
    add("--strips", type=Path, metavar="DIR", help="also a PNG for each family, of the drawn clips, as the docs have")
    args = parser.parse_args(argv)
    if len(args.videos) not in (0, 2):
        parser.error(f"VIDEO must be two videos or none, got {len(args.videos)}")
    for folder in filter(None, (args.out, args.strips)):
        if folder.exists() and not folder.is_dir():
            raise Failed(f"{folder} must be a folder, and is a file")
    families = shown(read(args.videos, SIZE) if args.videos else drawn(SIZE))
    clips = " and ".join(readable(Path(video).name) for video in args.videos) or "two drawn clips"
    lead = f"{len(NAMES)} kinds in {len(FAMILIES)} families, over {clips}."
    page = args.out / "gallery.html"
    write_gallery(page, lead, families)
    if args.strips:
        print(f"{len(write_strips(args.strips))} strips: {args.strips}")
    print(page)
    print("next: open the page; gpuaug.transition(first, second, kind=…) makes each of them", file=sys.stderr)
    return 0
