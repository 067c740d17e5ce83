"""One self-contained page of a run, with its pictures also as PNG files.

Training curves, held-out accuracies and confusion matrices, how fast it was and what limited it, the configuration;
with features and annotations of untrimmed videos also Figure 4 of BSP.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..common.cli import Parser, command, next_step, prog
from ..data.annotations import read_actions
from ..features.store import Features
from ..reports.feature_change import Differences, differences
from ..reports.run_files import read_run
from ..reports.run_report import named, write
from ..reports.verdict import markdown

EXAMPLES = ("run", "run other --out both.html", "run --markdown", "run --features features --annotations truth.json")


@command("report")
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 done, 1 failed, 2 wrong usage."""
    parser = Parser(prog=prog("report"), description=__doc__, examples=EXAMPLES)
    add = parser.add_argument
    add("run", type=Path, nargs="+", metavar="RUN", help="run folder of `train`; others are compared with the first")
    add("--markdown", action="store_true", help="print the runs' numbers and what they mean as Markdown, write no page")
    add("--features", nargs="+", metavar="PATH", help="Figure 4: what `extract` wrote, one or more encoders to compare")
    add("--annotations", metavar="FILE", help="of the same videos: ActivityNet JSON, THUMOS14, TSP's CSV or ours")
    add(
        "--out",
        type=Path,
        metavar="FILE",
        help="default RUN/report.html, with pictures in RUN/figures; else in NAME_figures beside NAME.html",
    )
    args = parser.parse_args(argv)
    if bool(args.features) != bool(args.annotations):
        parser.error("--features and --annotations belong together")
    run, *others = args.run
    if args.markdown:
        print(markdown(named(args.run, [read_run(each) for each in args.run])), end="")
        return 0
    sets: dict[str, Differences] = {}
    if args.features:
        actions = read_actions(args.annotations)
        short = [Path(path).name for path in args.features]
        names = short if len(set(short)) == len(short) else args.features
        sets = {name: differences(Features(path), actions) for name, path in zip(names, args.features)}
    print(write(run, args.out or run / "report.html", sets, others))
    if not sets:
        next_step("extract", "--checkpoint", run, "--videos", "VIDEOS", "--out", "features")
    return 0
