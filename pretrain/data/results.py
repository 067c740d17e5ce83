"""Files of ground truth and of predictions: ActivityNet and THUMOS14 (charades_crosstask.py has the others).

Every reader takes plain or gzip files (recognised by content) and raises `BadFile`, one line that names the file, the
entry and the rule. Times are seconds. Writers put the file in place only when it is complete; a name ending in .gz is
compressed.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .segments import Instances

YOUTUBE_ID = 11  # characters


class BadFile(ValueError):
    """A file that breaks its format; the message names the file, the entry and the rule."""

    def __init__(self, path: str | Path, entry: str, rule: str) -> None:
        super().__init__(f"{path}: {entry}: {rule}" if entry else f"{path}: {rule}")


def read_text(path: str | Path) -> str:
    """The file's text, uncompressed if it starts with gzip's magic bytes. BadFile for other bytes than UTF-8."""
    try:
        data = Path(path).read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        return data.decode("utf-8-sig")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadFile(path, "", f"must be a whole gzip file ({error})") from None
    except UnicodeDecodeError as error:
        raise BadFile(path, f"byte {error.start}", "must be UTF-8 text") from None
    except OSError as error:
        raise BadFile(path, "", f"cannot be read ({error.strerror})") from None


@contextmanager
def new_file(path: str | Path) -> Iterator[Any]:
    """Open a text file for writing that appears under its name only if the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with (
            gzip.open(part, "wt", encoding="utf-8") if path.suffix == ".gz" else open(part, "w", encoding="utf-8") as f
        ):
            yield f
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_json(path: str | Path, *fields: str) -> dict[str, Any]:
    """The JSON object in a file, with the given fields; a key that occurs twice in one object is refused."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in found if names.count(name) > 1)
            raise BadFile(path, repr(twice), "must occur once in its object")
        return found

    try:
        data = json.loads(read_text(path), object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise BadFile(path, f"line {error.lineno} column {error.colno}", f"must be JSON ({error.msg})") from None
    except RecursionError:
        raise BadFile(path, "", "must be JSON of moderate depth") from None
    if not isinstance(data, dict):
        raise BadFile(path, "", "must be a JSON object")
    for field in fields:
        if field not in data:
            raise BadFile(path, "", f"must have the field {field!r}")
    return data


def video_id(name: str) -> str:
    """The id without the "v_" that ActivityNet's file names have before the 11 characters of the YouTube id.

    >>> video_id("v_sJFgo9H6zNo"), video_id("video_test_0000004"), video_id("v_abcdefghi")
    ('sJFgo9H6zNo', 'video_test_0000004', 'v_abcdefghi')
    """
    return name[2:] if name.startswith("v_") and len(name) == YOUTUBE_ID + 2 else name


def read_activitynet_truth(path: str | Path, *, subset: str | None) -> tuple[Instances, dict[str, float]]:
    """Ground truth of one subset (None: all), and every one of its videos' duration in seconds (also without actions).

    Format: {"database": {video: {"subset", "duration", "annotations": [{"label", "segment": [start, end]}]}}}; other
    fields are not read. A missing duration, or 0 as in THUMOS14's file, is NaN. Segments may end past the duration and
    may have no length, as in the published file; they may not end before they start.
    """
    database = mapping_of(path, "database", read_json(path, "database")["database"])
    rows: list[tuple[str, Any, Any]] = []
    durations: dict[str, float] = {}
    subsets = set()
    for name, video in database.items():
        mapping_of(path, name, video)
        subsets.add(str(video.get("subset")))
        if subset is not None and video.get("subset") != subset:
            continue
        duration = number_of(path, name, "duration", video.get("duration") or float("nan"))
        if video_id(name) in durations:
            raise BadFile(path, name, "must occur once, with or without v_")
        durations[video_id(name)] = duration
        for k, entry in enumerate(list_of(path, name, "annotations", video.get("annotations"))):
            rows.append((name, f"annotation {k}", entry))
    if not durations:
        raise BadFile(
            path, "", f"must have videos of the subset {subset!r}, has {', '.join(sorted(subsets)) or 'none'}"
        )
    return _instances(path, rows, scored=False), durations


def read_activitynet_results(path: str | Path, *, labelled: bool = True) -> Instances:
    """Predictions in ActivityNet's form, in the file's order: {"results": {video: [{"label", "score", "segment"}]}}.

    labelled=False: proposals, which need no label.
    """
    results = mapping_of(path, "results", read_json(path, "results")["results"])
    rows = [
        (name, f"result {k}", entry)
        for name, entries in results.items()
        for k, entry in enumerate(list_of(path, name, "results", entries))
    ]
    if len({video_id(name) for name in results}) < len(results):
        raise BadFile(path, "results", "must have each video once, with or without v_")
    return _instances(path, rows, scored=True, labelled=labelled)


def write_activitynet_results(
    path: str | Path,
    predictions: Instances,
    *,
    videos: Iterable[str] = (),
    trained_on: Iterable[str] = (),
    version: str = "VERSION 1.3",
) -> None:
    """Write predictions in ActivityNet's form; `videos` are listed even if they have none. Ids lose a leading "v_".

    `trained_on`: the videos that may not be evaluated on, written as external data (see overlap.py).
    """
    results: dict[str, list] = {video_id(name): [] for name in videos}
    rows = zip(predictions.video, predictions.segment.tolist(), predictions.label, predictions.score.tolist())
    for name, segment, label, score in rows:
        entry = {"label": str(label), "score": score, "segment": segment}
        results.setdefault(video_id(str(name)), []).append(entry)
    with new_file(path) as file:
        json.dump({"version": version, "results": results, "external_data": {"trained_on": sorted(trained_on)}}, file)


def read_video_scores(path: str | Path) -> dict[str, dict[str, float]]:
    """Scores of whole videos, {video: {label: score}}, from ActivityNet's classification results (no segments)."""
    results = mapping_of(path, "results", read_json(path, "results")["results"])
    scores: dict[str, dict[str, float]] = {}
    for name, entries in results.items():
        own = scores.setdefault(video_id(name), {})
        for k, entry in enumerate(list_of(path, name, "results", entries)):
            where = f"{name!r} result {k}"
            score = number_of(path, where, "score", mapping_of(path, where, entry).get("score"))
            if not isinstance(entry.get("label"), str) or not math.isfinite(score):
                raise BadFile(path, where, f"must have a label (string) and a finite score, got {entry}")
            own[entry["label"]] = score
    return scores


def read_thumos_truth(folder: str | Path) -> Instances:
    """Ground truth from THUMOS14's annotation folder: one CLASS_test.txt or CLASS_val.txt per class.

    Lines are "video start end". Files named Ambiguous_* are left out, as in the ActivityNet protocol.
    """
    files = sorted(f for f in Path(folder).glob("*_*.txt*") if f.name.split("_")[0] != "Ambiguous")
    if not files:
        raise BadFile(folder, "", "must hold files named CLASS_test.txt or CLASS_val.txt")
    rows = [
        (words[0], *_times(file, number, words[1:3]), file.name.split("_")[0])
        for file in files
        for number, words in lines_of(file, 3)
    ]
    return _checked(folder, rows)


def read_thumos_results(path: str | Path, classes: Mapping[int, str]) -> Instances:
    """Predictions from THUMOS14's submission file: lines "video start end class score", class a number of `classes`."""
    rows = []
    for number, words in lines_of(path, 5):
        start, end, score = _times(path, number, [words[1], words[2], words[4]])
        if not words[3].isdecimal() or int(words[3]) not in classes:
            raise BadFile(path, f"line {number}", f"class must be a number of the class list, got {words[3]!r}")
        rows.append((words[0], start, end, classes[int(words[3])], score))
    return _checked(path, rows)


def write_thumos_results(path: str | Path, predictions: Instances, classes: Mapping[int, str]) -> None:
    """Write THUMOS14's submission file; KeyError for a label that `classes` does not have."""
    number = {name: k for k, name in classes.items()}
    with new_file(path) as file:
        rows = zip(predictions.video, predictions.segment.tolist(), predictions.label, predictions.score.tolist())
        for name, (start, end), label, score in rows:
            file.write(f"{name} {start!r} {end!r} {number[str(label)]} {score!r}\n")


def read_thumos_classes(path: str | Path) -> dict[int, str]:
    """THUMOS14's class list (detclasslist.txt): lines "number name"."""
    classes: dict[int, str] = {}
    for number, words in lines_of(path, 2):
        if not words[0].isdecimal() or int(words[0]) in classes:
            raise BadFile(path, f"line {number}", f"must be a class number not used before, got {words[0]!r}")
        classes[int(words[0])] = words[1]
    return classes


def _instances(path: str | Path, rows: list[tuple[str, str, Any]], *, scored: bool, labelled: bool = True) -> Instances:
    """Rows (video, place, entry) to Instances, checked entry by entry."""
    checked = []
    for name, place, entry in rows:
        where = f"{name!r} {place}"
        mapping_of(path, where, entry)
        segment = list_of(path, where, "segment", entry.get("segment"))
        if len(segment) != 2:
            raise BadFile(path, where, f"segment must be [start, end] in seconds, got {segment}")
        start, end = (number_of(path, where, "segment", value) for value in segment)
        if not (math.isfinite(start) and math.isfinite(end) and start <= end):
            raise BadFile(path, where, f"segment must be finite with start <= end, got {segment}")
        score = number_of(path, where, "score", entry.get("score")) if scored else 0.0
        if not math.isfinite(score):
            raise BadFile(path, where, f"score must be finite, got {score}")
        label = entry.get("label", "" if not labelled else None)
        if not isinstance(label, str):
            raise BadFile(path, where, f"label must be a string, got {label!r}")
        checked.append((video_id(name), start, end, label, score))
    return Instances.of(checked)


def _checked(path: str | Path, rows: list[tuple]) -> Instances:
    for row in rows:
        if row[2] < row[1]:
            raise BadFile(path, repr(row[0]), f"segment must have start <= end, got {list(row[1:3])}")
    return Instances.of(rows)


def number_of(path: str | Path, where: str, field: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise BadFile(path, where, f"{field} must be a number, got {value!r}")
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise BadFile(path, where, f"{field} must be a number, got {value!r}") from None


def _times(path: str | Path, number: int, words: list[str]) -> list[float]:
    values = [number_of(path, f"line {number}", "time or score", word) for word in words]
    if not np.isfinite(values).all():
        raise BadFile(path, f"line {number}", f"times and scores must be finite, got {' '.join(words)}")
    return values


def lines_of(path: str | Path, words: int) -> list[tuple[int, list[str]]]:
    """Non-empty lines as (line number, words), each with exactly that many words."""
    found = [(n, line.split()) for n, line in enumerate(read_text(path).splitlines(), 1) if line.strip()]
    for number, line in found:
        if len(line) != words:
            raise BadFile(path, f"line {number}", f"must have {words} words, got {len(line)}")
    return found


def mapping_of(path: str | Path, where: str, value: Any) -> dict:
    if not isinstance(value, dict):
        raise BadFile(path, where, f"must be a JSON object, got {type(value).__name__}")
    return value


def list_of(path: str | Path, where: str, field: str, value: Any) -> list:
    if not isinstance(value, list):
        raise BadFile(path, where, f"{field} must be a JSON list, got {type(value).__name__}")
    return value
