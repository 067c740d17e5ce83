"""The copy of the repository that a package is tested in, and what mutmut has made and found there.

A run that was stopped goes on in it, as long as the repository and the package's settings are what they were.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ..paths import REPOSITORY
from .packages import PACKAGES, Package
from .sources import Mutant, names_of

SETTINGS = """
[tool.mutmut]
source_paths = ["gpuaug", "pretrain"]
only_mutate = {sources}
also_copy = ["gpuaug_console.py", "setup.py", "README.md", "CHANGELOG.md", "docs", "benchmarks", "examples"]
pytest_add_cli_args = ["-p", "no:cacheprovider", "-m", "not slow and not end_to_end", "-k", "{select}"]
pytest_add_cli_args_test_selection = {tests}
timeout_multiplier = 8.0
timeout_constant = 20.0
"""


class TestsFail(RuntimeError):
    """The tests of a package fail without a fault, so that they say nothing of one."""


def make(name: str, out: Path) -> list[tuple[str, str]]:
    """Make all mutants of a package and see which tests reach them, if that is not done: their files and names."""
    folder, package = out / name, PACKAGES[name]
    kept, of = folder / "made.json", digest(settings(package))
    if kept.exists():
        found = json.loads(kept.read_text(encoding="utf-8"))
        if found["of"] == of:
            return [(file, mutant) for file, mutant in found["mutants"]]
    copy(folder)
    with open(folder / "pyproject.toml", "a", encoding="utf-8") as file:
        file.write(settings(package))
    done = mutmut(folder, ["made-and-measured-only"])
    if "nothing matches" not in done.stdout + done.stderr:
        raise TestsFail((done.stdout + done.stderr)[-3000:])
    mutants = names_of(folder)
    write(kept, {"of": of, "mutants": mutants})
    print(f"{name}: {len(mutants)} mutants are made", flush=True)
    return mutants


def plant(folder: Path, mutants: list[Mutant]) -> dict[str, int | None]:
    """Exit code by name of mutant; those that have one are not planted again."""
    codes = exit_codes(folder, mutants)
    if left := [name for name, code in codes.items() if code is None]:
        done = mutmut(folder, left)
        codes = exit_codes(folder, mutants)
        if all(codes[name] is None for name in left):
            raise TestsFail((done.stdout + done.stderr)[-3000:])
        print(f"{folder.name}: {len(left)} planted", flush=True)
    return codes


def exit_codes(folder: Path, mutants: list[Mutant]) -> dict[str, int | None]:
    codes: dict[str, int | None] = {}
    for file in {mutant.file for mutant in mutants}:
        codes |= json.loads((folder / "mutants" / f"{file}.meta").read_text(encoding="utf-8"))["exit_code_by_key"]
    return {mutant.name: codes[mutant.name] for mutant in mutants}


def settings(package: Package) -> str:
    sources, tests = (json.dumps(part) for part in (package.files(REPOSITORY), package.tests))
    return SETTINGS.format(sources=sources, tests=tests, select=package.select)


def copy(folder: Path) -> None:
    """What git knows of, as it is, and the compiled kernels, in a folder of nothing else."""
    if folder.exists():
        shutil.rmtree(folder)
    for name in _files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, folder / name)


def digest(more: str) -> str:
    """Of all that `copy` copies, and of `more`."""
    return hashlib.sha256(f"{_repository()}{more}".encode()).hexdigest()


def write(file: Path, value: object) -> None:
    """As JSON, whole or not at all."""
    part = file.with_suffix(".part")
    part.write_text(json.dumps(value), encoding="utf-8")
    part.replace(file)


@functools.cache
def _files() -> list[str]:
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout.splitlines()
    compiled = [str(file.relative_to(REPOSITORY)) for file in (REPOSITORY / "gpuaug" / "kernels").glob("_host*")]
    return sorted(name for name in [*listed, *compiled] if (REPOSITORY / name).is_file())


@functools.cache
def _repository() -> str:
    found = hashlib.sha256()
    for name in _files():
        found.update(f"{name}\0{hashlib.sha256((REPOSITORY / name).read_bytes()).hexdigest()}\0".encode())
    return found.hexdigest()


def mutmut(folder: Path, names: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs mutmut with one thread of OpenMP: a fork has none of the others, and would wait for them forever."""
    program = Path(sys.executable).with_name("mutmut")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["OMP_NUM_THREADS"] = "1"
    command = [str(program), "run", "--max-children", "1", *names]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
