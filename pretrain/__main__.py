"""`python -m pretrain COMMAND`: one module per command, imported only when it is asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "demo": "toy videos, training and pictures in a few minutes, without any data",
    "train": "pre-train an encoder (BSP, PAL, TSP) on a folder of videos",
    "preview": "a page that shows what training would see",
    "extract": "features of whole videos, for localisation models",
    "evaluate": "metrics of detections, proposals, groundings and steps",
    "localize": "train and test a small localiser on extracted features",
    "toy": "make toy videos, trimmed and untrimmed, with annotations",
    "similarity": "how alike the clips of a video are (TSP, Figure 2)",
    "report": "pictures and one HTML page of a run",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 done, 1 failed, 2 wrong usage."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {text}" for name, text in COMMANDS.items()]
    usage = "\n".join(["usage: python -m pretrain COMMAND [--help] …", "", *lines])
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage)
        return 0 if arguments else 2
    name, *rest = arguments
    if name not in COMMANDS:
        print(f"{usage}\n\npretrain: there is no command {name!r}", file=sys.stderr)
        return 2
    return int(importlib.import_module(f"{__package__ or 'pretrain'}.commands.{name}").main(rest) or 0)


if __name__ == "__main__":
    sys.exit(main())
