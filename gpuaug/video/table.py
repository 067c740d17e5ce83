"""Text files and CSV tables of videos, read strictly: what breaks the form is refused by file and line.

Used by `manifest` for lists of videos and by pretrain.data for annotations. Standard library only.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import zlib
from collections.abc import Container
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
