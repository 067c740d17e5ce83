"""What each part of the synthesis is worth: the network trained without it, measured on edits by other renderers.

Every row is trained by the same number of steps from the same seed over the same clips, gets the thresholds that
`choose` finds for it on the same synthesised windows, and is measured on TRUTH as `compare` does. A row that is done is
not made again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pretrain.commands import train
from pretrain.common.cli import Failed, command
from pretrain.common.files import write_json

from . import choose, compare

ROWS = {
    "all": "",
    "dissolves and fades alone": "--families dissolve fade",
    "no partners of similar look": "--similar 0",
    "no runs of short shots": "--dense 0",
    "no hard negatives": "--traps 0 --fast 0",
    "nothing that deployed video has": "--deployed 0 --conversions 0",
    "no jumps": "--jumps 0",
}
TASK = "--task shots --seed 0 --batch 8 --clips-per-segment 8 --reuse-min 300 --reuse-max 100000 --bank-gib 2.5"
TASK += " --threads 1 --dense 0.6 --gradual 0.35 --jumps 0.25 --traps 0.2 --val-batches 0 --quiet"
NAMES = ("f1", "gradual_iou", "jump_recall", "false_per_minute")


@command("ablations")
def main(argv: Sequence[str] | None = None) -> None:
    """0 done, 1 failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shots.ablations", description=__doc__)
    add = parser.add_argument
    add("--clips", type=Path, required=True, help="of `sources`: folders train and held")
    add("--truth", type=Path, nargs="+", required=True, help="folders as `compare` takes them")
    add("--steps", type=int, default=600, help="of every row (default %(default)s)")
    add("--batches", type=int, default=6, help="of `choose` (default %(default)s)")
    add("--rows", nargs="+", choices=list(ROWS), default=list(ROWS), help="(default: all)")
    add("--out", type=Path, required=True, help="folder of the runs, and of ablations.json")
    args = parser.parse_args(argv)
    rows: dict[str, Any] = {}
    for name in args.rows:
        folder = args.out / name.replace(" ", "-")
        told = folder / "told.json"
        if not told.exists():
            write_json(told, made(folder, ROWS[name], args))
        rows[name] = json.loads(told.read_text(encoding="utf-8"))
        print(
            name,
            {place: {n: found[n] for n in NAMES if found.get(n) is not None} for place, found in rows[name].items()},
        )
    write_json(args.out / "ablations.json", {"steps": args.steps, "rows": rows})


def made(folder: Path, flags: str, args: argparse.Namespace) -> dict[str, Any]:
    """Folder of truth → measures, "synthesised" → those that the thresholds were chosen by."""
    data = f"--videos {args.clips}/train --val-videos {args.clips}/held --out {folder} --steps {args.steps}".split()
    again = ["--resume"] if (folder / "config.json").exists() else []
    _succeed(train.main([*TASK.split(), *flags.split(), *data, *again]))
    weights, chosen = folder / "weights.pt", folder / "chosen.json"
    words = [folder / "checkpoint.pt", "--clips", args.clips / "held", "--batches", args.batches, "--out", weights]
    _succeed(choose.main(list(map(str, [*words, "--told", chosen]))))
    told = {"synthesised": json.loads(chosen.read_text(encoding="utf-8"))["checkpoints"]["checkpoint.pt"]}
    for truth in args.truth:
        out = folder / f"{truth.name}.json"
        words = ["--truth", truth, "--only", "ours", "--weights", weights, "--out", out]
        _succeed(compare.main(list(map(str, words))))
        found = json.loads(out.read_text(encoding="utf-8"))["results"]["ours"]
        told[truth.name] = {name: found[name] for name in (*NAMES, "intervals", "found_of_kind") if name in found}
    return told


def _succeed(status: int) -> None:
    if status:
        raise Failed(f"a row failed with status {status}; what is done is kept")


if __name__ == "__main__":
    sys.exit(main(None))
