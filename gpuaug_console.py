"""The program `gpuaug`: runs the gpuaug and the pretrain that were installed with this file, and no others.

A script finds modules of PYTHONPATH before installed ones, and those of an editable installation last of all. A user's
own pretrain.py is likely there, so the two packages are taken from beside this file, by place instead of by order.
Processes that multiprocessing spawns run the script's imports first, so that the same holds in them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

HERE = str(Path(__file__).parent.absolute())


class Beside:
    """Finds the two packages; every other module is left to the usual search."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [HERE]) if name in ("gpuaug", "pretrain") else None


sys.meta_path.insert(0, Beside)


def main() -> int:
    """Exit status 0 done, 1 failed, 2 wrong usage."""
    from pretrain.__main__ import main as run

    return run()
