"""The kinds of transitions: which layers each consists of while it lasts. NumPy only.

A kind is a function of `Motion`; it is asked for frames in the middle of a transition, where 0 < p < 1. Its layers lie
over each other in order; the first one covers everything. In all of these frames something has to differ from either
clip, so that labels can be seen. Directions say where things move to: "wipe_left" moves its edge to the left.
Legend: N samples, T output frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..layers.columns import ALL
from .times import FAMILY, JUMP, RAMP, TIMES

Array = NDArray[np.floating]
FIRST, SECOND, PAINT = range(3)  # what a layer shows: a clip, or a colour
BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
LUMA = "luma"  # the field that is the caller's own picture
WHIPS, SHUTTER = 4, 0.3  # pictures in a whipped frame, and how much of the way they spread over


class Motion(NamedTuple):
    """What a kind may depend on: p (N, T), and of every sample center (N, 1, 2)."""

    p: Array
    center: Array


@dataclass(frozen=True)
class Layer:
    """Something over what is below it. Arrays are (N, T), places and crops (N, T, 4) or (4,), as in `Layers`."""

    source: int
    weight: Array | float = 1.0
    place: Array | Sequence[float] = ALL
    crop: Array | Sequence[float] = ALL
    field: str = ""  # of a mask
    angle: float = 0.0  # of the field, to which the sample's own is added
    reverse: bool = False
    color: tuple[float, ...] | None = None  # None: the sample's own


class Kind(NamedTuple):
    """`draws` are the parameters that change what a kind looks like."""

    family: str
    layers: Callable[[Motion], list[Layer]]
    draws: tuple[str, ...] = ()


def _masked(field: str, angle: float = 0.0, reverse: bool = False) -> Callable[[Motion], list[Layer]]:
    return lambda m: [Layer(FIRST), Layer(SECOND, field=field, angle=angle, reverse=reverse)]


def _place(y0: Array | float, x0: Array | float, y1: Array | float, x1: Array | float) -> Array:
    return np.stack(np.broadcast_arrays(y0, x0, y1, x1), -1)


def _moved(down: Array | float, right: Array | float) -> Array:
    return _place(down, right, 1 + down, 1 + right)


def _scaled(m: Motion, height: Array | float, width: Array | float) -> Array:
    """A place of such a part of the output, whose centre goes from the sample's own to the middle as it grows to 1."""
    cy, cx = m.center[..., 0], m.center[..., 1]
    y, x = cy * (1 - height), cx * (1 - width)
    return _place(y, x, y + height, x + width)


# ---- fades ----------------------------------------------------------------------------------------------------------


def _through(color: tuple[float, ...] | None) -> Callable[[Motion], list[Layer]]:
    """First to the colour, then from it."""
    return lambda m: [
        Layer(FIRST),
        Layer(PAINT, np.minimum(2 * m.p, 1), color=color),
        Layer(SECOND, np.maximum(2 * m.p - 1, 0)),
    ]


def _flash(m: Motion) -> list[Layer]:
    """A quarter of the time to white, the rest from it, over the second clip by then."""
    white = np.where(m.p < 0.25, 4 * m.p, (1 - m.p) / 0.75)
    return [Layer(FIRST), Layer(SECOND, 1.0 * (m.p >= 0.25)), Layer(PAINT, white, color=WHITE)]


# ---- movements ------------------------------------------------------------------------------------------------------


def _push(down: int, right: int) -> Callable[[Motion], list[Layer]]:
    return lambda m: [
        Layer(FIRST, place=_moved(down * m.p, right * m.p)),
        Layer(SECOND, place=_moved(down * (m.p - 1), right * (m.p - 1))),
    ]


def _cover(down: int, right: int) -> Callable[[Motion], list[Layer]]:
    return lambda m: [Layer(FIRST), Layer(SECOND, place=_moved(down * (m.p - 1), right * (m.p - 1)))]


def _reveal(down: int, right: int) -> Callable[[Motion], list[Layer]]:
    return lambda m: [Layer(SECOND), Layer(FIRST, place=_moved(down * m.p, right * m.p))]


def _whip(down: int, right: int) -> Callable[[Motion], list[Layer]]:
    """A fast push: the mean of several pictures along the way, which is blurred most where it is fastest."""

    def layers(m: Motion) -> list[Layer]:
        p = m.p * m.p * (3 - 2 * m.p)
        found = []
        for i in range(WHIPS):
            q = np.clip(p + SHUTTER * 4 * p * (1 - p) * ((i + 0.5) / WHIPS - 0.5), 0, 1)
            found.append(Layer(FIRST, 1 / (i + 1), _moved(down * q, right * q)))
            found.append(Layer(SECOND, 1 / (i + 1), _moved(down * (q - 1), right * (q - 1))))
        return found

    return layers


def _split(rows: bool) -> Callable[[Motion], list[Layer]]:
    """The halves of the first clip move apart."""

    def layers(m: Motion) -> list[Layer]:
        return [Layer(SECOND), *_halves(m.p / 2, rows)]

    return layers


def _halves(by: Array, rows: bool, grown: Array | float = 0.0) -> list[Layer]:
    """The halves of the first clip, each moved outwards by a part of the output, and grown across by twice another."""
    if rows:
        places = _place(-by, -grown, 0.5 - by, 1 + grown), _place(0.5 + by, -grown, 1 + by, 1 + grown)
        crops = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)
    else:
        places = _place(-grown, -by, 1 + grown, 0.5 - by), _place(-grown, 0.5 + by, 1 + grown, 1 + by)
        crops = (0.0, 0.0, 1.0, 0.5), (0.0, 0.5, 1.0, 1.0)
    return [Layer(FIRST, place=place, crop=crop) for place, crop in zip(places, crops)]


def _doorway(m: Motion) -> list[Layer]:
    """The halves of the first clip open like doors, the second one comes nearer behind them, out of the colour."""
    near = 0.5 + 0.5 * m.p
    return [Layer(PAINT), Layer(SECOND, place=_scaled(m, near, near)), *_halves(m.p / 2, False, m.p / 4)]


def _zoom_in(m: Motion) -> list[Layer]:
    size = 1 + 3 * m.p
    return [Layer(SECOND), Layer(FIRST, 1 - m.p, _scaled(m, size, size))]


def _cross_zoom(m: Motion) -> list[Layer]:
    out, back = 1 + 4 * m.p**2, 1 + 4 * (1 - m.p) ** 2
    mixed = m.p * m.p * (3 - 2 * m.p)
    return [Layer(FIRST, place=_scaled(m, out, out)), Layer(SECOND, mixed, _scaled(m, back, back))]


def _corner(m: Motion) -> list[Layer]:
    """The second clip as a small picture in the corner at the lower right, which grows."""
    return [Layer(FIRST), Layer(SECOND, place=_place(0.6 * (1 - m.p), 0.6 * (1 - m.p), *[0.92 + 0.08 * m.p] * 2))]


DIRECTIONS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}
ANGLES = {"right": 0, "down_right": 45, "down": 90, "down_left": 135, "left": 180, "up_left": 225, "up": 270}
ANGLES |= {"up_right": 315}
ALONE = {JUMP: ("skip",), RAMP: ("rate",)}

KINDS: dict[str, Kind] = {
    "cut": Kind("cut", lambda m: [Layer(FIRST)]),  # has no frame in its middle
    "dissolve": Kind("dissolve", lambda m: [Layer(FIRST), Layer(SECOND, m.p)]),
    "noise_dissolve": Kind("dissolve", _masked("noise"), ("seed", "softness")),
    "fade_black": Kind("fade", _through(BLACK)),
    "fade_white": Kind("fade", _through(WHITE)),
    "fade_color": Kind("fade", _through(None), ("color",)),
    "fade_out": Kind("fade", lambda m: [Layer(FIRST), Layer(PAINT, m.p)], ("color",)),
    "fade_in": Kind("fade", lambda m: [Layer(PAINT), Layer(SECOND, m.p)], ("color",)),
    "flash": Kind("fade", _flash),
    "wipe": Kind("wipe", _masked("line"), ("angle", "softness")),
    **{f"wipe_{to}": Kind("wipe", _masked("line", angle), ("softness",)) for to, angle in ANGLES.items()},
    "barn_open_horizontal": Kind("wipe", _masked("doors"), ("softness",)),
    "barn_open_vertical": Kind("wipe", _masked("doors", 90), ("softness",)),
    "barn_close_horizontal": Kind("wipe", _masked("doors", reverse=True), ("softness",)),
    "barn_close_vertical": Kind("wipe", _masked("doors", 90, True), ("softness",)),
    **{
        f"{shape}_{way}": Kind("iris", _masked(shape, reverse=way == "close"), ("center", "softness"))
        for shape in ("circle", "diamond", "box", "cross", "star")
        for way in ("open", "close")
    },
    "clock": Kind("clock", _masked("clock"), ("angle", "center", "softness")),
    "clock_counter": Kind("clock", _masked("clock", reverse=True), ("angle", "center", "softness")),
    "fan_open": Kind("clock", _masked("fan"), ("angle", "softness")),
    "fan_close": Kind("clock", _masked("fan", reverse=True), ("angle", "softness")),
    "windmill": Kind("clock", _masked("windmill"), ("center", "number", "softness")),
    "spiral": Kind("clock", _masked("spiral"), ("number", "softness")),
    "spiral_in": Kind("clock", _masked("spiral", reverse=True), ("number", "softness")),
    "blinds_horizontal": Kind("blinds", _masked("blinds", 90), ("number", "softness")),
    "blinds_vertical": Kind("blinds", _masked("blinds"), ("number", "softness")),
    "bars_horizontal": Kind("blinds", _masked("bars", 90), ("number", "seed", "softness")),
    "bars_vertical": Kind("blinds", _masked("bars"), ("number", "seed", "softness")),
    "comb_horizontal": Kind("blinds", _masked("comb"), ("number", "softness")),
    "comb_vertical": Kind("blinds", _masked("comb", 90), ("number", "softness")),
    "checker": Kind("blocks", _masked("checker"), ("number", "softness")),
    "grid": Kind("blocks", _masked("grid"), ("number", "softness")),
    "dots": Kind("blocks", _masked("dots"), ("number", "softness")),
    "mosaic": Kind("blocks", _masked("mosaic"), ("number", "seed", "softness")),
    "clouds": Kind("matte", _masked("clouds"), ("number", "seed", "softness")),
    "luma": Kind("matte", _masked(LUMA), ("softness",)),
    **{f"push_{to}": Kind("push", _push(*step)) for to, step in DIRECTIONS.items()},
    **{f"cover_{to}": Kind("slide", _cover(*step)) for to, step in DIRECTIONS.items()},
    **{f"reveal_{to}": Kind("slide", _reveal(*step)) for to, step in DIRECTIONS.items()},
    "zoom_in": Kind("zoom", _zoom_in, ("center",)),
    "zoom_out": Kind("zoom", lambda m: [Layer(SECOND), Layer(FIRST, place=_scaled(m, 1 - m.p, 1 - m.p))], ("center",)),
    "grow": Kind("zoom", lambda m: [Layer(FIRST), Layer(SECOND, place=_scaled(m, m.p, m.p))], ("center",)),
    "cross_zoom": Kind("zoom", _cross_zoom, ("center",)),
    "corner": Kind("zoom", _corner),
    "squeeze_horizontal": Kind("squeeze", lambda m: [Layer(SECOND), Layer(FIRST, place=_scaled(m, 1.0, 1 - m.p))]),
    "squeeze_vertical": Kind("squeeze", lambda m: [Layer(SECOND), Layer(FIRST, place=_scaled(m, 1 - m.p, 1.0))]),
    "split_horizontal": Kind("split", _split(False)),
    "split_vertical": Kind("split", _split(True)),
    "doorway": Kind("split", _doorway, ("color",)),
    **{f"whip_{to}": Kind("whip", _whip(*step)) for to, step in DIRECTIONS.items()},
    **{name: Kind(FAMILY, lambda m: [Layer(FIRST)], ALONE.get(name, ())) for name in TIMES},
}
NAMES = tuple(KINDS)
FAMILIES = {
    family: tuple(n for n, k in KINDS.items() if k.family == family)
    for family in dict.fromkeys(k.family for k in KINDS.values())
}
LABELS = NAMES  # what `Marks.kind` and `labels` count; new ones last
