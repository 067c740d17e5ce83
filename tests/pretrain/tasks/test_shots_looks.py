"""What is done to the clips of the task shots: each change alone against one by hand, and what a seed draws, pinned."""

import numpy as np
import pytest
import torch

from pretrain.tasks.shots import looks, timeline
from support.fingerprints import fingerprint

N, T, Y, X = 2, 4, 6, 8
DRAWN = [  # of all that may happen, and of half of it
    (0, 8, 50, 1.0, {
        "ghost": (0.03125, -8e-05), "gain": (0.99449, 0.00142), "lift": (0.03728, -0.0026),
        "shift": (0.15592, -0.00569), "gamma": (0.89243, -0.22503), "grain": (0.00738, -0.00156),
        "comb": (0.12385, -0.05118), "boxes": (0.48113, 0.00684), "shown": (0.26222, -0.00021),
        "passing": (-6.335, -0.03966), "color": (0.46839, -0.01852), "bars": (0.01524, -0.00178),
        "coarse": (0.16031, 0.00504), "noise": (32.6275, -0.35656),
    }),
    (1, 8, 50, 1.0, {
        "ghost": (0.05, 0.0004), "gain": (0.98991, -0.0073), "lift": (0.01662, -0.00903),
        "shift": (0.16179, -0.00348), "gamma": (1.01679, -0.30507), "grain": (0.00318, -8e-05), "comb": (0.0, 0.0),
        "boxes": (0.4957, -0.01661), "shown": (0.27044, -0.00555), "passing": (-6.27027, -0.06079),
        "color": (0.53154, 0.01731), "bars": (0.02572, -0.00669), "coarse": (0.28751, 0.00288),
        "noise": (31.8975, 0.26067),
    }),
    (2, 60, 20, 0.5, {
        "ghost": (0.01083, 0.00021), "gain": (0.99328, 0.00806), "lift": (0.00012, -0.00301),
        "shift": (-0.0249, 0.00309), "gamma": (1.02998, -0.02512), "grain": (0.00688, 0.00256),
        "comb": (0.03965, 0.0226), "boxes": (0.49022, 0.00258), "shown": (0.18697, -0.00086),
        "passing": (-7.06475, -0.12354), "color": (0.49649, 0.00683), "bars": (0.00814, 0.00209),
        "coarse": (0.09373, -0.00211), "noise": (32.25833, -0.19202),
    }),
]  # fmt: skip
LINES = [
    (0, {"length": 100, "shots": 8, "dense": 0.5, "gradual": 0.5, "jumps": 0.3}, {
        "begin": (67.18125, -0.43345), "mixed": (2.90625, 0.61923), "held": (0.0875, -0.0645), "jump": (0.1, -0.03349),
        "clip": (1.44875, -0.00083), "time": (52.36561, -0.00463), "weight": (0.1564, -8e-05),
        "clip at 50": (1.25788, 0.00248), "time at 50": (54.46271, -0.04724), "weight at 50": (0.17328, 0.0003),
        "new": (0.0185, 0.00131), "inside": (0.2025, 0.00472), "jumped": (0.0075, 0.00187), "known": (1.0, -0.00126),
        "family": (0.0395, 0.03467),
    }),
    (1, {"length": 60, "shots": 5, "dense": 1.0, "gradual": 0.7, "jumps": 0.1}, {
        "begin": (29.49, -0.83548), "mixed": (5.06, 0.17983), "held": (0.0, 0.0), "jump": (0.04, 0.00133),
        "clip": (1.22271, -0.00139), "time": (59.68395, -0.07996), "weight": (0.16915, -0.00029),
        "clip at 50": (1.25125, 0.00136), "time at 50": (57.72084, 0.03285), "weight at 50": (0.17578, -9e-05),
        "new": (0.03333, 0.00147), "inside": (0.35583, 0.01091), "jumped": (0.00333, -0.0005), "known": (1.0, 0.00018),
        "family": (0.92, 0.06254),
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
    plan = timeline.compose(np.random.default_rng(seed + 5), line, np.full(line.begin.shape, 120))
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
    zero = {"ghost": (T,), "lift": (T,), "shift": (T, 2), "grain": (), "comb": (), "boxes": (4, 4), "shown": (4, T)}
    zero |= {"passing": (T,), "color": (4, 3), "bars": (2,), "coarse": (T,)}
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


def test_a_shift_moves_the_picture_and_mirrors_its_ends(clip):
    """A shift of 2/(X − 1) is one pixel; the picture goes to the left, or up."""
    shift = torch.zeros(T, 2)
    shift[1, 1], shift[2, 0] = 2 / (X - 1), -2 / (Y - 1)
    found = changed(clip, shift=shift)
    torch.testing.assert_close(found[:, [0, 3]], clip[0, :, [0, 3]])
    torch.testing.assert_close(found[:, 1, :, :-1], clip[0, :, 1, :, 1:], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[:, 1, :, -1], clip[0, :, 1, :, -2], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[:, 2, 1:], clip[0, :, 2, :-1], atol=1e-5, rtol=0)


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
    boxes, shown, color = torch.zeros(4, 4), torch.zeros(4, T), torch.zeros(4, 3)
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
    boxes, shown, color = torch.zeros(4, 4), torch.zeros(4, T), torch.ones(4, 3)
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


def test_a_big_object_passes(clip):
    boxes, shown, color = torch.zeros(4, 4), torch.zeros(4, T), torch.ones(4, 3)
    boxes[3], shown[3] = torch.tensor([-0.1, 0.0, 1.1, 0.5]), 1
    found = changed(clip, boxes=boxes, shown=shown, color=color, passing=[-9.0, -0.25, 0.0, 0.75])
    columns = [(found[:, t] == 1).all(1).all(0).nonzero()[:, 0].tolist() for t in range(T)]
    assert columns == [[], [0, 1], [0, 1, 2, 3], [6, 7]]


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
