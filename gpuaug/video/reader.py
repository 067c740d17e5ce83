"""A file as libav reads it, and what went wrong when it was read."""

from __future__ import annotations

import errno
import io
import os


class Reader:
    """An open file with the methods that PyAV calls; the first error of any is kept for `check`.

    libav opens files by path, too, but takes some read errors for the end of the file or for damage: while it looks for
    a header, and in the middle where the next read succeeds.
    """

    def __init__(self, path: str) -> None:
        # The prefix keeps libav from taking "clip:1.mp4" for a protocol.
        self.name = "file:" + path
        self._file = io.FileIO(path)
        self.size = os.fstat(self._file.fileno()).st_size
        self.error: BaseException | None = None

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`; none at the end, and after an error."""
        if self.error is None:
            try:
                return self._file.read(size) or b""
            except BaseException as error:  # through libav nothing passes, not even an interrupt
                self.error = error
        return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """The new position; −1 where there is none."""
        try:
            return self._file.seek(offset, whence)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a position before the file's begin, which a damaged file may ask for
                self.error = self.error or error
        except BaseException as error:
            self.error = self.error or error
        return -1

    def tell(self) -> int:
        return self._file.tell()

    def check(self) -> None:
        """Raise the first error, if there was one."""
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self._file.close()
