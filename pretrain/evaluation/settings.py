"""Settings of `evaluate`, a dataclass per task: the files, and the rules where tools differ."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..common.settings import BadSetting, check, required, setting
from .detection import ACTIVITYNET, LENGTHS_SECONDS, THUMOS

SEGMENTS = "ActivityNet JSON, or the folder of THUMOS14's CLASS_test.txt files"
EXCLUDE = "JSON list of videos to leave out, as ActivityNet's blocked"
CLASSES = "THUMOS14's class list, for predictions in its text form"
NUMBERS = "write the numbers there; - prints them instead of the table"
SUBSET = "subset of an ActivityNet JSON, all for every one"
TIOU = "tIoU: activitynet, thumos or a,b,c"
TIES = "which row is first of equal scores"


@dataclass(frozen=True, kw_only=True)
class DetectionSettings:
    """Mean average precision of labelled segments (ActivityNet's evaluator), also by action length."""

    truth: Path = required(SEGMENTS, metavar="PATH")
    predictions: Path = required("ActivityNet results JSON, or THUMOS14's text (then --classes)", metavar="FILE")
    json: str | None = setting(None, NUMBERS, metavar="FILE")
    exclude: Path | None = setting(None, EXCLUDE, metavar="FILE")
    classes: Path | None = setting(None, CLASSES, metavar="FILE")
    subset: str = setting("validation", SUBSET, title="rules")
    thresholds: str = setting("activitynet", TIOU)
    ties: Literal["later", "earlier"] = setting("later", TIES)
    zero_length: Literal["never", "official"] = setting(
        "never", "segments of 0 s: they never hit, or any such one hits any such truth, as in the official tool"
    )
    unknown: Literal["ignore", "error"] = setting("ignore", "predicted classes that have no ground truth")
    length_convention: Literal["detad", "plain", "none"] = setting(
        "detad", "mAP by action length: DETAD's normalised one, ordinary, or none"
    )
    lengths: str = setting(
        ",".join(f"{edge:g}" for edge in LENGTHS_SECONDS), "edges of the length buckets in seconds, a,b,c"
    )

    def __post_init__(self) -> None:
        check(self)
        tious(self.thresholds)
        edges(self.lengths)


@dataclass(frozen=True, kw_only=True)
class ProposalSettings:
    """AR@AN and its area, of segments without class (ActivityNet's evaluator)."""

    truth: Path = required(SEGMENTS, metavar="PATH")
    predictions: Path = required(
        "ActivityNet results JSON (labels not needed), or THUMOS14's text (then --classes)", metavar="FILE"
    )
    json: str | None = setting(None, NUMBERS, metavar="FILE")
    exclude: Path | None = setting(None, EXCLUDE, metavar="FILE")
    classes: Path | None = setting(None, CLASSES, metavar="FILE")
    subset: str = setting("validation", SUBSET, title="rules")
    thresholds: str = setting("activitynet", TIOU)
    ties: Literal["later", "earlier"] = setting("later", TIES)
    max_proposals: float = setting(100.0, "greatest mean number of proposals per video, 0 for all", least=0)

    def __post_init__(self) -> None:
        check(self)
        tious(self.thresholds)


@dataclass(frozen=True, kw_only=True)
class GroundingSettings:
    """R@1 and mean tIoU of sentence grounding (Charades-STA files)."""

    truth: Path = required("Charades-STA lines VIDEO START END##SENTENCE", metavar="FILE")
    predictions: Path = required(
        "as the truth; with a score before ##, several lines per query are allowed", metavar="FILE"
    )
    json: str | None = setting(None, NUMBERS, metavar="FILE")
    durations: Path | None = setting(None, "Charades' CSV with the columns id and length, for 2d-tan", metavar="FILE")
    convention: Literal["lgi", "2d-tan"] = setting(
        "lgi", "hit at tIoU >= threshold, or at > with the truth cut to the video", title="rules"
    )

    def __post_init__(self) -> None:
        check(self)
        if self.convention == "2d-tan" and self.durations is None:
            raise ValueError("--durations must be given for --convention 2d-tan: it cuts the ground truth to the video")


@dataclass(frozen=True, kw_only=True)
class StepsSettings:
    """Average precision of actionness scores of 0.2 s segments (CrossTask)."""

    truth: Path = required(
        "CrossTask's annotation folder, or ActivityNet JSON (every action counts as a step)", metavar="PATH"
    )
    val_list: Path | None = setting(
        None, "CrossTask's list of held-out videos, which alone are evaluated; without it all", metavar="FILE"
    )
    predictions: Path = required('JSON {"segment_seconds": 0.2, "results": {video: [score, ...]}}', metavar="FILE")
    json: str | None = setting(None, NUMBERS, metavar="FILE")
    subset: str = setting("validation", SUBSET, title="rules")
    rule: Literal["centre", "any"] = setting(
        "centre", "a segment is a step if its centre is inside one, or if they overlap at all (ours)"
    )

    def __post_init__(self) -> None:
        check(self)


def tious(thresholds: str) -> NDArray[np.float64]:
    """The thresholds of tIoU that a flag names. Errors: BadSetting."""
    if thresholds in ("activitynet", "thumos"):
        return ACTIVITYNET if thresholds == "activitynet" else THUMOS
    values = _numbers(thresholds)
    if not values or not all(0 < value <= 1 for value in values):
        raise BadSetting("thresholds", "activitynet, thumos or numbers in (0, 1] between commas", thresholds)
    return np.array(values)


def edges(lengths: str) -> list[float]:
    """The edges in seconds that a flag names. Errors: BadSetting."""
    values = _numbers(lengths)
    if len(values) < 2 or any(not low < high for low, high in pairwise(values)):
        raise BadSetting("lengths", "two or more increasing seconds between commas", lengths)
    return values


def _numbers(text: str) -> list[float]:
    """Those between commas; none where one is no number."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        return []
