"""`make mutants`: plants a seeded sample of faults and reports those that no fast test sees.

mutmut makes and runs the mutants, a copy of the repository for each package of packages.py, under build/mutants. It
knows which tests reach which function, and runs those only, in a fork of a process that has imported everything.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..paths import REPOSITORY
from . import by_hand
from .packages import PACKAGES, Package
from .sources import Mutant, mutants_of

KILLED, TIMED_OUT, UNREACHED = {1, 3}, {24, 36, 152, 255}, {33}  # exit codes that mutmut keeps; 0: survived
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


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--sample", type=int, default=200, help="mutants of Python, spread evenly over all that there are"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--jobs", type=int, default=2, help="packages at a time")
    parser.add_argument("--packages", nargs="+", default=list(PACKAGES), choices=PACKAGES, metavar="NAME")
    parser.add_argument("--kernels", action=argparse.BooleanOptionalAction, default=True, help="those made by hand too")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "build" / "mutants", metavar="DIR")
    options = parser.parse_args(argv)
    begun = time.monotonic()
    options.out.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        prepared = dict(zip(options.packages, pool.map(lambda name: prepare(name, options.out), options.packages)))
        every = sorted((name, mutant) for name, found in prepared.items() for mutant in found)
        chosen = random.Random(options.seed).sample(every, min(options.sample, len(every)))
        shares = {name: [mutant for of, mutant in chosen if of == name] for name in options.packages}
        parts = pool.map(
            lambda name: run(options.out / name, shares[name]), sorted(shares, key=lambda n: -len(shares[n]))
        )
        codes = {name: code for part in parts for name, code in part.items()}
    lines = report([mutant for _, mutant in chosen], codes, len(every), options.seed)
    if options.kernels:
        copy(options.out / "kernels")
        lines += by_hand.report(options.out / "kernels")
    lines.append(f"\n{(time.monotonic() - begun) / 60:.0f} minutes")
    (options.out / "report.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    return 0


def prepare(name: str, out: Path) -> list[Mutant]:
    """Copy the repository, make all mutants of a package and see which tests reach them; what is worth planting."""
    folder, package = out / name, PACKAGES[name]
    if folder.exists():
        shutil.rmtree(folder)
    copy(folder)
    with open(folder / "pyproject.toml", "a", encoding="utf-8") as file:
        file.write(settings(package))
    done = mutmut(folder, ["made-and-measured-only"])
    if "nothing matches" not in done.stdout + done.stderr:
        raise SystemExit(
            f"{name}: its tests must pass before a fault is planted:\n{(done.stdout + done.stderr)[-3000:]}"
        )
    print(f"{name}: mutants are made", flush=True)
    return mutants_of(folder)


def settings(package: Package) -> str:
    sources, tests = (json.dumps(part) for part in (package.sources, package.tests))
    return SETTINGS.format(sources=sources, tests=tests, select=package.select)


def copy(folder: Path) -> None:
    """What git knows of, as it is, and the compiled kernels."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    compiled = [str(file.relative_to(REPOSITORY)) for file in (REPOSITORY / "gpuaug" / "kernels").glob("_host*")]
    for name in [*listed.stdout.splitlines(), *compiled]:
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)


def run(folder: Path, mutants: list[Mutant]) -> dict[str, int | None]:
    """Exit code by name of mutant; None: not run."""
    if not mutants:
        return {}
    done = mutmut(folder, [mutant.name for mutant in mutants])
    codes: dict[str, int | None] = {}
    for file in {mutant.file for mutant in mutants}:
        codes |= json.loads((folder / "mutants" / f"{file}.meta").read_text(encoding="utf-8"))["exit_code_by_key"]
    if all(codes[mutant.name] is None for mutant in mutants):
        raise SystemExit(f"{folder.name}: no mutant was run:\n{(done.stdout + done.stderr)[-3000:]}")
    print(f"{folder.name}: {len(mutants)} planted", flush=True)
    return {mutant.name: codes[mutant.name] for mutant in mutants}


def mutmut(folder: Path, names: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs mutmut with one thread of OpenMP: a fork has none of the others, and would wait for them forever."""
    program = Path(sys.executable).with_name("mutmut")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["OMP_NUM_THREADS"] = "1"
    command = [str(program), "run", "--max-children", "1", *names]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def report(mutants: list[Mutant], codes: dict[str, int | None], total: int, seed: int) -> list[str]:
    """A row a module, then every fault that was not seen."""
    survived = [mutant for mutant in mutants if codes[mutant.name] not in KILLED | TIMED_OUT]
    planted, unseen = (Counter(mutant.file for mutant in group) for group in (mutants, survived))
    seen = len(mutants) - len(survived)
    lines = [
        f"{seen} of {len(mutants)} planted faults were seen, {100 * seen / max(1, len(mutants)):.0f} % "
        f"(of {total} mutants, seed {seed})",
        "",
        "| module | planted | seen | not seen |",
        "|---|---|---|---|",
        *(f"| {file} | {n} | {n - unseen[file]} | {unseen[file] or ''} |" for file, n in sorted(planted.items())),
    ]
    for mutant in sorted(survived):
        code = codes[mutant.name]
        why = (
            "no fast test of its package reaches it" if code in UNREACHED else "" if code == 0 else f"exit code {code}"
        )
        lines += ["", f"{mutant.name}{f' ({why})' * bool(why)}", "```diff", *mutant.change, "```"]
    return lines


if __name__ == "__main__":
    sys.exit(main())
