"""What an extraction has to do, is done, and could not do; and the JSON file that says so beside the features."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import gpuaug

from ..data.formats import file_id, mapping_of
from ..data.overlap import Named, identity, shared
from .grid import Grid
from .sliding import VideoClips
from .store import Store, read_settings


@dataclass
class ExtractionPlan:
    """The videos of an extraction.

    Attributes:
        videos: of all usable videos that are not left out, in the order of the manifest.
        finished: {name: key in the store} of those that are finished.
        failed, skipped: {path: reason} of unusable ones, and of those left out as too short.
    """

    videos: list[VideoClips] = field(default_factory=list)
    finished: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def shard(self, world: int) -> list[list[VideoClips]]:
        """What is left to do as a shard per process: disjoint, complete, about equally long; long videos first."""
        shards: list[list[VideoClips]] = [[] for _ in range(world)]
        load = [0] * world
        for clips in sorted((j for j in self.videos if j.name not in self.finished), key=lambda j: (-j.wanted, j.name)):
            rank = load.index(min(load))
            load[rank] += clips.wanted
            shards[rank].append(clips)
        return shards


def plan_extraction(
    videos: Sequence[str],
    store: Store,
    settings: Mapping[str, Any],
    *,
    frame_bytes: Any,
    names: Literal["stem", "path", "file"] = "stem",
    too_short: Literal["pad", "skip"] = "pad",
) -> ExtractionPlan:
    """Look at the videos and at what is finished.

    Args:
        videos: what `gpuaug.probe` takes.
        settings: of `extraction_settings`; fps "native" is each video's own average.
        frame_bytes: function of a video, the size of one decoded frame.
        names: "stem": file name without suffix; "path": the same with the folders below the one common to all;
            "file": that with the suffix.
        too_short: what becomes of videos without one whole clip.

    Errors (ValueError): `store` holds features of other settings, or two videos have one name, also one of an earlier
    run whose features are in `store`.
    """
    check_settings(store, settings)
    manifest = gpuaug.probe(videos)
    plan = ExtractionPlan(failed={video.path: str(video.error) for video in manifest.failed})
    folders = [os.path.dirname(os.path.abspath(video.path)) for video in manifest.videos]
    root = os.path.commonpath(folders) if folders else ""
    owner: dict[str, str] = {}
    for video in manifest.usable:
        path = Path(Path(video.path).name if names == "stem" else os.path.relpath(os.path.abspath(video.path), root))
        name = path.as_posix()
        name = name if names == "file" else name.removesuffix(path.suffix)
        if (other := owner.setdefault(name, video.path)) != video.path:
            if os.path.abspath(other) == os.path.abspath(video.path):
                continue  # given twice
            hint = "path" if names == "stem" and Path(other).parent != Path(video.path).parent else "file"
            raise ValueError(f"names must differ (use --names {hint}), got {name!r} for {other} and {video.path}")
        fps = video.fps if settings["fps"] == "native" else settings["fps"]
        clips = VideoClips(
            name, video, Grid(fps, settings["clip_frames"], settings["stride_frames"]), frame_bytes(video)
        )
        if clips.padded and too_short == "skip":
            plan.skipped[video.path] = f"{clips.frames} frames at {fps:g} per second, a clip has {clips.grid.clip}"
        else:
            plan.videos.append(clips)
    plan.finished = store.finished(clips.name for clips in plan.videos)
    before = read_settings(store.out).get("videos", {})
    for clips in plan.videos:
        other = before.get(clips.name, {}).get("path", clips.video.path) if clips.name in plan.finished else ""
        if other and os.path.exists(other) and identity(other) != identity(clips.video.path):
            raise ValueError(
                f"out must hold features of the same videos, got {store.out} with {clips.name!r} of {other}, not of "
                f"{clips.video.path}"
            )
    return plan


def extraction_settings(
    grid: Grid, native: bool, models: Sequence[Mapping[str, Any]], *, pool: str | None, rescale: int | None, **view: Any
) -> dict[str, Any]:
    """What is the same for all videos of an extraction; features of other settings are never mixed with these.

    Row i stands for the middle of its clip, second (offset_frames + i·stride_frames + clip_frames/2)/fps. ActionFormer
    and OpenTAD state the same in their own ways: for them the offset is that of the first clip's middle. (OpenTAD's
    THUMOS14 data set counts in the videos' own frames: extract at fps "native" for it.)
    """
    about: dict[str, Any] = {
        "fps": "native" if native else grid.fps,
        "clip_frames": grid.clip,
        "stride_frames": grid.stride,
        "offset_frames": 0,
        "axes": "F" if pool else "T,F",
        "dtype": "float32",
        "features": sum(model["features"] for model in models),
        "pool": pool,
        "rescaled_rows": rescale,
        **view,
        "models": list(models),
    }
    if not (pool or rescale or native):
        about["actionformer"] = {"default_fps": grid.fps, "feat_stride": grid.stride, "num_frames": grid.clip}
        about["opentad"] = {"fps": grid.fps, "feature_stride": grid.stride, "offset_frames": grid.clip // 2}
    return about


def check_settings(store: Store, settings: Mapping[str, Any]) -> None:
    """ValueError if `store` holds features of other settings, or of unknown ones."""
    old = read_settings(store.out)
    if not old and store.keys():
        raise ValueError(f"--out must be new or have its {store.settings_file.name}, got {store.out} without")
    for key, value in settings.items():
        there, asked = _essence(old.get(key)) if old else None, _essence(value)
        if old and there != asked:
            both = "; ".join(_differences(there, asked)) or f"{there} there, {asked} asked for"
            raise ValueError(f"--out must be new or hold features of the same {key}, {store.out} has others: {both}")


def metadata(
    settings: Mapping[str, Any],
    plan: ExtractionPlan,
    finished: Mapping[str, str],
    failed: Mapping[str, str],
    store: Store,
    trained_on: Sequence[Named] = (),
) -> dict[str, Any]:
    """The whole JSON file: settings, every finished video, what is missing and why, what the networks were trained on.

    The last are ids, as far as there are annotations, and those of `plan`'s videos of the same files.
    """
    before = read_settings(store.out)
    earlier = before.get("videos", {})
    videos = {name: earlier[name] for name in store.finished(earlier)}
    for clips in plan.videos:
        if clips.name in finished:
            about = {"path": clips.video.path, "duration_seconds": clips.video.duration_seconds, "fps": clips.grid.fps}
            videos[clips.name] = about | {"frames": clips.frames, "rows": clips.rows, "padded": clips.padded}
            if finished[clips.name] != clips.name:
                videos[clips.name]["stored_as"] = finished[clips.name]
    known = [Named(clips.video.path, file_id(clips.name)) for clips in plan.videos]
    seen = {video.id for video in (*trained_on, *shared(trained_on, known)) if video.id}
    missing = [clips.name for clips in plan.videos if clips.name not in finished and clips.video.path not in failed]
    return {
        **settings,
        "complete": not missing,
        "videos": dict(sorted(videos.items())),
        "padded": sorted(name for name, about in videos.items() if about.get("padded")),
        "skipped": dict(sorted(plan.skipped.items())),
        "failed": dict(sorted({**plan.failed, **failed}.items())),
        "damaged_frames": dict(mapping_of(store.settings_file, "damaged_frames", before.get("damaged_frames", {}))),
        "trained_on": sorted({*before.get("trained_on", ()), *seen}),
    }


def _differences(there: Any, asked: Any) -> list[str]:
    """What differs between lists of as many models, a part for each; hashes by their first digits.

    >>> _differences([{"size": 64, "sha256": "6dba9204eb60fa76"}], [{"size": 64, "sha256": "e4eed4c4f53521dc"}])
    ['sha256 6dba9204eb there, e4eed4c4f5 asked for']
    """
    if not (isinstance(there, list) and isinstance(asked, list) and len(there) == len(asked)):
        return []
    found = []
    for one, other in zip(there, asked):
        if not (isinstance(one, Mapping) and isinstance(other, Mapping)):
            return []
        for key in sorted(k for k in {*one, *other} if one.get(k) != other.get(k)):
            values = (str(each.get(key))[:10] if key == "sha256" else each.get(key) for each in (one, other))
            found.append("{} {} there, {} asked for".format(key, *values))
    return found


def _essence(value: Any) -> Any:
    """A setting as JSON gives it back, without the places of files, which may move."""
    if isinstance(value, Mapping):
        return {k: _essence(v) for k, v in value.items() if k != "file"}
    return [_essence(v) for v in value] if isinstance(value, list | tuple) else value
