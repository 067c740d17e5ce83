"""TSP: clips and targets against the bank, the two losses against plain ones, the GVF file."""

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gpuaug.bank import ClipBank, Starved
from pretrain.tasks.tsp import task as tsp

LENGTH = 6

BALANCED = tsp.Settings(balance=True)


def make_bank(labels, reuse_max=None, length=LENGTH):
    """One window per label (−1: background), two windows to a group, three groups to a video."""
    bank = ClipBank(len(labels), length, 1, 1, reuse_max=reuse_max)
    for slot, label in enumerate(labels):
        row = {"video": slot // 6, "label": label, "group": slot // 2, "position": slot % 2}
        row |= {"start_seconds": 10.0 * slot, "fps": 4.0}
        bank.write(slot, torch.zeros(length, 1, 1, 3, dtype=torch.uint8), row)
    return bank


labels = st.lists(st.integers(-1, 3), min_size=2, max_size=20).filter(lambda x: min(x) < 0 <= max(x))


@given(labels, st.integers(1, 9), st.booleans(), st.integers(0, 2**32))
def test_a_target_is_that_of_the_slot_the_plan_shows(label, n, balance, seed):
    bank = make_bank(label)
    plan, target = tsp.sample(np.random.default_rng(seed), bank, n, tsp.Settings(frames=LENGTH, balance=balance))
    assert plan.shape == (n, LENGTH, 1)
    assert (plan.frame[:, :, 0] == np.arange(LENGTH)).all()
    assert (plan.weight == 1).all()
    for row in range(n):
        (slot,) = set(plan.clip[row].ravel().tolist())
        assert target["action"][row] == label[slot]
        assert target["region"][row] == (label[slot] >= 0)
        assert target["video"][row] == slot // 6
        assert target["group"][row] == slot // 2
        assert (target["start_seconds"][row], target["end_seconds"][row]) == (10 * slot, 10 * slot + LENGTH / 4)
    if balance:
        assert abs(2 * target["region"].sum() - n) <= 1, "as many actions as background"


def test_an_odd_batch_is_balanced_on_average():
    bank = make_bank([0, 1, -1, -1])
    counts = [tsp.sample(np.random.default_rng(seed), bank, 3, BALANCED)[1]["region"].sum() for seed in range(400)]
    assert set(counts) == {1, 2}
    assert abs(np.mean(counts) - 1.5) < 0.1


def test_without_balance_clips_come_as_they_are():
    bank = make_bank([0] * 2 + [-1] * 8)
    region = tsp.sample(np.random.default_rng(0), bank, 10, tsp.Settings(balance=False))[1]["region"]
    assert region.sum() == 2


def test_balance_is_not_an_order():
    bank = make_bank([0, 1, -1, -1])
    regions = np.array([tsp.sample(np.random.default_rng(s), bank, 4, BALANCED)[1]["region"] for s in range(300)])
    assert abs(regions.mean(0) - 0.5).max() < 0.12


def test_no_window_is_shown_more_often_than_allowed():
    bank, rng = make_bank([0, 1, 2] * 2 + [-1] * 4, reuse_max=5), np.random.default_rng(0)
    for _ in range(10):
        plan, _ = tsp.sample(rng, bank, 4, BALANCED)
        with bank.reading(plan.clip):
            pass
        assert bank.info["uses"].max() <= 5
    assert set(bank.info["uses"][bank.info["label"] < 0]) == {5}, "background is used up first: 4 windows, 5 times each"
    with pytest.raises(Starved, match="2 windows are wanted, 0 usable"):
        tsp.sample(rng, bank, 4, BALANCED)


def test_one_seed_one_batch():
    bank = make_bank([0, 1, 2, -1] * 4)
    first, again, other = (
        tsp.sample(np.random.default_rng(seed), bank, 8, tsp.Settings())[0].clip for seed in (1, 1, 2)
    )
    assert (first == again).all()
    assert not (first == other).all()


def test_a_window_shorter_than_a_clip_repeats_its_end():
    plan, _ = tsp.sample(np.random.default_rng(0), make_bank([0, -1], length=3), 2, tsp.Settings(frames=5))
    assert plan.frame[0, :, 0].tolist() == [0, 1, 2, 2, 2]


def test_a_bank_of_one_kind_is_starved_of_the_other():
    cure = "give --annotations of videos with background of 16 frames or more, or leave out --balance"
    with pytest.raises(Starved, match=f"clips of background are wanted for balance, the bank holds none: {cure}$"):
        tsp.sample(np.random.default_rng(0), make_bank([0, 1]), 2, BALANCED)
    with pytest.raises(Starved, match="clips of action are wanted"):
        tsp.sample(np.random.default_rng(0), make_bank([-1]), 2, BALANCED)
    with pytest.raises(Starved, match="1 windows are wanted"):
        tsp.sample(np.random.default_rng(0), ClipBank(2, 1, 1, 1), 2, BALANCED)


# Losses


class Colors(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)

    def forward(self, clip_NCTYX):
        return self.linear(clip_NCTYX.mean((2, 3, 4)))


def batch(action, seed=0, gvf=None):
    clip = torch.randn(len(action), 3, 2, 2, 2, generator=torch.Generator().manual_seed(seed))
    action = torch.tensor(action)
    target = {"action": action, "region": (action >= 0).long()}
    return clip, {**target, "gvf": torch.tensor(gvf)} if gvf else target


def plain_loss(head, encoder, clip, target, weights, table=None):
    """Eq. (1), sample by sample, in float64."""
    action, region = [], []
    for n in range(len(clip)):
        feature = encoder(clip[n : n + 1])[0].double()
        score = head.action.weight.double() @ feature + head.action.bias.double()
        if target["action"][n] >= 0:
            action.append(torch.logsumexp(score, 0) - score[target["action"][n]])
        if table is not None:
            feature = torch.cat([feature, torch.from_numpy(table[target["gvf"][n]]).double()])
        score = head.region.weight.double() @ feature + head.region.bias.double()
        region.append(torch.logsumexp(score, 0) - score[int(target["action"][n] >= 0)])
    mean_action = sum(action) / len(action) if action else 0
    return weights[0] * mean_action + weights[1] * sum(region) / len(region)


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.0, 1.0), (2.0, 0.5), (1.0, 0.0)])
@pytest.mark.parametrize("action", [[0, -1, 2, -1, 1], [-1, -1], [1, 1]])
def test_the_loss_equals_equation_1(weights, action):
    torch.manual_seed(0)
    encoder, head = (
        Colors(),
        tsp.Head(4, ["a", "b", "c"], tsp.Settings(action_weight=weights[0], region_weight=weights[1])),
    )
    clip, target = batch(action)
    loss, scores = head.loss(encoder, clip, target)
    expected = plain_loss(head, encoder, clip, target, weights)
    torch.testing.assert_close(loss.double(), torch.as_tensor(expected), rtol=1e-5, atol=1e-6)
    assert scores["action"][0].tolist() == action
    assert scores["region"][0].tolist() == [int(a >= 0) for a in action]
    feature = encoder(clip)
    assert scores["action"][1].tolist() == head.action(feature).argmax(1).tolist()
    assert scores["region"][1].tolist() == head.region(feature).argmax(1).tolist()


def test_without_an_action_clip_the_action_loss_is_zero_and_finite():
    torch.manual_seed(0)
    encoder, head = Colors(), tsp.Head(4, ["a", "b"], tsp.Settings(region_weight=0.0))
    loss, _ = head.loss(encoder, *batch([-1, -1, -1]))
    loss.backward()
    assert loss.item() == 0
    for parameter in [*encoder.parameters(), *head.parameters()]:
        assert parameter.grad is not None, "DDP waits for the gradient of every parameter"
        assert torch.equal(parameter.grad, torch.zeros_like(parameter))


def test_both_heads_learn():
    torch.manual_seed(0)
    encoder, head = Colors(), tsp.Head(4, ["a", "b"], tsp.Settings())
    hues = torch.tensor([[2.0, 0, 0], [0, 2.0, 0], [0, 0, 2.0]])  # of the two actions and of background
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], 0.05)
    for step in range(60):
        clip, target = batch([0, 1, -1, -1] * 4, seed=step)
        clip = clip + hues[target["action"]][:, :, None, None, None]
        loss, scores = head.loss(encoder, clip, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    (truth, action), (region, inside) = scores["action"], scores["region"]
    assert (truth == action)[truth >= 0].float().mean() > 0.9
    assert (region == inside).float().mean() > 0.9


def test_options_out_of_range_are_refused():
    with pytest.raises(ValueError, match="TSP needs videos with annotated actions, got no class"):
        tsp.Head(4, [], tsp.Settings())
    with pytest.raises(ValueError, match=r"weights must be ≥ 0 and not both 0, got 0\.0 and 0\.0"):
        tsp.Head(4, ["a"], tsp.Settings(action_weight=0.0, region_weight=0.0))


# Global video features


def gvf_file(folder, vectors):
    path = folder / "gvf.h5"
    with h5py.File(path, "w") as file:
        for name, vector in vectors.items():
            file[name] = np.float32(vector)
    return str(path)


@pytest.fixture
def gvf(tmp_path):
    return gvf_file(tmp_path, {"zebra": [1, 2, 3, 4], "ape": [5, 6, 7, 8], "b/cat.x": [0, 1, 0, 1], "c/cat.x": [9] * 4})


def test_every_clip_meets_the_vector_of_its_own_video(gvf):
    torch.manual_seed(0)
    bank = make_bank([0, -1] * 9)
    bank.videos = ["/videos/ape.mp4", "zebra.avi", "/videos/c/cat.x.mp4"]
    table = np.float32([[5, 6, 7, 8], [0, 1, 0, 1], [9] * 4, [1, 2, 3, 4]])  # by name
    vector_of = {0: table[0], 1: table[3], 2: table[2]}
    encoder, head = Colors(), tsp.Head(4, ["a"], tsp.Settings(gvf=gvf))
    for seed in range(5):
        plan, target = tsp.sample(np.random.default_rng(seed), bank, 6, tsp.Settings(gvf=gvf))
        for slot, row in zip(plan.clip[:, 0, 0], target["gvf"]):
            assert (table[row] == vector_of[slot // 6]).all()
        clip, tensors = batch(target["action"].tolist(), seed, target["gvf"].tolist())
        loss, _ = head.loss(encoder, clip, tensors)
        expected = plain_loss(head, encoder, clip, tensors, (1, 1), table)
        torch.testing.assert_close(loss.double(), torch.as_tensor(expected), rtol=1e-5, atol=1e-6)
        strange = plain_loss(head, encoder, clip, {**tensors, "gvf": (tensors["gvf"] + 1) % 4}, (1, 1), table)
        assert abs(loss.item() - strange.item()) > 1e-3, "another video's vector would be noticed"


def test_videos_without_a_vector_are_named(gvf):
    bank = make_bank([0, -1])
    bank.videos = ["ape.mp4", "dog.mp4", "x/cow.mp4"]
    with pytest.raises(ValueError, match=r"gvf.h5 must have a vector for every video, it lacks dog.mp4, x/cow.mp4$"):
        tsp.sample(np.random.default_rng(0), bank, 2, tsp.Settings(gvf=gvf))
    bank.videos = [f"{i}.mp4" for i in range(14)]
    with pytest.raises(ValueError, match=r"9.mp4 and 4 more$"):
        tsp.sample(np.random.default_rng(0), bank, 2, tsp.Settings(gvf=gvf))


def test_a_file_of_whole_sequences_is_no_gvf(tmp_path):
    path = gvf_file(tmp_path, {"ape": np.zeros((3, 4))})
    with pytest.raises(ValueError, match=r"must hold one vector of 3 numbers per video, got \(3, 4\) for ape"):
        tsp.Head(4, ["a"], tsp.Settings(gvf=path))
    with pytest.raises(ValueError, match="there is no"):
        tsp.Head(4, ["a"], tsp.Settings(gvf=str(tmp_path / "none.h5")))


def test_the_vectors_are_not_part_of_the_state(gvf):
    head = tsp.Head(4, ["a"], tsp.Settings(gvf=gvf))
    assert set(head.state_dict()) == {"action.weight", "action.bias", "region.weight", "region.bias"}
    assert head.region.weight.shape == (2, 8)
    assert tsp.Head(4, ["a"], tsp.Settings()).region.weight.shape == (2, 4)
