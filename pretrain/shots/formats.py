"""Lists of boundaries as JSON, CSV, EDL and OpenTimelineIO. Used by the command shots; imports common.

EDL is CMX 3600's: an event per shot, in and out as timecodes; a gradual transition is a dissolve of its length, or a
wipe, and its real kind stands in a comment. OpenTimelineIO comes from its own library.
"""

from __future__ import annotations

import csv
import io
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..common.files import new_text, write_json
from .boundaries import INSTANT, Boundary
from .detect import Shots

SUFFIXES = ("json", "csv", "edl", "otio")
CLEAN = ("path", "start_seconds", "end_seconds", "label")  # columns of a table of segments, as training reads it


def write(path: Path, video: str, shots: Shots) -> None:
    """Write one list of SUFFIXES, as the path's suffix says. Errors (ValueError): another suffix."""
    suffix = path.suffix[1:]
    if suffix == "json":
        write_json(path, {"video": video, "frames": shots.frames, "rate": float(shots.rate), "boundaries": rows(shots)})
    elif suffix == "csv":
        with new_text(path) as file:
            names = ("first", "last", "kind", "score", "first_seconds", "last_seconds")
            writer = csv.DictWriter(file, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows(shots))
    elif suffix == "edl":
        with new_text(path) as file:
            file.write(edl(video, shots))
    elif suffix == "otio":
        with new_text(path) as file:
            file.write(otio(video, shots))
    else:
        raise ValueError(f"path must end in {', '.join(SUFFIXES)}, got {path}")


def rows(shots: Shots) -> list[dict[str, Any]]:
    """A dict per boundary: frames from 0, kind, score, and when the frames are shown."""
    return [
        {
            **each._asdict(),
            "score": round(each.score, 4),
            "first_seconds": round(float(shots.seconds_T[each.first]), 6),
            "last_seconds": round(float(shots.seconds_T[each.last]), 6),
        }
        for each in shots.boundaries
    ]


def clean(video: str, label: str, shots: Shots, *, least: int) -> list[tuple[str, float, float, str]]:
    """Rows (path, start, end, label) of a table of segments: the shots of `least` frames or more, jumps end them too.

    Mixed frames belong to none. Seconds are of the first frame, and of the first one that is not shown any more.
    """
    ends = [*shots.seconds_T[1:].tolist(), float(shots.seconds_T[-1] + 1 / shots.rate)]
    return [
        (video, round(float(shots.seconds_T[first]), 6), round(ends[last], 6), label)
        for first, last in shots.shots()
        if last - first + 1 >= least
    ]


def edl(video: str, shots: Shots) -> str:
    """The text of an EDL; timecodes count the video's frames, at the next whole rate, without drop frames."""
    rate = max(1, math.floor(shots.rate + Fraction(1, 2)))
    text = io.StringIO()
    text.write(f"TITLE: {' '.join(Path(video).stem.split())}\nFCM: NON-DROP FRAME\n\n")
    for number, (begin, end, boundary) in enumerate(_events(shots), 1):
        gradual = boundary is not None and boundary.kind not in INSTANT
        length = boundary.last - boundary.first + 1 if boundary and gradual else 0
        effect = ("W001" if boundary.kind == "wipe" else "D") if boundary and gradual else "C"
        codes = "  ".join(2 * [f"{timecode(begin, rate)} {timecode(end, rate)}"]).replace("  ", " ")
        text.write(f"{number:03d}  AX       V     {effect:<4} {f'{length:03d}' if gradual else '   '} {codes}\n")
        text.write(f"* FROM CLIP NAME: {' '.join(Path(video).name.split())}\n")
        if boundary:
            text.write(f"* {boundary.kind.upper()} {boundary.first} {boundary.last} SCORE {boundary.score:.3f}\n")
    return text.getvalue()


def timecode(frame: int, rate: int) -> str:
    """
    >>> timecode(90061, 25)
    '01:00:02:11'
    """
    seconds, frame = divmod(frame, rate)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{frame:02d}"


def otio(video: str, shots: Shots) -> str:
    """JSON of an OpenTimelineIO timeline: a clip per shot, with the boundary that it begins with, and transitions."""
    import opentimelineio as library

    def span(begin: int, end: int) -> Any:
        rate = float(shots.rate)
        return library.opentime.TimeRange(
            library.opentime.RationalTime(begin, rate), library.opentime.RationalTime(end - begin, rate)
        )

    timeline = library.schema.Timeline(Path(video).name)
    track = library.schema.Track("shots", kind=library.schema.TrackKind.Video)
    timeline.tracks.append(track)
    events = _events(shots)
    for k, (begin, end, boundary) in enumerate(events):
        source = library.schema.ExternalReference(str(video), available_range=span(0, shots.frames))
        if boundary and k and boundary.kind not in INSTANT:
            before = min(boundary.last - boundary.first + 1, begin - events[k - 1][0])
            track.append(
                library.schema.Transition(
                    boundary.kind,
                    library.schema.TransitionTypes.SMPTE_Dissolve
                    if boundary.kind == "dissolve"
                    else "Custom_Transition",
                    library.opentime.RationalTime(before, float(shots.rate)),
                    library.opentime.RationalTime(0, float(shots.rate)),
                )
            )
        clip = library.schema.Clip(f"shot {k + 1}", source, span(begin, end))
        if boundary:
            clip.metadata["gpuaug"] = boundary._asdict()
        track.append(clip)
    return str(timeline.to_json_string())


def _events(shots: Shots) -> list[tuple[int, int, Boundary | None]]:
    """Half-open frames of every event and the boundary that it begins with; together they are the whole video.

    An event begins at the first new frame: of a gradual transition, at the first one after the mixed frames.
    """
    begins: list[tuple[int, Boundary | None]] = [(0, None)]
    for each in shots.boundaries:
        begin = each.first if each.kind in INSTANT else each.last + 1
        if begins[-1][0] < begin < shots.frames:
            begins.append((begin, each))
    ends = [begin for begin, _ in begins[1:]] + [shots.frames]
    return [(begin, end, boundary) for (begin, boundary), end in zip(begins, ends)]
