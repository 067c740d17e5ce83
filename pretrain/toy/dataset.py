"""Toy videos: real files of moving sprites, made anywhere in seconds, whose labels only motion tells.

`make_actions` writes trimmed clips into class folders, `make_untrimmed` longer videos with annotation files. Both are
deterministic for a seed. A finished file is not made again, and a killed run leaves no half-written one.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..common.files import new_text, write_json
from .sprites import CLASSES
from .video import ENCODERS, Film, Part, Style, check_bounds, check_fractions, write_all

SIZES = ((96, 128), (120, 160), (128, 170))  # H, W
RATES = (Fraction(15), Fraction(24), Fraction(30000, 1001))
CODECS = tuple(ENCODERS)
EASY, HARD = Style(), Style(shortcut=0.8, similar=0.7, speed_change=0.5, distractors=1)


def make_actions(
    out_dir: str | Path,
    *,
    seed: int = 0,
    classes: int | Sequence[str] = 8,
    clips_per_class: int = 20,
    seconds: tuple[float, float] = (3.0, 4.0),
    sizes: Sequence[tuple[int, int]] = SIZES,
    rates: Sequence[Fraction | int] = RATES,
    codecs: Sequence[str] = CODECS,
    style: Style = EASY,
    workers: int | None = None,
    progress: bool | None = None,
) -> list[Path]:
    """Paths of the clips OUT/CLASS/CLASS_0000.mp4 …, each one action from its first frame to its last.

    Sizes, rates, codecs and lengths are the same list in every class, so that they tell nothing either.

    Args:
        classes: how many of `pretrain.toy.sprites.CLASSES`, or which.
        seconds: bounds of a clip's length.
        sizes: (H, W) in pixels, even, ≥ 16.
        rates: frames per second.
        codecs: of `pretrain.toy.video.ENCODERS`.
        workers: threads; None: one per core.
        progress: None: a bar on a terminal only.

    Errors (ValueError): an unknown class or codec, an argument out of range, a folder made with other arguments.
    """
    names = _check(classes, clips_per_class, sizes, rates, codecs)
    check_bounds(seconds=seconds)
    out_dir = Path(out_dir)
    _claim(out_dir, "actions", seed, names, clips_per_class, seconds, sizes, rates, codecs, asdict(style))
    films = []
    for name in names:
        for i in range(clips_per_class):
            form = np.random.default_rng((seed, 0, i))  # the same for all classes
            size, rate = _pick(form, sizes), Fraction(_pick(form, rates))
            codec, frames = codecs[i % len(codecs)], round(form.uniform(*seconds) * rate)
            path = out_dir / name / f"{name}_{i:04d}{ENCODERS[codec][0]}"
            rng = np.random.default_rng((seed, 1, CLASSES.index(name), i))
            films.append(Film(path, rng, size, rate, codec, style, [Part(name, frames, 1.0)], typical=name))
    write_all(films, workers=workers, progress=progress)
    return [film.path for film in films]


def make_untrimmed(
    out_dir: str | Path,
    *,
    seed: int = 0,
    classes: int | Sequence[str] = 8,
    videos: int = 16,
    seconds: tuple[float, float] = (20.0, 40.0),
    action_seconds: tuple[float, float] = (2.0, 6.0),
    gap_seconds: tuple[float, float] = (2.0, 6.0),
    validation: float = 0.25,
    repeat: float = 0.5,
    idle: float = 0.6,
    boundary_cuts: float = 0.0,
    false_cuts: float = 0.0,
    sizes: Sequence[tuple[int, int]] = SIZES,
    rates: Sequence[Fraction | int] = RATES,
    codecs: Sequence[str] = CODECS,
    style: Style = EASY,
    validation_shortcut: float = 0.0,
    workers: int | None = None,
    progress: bool | None = None,
) -> Path:
    """Path of OUT/annotations.json (ActivityNet form) of the videos OUT/video_0000.mp4 …; also OUT/annotations.csv.

    One sprite goes through a whole video: it wanders, performs an action, wanders on, and so on. Background and speed
    stay the same throughout, except for `idle`, the cuts, and `style.speed_change`.

    Args:
        classes, sizes, rates, codecs, workers, progress: as in `make_actions`.
        seconds: bounds of a video's length. Memory does not grow with it.
        action_seconds, gap_seconds: bounds of the lengths of an action and of the background before it.
        validation: fraction of the videos in the subset "validation".
        validation_shortcut: in place of `style.shortcut` there; as high as that, looks tell classes as in real videos.
        repeat: probability that a further action has the label of the video's first one, instead of another.
        idle: speed while wandering, relative to actions.
        boundary_cuts: probability that the background changes abruptly where an action starts or ends.
        false_cuts: probability that it does so inside an action or a gap.
    """
    names = _check(classes, videos, sizes, rates, codecs)
    check_bounds(seconds=seconds, action_seconds=action_seconds, gap_seconds=gap_seconds, idle=(idle, idle))
    check_fractions(validation=validation, validation_shortcut=validation_shortcut, repeat=repeat)
    check_fractions(boundary_cuts=boundary_cuts, false_cuts=false_cuts)
    if seconds[0] < action_seconds[1] + gap_seconds[1]:
        raise ValueError(f"seconds must leave room for the longest gap and action, got seconds={seconds}")
    out_dir = Path(out_dir)
    lengths = (seconds, action_seconds, gap_seconds)
    chances = (validation, validation_shortcut, repeat, idle, boundary_cuts, false_cuts)
    _claim(out_dir, "untrimmed", seed, names, videos, lengths, chances, sizes, rates, codecs, asdict(style))
    order = np.random.default_rng((seed, 2)).permutation(videos)  # first labels are even, and independent of subsets
    films, database, table = [], {}, [("path", "start_seconds", "end_seconds", "label")]
    for i in range(videos):
        rng = np.random.default_rng((seed, 3, i))
        size, rate, codec = _pick(rng, sizes), Fraction(_pick(rng, rates)), codecs[i % len(codecs)]
        held_out = int((i + 1) * validation) > int(i * validation)
        end = round(rng.uniform(*seconds) * rate)
        first, t = names[order[i] % len(names)], 0
        parts: list[Part] = []
        annotations, cuts = [], []
        while t < end:
            gap, length = round(rng.uniform(*gap_seconds) * rate), round(rng.uniform(*action_seconds) * rate)
            label = first
            if parts and len(names) > 1 and rng.uniform() >= repeat:
                label = str(rng.choice([name for name in names if name != first]))
            if t + gap + length > end:
                gap, length = end - t, 0
            for part in (Part("wander", gap, idle), Part(label, length, 1.0)):
                if part.frames:
                    cuts += [t] * bool(t and rng.uniform() < boundary_cuts)
                    cuts += [t + part.frames // 2] * bool(part.frames > 1 and rng.uniform() < false_cuts)
                    parts.append(part)
                    t += part.frames
            if length:
                annotations.append({"segment": [float((t - length) / rate), float(t / rate)], "label": label})
        path = out_dir / f"video_{i:04d}{ENCODERS[codec][0]}"
        looks = replace(style, shortcut=validation_shortcut) if held_out else style
        films.append(Film(path, rng, size, rate, codec, looks, parts, first, cuts))
        subset = "validation" if held_out else "training"
        database[path.stem] = {"subset": subset, "duration": float(end / rate), "annotations": annotations}
        table += [(path.name, *a["segment"], a["label"]) for a in annotations]
    write_all(films, workers=workers, progress=progress)
    with new_text(out_dir / "annotations.csv") as file:
        csv.writer(file, lineterminator="\n").writerows(table)
    truth = {"version": f"toy videos, seed {seed}", "taxonomy": [], "database": database}
    write_json(out_dir / "annotations.json", truth)
    return out_dir / "annotations.json"


def _pick(rng: np.random.Generator, options: Sequence[Any]) -> Any:
    return options[int(rng.integers(len(options)))]


def _check(classes: int | Sequence[str], count: int, sizes: Any, rates: Any, codecs: Any) -> list[str]:
    """Names of the classes; refuses what no file can be made of."""
    if isinstance(classes, int):
        if not 1 <= classes <= len(CLASSES):
            raise ValueError(f"classes must be in 1…{len(CLASSES)}, got classes={classes}")
        classes = CLASSES[:classes]
    for name in classes:
        if name not in CLASSES:
            raise ValueError(f"classes must be of {', '.join(CLASSES)}, got {name!r}")
    if count < 1:
        raise ValueError(f"clips_per_class and videos must be ≥ 1, got {count}")
    for size in sizes:
        if len(size) != 2 or min(size) < 16 or size[0] % 2 or size[1] % 2:
            raise ValueError(f"sizes must be (H, W) in even numbers ≥ 16, got {size}")
    for rate in rates:
        if not rate > 0:
            raise ValueError(f"rates must be above 0 frames per second, got {rate}")
    for codec in codecs:
        if codec not in ENCODERS:
            raise ValueError(f"codecs must be of {', '.join(ENCODERS)}, got {codec!r}")
    return list(classes)


def _claim(out_dir: Path, *arguments: Any) -> None:
    """Refuse a folder with toy videos of other arguments: finished files are kept, so the two would be mixed."""
    text, path = json.dumps(arguments, default=str) + "\n", out_dir / "toy.json"
    out_dir.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_text() != text:
        raise ValueError(f"{out_dir} holds toy videos of other arguments (toy.json): take another folder or empty it")
    with new_text(path) as file:
        file.write(text)
