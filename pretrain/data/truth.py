"""Ground truth of one subset, in whatever form it is published: what the localiser learns, and metrics compare with.

Used by localization and evaluation; imports annotations, charades_crosstask.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from .annotations import read_activitynet_truth, read_published
from .charades_crosstask import read_crosstask
from .formats import BadFile, read_text
from .segments import AMBIGUOUS, Segments

STEP = "step"  # the label of CrossTask's steps, whose tasks and numbers are of no account for actionness


def read_truth(
    path: str | Path, *, subset: str | None, val_list: str | Path | None = None
) -> tuple[Segments, dict[str, float]]:
    """The actions of a subset, and the duration in seconds of every one of its videos, NaN where it is not stated.

    Args:
        path: ActivityNet JSON; THUMOS14's JSON or folder of CLASS_val.txt and CLASS_test.txt; CrossTask's folder of
            TASK_VIDEO.csv; TSP's CSV or ours, which are one subset.
        subset: its name; None: all. Of THUMOS14's text files val and test, of CrossTask training and validation.
        val_list: CrossTask's list of videos that are held out, lines TASK,VIDEO,URL.

    Errors: BadFile where the form is broken, or the subset is not there.
    """
    path = Path(path)
    if path.is_dir() and any(file.name.split("_")[0].isdecimal() for file in path.glob("*_*.csv*")):
        return _crosstask(path, subset, val_list)
    if path.is_dir() or path.name.removesuffix(".gz").endswith((".txt", ".csv")):
        published = read_published(path)
        names = {entry.subset for entry in published.videos.values() if entry.subset}
        if subset is not None and names and subset not in names:
            raise BadFile(path, "", f"must have videos of the subset {subset!r}, has {', '.join(sorted(names))}")
        kept = {v: entry for v, entry in published.videos.items() if subset is None or entry.subset in (subset, None)}
        own = published.segments
        rows = np.isin(own.video, list(kept)) & ~np.isin(own.label, ("", AMBIGUOUS))
        return own.take(rows), {name: entry.duration_seconds or math.nan for name, entry in kept.items()}
    return read_activitynet_truth(path, subset=subset)


def read_val_list(path: str | Path) -> set[str]:
    """The ids of the videos in CrossTask's videos_val.csv, lines TASK,VIDEO,URL, or one id a line."""
    found = set()
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.strip().split(",")
        if len(words) not in (1, 3) or (len(words) == 3 and not words[0].isdecimal()):
            raise BadFile(path, f"line {number}", f"must be TASK,VIDEO,URL or a video, got {line[:60]!r}")
        if words != [""]:
            found.add(words[min(1, len(words) - 1)])
    return found


def _crosstask(path: Path, subset: str | None, val_list: str | Path | None) -> tuple[Segments, dict[str, float]]:
    steps = read_crosstask(path)
    if subset is not None:
        if subset not in ("training", "validation") or val_list is None:
            raise BadFile(path, "", f"must be split by --val-list into training and validation, got subset {subset!r}")
        held_out = read_val_list(val_list)
        if not held_out & steps.keys():
            raise BadFile(val_list, "", f"must name a video of {path}")
        steps = {video: own for video, own in steps.items() if (video in held_out) == (subset == "validation")}
    rows = [(video, step.start, step.end, STEP) for video, own in steps.items() for step in own]
    return Segments.of(rows), dict.fromkeys(steps, math.nan)
