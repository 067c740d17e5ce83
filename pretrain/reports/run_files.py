"""The files of a run folder as a report takes them: what is not as `train` writes it is left out, named and counted.

A folder may come from anybody: nothing in it is trusted to be there, of its type, finite, short or shallow.
Used by run_report.py; imports data's reader of JSON and common.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gpuaug import BadFile

from ..common.files import readable
from ..data.formats import read_json

TIMES = ("step_ms", "wait_ms", "encoder_ms", "samples_per_second", "echo")  # all in a row of speed, or none
MOST_WRONG, WIDEST_PICTURE = 12, 16384  # samples of wrong.json; pixels of wrong.jpg
SHOWN, DEEP, LONGEST = 8, 20, 2000  # problems that are told, levels of nested values, letters of a string


@dataclass
class RunFiles:
    """What a run folder says.

    Attributes:
        rows: of the log, each with a "step"; losses, scores and times are numbers, validations are of `_score`.
        config, summary: of the JSON files; {} where there is none.
        problems: a line for each thing that was left out.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_run(run: Path) -> RunFiles:
    """The files of a run folder. Errors (ValueError): no log in it, or none of its lines can be read."""
    found = RunFiles()
    found.rows = _log(run / "log.jsonl", found.problems)
    for name in ("config", "summary"):
        path = run / f"{name}.json"
        try:
            if path.exists():
                setattr(found, name, clean(read_json(_regular(path))))
        except ValueError as error:
            found.problems.append(str(error))
    return found


def read_wrong(run: Path, problems: list[str]) -> list[tuple[str, NDArray[np.uint8]]]:
    """(words, picture) of held-out samples that were not told right, read again and so free of anything else."""
    words, picture = run / "wrong.json", run / "wrong.jpg"
    if not (words.exists() and picture.exists()):
        return []
    try:
        told = [mapping(each) for each in clean(read_json(_regular(words))).get("samples", [])][:MOST_WRONG]
        with Image.open(_regular(picture), formats=["JPEG"]) as file:
            if max(file.size) > WIDEST_PICTURE:
                raise ValueError(f"must be at most {WIDEST_PICTURE} pixels wide and high, got {file.size}")
            pixels_YXC = np.asarray(file.convert("RGB"))
    except (ValueError, OSError, TypeError, AttributeError, Image.DecompressionBombError) as error:
        problems.append(f"{words.parent / 'wrong'}.*: {readable(str(error)[:200])}")
        return []
    rows = np.array_split(pixels_YXC, max(1, len(told)))
    shown = []
    for each, row in zip(told, rows):
        at = number(each.get("start_seconds"))
        where = f"{each.get('video', '?')}" + (f" at {at:.2f} s" if at is not None else "")
        shown.append((f"{each.get('score')}: {each.get('prediction')}, truly {each.get('truth')} ({where})", row))
    return shown


def _log(path: Path, problems: list[str]) -> list[dict[str, Any]]:
    if not path.exists():
        raise ValueError(f"run must be a folder with the log of a training run, there is no {path}")
    rows, bad, count = [], list[str](), 0
    with open(_regular(path), "rb") as file:
        for count, line in enumerate(file, 1):
            try:
                rows.append(_row(line))
            except (ValueError, RecursionError) as error:
                if line.endswith(b"\n"):  # a kill leaves half of the last line
                    bad.append(f"{path}: line {count}: {readable(str(error)[:200])}")
    if not rows:
        why = bad[0] if bad else f"{path} must have at least one row: the run has not logged anything yet"
        raise ValueError(why)
    problems += bad[:SHOWN] + [f"{path}: {len(bad) - SHOWN} more lines are left out"] * (len(bad) > SHOWN)
    return rows


def _row(line: bytes) -> dict[str, Any]:
    """A line of the log with numbers where numbers belong."""
    try:
        row = clean(json.loads(line))
    except json.JSONDecodeError as error:
        raise ValueError(f"must be JSON ({error.msg})") from None
    if not isinstance(row, dict) or number(row.get("step")) is None:
        raise ValueError("must be an object with a number as step")
    held = row.pop("validation", None)
    kept = {name: value for name, value in row.items() if number(value) is not None}
    if not all(name in kept for name in TIMES):
        kept = {name: value for name, value in kept.items() if name not in TIMES}
    if isinstance(held, Mapping):
        scores = ((name, value if number(value) is not None else _score(value)) for name, value in held.items())
        kept["validation"] = {name: value for name, value in scores if value is not None}
    return kept


def _score(value: Any) -> dict[str, Any] | None:
    """A score with its interval, the same per class, and a square confusion matrix of counts, where there is one."""
    if not isinstance(value, Mapping) or "value" not in value:
        return None
    found: dict[str, Any] = {name: number(value.get(name)) for name in ("value", "low", "high")}
    found |= {name: number(value[name]) for name in ("constant", "samples") if number(value.get(name)) is not None}
    if isinstance(value.get("classes"), Mapping):
        scores = ((name, _score(each)) for name, each in value["classes"].items())
        found["classes"] = {name: each for name, each in scores if each is not None}
    counts = value.get("confusion")
    counts = counts if isinstance(counts, list) else []
    square = all(isinstance(row, list) and len(row) == len(counts) for row in counts)
    if counts and square and all(type(each) is int and each >= 0 for row in counts for each in row):
        found["confusion"] = counts
    return found


def clean(value: Any, depth: int = 0) -> Any:
    """JSON that can be shown: no NaN or infinity, text that can be written, nothing endless.

    >>> clean({"a": [float("nan"), 10**400, 3], "caf\\udce9": "x" * 3000})["a"]
    [None, None, 3]
    """
    if depth > DEEP:
        return "…"
    if isinstance(value, dict):
        return {clean(str(name)): clean(each, depth + 1) for name, each in value.items()}
    if isinstance(value, list):
        return [clean(each, depth + 1) for each in value]
    if isinstance(value, str):
        return readable(value if len(value) <= LONGEST else f"{value[:LONGEST]}…")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value if abs(value) < 2**53 and math.isfinite(value) else None
    return value


def number(value: Any) -> float | None:
    """The value if it is a number, else None."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def mapping(value: Any) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def texts(value: Any) -> list[str]:
    """A list of names; empty if it is none."""
    return list(map(str, value)) if isinstance(value, list) else []


def _regular(path: Path) -> Path:
    """The path, if reading it comes to an end."""
    if not path.is_file():
        raise BadFile(path, "", "must be a regular file")
    return path
