"""`make mutants`: plants a seeded sample of faults and reports those that no fast test sees.

mutmut makes and runs the mutants, in a copy of the repository for each package of packages.py, under build/mutants. It
knows which tests reach which function, and runs those only, in a fork of a process that has imported everything.
A run that was stopped goes on where it was, and so does one with a larger sample of the same seed.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ..paths import REPOSITORY
from . import by_hand
from .made import TestsFail, make, plant
from .packages import PACKAGES
from .report import report
from .sources import Mutant, mutant_of

T = TypeVar("T")


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
    failed: dict[str, str] = {}

    def each(names: list[str], work: Callable[[str], T]) -> dict[str, T]:
        """What `work` gives for each package; of one whose tests fail the others go on without it."""
        found = {}
        with ThreadPoolExecutor(options.jobs) as pool:
            for name, coming in {name: pool.submit(work, name) for name in names}.items():
                try:
                    found[name] = coming.result()
                except TestsFail as error:
                    failed[name] = str(error)
        return found

    made = each(options.packages, lambda name: make(name, options.out))
    every = sorted((name, *mutant) for name, mutants in made.items() for mutant in mutants)
    random.Random(options.seed).shuffle(every)  # whose beginning is what a smaller sample has
    shares: dict[str, list[Mutant]] = {name: [] for name in made}
    worth = ((name, mutant_of(options.out / name, *which)) for name, *which in every)
    for name, mutant in itertools.islice(((name, mutant) for name, mutant in worth if mutant), options.sample):
        shares[name].append(mutant)
    longest_first = sorted((name for name in shares if shares[name]), key=lambda name: -len(shares[name]))
    codes = each(longest_first, lambda name: plant(options.out / name, shares[name]))
    lines = report([(mutant, codes[name][mutant.name]) for name in codes for mutant in shares[name]])
    lines.insert(1, f"(of {len(every)} mutants, seed {options.seed})")
    if options.kernels:
        lines += by_hand.report(options.out / "kernels")
    for name, why in failed.items():
        lines += ["", f"{name}: nothing was planted, as its tests fail without a fault", "```text", why, "```"]
    lines.append(f"\n{(time.monotonic() - begun) / 60:.0f} minutes")
    (options.out / "report.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
