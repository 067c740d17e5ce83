"""What a seed of scenes and of toy videos means, pinned: a change of these numbers changes toy sets and benchmarks.

Two numbers for each array (support/fingerprints.py), and what can be told by hand.
"""

import numpy as np
import pytest
from PIL import Image

from pretrain.toy import scenes, sprites
from pretrain.toy.scenes import SCENES, Camera, scene
from support.fingerprints import fingerprint

PICTURES = {
    "speaker": [(135.49295, -0.14597), (144.04949, -0.00291), (124.31207, -0.01754)],
    "crowd": [(155.80849, -0.02801), (142.49126, 0.01396), (157.24781, 0.01731)],
    "slides": [(172.44645, -0.70308), (200.24897, -0.00197), (196.63827, -0.00986)],
    "screen": [(156.17742, 0.32138), (189.64954, 0.03896), (203.25417, 0.07438)],
    "burst": [(138.78174, 0.01836), (143.73971, 0.00056), (116.7116, -0.00315)],
    "balls": [(129.06641, -0.06649), (147.3214, 0.00591), (111.32605, -0.02915)],
    "noise": [(128.02068, 0.1875), (116.04522, -0.04132), (140.83978, -0.04342)],
    "gradient": [(126.41559, 0.00476), (129.59429, -0.00114), (138.27756, -0.00648)],
}
POSES = {  # of seeds 3 and 4
    "up": [(0.34898, -0.04259), (0.35523, -0.04216)],
    "down": [(0.46927, -0.01419), (0.47347, -0.01425)],
    "across": [(0.46927, -0.02442), (0.47347, -0.02322)],
    "circle": [(0.36734, -0.02541), (0.41668, -0.02567)],
    "zoom": [(0.39524, -0.02924), (0.39524, -0.02924)],
    "spin": [(0.80556, -0.10093), (0.80556, -0.10093)],
    "bounce": [(0.3685, -0.02743), (0.39112, -0.0342)],
    "shake": [(0.39463, -0.0291), (0.3986, -0.02682)],
    "zigzag": [(0.42151, -0.02741), (0.43695, -0.03188)],
    "swing": [(0.3685, -0.02717), (0.39112, -0.03228)],
    "square": [(0.3685, -0.02666), (0.41164, -0.02646)],
    "left": [(0.34898, -0.0287), (0.35523, -0.02743)],
    "right": [(0.46927, -0.02442), (0.47347, -0.02322)],
    "circle_cw": [(0.36734, -0.02541), (0.41668, -0.02567)],
    "circle_ccw": [(0.38433, -0.02502), (0.43474, -0.036)],
    "wander": [(0.41289, -0.04056), (0.46033, -0.01505)],
}
LOOKS = [  # of seeds 0 to 3: waves, a background, a sprite
    [(0.50099, -0.00128), (117.43274, -0.00045), (42.4673, 0.05489)],
    [(0.5, 0.00775), (139.4688, -0.00055), (45.8866, -0.08246)],
    [(0.46696, -0.00418), (106.87128, -0.00036), (53.47133, -0.04703)],
    [(0.51853, -0.00263), (103.70872, -0.00034), (46.46395, 0.03516)],
]


@pytest.mark.parametrize("name", SCENES)
def test_a_seed_of_scenes(name):
    assert set(PICTURES) == set(SCENES)
    places = ((0, 0, (27, 48)), (1, 1, (36, 36)), (2, 0, (54, 40)))
    for (seed, view, size), expected in zip(places, PICTURES[name]):
        frames = np.stack(list(scene(name, seed, view, frames=5, fps=2.0, size=size)))
        assert frames.shape == (5, *size, 3)
        assert frames.dtype == np.uint8
        assert fingerprint(frames) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("name", [*sprites.CLASSES, "wander"])
def test_a_seed_of_motions(name):
    travel = np.array([0, 0.05, 0.1, 0.3, 0.31, 0.7])
    for seed, expected in zip((3, 4), POSES[name]):
        pose = sprites.follow(name, np.random.default_rng(seed), np.array([0.2, 0.3, 0.4, 0.7]), travel)
        assert fingerprint(pose) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("seed", range(4))
def test_a_seed_of_looks(seed):
    def rng():
        return np.random.default_rng(seed)

    found = sprites.waves(rng(), 32, 4, 3), sprites.background(rng()), sprites.sprite(rng())
    for array, expected, size in zip(found, LOOKS[seed], (1, 255, 255)):
        assert array.dtype == np.float32
        assert fingerprint(array) == pytest.approx(expected, abs=5e-5 * size)


def test_a_scene_that_there_is_none_of():
    with pytest.raises(ValueError, match=r"^name must be one of speaker, crowd, .*, got 'sea'$"):
        next(scene("sea", 0, 0, frames=1, fps=1.0, size=(4, 4)))


def seen(camera, t, size):
    """Where a camera looks: (top, bottom), (left, right) of the picture, in parts, from a picture of two ramps."""
    height, width = 200, 400
    ramps = np.zeros((height, width, 3), np.uint8)
    ramps[..., 0] = np.linspace(0, 255, height)[:, None]
    ramps[..., 1] = np.linspace(0, 255, width)
    frame = camera.look(Image.fromarray(ramps), t, size)
    assert frame.shape == (*size, 3)
    return [(round(a / 255, 2), round(b / 255, 2)) for a, b in (frame[[0, -1], 0, 0], frame[0, [0, -1], 1])]


def test_a_camera_goes_from_place_to_place():
    camera = Camera(np.random.default_rng(0), 2.0, 4.0)
    camera.zoom, camera.place = np.array([0.5, 0.25]), np.array([[0.0, 0.0], [1.0, 1.0]])
    camera.shake, camera.eased = (lambda t: 0.0,) * 2, False
    near = {"abs": 0.02}
    assert seen(camera, 0.0, (50, 100)) == [pytest.approx((0, 0.5), **near), pytest.approx((0, 0.5), **near)]
    assert seen(camera, 4.0, (50, 100)) == [pytest.approx((0.75, 1), **near), pytest.approx((0.75, 1), **near)]
    assert seen(camera, 9.0, (50, 100)) == seen(camera, 4.0, (50, 100)), "it stays at its end"
    assert seen(camera, -1.0, (50, 100)) == seen(camera, 0.0, (50, 100))
    half = (1 - 0.25 * 2**0.5) / 2 * 1.0
    width = 0.25 * 2**0.5
    assert seen(camera, 2.0, (50, 100)) == [pytest.approx((half, half + width), **near)] * 2
    camera.eased = True
    quarter = 0.15625  # 3·(1/4)² − 2·(1/4)³
    width = 0.5 * 0.5**quarter
    begin = quarter * (1 - width)
    assert seen(camera, 1.0, (50, 100)) == [pytest.approx((begin, begin + width), **near)] * 2
    camera.place = np.zeros((2, 2))
    tall = seen(camera, 0.0, (100, 50))  # of a tall view the width follows: 0.5 / 4 of the picture's
    assert tall == [pytest.approx((0, 0.5), **near), pytest.approx((0, 0.125), **near)]
    camera.shake = (lambda t: t, lambda t: 2 * t)
    moved = seen(camera, 0.05, (50, 100))
    assert moved[0][0] == pytest.approx(0.2 * 0.5, abs=0.03)
    assert moved[1][0] == pytest.approx(0.4 * 0.5, abs=0.03)


def test_shares_of_cameras_are_as_told():
    made = [Camera(np.random.default_rng(seed), 1.0, 1.0) for seed in range(600)]

    def share(what):
        return float(np.mean([bool(what(each)) for each in made]))

    assert share(lambda c: c.eased) == pytest.approx(0.5, abs=0.08)
    assert share(lambda c: (c.place[0] == c.place[1]).all()) == pytest.approx(0.15, abs=0.05)
    assert share(lambda c: c.zoom[0] == c.zoom[1]) == pytest.approx(1 - 0.6 * 0.85, abs=0.08)
    assert share(lambda c: c.shake[0](0.3) != 0) == pytest.approx(0.4, abs=0.08)
    assert all(0.35 <= zoom <= 0.95 for each in made for zoom in each.zoom)
    assert all((each.place >= 0).all() and (each.place <= 1).all() for each in made)
    still = [Camera(np.random.default_rng(seed), 1.0, 1.0, still=1.0) for seed in range(20)]
    assert all((each.zoom[0] == each.zoom[1]) and (each.place[0] == each.place[1]).all() for each in still)
    shaken = [abs(each.shake[k](t)) for each in made for k in (0, 1) for t in (0.1, 0.5)]
    assert 0.005 < max(shaken) <= 0.02


def test_textures_are_sampled_between_their_texels_and_stay_at_the_border():
    texture = np.arange(9.0).reshape(3, 3)[..., None] * [1.0, 10.0]
    y, x = np.array([0.0, 0.5, 1.0, -3.0, 9.0, 0.0]), np.array([0.0, 0.5, 1.25, 0.0, 9.0, 9.0])
    expected = np.array([0.0, 2.0, 4.25, 0.0, 8.0, 2.0])
    found = sprites.bilinear(texture, y, x)
    np.testing.assert_allclose(found, np.stack([expected, 10 * expected], 1), atol=0.05)


def solid(radius, pose, **more):
    """An actor of one colour, opaque but for its border."""
    rgba = np.zeros((sprites.SPRITE, sprites.SPRITE, 4), np.float32)
    rgba[1:-1, 1:-1] = (200, 100, 50, 1)
    return sprites.Actor(rgba, np.array(pose, float), radius, **more)


def covered(actor, size=(40, 60)):
    frames = np.zeros((len(actor.pose_T4), *size, 3), np.float32)
    sprites.stamp(frames, actor, actor.pose_T4)
    return frames


def test_an_actor_is_where_its_pose_says_and_as_large():
    """Its square: 2 · 0.1 · 40 = 8 pixels at zoom 0, 12.8 at zoom 1; colours are premultiplied."""
    still, large, aside = [0.5, 0.75, 0, 0], [0.5, 0.75, 0, 1], [0.25, 0.5, 0, 0]
    frames = covered(solid(0.1, [still, large, aside]))
    for frame, side, center in zip(frames, (8, 12.8, 8), ((20, 30), (20, 30), (10, 20))):
        share = frame[..., 0] / 200
        assert share.sum() == pytest.approx(side**2, rel=0.13)
        for axis in (0, 1):
            at = (share.sum(1 - axis) * (np.arange(frame.shape[axis]) + 0.5)).sum() / share.sum()
            assert at == pytest.approx(center[axis], abs=0.01)
        np.testing.assert_allclose(frame[center], (200, 100, 50))


def test_what_leaves_on_one_side_enters_at_the_other():
    frame = covered(solid(0.1, [[0.0, 1.5, 0, 0]]))[0, ..., 0]
    whole = covered(solid(0.1, [[0.5, 0.75, 0, 0]]))[0, ..., 0]
    assert frame.sum() == pytest.approx(whole.sum(), rel=1e-4)
    assert min(frame[0, 0], frame[0, -1], frame[-1, 0], frame[-1, -1]) > 150


def test_angles_turn_clockwise():
    rgba = np.zeros((sprites.SPRITE, sprites.SPRITE, 4), np.float32)
    rgba[20:28, 30:44] = 1  # to the right of the middle
    frames = covered(sprites.Actor(rgba, np.array([[0.5, 0.75, angle, 0] for angle in (0, np.pi / 2, np.pi)]), 0.25))
    middles = [np.argwhere(frame[..., 0] > 0.5).mean(0) - (19.5, 29.5) for frame in frames]
    np.testing.assert_allclose(middles, [(0, 5.4), (5.4, 0), (0, -5.4)], atol=0.5)


def test_videos_show_their_background_where_it_drifted_and_actors_in_their_time():
    textures = [np.full((sprites.TEXTURE, sprites.TEXTURE, 3), value, np.float32) for value in (40, 80)]
    textures[1][:, :, 0] = np.arange(sprites.TEXTURE)
    shown, drift = np.array([0] + [1] * 35), np.zeros((36, 2))
    drift[2] = (0.0, 0.5)  # 20 pixels
    drift[3] = (0.0, (sprites.TEXTURE - 1.5) / 40)
    actor = solid(0.1, [[0.5, 0.75, 0, 0]] * 36, frames=(31, 34))
    parts = list(sprites.draw((40, 60), textures, shown, drift, [actor]))
    assert [part.shape for part in parts] == [(32, 40, 60, 3), (4, 40, 60, 3)]
    video = np.concatenate(parts)
    assert video.dtype == np.uint8
    assert (video[0] == 40).all()
    assert video[1, 0, :, 0].tolist() == list(range(60))
    assert video[2, 0, :, 0].tolist() == list(range(20, 80))
    assert video[3, 5, :3, 0].tolist() == [255, 128, 1] or video[3, 5, 2, 0] in (0, 1), "it goes on at its other side"
    assert [int(frame[20, 30, 2]) for frame in video[29:36]] == [80, 80, 50, 50, 50, 80, 80]
    assert pytest.approx(16 / 9) == scenes.W / scenes.H
