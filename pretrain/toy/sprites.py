"""What a toy video shows: looks (a sprite, a background), motions, and the frames drawn from them.

The class of an action is its motion and nothing else. Positions live on a torus and start anywhere, angles are uniform
and the radius is log-uniform at every moment of every motion, so that one frame alone says nothing about the class.

Legend: T frames, H W size in pixels, P side of the square around a sprite, S side of a texture.
Lengths are in *short sides* (the smaller of H and W). Motions are functions of the length travelled, not of time: each
has one constant speed, and a change of speed is a kink in `travel_T` and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

# The first eleven keep their class when mirrored left to right, as augmentation in training does; the last four do not.
CLASSES = (
    *("up", "down", "across", "circle", "zoom", "spin", "bounce", "shake", "zigzag", "swing", "square"),
    *("left", "right", "circle_cw", "circle_ccw"),
)
RADIUS, GROWTH = 0.13, 1.6  # radius of an actor at zoom 0, in short sides, and its factor at zoom 1
SPRITE, TEXTURE, CHUNK = 48, 256, 32  # texels along a sprite and along a background; frames drawn at once


@dataclass(frozen=True, eq=False)
class Actor:
    """A sprite, and where it is in each frame.

    Attributes:
        rgba_SS4: float32, colour 0…255 premultiplied by alpha 0…1; transparent along its border.
        pose_T4: float64; y and x of the centre in short sides, angle in radians, zoom 0…1.
        radius: radius at zoom 0, in short sides.
        frames: first frame it is shown in, and the first it no longer is; None: always.
    """

    rgba_SS4: np.ndarray
    pose_T4: np.ndarray
    radius: float = RADIUS
    frames: tuple[int, int] | None = None


def triangle(x: np.ndarray) -> np.ndarray:
    """Wave of period 1 between −1 and 1 with slope ±4.

    >>> triangle(np.array([0, 0.25, 0.5, 0.75, 1.0])).tolist()
    [0.0, 1.0, 0.0, -1.0, 0.0]
    """
    return 4 * np.abs((x + 0.75) % 1 - 0.5) - 1


def follow(name: str, rng: np.random.Generator, start_4: np.ndarray, travel_T: np.ndarray) -> np.ndarray:
    """pose_T4 of the motion `name` (or of "wander") that begins in the pose `start_4`.

    `travel_T`: length travelled in short sides, ascending from 0. Phase, extent and whatever direction the class leaves
    open are drawn from `rng`. Errors: an unknown name.

    >>> follow("spin", np.random.default_rng(0), np.zeros(4), np.array([0.0, 0.15]))[:, :2].tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    if name not in (*CLASSES, "wander"):
        raise ValueError(f"a motion must be one of {', '.join(CLASSES)}, got {name!r}")
    s = np.asarray(travel_T, float)
    sign, phase = rng.choice([-1, 1]), rng.uniform()  # the direction left open; where in its period the motion begins
    sign = {"up": -1, "left": -1, "circle_ccw": -1, "down": 1, "right": 1, "circle_cw": 1}.get(name, sign)
    y = x = angle = np.zeros_like(s)
    zoom = np.full_like(s, start_4[3])

    def wave(extent: float) -> np.ndarray:  # to and fro at speed 1
        return extent * triangle(s / (4 * extent) + phase)

    if name in ("up", "down", "across", "left", "right"):
        tilt = rng.uniform(-0.25, 0.25)
        y, x = s * np.sin(tilt), sign * s * np.cos(tilt)
        if name in ("up", "down"):
            y, x = x, y
    elif name.startswith("circle"):  # y points down, so growing angles turn clockwise
        radius = rng.uniform(0.09, 0.14)
        turn = sign * s / radius + 2 * np.pi * phase
        y, x = radius * np.sin(turn), radius * np.cos(turn)
    elif name == "bounce":
        y = wave(rng.uniform(0.10, 0.15))
    elif name == "swing":
        x = wave(rng.uniform(0.10, 0.15))
    elif name == "shake":
        x = wave(0.035)
    elif name == "zigzag":
        s = s * np.sqrt(0.5)
        y, x = wave(rng.uniform(0.07, 0.10)), sign * s
    elif name == "square":  # clipped waves a quarter of a lap apart: one axis moves while the other rests
        side = rng.uniform(0.16, 0.24)
        lap = sign * s / (4 * side) + phase
        y, x = side * np.clip(triangle(lap), -0.5, 0.5), side * np.clip(triangle(lap + 0.25), -0.5, 0.5)
    elif name == "zoom":
        begin = (2 * start_4[3] - 1) / 4  # where the rising wave has the present zoom
        zoom = (1 + triangle(s / 0.7 + (begin if sign > 0 else 0.5 - begin))) / 2
    elif name == "spin":
        angle = sign * s / 0.15
    else:  # wander: a smooth path that never repeats
        frequency, phases = rng.uniform(0.3, 1.6, 5), rng.uniform(0, 2 * np.pi, 5)
        heading = 1.3 * np.sin(2 * np.pi * s[:, None] * frequency + phases).sum(1) + 2 * np.pi * phase
        step = np.diff(s, prepend=0.0)
        y, x = np.cumsum(step * np.sin(heading)), np.cumsum(step * np.cos(heading))
    moved = np.stack([y - y[0], x - x[0], angle, zoom - start_4[3]], 1)
    return start_4 + moved


def waves(rng: np.random.Generator, side: int, count: int, highest: int) -> np.ndarray:
    """(side, side) float32 in 0…1: `count` cosines with up to `highest` periods; tileable."""
    k = rng.integers(-highest, highest + 1, (count, 2))
    grid = np.arange(side) * (2 * np.pi / side)
    angle = k[:, 0, None, None] * grid[:, None] + k[:, 1, None, None] * grid + rng.uniform(0, 2 * np.pi, (count, 1, 1))
    total = (np.cos(angle) / np.sqrt(1 + np.hypot(*k.T))[:, None, None]).sum(0)
    return ((total - total.min()) / (np.ptp(total) + 1e-9)).astype(np.float32)


def background(rng: np.random.Generator) -> np.ndarray:
    """(S, S, 3) float32 in 0…255: two tileable textures between three colours."""
    colors = rng.uniform(20, 235, (3, 3)).astype(np.float32)
    coarse, fine = waves(rng, TEXTURE, 8, 4)[..., None], waves(rng, TEXTURE, 12, 16)[..., None]
    return 0.6 * (coarse * colors[0] + (1 - coarse) * colors[1]) + 0.4 * (fine * colors[2] + (1 - fine) * colors[0])


def sprite(rng: np.random.Generator) -> np.ndarray:
    """rgba_SS4 of a random blob with stripes, an outline and one eye (so that turning it shows)."""
    grid = (np.arange(SPRITE) + 0.5) * 2 / SPRITE - 1
    y, x = np.meshgrid(grid, grid, indexing="ij")
    theta = np.arctan2(y, x)
    lobes = np.sum(
        [rng.uniform(-0.5, 0.5) / k * np.cos(k * theta + rng.uniform(0, 2 * np.pi)) for k in (1, 2, 3, 5)], 0
    )
    inside = 0.9 * (1 + 0.5 * lobes) / (1 + 0.5 * lobes).max() - np.hypot(y, x)  # distance to the outline, inwards
    color, other, line = rng.permutation([rng.uniform(0, 90, 3), rng.uniform(90, 255, 3), rng.uniform(180, 255, 3)])
    stripes = 0.5 + 0.5 * np.cos(rng.uniform(3, 9) * (y * np.cos(a := rng.uniform(0, np.pi)) + x * np.sin(a)))
    rgb = stripes[..., None] * color + (1 - stripes[..., None]) * other
    rgb = np.where((inside < 0.1)[..., None], line, rgb)
    rgb = np.where((np.hypot(y, x - 0.45) < 0.18)[..., None], line, rgb)
    alpha = np.clip(inside * SPRITE / 4 + 0.5, 0, 1)[..., None]
    return np.concatenate([rgb * alpha, alpha], 2).astype(np.float32)


def bilinear(texture_SSC: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Values of the texture at texel positions (…), shape (…, C); positions beyond the border show the border."""
    side = len(texture_SSC)
    y, x = np.clip(y, 0, side - 1.001), np.clip(x, 0, side - 1.001)
    y0, x0 = y.astype(np.int32), x.astype(np.int32)
    fy, fx = (y - y0)[..., None], (x - x0)[..., None]
    flat, at = texture_SSC.reshape(side * side, -1), y0 * side + x0
    top, bottom = flat[at] * (1 - fx) + flat[at + 1] * fx, flat[at + side] * (1 - fx) + flat[at + side + 1] * fx
    return top * (1 - fy) + bottom * fy


def stamp(frames_THWC: np.ndarray, actor: Actor, pose_T4: np.ndarray) -> None:
    """Draw an actor into float32 frames, in place; what leaves one side enters at the other."""
    T, H, W, _ = frames_THWC.shape
    short = min(H, W)
    radius = np.float32(short * actor.radius) * GROWTH ** pose_T4[:, 3].astype(np.float32)
    P = 2 * int(np.ceil(short * actor.radius * GROWTH)) + 2
    center = pose_T4[:, :2] * short
    corner = np.floor(center).astype(int) - P // 2
    offset = (corner + 0.5 - center).astype(np.float32)[:, None, :] + np.arange(P, dtype=np.float32)[None, :, None]
    dy, dx = offset[:, :, None, 0] / radius[:, None, None], offset[:, None, :, 1] / radius[:, None, None]  # TP1, T1P
    cos, sin = (f(pose_T4[:, 2]).astype(np.float32)[:, None, None] for f in (np.cos, np.sin))
    half = np.float32(SPRITE / 2)
    rgba = bilinear(actor.rgba_SS4, (cos * dy - sin * dx + 1) * half - 0.5, (sin * dy + cos * dx + 1) * half - 0.5)
    rows, columns = ((corner[:, axis, None] + np.arange(P)) % side for axis, side in ((0, H), (1, W)))
    where = (np.arange(T)[:, None, None], rows[:, :, None], columns[:, None, :])
    frames_THWC[where] = frames_THWC[where] * (1 - rgba[..., 3:]) + rgba[..., :3]


def draw(
    size: tuple[int, int], backgrounds: list[np.ndarray], shown_T: np.ndarray, drift_T2: np.ndarray, actors: list[Actor]
) -> Iterator[np.ndarray]:
    """Chunks of uint8 frames (t, H, W, 3) of a whole video, `CHUNK` frames at a time: memory does not grow with length.

    Args:
        size: (H, W) in pixels, at most TEXTURE each.
        backgrounds: textures (S, S, 3); frame t shows backgrounds[shown_T[t]].
        drift_T2: position of the window on the background in short sides, y and x.
        actors: drawn in this order, the last one in front.
    """
    (H, W), short = size, min(size)
    padded = [np.pad(b, ((0, H + 1), (0, W + 1), (0, 0)), mode="wrap") for b in backgrounds]
    for first in range(0, len(shown_T), CHUNK):
        chunk = range(first, min(first + CHUNK, len(shown_T)))
        frames = np.empty((len(chunk), H, W, 3), np.float32)
        for out, t in zip(frames, chunk):
            y, x = drift_T2[t] * short % TEXTURE
            (y0, fy), (x0, fx) = (divmod(np.float32(v), np.float32(1)) for v in (y, x))
            part = padded[shown_T[t]][int(y0) : int(y0) + H + 1, int(x0) : int(x0) + W + 1]
            part = part[:-1] * (1 - fy) + part[1:] * fy
            np.add(part[:, :-1] * (1 - fx), part[:, 1:] * fx, out=out)
        for actor in actors:
            begin, end = actor.frames or (0, len(shown_T))
            begin, end = max(begin, chunk.start), min(end, chunk.stop)
            if begin < end:
                stamp(frames[begin - first : end - first], actor, actor.pose_T4[begin:end])
        yield np.clip(frames + 0.5, 0, 255).astype(np.uint8)
