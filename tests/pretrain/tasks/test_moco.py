"""Contrastive learning: retrieval, the ring of keys, the slow networks."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pretrain.tasks.pal import task as pal
from pretrain.tasks.pal.moco import KeyQueue, MomentumEncoder, among_candidates, info_nce
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
