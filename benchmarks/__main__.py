"""Run the benchmarks one after another: `python -m benchmarks [--device cpu|cuda] [--out DIR] [NAMES…]`.

A benchmark is a file `<question>_<device>.py` with `main(argv)`, or one for either device (`training.py`, here called
`training_<device>`); each writes one JSON. One that fails is reported, and the others go on; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
import traceback
from pathlib import Path

import torch

from . import common

BOTH = ("training",)  # files for either device
ORDER = ("ops", "render", "training", "feed", "decode")  # the questions, those that may be cut short last


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 all done, 1 one failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAMES", help=f"of {', '.join(find('*'))} (default: all of DEVICE)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for the JSON files (default: benchmarks/results)"
    )
    args = parser.parse_args(argv)
    names = args.names or find(args.device)
    if unknown := [name for name in names if name not in find("*")]:
        parser.error(f"NAMES must be of {', '.join(find('*'))}, got {unknown[0]}")
    if not names:
        parser.error(f"there is no benchmark for device {args.device}")
    if any(name.endswith("_cuda") for name in names) and not torch.cuda.is_available():
        parser.error("--device cuda needs a CUDA device")
    if args.out:
        os.environ[common.RESULTS] = str(args.out.resolve())  # a benchmark may start another process
    failed = [name for name in names if not run(name)]
    print(f"{len(names) - len(failed)} of {len(names)} benchmarks done" + "".join(f"; failed: {n}" for n in failed))
    return 1 if failed else 0


def find(device: str) -> list[str]:
    """Names of the benchmark files for a device, or "*"."""
    kinds = ("cpu", "cuda") if device == "*" else (device,)
    own = {p.stem for kind in kinds for p in common.ROOT.glob(f"*_{kind}.py")}
    both = {f"{name}_{kind}" for name in BOTH for kind in kinds}
    return sorted(own | both, key=lambda name: (ORDER.index(name.rpartition("_")[0]), name))


def run(name: str) -> bool:
    """Whether the benchmark went through."""
    question, _, device = name.rpartition("_")
    module, argv = (question, ["--device", device]) if question in BOTH else (name, [])
    print(f"== {name}", flush=True)
    begin, threads = time.perf_counter(), torch.get_num_threads()
    try:
        status = importlib.import_module(f".{module}", __package__).main(argv)
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        status = error.code if isinstance(error, SystemExit) else 1
    finally:
        torch.set_num_threads(threads)
    print(f"== {name}: {'failed' if status else 'done'}, {time.perf_counter() - begin:.0f} s", flush=True)
    return not status


if __name__ == "__main__":
    sys.exit(main())
