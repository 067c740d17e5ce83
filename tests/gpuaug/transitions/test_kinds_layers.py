"""Which layers every kind consists of, with places, crops and weights worked out by hand for p = 1/4 and 3/4."""

from __future__ import annotations

import numpy as np
import pytest

from gpuaug.transitions.kinds import FAMILIES, FIRST, KINDS, PAINT, SECOND, Motion

ALL = (0, 0, 1, 1)
BLACK, WHITE = (0, 0, 0), (1, 1, 1)
CENTER = np.array([[[0.2, 0.6]]])
LEFT, RIGHT, TOP, BOTTOM = (0, 0, 1, 0.5), (0, 0.5, 1, 1), (0, 0, 0.5, 1), (0.5, 0, 1, 1)


def layers(kind, p=0.25):
    """(source, weight, place, crop, colour) of every layer at p, with the centre at (0.2, 0.6)."""
    found = []
    for layer in KINDS[kind].layers(Motion(np.array([[p]]), CENTER)):
        weight = float(np.broadcast_to(layer.weight, (1, 1))[0, 0])
        place, crop = (np.broadcast_to(v, (1, 1, 4))[0, 0].round(9).tolist() for v in (layer.place, layer.crop))
        found.append((layer.source, round(weight, 9), tuple(place), tuple(crop), layer.color))
    return found


def layer(source, place=ALL, *, weight=1, crop=ALL, color=None):
    return source, weight, place, crop, color


MOVED = {  # at p = 1/4
    "push_left": [layer(FIRST, (0, -0.25, 1, 0.75)), layer(SECOND, (0, 0.75, 1, 1.75))],
    "push_right": [layer(FIRST, (0, 0.25, 1, 1.25)), layer(SECOND, (0, -0.75, 1, 0.25))],
    "push_up": [layer(FIRST, (-0.25, 0, 0.75, 1)), layer(SECOND, (0.75, 0, 1.75, 1))],
    "push_down": [layer(FIRST, (0.25, 0, 1.25, 1)), layer(SECOND, (-0.75, 0, 0.25, 1))],
    "cover_left": [layer(FIRST), layer(SECOND, (0, 0.75, 1, 1.75))],
    "cover_right": [layer(FIRST), layer(SECOND, (0, -0.75, 1, 0.25))],
    "cover_up": [layer(FIRST), layer(SECOND, (0.75, 0, 1.75, 1))],
    "cover_down": [layer(FIRST), layer(SECOND, (-0.75, 0, 0.25, 1))],
    "reveal_left": [layer(SECOND), layer(FIRST, (0, -0.25, 1, 0.75))],
    "reveal_right": [layer(SECOND), layer(FIRST, (0, 0.25, 1, 1.25))],
    "reveal_up": [layer(SECOND), layer(FIRST, (-0.25, 0, 0.75, 1))],
    "reveal_down": [layer(SECOND), layer(FIRST, (0.25, 0, 1.25, 1))],
    # what is scaled by s begins at (1 − s) of the centre: the point there stays where it is
    "zoom_in": [layer(SECOND), layer(FIRST, (-0.15, -0.45, 1.6, 1.3), weight=0.75)],  # 1 + 3p
    "zoom_out": [layer(SECOND), layer(FIRST, (0.05, 0.15, 0.8, 0.9))],
    "grow": [layer(FIRST), layer(SECOND, (0.15, 0.45, 0.4, 0.7))],
    "cross_zoom": [  # 1 + 4p² and 1 + 4(1 − p)²; p²(3 − 2p)
        layer(FIRST, (-0.05, -0.15, 1.2, 1.1)),
        layer(SECOND, (-0.45, -1.35, 2.8, 1.9), weight=0.15625),
    ],
    "corner": [layer(FIRST), layer(SECOND, (0.45, 0.45, 0.94, 0.94))],
    "squeeze_horizontal": [layer(SECOND), layer(FIRST, (0, 0.15, 1, 0.9))],
    "squeeze_vertical": [layer(SECOND), layer(FIRST, (0.05, 0, 0.8, 1))],
    "split_horizontal": [
        layer(SECOND),
        layer(FIRST, (0, -0.125, 1, 0.375), crop=LEFT),
        layer(FIRST, (0, 0.625, 1, 1.125), crop=RIGHT),
    ],
    "split_vertical": [
        layer(SECOND),
        layer(FIRST, (-0.125, 0, 0.375, 1), crop=TOP),
        layer(FIRST, (0.625, 0, 1.125, 1), crop=BOTTOM),
    ],
    "doorway": [  # from half of the size on; the doors grow by a quarter of p at either end
        layer(PAINT),
        layer(SECOND, (0.075, 0.225, 0.7, 0.85)),
        layer(FIRST, (-0.0625, -0.125, 1.0625, 0.375), crop=LEFT),
        layer(FIRST, (-0.0625, 0.625, 1.0625, 1.125), crop=RIGHT),
    ],
    "dissolve": [layer(FIRST), layer(SECOND, weight=0.25)],
    "fade_out": [layer(FIRST), layer(PAINT, weight=0.25)],
    "fade_in": [layer(PAINT), layer(SECOND, weight=0.25)],
    "cut": [layer(FIRST)],
    **{kind: [layer(FIRST)] for kind in FAMILIES["time"]},
}
for name, color in (("black", BLACK), ("white", WHITE), ("color", None)):
    MOVED[f"fade_{name}"] = [layer(FIRST), layer(PAINT, weight=0.5, color=color), layer(SECOND, weight=0)]
MASKED = {  # field, angle, reversed
    "noise_dissolve": ("noise", 0, False),
    "wipe": ("line", 0, False),
    "wipe_right": ("line", 0, False),
    "wipe_down_right": ("line", 45, False),
    "wipe_down": ("line", 90, False),
    "wipe_down_left": ("line", 135, False),
    "wipe_left": ("line", 180, False),
    "wipe_up_left": ("line", 225, False),
    "wipe_up": ("line", 270, False),
    "wipe_up_right": ("line", 315, False),
    "barn_open_horizontal": ("doors", 0, False),
    "barn_open_vertical": ("doors", 90, False),
    "barn_close_horizontal": ("doors", 0, True),
    "barn_close_vertical": ("doors", 90, True),
    "clock": ("clock", 0, False),
    "clock_counter": ("clock", 0, True),
    "fan_open": ("fan", 0, False),
    "fan_close": ("fan", 0, True),
    "windmill": ("windmill", 0, False),
    "spiral": ("spiral", 0, False),
    "spiral_in": ("spiral", 0, True),
    "blinds_horizontal": ("blinds", 90, False),
    "blinds_vertical": ("blinds", 0, False),
    "bars_horizontal": ("bars", 90, False),
    "bars_vertical": ("bars", 0, False),
    "comb_horizontal": ("comb", 0, False),
    "comb_vertical": ("comb", 90, False),
    **{name: (name, 0, False) for name in ("checker", "grid", "dots", "mosaic", "clouds", "luma")},
    **{f"{name}_open": (name, 0, False) for name in ("circle", "diamond", "box", "cross", "star")},
    **{f"{name}_close": (name, 0, True) for name in ("circle", "diamond", "box", "cross", "star")},
}


@pytest.mark.parametrize("kind", MOVED)
def test_layers_at_a_quarter(kind):
    assert layers(kind) == MOVED[kind]


@pytest.mark.parametrize("kind", MASKED)
def test_masks(kind):
    first, second = KINDS[kind].layers(Motion(np.array([[0.25]]), CENTER))
    assert (first.source, first.field, second.source) == (FIRST, "", SECOND)
    assert (second.field, second.angle, second.reverse) == MASKED[kind]
    assert layers(kind) == [layer(FIRST), layer(SECOND)]


def test_fades_and_flashes_later_on():
    """A colour is full in the middle; a flash at a quarter, over the second clip from there on."""
    for kind, color in (("fade_black", BLACK), ("fade_white", WHITE), ("fade_color", None)):
        assert layers(kind, 0.75) == [layer(FIRST), layer(PAINT, color=color), layer(SECOND, weight=0.5)]
    for p, second, white in ((0.125, 0, 0.5), (0.25, 1, 1), (0.5, 1, 2 / 3), (0.75, 1, 1 / 3)):
        made = [layer(FIRST), layer(SECOND, weight=second), layer(PAINT, weight=round(white, 9), color=WHITE)]
        assert layers("flash", p) == made


@pytest.mark.parametrize(
    ("kind", "axis", "sign"), [("whip_left", 1, -1), ("whip_right", 1, 1), ("whip_up", 0, -1), ("whip_down", 0, 1)]
)
def test_a_whip_is_the_mean_of_four_pushes(kind, axis, sign):
    """Around p²(3 − 2p) = 5/32, over 0.3 · 4 · 5/32 · 27/32 of the way."""
    middle, spread = 5 / 32, 0.3 * 4 * 5 / 32 * 27 / 32
    steps = [middle + spread * (k - 1.5) / 4 for k in range(4)]
    made = []
    for i, step in enumerate(steps):
        for source, moved in ((FIRST, sign * step), (SECOND, sign * (step - 1))):
            place = np.array(ALL, float)
            place[[axis, axis + 2]] += moved
            made.append(layer(source, tuple(place.round(9).tolist()), weight=round(1 / (i + 1), 9)))
    assert layers(kind) == made
    early = layers(kind, 0.01)
    assert early[0][2][axis] * sign >= 0, "it does not begin before the beginning"


def test_every_kind_is_here():
    whips = {kind for kind in KINDS if kind.startswith("whip_")}
    assert set(KINDS) == {*MOVED, *MASKED, *whips, "flash"}
