"""Readers of temporal annotations. No video file is touched here.

Five forms are read, plain or gzipped, and told apart by their content:

- ActivityNet JSON: {"database": {video: {"subset", "duration", "annotations": [{"label", "segment": [s, e]}]}}};
  THUMOS14 is also published in this form, with duration 0 for "unknown";
- THUMOS14's own text files, CLASS_val.txt …, lines "video start end": one file, or a folder of them;
- TSP's CSV: video-name,t-start,t-end,action-label,video-duration,filename,fps,video-frames,temporal-region-label;
- Kinetics' CSV: label,youtube_id,time_start,time_end,split, whose videos are trimmed: a file is a segment;
- ours: path,start_seconds,end_seconds,label (an empty label: background).

Each has one parser, whose result is `Annotations`; the functions below it are what training, reports and evaluation
take from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpuaug import read_table

from .formats import (
    BadFile,
    file_id,
    lines_of,
    list_of,
    mapping_of,
    number_of,
    read_json,
    read_text,
    segments_of,
    span_of,
    unique_ids,
    video_id,
)
from .segments import AMBIGUOUS, Segments

TSP_COLUMNS = ("video-name", "t-start", "t-end", "action-label", "temporal-region-label")
KINETICS_COLUMNS = ("label", "youtube_id", "time_start", "time_end", "split")
OUR_COLUMNS = ("path", "start_seconds", "end_seconds", "label")


@dataclass
class Entry:
    """What is published of one video. None: not stated. Nothing of it is trusted where the video itself is at hand.

    trimmed: the file is the segment, whatever its length.
    """

    filename: str | None = None
    subset: str | None = None
    duration_seconds: float | None = None
    fps: float | None = None
    frames: int | None = None
    trimmed: bool = False


@dataclass(frozen=True)
class Annotations:
    """A file as published: its videos in order, also those without a segment, and the segments of all.

    The videos go by their ids; in our CSV a path is the id.
    """

    videos: dict[str, Entry]
    segments: Segments

    @property
    def classes(self) -> list[str]:
        """All labels but that of background and THUMOS14's "Ambiguous", sorted."""
        return sorted({*self.segments.label.tolist()} - {"", AMBIGUOUS})


def read_published(file: str | Path) -> Annotations:
    """The annotated videos of a file, or of a folder of THUMOS14 text files, nothing changed.

    Errors (BadFile): it cannot be read, or breaks its form.
    """
    file = Path(file)
    if file.is_dir() or file.name.removesuffix(".gz").endswith(".txt"):
        return _thumos(file)
    text = read_text(file)
    if text.lstrip()[:1] != "{":
        return _table(file, text)
    found = _activitynet(file, text)
    if not found.segments.label.all():
        raise BadFile(file, repr(str(found.segments.video[found.segments.label == ""][0])), "a label must not be empty")
    return found


def read_actions(file: str | Path) -> dict[str, NDArray[np.float64]]:
    """video id → float64 (G, 2) actions as published; background is left out."""
    found = read_published(file)
    own = found.segments.take(found.segments.label != "").by_video()
    ids = unique_ids(file, found.videos, file_id)
    return {id: own[name].segment if name in own else np.zeros((0, 2)) for id, name in ids.items()}


def read_activitynet_truth(path: str | Path, *, subset: str | None) -> tuple[Segments, dict[str, float]]:
    """Ground truth of one subset (None: all), and every one of its videos' duration in seconds (also without actions).

    A missing duration, or 0 as in THUMOS14's file, is NaN. Segments may end past the duration and may have no length,
    as in the published file; they may not end before they start.
    """
    found = _activitynet(path, read_text(path), subset)
    return found.segments, {video: entry.duration_seconds or math.nan for video, entry in found.videos.items()}


def read_thumos_truth(folder: str | Path) -> Segments:
    """Ground truth from THUMOS14's annotation folder. "Ambiguous" is left out, as in the ActivityNet protocol."""
    segments = _thumos(Path(folder)).segments
    return segments.take(segments.label != AMBIGUOUS)


def training_subset(file: str | Path) -> str | None:
    """The subset of annotations to train on: "training" or "train"; None where they have no subsets, as a CSV.

    THUMOS14 has neither name: it trains on "validation" ("val" in its text files) and holds out "test".

    Errors: as `read_published`; ValueError if none of the subsets is known to be one for training.
    """
    names = {entry.subset.lower(): entry.subset for entry in read_published(file).videos.values() if entry.subset}
    for name in ("training", "train", "val", *(["validation"] if "test" in names else [])):
        if name in names:
            return names[name]
    if names:
        have = ", ".join(sorted(names.values()))
        raise ValueError(f"{file}: the subset to train on must be given, none of {have} is called training or train")
    return None


def _activitynet(file: str | Path, text: str, subset: str | None = None) -> Annotations:
    """Of other subsets than the one asked for nothing else is read: their labels may be withheld."""
    database = mapping_of(file, "database", read_json(file, "database", text=text)["database"])
    subsets = {name: mapping_of(file, name, record).get("subset") for name, record in database.items()}
    wanted = [name for name, own in subsets.items() if subset is None or own == subset]
    if not wanted and subset is not None:
        have = ", ".join(sorted(set(map(str, subsets.values())))) or "none"
        raise BadFile(file, "", f"must have videos of the subset {subset!r}, has {have}")
    videos: dict[str, Entry] = {}
    rows = []
    for video, name in unique_ids(file, wanted).items():
        record, own = database[name], subsets[name]
        entry = videos[video] = Entry(subset=None if own is None else str(own))
        duration = record.get("duration")
        if duration and duration == duration:  # THUMOS14 states 0 for unknown, other files NaN
            entry.duration_seconds = number_of(file, name, "duration", duration)
            if entry.duration_seconds < 0:
                raise BadFile(file, name, f"duration must be ≥ 0, got {entry.duration_seconds}")
        annotations = list_of(file, name, "annotations", record.get("annotations"))
        rows += [(video, f"annotation {k}", annotation) for k, annotation in enumerate(annotations)]
    return Annotations(videos, segments_of(file, rows, scored=False))


def _table(file: Path, text: str) -> Annotations:
    """TSP's CSV or ours."""
    columns, lines = read_table(file, text)
    if set(KINETICS_COLUMNS) <= set(columns):
        return _kinetics(file, lines)
    ours = set(OUR_COLUMNS) <= set(columns)
    if not ours and not set(TSP_COLUMNS) <= set(columns):
        rule = f"the columns must include {','.join(OUR_COLUMNS)} or {','.join(TSP_COLUMNS)}"
        raise BadFile(file, "", f"{rule}, got {','.join(columns)[:80]!r}")
    video_column, *columns = OUR_COLUMNS if ours else TSP_COLUMNS
    videos: dict[str, Entry] = {}
    rows = []
    if not ours:
        unique_ids(file, [line[video_column] for _, line in lines])
    for where, line in lines:
        video, start, end, label = (line[column] for column in (video_column, *columns[:3]))
        if not video:
            raise BadFile(file, where, f"must name a video, got an empty {video_column}")
        video = video if ours else video_id(video)
        entry = videos.setdefault(video, Entry(filename=video if ours else None))
        if not ours:
            entry.filename = line.get("filename") or None
            for name, column in (("duration_seconds", "video-duration"), ("fps", "fps"), ("frames", "video-frames")):
                if line.get(column):
                    setattr(entry, name, number_of(file, where, column, line[column]))
            region = line["temporal-region-label"]
            if region not in ("Action", "No action") or (region == "Action") != bool(label):
                rule = 'temporal-region-label must be "Action" with an action-label or "No action" without'
                raise BadFile(file, where, f"{rule}, got {region!r} and {label!r}")
        rows.append((video, *span_of(file, where, start, end), label))
    return Annotations(videos, Segments.of(rows))


def _kinetics(file: Path, lines: list[tuple[str, dict[str, str]]]) -> Annotations:
    """Files are called ID_START_END, with seconds of six digits, as the official downloader does, or by the id."""
    videos: dict[str, Entry] = {}
    rows = []
    for where, line in lines:
        video, label = line["youtube_id"], line["label"]
        start, end = span_of(file, where, line["time_start"], line["time_end"])
        if not video or not label:
            raise BadFile(file, where, "must have a label and a youtube_id")
        if video in videos:
            raise BadFile(file, where, f"a video must occur once, {video!r} does twice")
        videos[video] = Entry(f"{video}_{int(start):06d}_{int(end):06d}.mp4", line["split"] or None, end - start)
        videos[video].trimmed = True
        rows.append((video, 0.0, end - start, label))
    return Annotations(videos, Segments.of(rows))


def _thumos(file: Path) -> Annotations:
    """CLASS_SUBSET.txt, lines "video start end"; the class is all before the last underscore."""
    files = sorted([*file.glob("*_*.txt"), *file.glob("*_*.txt.gz")]) if file.is_dir() or not file.suffix else [file]
    if not files:
        raise BadFile(file, "", "must hold files named CLASS_test.txt or CLASS_val.txt")
    names: dict[str, None] = {}
    videos: dict[str, Entry] = {}
    rows = []
    for path in files:
        label, _, subset = path.name.removesuffix(".gz").removesuffix(".txt").rpartition("_")
        if not label:
            raise BadFile(path, "", "must be named CLASS_SUBSET.txt, as CLASS_val.txt")
        for where, (name, start, end) in lines_of(path, 3):
            names[name], video = None, video_id(name)
            if (other := videos.setdefault(video, Entry(subset=subset)).subset) != subset:
                raise BadFile(path, where, f"a video must be of one subset, {video!r} is of {other} and {subset}")
            rows.append((video, *span_of(path, where, start, end), label))
    unique_ids(file, names)
    return Annotations(videos, Segments.of(rows))
