"""Files of Charades-STA (sentence grounding), of CrossTask (steps) and of scores per short segment. Times in seconds.

As in formats.py and results.py: gzip is recognised, `BadFile` names file, entry and rule, writers are atomic.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..common.files import new_text, sweep
from .formats import BadFile, list_of, mapping_of, number_of, read_json, read_text, span_of, unique_ids


class Query(NamedTuple):
    """One line of a Charades-STA file; score NaN where the line has none."""

    video: str
    start: float
    end: float
    sentence: str
    score: float = float("nan")


def read_charades(path: str | Path) -> list[Query]:
    """Lines "VIDEO START END##SENTENCE" as published; of predictions also "VIDEO START END SCORE##SENTENCE"."""
    queries = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        where = f"line {number}"
        head, mark, sentence = line.partition("##")
        words = head.split()
        if not mark or len(words) not in (3, 4):
            raise BadFile(path, where, f"must be VIDEO START END##SENTENCE, got {line!r}")
        score = [number_of(path, where, "score", word) for word in words[3:]]
        queries.append(Query(words[0], *span_of(path, where, *words[1:3]), sentence.strip(), *score))
    if not queries:
        raise BadFile(path, "", "must have at least one line")
    return queries


def write_charades(path: str | Path, queries: Iterable[Query]) -> None:
    """Write Charades-STA lines; the score only where it is not NaN."""
    with new_text(path) as file:
        for query in queries:
            score = "" if math.isnan(query.score) else f" {query.score!r}"
            file.write(f"{query.video} {query.start!r} {query.end!r}{score}##{query.sentence}\n")


def read_charades_durations(path: str | Path) -> dict[str, float]:
    """Duration of each video from Charades' CSV (columns id and length, as Charades_v1_test.csv)."""
    try:
        rows = list(csv.DictReader(read_text(path).splitlines()))
    except csv.Error as error:
        raise BadFile(path, "", f"must be CSV ({error})") from None
    if not rows or not {"id", "length"} <= set(rows[0]):
        raise BadFile(path, "line 1", "must have the columns id and length")
    found: dict[str, float] = {}
    for n, row in enumerate(rows, 1):
        length = number_of(path, f"row {n}", "length", row["length"])
        if found.setdefault(row["id"], length) != length:
            raise BadFile(path, f"row {n}", f"a video must have one length, {row['id']!r} has {found[row['id']]} too")
    return found


def answers(path: str | Path, truth: list[Query], predictions: list[Query]) -> np.ndarray:
    """(N, 2): the best prediction of each query, found by video and sentence; BadFile(path) names a query without one.

    Scored predictions: the greatest score of that video and sentence (the first of equal ones). Without scores: one
    line per query of that video and sentence, taken in order, or one line for all of them.

    >>> truth = [Query("a", 0, 5, "opens"), Query("a", 7, 9, "opens")]
    >>> answers("f", truth, [Query("a", 1, 5, "opens", 0.2), Query("a", 2, 5, "opens", 0.9)]).tolist()
    [[2.0, 5.0], [2.0, 5.0]]
    >>> answers("f", truth, [Query("a", 1, 5, "opens"), Query("a", 2, 5, "opens")]).tolist()
    [[1.0, 5.0], [2.0, 5.0]]
    """
    by_key: dict[tuple[str, str], list[Query]] = {}
    for query in predictions:
        by_key.setdefault((query.video, query.sentence), []).append(query)
    asked: dict[tuple[str, str], int] = {}
    for query in truth:
        asked[query.video, query.sentence] = asked.get((query.video, query.sentence), 0) + 1
    given, rows = dict.fromkeys(asked, 0), []
    for query in truth:
        key = (query.video, query.sentence)
        found = by_key.get(key, [])
        where = f"video {key[0]!r}, {key[1]!r}"
        if not found:
            raise BadFile(path, where, "must have a prediction")
        scored = sum(not math.isnan(answer.score) for answer in found)
        if scored == len(found):
            best = max(found, key=lambda answer: answer.score)
        elif scored == 0 and len(found) in (1, asked[key]):
            best = found[given[key] if len(found) > 1 else 0]
        else:
            raise BadFile(
                path, where, f"must have scores, or 1 or {asked[key]} lines, got {len(found)}, {scored} scored"
            )
        given[key] += 1
        rows.append((best.start, best.end))
    return np.array(rows, np.float64)


class Step(NamedTuple):
    """One annotated step: task id, step number from 1, start and end."""

    task: str
    step: int
    start: float
    end: float


def read_crosstask(folder: str | Path) -> dict[str, list[Step]]:
    """Steps of every video in CrossTask's annotation folder: files TASK_VIDEO.csv, lines "step,start,end".

    A video without steps has an empty file; one that occurs in two tasks has the steps of both.
    """
    files = sorted(f for f in Path(folder).glob("*_*.csv*") if f.name.split("_")[0].isdecimal())
    if not files:
        raise BadFile(folder, "", "must hold files named TASK_VIDEO.csv, TASK a number")
    videos: dict[str, list[Step]] = {}
    for file in files:
        task, video = file.name.removesuffix(".gz").removesuffix(".csv").split("_", 1)
        steps = videos.setdefault(video, [])
        for number, line in enumerate(read_text(file).splitlines(), 1):
            if not line.strip():
                continue
            where, words = f"line {number}", line.split(",")
            if len(words) != 3 or not words[0].strip().isdecimal():
                raise BadFile(file, where, f"must be step,start,end, got {line!r}")
            steps.append(Step(task, int(words[0]), *span_of(file, where, *words[1:])))
    return videos


def write_crosstask(folder: str | Path, videos: Mapping[str, Iterable[Step]]) -> None:
    """Write TASK_VIDEO.csv files; a video without steps has no task, hence no file."""
    for video, steps in videos.items():
        by_task: dict[str, list[Step]] = {}
        for step in steps:
            by_task.setdefault(step.task, []).append(step)
        for task, own in by_task.items():
            with new_text(Path(folder) / f"{task}_{video}.csv") as file:
                file.writelines(f"{step.step},{step.start!r},{step.end!r}\n" for step in own)


def read_frame_scores(path: str | Path) -> tuple[float, dict[str, np.ndarray]]:
    """Actionness per segment: (seconds per segment, {video id: (T,) float64}) from write_frame_scores' JSON."""
    data = read_json(path, "segment_seconds", "results")
    seconds = number_of(path, "", "segment_seconds", data["segment_seconds"])
    if seconds <= 0:
        raise BadFile(path, "segment_seconds", f"must be above 0, got {seconds}")
    scores = {}
    results = mapping_of(path, "results", data["results"])
    for video, name in unique_ids(path, results).items():
        values = list_of(path, name, "results", results[name])
        scores[video] = np.array([number_of(path, repr(video), "score", value) for value in values], np.float64)
    return seconds, scores


def write_frame_scores(
    path: str | Path, segment_seconds: float, scores: Mapping[str, np.ndarray], *, trained_on: Iterable[str] = ()
) -> None:
    """{"segment_seconds": 0.2, "results": {video: [score of the first 0.2 s, of the next, …]}, "external_data": …}.

    `trained_on`: the videos that may not be evaluated on, written as external data (see overlap.py).
    """
    results = {video: np.asarray(values, np.float64).tolist() for video, values in scores.items()}
    sweep(path)
    with new_text(path) as file:
        external = {"trained_on": sorted(trained_on)}
        json.dump({"segment_seconds": segment_seconds, "results": results, "external_data": external}, file)
