"""The task shots: edit lists, what frames are, what happens to their pictures."""

import numpy as np
import pytest
import torch

import gpuaug
from pretrain.shots.boundaries import FAMILIES
from pretrain.shots.network import SIZE
from pretrain.tasks.shots import looks, task, timeline

T = 100


@pytest.fixture
def bank():
    made = gpuaug.ClipBank(48, 120, 1, 1)
    made.reserve(np.arange(48), {"video": np.arange(48), "label": np.arange(48) // 4, "frames": 120})
    return made


def draw(bank, n=64, seed=0, **options):
    return task.sample(np.random.default_rng(seed), bank, n, task.Settings(**options))


def taken(clip, time):
    return gpuaug.Plan.take(clip, time)


def test_a_cut_and_a_jump():
    cut = gpuaug.edits.concatenate(taken(0, range(9)), taken(1, range(9)), length=9, center=4)
    found = timeline.targets(cut)
    assert np.flatnonzero(found["new"][0]).tolist() == [4]
    assert not found["inside"].any()
    assert not found["jump"].any()
    assert found["family"][0].tolist() == [-1] * 4 + [FAMILIES.index("cut")] + [-1] * 4
    found = timeline.targets(taken(0, [0, 1, 2, 3, 20, 21, 22]))
    assert np.flatnonzero(found["jump"][0]).tolist() == [4]
    assert not found["new"].any()


def test_neither_speed_nor_repeated_frames_are_jumps():
    for times in (np.arange(20) * 2.5, np.repeat(np.arange(10), 2), np.arange(20) * 0.4, [5.0] * 20):
        assert not timeline.targets(taken(0, times))["jump"].any()
    assert timeline.targets(taken(0, [9, 10, 11, 2, 3, 4]))["jump"][0].tolist() == [0, 0, 0, 1, 0, 0]  # turned back


@pytest.mark.parametrize("overlap", [2, 4, 10])
def test_a_transition(overlap):
    plan = gpuaug.edits.crossfade(taken(0, range(40)), taken(1, range(40)), length=40, center=20, overlap=overlap)
    found = timeline.targets(plan)
    mixed = np.flatnonzero((plan.weight > 0).sum(2)[0] == 2)
    assert len(mixed) == overlap - 1
    inside = np.flatnonzero(found["inside"][0])
    assert inside.tolist() == (mixed.tolist() if overlap > 2 else [])  # one mixed frame belongs to a cut
    assert found["new"].sum() == 1


def test_samples_have_what_was_asked_for(bank):
    _, none = draw(bank, shots=1)
    assert not none["new"].any()
    _, cuts = draw(bank, gradual=0.0, jumps=0.0, conversions=0.0)
    assert not cuts["inside"].any()
    assert not cuts["jump"].any()
    _, dense = draw(bank, dense=1.0, gradual=0.0, jumps=0.0)
    _, few = draw(bank, dense=0.0, gradual=0.0, jumps=0.0)
    assert dense["new"].sum() > 3 * few["new"].sum()
    _, jumps = draw(bank, gradual=0.0, jumps=1.0)
    assert jumps["jump"].sum() > 50
    assert not jumps["new"].any()


def test_partners_are_alike_when_they_should_be(bank):
    def share(similar):
        plan, found = draw(bank, n=200, similar=similar, gradual=0.0, jumps=0.0)
        clip = plan.source()[0]
        n, t = np.nonzero(found["new"])
        return np.mean(clip[n, t] // 4 == clip[n, t - 1] // 4)

    assert share(0.0) < 0.2
    assert share(1.0) > 0.95


def test_plans_stay_within_their_clips_and_repeat_for_a_seed(bank):
    plan, found = draw(bank, n=100, seed=5)
    assert plan.shape[:2] == (100, T)
    assert 0 <= plan.frame.min() <= plan.frame.max() < 120
    again, other = draw(bank, n=100, seed=5)
    assert np.array_equal(plan.clip, again.clip)
    assert all(np.array_equal(found[name], other[name]) for name in found)


def test_given_windows_come_first(bank):
    first = np.arange(10)
    plan, _ = task.sample(np.random.default_rng(0), bank, 10, task.Settings(shots=1), first=first)
    assert np.array_equal(plan.clip[:, 0, 0], first)


def pictures(n=4, t=20):
    return torch.rand(n, 3, t, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def looked(clip, **options):
    drawn = looks.draw(np.random.default_rng(0), len(clip), clip.shape[2], **options)
    return looks.apply(clip, {k: torch.from_numpy(v) for k, v in drawn.items()}, looks.noise(SIZE))


def test_nothing_drawn_changes_nothing():
    clip = pictures().clamp(1e-3, 1)
    torch.testing.assert_close(looked(clip, deployed=0.0, traps=0.0), clip, atol=1e-5, rtol=0)


def test_everything_drawn_stays_in_range():
    clip = pictures(16)
    found = looked(clip, deployed=1.0, traps=1.0)
    assert found.shape == clip.shape
    assert found.min() >= 0
    assert found.max() <= 1
    assert ((found - clip).abs().amax((1, 2, 3, 4)) > 0.05).all()


@pytest.mark.slow
def test_a_step_of_the_head_learns(bank):
    torch.manual_seed(0)
    from pretrain.models.encoders import encoder

    settings = task.Settings(frames=40, shots=3, deployed=0.0, traps=0.0)
    plan, target = task.sample(np.random.default_rng(0), bank, 4, settings)
    color = torch.rand(48, 3)
    clip = color[torch.from_numpy(plan.source()[0])].permute(0, 2, 1)[..., None, None].expand(-1, -1, -1, SIZE, SIZE)
    net = encoder("shots")
    head = task.Head(net.features, [], settings)
    optimizer = torch.optim.AdamW([*net.parameters(), *head.parameters()], 3e-3)
    told = {name: torch.from_numpy(value) for name, value in target.items()}
    losses = []
    for _ in range(12):
        loss, scores = head.loss(net, (clip - 0.45) / 0.225, told)
        assert {name: value.shape for name, value in scores.items()} == dict.fromkeys(("new", "jump", "inside"), (4,))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_scores_count_peaks():
    truth, logit = torch.zeros(1, 30), torch.full((1, 30), -5.0)
    truth[0, [10, 20]] = 1
    logit[0, [12, 25]] = 3.0
    assert task._f1(logit, truth, 2).item() == pytest.approx(0.5)  # one hit, one missed, one false
    assert task._f1(logit, truth, 0).item() == 0
    assert task._f1(logit * 0 - 5, truth * 0, 2).item() == 1
