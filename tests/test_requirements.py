"""The package's description: one Python version everywhere, pins that fit, room for what is installed beside them."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parent.parent


DESCRIBE = """
import json, runpy, setuptools
names = "python_requires", "classifiers", "install_requires", "extras_require"
setuptools.setup = lambda **arguments: print(json.dumps({name: arguments[name] for name in names}))
runpy.run_path("setup.py")
"""


@pytest.fixture(scope="module")
def described():
    """Arguments of setup.py's call of `setup`, in a process of its own: distutils is the one that is imported first."""
    call = [sys.executable, "-c", DESCRIBE]
    return json.loads(subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def pins() -> dict[str, str]:
    """Version by name, as constraints.txt has them."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return {name.lower().replace("_", "-"): version for name, version in re.findall(r"^([\w.-]+)==(\S+)$", text, re.M)}


def test_one_python_version_everywhere(described):
    least = described["python_requires"].removeprefix(">=")
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert tools["ruff"]["target-version"] == f"py{least.replace('.', '')}"
    assert tools["mypy"]["python_version"] == least
    assert f"Python {least}" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"Python {least}" in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()[0]


def test_every_requirement_has_a_pin_that_it_allows(described):
    extras = described["extras_require"]
    asked = [*described["install_requires"], *(each for name in extras if name != "cuda12" for each in extras[name])]
    for requirement in map(Requirement, asked):
        pin = pins()[requirement.name.lower().replace("_", "-")]
        assert requirement.specifier.contains(pin), f"{requirement} does not allow the pin {pin}"


def test_boto_can_be_installed_beside_the_pins():
    """What botocore, hence boto3, moto and s3fs, demands of packages that are pinned here."""
    assert SpecifierSet(">=2.1,<3.0.0").contains(pins()["python-dateutil"])


STUB = """#!/bin/sh
echo "$*" >> {log}
case "$*" in
    "-c import torch") exit {torch} ;;
    "-c import sys"*) exit {index} ;;
esac
"""


@pytest.mark.parametrize(
    ("driver", "torch", "index", "wanted"),
    [("none", 1, 0, True), ("none", 1, 1, False), ("none", 0, 0, False), ("Makefile", 1, 0, False)],
)
def test_make_takes_torch_for_the_cpu_where_its_index_answers(tmp_path, driver, torch, index, wanted):
    """In a folder of its own, with a Python that only writes down what it is asked."""
    for name in ("Makefile", "setup.py", "constraints.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    log, stub = tmp_path / "log", tmp_path / ".venv" / "bin" / "python"
    stub.parent.mkdir(parents=True)
    stub.write_text(STUB.format(log=log, torch=torch, index=index))
    stub.chmod(0o755)
    path = os.pathsep.join(each for each in os.get_exec_path() if not Path(each, "nvidia-smi").exists())
    subprocess.run(
        ["make", "-s", ".venv/.demo", f"NVIDIA={driver}"], cwd=tmp_path, check=True, env={**os.environ, "PATH": path}
    )
    asked = log.read_text().splitlines()
    installs = [line for line in asked if "pip install" in line]
    assert (
        any("torch torchvision --index-url https://download.pytorch.org/whl/cpu" in each for each in installs) is wanted
    )
    assert "-e .[pretrain]" in installs[-1]
    assert "-c constraints.txt" in installs[0]
