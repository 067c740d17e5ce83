"""What probe has read of each video file, kept between runs in one SQLite file.

Used by manifest.py; imports nothing of gpuaug.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import warnings
from typing import Any, Literal

import av

# A change of what is stored, or of the library that reads the files, makes what is stored invalid. (1 took read errors
# for the end of a file; 2 had no notes.)
VERSION = f"3, libavformat {av.library_versions['libavformat']}"
COMMIT_EVERY = 500  # files, so that an interrupted run starts again from there


class Cache:
    """Columns by path, valid while the file's size and modification time are the same.

    Args:
        path: the SQLite file, made if it is missing; None: the user's; False: nothing is remembered.

    A cache that cannot be opened or written is done without, with a warning: it only saves time.
    """

    def __init__(self, path: str | os.PathLike[str] | Literal[False] | None) -> None:
        self._connection: sqlite3.Connection | None = None
        self._uncommitted = 0
        if path is False:
            return
        file = os.fspath(path) if path is not None else _users_cache()
        try:
            os.makedirs(os.path.dirname(os.path.abspath(file)), exist_ok=True)
            self._connection = sqlite3.connect(file, timeout=30)
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS files "
                "(path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, version TEXT, columns TEXT)"
            )
        except (OSError, sqlite3.Error) as error:
            self._give_up(f"{file}: {error}")

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            try:
                self._connection.commit()
            except sqlite3.Error as error:
                self._give_up(str(error))
            else:
                self._connection.close()

    def look_up(self, stats: dict[str, os.stat_result]) -> dict[str, dict[str, Any]]:
        """Columns, as they stand there, of those of these files that are known and have not changed since."""
        if self._connection is None:
            return {}
        found: dict[str, dict[str, Any]] = {}
        query = "SELECT size, mtime_ns, version, columns FROM files WHERE path = ?"
        try:
            for path, status in stats.items():
                row = self._connection.execute(query, (_key(path),)).fetchone()
                if row is not None and row[:3] == (status.st_size, status.st_mtime_ns, VERSION):
                    with contextlib.suppress(ValueError, TypeError, RecursionError):  # a row that others wrote
                        found[path] = json.loads(row[3])
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


def _key(path: str) -> str:
    # SQLite takes text without lone surrogates, which stand for bytes of file names that are not UTF-8.
    return os.path.abspath(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _users_cache() -> str:
    root = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(root, "gpuaug", "probe.sqlite3")
