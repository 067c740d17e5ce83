"""Scenes of few lines: speakers, crowds, slides, screens, noise, gradients, bursts; and a camera over pictures.

Endless variety without licences, for detectors of shots. Frames are uint8 RGB (H, W, 3). Used by benchmarks and tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Frame = NDArray[np.uint8]
Color = tuple[int, int, int]
Drawn = Callable[[float, ImageDraw.ImageDraw], None]  # at a time in seconds
W, H = 192, 108  # of the drawings


def _color(rng: np.random.Generator, low: int = 0, high: int = 256) -> Color:
    return tuple(rng.integers(low, high, 3).tolist())


def _ground(rng: np.random.Generator) -> Image.Image:
    """A soft picture: a few random colours, blown up."""
    few = rng.integers(0, 256, (int(rng.integers(2, 7)), int(rng.integers(2, 9)), 3)).astype(np.uint8)
    return Image.fromarray(few).resize((W, H), Image.Resampling.BICUBIC)


def _wave(rng: np.random.Generator, extent: float) -> Callable[[float], float]:
    """A smooth path that does not repeat soon."""
    f, p, a = rng.uniform(0.1, 1.2, 3), rng.uniform(0, 7, 3), rng.uniform(0, 1, 3)
    return lambda t: float(extent * (a * np.sin(2 * np.pi * f * t + p)).sum() / a.sum())


def _speaker(rng: np.random.Generator) -> Drawn:
    skin, hair, shirt = (_color(rng, 60, 230) for _ in range(3))
    x0, size, dx, dy, mouth = rng.uniform(50, 140), rng.uniform(14, 40), *(_wave(rng, k) for k in (6, 4, 1))

    def draw(t: float, on: ImageDraw.ImageDraw) -> None:
        x, y, s = x0 + dx(t), 50 + dy(t), size
        on.ellipse((x - 2.2 * s, y + s, x + 2.2 * s, y + 5 * s), shirt)
        on.ellipse((x - s, y - 1.4 * s, x + s, y + 0.5 * s), hair)
        on.ellipse((x - 0.8 * s, y - s, x + 0.8 * s, y + 1.2 * s), skin)
        gap = s * (0.08 + 0.12 * abs(mouth(4 * t)))
        on.ellipse((x - 0.3 * s, y + 0.6 * s - gap, x + 0.3 * s, y + 0.6 * s + gap), (90, 20, 30))
        for eye in (-0.35, 0.35):
            on.ellipse((x + (eye - 0.1) * s, y - 0.1 * s, x + (eye + 0.1) * s, y + 0.1 * s), (20, 20, 20))

    return draw


def _crowd(rng: np.random.Generator) -> Drawn:
    count = int(rng.integers(12, 60))
    at, speed, color = rng.uniform(0, 1, (count, 2)), rng.normal(0, 25, count), [_color(rng) for _ in range(count)]
    order = np.argsort(at[:, 0])

    def draw(t: float, on: ImageDraw.ImageDraw) -> None:
        for i in order:
            s = 3 + 12 * at[i, 0]
            x = (at[i, 1] * W + speed[i] * (0.3 + at[i, 0]) * t) % (W + 40) - 20
            y = 30 + 70 * at[i, 0] + 1.5 * np.sin(6 * t + i)
            on.rectangle((x - s / 2, y, x + s / 2, y + 3 * s), color[i])
            on.ellipse((x - s / 2, y - s, x + s / 2, y), (200, 160, 130))

    return draw


def _page(rng: np.random.Generator, scroll: float) -> Drawn:
    """Lines like text: a slide that builds up, or a screen that scrolls."""
    ink, paper = _color(rng, 0, 90), _color(rng, 180, 256)
    lines = [(rng.uniform(8, 30), rng.uniform(60, 170), rng.uniform(2, 5)) for _ in range(60)]
    build, jumpy, pace = rng.uniform(0.3, 2.0), rng.random() < 0.3, scroll * rng.uniform(0.2, 2)

    def draw(t: float, on: ImageDraw.ImageDraw) -> None:
        on.rectangle((0, 0, W, H), paper)
        move = pace * (np.floor(t * 2) / 2 if jumpy else t)
        for k, (x0, x1, height) in enumerate(lines):
            y = 10 + 9 * k - move % 400
            if -9 < y < H and (scroll or k < t / build + 2):
                for x in np.arange(x0, x1, 11.0):
                    on.rectangle((x, y, x + 4 + (x * 7 + k * 13) % 6, y + height), ink)

    return draw


def _burst(rng: np.random.Generator) -> Drawn:
    """Explosions: a flash, then something that grows and fades."""
    times, place = np.cumsum(rng.uniform(0.3, 2.5, 12)), rng.uniform(0, 1, (12, 2)) * (W, H)
    size, hot = rng.uniform(20, 120, 12), _color(rng, 180, 256)

    def draw(t: float, on: ImageDraw.ImageDraw) -> None:
        for begin, (x, y), most in zip(times, place, size):
            age = t - begin
            if 0 <= age < 0.07:
                on.rectangle((0, 0, W, H), (255, 255, 240))
            elif 0.07 <= age < 1:
                s = most * age**0.5
                on.ellipse((x - s, y - s, x + s, y + s), tuple(int(c * (1 - age)) for c in hot))

    return draw


def _balls(rng: np.random.Generator) -> Drawn:
    things = [(_wave(rng, W), _wave(rng, H), rng.uniform(3, 30), _color(rng)) for _ in range(int(rng.integers(1, 12)))]

    def draw(t: float, on: ImageDraw.ImageDraw) -> None:
        for x, y, s, color in things:
            a, b = W / 2 + x(t), H / 2 + y(t)
            on.ellipse((a - s, b - s, a + s, b + s), color)

    return draw


def _nothing(rng: np.random.Generator) -> Drawn:
    return lambda t, on: None


SCENES: dict[str, Callable[[np.random.Generator], Drawn]] = {
    "speaker": _speaker,
    "crowd": _crowd,
    "slides": lambda rng: _page(rng, 0),
    "screen": lambda rng: _page(rng, 60),
    "burst": _burst,
    "balls": _balls,
    "noise": _nothing,
    "gradient": _nothing,
}


def scene(name: str, seed: int, view: int, *, frames: int, fps: float, size: tuple[int, int]) -> Iterator[Frame]:
    """Frames (H, W) = `size` of a scene of SCENES; views of one seed are the same place and things, seen otherwise.

    >>> [frame.shape for frame in scene("speaker", 0, 1, frames=2, fps=25, size=(36, 64))]
    [(36, 64, 3), (36, 64, 3)]
    """
    if name not in SCENES:
        raise ValueError(f"name must be one of {', '.join(SCENES)}, got {name!r}")
    rng, own = np.random.default_rng((seed, 0)), np.random.default_rng((seed, 1, view))
    draw, ground = SCENES[name](rng), _ground(rng)
    camera = Camera(own, W / H, frames / fps, still=0.5)
    grain = rng.integers(0, 256, (64, H, W, 1), dtype=np.uint8) if name == "noise" else None
    speed, begin = rng.uniform(-30, 30), own.uniform(0, 20)
    for k in range(frames):
        t = begin + k / fps
        picture = ground.copy()
        if name == "gradient":
            picture = Image.fromarray(np.roll(np.asarray(ground), int(speed * t), 1))
        if grain is not None:
            mixed = np.asarray(ground).astype(np.uint16) + np.roll(grain[int(t * 12) % 64], int(speed * t), 1)
            picture = Image.fromarray((mixed // 2).astype(np.uint8))
        draw(t, ImageDraw.Draw(picture))
        yield camera.look(picture, k / fps, size)


class Camera:
    """A path over a picture: pan, zoom, both, none, steady or by hand.

    Args:
        aspect: width/height of the picture. seconds: how long the path takes. still: probability of no movement.
    """

    def __init__(self, rng: np.random.Generator, aspect: float, seconds: float, *, still: float = 0.15) -> None:
        zoom = rng.uniform(0.35, 0.95, 2) if rng.random() < 0.6 else np.repeat(rng.uniform(0.35, 0.95), 2)
        place = rng.uniform(0, 1, (2, 2))
        if rng.random() < still:
            zoom, place = zoom[[0, 0]], place[[0, 0]]
        self.zoom, self.place, self.seconds, self.aspect = zoom, place, seconds, aspect
        shaky = rng.uniform(0.002, 0.02) if rng.random() < 0.4 else 0.0
        self.shake = _wave(rng, shaky), _wave(rng, shaky)
        self.eased = bool(rng.random() < 0.5)

    def look(self, picture: Image.Image, t: float, size: tuple[int, int]) -> Frame:
        """What it sees at t seconds, in (H, W) pixels; the shape of the view is that of `size`."""
        p = min(1.0, max(0.0, t / self.seconds))
        p = p * p * (3 - 2 * p) if self.eased else p
        zoom = self.zoom[0] * (self.zoom[1] / self.zoom[0]) ** p
        wide = min(1.0, size[1] / size[0] / self.aspect)
        width, height = zoom * wide, zoom * wide * self.aspect * size[0] / size[1]
        y, x = self.place[0] + (self.place[1] - self.place[0]) * p + [one(4 * t) for one in self.shake]
        x0, y0 = (float(np.clip(v, 0, 1)) * (1 - part) for v, part in ((x, width), (y, height)))
        w, h = picture.size
        box = (x0 * w, y0 * h, min(w, (x0 + width) * w), min(h, (y0 + height) * h))
        return np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR, box, reducing_gap=2.0))
