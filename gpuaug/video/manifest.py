"""What is in a collection of video files: their lengths, rates, sizes and codecs, or why they cannot be used."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal

from tqdm import tqdm

from .backends.damage import damaged_frames
from .decoder import usable_cores
from .demux import Unusable, check_file, one_line
from .frame_index import read_index
from .probe_cache import Cache
from .table import BadFile, Video, decoded, is_video, read_table, read_text, read_videos, write_videos

# What a folder is searched for; a file named as such is probed whatever it is called.
# fmt: off
EXTENSIONS = frozenset({
    "3g2", "3gp", "asf", "avi", "divx", "dv", "f4v", "flv", "gif", "h264", "h265", "hevc", "ivf", "m1v", "m2ts", "m2v",
    "m4v", "mjpeg", "mjpg", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "mxf", "ogg", "ogv", "rm", "rmvb", "ts", "vob",
    "webm", "wmv", "y4m",
})
# fmt: on


@dataclass(frozen=True)
class Manifest:
    """Videos in the order in which they were found; `usable` and `failed` are its two parts."""

    videos: list[Video]

    @property
    def usable(self) -> list[Video]:
        return [video for video in self.videos if video.error is None]

    @property
    def failed(self) -> list[Video]:
        return [video for video in self.videos if video.error is not None]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a CSV with a column for each field of Video; paths below its folder are written relative to it."""
        write_videos(self.videos, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Manifest:
        """Read what `save` wrote. Raises ValueError, with file and line, if the file is not a manifest."""
        return cls(read_videos(os.fspath(path)))


PathLike = str | os.PathLike[str]


def probe(
    paths: PathLike | Iterable[PathLike],
    *,
    cache: PathLike | Literal[False] | None = None,
    workers: int | None = None,
    progress: bool | None = None,
    decode: bool = False,
) -> Manifest:
    """What is in these files. Containers are read, not decoded (but for one key frame, which tells the rotation).

    Args:
        paths: files; folders, which are searched for files named as videos (a video's label is the name of its folder,
            unless that is the searched folder itself); CSV files with columns path and, optionally, label (UTF-8;
            paths are relative to the CSV, a file has one label); or a list of these.
        cache: file that remembers what was found, and the times of all frames for a `Decoder` or `Loader`, by path,
            size and modification time; None: one for the user, in $XDG_CACHE_HOME/gpuaug; False: none.
        workers: files read at the same time; None: four for each core, for this waits for the disk.
        decode: decode every file once, too, and count its damaged frames.
        progress: show a progress bar if it takes longer than a second; None: if standard error is a terminal.

    A file that cannot be used is in the result, with the reason in `error`; only a missing argument raises.

    Raises:
        FileNotFoundError: one of `paths` does not exist. ValueError: a CSV has no column path, or breaks its form.
    """
    found = list(dict.fromkeys(_find([paths] if isinstance(paths, str | os.PathLike) else paths)))
    with Cache(cache) as known, ThreadPoolExecutor(workers or 4 * usable_cores()) as pool:
        videos: dict[str, Video] = {}
        stats: dict[str, os.stat_result] = {}
        for path, _ in found:
            try:
                stats[path] = check_file(path)
            except (Unusable, OSError) as error:
                videos[path] = Video(path, error=one_line(error))
        remembered = {path: columns for path, columns in known.look_up(stats).items() if is_video(columns)}
        if decode:
            done = {path for path, c in remembered.items() if c["error"] or c.get("damaged_frames") is not None}
            remembered = {path: remembered[path] for path in done}
        new = [path for path in stats if path not in remembered]
        bar = tqdm(
            zip(new, pool.map(partial(_read, decode=True) if decode else _read, new)),
            "reading videos",
            total=len(new),
            unit="file",
            delay=1,
            disable=None if progress is None else not progress,
        )
        try:
            for path, (video, lasting, table) in bar:
                videos[path] = video
                if lasting:
                    columns = asdict(video)
                    del columns["path"], columns["label"]
                    known.remember(path, stats[path], columns)
                if table:
                    known.keep_table(path, stats[path], table)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # an interrupt does not wait for the rest
    return Manifest(
        [
            Video(path, label, **remembered[path]) if path in remembered else replace(videos[path], label=label)
            for path, label in found
        ]
    )


def _read(path: str, *, decode: bool = False) -> tuple[Video, bool, dict[str, Any] | None]:
    """(the video, whether that is a property of the file and not of the moment, its time table if there is one)."""
    try:
        index = read_index(path)
        damaged = damaged_frames(index) if decode else None
    except Unusable as error:
        return Video(path, error=one_line(error)), error.lasting, None
    except Exception as error:  # whatever a file brings about is that file's failure only
        return Video(path, error=one_line(error)), False, None
    frames, duration = len(index.stamp_N), index.duration_seconds
    return (
        Video(
            path=path,
            duration_seconds=round(duration, 9),
            fps=round(frames / duration, 9) if duration > 0 else 0.0,
            variable_rate=index.variable_rate,
            frames=frames,
            width=index.width,
            height=index.height,
            rotation=index.rotation,
            codec=index.codec,
            pixel_format=index.pixel_format,
            note="; ".join(index.notes) or None,
            damaged_frames=damaged,
        ),
        True,
        index.saved(),
    )


def _find(paths: Iterable[PathLike]) -> Iterator[tuple[str, str | None]]:
    """(path, label) of every file that is meant."""
    for given in paths:
        path = os.fspath(given)
        if not os.path.lexists(path):
            remote = "; only local files are read" if "://" in str(path) else ""
            raise FileNotFoundError(f"no such file or folder: {path}{remote}")
        if os.path.isdir(path):
            yield from _search(path)
        elif path.lower().endswith(".csv"):
            yield from _listed(path)
        else:
            yield path, None


def _search(root: str) -> Iterator[tuple[str, str | None]]:
    """Files named as videos, in alphabetical order; links are followed, but no folder is entered twice."""
    entered: set[tuple[int, int]] = set()
    closed: list[str] = []
    for folder, folders, files in os.walk(root, followlinks=True, onerror=lambda error: closed.append(error.filename)):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        label = None if folder == root else os.path.basename(folder)
        named = sorted(name for name in [*files, *folders] if _named_as_video(name))
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not _named_as_video(name))
        yield from ((os.path.join(folder, name), label) for name in named)
    yield from ((folder, None) for folder in closed)


def _named_as_video(name: str) -> bool:
    stem, _, suffix = name.rpartition(".")
    return stem != "" and suffix.lower() in EXTENSIONS and not name.startswith(".")


def _listed(path: str) -> Iterator[tuple[str, str | None]]:
    text = read_text(path, errors="surrogateescape")
    columns, rows = read_table(path, text, file_names=("path", "error"))  # an error can quote the path
    if "path" not in columns:
        raise ValueError(f"{path} must have a column named path, got columns {columns}")
    labels: dict[str, str] = {}
    for where, row in rows:
        file, label = os.path.join(os.path.dirname(path), row["path"]), row.get("label", "")
        if not row["path"]:
            raise BadFile(path, where, "must name a file, got an empty path")
        if not decoded(row["path"]) and not os.path.lexists(file):
            raise BadFile(path, where, f"must be UTF-8 text or name a file, got {row['path'][:60]!a}")
        if (other := labels.setdefault(os.path.realpath(file), label)) != label:
            raise BadFile(path, where, f"a file must have one label, {row['path']!a} has {other!r} and {label!r}")
        yield file, label or None
