"""Run the benchmarks one after another: `python -m benchmarks [NAMES…] [--device cpu|cuda] [--out DIR]`.

A single one is given its own options, too: `python -m benchmarks transitions --threads 1 --rounds 3`.

`python -m benchmarks sass` measures nothing: it reads what the GPU's kernels are compiled to (benchmarks/sass.py).

A benchmark is a file with `main(argv)`; each writes one JSON per device. One that fails is reported, and the others go
on; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import torch

from . import common, videos

# those that may be cut short last
QUESTIONS = ("render", "training", "feed", "edits", "transitions", "decode", "windows")
BY_NAME = ("scale",)  # which is not asked for with the others: minutes, and 1.5 GB of files


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all done, 1 one failed, 2 wrong usage."""
    given = sys.argv[1:] if argv is None else list(argv)
    if given[:1] == ["sass"]:
        return importlib.import_module(".sass", __package__).main(given[1:])  # needs CuPy
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAMES", help=f"of {', '.join(QUESTIONS)} (default: all), {BY_NAME[0]}"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    parser.add_argument("--videos", type=Path, metavar="DIR", help="of videos, made once and kept (default: made anew)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="of the JSON files (default: benchmarks/results)")
    args, own = parser.parse_known_args(given)
    names = args.names or QUESTIONS
    if unknown := [name for name in names if name not in QUESTIONS + BY_NAME]:
        parser.error(f"NAMES must be of {', '.join(QUESTIONS + BY_NAME)}, got {unknown[0]}")
    if own and len(names) != 1:
        parser.error(f"options of a benchmark need its name alone before them, got {' '.join(own)}")
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda needs a CUDA device")
    if args.videos:
        os.environ[videos.READY] = str(args.videos.resolve())
    if args.out:
        os.environ[common.RESULTS] = str(args.out.resolve())  # a benchmark may start another process
    failed = [name for name in names if not run(name, args.device, own)]
    print(f"{len(names) - len(failed)} of {len(names)} benchmarks done" + "".join(f"; failed: {n}" for n in failed))
    return 1 if failed else 0


def run(name: str, device: str, own: Sequence[str] = ()) -> bool:
    """Whether the benchmark went through, with options of its own."""
    print(f"== {name}, {device}", flush=True)
    begin, threads = time.perf_counter(), torch.get_num_threads()
    try:
        status = importlib.import_module(f".{name}", __package__).main(["--device", device, *own])
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        status = error.code if isinstance(error, SystemExit) else 1
    finally:
        torch.set_num_threads(threads)
    print(f"== {name}, {device}: {'failed' if status else 'done'}, {time.perf_counter() - begin:.0f} s", flush=True)
    return not status


if __name__ == "__main__":
    sys.exit(main())
