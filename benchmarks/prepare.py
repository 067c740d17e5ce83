"""The videos of the GPU's benchmarks, made before the GPU is there: `python -m benchmarks.prepare DIR`

`python -m benchmarks --videos DIR` then uses them as they are.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from . import decode, training, videos, windows


def main(argv: Sequence[str] | None = None) -> int:
    """Make what is missing; exit status 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prepare", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="made where it is missing")
    os.environ[videos.READY] = str(parser.parse_args(argv).folder.resolve())
    with videos.dataset(training.FILES["cuda"]):  # the feed's, too
        pass
    for kind in decode.CUDA:
        with decode.made(*kind, videos.FRAMES):
            pass
    with windows.made(windows.FRAMES):
        pass
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
