"""Shot boundaries against the truth: F1, ranges, jumps, false alarms; bootstrap intervals over boundaries.

Matching is one to one. A boundary is hit where the ranges, the found one's and its own, widened by 2 frames, meet; of
the possible pairs those with the nearest ends come first. Cuts and jumps are matched by any kind, since detectors
without kinds give ranges of one frame. Used by benchmarks and the study; imports NumPy alone. Legend: B boundaries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

SLACK = 2  # frames


class Range(NamedTuple):
    """Frames from 0, both included; kind "cut", "jump" or any other, which is gradual."""

    first: int
    last: int
    kind: str


class Judged(NamedTuple):
    """What became of a video's boundaries: per true one whether it was hit, of its frames' IoU, and of exactness."""

    truth: list[Range]
    hit: list[bool]
    iou: list[float]  # 0 where missed
    exact: list[bool]  # the first frame is the true one
    false: list[Range]  # found, and matched by nothing


def match(found: Sequence[Range], truth: Sequence[Range], *, slack: int = SLACK) -> list[tuple[int, int]]:
    """Pairs (place in `found`, place in `truth`), one to one, the nearest first.

    >>> match([Range(10, 10, "cut"), Range(13, 13, "cut")], [Range(12, 12, "cut"), Range(40, 44, "fade")])
    [(1, 0)]
    """
    near = sorted(
        (abs(f.first - t.first) + abs(f.last - t.last), i, j)
        for i, f in enumerate(found)
        for j, t in enumerate(truth)
        if f.first - slack <= t.last and t.first - slack <= f.last
    )
    pairs: list[tuple[int, int]] = []
    taken: tuple[set[int], set[int]] = set(), set()
    for _, i, j in near:
        if i not in taken[0] and j not in taken[1]:
            pairs.append((i, j))
            taken[0].add(i)
            taken[1].add(j)
    return pairs


def judge(found: Sequence[Range], truth: Sequence[Range], *, slack: int = SLACK) -> Judged:
    """What was found of a video against the truth."""
    found, truth = sorted(found), list(truth)
    of = {j: found[i] for i, j in match(found, truth, slack=slack)}
    used = {i for i, _ in match(found, truth, slack=slack)}
    return Judged(
        truth,
        [j in of for j in range(len(truth))],
        [_iou(of[j], each) if j in of else 0.0 for j, each in enumerate(truth)],
        [j in of and of[j].first == each.first for j, each in enumerate(truth)],
        [each for i, each in enumerate(found) if i not in used],
    )


def measures(
    videos: Mapping[str, Judged], minutes: float, *, traps: Mapping[str, Sequence[tuple[int, int]]] | None = None
) -> dict[str, Any]:
    """F1, precision and recall of cuts and gradual transitions (jumps neither help nor hurt), the mean IoU of gradual
    ranges, the share of jumps found to the frame, false alarms a minute, and how many of these are inside traps."""
    every = list(videos.values())
    rows = [(t.kind, hit, iou, exact) for v in every for t, hit, iou, exact in zip(v.truth, v.hit, v.iou, v.exact)]
    false = sum(len(each.false) for each in every)
    inside = sum(
        any(first <= each.last and each.first <= last for first, last in (traps or {}).get(name, ()))
        for name, judged in videos.items()
        for each in judged.false
    )
    return {**_scores(rows, false), "false_per_minute": false / minutes, "false_in_traps": inside, "false": false}


def intervals(
    videos: Mapping[str, Judged], minutes: float, *, rounds: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals of the measures: true boundaries and false alarms of each video drawn again."""
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {}
    for _ in range(rounds):
        rows, false = [], 0
        for v in videos.values():
            each = list(zip((t.kind for t in v.truth), v.hit, v.iou, v.exact))
            rows += [each[i] for i in rng.integers(0, len(each), len(each))] if each else []
            false += int(rng.poisson(len(v.false)))
        for name, value in {**_scores(rows, false), "false_per_minute": false / minutes}.items():
            if np.isfinite(value):
                drawn.setdefault(name, []).append(value)
    return {name: tuple(np.percentile(values, [2.5, 97.5]).tolist()) for name, values in drawn.items()}


def _scores(rows: Sequence[tuple[str, bool, float, bool]], false: int) -> dict[str, float]:
    counted = [hit for kind, hit, _, _ in rows if kind != "jump"]
    hits = sum(counted)
    precision, recall = hits / max(1, hits + false), hits / max(1, len(counted))
    gradual = [iou for kind, _, iou, _ in rows if kind not in ("cut", "jump")]
    jumps = [exact for kind, _, _, exact in rows if kind == "jump"]
    return {
        "f1": 2 * precision * recall / max(1e-9, precision + recall),
        "precision": precision,
        "recall": recall,
        "gradual_iou": float(np.mean(gradual)) if gradual else float("nan"),
        "jump_recall": float(np.mean(jumps)) if jumps else float("nan"),
    }


def _iou(a: Range, b: Range) -> float:
    common = max(0, min(a.last, b.last) - max(a.first, b.first) + 1)
    return common / (max(a.last, b.last) - min(a.first, b.first) + 1)
