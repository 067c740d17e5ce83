"""One process at a time writes into a folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class FolderLock:
    """A lock on a folder's file .lock, or on the folder itself, until `close` or the end of the process.

    Args:
        folder: created if need be.
        name: what the folder is to the user, as "--out runs/1".
        file: leave the file .lock there; without it no file is made, but fewer disks lock folders.
        say: is told where the disk has no locks; then, and on a system without them, nothing is locked.

    Errors (ValueError): another run has the folder.
    """

    def __init__(self, folder: str | Path, name: str, say: Callable[[str], None], *, file: bool = True) -> None:
        self._file: int | None = None
        Path(folder).mkdir(parents=True, exist_ok=True)
        if fcntl is None:
            return
        # through no link: the folder may be somebody else's
        path, how = (Path(folder) / ".lock", os.O_RDWR | os.O_CREAT) if file else (Path(folder), os.O_RDONLY)
        self._file = os.open(path, how | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                self.close()
                raise ValueError(f"{name} is in use by another run: wait for its end, or give another") from None
            say(f"{folder} cannot be locked ({error.strerror}): let no other run write there")

    def close(self) -> None:
        """Let the folder go."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
