"""Progress by time, by hand."""

import numpy as np
import pytest

from gpuaug.transitions.easing import EASINGS, ease

S = 1.70158
BY_HAND = {  # at 0, 1/4, 1/2, 3/4 and 1
    "linear": [0, 0.25, 0.5, 0.75, 1],
    "smooth": [0, 0.15625, 0.5, 0.84375, 1],
    "in": [0, 0.0625, 0.25, 0.5625, 1],
    "out": [0, 0.4375, 0.75, 0.9375, 1],
    # half of t²((s + 1)t − s) at 2t, −0.175 at a quarter; cut off at both ends
    "back": [0, 0, 0.5, 1, 1],
}


def test_every_easing_is_here():
    assert list(EASINGS) == list(BY_HAND)


@pytest.mark.parametrize("name", BY_HAND)
def test_progress(name):
    t = np.linspace(0, 1, 5)
    np.testing.assert_allclose(ease(t[None], np.array([name]))[0], BY_HAND[name], atol=1e-12)
    fine = np.linspace(0, 1, 101)
    found = ease(fine[None], np.array([name]))[0]
    assert found.min() == 0
    assert found.max() == 1
    if name not in ("in", "out"):
        np.testing.assert_allclose(found + found[::-1], 1, atol=1e-12)


def test_back_goes_too_far_by_a_tenth():
    t = np.linspace(0, 1, 2001)
    uncut = EASINGS["back"](t)
    assert uncut.min() == pytest.approx(-0.05, abs=1e-4), "of half of the way"
    assert uncut.max() == pytest.approx(1.05, abs=1e-4)
    at = np.array([0.35, 0.45])
    wanted = (2 * at) ** 2 * ((S + 1) * 2 * at - S) / 2
    np.testing.assert_allclose(EASINGS["back"](at), wanted)
    np.testing.assert_allclose(ease(at[None], np.array(["back"]))[0], wanted)


def test_every_sample_has_its_own():
    t = np.array([[0.25, 0.75]] * 4)
    found = ease(t, np.array(["in", "linear", "out", "in"]))
    np.testing.assert_allclose(found, [[0.0625, 0.5625], [0.25, 0.75], [0.4375, 0.9375], [0.0625, 0.5625]])
    assert t.tolist() == [[0.25, 0.75]] * 4, "the times stay"
