"""Which skips of a run on a GPU are accepted: those for want of packages that are known to be absent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple


class Skips(NamedTuple):
    """excused: {package: how many}; others: where the rest is, and why."""

    excused: dict[str, int]
    others: list[str]


def sort(reports: Iterable[Any], absent: Sequence[str]) -> Skips:
    """pytest's reports of what was skipped. A package in `absent` stands for its modules too."""
    found = Skips(dict.fromkeys(absent, 0), [])
    for report in reports:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        missing = re.search(r"could not import '([\w.]+)'", reason)
        for name in absent if missing else ():
            if f"{missing[1]}.".startswith(f"{name}."):
                found.excused[name] += 1
                break
        else:
            found.others.append(f"{report.nodeid} ({reason})")
    return found
