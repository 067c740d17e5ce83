"""The task shots: edit lists, what frames are, what happens to their pictures."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import gpuaug
from pretrain.shots.boundaries import FAMILIES
from pretrain.shots.network import SIZE
from pretrain.tasks.shots import looks, motion, task, timeline

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


def moved(**arrays):
    """What motion.apply makes of noise, with nothing drawn but these arrays, and the noise."""
    clip = pictures(2, 30).transpose(1, 2)
    drawn = motion.draw(np.random.default_rng(0), 2, 30, shake=0.0, traps=0.0) | arrays
    return motion.apply(clip, {name: torch.as_tensor(value) for name, value in drawn.items()}), clip


def test_a_camera_turns_nears_and_rolls():
    camera = np.zeros((2, 30, 4), np.float32)
    camera[0, 10:, 0] = 2 / (SIZE - 1)  # a column to the right
    camera[1, 10:, 3] = np.pi / 2
    found, clip = moved(camera=camera)
    torch.testing.assert_close(found[:, :10], clip[:, :10], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[0, 10:, :, :, :-1], clip[0, 10:, :, :, 1:], atol=1e-4, rtol=0)
    torch.testing.assert_close(found[1, 10:], torch.rot90(clip[1, 10:], 1, (2, 3)), atol=1e-4, rtol=0)
    camera[:] = 0
    camera[0, :, 2] = np.log(0.5)
    found, clip = moved(camera=camera)
    grid = F.affine_grid(torch.tensor([[[0.5, 0, 0], [0, 0.5, 0]]]).expand(30, 2, 3), (30, 3, SIZE, SIZE), True)
    torch.testing.assert_close(found[0], F.grid_sample(clip[0], grid, align_corners=True), atol=1e-4, rtol=0)


def test_a_thing_covers_what_is_behind_it_and_nothing_else():
    thing, surface = np.zeros((2, 2, 30, 5), np.float32), np.zeros((2, 2, 6), np.float32)
    thing[0, 0, 5:20] = (0.0, 0.0, 0.5, 0.5, 1.0)
    surface[0, 0] = (0.1, 0.5, 0.9, 1.0, 0.0, 0.0)  # a colour, with corners and a hard edge
    found, clip = moved(thing=thing, surface=surface)
    torch.testing.assert_close(found[1], clip[1])
    torch.testing.assert_close(found[0, [*range(5), *range(20, 30)]], clip[0, [*range(5), *range(20, 30)]])
    inner, outer = slice(13, 23), [0, 1, 2, 33, 34, 35]
    expected = torch.tensor([0.1, 0.5, 0.9])[None, :, None, None].expand(15, 3, 10, 10)
    torch.testing.assert_close(found[0, 5:20, :, inner, inner], expected)
    torch.testing.assert_close(found[0, :, :, outer], clip[0, :, :, outer])
    surface[0, 0, 5] = 1.0  # the other clip, smaller
    found, clip = moved(thing=thing, surface=surface)
    assert (found[0, 5:20, :, inner, inner] - clip[1, 5:20, :, 8:28:2, 8:28:2]).abs().mean() < 0.4
    assert found[0, 5:20, :, inner, inner].std() > 0.1


def test_things_come_in_from_beyond_the_edge():
    found = motion.draw(np.random.default_rng(1), 400, 100, shake=0.0, traps=1.0)["thing"]
    there = found[..., 4] > 0
    assert there.any(2).mean() > 0.8
    came = there[..., 1:] & ~there[..., :-1]
    outside = (np.abs(found[..., 1:, :2]) - found[..., 1:, 2:4] > 0.7).any(-1)
    assert outside[came].mean() > 0.8


def test_shots_longer_than_their_clips_go_back_and_forth():
    line = timeline.draw(np.random.default_rng(0), 60, length=148, shots=2, dense=0.0, gradual=0.0, jumps=0.0)
    plan = timeline.compose(np.random.default_rng(0), line, np.full((60, 2), 40), fast=0.5)
    clip, frame = plan.clip[:, :, 0], plan.frame[:, :, 0]
    assert 0 <= frame.min() <= frame.max() <= 39
    step = np.abs(np.diff(frame.astype(float), axis=1))[clip[:, 1:] == clip[:, :-1]]
    assert step.max() <= 14  # 2.5 times 5, to whole frames
    assert (step > 3).any()
    slow = timeline.compose(np.random.default_rng(0), line, np.full((60, 2), 40), fast=0.0)
    step = np.abs(np.diff(slow.frame[:, :, 0].astype(float), axis=1))[clip[:, 1:] == clip[:, :-1]]
    assert step.max() <= 3
