"""Readers of temporal annotations, and the segments that follow from them. No video file is touched here.

Four forms are read, plain or gzipped, and told apart by their content:

- ActivityNet JSON: {"database": {video: {"subset", "duration", "annotations": [{"label", "segment": [s, e]}]}}};
  THUMOS14 is also published in this form, with duration 0 for "unknown";
- THUMOS14's own text files, CLASS_val.txt …, lines "video start end": one file, or a folder of them;
- TSP's CSV: video-name,t-start,t-end,action-label,video-duration,filename,fps,video-frames,temporal-region-label;
- ours: path,start_seconds,end_seconds,label (an empty label: background).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

# TSP's published background rows differ from the complement. As its tables show (all 15,956 + 7,747 rows of ActivityNet
# and all but one of THUMOS14's follow), a gap runs from the end of the action that *starts* before, even where a longer
# one goes on (100 + 69 and 4 + 28 rows lie partly inside actions), and is kept from 160 frames at 30 fps on, five of
# TSP's clips (THUMOS14: 32, one clip). With one clip of 16/15 s as the limit, the complement has 20,275 + 9,904 pieces
# in ActivityNet and 2,177 + 2,550 in THUMOS14.
Background = Literal["complement", "file"]
TSP_COLUMNS = ("video-name", "t-start", "t-end", "action-label", "temporal-region-label")
OUR_COLUMNS = ("path", "start_seconds", "end_seconds", "label")
AMBIGUOUS = "Ambiguous"  # THUMOS14: neither action nor background
CLIP_SECONDS = 16 / 15  # TSP's clip: 16 frames at 15 per second [C]
SLACK = 1e-6  # seconds; published ends are rounded decimals


class Row(NamedTuple):
    """One annotated interval, half-open, in seconds as published. `label` None: background."""

    start_seconds: float
    end_seconds: float
    label: str | None


@dataclass
class Entry:
    """One annotated video as published. None: not stated. Nothing here is trusted where the video itself is at hand."""

    video: str
    rows: list[Row] = field(default_factory=list)
    filename: str | None = None
    subset: str | None = None
    duration_seconds: float | None = None
    fps: float | None = None
    frames: int | None = None


def read_entries(file: str | Path) -> list[Entry]:
    """The annotated videos of a file (or of a folder of THUMOS14 text files) in published order, nothing changed.

    Errors: OSError if it cannot be read; ValueError that names the file, the entry and the rule.
    """
    file = Path(file)
    if file.is_dir() or file.suffix == ".txt":
        return _read_thumos_text(file)
    try:
        data = file.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
        if text.lstrip()[:1] == "{":
            return _read_json(file, json.loads(text))
        return _read_csv(file, list(csv.reader(io.StringIO(text, newline=""))))
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error, zlib.error, EOFError) as error:
        raise ValueError(f"{file}: must be a CSV, JSON or THUMOS14 text file, plain or gzipped: {error}") from None


def training_subset(file: str | Path) -> str | None:
    """The subset of annotations to train on: "training" or "train"; None where they have no subsets, as a CSV.

    THUMOS14 has neither name: it trains on "validation" ("val" in its text files) and holds out "test".

    Errors: as `read_entries`; ValueError if none of the subsets is known to be one for training.
    """
    names = {entry.subset.lower(): entry.subset for entry in read_entries(file) if entry.subset}
    for name in ("training", "train", "val", *(["validation"] if "test" in names else [])):
        if name in names:
            return names[name]
    if names:
        have = ", ".join(sorted(names.values()))
        raise ValueError(f"{file}: the subset to train on must be given, none of {have} is called training or train")
    return None


def complement(spans: Iterable[tuple[float, float]], duration_seconds: float) -> list[tuple[float, float]]:
    """The parts of [0, duration) outside all spans, ascending; spans may overlap, touch and leave the video.

    >>> complement([(2, 4), (3, 5), (9, 12)], 10)
    [(0.0, 2), (5, 9)]
    """
    gaps, end = [], 0.0
    for start, stop in sorted(spans):
        if min(start, duration_seconds) > end:
            gaps.append((end, min(start, duration_seconds)))
        end = max(end, stop)
    return [*gaps, (end, duration_seconds)] if duration_seconds > end else gaps


def cut(
    entry: Entry,
    duration_seconds: float,
    *,
    clip_seconds: float = CLIP_SECONDS,
    background: Background = "complement",
) -> tuple[list[Row], Counter[str]]:
    """The usable segments of a video, actions before background, and what was done to the published ones.

    Actions are clipped to [0, duration) and dropped if nothing, or less than one clip, is left. Background is what no
    action covers (short and ambiguous ones cover, too), again without pieces shorter than a clip; or, with "file", the
    published background rows, clipped likewise.

    The counts: "action" and "background" kept; "action too short", "background too short" and "outside the video"
    dropped; "clipped to the video" of those kept.

    >>> entry = Entry("v", [Row(2, 4, "dive"), Row(3.5, 4.2, "swim"), Row(9, 12, "dive")])
    >>> rows, counts = cut(entry, 10.0, clip_seconds=1.0)
    >>> [tuple(row) for row in rows]
    [(2, 4, 'dive'), (9, 10.0, 'dive'), (0.0, 2, None), (4.2, 9, None)]
    >>> sorted(counts.items())
    [('action', 2), ('action too short', 1), ('background', 2), ('clipped to the video', 1)]
    """
    kept, counts = [], Counter[str]()
    actions = [row for row in entry.rows if row.label is not None]
    if background == "complement":
        rest = [Row(start, end, None) for start, end in complement([row[:2] for row in actions], duration_seconds)]
    else:
        rest = [row for row in entry.rows if row.label is None]
    for row in [*(row for row in actions if row.label != AMBIGUOUS), *rest]:
        kind = "background" if row.label is None else "action"
        start, end = max(row.start_seconds, 0.0), min(row.end_seconds, duration_seconds)
        if start >= duration_seconds or end <= 0 < row.end_seconds - row.start_seconds:
            counts["outside the video"] += 1
        elif end <= start or end - start < clip_seconds - SLACK:
            counts[f"{kind} too short"] += 1
        else:
            counts[kind] += 1
            counts["clipped to the video"] += (start, end) != row[:2]
            kept.append(Row(start, end, row.label))
    return kept, +counts


def _read_json(file: Path, data: dict[str, Any]) -> list[Entry]:
    database = data.get("database")
    if not isinstance(database, dict):
        raise ValueError(f'{file}: must have a "database" of videos as in ActivityNet, got the keys {list(data)[:5]}')
    entries = []
    for video, record in database.items():
        annotations = record.get("annotations") if isinstance(record, dict) else None
        if not isinstance(annotations, list):
            raise ValueError(f'{file}: video {video}: must have a list of "annotations", got {str(record)[:60]}')
        entry = Entry(video, subset=record.get("subset"))
        where = f"{file}: video {video}"
        if record.get("duration"):  # THUMOS14 states 0
            entry.duration_seconds = _number(f"{where}: duration", record["duration"])
        for k, annotation in enumerate(annotations):
            try:
                (start, end), label = annotation["segment"], annotation["label"]
            except (TypeError, KeyError, ValueError):
                rule = 'must have a "label" and a "segment" of two numbers'
                raise ValueError(f"{where}: annotation {k}: {rule}, got {str(annotation)[:60]}") from None
            entry.rows.append(_row(f"{where}: annotation {k}", start, end, label))
        entries.append(entry)
    return entries


def _read_csv(file: Path, lines: list[list[str]]) -> list[Entry]:
    header = [name.strip() for name in lines[0]] if lines else []
    ours = set(OUR_COLUMNS) <= set(header)
    if not ours and not set(TSP_COLUMNS) <= set(header):
        rule = f"the columns must include {','.join(OUR_COLUMNS)} or {','.join(TSP_COLUMNS)}"
        raise ValueError(f"{file}: {rule}, got {','.join(header)[:80]!r}")
    entries: dict[str, Entry] = {}
    for n, values in enumerate(lines[1:], 2):
        if not any(values):
            continue
        where = f"{file}: line {n}"
        if len(values) != len(header):
            raise ValueError(f"{where}: must have {len(header)} values, got {len(values)}")
        line = dict(zip(header, (value.strip() for value in values)))
        if ours:
            entry = entries.setdefault(line["path"], Entry(line["path"], filename=line["path"]))
            start, end, label = line["start_seconds"], line["end_seconds"], line["label"]
        else:
            entry = entries.setdefault(line["video-name"], Entry(line["video-name"]))
            entry.filename = line.get("filename") or None
            for name, column in (("duration_seconds", "video-duration"), ("fps", "fps"), ("frames", "video-frames")):
                if line.get(column):
                    setattr(entry, name, _number(f"{where}: {column}", line[column]))
            start, end, label = line["t-start"], line["t-end"], line["action-label"]
            region = line["temporal-region-label"]
            if region not in ("Action", "No action") or (region == "Action") != bool(label):
                rule = 'temporal-region-label must be "Action" with an action-label or "No action" without'
                raise ValueError(f"{where}: {rule}, got {region!r} and {label!r}")
        if not entry.video:
            raise ValueError(f"{where}: must name a video, got an empty {'path' if ours else 'video-name'}")
        entry.rows.append(_row(where, start, end, label or None))
    return list(entries.values())


def _read_thumos_text(file: Path) -> list[Entry]:
    """CLASS_SUBSET.txt, lines "video start end"."""
    files = sorted(file.glob("*_*.txt")) if file.is_dir() else [file]
    if not files:
        raise ValueError(f"{file}: must hold THUMOS14's CLASS_val.txt or CLASS_test.txt, got none")
    entries: dict[str, Entry] = {}
    for path in files:
        label, _, subset = path.stem.rpartition("_")
        for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if not (values := line.split()):
                continue
            if len(values) != 3 or not label:
                raise ValueError(f'{path}: line {n}: must be "video start end" in CLASS_SUBSET.txt, got {line[:60]!r}')
            entry = entries.setdefault(values[0], Entry(values[0], subset=subset))
            entry.rows.append(_row(f"{path}: line {n}", values[1], values[2], label))
    return list(entries.values())


def _row(where: str, start: Any, end: Any, label: Any) -> Row:
    span = _number(f"{where}: start", start), _number(f"{where}: end", end)
    if span[1] < span[0]:
        raise ValueError(f"{where}: the end must not lie before the start, got {span[0]} to {span[1]}")
    if label is not None and (not isinstance(label, str) or not label):
        raise ValueError(f"{where}: the label must be a text, got {label!r}")
    return Row(*span, label)


def _number(where: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError(f"{where} must be a finite number, got {value!r}")
    return number
