"""The package's description: one Python version everywhere, pins that fit, room for what is installed beside them."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parent.parent


@pytest.fixture
def described(monkeypatch):
    """The arguments of setup.py's call of `setup`."""
    found = {}
    monkeypatch.setattr(setuptools, "setup", lambda **arguments: found.update(arguments))
    runpy.run_path(str(ROOT / "setup.py"))
    return found


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
