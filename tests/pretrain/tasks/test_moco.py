"""Contrastive learning: retrieval, the ring of keys, the slow networks."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pretrain.tasks.pal import task as pal
from pretrain.tasks.pal.moco import KeyQueue, MomentumEncoder, among_candidates, info_nce, similarity
from support.plans.composites import FRAMES, Colors, batch


def test_retrieval_counts_ties_as_misses():
    same = torch.ones(4, 2) / 2**0.5
    videos = torch.arange(4)
    assert among_candidates(same, same, videos, 4, 0.07)[1].tolist() == [False] * 4
    query = F.normalize(torch.randn(4, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    assert among_candidates(query, query, videos, 4, 0.07)[1].tolist() == [True] * 4
    assert among_candidates(same, same, torch.zeros(4), 4, 0.07)[1].tolist() == [True] * 4, "all of one video"
    loss, hit = info_nce(same, same, same, torch.eye(4, dtype=torch.bool), 0.07)
    torch.testing.assert_close(loss, torch.full((4,), float(np.log(4))))
    assert hit.tolist() == [0.0] * 4


def test_a_queue_shorter_than_a_batch_keeps_the_last_keys():
    keys = KeyQueue(3, 1)
    keys.push(torch.arange(5.0)[:, None], torch.arange(5))
    assert sorted(keys.content(torch.zeros(1))[0].ravel().tolist()) == [2.0, 3.0, 4.0]


def test_a_queue_has_room_for_one_key_at_least():
    keys = KeyQueue(1, 2)
    keys.push(torch.eye(2), torch.tensor([5, 6]))
    assert [each.tolist() for each in keys.content(torch.zeros(1))] == [[[0.0, 1.0]], [6]]
    with pytest.raises(ValueError, match=r"^queue must be ≥ 1, got queue=0$"):
        KeyQueue(0, 2)
    other = KeyQueue(1, 2)
    assert len(other.content(torch.zeros(1))[0]) == 0
    other.load_state_dict(keys.state_dict())
    assert other.content(torch.zeros(1))[1].tolist() == [6]
    keys.push(torch.zeros(1, 2), torch.tensor([7]))
    assert other.content(torch.zeros(1))[1].tolist() == [6], "a copy"
    with pytest.raises(ValueError, match=r"queue and dim must be as in the checkpoint, \(1, 2\), got \(2, 2\)"):
        KeyQueue(2, 2).load_state_dict(keys.state_dict())


def test_statistics_of_the_slow_networks():
    """Its own, of the batches it sees; or those of the fast one, averaged: the mean at first, then slowly moving."""
    net, own, following = nn.BatchNorm1d(1), MomentumEncoder(0.5, batch_statistics=True), MomentumEncoder(0.75)
    own.follow(net, update=True)
    following.follow(net, update=True)
    seen = []
    for value in (1.0, 2.0, 3.0, 4.0, 5.0):
        net.running_mean.fill_(value)
        seen.append(following.follow(net, update=True)[0].running_mean.item())
    assert own.follow(net, update=True)[0].running_mean.item() == 0
    assert seen == pytest.approx([1.0, 1.5, 2.0, 2.5, 2.5 * 0.75 + 5 * 0.25])
    assert own.follow(net, update=False)[0].training
    assert not following.follow(net, update=False)[0].training
    assert not own.follow(net.eval(), update=False)[0].training


@pytest.mark.parametrize("batch_statistics", [True, False])
def test_the_slow_networks_statistics_are_those_asked_for(batch_statistics):
    """The setting reaches the copy, which follows the mode of the networks only where it uses the batch's own."""
    clips, target = batch(16, 0)
    net, head = Colors(), pal.Head(6, [], pal.Settings(frames=FRAMES, dim=4, batch_statistics=batch_statistics))
    head.loss(net, clips, target)
    slow = head._slow.follow(net, head.embed, update=False)
    assert [each.training for each in slow] == [batch_statistics] * 2
    head.eval()
    head.train()
    assert head.training
    assert head.embed.training
    head.eval()
    net.eval()
    assert not any(each.training for each in head._slow.follow(net, head.embed, update=False))


@pytest.mark.parametrize("batch_statistics", [True, False])
def test_slow_statistics_are_those_of_the_first_process(monkeypatch, batch_statistics):
    """All numbers of a float kind in one message, in the order of the buffers; counts stay as they are."""
    sent = []

    def broadcast(value, source):
        sent.append((value.tolist(), source))
        value.copy_(torch.arange(len(value)) + 10.0)

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "broadcast", broadcast)
    net, plain = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(1)), nn.Linear(1, 1)
    slow = MomentumEncoder(0.5, batch_statistics=batch_statistics)
    slow.follow(net, update=True)
    assert sent == [], "a copy just made is everywhere the same"
    (copied,) = slow.follow(net, update=True)
    assert sent == [([0.0, 0.0, 1.0, 1.0, 0.0, 1.0], 0)]
    means, variances = [[each.tolist() for each in (norm.running_mean, norm.running_var)] for norm in copied]
    assert (means, variances) == ([[10.0, 11.0], [12.0, 13.0]], [[14.0], [15.0]])
    assert [norm.num_batches_tracked.item() for norm in copied] == [0, 0]
    alone = MomentumEncoder(0.5)
    for _ in range(2):
        alone.follow(plain, update=True)
    assert len(sent) == 1, "nothing is sent where there are no statistics"


def test_counts_are_those_of_the_network_unless_the_copy_counts_itself():
    for batch_statistics, expected in ((False, 7), (True, 0)):
        net, slow = nn.BatchNorm1d(1), MomentumEncoder(0.5, batch_statistics=batch_statistics)
        slow.follow(net, update=False)
        net.num_batches_tracked.fill_(7)
        assert slow.follow(net, update=True)[0].num_batches_tracked.item() == expected


def test_a_restored_copy_moves_at_once_and_counts_on():
    """Its statistics are the mean of two updates before it was saved, so the third has a third of the weight."""
    net, first, second = nn.BatchNorm1d(1), MomentumEncoder(0.9), MomentumEncoder(0.9)
    assert first.state_dict() == {"nets": None, "updates": 0}
    first.follow(net, update=False)
    for value in (1.0, 3.0):
        net.running_mean.fill_(value)
        first.follow(net, update=True)
    second.follow(nn.BatchNorm1d(1), update=True)
    second.load_state_dict(first.state_dict())
    assert second.state_dict()["updates"] == 2
    net.running_mean.fill_(8.0)
    assert second.follow(net, update=True)[0].running_mean.item() == pytest.approx((1 + 3 + 8) / 3)
    assert first.follow(net, update=False)[0].running_mean.item() == 2.0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_cosines_are_not_rounded_under_autocast(dtype):
    """0.75 + 1/1024 is no number of bfloat16; of narrow queries and keys the sum is one of float32."""
    query, key = torch.tensor([[1.0, 2**-5]], dtype=dtype), torch.tensor([[0.75, 2**-5], [1.0, 0.0]], dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16):
        found = similarity(query, key)
    assert found.tolist() == [[0.75 + 2**-10, 1.0]]
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert similarity(query[None], key[None]).shape == (1, 1, 2)


def test_candidates_are_the_next_pairs_in_a_ring():
    """Of four: with 2 candidates the third finds its key before that of the fourth, with 3 the first's is as near."""
    query, key = torch.eye(4), torch.eye(4)
    key[0, 2] = 1.0
    for candidates, third in ((2, True), (3, False), (4, False), (9, False)):
        loss, hit = among_candidates(query, key, torch.arange(4), candidates, 0.5)
        assert hit.tolist() == [True, True, third, True]
        others = min(candidates, 4) - 1
        near = np.exp(2 * np.array([1.0, 0.0]))
        assert loss[1].item() == pytest.approx(np.log((near[0] + others * near[1]) / near[0]), rel=1e-5)
    assert among_candidates(query, key, torch.tensor([2, 1, 2, 3]), 4, 0.5)[1].tolist() == [True] * 4
