"""Every kind of transition: what it shows at its ends and in its middle, its labels, its mirror in time, its errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gpuaug
from gpuaug import Plan, edits, fade, render, transitions, where
from gpuaug.layers import cover
from gpuaug.transitions import FAMILIES, KINDS, LABELS, NAMES, labels, transition
from support import kernel_implementations

implementation = kernel_implementations.cpu
LENGTH, START, DURATION, SIZE = 9, 2, 5, (6, 10)
FIRST, SECOND = (60, 120, 200), (200, 90, 40)
LUMA = np.array([[0.0, 1.0, 4.0], [2.0, 3.0, 0.5]])
GRADUAL = [name for name in NAMES if KINDS[name].family not in ("cut", "time")]  # test_times.py has the latter
# a symmetric kind, played backwards with the clips exchanged, is itself or the kind of the other direction
SAME = ("dissolve", "fade_black", "fade_white", "fade_color")
OTHER = {"push_left": "push_right", "push_up": "push_down", "whip_left": "whip_right", "whip_up": "whip_down"}
OTHER |= {"cover_left": "reveal_right", "cover_down": "reveal_up", "zoom_out": "grow", "fade_in": "fade_out"}
OTHER |= {f"{kind}_open": f"{kind}_close" for kind in ("circle", "diamond", "box", "cross", "star", "fan")}
OTHER |= {"wipe_left": "wipe_right", "wipe_up_left": "wipe_down_right", "clock": "clock_counter"}
OTHER |= {f"barn_open_{way}": f"barn_close_{way}" for way in ("horizontal", "vertical")}


def clips(n, length=LENGTH):
    return [Plan.take(np.full(n, k), range(length)) for k in (0, 1)]


def flat(first=FIRST, second=SECOND, length=LENGTH):
    return torch.tensor([first, second], dtype=torch.uint8).view(2, 1, 1, 1, 3).expand(2, length, *SIZE, 3).contiguous()


def make(kinds, **given):
    given = {"length": LENGTH, "start": START, "duration": DURATION, "luma": LUMA} | given
    return transition(*clips(len(kinds)), list(kinds), **given)


def shown(plan, bank=None, **given):
    """float64 (N, T, Y, X, C) in 0…255."""
    bank = flat() if bank is None else bank
    return render(bank, plan, size=SIZE, layout="NTHWC", **given).double().numpy() * 255


def test_there_are_enough_of_them():
    assert len(NAMES) >= 40
    assert len(FAMILIES) >= 9
    assert LABELS[: len(NAMES)] == NAMES
    assert {name for kinds in FAMILIES.values() for name in kinds} == set(NAMES)


@pytest.mark.parametrize("softness", [0.0, 0.25])
def test_only_the_first_clip_before_and_only_the_second_after(implementation, softness):
    rng = np.random.default_rng(0)
    bank = torch.from_numpy(rng.integers(0, 256, (2, LENGTH, *SIZE, 3), dtype=np.uint8))
    got = shown(make(GRADUAL, softness=softness), bank)
    j = START + DURATION - 1  # p = 1
    assert np.abs(got[:, :START] - bank[0, :START].numpy()).max() < 1e-3
    assert np.abs(got[:, j:] - bank[1, j - START : LENGTH - START].numpy()).max() < 1e-3


@pytest.mark.parametrize("easing", list(transitions.EASINGS))
def test_every_frame_between_differs_from_both_and_labels_say_so(easing):
    for softness in (0.0, 0.5):
        plan = make(GRADUAL, softness=softness, easing=easing)
        got, found = shown(plan), labels(plan)
        mixed = [np.abs(got - np.array(color)).max((2, 3, 4)) > 1e-3 for color in (FIRST, SECOND)]
        mixed = mixed[0] & mixed[1]
        assert found.names == GRADUAL
        assert found.families == [KINDS[name].family for name in GRADUAL]
        assert found.sample.tolist() == list(range(len(GRADUAL)))
        assert found.first.tolist() == mixed.argmax(1).tolist()
        assert found.last.tolist() == (LENGTH - 1 - mixed[:, ::-1].argmax(1)).tolist()
        assert (found.new == found.last + 1).all()
        if easing == "linear":
            assert set(found.first) == {START}
            assert set(found.new) == {START + DURATION - 1}


def test_shares_sum_to_one_in_every_pixel_and_areas_are_those_of_pixels():
    rng = np.random.default_rng(1)
    kinds = ["cut", *GRADUAL] * 3
    plan = make(kinds, duration=np.where(np.array(kinds) == "cut", 0, 5), softness=rng.choice([0, 0.3], len(kinds)))
    n, t, k = plan.shape
    columns = plan.layers.each(lambda column: column.reshape(n * t, *column.shape[2:]))
    share = cover.shares(plan.weight.reshape(-1, k), columns, SIZE)
    np.testing.assert_allclose(share.sum(1), 1, atol=1e-6)
    assert share.min() >= 0
    white = shown(plan, flat((0, 0, 0), (255, 255, 255)))[..., 0].mean((2, 3)) / 255
    second = (plan.area(SIZE) * (plan.clip == 1)).sum(2)
    paint = (plan.area(SIZE) * (plan.clip == -1)).sum(2) > 0
    np.testing.assert_allclose(second[~paint], white[~paint], atol=1e-5)
    by_clip = plan.share(2, SIZE)
    np.testing.assert_allclose(by_clip[:, 1], second.mean(1), atol=1e-6)


def test_played_backwards_it_is_its_mirror():
    """With a cut of both at p = 0 and 1, frames j of one are frames duration − j of the other."""
    rng = np.random.default_rng(2)
    frames = torch.from_numpy(rng.integers(0, 256, (2, 1, *SIZE, 3), dtype=np.uint8)).expand(2, LENGTH, *SIZE, 3)
    kinds = {**{name: name for name in SAME}, **OTHER, **{b: a for a, b in OTHER.items()}}
    forward = shown(make(kinds), frames.contiguous())
    backward = shown(make(kinds.values()), frames.flip(0).contiguous())
    between = slice(START, START + DURATION - 1)
    for i, name in enumerate(kinds):
        differ = np.abs(forward[i, between] - backward[i, between][::-1]).max(-1)
        if KINDS[name].family == "whip":  # a mean of seams, of which two lie over each other
            assert differ.max() < 20
            continue
        # where p equals the value of a pixel
        some = KINDS[name].family in ("wipe", "iris", "clock")
        assert (differ > 0.05).mean() <= (0.12 if some else 0), name


def test_dissolve_is_crossfade():
    first, second = clips(3, 12)
    made = transition(first, second, "dissolve", length=10, start=[2, 4, 5], duration=[4, 2, 0])
    expected = edits.crossfade(first, second, length=10, center=[4, 5, 5], overlap=[4, 2, 0])
    assert made.layers is None
    assert (made.frame == expected.frame).all()
    assert (made.clip == expected.clip).all()
    np.testing.assert_allclose(made.weight, expected.weight, atol=1e-7)


def test_kinds_and_all_parameters_are_per_sample():
    kinds = ["wipe", "circle_open", "fade_color", "cut", "push_up"]
    given = {
        "start": [1, 2, 3, 4, 0],
        "duration": [4, 3, 5, 0, 8],
        "angle": [30, 0, 0, 0, 0.0],
        "softness": [0, 0.5, 0, 0, 0],
    }
    given |= {
        "center": [[0.5, 0.5], [0.2, 0.9], [0, 0], [0, 0], [0, 0]],
        "color": np.eye(5, 3),
        "easing": ["in", "out", "smooth", "back", "linear"],
    }
    rng = np.random.default_rng(3)
    bank = torch.from_numpy(rng.integers(0, 256, (2, LENGTH, *SIZE, 3), dtype=np.uint8))
    together = shown(make(kinds, **given), bank)
    for i, kind in enumerate(kinds):
        own = {name: value[i : i + 1] for name, value in given.items()}
        np.testing.assert_allclose(together[i], shown(make([kind], **own), bank)[0], atol=1e-3)


# ---- composition ----------------------------------------------------------------------------------------------------


def test_plans_of_transitions_go_on_being_edited():
    plan = make(["wipe_left", "push_up"])
    frames = shown(plan)
    order = [8, 6, 4, 2, 2, 0]
    np.testing.assert_allclose(shown(plan.at(order)), frames[:, order], atol=1e-6)
    other = Plan.take([1, 1], range(LENGTH))
    mask = np.arange(LENGTH)[None] % 2 == 0
    expected = np.where(mask[:, :, None, None, None], frames, shown(other))
    np.testing.assert_allclose(shown(where(mask, plan, other)), expected, atol=1e-6)
    faded = fade(plan, other, 0.25)
    np.testing.assert_allclose(shown(faded), 0.75 * frames + 0.25 * shown(other), atol=1e-3)
    np.testing.assert_allclose(shown(fade(other, plan, 0.75)), shown(faded), atol=1e-3)
    with pytest.raises(ValueError, match="fade must have one side of a single tap where both show"):
        fade(plan, make(["wipe_right"] * 2), 0.5)
    both = Plan.concat([plan, Plan.take([0], [range(LENGTH)])])
    np.testing.assert_allclose(shown(both)[:2], frames, atol=1e-6)


def test_labels_survive_retiming():
    plan = make(["wipe_left", "cut"], duration=[DURATION, 0])
    back = labels(plan.at(range(LENGTH - 1, -1, -1)))
    assert back.names == ["wipe_left", "cut"]
    assert (back.first.tolist(), back.last.tolist(), back.new.tolist()) == ([3, -1], [6, -1], [7, 7])
    slow = labels(plan.at(np.arange(0, LENGTH - 0.5, 0.5)))
    assert slow.new.tolist() == [2 * (START + DURATION - 1) - 1, 2 * START - 1]
    skipped = labels(plan.at([0, 1, 7, 8]))  # none of its frames is left: a cut
    assert skipped.names == ["cut", "cut"]
    assert labels(Plan.take(0, [0, 1])).names == []


def test_transitions_follow_each_other():
    a, b, c = (Plan.take([k], range(20)) for k in range(3))
    one = transition(a, b, "wipe_left", length=16, start=3, duration=4)
    two = transition(one, c, "push_up", length=20, start=10, duration=5)
    found = labels(two)
    assert found.names == ["wipe_left", "push_up"]
    assert found.first.tolist() == [3, 10]
    # over the first one a mask may lie, but it cannot be moved in the middle of another
    over = transition(one, c, "circle_open", length=12, start=4, duration=6)
    bank = torch.from_numpy(np.random.default_rng(4).integers(0, 256, (3, 20, *SIZE, 3), dtype=np.uint8))
    below, above = shown(one, bank), shown(c, bank)
    got = shown(over, bank)[0]
    for t in (4, 5, 6):
        is_c = (np.abs(got[t] - above[0, t - 4]) < 1e-3).all(-1)
        assert 0 < is_c.mean() < 1
        assert (np.abs(got[t] - below[0, t]) < 1e-3).all(-1)[~is_c].all()
    with pytest.raises(ValueError, match="first must show a single, whole tap in frames that this kind moves"):
        transition(one, c, "push_up", length=12, start=4, duration=6)


def test_a_colour_is_a_clip_to_fade_to():
    black = Plan.color([0, 0, 0], frames=LENGTH)
    plan = transition(clips(1)[0], black, "wipe_left", length=LENGTH, start=2, duration=5)
    got = shown(plan)
    assert np.abs(got[0, :2] - np.array(FIRST)).max() < 1e-3
    assert np.abs(got[0, 6:]).max() == 0
    assert labels(plan).new.tolist() == [6]


# ---- arrays ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
@pytest.mark.parametrize("form", ["NTHWC", "NTCHW", "NCTHW"])
def test_arrays_of_any_library_and_layout(implementation, library, form):
    rng = np.random.default_rng(5)
    kinds = ["wipe_left", "dissolve", "push_up", "fade_black", "doorway"]
    pair = rng.integers(0, 256, (2, len(kinds), LENGTH, *SIZE, 3), dtype=np.uint8)
    given = {"length": LENGTH, "start": START, "duration": DURATION, "number": 3}
    plan = transition(*[Plan.take(k * 5 + np.arange(5), range(LENGTH)) for k in (0, 1)], kinds, **given)
    expected = render(
        torch.from_numpy(pair.reshape(-1, LENGTH, *SIZE, 3)), plan, size=SIZE, layout="NTHWC", dtype=torch.uint8
    )
    axes = ["NTHWC".index(d) for d in form]
    arrays = [np.ascontiguousarray(each.transpose(axes)) for each in pair]
    if library == "torch":
        arrays = [torch.from_numpy(each) for each in arrays]
    elif library == "jax":
        arrays = [pytest.importorskip("jax.numpy").asarray(each) for each in arrays]
    got = gpuaug.transition(*arrays, kinds, **given, time_dim=form.index("T"))
    assert type(got) is type(arrays[0]) or library == "jax"
    back = np.asarray(got).transpose([form.index(d) for d in "NTHWC"])
    assert np.abs(back.astype(int) - expected.numpy()).max() <= 1  # rounded on either side of a half


def test_a_video_of_torchvision_stays_one():
    tv_tensors = pytest.importorskip("torchvision.tv_tensors")
    videos = [tv_tensors.Video(torch.full((2, 6, 3, 4, 4), value, dtype=torch.uint8)) for value in (0, 100)]
    got = gpuaug.transition(*videos, "wipe_left", length=6, start=1, duration=4)
    assert isinstance(got, tv_tensors.Video)
    assert got[0, 2, 0, 0].tolist() == [0, 0, 100, 100]
    with pytest.raises(ValueError, match="second must have 5 frames for this start, got 1; axis 1 of first"):
        gpuaug.transition(videos[0], videos[1][:, :1], "wipe_left", length=6, start=1, duration=4)
