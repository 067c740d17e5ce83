"""Classes of videos that a decoder fails at, though what it says of itself does not tell. Used by dali.py."""

from __future__ import annotations

from typing import NamedTuple

from ..frame_index import FrameIndex


class Class(NamedTuple):
    """What decides whether hardware can decode a video; `width` and `height` as displayed."""

    codec: str
    pixel_format: str
    width: int
    height: int


class Classes:
    """Refuses a class of videos once `limit` files of it have failed and none has been decoded.

    One that was decoded clears its class for good: what fails then are files.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._failed: dict[Class, dict[str, str]] = {}  # paths and reasons
        self._decoded: set[Class] = set()

    def refuses(self, index: FrameIndex) -> str:
        """Why videos like this one are not tried any more; empty if they are."""
        kind = _class_of(index)
        failed = self._failed.get(kind, {})
        if len(failed) < self.limit:
            return ""
        last = next(reversed(failed.values()))
        return (
            f"{self.limit} of {self.limit} files of {kind.codec}, {kind.pixel_format}, {kind.width} × {kind.height} "
            f"failed, the last: {last}"
        )

    def failed(self, index: FrameIndex, reason: str) -> None:
        """A file could not be decoded, for a reason that is not the moment's."""
        kind = _class_of(index)
        files = self._failed.setdefault(kind, {})
        if kind not in self._decoded and len(files) < self.limit:
            files[index.path] = reason

    def decoded(self, index: FrameIndex) -> None:
        """A file could be decoded."""
        kind = _class_of(index)
        self._decoded.add(kind)
        self._failed.pop(kind, None)


def _class_of(index: FrameIndex) -> Class:
    return Class(index.codec, index.pixel_format, index.width, index.height)
