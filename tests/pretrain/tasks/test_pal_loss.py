"""PAL's loss: against a plain computation, its negative controls, its state, and what it measures on held-out pairs."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from pretrain.tasks.pal import task as pal
from support.composites import FRAMES, Colors, J, batch


def plain_embedding(encoder, embed, clip_CTYX, start, stop):
    """One composite, clip by clip, in float64: the formulas with Python's slices."""
    vectors = []
    for j in range(J):
        part = clip_CTYX[:, j * FRAMES : (j + 1) * FRAMES]
        x = encoder(part[None])[0].double()
        for layer in embed.mlp:
            if isinstance(layer, nn.Linear):
                x = layer.weight.double() @ x + (0 if layer.bias is None else layer.bias.double())
            elif isinstance(layer, nn.BatchNorm1d):  # by its running statistics
                x = (x - layer.running_mean) / (layer.running_var + layer.eps).sqrt() * layer.weight + layer.bias
            else:
                x = x.clamp_min(0)
        vectors.append(x)
    for layer in embed.temporal:
        if isinstance(layer, nn.ReLU):
            vectors = [x.clamp_min(0) for x in vectors]
            continue
        padded = [torch.zeros_like(vectors[0]), *vectors, torch.zeros_like(vectors[0])]
        kernel = layer.weight.double()
        vectors = [sum(kernel[:, :, k] @ padded[j + k] for k in range(3)) + layer.bias.double() for j in range(J)]
    vectors = [x / x.norm() for x in vectors]
    mean = sum(vectors[start:stop]) / (stop - start)
    return mean / mean.norm()


@pytest.mark.parametrize("same_video", [True, False])
def test_the_loss_equals_a_plain_computation(same_video):
    torch.manual_seed(0)
    encoder = Colors()
    head = pal.Head(6, [], pal.Settings(dim=5, queue=7, temperature=0.2, momentum=0.6, same_video=same_video))
    norm = head.embed.mlp[1].eval()  # clip by clip there is no batch
    torch.nn.init.uniform_(norm.running_mean), torch.nn.init.uniform_(norm.running_var, 0.5, 2.0)
    slow_encoder, slow_embed = copy.deepcopy(encoder), copy.deepcopy(head.embed)
    optimizer = torch.optim.SGD([*encoder.parameters(), *head.parameters()], 0.3)
    queue = []  # (key, video), newest last
    for step in range(4):
        clips, target = batch(3, step)
        loss, scores = head.loss(encoder, clips, target)
        if step:
            fast = [*encoder.parameters(), *head.embed.parameters()]
            for slow, new in zip([*slow_encoder.parameters(), *slow_embed.parameters()], fast):
                slow.data = 0.6 * slow.data + 0.4 * new.data
        expected, hits = [], []
        spans = list(zip(target["start"].tolist(), target["stop"].tolist()))
        videos = [int(target["video"][row][spans[row][0]]) for row in range(3)]
        keys = [plain_embedding(slow_encoder, slow_embed, clips[row], *spans[row]).detach() for row in (3, 4, 5)]
        for row in range(3):
            query = plain_embedding(encoder, head.embed, clips[row], *spans[row])
            others = [(keys[k], videos[k]) for k in range(3) if k != row] + queue[-7:]
            negative = [query @ other for other, its in others if same_video or its != videos[row]]
            score = torch.stack([query @ keys[row], *negative]) / 0.2
            expected.append(torch.logsumexp(score, 0) - score[0])
            hits.append(float(all(score[0] > score[1:])))
        queue += list(zip(keys, videos))
        torch.testing.assert_close(loss.double(), sum(expected) / 3, rtol=1e-4, atol=1e-5)
        assert scores["contrast"].tolist() == hits
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert len(queue) > 7, "the ring has gone round"


def test_slow_network_gets_no_gradient_and_is_no_parameter():
    head, encoder = pal.Head(6, [], pal.Settings(queue=4)), Colors()
    count = len(list(head.parameters()))
    loss, _ = head.loss(encoder, *batch(2, 0))
    loss.backward()
    assert len(list(head.parameters())) == count
    assert not any(
        p.requires_grad for net in head._slow.follow(encoder, head.embed, update=False) for p in net.parameters()
    )
    assert all(p.grad is not None for p in encoder.parameters())


def train(head, encoder, steps, spoil=None, first=0):
    """Losses of a few steps of training; `spoil(clips, target)` makes a negative control."""
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], 3e-3)
    losses = []
    for step in range(first, first + steps):
        clips, target = batch(16, step)
        loss, _ = head.loss(encoder, *(spoil(clips, target) if spoil else (clips, target)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_resumed_it_goes_on_exactly():
    torch.manual_seed(0)
    encoder, head = Colors(), pal.Head(6, [], pal.Settings(dim=8, queue=40, momentum=0.9))
    train(head, encoder, 3)
    state = copy.deepcopy({"encoder": encoder.state_dict(), "head": head.state_dict()})
    expected = train(head, encoder, 3, first=3)
    encoder2, head2 = Colors(), pal.Head(6, [], pal.Settings(dim=8, queue=40, momentum=0.9))
    encoder2.load_state_dict(state["encoder"])
    head2.load_state_dict(state["head"])
    before_use = head2.state_dict()
    assert train(head2, encoder2, 3, first=3) == expected
    assert torch.equal(
        before_use["_extra_state"]["slow"]["nets"]["0.linear.weight"],
        state["head"]["_extra_state"]["slow"]["nets"]["0.linear.weight"],
    )
    assert torch.equal(
        head2.state_dict()["_extra_state"]["keys"]["key"], head.state_dict()["_extra_state"]["keys"]["key"]
    )
    with pytest.raises(ValueError, match=r"queue and dim must be as in the checkpoint, \(40, 8\), got \(20, 8\)"):
        pal.Head(6, [], pal.Settings(dim=8, queue=20)).load_state_dict(state["head"])


def test_state_survives_a_checkpoint_file(tmp_path):
    head, encoder = pal.Head(6, [], pal.Settings(dim=8, queue=16)), Colors()
    head.loss(encoder, *batch(2, 0))
    torch.save(head.state_dict(), tmp_path / "state.pt")
    pal.Head(6, [], pal.Settings(dim=8, queue=16)).load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))


def shifted(clips, target):
    """The slices one clip late: the first background clip after the region instead of the region's first clip."""
    return clips, {**target, "start": target["start"] + 1, "stop": target["stop"] + 1}


def strange(clips, target, pairs=16):
    """Each query with the key of another pair."""
    order = torch.cat([torch.arange(pairs), pairs + torch.arange(pairs).roll(1)])
    return clips[order], {name: value[order] for name, value in target.items()}


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_negative_controls_do_not_reach_the_loss_of_the_aligned_run(seed):
    """Slices one clip late, and keys of other videos, against the aligned run with the same seed and batches.

    Without temporal convolutions, which see two clips to each side and so could undo a shift of one.
    """

    def final(spoil=None):
        torch.manual_seed(seed)
        head, encoder = pal.Head(6, [], pal.Settings(dim=16, queue=128, momentum=0.99, temporal_layers=0)), Colors()
        return np.mean(train(head, encoder, 60, spoil)[-20:])

    aligned, late, other = final(), final(shifted), final(strange)
    assert late > aligned + 0.4
    assert other > aligned + 0.4


def held_out(head, encoder, batches):
    """What a validation of these batches comes to."""
    parts = [head.loss(encoder, *each)[1] for each in batches]
    return head.held_out({name: torch.cat([part[name] for part in parts]).detach().numpy() for name in parts[0]})


def test_held_out_queries_look_for_their_keys_among_64():
    torch.manual_seed(0)
    head, encoder = pal.Head(6, [], pal.Settings(dim=8, queue=16, temperature=0.2)), Colors()
    head.loss(encoder, *batch(4, 0))
    before = copy.deepcopy(head.state_dict()["_extra_state"])
    head.eval()
    batches = [batch(40, step) for step in range(4)]
    loss, scores = held_out(head, encoder, batches)
    assert len(scores["retrieval"]) == 160
    assert head.constant == {"retrieval": 1 / 64}
    after = head.state_dict()["_extra_state"]
    assert torch.equal(after["keys"]["key"], before["keys"]["key"]), "held-out keys do not enter the queue"
    old, new = (state["slow"]["nets"] for state in (before, after))
    assert all(torch.equal(old[name], new[name]) for name in old)

    pairs = [head.loss(encoder, *each)[1] for each in batches]
    query, key, video = (torch.cat([each[name] for each in pairs]).detach() for name in ("query", "key", "video"))
    expected = []
    for i in range(160):
        others = [j % 160 for j in range(i + 1, i + 64) if video[j % 160] != video[i]]
        score = torch.stack([query[i] @ key[j] for j in [i, *others]]) / 0.2
        expected.append(torch.logsumexp(score, 0) - score[0])
        assert bool(scores["retrieval"][i]) == bool((score[0] > score[1:]).all())
    assert loss == pytest.approx(torch.stack(expected).mean().item(), rel=1e-5)


def test_held_out_numbers_follow_the_network_and_not_the_queue():
    """A queue fills over thousands of steps; a network that stays as it is must not seem to change."""
    torch.manual_seed(0)
    head, encoder = pal.Head(6, [], pal.Settings(dim=8, queue=512)), Colors()
    head.loss(encoder, *batch(4, 0))
    head.eval()
    found = []
    for size in (0, 40, 400):
        head._keys.push(torch.nn.functional.normalize(torch.randn(size, 8), dim=1), torch.arange(size) + 100)
        found.append(held_out(head, encoder, [batch(40, 0), batch(40, 1)]))
    assert len({loss for loss, _ in found}) == 1
    assert len({scores["retrieval"].tobytes() for _, scores in found}) == 1


def test_keys_of_all_processes_are_negatives_and_queued(monkeypatch):
    """We are the second of two processes; the other one's keys are ours reversed, its videos ours plus 100."""

    def all_gather(parts, value):
        parts[0].copy_(-value if value.is_floating_point() else value + 100)
        parts[1].copy_(value)

    torch.manual_seed(0)
    head, encoder = pal.Head(6, [], pal.Settings(dim=8, queue=16, temperature=0.5)), Colors()
    clips, target = batch(3, 0)
    alone, _ = copy.deepcopy(head).loss(encoder, clips, target)
    fakes = {
        "is_initialized": lambda: True,
        "get_world_size": lambda: 2,
        "get_rank": lambda: 1,
        "all_gather": all_gather,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.distributed, name, fake)
    together, _ = head.loss(encoder, clips, target)
    state = head.state_dict()["_extra_state"]["keys"]
    torch.testing.assert_close(state["key"][:3], -state["key"][3:6])
    assert state["video"][:6].tolist() == [*(state["video"][3:6] + 100).tolist(), *state["video"][3:6].tolist()]
    assert state["pushed"] == 6
    query = region_of(head.embed, encoder, clips, target)
    own = (query * state["key"][3:6]).sum(1) / 0.5
    both = torch.stack([own, *(query @ state["key"][:6].T / 0.5).unbind(1)], 1)
    hidden = torch.cat([torch.zeros(3, 4), torch.eye(3)], 1).bool()
    same = state["video"][3:6][:, None] == state["video"][3:6]
    hidden[:, 4:] |= same
    expected = torch.logsumexp(both.masked_fill(hidden, -torch.inf), 1) - own
    torch.testing.assert_close(together, expected.mean())
    assert together > alone


def region_of(embed, encoder, clips, target):
    pairs = len(clips) // 2
    return pal.region_mean(embed(encoder, clips[:pairs], J), target["start"][:pairs], target["stop"][:pairs])
