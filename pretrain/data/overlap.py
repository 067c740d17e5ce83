"""Videos that are trained on and held out at once: found by file and by id, and refused.

A video on both sides makes every held-out number worthless, and nothing else shows it. `train`, `localize` and
`evaluate` look for such videos; what was trained on is written beside the weights, the features and the predictions
made with it, so that it is known at the next step too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gpuaug import Manifest, Video

from .formats import BadFile, list_of, read_json, video_id

RECORD = "training_videos.json"  # in a run folder


class Named(NamedTuple):
    """What a video is known by: its file, and the id that annotations give it; "" where one is not known."""

    path: str = ""
    id: str = ""


def identity(path: str) -> tuple[int, int] | str:
    """The same for all names of a file, links included: device and inode, or of a missing file the resolved path."""
    try:
        status = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)


def keys(video: Named) -> Iterator[tuple[str, Any]]:
    """What two names of one video have in common: its file or its id."""
    if video.path:
        yield "file", identity(video.path)
    if video.id:
        yield "id", video.id


def shared(trained: Iterable[Named], held_out: Iterable[Named]) -> list[Named]:
    """Those of `held_out` that are also trained on: of the same file, or of the same id.

    >>> shared([Named("a.mp4", "x"), Named("b.mp4")], [Named("c.mp4", "x"), Named("./b.mp4"), Named("d.mp4", "z")])
    [Named(path='c.mp4', id='x'), Named(path='./b.mp4', id='')]
    """
    known = {key for video in trained for key in keys(video)}
    return [video for video in held_out if any(key in known for key in keys(video))]


def refuse(trained: Iterable[Named], held_out: Sequence[Named], flag: str, *, by: str = "", hint: str = "") -> None:
    """ValueError in one line, naming the flag, the count and a first video, if a held-out video is trained on.

    Args:
        flag: what gave the held-out videos.
        by: what is trained on them, "" where that goes without saying.
        hint: how else to give them; ends the line.
    """
    both = shared(trained, held_out)
    if both:
        count = f"{len(both)} of the {len(held_out)} are, the first is {both[0].id or both[0].path}"
        raise ValueError(f"{flag} must hold out videos that are not trained on{by}: {count}{hint}")


def one_label(manifest: Manifest) -> Manifest:
    """The manifest with each path once. Links to a file are names of it: with other labels they are refused."""
    first: dict[Any, Video] = {}
    kept: dict[str, Video] = {}
    for video in manifest.videos:
        other = first.setdefault(identity(video.path), video)
        if other.label != video.label:
            names = f"{other.path} has {other.label!r} and {video.path} {video.label!r}"
            raise ValueError(f"a video must have one label, {names}, which are one file")
        kept.setdefault(os.path.abspath(video.path), video)
    return Manifest(list(kept.values()))


def stated(videos: Iterable[Named]) -> dict[str, Any]:
    """The content of a run folder's record, {"videos": [[path, id], …]}; paths from the root."""
    return {"videos": sorted({(video.path and os.path.abspath(video.path), video.id) for video in videos})}


def of_predictions(path: str | Path) -> list[Named]:
    """What the predictions in a JSON file were trained on: {"external_data": {"trained_on": [id, …]}}, else [].

    ActivityNet's form has the field external_data for what else went into the predictions, of any content.

    Errors (BadFile): no JSON object, or no ids in that list.
    """
    external = read_json(path).get("external_data")
    if not isinstance(external, dict) or "trained_on" not in external:
        return []
    ids = list_of(path, "external_data", "trained_on", external["trained_on"])
    for video in ids:
        if not isinstance(video, str):
            raise BadFile(path, "external_data", f"trained_on must be ids of videos, got {video!r}")
    return [Named(id=video_id(video)) for video in ids]


def of_run(weights: str | Path | None) -> list[Named]:
    """What a checkpoint of ours (a file or a run folder) was trained on, also before it; [] where nothing tells.

    Errors (ValueError): a record that cannot be read.
    """
    if not weights:
        return []
    folder = Path(weights) if Path(weights).is_dir() else Path(weights).parent
    record = folder / RECORD
    if not record.exists():
        return []
    try:
        return [Named(str(path), str(id)) for path, id in json.loads(record.read_text(encoding="utf-8"))["videos"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f'{record} must be {{"videos": [[path, id], …]}}: {error}') from None
