"""Edited videos as data: which sources they show, from when, how shots follow each other, and the plan of it all.

The n-th video of a seed depends on both numbers, on the sources and the settings, and on nothing else. Used by
synthesis and examples; imports common and gpuaug. Legend: L frames of an edited video.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import gpuaug
from gpuaug.transitions import FAMILIES, WEIGHTS

from ..common.settings import BadSetting, check, setting

LEAST = 12  # frames of a source
LONGEST = 72  # frames of a transition, as in ClipShots' annotations
SPEEDS = ("speed", "ramp", "reverse", "freeze")


@dataclass(frozen=True, kw_only=True)
class EditSettings:
    """What edited videos are like. Errors: ValueError for what is out of range."""

    size: tuple[int, int] = setting(
        (360, 640), "even; sources are scaled and cut to fill it", least=2, metavar=("ROWS", "COLUMNS")
    )
    fps: float = setting(30.0, "frames/s", above=0)
    seconds: tuple[float, float] = setting((8.0, 16.0), "length", above=0, metavar=("LEAST", "MOST"))
    gradual: float = setting(0.4, "share of gradual transitions among boundaries", least=0, most=1, title="edits")
    jumps: float = setting(0.15, "share of jumps: time left out within a shot", least=0, most=1)
    dense: float = setting(0.3, "share of videos of short shots", least=0, most=1)
    similar: float = setting(0.5, "how often the next source is of the same folder, if it has others", least=0, most=1)
    speeds: float = setting(0.2, "share of shots at another speed, with a ramp, a freeze, or reversed", least=0, most=1)

    def __post_init__(self) -> None:
        check(self)
        if any(side % 2 for side in self.size):
            raise BadSetting("size", "even, rows and columns", f"{self.size[0]} {self.size[1]}")
        if self.seconds[0] > self.seconds[1]:
            raise BadSetting("seconds", "the lesser number first", f"{self.seconds[0]:g} {self.seconds[1]:g}")
        if self.seconds[0] * self.fps < LEAST:
            raise BadSetting("seconds", f"at least {LEAST} frames", f"{self.seconds[0]:g} at {self.fps:g} frames/s")

    @property
    def rate(self) -> Fraction:
        """Frames per second, as files have it."""
        return Fraction(self.fps).limit_denominator(1001)


class Source(NamedTuple):
    """A video to take shots from. `name`: its path from the folder that all are in, alike on every machine."""

    path: str
    name: str
    label: str | None
    frames: int  # at the edited videos' rate
    size: tuple[int, int]  # rows and columns, as displayed


class Clip(NamedTuple):
    """A stretch of a source that is decoded as one: `frames` at the edited videos' rate.

    first, last: the frames of the edited video that show it, maybe with another. edit: what its time does, in numbers.
    """

    source: Source
    start_seconds: float
    frames: int
    first: int
    last: int
    edit: dict[str, Any]


@dataclass(frozen=True)
class Edit:
    """An edited video: its clips, which the plan (one sample of L frames) counts, and what of boundaries was drawn."""

    clips: list[Clip]
    plan: gpuaug.Plan
    drawn: list[dict[str, Any]]

    def boundaries(self) -> list[dict[str, Any]]:
        """Every boundary, read from the plan: kind, family, first, last, new, and the drawn parameters.

        Frames are counted from 0: first … last are the mixed ones of a gradual transition, of a cut and a jump both are
        the first new frame, as in the lists of `gpuaug shots`; new is the first frame of the next shot alone.
        """
        found = gpuaug.transitions.labels(self.plan)
        rows = []
        for name, family, first, last, new, drawn in zip(
            found.names, found.families, *(c.tolist() for c in (found.first, found.last, found.new)), self.drawn
        ):
            ends = (new, new) if first < 0 else (first, last)
            rows.append({"kind": name, "family": family, "first": ends[0], "last": ends[1], "new": new, **drawn})
        return rows


def read_sources(
    paths: Sequence[str | Path], settings: EditSettings, *, progress: bool | None = None
) -> tuple[list[Source], list[tuple[str, str]]]:
    """(sources in the order of their names, (path, reason) of the videos that are none)."""
    found = gpuaug.probe(paths, progress=progress)
    if not found.videos:
        raise ValueError(f"VIDEOS must be files, or folders with videos, found none in {', '.join(map(str, paths))}")
    folders = [Path(video.path).absolute().parent.parts for video in found.videos]
    shared = next((i for i, level in enumerate(zip(*folders)) if len(set(level)) > 1), min(map(len, folders)))
    sources, left = [], [(video.path, str(video.error)) for video in found.failed]
    for video in found.usable:
        frames = int(video.duration_seconds * settings.fps) - 1
        if frames < LEAST:
            left.append((video.path, f"{video.duration_seconds:.2f} s are less than {LEAST + 1} frames"))
            continue
        name = PurePath(*Path(video.path).absolute().parts[shared:]).as_posix()
        sources.append(Source(video.path, name, video.label, frames, (video.height, video.width)))
    return sorted(sources, key=lambda source: source.name), left


def draw(
    seed: int, index: int, sources: Sequence[Source], settings: EditSettings, *, without: Collection[str] = ()
) -> Edit:
    """The edited video number `index` of a seed.

    Args:
        without: names of sources that turned out to be unreadable for this video; it is drawn again without them.
    """
    able = [source for source in sources if source.name not in without]
    if not able:
        raise ValueError("sources must have one that can be read, got none")
    rng = np.random.default_rng([seed, index])
    length = round(rng.uniform(*settings.seconds) * settings.fps)
    cuts = _timeline(rng, length, max(source.frames for source in able), settings)
    shots = [shot for shot, cut in enumerate(cuts) if not cut.gap]  # places in `cuts` at which clips begin
    ends = [cut.begin + cut.duration for cut in cuts[1:]] + [length]  # of what begins at each of them
    parts, clips = list[gpuaug.Plan](), list[Clip]()
    for shot, later in zip(shots, [*shots[1:], len(cuts)]):
        first, end = cuts[shot].begin, ends[later - 1]
        times = np.arange(float(end - first))
        for cut in cuts[shot + 1 : later]:  # jumps
            times[cut.begin - first :] += cut.gap
        source = _choose(rng, able, int(times[-1]) + 1, clips, settings)
        edit: dict[str, Any] = {"kind": "none"}
        if later == shot + 1 and rng.random() < settings.speeds:
            edit, times = _retimed(rng, len(times), source.frames)
        frames = int(np.floor(times.max() + 0.5)) + 1
        start = int(rng.integers(source.frames - frames + 1)) / settings.fps
        for cut, stop in zip(cuts[shot:later], ends[shot:later]):
            parts.append(gpuaug.Plan.take(len(clips), times[cut.begin - first : stop - first]))
        clips.append(Clip(source, start, frames, first, end - 1, edit))
    plan = _joined(parts, cuts)
    for k, clip in enumerate(clips):  # easing may begin late, and end early
        seen = np.flatnonzero(((plan.clip == k) & (plan.weight > 0)).any((0, 2)))
        clips[k] = clip._replace(first=int(seen[0]), last=int(seen[-1]))
    told = [{} if cut.gap else _told(cut.drawn) for cut in cuts[1:]]
    return Edit(clips, plan, told)


class _Cut(NamedTuple):
    """Where something new begins; `gap`: frames left out, where it is a jump."""

    begin: int
    duration: int
    gap: int
    drawn: dict[str, Any]


def _joined(parts: Sequence[gpuaug.Plan], cuts: Sequence[_Cut]) -> gpuaug.Plan:
    """The parts, of which each begins at its cut and ends with the transition to the next; joined by halves."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    before, after = _joined(parts[:middle], cuts[:middle]), _joined(parts[middle:], cuts[middle:])
    cut, start = cuts[middle], cuts[middle].begin - cuts[0].begin
    how = {"kind": "cut"} if cut.gap else cut.drawn
    length = start + after.shape[1]
    return gpuaug.edits.transition(before, after, length=length, start=start, duration=cut.duration, **how)


def _timeline(rng: np.random.Generator, length: int, longest: int, settings: EditSettings) -> list[_Cut]:
    """The shots of a video; the first one begins at 0. No clip takes more than `longest` frames of its source."""
    dense = rng.random() < settings.dense
    mean = float(rng.uniform(0.15, 0.8) if dense else rng.uniform(1.5, 5.0)) * settings.fps
    weights = _weights(settings.gradual)
    third = longest // 3
    most = length // 2  # of boundaries
    drawn = gpuaug.transitions.draw(rng, most, length=1 + min(LONGEST, third), start=1, weights=weights)
    cuts = [_Cut(0, 0, 0, {})]
    need = at = 0  # frames taken of the present clip; where it is shown alone
    while True:
        hold = int(np.clip(round(mean * float(np.exp(rng.normal(0, 0.6)))), 2, third))
        begin, need = at + hold, need + hold
        gap = int(rng.integers(8, 49))
        jump = rng.random() < settings.jumps and need + gap + 2 * third <= longest
        duration = 0 if jump else int(drawn["duration"][len(cuts) - 1])
        if begin + duration > length - 2:
            return cuts
        cuts.append(_Cut(begin, duration, gap if jump else 0, {} if jump else _one(drawn, len(cuts) - 1)))
        at, need = begin + duration, need + gap if jump else duration


def _weights(gradual: float) -> dict[str, float]:
    """The prior's weights, with another share of cuts."""
    rest = sum(weight for family, weight in WEIGHTS.items() if family != "cut")
    return {family: 1 - gradual if family == "cut" else gradual * WEIGHTS[family] / rest for family in FAMILIES}


def _one(drawn: dict[str, Any], n: int) -> dict[str, Any]:
    """The parameters of a sample, as far as they are its kind's own."""
    kind = drawn["kind"][n]
    names = ["kind", *gpuaug.transitions.KINDS[kind].draws, *(["easing"] if kind != "cut" else [])]
    return {name: drawn[name][n] for name in names}


def _told(drawn: dict[str, Any]) -> dict[str, Any]:
    """The same as JSON has it, without the kind."""
    values = {name: value for name, value in drawn.items() if name != "kind"}
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in values.items()}


def _choose(
    rng: np.random.Generator, able: Sequence[Source], frames: int, clips: Sequence[Clip], settings: EditSettings
) -> Source:
    """A source of so many frames; not the one before, if there is another."""
    fit = [source for source in able if source.frames >= frames]
    alike = rng.random() < settings.similar
    if clips:
        before = clips[-1].source
        others = [source for source in fit if source.name != before.name]
        same = [source for source in others if source.label == before.label]
        fit = (same if alike and same else others) or fit
    return fit[int(rng.integers(len(fit)))]


def _retimed(rng: np.random.Generator, count: int, frames: int) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """What a shot's time does, and the positions (count,) in a source of `frames` frames."""
    kind = SPEEDS[int(rng.integers(len(SPEEDS)))]
    i = np.arange(float(count))
    if kind == "reverse":
        return {"kind": kind}, i[::-1].copy()
    if kind == "freeze":
        start, duration = int(rng.integers(count)), int(rng.integers(4, 31))
        return {"kind": kind, "start": start, "frames": duration}, np.minimum(i, np.maximum(start, i - (duration - 1)))
    change = int(rng.integers(1, count)) if kind == "ramp" and count > 1 else 1
    most = (frames - change) / max(1, count - change)
    rate = round(min(float(np.exp(rng.uniform(np.log(0.4), np.log(2.5)))), most), 4)
    if (change - 1) + rate * (count - change) > frames - 1:  # rounded upwards
        rate = round(rate - 1e-4, 4)
    if kind == "speed":
        return {"kind": kind, "rate": rate}, rate * i
    return {"kind": kind, "start": change, "rate": rate}, gpuaug.edits.speed_times(count, change, rate)[0]
