"""Toy videos, trimmed and untrimmed, with annotations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..common.cli import Parser, command, next_step, prog
from ..toy.dataset import EASY, HARD, make_actions, make_untrimmed
from ..toy.sprites import CLASSES


@command("toy")
def main(argv: Sequence[str] | None = None) -> None:
    """0 done, 1 failed, 2 wrong usage."""
    parser = Parser(prog=prog("toy"), description=__doc__, examples=["--out toys", "--out toys --hard --videos 40"])
    add = parser.add_argument
    add("--out", required=True, metavar="DIR", help="folder; gets actions/CLASS/*.mp4 … and untrimmed/*.mp4 …")
    add("--classes", type=int, default=8, help=f"motion classes, 1…{len(CLASSES)} (default %(default)s)")
    add("--clips", type=int, default=20, help="trimmed clips of 3–4 s per class; 0: none (default %(default)s)")
    add("--videos", type=int, default=16, help="untrimmed videos of 20–40 s; 0: none (default %(default)s)")
    add("--hard", action="store_true", help="shortcuts by looks, similar backgrounds, speed changes, a distractor")
    add("--seed", type=int, default=0, help="another seed makes other videos (default %(default)s)")
    add("--workers", type=int, help="threads (default: one per core)")
    args = parser.parse_args(argv)
    common: dict[str, Any] = {"seed": args.seed, "classes": args.classes, "workers": args.workers}
    common["style"] = HARD if args.hard else EASY
    if args.clips:
        paths = make_actions(Path(args.out, "actions"), clips_per_class=args.clips, **common)
        print(f"{len(paths)} clips of {args.classes} classes: {Path(args.out, 'actions')}")
    if args.videos:
        path = make_untrimmed(Path(args.out, "untrimmed"), videos=args.videos, **common)
        print(f"{args.videos} untrimmed videos: {path}")
    if args.clips:
        next_step("preview", "--task", "bsp", "--videos", Path(args.out, "actions"), "--out", "look")
