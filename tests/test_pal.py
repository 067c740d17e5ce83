"""PAL: composites and their targets, recomputed from the plan frame by frame; the loss against a plain one."""

import copy
import functools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gpuaug.bank import ClipBank, Starved
from pretrain import pal
from pretrain.contrast import Keys, Slow, info_nce, retrieved
from pretrain.groups import draw_triples, whole_groups

J, FRAMES = 8, 4


def make_bank(videos, windows=J, length=29, reuse_max=None, short=None):
    """Groups in a shuffled order of slots; the pixels of a slot say (video, position, frame)."""
    bank = ClipBank(len(videos) * windows, length, 1, 1, reuse_max=reuse_max)
    slots = np.random.default_rng(0).permutation(len(bank.info)).reshape(len(videos), windows)
    for group, video in enumerate(videos):
        for position, slot in enumerate(slots[group]):
            put(bank, slot, video, group, position, (short or {}).get(video, length))
    return bank


def put(bank, slot, video, group, position, length):
    frames = torch.zeros(length, 1, 1, 3, dtype=torch.uint8)
    frames[..., 0], frames[..., 1] = video, position
    frames[..., 2] = torch.arange(length)[:, None, None]
    bank.write(slot, frames, {"video": video, "group": group, "position": position})


def taps(plan, bank, row, t):
    """{video: (position, frame, weight)} of one output frame, without zero weights; a video twice is an error."""
    shown = {}
    for clip, frame, weight in zip(plan.clip[row, t], plan.frame[row, t], plan.weight[row, t]):
        if weight:
            video = int(bank.info["video"][clip])
            assert video not in shown
            shown[video] = (int(bank.info["position"][clip]), int(frame), float(weight))
    return shown


@settings(max_examples=60, deadline=None)
@given(
    st.integers(3, 10), st.integers(1, 6), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**32), st.booleans()
)
def test_every_composite_is_what_the_paper_says_and_its_target_what_the_plan_says(j, n, frames, stride_max, seed, soft):
    bank = make_bank([5, 3, 9, 7], windows=j, length=(frames - 1) * stride_max + 3)
    opacity = (0.6, 0.95) if soft else (1.0, 1.0)
    plan, target = pal.sample(
        np.random.default_rng(seed), bank, n, frames=frames, stride_max=stride_max, opacity=opacity
    )
    assert plan.shape[:2] == (2 * n, j * frames)
    assert plan.shape[2] == (2 if soft else 1)
    assert plan.frame.max() < bank.info["frames"].min()
    np.testing.assert_allclose(plan.weight.sum(2), 1, atol=1e-6)
    for row in range(2 * n):
        frame = [taps(plan, bank, row, t) for t in range(j * frames)]
        (background,) = frame[0]
        region = [clip for clip in range(j) if any(video != background for video in frame[clip * frames])]
        start, stop = region[0], region[-1] + 1
        assert (target["start"][row], target["stop"][row]) == (start, stop)
        assert region == list(range(start, stop))
        assert 1 <= start < stop <= j - 1, "background on each side, at least one clip of action"
        (action,) = set(frame[start * frames]) - {background}
        beta = frame[start * frames][action][2]
        assert opacity[0] - 1e-6 <= beta <= opacity[1] + 1e-6
        assert target["opacity"][row] == np.float32(beta)
        first = frame[start * frames][action][0]
        for clip in range(j):
            inside = start <= clip < stop
            assert target["video"][row, clip] == (action if inside else background)
            assert target["source"][row, clip] == (first + clip - start if inside else clip)
            for shown in frame[clip * frames : (clip + 1) * frames]:
                if not inside:
                    assert shown.keys() == {background}
                else:
                    assert shown[action][2] == pytest.approx(beta, abs=1e-6)
                    assert shown[action][0] == first + clip - start
                    assert shown.keys() == ({action, background} if soft else {action})
                if background in shown:
                    assert shown[background][0] == clip
        check_strides(frame, [action, background], frames, stride_max)
        partner = (row + n) % (2 * n)
        assert target["video"][partner][target["start"][partner]] == action, "query and key show one action"
        assert target["video"][partner, 0] not in (background, action), "on two backgrounds"


def check_strides(frame, videos, frames, stride_max):
    """One stride and one first frame per video, in all its clips."""
    for video in videos:
        seen = {}
        for t, shown in enumerate(frame):
            if video in shown:
                seen.setdefault(t % frames, set()).add(shown[video][1])
        assert all(len(value) == 1 for value in seen.values())
        steps = set(np.diff([seen[k].pop() for k in range(frames)]).tolist())
        assert len(steps) <= 1
        assert steps <= set(range(1, stride_max + 1))


def test_regions_strides_and_opacities_are_spread_as_the_options_say():
    bank = make_bank(range(12))
    plan, target = pal.sample(np.random.default_rng(0), bank, 2000, frames=2)
    length = target["stop"] - target["start"]
    np.testing.assert_allclose(np.bincount(length) / len(length), [0] + [1 / 6] * 6, atol=0.02)
    assert abs(np.corrcoef(length[:2000], length[2000:])[0, 1]) < 0.06, "independent draws for query and key"
    start = target["source"][np.arange(len(length)), target["start"]]
    assert set(start[length == 6]) == {0, 1, 2}
    assert set(start[length == 1]) == set(range(8))
    assert set(target["start"][length == 6]) == {1}
    assert set(target["start"][length == 1]) == set(range(1, 7))
    assert abs(target["opacity"].mean() - 0.8) < 0.01
    _, time = plan.source()
    step = np.diff(time[:, :2]).ravel()
    np.testing.assert_allclose(np.bincount(step.astype(int)) / len(step), [0] + [0.25] * 4, atol=0.02)
    two, _ = pal.sample(np.random.default_rng(0), bank, 500, frames=2, length_min=2, length_max=3, stride_max=1)
    assert set(np.diff(two.source()[1][:, :2]).ravel()) == {1.0}


def test_windows_too_short_for_a_stride_get_smaller_ones():
    bank = make_bank([0, 1, 2], short={0: 9, 1: 5, 2: 3})  # 4 frames: strides up to 2, 1, and a repeated end
    plan, _ = pal.sample(np.random.default_rng(0), bank, 200, frames=FRAMES, opacity=(1.0, 1.0))
    video = bank.info["video"][plan.clip[:, :, 0]].reshape(-1, FRAMES)
    frame = plan.frame[:, :, 0].reshape(-1, FRAMES)
    steps = {v: set(map(tuple, np.diff(frame[video[:, 0] == v]))) for v in range(3)}
    assert steps == {0: {(1, 1, 1), (2, 2, 2)}, 1: {(1, 1, 1)}, 2: {(1, 1, 0)}}


def test_one_seed_one_batch():
    bank = make_bank(range(6))
    (plan, target), (again, same), (other, _) = (
        pal.sample(np.random.default_rng(seed), bank, 4, frames=FRAMES) for seed in (1, 1, 2)
    )
    assert (plan.clip == again.clip).all()
    assert (plan.time == again.time).all()
    assert (plan.weight == again.weight).all()
    assert all((target[name] == same[name]).all() for name in target)
    assert not (plan.clip.shape == other.clip.shape and (plan.clip == other.clip).all())


@pytest.mark.parametrize(("reuse", "n"), [(2, 1), (3, 4), (8, 4)])
def test_no_window_is_shown_more_often_than_allowed(reuse, n):
    rng = np.random.default_rng(0)
    bank = make_bank(range(15), reuse_max=reuse)
    renewed = 0
    for _ in range(60):
        try:
            plan, _ = pal.sample(rng, bank, n, frames=FRAMES)
        except Starved:
            spent = {int(bank.info["group"][slot]) for slot in np.flatnonzero(bank.info["uses"] > reuse - 2)}
            assert spent, "starved although nothing is used up"
            for slot in np.flatnonzero(np.isin(bank.info["group"], list(spent))):
                video, group, position = (int(bank.info[name][slot]) for name in ("video", "group", "position"))
                put(bank, slot, video, group, position, 29)
            renewed += 1
            continue
        with bank.reading(plan.clip):
            pass
        assert bank.info["uses"].max() <= reuse
    assert renewed
    assert bank.rendered > 60 * n * J / 2


def test_only_whole_groups_are_drawn():
    bank = make_bank(range(4), reuse_max=3)
    bank.info["uses"][bank.info["group"] == 2] = [0] * 7 + [3]
    groups = whole_groups(bank)
    assert bank.info["position"][groups].tolist() == [list(range(J))] * 3
    assert set(bank.info["group"][groups].ravel()) == {0, 1, 3}
    bank.info["uses"][bank.info["group"] == 1] = [2] + [0] * 7  # one use left, but a group is shown twice
    with pytest.raises(Starved):
        pal.sample(np.random.default_rng(0), bank, 1, frames=FRAMES)


@given(st.lists(st.integers(0, 5), min_size=3, max_size=12), st.integers(1, 9), st.integers(0, 99))
def test_three_videos_meet_or_the_bank_is_starved(videos, n, seed):
    bank = make_bank(videos, windows=3, length=1)
    groups = whole_groups(bank)
    share = np.bincount(videos).max() / len(videos)
    try:
        rows = draw_triples(np.random.default_rng(seed), bank, groups, n)
    except Starved:
        assert share > 1 / 3 or 3 * n % len(videos), "evenly drawn, no video fills more than its share"
        return
    shown = bank.info["video"][groups[rows, 0]]
    assert all(len(set(column)) == 3 for column in shown.T)


def test_videos_meet_freely():
    """In a batch in which every video occurs several times, its partners are not the same ones each time."""
    bank = make_bank(range(12), windows=3, length=1)
    groups = whole_groups(bank)
    rows = draw_triples(np.random.default_rng(0), bank, groups, 32)
    triples = {tuple(sorted(column)) for column in rows.T}
    assert len(triples) > 20
    counts = np.zeros((12, 12))
    for seed in range(300):
        action, query, key = draw_triples(np.random.default_rng(seed), bank, groups, 8)
        np.add.at(counts, (action, query), 1)
        np.add.at(counts, (action, key), 1)
    share = counts[~np.eye(12, dtype=bool)] / counts.sum() * (12 * 11)
    assert abs(share - 1).max() < 0.5, "all pairs are about equally likely"
    assert np.diag(counts).sum() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"opacity": (0.5, 1.0)}, r"opacity must be 0.5 < low ≤ high ≤ 1, got opacity=\(0.5, 1.0\)"),
        ({"opacity": (0.9, 0.8)}, "opacity must be"),
        ({"length_max": 7}, "lengths must be 1 ≤ min ≤ max ≤ windows − 2 = 6, got length_min=1, length_max=7"),
        ({"length_min": 0}, "lengths must be"),
        ({"frames": 0}, "frames and stride_max must be ≥ 1, got frames=0, stride_max=4"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        pal.sample(np.random.default_rng(0), make_bank(range(4)), 1, **options)


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="reuse_max must be ≥ 2 for PAL"):
        pal.sample(np.random.default_rng(0), make_bank(range(4), reuse_max=1), 1)
    with pytest.raises(ValueError, match="windows − 2 = 0"):
        pal.sample(np.random.default_rng(0), make_bank(range(4), windows=2), 1)
    with pytest.raises(Starved, match="2 videos make fewer"):
        pal.sample(np.random.default_rng(0), make_bank([0, 1, 1]), 1)
    with pytest.raises(ValueError, match="momentum must be in"):
        pal.Head(3, [], momentum=1.5)
    with pytest.raises(ValueError, match="queue must be ≥ 1, got queue=0"):
        pal.Head(3, [], queue=0)


# The loss


class Colors(nn.Module):
    """The mean colour of a clip, through a linear layer."""

    def __init__(self, features=6):
        super().__init__()
        self.linear = nn.Linear(3, features)
        self.features = features

    def forward(self, clip_NCTYX):
        assert clip_NCTYX.shape[2] == FRAMES
        return self.linear(clip_NCTYX.mean((2, 3, 4)))


@functools.cache
def batch(n, seed):
    """Clips in which each of 24 videos has a colour of its own, rendered from a plan of PAL."""
    hues = np.random.default_rng(7).normal(size=(24, 3))
    bank = make_bank(range(len(hues)))
    plan, target = pal.sample(np.random.default_rng(seed), bank, n, frames=FRAMES)
    color_NTKC = hues[bank.info["video"][plan.clip]]
    clip_NTC = (color_NTKC * plan.weight[..., None]).sum(2)
    clips = torch.from_numpy(clip_NTC).float().transpose(1, 2)[..., None, None].expand(-1, -1, -1, 2, 2)
    return clips.contiguous(), {name: torch.from_numpy(value) for name, value in target.items()}


def plain_embedding(encoder, embed, clip_CTYX, start, stop):
    """One composite, clip by clip, in float64: the formulas with Python's slices."""
    vectors = []
    for j in range(J):
        part = clip_CTYX[:, j * FRAMES : (j + 1) * FRAMES]
        x = encoder(part[None])[0].double()
        for layer in embed.mlp:
            x = layer.weight.double() @ x + layer.bias.double() if isinstance(layer, nn.Linear) else x.clamp_min(0)
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
    head = pal.Head(6, [], dim=5, queue=7, temperature=0.2, momentum=0.6, same_video=same_video)
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
    head, encoder = pal.Head(6, [], queue=4), Colors()
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
    encoder, head = Colors(), pal.Head(6, [], dim=8, queue=40, momentum=0.9)
    train(head, encoder, 3)
    state = copy.deepcopy({"encoder": encoder.state_dict(), "head": head.state_dict()})
    expected = train(head, encoder, 3, first=3)
    encoder2, head2 = Colors(), pal.Head(6, [], dim=8, queue=40, momentum=0.9)
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
        pal.Head(6, [], dim=8, queue=20).load_state_dict(state["head"])


def test_state_survives_a_checkpoint_file(tmp_path):
    head, encoder = pal.Head(6, [], dim=8, queue=16), Colors()
    head.loss(encoder, *batch(2, 0))
    torch.save(head.state_dict(), tmp_path / "state.pt")
    pal.Head(6, [], dim=8, queue=16).load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))


def shifted(clips, target):
    """The slices one clip late: the first background clip after the region instead of the region's first clip."""
    return clips, {**target, "start": target["start"] + 1, "stop": target["stop"] + 1}


def strange(clips, target, pairs=16):
    """Each query with the key of another pair."""
    order = torch.cat([torch.arange(pairs), pairs + torch.arange(pairs).roll(1)])
    return clips[order], {name: value[order] for name, value in target.items()}


@pytest.mark.parametrize("seed", [0, 1])
def test_negative_controls_do_not_reach_the_loss_of_the_aligned_run(seed):
    """Slices one clip late, and keys of other videos, against the aligned run with the same seed and batches.

    Without temporal convolutions, which see two clips to each side and so could undo a shift of one.
    """

    def final(spoil=None):
        torch.manual_seed(seed)
        head, encoder = pal.Head(6, [], dim=16, queue=128, momentum=0.99, temporal_layers=0), Colors()
        return np.mean(train(head, encoder, 60, spoil)[-20:])

    aligned, late, other = final(), final(shifted), final(strange)
    assert late > aligned + 0.4
    assert other > aligned + 0.4


def test_held_out_queries_look_for_their_keys_among_64():
    torch.manual_seed(0)
    head, encoder = pal.Head(6, [], dim=8, queue=16), Colors()
    head.loss(encoder, *batch(4, 0))
    before = copy.deepcopy(head.state_dict()["_extra_state"])
    head.eval()
    counts, found = [], []
    for step in range(4):
        _, scores = head.loss(encoder, *batch(40, step))
        counts.append(len(scores["retrieval"]))
        found += scores["retrieval"].tolist()
    assert counts == [0, 64, 0, 64], "160 pairs make two lots of 64"
    assert set(found) <= {0.0, 1.0}
    after = head.state_dict()["_extra_state"]
    assert torch.equal(after["keys"]["key"], before["keys"]["key"]), "held-out keys do not enter the queue"
    old, new = (state["slow"]["nets"] for state in (before, after))
    assert all(torch.equal(old[name], new[name]) for name in old)
    head.eval()
    assert len(head.loss(encoder, *batch(40, 0))[1]["retrieval"]) == 0, "the next validation starts anew"


def test_retrieval_counts_ties_as_misses():
    same = torch.ones(4, 2) / 2**0.5
    assert retrieved([torch.stack([same, same])], 4)[0].tolist() == [0.0] * 4
    query = F.normalize(torch.randn(4, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    assert retrieved([torch.stack([query, query])], 4)[0].tolist() == [1.0] * 4
    loss, hit = info_nce(same, same, same, torch.eye(4, dtype=torch.bool), 0.07)
    torch.testing.assert_close(loss, torch.full((4,), float(np.log(4))))
    assert hit.tolist() == [0.0] * 4


def test_a_queue_shorter_than_a_batch_keeps_the_last_keys():
    keys = Keys(3, 1)
    keys.push(torch.arange(5.0)[:, None], torch.arange(5))
    assert sorted(keys.content(torch.zeros(1))[0].ravel().tolist()) == [2.0, 3.0, 4.0]


def test_statistics_of_the_slow_networks():
    """Its own, of the batches it sees; or those of the fast one, averaged: the mean at first, then slowly moving."""
    net, own, following = nn.BatchNorm1d(1), Slow(0.5, batch_statistics=True), Slow(0.75)
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


def test_keys_of_all_processes_are_negatives_and_queued(monkeypatch):
    """We are the second of two processes; the other one's keys are ours reversed, its videos ours plus 100."""

    def all_gather(parts, value):
        parts[0].copy_(-value if value.is_floating_point() else value + 100)
        parts[1].copy_(value)

    torch.manual_seed(0)
    head, encoder = pal.Head(6, [], dim=8, queue=16, temperature=0.5), Colors()
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
