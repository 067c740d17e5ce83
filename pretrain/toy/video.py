"""From the time line of a toy video to a finished file: poses, frames, encoder.

Legend: T frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

import gpuaug

from ..common.environment import usable_cores
from ..common.files import atomic, sweep
from .sprites import CLASSES, RADIUS, TEXTURE, Actor, background, draw, follow, sprite

# x264's fast assembly gives other bytes now and then, even for the same frames on the same machine
X264 = {"preset": "veryfast", "crf": "21", "g": "48", "x264-params": "cpu-independent=1"}
ENCODERS: dict[str, tuple[str, str, dict[str, str]]] = {  # suffix, encoder, its options
    "h264": (".mp4", "libx264", X264),
    "vp9": (".webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "crf": "28", "b": "0"}),
    "mjpeg": (".avi", "mjpeg", {"flags": "+qscale", "global_quality": "472"}),
}


@dataclass(frozen=True)
class Style:
    """What makes toy videos easy or hard.

    Attributes:
        speed: bounds of a video's speed in short sides of the picture per second; drawn log-uniformly, then constant.
        shortcut: probability in [0, 1] that a video has the look (sprite, background) typical of its class. At 0 looks
            tell nothing; near 1 a network can classify without motion, and fails where looks are free again.
        similar: in [0, 1], the weight in every background of one texture that all videos share.
        speed_change: probability in [0, 1] that an action changes its speed midway, by a factor of 1/2 or 2.
        distractors: number of smaller sprites that wander about all the time.
        actors: number of equal sprites that do the same at different places, so that a crop of the picture keeps one.
        props: probability in [0, 1] that an action is shown with the object typical of its class, as tools and balls
            are in real videos, so that looks tell where it is, too; all else is then shown with objects of no class.
    """

    speed: tuple[float, float] = (0.45, 0.9)
    shortcut: float = 0.0
    similar: float = 0.0
    speed_change: float = 0.0
    distractors: int = 0
    actors: int = 2
    props: float = 0.0

    def __post_init__(self) -> None:
        check_bounds(speed=self.speed)
        check_fractions(shortcut=self.shortcut, similar=self.similar)
        check_fractions(speed_change=self.speed_change, props=self.props)
        if self.distractors < 0 or self.actors < 1:
            got = f"distractors={self.distractors}, actors={self.actors}"
            raise ValueError(f"distractors must be ≥ 0 and actors ≥ 1, got {got}")


class Part(NamedTuple):
    """A stretch of a video: a motion of `pretrain.toy.sprites.CLASSES` or "wander", its length, its relative speed."""

    motion: str
    frames: int
    speed: float


class Film(NamedTuple):
    """One video to write. `typical`: the class whose look a shortcut shows. `cuts`: frames with a new background."""

    path: Path
    rng: np.random.Generator
    size: tuple[int, int]
    rate: Fraction
    codec: str
    style: Style
    parts: Sequence[Part]
    typical: str
    cuts: Sequence[int] = ()


def poses(film: Film, parts: Sequence[Part], speed: float) -> np.ndarray:
    """pose_T4 through all parts, without a jump between them; starts anywhere on the torus."""
    short, rng = min(film.size), film.rng
    pose_4 = np.array([*rng.uniform(0, 1, 2) * film.size / short, rng.uniform(0, 2 * np.pi), rng.uniform()])
    pieces = []
    for motion, T, relative in parts:
        step_T = np.full(T, speed * relative / float(film.rate))
        if motion != "wander" and rng.uniform() < film.style.speed_change:
            step_T[rng.integers(T // 4, T - T // 4) :] *= rng.choice([0.5, 2.0])
        pose = follow(motion, rng, pose_4, np.concatenate([[0.0], np.cumsum(step_T)]))
        pieces.append(pose[:-1])
        pose_4 = pose[-1]
    return np.concatenate(pieces)


def shoot(film: Film) -> Iterator[np.ndarray]:
    """Chunks (t, H, W, 3) of the film's uint8 frames."""
    rng, style, short = film.rng, film.style, min(film.size)
    T = sum(part.frames for part in film.parts)
    source = np.random.default_rng(CLASSES.index(film.typical)) if rng.uniform() < style.shortcut else rng
    look, shared = sprite(source), background(np.random.default_rng(len(CLASSES)))
    grounds = [background(source), *(background(rng) for _ in film.cuts)]
    grounds = [(1 - style.similar) * ground + style.similar * shared for ground in grounds]
    seconds_T, turn, pan = np.arange(T) / float(film.rate), rng.uniform(0, 2 * np.pi), rng.uniform(0.03, 0.08)
    drift_T2 = rng.uniform(0, TEXTURE / short, 2) + seconds_T[:, None] * pan * [np.sin(turn), np.cos(turn)]
    speed = float(np.exp(rng.uniform(*np.log(style.speed))))
    pose_T4 = poses(film, film.parts, speed)
    cast = []
    for _ in range(style.distractors):
        cast.append(Actor(sprite(rng), poses(film, [Part("wander", T, 0.8)], speed), 0.6 * RADIUS))
    for _ in range(style.actors):
        elsewhere_4 = np.array([*rng.uniform(0, 1, 2) * film.size / short, rng.uniform(0, 2 * np.pi), 0.0])
        cast.append(Actor(look, pose_T4 + elsewhere_4))
    if style.props:
        cast += props(film, T, speed)
    shown_T = np.searchsorted(film.cuts, np.arange(T), side="right")
    return draw(film.size, grounds, shown_T, drift_T2, cast)


def props(film: Film, T: int, speed: float) -> list[Actor]:
    """As many objects as there are actors; they wander, and change their look from part to part of the film."""
    rng, begin, found = film.rng, 0, []
    paths = [poses(film, [Part("wander", T, 0.5)], speed) for _ in range(film.style.actors)]
    for motion, frames, _ in film.parts:
        typical = motion != "wander" and rng.uniform() < film.style.props
        look = sprite(np.random.default_rng((len(CLASSES), CLASSES.index(motion))) if typical else rng)
        found += [Actor(look, pose_T4, 1.4 * RADIUS, (begin, begin + frames)) for pose_T4 in paths]
        begin += frames
    return found


def write(film: Film) -> None:
    """Encode a film, unless its file exists; under another name until it is complete."""
    if film.path.exists():
        return
    suffix, encoder, options = ENCODERS[film.codec]
    how: dict[str, Any] = {"container": suffix[1:], "pixel_format": "yuvj420p" if encoder == "mjpeg" else "yuv420p"}
    frames = chain.from_iterable(shoot(film))
    sweep(film.path)
    with atomic(film.path) as part:
        gpuaug.write_video(part, frames, film.rate, encoder, options=options, reproducible=True, **how)


def write_all(films: Sequence[Film], *, workers: int | None, progress: bool | None) -> None:
    """Write all films with `workers` threads (None: one per core); a bar if `progress`, or on a terminal if None."""
    pool = ThreadPoolExecutor(workers or usable_cores())
    hidden = None if progress is None else not progress
    try:
        for _ in tqdm(pool.map(write, films), "toy videos", len(films), disable=hidden, unit="file"):
            pass
    finally:
        pool.shutdown(cancel_futures=True)


def check_bounds(**bounds: tuple[float, float]) -> None:
    for name, pair in bounds.items():
        if len(pair) != 2 or not 0 < pair[0] <= pair[1]:
            raise ValueError(f"{name} must be two ascending numbers above 0, got {name}={pair}")


def check_fractions(**fractions: float) -> None:
    for name, value in fractions.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be in [0, 1], got {name}={value}")
