"""Motions, and the films made of them."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pretrain.toy import video as film
from pretrain.toy.sprites import CLASSES, follow, triangle


@pytest.mark.parametrize("name", [*CLASSES, "wander"])
def test_motions_have_one_speed_and_start_where_told(name):
    travel = np.linspace(0, 3, 3001)
    for seed in range(5):
        start = np.array([0.3, 0.8, 1.0, 0.4])
        pose = follow(name, np.random.default_rng(seed), start, travel)
        np.testing.assert_allclose(pose[0], start, atol=1e-9)
        step = np.diff(pose, axis=0) / np.diff(travel)[:, None]
        speed = np.hypot(step[:, 0], step[:, 1]) + np.abs(step[:, 2]) * 0.15 + np.abs(step[:, 3]) * 0.7 / 2
        assert pose[:, 3].min() >= 0
        assert pose[:, 3].max() <= 1
        assert np.mean(np.abs(speed - 1) < 0.02) > 0.95  # all but the frames in which it turns round


def test_directions():
    travel, rng = np.linspace(0, 1, 50), np.random.default_rng(0)
    end = {name: follow(name, rng, np.zeros(4), travel) for name in CLASSES}
    assert end["up"][-1, 0] < -0.9
    assert end["down"][-1, 0] > 0.9
    assert end["left"][-1, 1] < -0.9
    assert end["right"][-1, 1] > 0.9
    for name, sign in (("circle_cw", 1), ("circle_ccw", -1)):
        y, x = np.diff(end[name][:, :2], axis=0).T
        turn = x[:-1] * y[1:] - y[:-1] * x[1:]  # y points down: clockwise is positive
        assert (np.sign(turn) == sign).all()
    np.testing.assert_allclose(triangle(np.array([0.125, 0.375])), [0.5, 0.5])
    with pytest.raises(ValueError, match=r"motion must be one of .*, got 'fly'"):
        follow("fly", rng, np.zeros(4), travel)


def test_zoom_is_uniform_in_every_class():
    """Otherwise the size in one frame would tell "zoom" from the others."""
    zoom = [
        follow("zoom", np.random.default_rng(k), np.array([0, 0, 0, (k + 0.5) / 400]), np.linspace(0, 2, 50))[37, 3]
        for k in range(400)
    ]
    np.testing.assert_allclose(np.histogram(zoom, 4, (0, 1))[0] / 400, 0.25, atol=0.07)


def film_of(parts, **style):
    return film.Film(Path(), np.random.default_rng(1), (48, 64), Fraction(10), "h264", film.Style(**style), parts, "up")


def test_parts_join_without_a_jump_and_speed_changes_where_told():
    parts = [film.Part("wander", 30, 0.5), film.Part("down", 30, 1.0), film.Part("wander", 30, 0.5)]
    pose = film.poses(film_of(parts), parts, 0.6)
    length = np.hypot(*np.diff(pose[:, :2], axis=0).T)
    assert pose.shape == (90, 4)
    np.testing.assert_allclose(length[30:59], 0.06, rtol=1e-6)
    assert length.max() <= 0.0601
    np.testing.assert_allclose(length[:29], 0.03, rtol=0.05)
    kinked = np.hypot(*np.diff(film.poses(film_of(parts, speed_change=1.0), parts, 0.6)[30:60, :2], axis=0).T)
    assert {round(v, 3) for v in kinked} in ({0.06, 0.12}, {0.06, 0.03})


def test_long_videos_are_drawn_in_pieces():
    parts = [film.Part("circle", 200_000, 1.0)]
    chunk = next(film.shoot(film_of(parts)))
    assert chunk.shape == (32, 48, 64, 3)
    assert chunk.dtype == np.uint8


def test_styles():
    parts = [film.Part("up", 8, 1.0)]
    frames = {}
    for name, style in {"free": {}, "alike": {"similar": 1.0}, "busy": {"distractors": 3}}.items():
        shots = [film_of(parts, **style)._replace(rng=np.random.default_rng(k)) for k in range(6)]
        frames[name] = np.stack([np.concatenate(list(film.shoot(shot))) for shot in shots])
    color = {name: np.median(value, (1, 2, 3)).std(0).mean() for name, value in frames.items()}
    assert color["alike"] < 0.5 * color["free"]
    assert not np.array_equal(frames["busy"], frames["free"])
    alone = np.concatenate(list(film.shoot(film_of(parts, actors=1))))
    assert not np.array_equal(alone, np.concatenate(list(film.shoot(film_of(parts)))))


def test_cuts_change_the_background_at_once():
    parts = [film.Part("spin", 20, 1.0)]
    smooth = np.concatenate(list(film.shoot(film_of(parts)))).astype(float)
    cut = np.concatenate(list(film.shoot(film_of(parts)._replace(cuts=[10])))).astype(float)
    change = np.abs(np.diff(cut, axis=0)).mean((1, 2, 3))
    assert change.argmax() == 9  # between frames 9 and 10
    assert change[9] > 4 * np.abs(np.diff(smooth, axis=0)).mean((1, 2, 3)).max()
