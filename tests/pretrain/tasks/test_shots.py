"""The task shots: edit lists, what frames are, what happens to their pictures."""

import numpy as np
import pytest
import torch
from torch import nn

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


def shown(*shots, length=100, **options):
    """The plan of a sample whose shots begin so and are mixed, held and jumped to so, and its targets."""
    begin, mixed, held, jump = (np.array([column]) for column in zip(*shots))
    n = begin.shape[1]
    looks = {
        name: np.array([list(value)])
        for name, value in timeline.transitions.draw(
            np.random.default_rng(0), n, length=length, weights={options.get("kind", "dissolve"): 1}
        ).items()
    }
    looks["easing"] = np.full((1, n), "linear")
    line = timeline.Timeline(begin, mixed, held, jump.astype(bool), length, looks)
    plan = timeline.compose(np.random.default_rng(0), line, np.full((1, n), 120))
    return plan, timeline.targets(plan, line.jump)


def at(found, name):
    return np.flatnonzero(found[name][0]).tolist()


def test_cuts_and_jumps():
    _, found = shown((0, 0, 0, 0), (40, 0, 0, 0), (60, 0, 0, 1))
    assert at(found, "new") == [40]
    assert at(found, "jump") == [60]
    assert at(found, "inside") == []
    assert found["family"][0, [39, 40, 41, 60]].tolist() == [-1, FAMILIES.index("cut"), -1, FAMILIES.index("jump")]


@pytest.mark.parametrize("kind", ["dissolve", "wipe_left", "circle_open", "push_up", "zoom_in", "fade_white"])
@pytest.mark.parametrize("duration", [2, 4, 11])
def test_transitions(kind, duration):
    plan, found = shown((0, 0, 0, 0), (30, duration, 0, 0), (70, 0, 0, 0), kind=kind)
    mixed = list(range(30, 30 + duration - 1))
    if duration == 2:  # one mixed frame belongs to a cut
        assert at(found, "inside") == []
        assert at(found, "new") == [31, 70]
        return
    assert at(found, "inside") == mixed
    assert at(found, "new") == [(mixed[0] + mixed[-1]) // 2, 70]
    family = timeline.FAMILY[timeline.transitions.KINDS[kind].family]
    assert found["family"][0, mixed].tolist() == [FAMILIES.index(family)] * len(mixed)
    (label,) = [row for row in zip(*timeline.transitions.labels(plan)) if row[2] >= 0]
    assert label[2:4] == (mixed[0], mixed[-1])  # the package says the same


def test_a_fade_that_stays_in_the_colour_is_one():
    plan, found = shown((0, 0, 0, 0), (30, 18, 6, 0), kind="fade_black")
    assert at(found, "inside") == list(range(30, 47))
    assert at(found, "new") == [38]
    assert set(found["family"][0, 30:47].tolist()) == {FAMILIES.index("fade")}
    alone = np.flatnonzero(plan.clip[0, :, 0] < 0)
    assert (plan.weight[0, alone, 0] == 1).any()


def test_what_goes_on_beyond_the_end_has_no_middle():
    plan, _ = shown((0, 0, 0, 0), (30, 20, 0, 0))
    found = timeline.targets(plan.at(np.arange(40)), np.zeros((1, 2), bool))
    assert at(found, "new") == []
    assert np.flatnonzero(found["known"][0] == 0).tolist() == list(range(30, 40))


def test_neither_rates_nor_lost_frames_are_jumps():
    plan, _ = shown((0, 0, 0, 0), length=170)
    for seed in range(40):
        found = timeline.converted(np.random.default_rng(seed), plan, length=100, share=1.0)
        assert found.shape[1] == 100
        assert not timeline.targets(found, np.ones((1, 1), bool))["jump"].any()


def test_all_families_of_the_package_are_drawn():
    line = timeline.draw(np.random.default_rng(0), 400, length=148, shots=12, dense=1.0, gradual=1.0, jumps=0.0)
    kinds = {timeline.transitions.KINDS[kind].family for kind in line.looks["kind"].ravel()}
    assert kinds == set(timeline.transitions.FAMILIES) - {"time"}
    assert set(timeline.FAMILY) == {*timeline.transitions.FAMILIES, "jump"}
    assert set(timeline.FAMILY.values()) == set(FAMILIES)


def test_jumps_that_cannot_be_seen_are_not_asked_for():
    clip = torch.zeros(2, 3, 20, 8, 8)
    clip[1, :, 10:] = 2.0
    jump = torch.zeros(2, 20)
    jump[:, 10] = 1
    seen = task.seen(clip, jump)
    assert seen[0, 10] == 0
    assert seen.sum() == 39


def test_samples_have_what_was_asked_for(bank):
    _, none = draw(bank, shots=1)
    assert not none["new"].any()
    _, cuts = draw(bank, gradual=0.0, jumps=0.0, conversions=0.0)
    assert not cuts["inside"].any()
    assert not cuts["jump"].any()
    _, two = draw(bank, gradual=1.0, families=("wipe", "dissolve"), conversions=0.0)
    assert {FAMILIES[k] for k in np.unique(two["family"]) if k >= 0} == {"wipe", "dissolve", "cut"}
    with pytest.raises(ValueError, match=r"families must be of blinds, blocks.*, got families=wype"):
        task.Settings(families=("wype",))
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


class Said(nn.Module):
    """Outputs that are given beforehand."""

    def __init__(self, marks, families):
        super().__init__()
        self.marks, self.families = marks, families

    def forward(self, features):
        return self.marks, self.families


@pytest.fixture
def judged(monkeypatch):
    """A function of logits (N, T, marks) and of truths: the loss and the scores; every jump can be seen unless told."""

    def of(marks, families=None, seen=None, **truth):
        n, t, _ = marks.shape
        head = task.Head(4, [], task.Settings())
        head.outputs = Said(marks, torch.zeros(n, t, len(FAMILIES)) if families is None else families)
        target = {name: torch.zeros(n, t) for name in ("new", "inside", "jump")} | {"known": torch.ones(n, t)}
        target |= {"family": torch.full((n, t), -1)} | truth
        monkeypatch.setattr(task, "seen", lambda clip, jump: torch.ones(n, t) if seen is None else seen)
        monkeypatch.setattr(looks, "apply", lambda clip, drawn, noise: clip)
        return head.loss(nn.Identity(), torch.zeros(n, 3, t, 2, 2), target)

    return of


def test_the_loss_of_marks_by_hand(judged):
    """Logits 0 say one half everywhere: log 2 each, rare frames as often as their weights: 6, 1.5, 6."""
    log = float(np.log(2))
    marks = torch.zeros(1, 10, 3)
    assert judged(marks)[0].item() == pytest.approx(3 * log)
    one = torch.zeros(1, 10)
    one[0, 4] = 1
    for name, weight in (("new", 6.0), ("inside", 1.5), ("jump", 6.0)):
        assert judged(marks, **{name: one})[0].item() == pytest.approx(3 * log + (weight - 1) * log / 10), name
    assert judged(marks, known=1 - one)[0].item() == pytest.approx((3 - 0.1) * log), "new shots alone are unknown"
    assert judged(marks, seen=1 - one, jump=one)[0].item() == pytest.approx((3 - 0.1) * log)
    tilted = marks.clone()
    tilted[..., 0] = 1.0
    assert judged(tilted)[0].item() == pytest.approx(2 * log + float(np.log(1 + np.e)), rel=1e-5)


def test_the_loss_of_families_is_of_frames_that_have_one(judged):
    marks, log = torch.full((2, 5, 3), -40.0), float(np.log(len(FAMILIES)))
    family = torch.full((2, 5), -1)
    assert judged(marks, family=family)[0].item() == pytest.approx(0, abs=1e-6)
    family[0, 1:3] = 2
    assert judged(marks, family=family)[0].item() == pytest.approx(0.1 * log)
    said = torch.zeros(2, 5, len(FAMILIES))
    said[0, 1, 2] = said[0, 2, 2] = 30.0
    assert judged(marks, said, family=family)[0].item() == pytest.approx(0, abs=1e-5)


def test_scores_of_each_sample(judged):
    marks = torch.full((3, 12, 3), -5.0)
    marks[0, 6, 0] = marks[0, 6, 2] = 5.0  # two frames late
    marks[0, 2:6, 1] = 5.0
    marks[1, 3, 2] = 5.0
    truth = {name: torch.zeros(3, 12) for name in ("new", "inside", "jump")}
    truth["new"][0, 4] = truth["jump"][0, 4] = truth["jump"][1, 3] = 1
    truth["inside"][0, 4:8] = truth["inside"][1, 0] = 1
    _, scores = judged(marks.requires_grad_(), **truth)
    assert scores["new"].tolist() == [1.0, 1.0, 1.0], "within two frames; where nothing is, nothing was found"
    assert scores["jump"].tolist() == [0.0, 1.0, 1.0], "jumps at their very frame"
    assert scores["inside"].tolist() == [pytest.approx(2 / 6), 0.0, 1.0]
    assert not any(each.requires_grad for each in scores.values())


def test_jumps_in_pictures_that_stand_are_not_asked_for_and_the_others_are():
    clip = torch.zeros(1, 3, 8, 2, 2)
    clip[:, :, 4:] = 1.0  # the only change, at frame 4
    jump = torch.zeros(1, 8)
    jump[0, [2, 4]] = 1
    assert task.seen(clip, jump).tolist() == [[1, 1, 0, 1, 1, 1, 1, 1]]
    clip[:, :, 5] = 3.0  # frame 5 changes more than frame 4 does
    assert task.seen(clip, jump).tolist() == [[1, 1, 0, 1, 0, 1, 1, 1]]
