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


# ---- what a film is made of, before it is drawn ----------------------------------------------------------------------


@pytest.fixture
def shot(monkeypatch):
    """A function of a film's parts and style: what `draw` is given. Textures are of a few random numbers."""
    monkeypatch.setattr(film, "draw", lambda *given: given)
    monkeypatch.setattr(film, "background", lambda rng: rng.random((2, 2, 3)))
    monkeypatch.setattr(film, "sprite", lambda rng: rng.random((2, 2, 4)))

    def of(parts=None, cuts=(), seed=1, **style):
        made = film_of(parts or [film.Part("up", 30, 1.0)], **style)._replace(
            rng=np.random.default_rng(seed), cuts=list(cuts)
        )
        return film.shoot(made)

    return of


def steps(actor):
    """Lengths of the steps of an actor, in short sides of the picture."""
    return np.hypot(*np.diff(actor.pose_T4[:, :2], axis=0).T)


def test_backgrounds_change_at_cuts_drift_evenly_and_share_what_they_are_told(shot):
    size, grounds, shown, drift, _ = shot(cuts=[10, 25])
    assert size == (48, 64)
    assert len(grounds) == 3
    assert shown.tolist() == [0] * 10 + [1] * 15 + [2] * 5
    step = np.diff(drift, axis=0)
    np.testing.assert_allclose(step, np.broadcast_to(step[0], step.shape), atol=1e-9)
    assert 0.003 <= np.hypot(*step[0]) <= 0.008, "0.03 to 0.08 of the short side a second, at 10 frames a second"
    starts = np.array([shot(seed=seed)[3][0] for seed in range(60)]) * 48 / film.TEXTURE
    assert 0 <= starts.min() < 0.1
    assert 0.9 < starts.max() <= 1
    shared = film.background(np.random.default_rng(len(CLASSES)))
    np.testing.assert_allclose(shot(similar=1.0)[1][0], shared, atol=1e-9)
    quarter = 0.75 * grounds[0] + 0.25 * shared
    np.testing.assert_allclose(shot(cuts=[10, 25], similar=0.25)[1][0], quarter, atol=1e-9)


def test_actors_do_the_same_elsewhere_and_distractors_wander_smaller_behind_them(shot):
    *_, cast = shot(actors=3, distractors=2, speed=(0.5, 0.5))
    assert [round(actor.radius / film.RADIUS, 3) for actor in cast] == [0.6, 0.6, 1, 1, 1]
    for actor in cast[:2]:
        np.testing.assert_allclose(steps(actor), 0.5 * 0.8 / 10, rtol=0.05)
    assert cast[0].rgba_SS4 is not cast[1].rgba_SS4
    for actor in cast[2:]:
        assert actor.rgba_SS4 is cast[2].rgba_SS4
        np.testing.assert_allclose(steps(actor), 0.5 / 10, rtol=1e-6)
    apart = cast[3].pose_T4 - cast[2].pose_T4
    np.testing.assert_allclose(apart, np.broadcast_to(apart[0], apart.shape), atol=1e-9)
    assert abs(apart[0, 0]) > 1e-3
    assert apart[0, 3] == 0
    assert len(shot()[4]) == 2


def test_speeds_are_those_of_the_style(shot):
    speeds = [10 * steps(shot(seed=seed, speed=(0.25, 1.0))[4][0])[0] for seed in range(80)]
    assert 0.25 <= min(speeds) < 0.3
    assert 0.85 < max(speeds) <= 1.0
    assert np.median(speeds) == pytest.approx(0.5, abs=0.08), "even in its logarithm"


def test_a_shortcut_shows_the_look_of_the_class(shot):
    typical = np.random.default_rng(CLASSES.index("up"))
    look, ground = film.sprite(typical), film.background(typical)
    _, grounds, _, _, cast = shot(shortcut=1.0, cuts=[5])
    np.testing.assert_array_equal(cast[0].rgba_SS4, look)
    np.testing.assert_allclose(grounds[0], ground, atol=1e-9)
    assert np.abs(grounds[1] - ground).max() > 0.01
    assert not np.array_equal(shot(shortcut=0.0)[4][0].rgba_SS4, look)


def test_props_are_of_the_action_while_it_lasts(shot):
    parts = [film.Part("wander", 10, 0.6), film.Part("down", 15, 1.0), film.Part("wander", 5, 0.6)]
    *_, cast = shot(parts, props=1.0, actors=2, speed=(0.5, 0.5))
    found = cast[2:]
    assert [actor.frames for actor in found] == [(0, 10)] * 2 + [(10, 25)] * 2 + [(25, 30)] * 2
    assert {round(actor.radius / film.RADIUS, 3) for actor in found} == {1.4}
    typical = film.sprite(np.random.default_rng((len(CLASSES), CLASSES.index("down"))))
    assert [np.array_equal(actor.rgba_SS4, typical) for actor in found] == [False] * 2 + [True] * 2 + [False] * 2
    np.testing.assert_allclose(steps(found[0]), 0.5 * 0.5 / 10, rtol=0.05)
    assert found[0].pose_T4 is found[2].pose_T4
    rare = [shot(parts, seed=seed, props=0.25)[4][4] for seed in range(40)]
    assert np.mean([np.array_equal(actor.rgba_SS4, typical) for actor in rare]) == pytest.approx(0.25, abs=0.2)
    assert len(shot(parts)[4]) == 2


def test_a_change_of_speed_comes_in_the_middle_half_of_an_action():
    parts = [film.Part("down", 40, 1.0)]
    places, factors = [], set()
    for seed in range(60):
        made = film_of(parts, speed_change=1.0)._replace(rng=np.random.default_rng(seed))
        length = np.hypot(*np.diff(film.poses(made, parts, 0.6)[:, :2], axis=0).T)
        places.append(int(np.abs(np.diff(length)).argmax()) + 1)
        factors.add(round(length[-1] / length[0], 3))
    assert factors == {0.5, 2.0}
    assert 10 <= min(places) <= 13
    assert 27 <= max(places) <= 30


@pytest.mark.parametrize(
    ("codec", "suffix", "encoder", "pixels"),
    [
        ("h264", "mp4", "libx264", "yuv420p"),
        ("vp9", "webm", "libvpx-vp9", "yuv420p"),
        ("mjpeg", "avi", "mjpeg", "yuvj420p"),
    ],
)
def test_a_film_is_encoded_as_its_codec_says_and_once(codec, suffix, encoder, pixels, monkeypatch, tmp_path):
    seen = []

    def write(path, frames, rate, codec, **how):
        seen.append((rate, codec, how, np.stack(list(frames)).shape))
        path.write_bytes(b"film")

    monkeypatch.setattr(film.gpuaug, "write_video", write)
    made = film_of([film.Part("up", 35, 1.0)])._replace(path=tmp_path / f"a.{suffix}", codec=codec)
    film.write(made)
    assert made.path.read_bytes() == b"film"
    options = film.ENCODERS[codec][2]
    how = {"options": options, "reproducible": True, "container": suffix, "pixel_format": pixels}
    assert seen == [(Fraction(10), encoder, how, (35, 48, 64, 3))]
    film.write(made)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("style", "message"),
    [
        ({"speed": (0.0, 1.0)}, r"speed must be two ascending numbers above 0, got speed=\(0.0, 1.0\)"),
        ({"speed": (1.0, 0.5)}, "speed must be two ascending"),
        ({"props": 1.5}, r"props must be in \[0, 1\], got props=1.5"),
        ({"similar": -0.1}, r"similar must be in \[0, 1\]"),
        ({"actors": 0}, "distractors must be ≥ 0 and actors ≥ 1, got distractors=0, actors=0"),
        ({"distractors": -1}, "distractors must be ≥ 0 and actors ≥ 1"),
    ],
)
def test_styles_that_are_none(style, message):
    with pytest.raises(ValueError, match=message):
        film.Style(**style)
    assert film.Style(speed=(0.5, 0.5), props=1.0, similar=1.0, actors=1, distractors=0).actors == 1
