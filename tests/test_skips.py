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


# The packages that a machine with a GPU may lack, as benchmarks/gpu_calls.sh names them: here they cannot be imported.
BLOCKED = """
import sys


class Block:
    def find_spec(self, name, path=None, target=None):
        if any(f"{{name}}.".startswith(f"{{each}}.") for each in {names}):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, Block())
"""


@pytest.mark.slow
@pytest.mark.end_to_end
@pytest.mark.parametrize("named", [True, False])
def test_the_gpus_tests_are_collected_without_packages_that_may_be_absent(tmp_path, named):
    """What `make gpu` selects; negative control: not named, their absence is a failure."""
    calls = (REPOSITORY / "benchmarks" / "gpu_calls.sh").read_text(encoding="utf-8")
    absent = re.search(r"GPUAUG_ABSENT:-([\w.,]+)", calls)[1]
    assert {"nvidia.dali", "torchcodec", "kornia"} < set(absent.split(","))
    blocked = [*absent.split(","), "kornia_rs", "imageio_ffmpeg"]
    (tmp_path / "sitecustomize.py").write_text(BLOCKED.format(names=blocked), encoding="utf-8")
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    pattern = re.search(r"GPU_FILES = \$\(shell grep -lE '(.+?)'", makefile)[1]
    files = [f for f in (REPOSITORY / "tests").rglob("test_*.py") if re.search(pattern, f.read_text(encoding="utf-8"))]
    assert len(files) > 10
    environment = {**os.environ, "GPUAUG_REQUIRE_GPU": "1", "GPUAUG_ABSENT": absent if named else "kornia"}
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), PYTHONPATH])
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--collect-only",
        "-m",
        "gpu",
        *map(str, files),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=REPOSITORY)
    assert done.returncode == (0 if named else 1), done.stdout[-3000:] + done.stderr[-1000:]
    assert "GPUAUG_ABSENT: 1 skipped for want of torchcodec" in done.stdout or not named
    assert ("were skipped, the first" in done.stdout) != named
