"""What is done to the clips of the task shots: each change alone against one by hand, and what a seed draws, pinned."""

import numpy as np
import pytest
import torch

from pretrain.tasks.shots import looks, timeline
from pretrain.tasks.shots.motion import THINGS
from support.fingerprints import fingerprint

N, T, Y, X = 2, 4, 6, 8
DRAWN = [  # of all that may happen, and of half of it
    (0, 8, 50, 1.0, {
        "camera": (0.01722, -0.00141), "thing": (0.33375, -0.00031), "surface": (0.52175, 0.0183),
        "ghost": (0.09688, 0.00022), "gain": (0.99449, 0.00142), "lift": (0.03728, -0.0026),
        "gamma": (1.00773, -0.26407), "grain": (0.01271, -0.01063), "comb": (0.23889, -0.03718),
        "boxes": (0.51869, -0.00577), "shown": (0.15025, 0.00379), "color": (0.52201, -0.00691),
        "bars": (0.01185, -0.00181), "coarse": (0.24906, 0.00529), "noise": (31.36, 0.60699),
    }),
    (1, 8, 50, 1.0, {
        "camera": (0.09049, -0.00053), "thing": (0.34351, -0.00091), "surface": (0.48148, -0.04411),
        "ghost": (0.05, -0.00063), "gain": (0.98991, -0.0073), "lift": (0.01662, -0.00903),
        "gamma": (1.16018, -0.19154), "grain": (0.01184, -0.00639), "comb": (0.16795, -0.01896),
        "boxes": (0.50097, -0.01343), "shown": (0.30575, 0.00191), "color": (0.49868, -0.0055),
        "bars": (0.01651, 0.00421), "coarse": (0.16766, 0.00074), "noise": (32.0325, -0.10091),
    }),
    (2, 60, 20, 0.5, {
        "camera": (-0.00802, 0.00173), "thing": (0.14386, -0.00178), "surface": (0.52174, -0.00728),
        "ghost": (0.02375, 0.00015), "gain": (0.99328, 0.00806), "lift": (0.00012, -0.00301),
        "gamma": (1.02321, -0.02547), "grain": (0.00605, -0.00325), "comb": (0.07342, 0.01045),
        "boxes": (0.54249, 0.00107), "shown": (0.17767, -0.00132), "color": (0.49659, -0.00184),
        "bars": (0.00628, -0.00112), "coarse": (0.05435, 0.0004), "noise": (31.33083, -0.43345),
    }),
]  # fmt: skip
LINES = [
    (0, {"length": 100, "shots": 8, "dense": 0.5, "gradual": 0.5, "jumps": 0.3}, {
        "begin": (67.18125, -0.43345), "mixed": (2.90625, 0.61923), "held": (0.0875, -0.0645),
        "jump": (0.1, -0.03349), "clip": (1.44875, -0.00083), "clip at 50": (1.25788, 0.00248),
        "time": (66.9176, 0.00682), "time at 50": (70.27485, -0.03964), "weight": (0.1564, -8e-05),
        "weight at 50": (0.17328, 0.0003), "new": (0.0185, 0.00131), "inside": (0.2025, 0.00472),
        "jumped": (0.0075, 0.00187), "known": (1.0, -0.00126), "family": (0.0395, 0.03467),
    }),
    (1, {"length": 60, "shots": 5, "dense": 1.0, "gradual": 0.7, "jumps": 0.1}, {
        "begin": (29.49, -0.83548), "mixed": (5.06, 0.17983), "held": (0.0, 0.0), "jump": (0.04, 0.00133),
        "clip": (1.22271, -0.00139), "clip at 50": (1.25125, 0.00136), "time": (81.00799, -0.00305),
        "time at 50": (79.93006, 0.03482), "weight": (0.16915, -0.00029), "weight at 50": (0.17578, -9e-05),
        "new": (0.03333, 0.00147), "inside": (0.35583, 0.01091), "jumped": (0.00333, -0.0005),
        "known": (1.0, 0.00018), "family": (0.92, 0.06254),
    }),
]  # fmt: skip


@pytest.mark.parametrize(("seed", "n", "t", "share", "expected"), DRAWN)
def test_what_a_seed_draws(seed, n, t, share, expected):
    drawn = looks.draw(np.random.default_rng(seed), n, t, deployed=share, traps=share)
    assert {name: value.dtype for name, value in drawn.items()} == {
        name: np.int64 if name == "noise" else np.float32 for name in expected
    }
    for name, value in drawn.items():
        assert fingerprint(value) == pytest.approx(expected[name], abs=5e-5, rel=1e-4), name


@pytest.mark.parametrize(("seed", "how", "expected"), LINES)
def test_what_a_seed_cuts(seed, how, expected):
    line = timeline.draw(np.random.default_rng(seed), 20, **how)
    plan = timeline.compose(np.random.default_rng(seed + 5), line, np.full(line.begin.shape, 120), fast=0.3)
    later = timeline.converted(np.random.default_rng(seed + 9), plan, length=50, share=0.7)
    targets = timeline.targets(plan, line.jump)
    found = {name: getattr(line, name) for name in ("begin", "mixed", "held", "jump")}
    for name in ("clip", "time", "weight"):
        found |= {name: getattr(plan, name), f"{name} at 50": getattr(later, name)}
    found |= {"jumped" if name == "jump" else name: value for name, value in targets.items()}
    assert set(found) == set(expected)
    for name, value in found.items():
        assert fingerprint(value) == pytest.approx(expected[name], abs=5e-5, rel=1e-4), name
    assert {name: value.dtype for name, value in targets.items()} == {
        **dict.fromkeys(("new", "inside", "jump", "known"), np.float32), "family": np.int64
    }  # fmt: skip


def nothing(**change):
    """Drawn arrays that change nothing, but for these."""
    one = {"gain": (T,), "gamma": ()}
    zero = {"ghost": (T,), "lift": (T,), "grain": (), "comb": (), "boxes": (3, 4), "shown": (3, T)}
    zero |= {"color": (3, 3), "bars": (2,), "coarse": (T,), "camera": (T, 4)}
    zero |= {"thing": (THINGS, T, 5), "surface": (THINGS, 6)}
    drawn = {name: torch.ones(N, *shape) for name, shape in one.items()}
    drawn |= {name: torch.zeros(N, *shape) for name, shape in zero.items()}
    drawn |= {"noise": torch.zeros(N, T, dtype=torch.int64)}
    for name, value in change.items():
        drawn[name][0] = torch.as_tensor(value, dtype=drawn[name].dtype)
    return drawn


@pytest.fixture
def clip():
    return torch.rand(N, 3, T, Y, X, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25


def changed(clip, pictures=None, **change):
    """The first clip, changed; the other one has to stay."""
    pictures = torch.zeros(2, 3, Y, X) if pictures is None else pictures
    found = looks.apply(clip, nothing(**change), pictures)
    torch.testing.assert_close(found[1], clip[1])
    return found[0]


def test_light(clip):
    gain = torch.tensor([0.5, 1.0, 1.5, 9.0])
    near = torch.testing.assert_close
    near(changed(clip, gain=gain), (clip[0] * gain[:, None, None]).clamp(0, 1))
    near(changed(clip, lift=gain - 1), (clip[0] + (gain - 1)[:, None, None]).clamp(1e-4, 1))
    near(changed(clip, gamma=2.0), clip[0] ** 2)
    near(changed(clip, gain=0.0, gamma=0.5), torch.full_like(clip[0], 0.01))
    near(changed(clip, gain=0.5, lift=0.25, gamma=2.0), (clip[0] / 2 + 0.25) ** 2)


def test_a_ghost_and_a_comb_are_of_the_frame_before(clip):
    before = torch.cat([clip[0, :, :1], clip[0, :, :-1]], 1)
    ghost = torch.tensor([0.0, 0.25, 1.0, 0.5])
    torch.testing.assert_close(changed(clip, ghost=ghost), clip[0] + ghost[:, None, None] * (before - clip[0]))
    combed = changed(clip, comb=0.75)
    torch.testing.assert_close(combed[..., 0::2, :], clip[0, :, :, 0::2])
    torch.testing.assert_close(combed[..., 1::2, :], 0.25 * clip[0, :, :, 1::2] + 0.75 * before[..., 1::2, :])
    both = changed(clip, comb=0.75, ghost=0.5)
    torch.testing.assert_close(both[..., 1::2, :], 0.125 * clip[0, :, :, 1::2] + 0.875 * before[..., 1::2, :])


def test_grain_is_of_the_frames_own_picture_of_noise(clip):
    noise = torch.stack([torch.full((3, Y, X), value) for value in (1.0, -2.0)])
    found = changed(clip, noise, grain=0.05, noise=[0, 1, 1, 0])
    expected = clip[0] + 0.05 * torch.tensor([1.0, -2.0, -2.0, 1.0])[:, None, None]
    torch.testing.assert_close(found, expected)


def test_low_rates_lose_detail(clip):
    flat = torch.full_like(clip, 0.5)
    torch.testing.assert_close(changed(flat, coarse=1.0), flat[0])
    small = torch.nn.functional.avg_pool2d(clip[0].transpose(0, 1), 3)
    small = torch.nn.functional.interpolate(small, (Y, X), mode="bilinear").transpose(0, 1)
    part = torch.tensor([0.0, 0.5, 1.0, 0.25])[:, None, None]
    torch.testing.assert_close(changed(clip, coarse=part[:, 0, 0]), clip[0] + part * (small - clip[0]))


def test_boxes_lie_where_and_when_they_are_shown(clip):
    """Rows are at 0, 0.2 … 1 of the height, columns at 0, 1/7 … 1 of the width."""
    boxes, shown, color = torch.zeros(3, 4), torch.zeros(3, T), torch.zeros(3, 3)
    boxes[0] = torch.tensor([0.19, 0.28, 0.59, 0.71])
    shown[0, 1:3] = torch.tensor([1.0, 0.25])
    color[0] = torch.tensor([1.0, 0.5, 0.0])
    found = changed(clip, boxes=boxes, shown=shown, color=color)
    expected = clip[0].clone()
    inside = (slice(None), slice(1, 3), slice(2, 5))
    for t, part in ((1, 1.0), (2, 0.25)):
        place = (inside[0], t, *inside[1:])
        expected[place] = (1 - part) * expected[place] + part * color[0][:, None, None]
    torch.testing.assert_close(found, expected)
    boxes[0] = torch.tensor([0.0, 0.0, 1.0, 1.0])  # its first sides are in it, its last are not
    found = changed(clip, boxes=boxes, shown=shown, color=color)
    assert (found[0, 1, :-1, :-1] == 1).all()
    torch.testing.assert_close(found[:, 1, -1], clip[0, :, 1, -1])
    torch.testing.assert_close(found[:, 1, :, -1], clip[0, :, 1, :, -1])


def test_an_inset_shows_the_sample_before_and_a_caption_letters(clip):
    whole = torch.tensor([0.0, 0.0, 1.1, 1.1])
    boxes, shown, color = torch.zeros(3, 4), torch.zeros(3, T), torch.ones(3, 3)
    boxes[2], shown[2] = whole, 1
    torch.testing.assert_close(changed(clip, boxes=boxes, shown=shown), clip[1])
    boxes[1], shown[1] = whole, 1
    noise = torch.zeros(2, 3, Y, X)
    noise[1, 0, 2] = 0.31
    noise[1, 1:] = 9.0
    found = changed(clip, noise, boxes=boxes, shown=shown, color=color, noise=[1, 0, 0, 0])
    expected = torch.zeros_like(clip[0])
    expected[:, :, 2] = 1
    torch.testing.assert_close(found, expected, msg="letters of the first frame's noise, over the inset")


def test_bars_are_black_on_both_sides(clip):
    found = changed(clip, bars=[0.15, 0.0])
    assert (found[:, :, [0, -1]] == 0).all()
    torch.testing.assert_close(found[:, :, 1:-1], clip[0, :, :, 1:-1])
    found = changed(clip, bars=[0.0, 0.25])
    assert (found[..., [0, 1, -2, -1]] == 0).all()
    torch.testing.assert_close(found[..., 2:-2], clip[0, ..., 2:-2])


def test_noise_is_always_the_same():
    first = looks.noise(5)
    assert first.shape == (looks.NOISE, 3, 5, 5)
    assert torch.equal(first, looks.noise(5))
    assert abs(float(first.mean())) < 0.05
    assert float(first.std()) == pytest.approx(1, abs=0.05)
