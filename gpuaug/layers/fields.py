"""Time maps: when a pixel changes, as one-line fields of its place. NumPy only.

A field is f(y, x, number, seed) of a pixel's place in a frame whose centre is (0, 0) and which reaches from −1 to 1
downwards, and from −a to a to the right, where a is width/height for the fields in ROUND and 1 for the others; turned
by an angle, moved to another centre. Whatever it gives is stretched to [0, 1] over the pixels of the output, so that
the first pixel changes at once and the last one at the end, and kept in 16 bits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Field = Callable[[Array, Array, float, int], Array]
TOP = 65535  # of a time map's values
KEPT = 512  # time maps in memory, of the size last asked for


def _part(x: Array) -> Array:
    """What is beyond a whole number: x % 1, which takes NumPy longer."""
    return x - np.floor(x)


def _angle(y: Array, x: Array) -> Array:
    """Turns clockwise from upwards, in [0, 1)."""
    return _part(np.arctan2(x, -y) / (2 * np.pi))


def _random(y: Array, x: Array, seed: int) -> Array:
    """A number in [0, 1) for whole numbers y and x; an integer hash, the same on every machine."""
    own = seed * 83492791 & 0x7FFFFFFF  # of Python's numbers, which may have more than 64 bits
    value = (y.astype(np.int64) * 73856093 ^ x.astype(np.int64) * 19349663 ^ own) & 0x7FFFFFFF
    for _ in range(3):
        value = (value * 48271 + 11) % 2147483647
        value ^= value >> 13
    return (value & 0x7FFFFFFF) / 2147483648.0


def _in_cell(position: Array, number: float) -> Array:
    """Where in its cell a position in [−1, 1] lies, of `number` cells: in [0, 1)."""
    return _part((position + 1) / 2 * number)


def _cell(position: Array, number: float) -> Array:
    return np.floor((position + 1) / 2 * number)


def _checker(y: Array, x: Array, number: float, seed: int) -> Array:
    odd = (_cell(y, number) + _cell(x, number)) % 2
    return odd + _in_cell(x, number)


def _spiral(y: Array, x: Array, number: float, seed: int) -> Array:
    angle = _angle(y, x)
    return np.floor(np.hypot(y, x) * number - angle) + angle


def _star(y: Array, x: Array, number: float, seed: int) -> Array:
    """A star of five points, one of them upwards."""
    beam = np.abs(_part(_angle(y, x) * 5) - 0.5) * 2
    return np.hypot(y, x) * (2.2 - 1.2 * beam)


def _clouds(y: Array, x: Array, number: float, seed: int) -> Array:
    """Random values at the corners of cells, smooth in between, with finer ones over them."""
    total = np.zeros(np.broadcast_shapes(y.shape, x.shape))
    for octave in range(3):
        v, u = (np.asarray((p + 4) / 2 * number * 2**octave) for p in (y, x))
        i, j = np.floor(v), np.floor(u)
        b, a = ((p * p * (3 - 2 * p)) for p in (v - i, u - j))
        if i.shape[1] == 1 and j.shape[0] == 1:  # along the axes: every corner once
            rows, row = np.unique(np.concatenate([i[:, 0], i[:, 0] + 1]), return_inverse=True)
            columns, column = np.unique(np.concatenate([j[0], j[0] + 1]), return_inverse=True)
            corner = _random(rows[:, None], columns[None], seed + octave)
            line = (1 - a) * corner[:, column[: j.size]] + a * corner[:, column[j.size :]]
            top, bottom = line[row[: i.size]], line[row[i.size :]]
        else:
            corners = (_random(i + d, j + e, seed + octave) for d in (0, 1) for e in (0, 1))
            northwest, northeast, southwest, southeast = corners
            top, bottom = (1 - a) * northwest + a * northeast, (1 - a) * southwest + a * southeast
        total += ((1 - b) * top + b * bottom) / 2**octave
    return total


FIELDS: dict[str, Field] = {  # new ones last: plans have their places
    "line": lambda y, x, number, seed: x + 0 * y,
    "doors": lambda y, x, number, seed: np.abs(x) + 0 * y,
    "circle": lambda y, x, number, seed: np.hypot(y, x),
    "diamond": lambda y, x, number, seed: np.abs(y) + np.abs(x),
    "box": lambda y, x, number, seed: np.maximum(np.abs(y), np.abs(x)),
    "cross": lambda y, x, number, seed: np.minimum(np.abs(y), np.abs(x)),
    "star": _star,
    "clock": lambda y, x, number, seed: _angle(y, x),
    "fan": lambda y, x, number, seed: np.abs(_angle(y, x) * 2 - 1) * -1,
    "windmill": lambda y, x, number, seed: _part(_angle(y, x) * number),
    "spiral": _spiral,
    "blinds": lambda y, x, number, seed: _in_cell(x, number) + 0 * y,
    "bars": lambda y, x, number, seed: _random(0 * y, _cell(x, number), seed),
    "comb": lambda y, x, number, seed: np.where(_cell(y, number) % 2 == 0, x, -x),
    "checker": _checker,
    "grid": lambda y, x, number, seed: np.maximum(*(np.abs(_in_cell(p, number) - 0.5) + 0 * (y + x) for p in (y, x))),
    "dots": lambda y, x, number, seed: np.hypot(*(_in_cell(p, number) - 0.5 for p in (y, x))),
    "mosaic": lambda y, x, number, seed: _random(_cell(y, number), _cell(x, number), seed),
    "clouds": _clouds,
    "noise": lambda y, x, number, seed: _random(np.round(4096 * y), np.round(4096 * x), seed),
}
NAMES = tuple(FIELDS)
ROUND = {"line", "circle", "diamond", "star", "clock", "fan", "windmill", "spiral", "dots"}


def planes(maps: NDArray[np.float64], pictures: tuple[Array, ...], size: tuple[int, int]) -> NDArray[np.uint16]:
    """uint16 (M, Y, X): time maps, rows of `Layers.maps`, on the pixels of an output of `size` (Y, X)."""
    found = np.empty((len(maps), *size), np.uint16)
    for i, row in enumerate(maps.tolist()):
        own = pictures[int(-1 - row[0])] if row[0] < 0 else None
        if own is None:
            found[i] = _kept(size, *row[:-1])
        else:
            found[i] = _stretched(_sampled(own, *_places(size, row[1], row[2], row[3], False)), size)
        if row[-1]:
            found[i] = TOP - found[i]
    return found


@functools.lru_cache(KEPT)
def _kept(
    size: tuple[int, int], field: float, angle: float, cy: float, cx: float, number: float, seed: float
) -> NDArray[np.uint16]:
    name = NAMES[int(field)]
    y, x = _places(size, angle, cy, cx, name in ROUND)
    return np.broadcast_to(_stretched(FIELDS[name](y, x, number, int(seed)), size), size)  # which nobody can write to


def _places(size: tuple[int, int], angle: float, cy: float, cx: float, isotropic: bool) -> tuple[Array, Array]:
    """y and x of the pixels' centres, (Y, X) or of size 1 where they are the same, as fields take them."""
    aspect, exact = size[1] / size[0], angle % 90 == 0  # whose sine and cosine are none of 1e-17
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    cos, sin = (round(cos), round(sin)) if exact else (cos, sin)
    down = (np.arange(size[0])[:, None] + 0.5 - cy * size[0]) * (2 / size[0])
    right = (np.arange(size[1])[None] + 0.5 - cx * size[1]) * (2 / size[0])
    if exact:
        y, x = (cos * down, cos * right) if cos else (-sin * right, sin * down)
    else:
        y, x = cos * down - sin * right, cos * right + sin * down
    if isotropic:
        return y, x
    return y / (abs(cos) + aspect * abs(sin)), x / (aspect * abs(cos) + abs(sin))


def _sampled(picture: Array, y: Array, x: Array) -> Array:
    """A picture, stretched over the frame, at places of it; bilinear, clamped to its outermost pixels."""
    h, w = picture.shape
    v, u = (np.clip((p + 1) / 2 * n - 0.5, 0, n - 1) for p, n in ((y, h), (x, w)))
    i, j = (np.minimum(p.astype(int), max(n - 2, 0)) for p, n in ((v, h), (u, w)))
    below, right = np.minimum(i + 1, h - 1), np.minimum(j + 1, w - 1)
    top = (1 - (u - j)) * picture[i, j] + (u - j) * picture[i, right]
    bottom = (1 - (u - j)) * picture[below, j] + (u - j) * picture[below, right]
    return (1 - (v - i)) * top + (v - i) * bottom


def _stretched(field: Array, size: tuple[int, int]) -> NDArray[np.uint16]:
    low, high = field.min(), field.max()
    if low == high:  # on so few pixels nothing changes before the rest: it does from the corner on
        y, x = _places(size, 0.0, 0.5, 0.5, True)
        field = y + x
        low, high = field.min(), field.max()
    return np.round((field - low) * (TOP / (high - low) if high > low else 0.0)).astype(np.uint16)
