"""Where a GPU is required, a skip is a failure unless the caller has named the package that is missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from support.paths import PYTHONPATH, REPOSITORY

TESTS = """
import pytest


def test_runs():
    pass


def test_needs_a_module_of_a_package():
    pytest.importorskip("nvidia.nothing_of_this_name.part")


def test_needs_another():
    pytest.importorskip("{other}")
"""


@pytest.mark.end_to_end
@pytest.mark.parametrize(
    ("absent", "other", "status", "said"),
    [
        ("nvidia.nothing_of_this_name, no_such_codec", "no_such_codec.x", 0, "1 skipped for want of no_such_codec"),
        ("nvidia.nothing_of_this_name,no_such_codec", "no_such_codecs", 1, r"but 1 were skipped.*test_needs_another"),
        ("nothing_of_this_name", "no_such_codec", 1, "but 2 were skipped"),
        ("", "no_such_codec", 1, "but 2 were skipped"),
    ],
)
def test_only_named_absences_are_accepted(tmp_path, absent, other, status, said):
    file = tmp_path / "test_some.py"
    file.write_text(TESTS.format(other=other))
    (tmp_path / "conftest.py").write_text((REPOSITORY / "tests" / "conftest.py").read_text(encoding="utf-8"))
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH, "GPUAUG_REQUIRE_GPU": "1", "GPUAUG_ABSENT": absent}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == status, done.stdout
    assert re.search(said, done.stdout), done.stdout
