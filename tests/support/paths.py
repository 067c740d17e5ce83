"""Where the repository and the programs among the helpers are, the search path that both need, and quick processes."""

import multiprocessing
import multiprocessing.forkserver
import os
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parent
TESTS = SUPPORT.parent
REPOSITORY = TESTS.parent
PYTHONPATH = os.pathsep.join([str(REPOSITORY), str(TESTS)])
IMPORTED = ["support.tiny_training", "support.tiny_extraction", "sklearn.linear_model", "matplotlib.figure"]


def quick_processes() -> ForkServerContext:
    """A context whose processes are forks of a server that has imported what slow starts consist of.

    The server looks for modules in PYTHONPATH, not in this process's search path; what it does not find it leaves out.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", PYTHONPATH)
        multiprocessing.forkserver.ensure_running()
    return context
