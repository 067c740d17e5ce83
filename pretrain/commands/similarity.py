"""Cosine similarity of all clips of a video, with the true actions (TSP, Figure 2).

Takes what `extract` wrote, one picture row per set of features (say, before and after training) and one column per
video. Green lines are the annotated actions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..common.cli import Parser, command, next_step, prog
from ..data.annotations import read_actions
from ..data.formats import file_id
from ..features.store import Features
from ..reports.self_similarity import draw

EXAMPLES = ["--features before after --annotations truth.json --out similarity.png"]


@command("similarity")
def main(argv: Sequence[str] | None = None) -> int:
    """Write the picture; 0 done, 1 failed, 2 wrong usage."""
    parser = Parser(prog=prog("similarity"), description=__doc__, examples=EXAMPLES)
    add = parser.add_argument
    add("--features", nargs="+", required=True, metavar="PATH", help="folders or HDF5 files written by extract")
    add("--annotations", required=True, metavar="FILE", help="ActivityNet JSON, THUMOS14, TSP's CSV or ours")
    add("--video", nargs="+", metavar="NAME", help="default: the first one that is annotated and in all features")
    add("--out", required=True, metavar="FILE.png", help="picture; .pdf and .svg work too")
    add("--rows", type=int, default=1000, help="the most clips per video, evenly thinned out (default %(default)s)")
    args = parser.parse_args(argv)
    if args.rows < 2:
        parser.error(f"--rows must be ≥ 2, got {args.rows}")
    sets = {path: Features(path) for path in args.features}
    actions = read_actions(args.annotations)
    common = [name for name in next(iter(sets.values())) if all(name in each for each in sets.values())]
    videos = args.video or [name for name in common if len(actions.get(file_id(name), ()))][:1]
    if not videos:
        raise ValueError(f"--annotations must have an action in a video that has features, got none in {len(common)}")
    for video in videos:
        missing = [path for path, each in sets.items() if video not in each]
        if missing:
            raise ValueError(f"--video must have features in every set, {video!r} has none in {missing[0]}")
    draw(sets, videos, actions, Path(args.out), rows=args.rows)
    print(args.out)
    next_step(
        "localize", "--features", args.features[-1], "--annotations", args.annotations, "--out", "detections.json"
    )
    return 0
