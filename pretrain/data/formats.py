"""What all readers of annotations and results share: ids, JSON, words in lines, numbers, and rows of segments.

Every reader takes plain or gzip files (recognised by content) and raises `BadFile`, one line that names the file, the
entry and the rule. Times are seconds. Used by annotations, results and charades_crosstask.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from gpuaug import BadFile, read_text

from .segments import Segments

YOUTUBE_ID = 11  # characters
DIGITS = 300  # of whole numbers; those with more are infinite

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80
brief = _short.repr  # a value in a message, however long or deep it is


def video_id(name: str) -> str:
    """The id without the "v_" that ActivityNet's file names have before the 11 characters of the YouTube id.

    >>> video_id("v_sJFgo9H6zNo"), video_id("video_test_0000004"), video_id("v_abcdefghi")
    ('sJFgo9H6zNo', 'video_test_0000004', 'v_abcdefghi')
    """
    return name[2:] if name.startswith("v_") and len(name) == YOUTUBE_ID + 2 else name


def file_id(name: str) -> str:
    """The id of the video whose file, or features, have this name; folders do not count.

    >>> file_id("cooking/v_sJFgo9H6zNo"), file_id("v_run01")
    ('sJFgo9H6zNo', 'v_run01')
    """
    return video_id(name.rpartition("/")[2])


def unique_ids(path: str | Path, names: Iterable[str], of: Callable[[str], str] = video_id) -> dict[str, str]:
    """{id: name} of the videos in a file; BadFile for two names of one video."""
    found: dict[str, str] = {}
    for name in names:
        if (other := found.setdefault(of(name), name)) != name:
            raise BadFile(path, repr(name), f"a video must occur once, with or without v_, {other!r} is this one too")
    return found


def read_json(path: str | Path, *fields: str, text: str | None = None) -> dict[str, Any]:
    """The JSON object in a file, with the given fields; a key that occurs twice in one object is refused.

    text: the file's, where that has been read already.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in found if names.count(name) > 1)
            raise BadFile(path, repr(twice), "must occur once in its object")
        return found

    text = read_text(path) if text is None else text
    try:
        try:
            data = json.loads(text, object_pairs_hook=unique)
        except (json.JSONDecodeError, BadFile):
            raise
        except ValueError:  # Python refuses whole numbers of thousands of digits
            data = json.loads(text, object_pairs_hook=unique, parse_int=_whole)
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


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= DIGITS else math.inf


def read_by_id(path: str | Path, field: str, text: str | None = None) -> dict[str, Any]:
    """{video id: value} of a JSON file's object {field: {video: value}}."""
    values = mapping_of(path, field, read_json(path, field, text=text)[field])
    return {id: values[name] for id, name in unique_ids(path, values).items()}


def segments_of(
    path: str | Path, entries: Iterable[tuple[str, str, Any]], *, scored: bool, labelled: bool = True
) -> Segments:
    """Segments from ActivityNet's JSON entries, given as (video, place, entry) and checked one by one."""
    rows = []
    for video, place, entry in entries:
        where = f"{video!r} {place}"
        mapping_of(path, where, entry)
        segment = list_of(path, where, "segment", entry.get("segment"))
        if len(segment) != 2:
            raise BadFile(path, where, f"segment must be [start, end] in seconds, got {brief(segment)}")
        span = span_of(path, where, *segment)
        score = number_of(path, where, "score", entry.get("score")) if scored else 0.0
        label = entry.get("label", "" if not labelled else None)
        if not isinstance(label, str):
            raise BadFile(path, where, f"label must be a string, got {brief(label)}")
        rows.append((video, *span, label, score))
    return Segments.of(rows)


def span_of(path: str | Path, where: str, start: Any, end: Any) -> tuple[float, float]:
    """Start and end in seconds, finite and in this order; they may be equal, as in published files."""
    span = number_of(path, where, "segment", start), number_of(path, where, "segment", end)
    if span[1] < span[0]:
        raise BadFile(path, where, f"segment must be finite with start <= end, got {list(span)}")
    return span


def number_of(path: str | Path, where: str, field: str, value: Any) -> float:
    """The finite number that a JSON value, or a word of a text file, is."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        rule = "be finite" if isinstance(value, float) else "be a number"
        raise BadFile(path, where, f"{field} must {rule}, got {brief(value)}")
    return number


def lines_of(path: str | Path, words: int) -> list[tuple[str, list[str]]]:
    """Non-empty lines as ("line 7", words), each with exactly that many words."""
    found = [(f"line {n}", line.split()) for n, line in enumerate(read_text(path).splitlines(), 1) if line.strip()]
    for where, line in found:
        if len(line) != words:
            raise BadFile(path, where, f"must have {words} words, got {len(line)}")
    return found


def mapping_of(path: str | Path, where: str, value: Any) -> dict:
    if not isinstance(value, dict):
        raise BadFile(path, where, f"must be a JSON object, got {type(value).__name__}")
    return value


def list_of(path: str | Path, where: str, field: str, value: Any) -> list:
    if not isinstance(value, list):
        raise BadFile(path, where, f"{field} must be a JSON list, got {type(value).__name__}")
    return value
