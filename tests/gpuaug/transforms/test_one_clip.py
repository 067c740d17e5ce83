"""Edits of one clip: what frames show against hand-written torch, and what is told of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpuaug import transforms, transitions
from gpuaug.transforms import (
    CrossFade,
    RandomFreeze,
    RandomJump,
    RandomReverse,
    RandomSpeed,
)
from support.plans.numbered import ONE, N, T, numbered, own_time, seeded

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ONE)
def test_the_frames_told_are_the_frames_shown(name, device):
    transform = ONE[name](p=0.8, generator=seeded())
    clips = numbered(40, device=device)
    out, target = transform(clips, {})
    frames = target["frames"]
    assert out.dtype == clips.dtype
    assert {each.device for each in (out, *frames.values())} == {clips.device}
    assert torch.equal(torch.floor(frames["time"] + 0.5).float(), own_time(out))
    assert (frames["clip"] == 0).all()
    torch.testing.assert_close(out, out[:, :, :, :1, :1].expand_as(out))
    plain = own_time(out).diff(dim=1).eq(1).all(1).float().mean()
    assert 0.05 < plain < 0.6, "some are left as they are, most are not"


def test_speed_is_the_papers_in_torch():
    out, target = RandomSpeed((0.5, 2.0), p=1, generator=seeded())(numbered(100), {})
    assert out.shape[1] == 12  # 23 frames of way at double speed
    change, frames = transforms.plan(target).boundary(), target["frames"]["time"]
    assert set(change) == set(range(2, 12))
    for n, c in enumerate(change):
        rate = float(frames[n, -1] - frames[n, c - 1]) / (11 - c + 1)  # from the frame before the change on
        i = torch.arange(12.0)
        exact = torch.where(i < c, i, c - 1 + rate * (i - c + 1))
        assert 0.5 <= rate <= 2
        assert torch.equal(own_time(out)[n], own_time(out)[n, 0] + torch.floor(exact + 0.5))


@pytest.mark.parametrize("rate", [0.5, 1.0, 1.7, 3.0])
def test_one_speed_throughout(rate):
    out = RandomSpeed((rate, rate), change=False, p=1, generator=seeded())(numbered())
    first = own_time(out)[:, :1]
    i = torch.arange(out.shape[1])
    torch.testing.assert_close(own_time(out) - first, torch.floor(rate * i + 0.5).expand(N, -1), rtol=0, atol=0)
    assert rate > 1 or out.shape[1] == T
    assert rate == 1 or first.max() > 0 or out.shape[1] == 1 + (T - 1) // rate


def test_freeze_and_reverse_and_jump_in_torch():
    clips = numbered(50)
    out = own_time(RandomFreeze((3, 3), p=1, generator=seeded())(clips))
    for row in out:
        start = int(torch.nonzero(row.diff() == 0)[0])
        order = torch.cat([torch.arange(start), torch.full((3,), start), torch.arange(start + 1, T - 2)])
        assert torch.equal(row, order.float())
    torch.testing.assert_close(RandomReverse(p=1)(clips), clips.flip(1))
    out, target = RandomJump((2, 5), p=1, generator=seeded())(clips, {})
    found = transitions.labels(transforms.plan(target))
    assert found.names == ["jump"] * 50
    for row, new in zip(own_time(out), found.new):
        steps = row.diff()
        assert 3 <= steps[new - 1] <= 6
        assert torch.cat([steps[: new - 1], steps[new:]]).eq(1).all()


def test_frames_follow_any_row_of_edits():
    """Clips that begin at 0, 1000, …; each speed may take a frame that is half a frame away."""
    chain = [make(p=0.7, generator=seeded(k)) for k, make in enumerate(ONE.values())]
    chain += [CrossFade((0, 0), generator=seeded(9), pairs="permutation"), RandomReverse(generator=seeded(10))]
    clip_of = torch.arange(8.0)[:, None]
    chain[1] = RandomSpeed((0.5, 2.0), change=False, generator=seeded(1))
    speeds = [k for k, name in enumerate(ONE) if "speed" in name]
    exact = count = 0
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(len(chain))
        order = order[~np.isin(order, speeds)] if seed < 10 else order
        clips, target = (1000 * clip_of + torch.arange(200.0)).view(8, 200, 1, 1, 1).expand(8, 200, 1, 2, 3), {}
        for k in order:
            clips, target = chain[k](clips, target)
        shown, frames = clips[:, :, 0, 0, 0], target["frames"]
        off = (shown % 1000 - frames["time"]).abs().max()
        assert off == 0 if seed < 10 else off <= 3
        exact += off == 0
        changes = (torch.floor(shown / 1000).diff(dim=1) != 0).numpy()
        assert np.array_equal(changes, frames["clip"].diff(dim=1).numpy() != 0)
        found = transitions.labels(transforms.plan(target))
        cuts = {(n, new) for n, name, new in zip(found.sample, found.names, found.new) if name == "cut"}
        assert cuts == {(n, i + 1) for n, i in np.argwhere(changes)}
        count += len(cuts)
    assert count > 60
    assert exact < 20


@pytest.mark.parametrize("shape", [(T, 3, 5, 4), (2, 3, T, 3, 5, 4)])
def test_any_leading_axes(shape):
    clips = torch.arange(float(np.prod(shape))).reshape(shape)
    out, target = RandomFreeze(p=1, generator=seeded())(clips, {"id": 7})
    assert out.shape == shape
    assert target["id"] == 7
    assert target["frames"]["time"].shape == shape[:-3]
    time = target["frames"]["time"].long()[..., None, None, None].expand(shape)
    torch.testing.assert_close(out, clips.gather(-4, time))
