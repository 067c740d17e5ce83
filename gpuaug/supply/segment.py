"""Segments: the parts of videos that windows are taken from, and what stands for them in `gpuaug.Loader`.

Used by sampler, the supplies and loader; imports video (probing).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any, Literal

from ..video.manifest import Manifest, probe


@dataclass(frozen=True)
class Segment:
    """A part of a video, half-open, in seconds from its first frame.

    Attributes:
        path: the video file.
        start_seconds, end_seconds: 0 ≤ start < end ≤ the video's duration.
        label: a class's number; −1: background, or no label.
        video: the video's number; segments of one video share it. −1: told by the path.
    """

    path: str
    start_seconds: float
    end_seconds: float
    label: int = -1
    video: int = -1

    @staticmethod
    def fingerprint(segments: Sequence[Segment]) -> str:
        """Eight hexadecimal digits that change with the segments: names of files, places in them, labels and order.

        Folders do not count: data may be moved.
        """
        rows = [
            (PurePath(s.path).name, s.video, round(s.start_seconds, 3), round(s.end_seconds, 3), s.label)
            for s in segments
        ]
        return f"{zlib.crc32(repr(rows).encode()):08x}"


@dataclass
class Segments:
    """Segments to draw from, and what was left out on the way to them.

    Attributes:
        segments: at least one. classes: names of the labels, in their order.
        skipped: (file, reason) of what cannot be used.
    """

    segments: list[Segment]
    classes: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    @property
    def videos(self) -> list[str]:
        """Path by the number of the video; "" where no segment has the number."""
        paths = [""] * (1 + max(segment.video for segment in self.segments))
        for segment in self.segments:
            paths[segment.video] = segment.path
        return paths


def segments_of(
    videos: Any, *, cache: str | Path | Literal[False] | None = None, progress: bool | None = None
) -> Segments:
    """Segments, from whatever tells of videos.

    Args:
        videos: segments; a manifest; or what `gpuaug.probe` takes: files, folders (class folders give labels), a CSV
            with path,label, or a list of them. Of the last two, a segment is a whole video.
        cache, progress: passed to `gpuaug.probe`.

    Errors (ValueError): nothing usable, or a segment without any length.
    """
    if isinstance(videos, Iterable) and not isinstance(videos, str):
        videos = list(videos)
        if videos and all(isinstance(each, Segment) for each in videos):
            for k, each in enumerate(videos):
                if not 0 <= each.start_seconds < each.end_seconds < float("inf"):
                    raise ValueError(f"videos must have 0 ≤ start < end, got segment {k}: {each}")
            return Segments(_numbered(videos))
    manifest = videos if isinstance(videos, Manifest) else probe(videos, cache=cache, progress=progress)
    skipped = [(video.path, str(video.error)) for video in manifest.failed]
    if not manifest.usable:
        first = f", for example {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
        raise ValueError(f"videos must include at least one usable file, got {videos}: {len(skipped)} unusable{first}")
    classes = sorted({video.label for video in manifest.usable if video.label is not None})
    number = {name: k for k, name in enumerate(classes)}
    segments = [
        Segment(video.path, 0.0, video.duration_seconds, -1 if video.label is None else number[video.label], k)
        for k, video in enumerate(manifest.usable)
    ]
    return Segments(segments, classes, skipped)


def _numbered(segments: list[Segment]) -> list[Segment]:
    """The segments with numbers of videos: where one has none, by the order of the paths."""
    if any(segment.video < 0 for segment in segments):
        number = {path: k for k, path in enumerate(dict.fromkeys(segment.path for segment in segments))}
        return [replace(segment, video=number[segment.path]) for segment in segments]
    paths: dict[int, str] = {}
    for segment in segments:
        if (other := paths.setdefault(segment.video, segment.path)) != segment.path:
            raise ValueError(
                f"videos must have one path per number, video={segment.video} has {other} and {segment.path}"
            )
    return segments
