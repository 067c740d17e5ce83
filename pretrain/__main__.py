"""`gpuaug COMMAND`, or `python -m pretrain COMMAND`: a module per command, imported only when it is asked for.

The second form runs a pretrain.py of the working directory instead, where there is one (`python -P -m pretrain` does
not); the program `gpuaug` never does.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Sequence

from .common import interrupt
from .common.cli import next_step, prog

LIBRARY = {
    "doctor": "what this machine has, and what would make it faster",
    "probe": "what is in a folder of videos, as a CSV",
}
GROUPS = {
    "begin": {
        "demo": "toy videos, training and pictures in a few minutes, without any data",
        **LIBRARY,
        "toy": "make toy videos, trimmed and untrimmed, with annotations",
    },
    "pre-train": {
        "preview": "a page that shows what training would see",
        "train": "pre-train an encoder (BSP, PAL, TSP, shots) on a folder of videos",
        "report": "pictures and one HTML page of a run",
    },
    "find shots": {
        "shots": "cuts, transitions and jumps of videos, as lists for programs and editors",
    },
    "edit": {
        "gallery": "an animated page of every kind of transition",
        "synthesise": "edited videos with exact labels, made of a folder of videos",
    },
    "localise actions": {
        "extract": "features of whole videos, for localisation models",
        "localize": "train and test a small localiser on extracted features",
        "evaluate": "metrics of detections, proposals, groundings and steps",
        "similarity": "how alike the clips of a video are (TSP, Figure 2)",
    },
}
FOLDERS = dict.fromkeys(GROUPS["edit"], "edited.")  # where modules lie that are not in commands itself
COMMANDS = {name: text for group in GROUPS.values() for name, text in group.items()}
EXAMPLES = (
    "demo",
    "probe videos -o manifest.csv",
    "preview --task bsp --videos videos --out look",
    "train --task bsp --videos videos --out run",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 done, 1 failed, 2 wrong usage."""
    if argv is None:
        interrupt.install()
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except BaseException as error:
        # while a library is being loaded, a ^C may come out of it as an error of its own
        if not (isinstance(error, KeyboardInterrupt) or interrupt.asked()):
            raise
        print("interrupted", file=sys.stderr)
        return 1


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else 2
    name, *rest = arguments
    if name == "--version":
        import gpuaug

        print(f"gpuaug {gpuaug.__version__}")
        return 0
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"{prog()} --help lists them"
        print(f"{prog()}: there is no command {name!r}; {hint}", file=sys.stderr)
        return 2
    if name in LIBRARY:
        status = int(importlib.import_module("gpuaug.__main__").main(arguments, prog=prog()))
        if name == "probe" and status == 0 and not {"-h", "--help"} & {*rest}:
            next_step("preview", "--task", "TASK", "--videos", "VIDEOS", "--out", "look")
        return status
    try:
        command = importlib.import_module(f"{__package__ or 'pretrain'}.commands.{FOLDERS.get(name, '')}{name}")
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        if missing in ("gpuaug", "pretrain") or os.environ.get("GPUAUG_TRACEBACK"):
            raise
        print(f"{name}: needs {missing}, which is not installed: pip install 'gpuaug[pretrain]'", file=sys.stderr)
        return 1
    return int(command.main(rest) or 0)


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"usage: {prog()} COMMAND [--help] …", f"       {prog()} --version"]
    for title, group in GROUPS.items():
        lines += ["", f"{title}:", *(f"  {name:{width}}  {text}" for name, text in group.items())]
    lines += ["", "examples:", *(f"  {prog()} {example}" for example in EXAMPLES)]
    return "\n".join([*lines, "", f"{prog()} COMMAND --help tells more, with units and defaults."])


if __name__ == "__main__":
    sys.exit(main())
