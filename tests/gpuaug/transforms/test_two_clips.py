"""Edits of two clips against the reference, torchvision's MixUp and hand-written torch; soft labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gpuaug
from gpuaug import edits, reference, transforms, transitions
from gpuaug.transforms import (
    CrossFade,
    MixClips,
    Paste,
    RandomTransition,
)
from support.plans.numbered import TWO, N, T, numbered, seeded

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def shared(transform, clips):
    """Its result, and how much of every frame is the clip before (labels are one-hot by sample)."""
    out, target = transform(clips, {"label": torch.arange(len(clips))})
    return out, target["label"], target


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32])
def test_transitions_are_the_references_of_neighbours(device, dtype, monkeypatch):
    given = {}
    draw = transitions.draw

    def spy(rng, n, **how):
        given.update(draw(rng, n, **how))
        return dict(given)

    monkeypatch.setattr(transitions, "draw", spy)
    clips = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (8, 10, 3, 7, 9), np.uint8)).to(device)
    clips = clips if dtype == torch.uint8 else (clips / 255).to(dtype)
    kinds = [name for name, kind in transitions.KINDS.items() if name != "luma" and kind.family != "time"]
    out = RandomTransition(kinds, generator=seeded(3))(clips)
    rows = np.arange(8)
    first, second = (gpuaug.Plan.take(each, range(10)) for each in (rows, np.roll(rows, 1)))
    plan = edits.transition(first, second, length=10, **given)
    last = clips.cpu().movedim(2, 4)
    last = last.numpy() if dtype == torch.uint8 else last.float().numpy()
    top = 255.0 if dtype == torch.uint8 else 1.0
    expected = reference.compose(list(last), plan, size=(7, 9), top=top)
    got = out.cpu().movedim(2, 4).double().numpy()
    assert out.dtype == dtype
    step = {torch.uint8: 0.5 + 1e-3, torch.float16: 1e-3, torch.bfloat16: 5e-3, torch.float32: 1e-5}[dtype]
    assert np.abs(got - expected).max() <= step
    wrong = edits.transition(second, first, length=10, **given)
    assert np.abs(got - reference.compose(list(last), wrong, size=(7, 9), top=top)).max() > 0.2 * top


def test_crossfade_is_the_papers_in_torch():
    clips = torch.rand(40, T, 3, 4, 5, generator=seeded(1))
    out, _, target = shared(CrossFade((4, 4), num_classes=40, generator=seeded()), clips)
    found = transitions.labels(transforms.plan(target))
    assert found.names == ["dissolve"] * 40
    assert set(found.first) == set(range(1, T - 3))
    for n, first in enumerate(found.first):
        weight = ((torch.arange(T) - first + 1) / 4).clamp(0, 1)[:, None, None, None]
        second = clips[n - 1].roll(int(first), 0)  # frame i ≥ first shows second[i − first]
        torch.testing.assert_close(out[n], (1 - weight) * clips[n] + weight * second, atol=1e-6, rtol=1e-5)


def test_mix_is_torchvisions_mixup_with_a_weight_each():
    v2 = pytest.importorskip("torchvision.transforms.v2")
    tv_tensors = pytest.importorskip("torchvision.tv_tensors")
    clips, labels = torch.rand(5, 4, 3, 6, 7, generator=seeded(1)), torch.arange(5)
    out, soft = MixClips(num_classes=5, generator=seeded())(clips, labels)
    weight = soft.diagonal()
    assert len(set(weight.tolist())) == 5
    mixup = v2.MixUp(num_classes=5)
    for n in range(5):
        mixup._dist = type("Dist", (), {"sample": staticmethod(lambda _, w=weight[n]: w)})
        one, label = mixup(tv_tensors.Video(clips.clone()), labels)
        torch.testing.assert_close(out[n], one[n].as_subclass(torch.Tensor), atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(soft[n], label[n], atol=1e-6, rtol=1e-5)


def test_paste_in_torch():
    clips = numbered(30)
    out, soft, target = shared(Paste((0.25, 0.5), opacity=(0.6, 0.9), num_classes=30, generator=seeded()), clips)
    lengths = set()
    for n in range(30):
        inside = target["frames"]["clip"][n] > 0
        where = torch.nonzero(inside)[:, 0]
        lengths.add(len(where))
        assert torch.equal(where, torch.arange(where[0], where[-1] + 1))
        opacity = float(soft[n, n - 1]) * T / len(where)
        assert 0.6 <= round(opacity, 5) <= 0.9
        region = clips[n - 1, int(target["frames"]["time"][n, where[0]]) :][: len(where)]
        expected = clips[n].clone()
        expected[where] = (1 - opacity) * expected[where] + opacity * region
        torch.testing.assert_close(out[n], expected, atol=1e-2, rtol=1e-4)
    assert lengths == set(range(6, 13))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("pairs", ["roll", "permutation"])
@pytest.mark.parametrize("name", TWO)
def test_soft_labels_are_the_shares_of_the_pixels(name, pairs, device):
    """A clip of class c holds c everywhere; colours count for no class, so fades are of clips alone here."""
    transform = TWO[name](num_classes=N, pairs=pairs, p=0.9, generator=seeded())
    if name == "transition":
        kinds = {"wipe": 1, "push": 1, "iris": 1, "cut": 1, "dissolve": 1, "slide": 1}
        transform = RandomTransition(kinds, num_classes=N, pairs=pairs, p=0.9, generator=seeded())
    labels = torch.tensor([5, 0, 3, 3, 1, 2], device=device)
    clips = labels.float().view(-1, 1, 1, 1, 1).expand(-1, T, 3, 32, 32)
    for given in (labels, torch.nn.functional.one_hot(labels, N).double()):
        mixed, soft = transform(clips, given)
        assert (soft.dtype, soft.shape, soft.device) == (torch.float32, (N, N), clips.device)
        torch.testing.assert_close(mixed.mean((1, 2, 3, 4)), soft @ torch.arange(6.0, device=device), atol=1e-4, rtol=0)
        torch.testing.assert_close(soft.sum(1), torch.ones(N, device=device))
        assert pairs == "permutation" or all(
            set(soft[n].nonzero().flatten().tolist()) <= {int(labels[n]), int(labels[n - 1])} for n in range(N)
        )


def test_what_a_fade_takes_from_both_is_no_classes():
    out, soft = RandomTransition("fade_black", num_classes=2, generator=seeded())(
        torch.ones(2, 16, 1, 4, 4), torch.arange(2)
    )
    torch.testing.assert_close(soft.sum(1), out.mean((1, 2, 3, 4)))
    assert (soft.sum(1) < 1).all()


def test_chances_and_kinds():
    clips = numbered(200, 12)
    out, _, target = shared(RandomTransition("cut", p=0.3, num_classes=200, generator=seeded()), clips)
    found = transitions.labels(transforms.plan(target))
    assert set(found.names) == {"cut"}
    assert 40 <= len(found.names) <= 80
    assert torch.equal(out, clips) is False
    drawn = [
        transitions.labels(
            transforms.plan(RandomTransition({"wipe": 3, "push_left": 1}, generator=seeded(k))(clips, {})[1])
        )
        for k in range(2)
    ]
    for each in drawn:
        assert set(each.families) <= {"wipe", "push", "cut"}
        assert 0.15 < np.mean([family == "push" for family in each.families]) < 0.35
    assert drawn[0].names != drawn[1].names


def test_a_picture_of_ones_own_is_a_kind():
    clips = torch.stack([torch.zeros(6, 1, 4, 4), torch.ones(6, 1, 4, 4)])
    luma, still = np.arange(16.0).reshape(4, 4), {"angle": (0, 0), "center": (0.5, 0.5)}
    transform = RandomTransition("luma", luma=luma, durations=((0, 5), (1, 5)), ranges=still, generator=seeded())
    out, target = transform(clips, {})
    (first, *_), (last, *_) = (getattr(transitions.labels(transforms.plan(target)), name) for name in ("first", "last"))
    middle = out[0, int(first + last) // 2, 0].flatten()
    assert (middle.diff() <= 0).all()
    assert 0 < middle.mean() < 1
