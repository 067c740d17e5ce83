"""Files of predictions, ActivityNet's and THUMOS14's (charades_crosstask.py has the others).

Writers put the file in place only when it is complete; a name ending in .gz is compressed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..common.files import new_text, sweep
from .formats import BadFile, lines_of, list_of, mapping_of, number_of, read_by_id, segments_of, span_of, video_id
from .segments import Segments


def read_activitynet_results(path: str | Path, *, labelled: bool = True) -> Segments:
    """Predictions in ActivityNet's form, in the file's order: {"results": {video: [{"label", "score", "segment"}]}}.

    labelled=False: proposals, which need no label.
    """
    entries = [
        (video, f"result {k}", entry)
        for video, own in read_by_id(path, "results").items()
        for k, entry in enumerate(list_of(path, video, "results", own))
    ]
    return segments_of(path, entries, scored=True, labelled=labelled)


def write_activitynet_results(
    path: str | Path,
    predictions: Segments,
    *,
    videos: Iterable[str] = (),
    trained_on: Iterable[str] = (),
    version: str = "VERSION 1.3",
) -> None:
    """Write predictions in ActivityNet's form; `videos` are listed even if they have none. Ids lose a leading "v_".

    `trained_on`: the videos that may not be evaluated on, written as external data (see overlap.py).
    """
    results: dict[str, list] = {video_id(name): [] for name in videos}
    rows = zip(predictions.video, predictions.segment.tolist(), predictions.label, predictions.score.tolist())
    for name, segment, label, score in rows:
        entry = {"label": str(label), "score": score, "segment": segment}
        results.setdefault(video_id(str(name)), []).append(entry)
    sweep(path)
    with new_text(path) as file:
        json.dump({"version": version, "results": results, "external_data": {"trained_on": sorted(trained_on)}}, file)


def read_video_scores(path: str | Path) -> dict[str, dict[str, float]]:
    """Scores of whole videos, {video: {label: score}}, from ActivityNet's classification results (no segments)."""
    scores: dict[str, dict[str, float]] = {}
    for video, entries in read_by_id(path, "results").items():
        own = scores[video] = {}
        for k, entry in enumerate(list_of(path, video, "results", entries)):
            where = f"{video!r} result {k}"
            score = number_of(path, where, "score", mapping_of(path, where, entry).get("score"))
            if not isinstance(entry.get("label"), str):
                raise BadFile(path, where, f"must have a label (string), got {entry}")
            own[entry["label"]] = score
    return scores


def read_thumos_results(path: str | Path, classes: Mapping[int, str]) -> Segments:
    """Predictions from THUMOS14's submission file: lines "video start end class score", class a number of `classes`."""
    rows = []
    for where, (name, start, end, number, score) in lines_of(path, 5):
        if not number.isdecimal() or int(number) not in classes:
            raise BadFile(path, where, f"class must be a number of the class list, got {number!r}")
        span, label = span_of(path, where, start, end), classes[int(number)]
        rows.append((video_id(name), *span, label, number_of(path, where, "score", score)))
    return Segments.of(rows)


def write_thumos_results(path: str | Path, predictions: Segments, classes: Mapping[int, str]) -> None:
    """Write THUMOS14's submission file; KeyError for a label that `classes` does not have."""
    number = {name: k for k, name in classes.items()}
    with new_text(path) as file:
        rows = zip(predictions.video, predictions.segment.tolist(), predictions.label, predictions.score.tolist())
        for name, (start, end), label, score in rows:
            file.write(f"{name} {start!r} {end!r} {number[str(label)]} {score!r}\n")


def read_thumos_classes(path: str | Path) -> dict[int, str]:
    """THUMOS14's class list (detclasslist.txt): lines "number name"."""
    classes: dict[int, str] = {}
    for where, (number, name) in lines_of(path, 2):
        if not number.isdecimal() or int(number) in classes:
            raise BadFile(path, where, f"must be a class number not used before, got {number!r}")
        classes[int(number)] = name
    return classes
