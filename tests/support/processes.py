"""Processes that start at once: forks of a server that has imported what slow starts consist of."""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import weakref
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from .paths import PYTHONPATH, SUPPORT

IMPORTED = ["support.tiny_training", "support.tiny_extraction", "sklearn.linear_model", "matplotlib.figure"]


def quick_processes() -> ForkServerContext:
    """A context whose processes are forks of that server.

    The server looks for modules in PYTHONPATH, not in this process's search path; what it does not find it leaves out.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", PYTHONPATH)
        multiprocessing.forkserver.ensure_running()
    return context


class Program:
    """One of the programs in this folder as a process of its own; used as a `subprocess.Popen` of text is.

    Args:
        name: of the file. arguments: its words. environment: what is set beside the variables of this process. What
            is read when modules are imported, before the program begins, cannot be changed by it.
    """

    def __init__(self, name: str, *arguments: object, **environment: str) -> None:
        folder = Path(tempfile.mkdtemp())
        weakref.finalize(self, shutil.rmtree, folder)
        self._said = [folder / stream for stream in ("out", "err")]
        words = [str(SUPPORT / name), *map(str, arguments)]
        self._process = quick_processes().Process(
            target=_program, args=(words, {**os.environ, **environment}, self._said)
        )
        self._process.start()
        self.kill, self.poll = self._process.kill, lambda: self._process.exitcode

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it has written on standard output and standard error, when it has ended."""
        self.wait(timeout)
        out, err = (file.read_text() if file.exists() else "" for file in self._said)
        return out, err


def _program(words: list[str], environment: dict[str, str], said: list[Path]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for stream, path in zip((sys.stdout, sys.stderr), said):
        with open(path, "a") as file:
            os.dup2(file.fileno(), stream.fileno())
    sys.argv = words
    runpy.run_path(words[0], run_name="__main__")
