"""Files that are complete whenever they exist, and JSON without NaN. Used by every package of pretrain."""

from __future__ import annotations

import glob
import gzip
import json
import math
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """The path to write to: a hidden neighbour, which takes the name `path` if the block ends without an error.

    Folders are made. What a killed process leaves behind, `.NAME.PID.part`, goes with `sweep`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{_short(path.name)}.{os.getpid()}.part")
    part.unlink(missing_ok=True)  # a link, in a folder that somebody sent
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def sweep(path: str | Path) -> None:
    """Delete what processes that are gone have left of unfinished writes of `path`."""
    path = Path(path)
    for part in path.parent.glob(f".{glob.escape(_short(path.name))}.*.part"):
        number = part.name.split(".")[-2]
        if number.isdecimal() and not _alive(int(number)):
            part.unlink(missing_ok=True)


def _short(name: str) -> str:
    """A name as far as it leaves room for what `atomic` adds: a disk takes 255 bytes."""
    data = os.fsencode(name)
    return name if len(data) <= 230 else f"{os.fsdecode(data[:210])}{zlib.crc32(data):08x}"


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


@contextmanager
def new_text(path: str | Path) -> Iterator[IO[str]]:
    """A text file to write, UTF-8 (but for bytes in names of files), compressed if its name ends in .gz."""
    how: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape", "newline": "\n"}
    opened = gzip.open if Path(path).suffix == ".gz" else open
    with atomic(path) as part, opened(part, "wt", **how) as file:
        yield file


def readable(text: str) -> str:
    """Text that can be written and shown: bytes that are no UTF-8 and control characters become \\x…, as in names.

    >>> print(readable("caf" + chr(0xDCE9) + chr(27)))
    caf\\xe9\\x1b
    """
    return re.sub("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", _escaped, text)


def _escaped(letter: re.Match[str]) -> str:
    code = ord(letter[0])
    return f"\\x{code - 0xDC00 if code >= 0xDC80 else code:02x}" if not 0xD800 <= code < 0xDC80 else f"\\u{code:04x}"


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON, as `jsonable` makes it."""
    with new_text(path) as file:
        file.write(json.dumps(jsonable(content), indent=1) + "\n")


def jsonable(value: Any) -> Any:
    """The value in JSON's types: arrays and tuples become lists, NaN and infinity null, anything else its text.

    >>> jsonable({"a": (1, np.float64("nan")), 2: np.arange(2), "path": Path("x")})
    {'a': [1, None], '2': [0, 1], 'path': 'x'}
    """
    if isinstance(value, dict):
        return {str(key): jsonable(each) for key, each in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [jsonable(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def local(path: str | Path) -> str:
    """What to add where a file is missing: that addresses are not read; "" if it is none.

    >>> local("https://host/a.mp4"), local(Path("s3://bucket/a.mp4")), local("C:/a.mp4"), local("a.mp4")
    ('; only local files are read', '; only local files are read', '', '')
    """
    return "; only local files are read" if re.match(r"[A-Za-z][\w+.-]+:/", str(path)) else ""
