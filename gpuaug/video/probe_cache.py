"""What has been read of each video file, its columns in a manifest and its time table, kept in one SQLite file.

Used by manifest.py and decoder.py; imports nothing of gpuaug.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import warnings
import zlib
from collections.abc import Mapping
from typing import Any, Literal

import av
import numpy as np

# A change of what is stored, or of the library that reads the files, makes what is stored invalid. (1 took read errors
# for the end of a file; 2 had no notes.)
VERSION = f"3, libavformat {av.library_versions['libavformat']}"
COMMIT_EVERY = 500  # files, so that an interrupted run starts again from there
# Of the time tables, in which FFmpeg's decoders have a say, too.
TABLES = f"1, {VERSION}, libavcodec {av.library_versions['libavcodec']}"
LARGEST = 1 << 28  # bytes of a table
ASKED_AT_ONCE = 500  # rows
WRITTEN_AT_ONCE = 64  # tables, in one short transaction: other processes write, too


class Cache:
    """Columns by path, valid while the file's size and modification time are the same.

    Args:
        path: the SQLite file, made if it is missing; None: the user's; False: nothing is remembered.

    A cache that cannot be opened or written is done without, with a warning: it only saves time.
    """

    def __init__(self, path: str | os.PathLike[str] | Literal[False] | None) -> None:
        self._connection: sqlite3.Connection | None = None
        self._uncommitted, self._tables = 0, list[tuple[Any, ...]]()
        self._file = "" if path is False else os.fspath(path) if path is not None else _users_cache()
        self._open()

    def _open(self) -> None:
        self._lock, self._process = threading.RLock(), os.getpid()
        if not self._file:
            return
        try:
            os.makedirs(os.path.dirname(os.path.abspath(self._file)), exist_ok=True)
            self._connection = sqlite3.connect(self._file, timeout=30, check_same_thread=False)
            for table, last in (("files", "columns TEXT"), ("tables", "data BLOB")):
                self._connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {table} "
                    f"(path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, version TEXT, {last})"
                    + " WITHOUT ROWID"
                    * (table == "files")  # in order of the paths: a folder's are read in one go
                )
        except (OSError, sqlite3.Error) as error:
            self._give_up(f"{self._file}: {error}")

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what is left, and let go of the file."""
        if self._process != os.getpid():
            return  # what was left is the parent's to write
        with self._lock:
            if self._connection is not None:
                try:
                    self._write_tables()
                    self._connection.commit()
                except sqlite3.Error as error:
                    self._give_up(str(error))
                else:
                    self._connection.close()
            self._connection = None

    def table(self, path: str, status: os.stat_result) -> dict[str, Any] | None:
        """What `keep_table` was given of this file, if it has not changed since. Any thread may ask."""
        query = "SELECT size, mtime_ns, version, data FROM tables WHERE path = ?"
        if self._process != os.getpid():  # forked: SQLite's files and locks are the parent's
            self._connection, self._tables = None, []
            self._open()
        with self._lock:
            if self._connection is None:
                return None
            try:
                row = self._connection.execute(query, (_key(path),)).fetchone()
            except sqlite3.Error as error:
                self._give_up(str(error))
                return None
        return unpack(row[3]) if row and row[:3] == (status.st_size, status.st_mtime_ns, TABLES) else None

    def keep_table(self, path: str, status: os.stat_result, fields: Mapping[str, Any]) -> None:
        """Store plain values and arrays of integers by name."""
        if self._connection is not None:
            row = (_key(path), status.st_size, status.st_mtime_ns, TABLES, pack(fields))
            with self._lock:
                self._tables.append(row)
                if len(self._tables) >= WRITTEN_AT_ONCE:
                    try:
                        self._write_tables()
                    except sqlite3.Error as error:
                        self._give_up(str(error))

    def _write_tables(self) -> None:
        """With those that are kept for `remember`'s next commit, if there are any."""
        if self._connection is not None and self._tables:
            self._connection.executemany("INSERT OR REPLACE INTO tables VALUES (?, ?, ?, ?, ?)", self._tables)
            self._tables.clear()
            if not self._uncommitted:
                self._connection.commit()

    def look_up(self, stats: dict[str, os.stat_result]) -> dict[str, dict[str, Any]]:
        """Columns, as they stand there, of those of these files that are known and have not changed since."""
        if self._connection is None:
            return {}
        found: dict[str, dict[str, Any]] = {}
        paths: dict[str, list[str]] = {}
        for path in stats:
            paths.setdefault(_key(path), []).append(path)
        asked = sorted(paths)
        try:
            for i in range(0, len(asked), ASKED_AT_ONCE):
                some = asked[i : i + ASKED_AT_ONCE]
                query = f"SELECT * FROM files WHERE path IN ({','.join('?' * len(some))})"
                rows = self._connection.execute(query, some)
                for path, size, time, version, columns in ((path, *rest) for key, *rest in rows for path in paths[key]):
                    if (size, time, version) == (stats[path].st_size, stats[path].st_mtime_ns, VERSION):
                        with contextlib.suppress(ValueError, TypeError, RecursionError):  # a row that others wrote
                            found[path] = json.loads(columns)
        except sqlite3.Error as error:
            self._give_up(str(error))
        return found

    def remember(self, path: str, status: os.stat_result, columns: dict[str, Any]) -> None:
        """Store a file's columns."""
        if self._connection is None:
            return
        row = (_key(path), status.st_size, status.st_mtime_ns, VERSION, json.dumps(columns))
        try:
            self._connection.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", row)
            self._uncommitted += 1
            if self._uncommitted >= COMMIT_EVERY:
                self._connection.commit()
                self._uncommitted = 0
        except sqlite3.Error as error:
            self._give_up(str(error))

    def _give_up(self, reason: str) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        warnings.warn(f"going on without the cache of probed files ({reason})", RuntimeWarning, stacklevel=3)


def pack(fields: Mapping[str, Any]) -> bytes:
    """Plain values, and arrays of integers, as bytes: a few for each number.

    >>> unpack(pack({"notes": ["cut"], "stamp_N": np.arange(0, 4000, 40)}))["stamp_N"][-1]
    np.int64(3960)
    """
    head: dict[str, Any] = {}
    parts: list[bytes] = []
    for name, value in fields.items():
        if not isinstance(value, np.ndarray):
            head[name] = value
            continue
        steps = np.diff(value, prepend=value.dtype.type(0))  # small, and often all alike
        small = np.min_scalar_type(min(int(steps.min(initial=-1)), -int(steps.max(initial=0)) - 1))
        parts.append(steps.astype(small).tobytes())
        head[name] = {"array": value.dtype.str, "steps": small.str, "count": len(value)}
    text = json.dumps(head).encode()
    data = zlib.compress(len(text).to_bytes(4, "little") + text + b"".join(parts))
    return zlib.crc32(data).to_bytes(4, "little") + data


def unpack(data: object) -> dict[str, Any] | None:
    """What was packed; None where it was not."""
    try:
        if not isinstance(data, bytes) or zlib.crc32(data[4:]).to_bytes(4, "little") != data[:4]:
            return None
        data = zlib.decompressobj().decompress(data[4:], LARGEST)
        at = 4 + int.from_bytes(data[:4], "little")
        fields: dict[str, Any] = json.loads(data[4:at])
        for name, value in fields.items():
            if isinstance(value, dict):
                steps = np.frombuffer(data, value["steps"], value["count"], at)
                fields[name] = np.cumsum(steps, dtype=value["array"])
                at += steps.nbytes
        return fields
    except (zlib.error, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _key(path: str) -> str:
    # SQLite takes text without lone surrogates, which stand for bytes of file names that are not UTF-8.
    return os.path.abspath(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _users_cache() -> str:
    root = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(root, "gpuaug", "probe.sqlite3")
