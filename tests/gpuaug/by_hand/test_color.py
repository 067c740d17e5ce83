"""Changes of colour by hand, one after the other on one pixel, and how often and how strong they are drawn."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from gpuaug import color

LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
PIXEL = np.array([0.8, 0.3, 0.1])


class Drawn:
    """In place of a generator: `uniform` and `random` give these numbers for one sample, one after the other."""

    def __init__(self, uniform, random):
        self.numbers = {"uniform": list(uniform), "random": list(random)}

    def uniform(self, low, high, n):
        assert (low, high, n) == (-1, 1, 1)
        return np.array([self.numbers["uniform"].pop(0)])

    def random(self, n):
        assert n == 1
        return np.array([self.numbers["random"].pop(0)])


def in_yiq():
    """I and Q: the colour differences (B − Y, R − Y), scaled as NTSC does, in axes turned by 33°."""
    blue, red = 0.492111 * (np.array([0, 0, 1]) - LUMA), 0.877283 * (np.array([1, 0, 0]) - LUMA)
    turn = np.deg2rad(33)
    return np.cos(turn) * red - np.sin(turn) * blue, np.sin(turn) * red + np.cos(turn) * blue


def test_the_hue_turns_in_ntscs_plane():
    np.testing.assert_allclose(color.YIQ, [LUMA, *in_yiq()], atol=2e-4)


@pytest.mark.parametrize("factors", [(0.5, 0, 0, 0), (0, -0.5, 0, 0), (0, 0, 1, 0), (0, 0, 0, -1), (0.5, -0.5, 1, -1)])
@pytest.mark.parametrize("grey", [False, True])
def test_the_changes_one_after_the_other(factors, grey):
    """Brightness, contrast about 0.5, a mix with the luma, a turn of the hue, and grey last."""
    strength = {"brightness": 0.2, "contrast": 0.3, "saturation": 0.6, "hue": 0.25}
    drawn = Drawn(factors, [0.49, 0.69 if grey else 0.71])
    matrix = color.jitter(drawn, 1, **strength, probability=0.5, grayscale=0.7)[0]
    bright, stretch, mix, turn = (how * by for how, by in zip(strength.values(), factors))
    rgb = PIXEL * (1 + bright)
    rgb = 0.5 + (rgb - 0.5) * (1 + stretch)
    rgb = (1 + mix) * rgb - mix * (LUMA @ rgb)
    to_yiq = np.array([LUMA, *in_yiq()])
    luma, i, q = to_yiq @ rgb
    turned = (i + 1j * q) * np.exp(2j * np.pi * turn)
    rgb = np.linalg.solve(to_yiq, [luma, turned.real, turned.imag])
    expected = np.full(3, LUMA @ rgb) if grey else rgb
    np.testing.assert_allclose(matrix @ [*PIXEL, 1], expected, atol=2e-3)


@pytest.mark.parametrize("grey", [False, True])
def test_a_sample_that_is_not_jittered_may_still_turn_grey(grey):
    drawn = Drawn([1, 1, 1, 1], [0.5, 0.2 - 1e-9 if grey else 0.2])
    matrix = color.jitter(drawn, 1, probability=0.5, grayscale=0.2)[0]
    assert matrix.dtype == np.float64
    np.testing.assert_allclose(matrix, [[*LUMA, 0]] * 3 if grey else np.eye(3, 4))


def test_strengths_without_arguments_are_mocos():
    given = {
        name: p.default for name, p in inspect.signature(color.jitter).parameters.items() if p.kind == p.KEYWORD_ONLY
    }
    assert given == {
        "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1, "probability": 0.8, "grayscale": 0.2,
    }  # fmt: skip


@pytest.mark.parametrize("value", [-0.001, 0, 0.5, 0.501, 1, 1.001])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue", "probability", "grayscale"])
def test_bounds_of_strengths(name, value):
    most = 0.5 if name == "hue" else 1
    if 0 <= value <= most:
        assert color.jitter(np.random.default_rng(0), 2, **{name: value}).shape == (2, 3, 4)
        return
    with pytest.raises(ValueError, match=rf"^{name} must be in \[0, {most:.1f}\], got {name}={value}$"):
        color.jitter(np.random.default_rng(0), 2, **{name: value})
