"""Text files, CSV tables and manifests of videos, read strictly: what breaks the form is refused by file and line.

Used by `manifest` for lists of videos and by pretrain.data for annotations. Standard library only.
"""

from __future__ import annotations

import builtins
import contextlib
import csv
import gzip
import io
import math
import os
import zlib
from collections.abc import Callable, Container, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Literal

UNPACKED, TIMES = 64 << 20, 100  # a gzip file may have this many bytes, or this many times those that it takes
LONGEST = 500  # letters of an entry or a rule in a message


class BadFile(ValueError):
    """A file that breaks its format; the message names the file, the entry and the rule."""

    def __init__(self, path: str | os.PathLike[str], entry: str, rule: str) -> None:
        entry, rule = (text if len(text) <= LONGEST else f"{text[:LONGEST]}…" for text in (entry, rule))
        super().__init__(f"{os.fspath(path)}: {entry}: {rule}" if entry else f"{os.fspath(path)}: {rule}")


def read_text(path: str | os.PathLike[str], *, errors: Literal["strict", "surrogateescape"] = "strict") -> str:
    """The file's text, uncompressed if it starts with gzip's magic bytes, without a byte order mark.

    Errors: BadFile where it cannot be read, and for other bytes than UTF-8 (unless `errors` lets them through).
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
        return (_unpacked(path, data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig", errors)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadFile(path, "", f"must be a whole gzip file ({error})") from None
    except UnicodeDecodeError as error:
        raise BadFile(path, f"byte {error.start}", "must be UTF-8 text") from None
    except OSError as error:
        raise BadFile(path, "", f"cannot be read ({error.strerror})") from None


def _unpacked(path: str | os.PathLike[str], data: bytes) -> bytes:
    """The content of a gzip file; bombs, which are megabytes for gigabytes, are refused before they fill the memory."""
    most = max(UNPACKED, TIMES * len(data))
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        found = file.read(most + 1)
    if len(found) > most:
        raise BadFile(path, "", f"must not unpack to more than {most >> 20} MiB, it is compressed {TIMES}-fold or more")
    return found


def read_table(
    path: str | os.PathLike[str], text: str | None = None, *, file_names: Container[str] = ()
) -> tuple[list[str], list[tuple[str, dict[str, str]]]]:
    """A CSV's columns, and of each row ("line 7", {column: value}); spaces around names and values are dropped.

    Args:
        text: the file's, where that has been read already.
        file_names: columns whose values may hold other bytes than UTF-8, as names of files may (surrogateescape).

    Rows without any value are skipped. Errors (BadFile), by line: quotes that the line does not close (they would
    swallow the rows below), another number of values than columns, a column twice, NUL, other bytes than UTF-8.
    """
    columns: list[str] = []
    rows = []
    for number, line in enumerate(io.StringIO(read_text(path) if text is None else text, newline=None), 1):
        where = f"line {number}"
        if "\0" in line:
            raise BadFile(path, where, "must be UTF-8 text, got a NUL")
        if line.count('"') % 2:
            raise BadFile(path, where, f"must close the quotes that it opens, got {line.strip()[:60]!a}")
        try:
            values = [value.strip() for value in next(csv.reader([line], skipinitialspace=True, strict=True))]
        except csv.Error as error:
            raise BadFile(path, where, f"must be CSV ({error})") from None
        if not any(values):
            continue
        if columns and len(values) != len(columns):
            raise BadFile(path, where, f"must have {len(columns)} values, got {len(values)}")
        for column, value in zip(columns or values, values):
            if column not in file_names and not decoded(value):
                raise BadFile(path, where, f"must be UTF-8 text, got {value[:60]!a}")
        if columns:
            rows.append((where, dict(zip(columns, values))))
        elif twice := next((name for name in values if name and values.count(name) > 1), None):
            raise BadFile(path, where, f"must have each column once, got {twice!r} twice")
        else:
            columns = values
    return columns, rows


def decoded(text: str) -> bool:
    """Whether it was UTF-8: no byte of it was let through as it was."""
    return not any("\udc80" <= letter <= "\udcff" for letter in text)


NEWER = {"note", "damaged_frames"}  # columns that manifests of earlier versions lack


def _number(text: str) -> float:
    if not math.isfinite(number := float(text)) or number < 0:
        raise ValueError
    return number


def _count(text: str) -> int:
    if (number := int(text[:20])) < 0 or len(text) > 20:
        raise ValueError
    return number


# A field's type → its value from a manifest's text. Raises ValueError.
PARSE: dict[str, Callable[[str], object]] = {
    "str": str,
    "str | None": lambda text: text or None,
    "float": _number,
    "int": _count,
    "int | None": lambda text: _count(text) if text else None,
    "bool": lambda text: ("False", "True").index(text) == 1,
}


@dataclass(frozen=True)
class Video:
    """One file, as far as its container tells.

    duration_seconds: from the first frame's time to the last frame's end. fps: frames / duration. frames: displayed
    frames (an upper bound for streams without time stamps, and where frames turn out to be damaged). width, height:
    display size in pixels, after pixel aspect and rotation. rotation: degrees clockwise, 0, 90, 180 or 270, by which
    the stored picture is turned for display. error: why it cannot be used; then all numbers are 0. note: what is
    implausible or damaged about a file that can be used. damaged_frames: how many of its frames FFmpeg finds an error
    in, or depend on one, or do not come out; None where it was not decoded.
    """

    path: str
    label: str | None = None
    duration_seconds: float = 0.0
    fps: float = 0.0
    variable_rate: bool = False
    frames: int = 0
    width: int = 0
    height: int = 0
    rotation: int = 0
    codec: str = ""
    pixel_format: str = ""
    error: str | None = None
    note: str | None = None
    damaged_frames: int | None = None


def write_videos(videos: Sequence[Video], path: str | os.PathLike[str]) -> None:
    """Write them as a CSV, whole or not at all; paths below its folder become relative to it."""
    folder, name = os.path.split(os.path.abspath(path))
    temporary = os.path.join(folder, f".{name[:60]}.{os.getpid()}.part")
    try:
        with open(temporary, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Video)])
            writer.writeheader()
            for video in videos:
                absolute = os.path.abspath(video.path)
                inside = os.path.commonpath([absolute, folder]) == folder
                row = asdict(video) | {"path": os.path.relpath(absolute, folder) if inside else absolute}
                writer.writerow({key: "" if value is None else value for key, value in row.items()})
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def read_videos(file: str) -> list[Video]:
    """What `write_videos` wrote. Raises ValueError, with the line, where the file is not a manifest."""
    folder, videos = os.path.dirname(os.path.abspath(file)), list[Video]()
    with open(file, newline="", encoding="utf-8", errors="surrogateescape") as lines:
        reader = csv.reader(lines, strict=True)  # a path may have spaces at its ends, and lines: no `read_table`
        try:
            columns = next(reader, [])
            if missing := {field.name for field in fields(Video)} - {*columns, *NEWER}:
                raise ValueError(f"{file} is not a manifest: columns {sorted(missing)} are missing")
            for values in filter(None, reader):
                if len(values) != len(columns):
                    rule = f"must have {len(columns)} values, got {len(values)}"
                    raise BadFile(file, f"line {reader.line_num}", rule)
                video = _parsed(file, reader.line_num, dict(zip(columns, values)))
                videos.append(replace(video, path=os.path.join(folder, video.path)))
        except csv.Error as error:
            raise BadFile(file, f"line {reader.line_num}", f"must be CSV ({error})") from None
    return videos


def _parsed(file: str, line: int, row: dict[str, str]) -> Video:
    """The video of a manifest's row."""
    values: dict[str, object] = {}
    for field in fields(Video):
        try:
            values |= {field.name: PARSE[str(field.type)](row[field.name])} if field.name in row else {}
        except ValueError:
            got = f"got {row[field.name][:60]!a}"
            raise BadFile(file, f"line {line}", f"{field.name} must be {field.type}, {got}") from None
    return Video(**values)  # type: ignore[arg-type]


def is_video(columns: object) -> bool:
    """Are these a Video's columns, path and label aside, as far as types tell? (A cache's file is anybody's.)"""
    if not isinstance(columns, dict) or columns.keys() != TYPES.keys():
        return False
    for name, value in columns.items():
        kind = type(value)
        if kind not in TYPES[name] or (kind in NUMBERS and not 0 <= value < math.inf):
            return False
    return True


NUMBERS = (float, int)
TYPES = {
    field.name: tuple(
        type(None) if kind == "None" else getattr(builtins, kind) for kind in str(field.type).split(" | ")
    )
    for field in fields(Video)
    if field.name not in ("path", "label")
}
