"""What was seen of what was planted: a row a module, then every fault that was not seen."""

from __future__ import annotations

from collections import Counter

from .sources import Mutant

# Exit codes of pytest and signals, as mutmut keeps them. All others are of tests that failed, could not be imported,
# crashed or ran into a limit of time: nobody overlooks those.
SURVIVED, UNREACHED, STOPPED = {0}, {5, 33}, {None, -2, -15}


def report(found: list[tuple[Mutant, int | None]]) -> list[str]:
    """Lines of Markdown, of mutants with their exit codes; None: not planted."""
    planted = [(mutant, code) for mutant, code in found if code not in STOPPED]
    survived = {mutant: code for mutant, code in planted if code in SURVIVED | UNREACHED}
    total, unseen = Counter(mutant.file for mutant, _ in planted), Counter(mutant.file for mutant in survived)
    seen = len(planted) - len(survived)
    lines = [f"{seen} of {len(planted)} planted faults were seen, {100 * seen / max(1, len(planted)):.1f} %"]
    if len(planted) < len(found):
        lines.append(f"{len(found) - len(planted)} were stopped or not planted; the same command plants them")
    lines += ["", "| module | planted | seen | not seen |", "|---|---|---|---|"]
    lines += [f"| {file} | {n} | {n - unseen[file]} | {unseen[file] or ''} |" for file, n in sorted(total.items())]
    for mutant, code in sorted(survived.items()):
        why = " (no fast test of its package reaches it)" if code in UNREACHED else ""
        lines += ["", f"{mutant.name}{why}", "```diff", *mutant.change, "```"]
    return lines
