"""What a batch asks of `render`: boxes by the size of what each frame shows, colours, and the same memory again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gpuaug
from gpuaug import Plan, fade
from gpuaug.bank import ClipBank
from gpuaug.supply import picture
from gpuaug.supply.augment import Augment, gaussian_blur
from gpuaug.supply.picture import Pictures, to_device
from gpuaug.supply.supply import Shown

SIZES = [(4, 6), (4, 6), (3, 6), (4, 5), (6, 3)]  # of the bank's slots; the last one lies upright


@pytest.fixture
def asked(monkeypatch):
    """The arguments of every `render`."""
    calls = []

    def noted(frames, plan, **how):
        calls.append({"frames": frames, "plan": plan, **how})
        return gpuaug.render(frames, plan, **how)

    monkeypatch.setattr(picture, "render", noted)
    return calls


def bank():
    made = ClipBank(len(SIZES), 2, 4, 6, upright=True)
    for slot, (h, w) in enumerate(SIZES):
        made.write(slot, torch.full((2, h, w, 3), 50 * slot, dtype=torch.uint8), {})
    return made


def shown(plan, pixels=None, seed=0):
    return Shown(np.random.default_rng(seed), plan, {}, pixels or bank(), plan)


def pictures(augment=None, **how):
    how = {"size": 3, "mean": 0.0, "std": 1.0, "dtype": torch.float32, "augment": augment or Augment("center"), **how}
    return Pictures(**how)


def crops(*sizes):
    """The centre of each: 7/8 of the short side."""
    sides = [0.875 * min(size) for size in sizes]
    return [[(h - s) / 2, (w - s) / 2, (h + s) / 2, (w + s) / 2] for (h, w), s in zip(sizes, sides)]


def test_clips_of_one_size_share_a_box(asked):
    clips = pictures(mean=[0.1, 0.2, 0.3], std=0.5, dtype=torch.float16).render(shown(Plan.take([1, 2], [0, 1])))
    (call,) = asked
    assert call["size"] == (3, 3)
    assert (call["mean"], call["std"], call["dtype"], call["color"]) == ([0.1, 0.2, 0.3], 0.5, torch.float16, None)
    np.testing.assert_allclose(call["box"], crops(SIZES[1], SIZES[2]))
    assert clips.dtype == torch.float16
    expected = (np.array([50, 100]) / 255)[:, None] / 0.5 - np.array([0.1, 0.2, 0.3]) / 0.5
    np.testing.assert_allclose(clips.amax((2, 3, 4)).numpy(), expected, atol=2e-3)


@pytest.mark.parametrize("slots", [[0, 2], [0, 3], [3, 0], [2, 2]])
def test_a_sample_of_two_sizes_has_a_box_for_each_tap(asked, slots):
    """A height alone, or a width alone, that differs makes two sizes."""
    both = fade(Plan.take([1, slots[0]], [0, 1]), Plan.take([1, slots[1]], [0, 1]), 0.5)
    pictures().render(shown(both))
    box = asked[0]["box"]
    if SIZES[slots[0]] == SIZES[slots[1]]:
        np.testing.assert_allclose(box, crops(SIZES[1], SIZES[slots[0]]))
        return
    assert box.shape == (2, 2, 2, 4)
    np.testing.assert_allclose(box[0], [crops(SIZES[1], SIZES[1])] * 2)
    np.testing.assert_allclose(box[1], [crops(*(SIZES[slot] for slot in slots))] * 2)


def test_colours_have_the_size_of_what_is_beside_them(asked):
    paint = Plan.color([0.5] * 3, frames=2)
    mixed = gpuaug.where([[True, False], [False, True]], Plan.concat([paint, paint]), Plan.take([2, 3], [0, 1]))
    clips = pictures().render(shown(mixed))
    np.testing.assert_allclose(asked[0]["box"], crops(SIZES[2], SIZES[3]))
    level = clips.mean((1, 3, 4)).numpy()
    np.testing.assert_allclose(level, [[0.5, 100 / 255], [150 / 255, 0.5]], atol=1e-6)
    pictures().render(shown(Plan.concat([paint, paint])))
    np.testing.assert_allclose(asked[1]["box"], crops(SIZES[0], SIZES[0]), err_msg="any other clip's")


def test_upright_clips_are_a_bank_of_their_own(asked):
    pixels = bank()
    clips = pictures().render(shown(Plan.take([4, 1], [0, 1]), pixels))
    (call,) = asked
    assert [each is own for each, own in zip(call["frames"], (pixels.frames, pixels.tall), strict=True)] == [True, True]
    assert call["plan"].clip[:, 0, 0].tolist() == [9, 1]
    np.testing.assert_allclose(clips.mean((1, 2, 3, 4)).numpy(), [200 / 255, 50 / 255], rtol=1e-5)
    plain = Plan.take([0, 1], [0, 1])
    pictures().render(shown(plain, pixels))
    assert asked[1]["frames"] is pixels.frames
    assert asked[1]["plan"] is plain
    assert pixels.info["uses"].tolist() == [1, 2, 0, 0, 1]


def test_the_next_batch_overwrites_the_one_before_where_it_has_its_shape(asked):
    made = pictures()
    first = made.render(shown(Plan.take([0, 1], [0, 1])))
    assert made.render(shown(Plan.take([1, 2], [0, 1]))) is first
    for other in (Plan.take([1], [0, 1]), Plan.take([1], [0, 1, 1]), Plan.take([1, 2], [0, 1, 1])):
        clips = made.render(shown(other))
        assert clips.shape == (*other.shape[:1], 3, other.shape[1], 3, 3)
    assert [call["out"] is None for call in asked] == [True, False, True, True, True]
    assert asked[1]["out"] is first


def test_views_then_colours_then_blurs_are_drawn(asked):
    augment = Augment("resized", flip=0.5, jitter=0.7, grayscale=0.4, blur=0.6)
    clips = pictures(augment).render(shown(Plan.take([0, 1], [0, 1]), seed=5))
    rng = np.random.default_rng(5)
    view, matrix, sigma = augment.view(rng, 2), augment.matrix(rng, 2), augment.sigma(rng, 2, 3)
    (call,) = asked
    np.testing.assert_array_equal(call["box"], view.box(np.array([4, 4]), np.array([6, 6])))
    np.testing.assert_array_equal(call["color"], matrix)
    how = {name: call[name] for name in ("size", "box", "color", "mean", "std", "dtype")}
    plain = gpuaug.render(bank().frames, Plan.take([0, 1], [0, 1]), **how)
    torch.testing.assert_close(clips, gaussian_blur(plain, sigma))


class OnGpu(torch.Tensor):
    moved: list[object] = []  # noqa: RUF012

    def to(self, device, non_blocking=False):
        self.moved.append((device, non_blocking))
        return self


@pytest.mark.parametrize("value", [np.arange(6).reshape(2, 3), np.arange(6).reshape(3, 2).T, np.arange(8)[::-2]])
def test_targets_reach_the_device(monkeypatch, value):
    got = to_device(value, torch.device("cpu"))
    assert got.tolist() == value.tolist()
    assert got.is_contiguous()
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self.as_subclass(OnGpu))
    monkeypatch.setattr(OnGpu, "moved", [])
    assert to_device(value, torch.device("cuda:1")).tolist() == value.tolist()
    assert OnGpu.moved == [(torch.device("cuda:1"), True)], "without waiting"
