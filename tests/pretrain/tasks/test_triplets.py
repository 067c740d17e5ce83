"""Which videos meet in a pair: whole groups, three different videos, all about equally often."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuaug.bank import Starved
from pretrain.tasks.pal import task as pal
from pretrain.tasks.pal.triplets import draw_backgrounds, draw_triples, whole_groups
from support.banks import set_columns
from support.plans.composites import FRAMES, J, make_bank


def test_only_whole_groups_are_drawn():
    bank = make_bank(range(4), reuse_max=3)
    uses, group = np.zeros(4 * J, np.int64), bank.info["group"].copy()
    uses[group == 2] = [0] * 7 + [3]
    set_columns(bank, uses=uses)
    groups = whole_groups(bank)
    assert bank.info["position"][groups].tolist() == [list(range(J))] * 3
    assert set(bank.info["group"][groups].ravel()) == {0, 1, 3}
    uses[group == 1] = [2] + [0] * 7  # one use left, but a group is shown twice
    set_columns(bank, uses=uses)
    with pytest.raises(Starved):
        pal.sample(np.random.default_rng(0), bank, 1, pal.Settings(frames=FRAMES))


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


def test_an_empty_bank_has_no_groups():
    bank = make_bank(range(3), windows=2, length=1, reuse_max=1)
    set_columns(bank, uses=1)
    with pytest.raises(Starved, match=r"^the bank has no window that may be shown$"):
        whole_groups(bank)
    set_columns(bank, uses=[0] + [1] * 5)
    assert whole_groups(bank).shape == (0, 2), "half a group is none"


def test_groups_are_as_long_as_the_windows_that_are_there():
    """Positions of slots that wait for new windows say nothing; of several groups the order is by group."""
    bank = make_bank([7, 8, 9], windows=2, length=1)
    position = bank.info["position"].copy()
    position[bank.info["group"] == 2] = 5
    set_columns(bank, position=position, ready=bank.info["group"] != 2)
    groups = whole_groups(bank)
    assert bank.info["group"][groups].tolist() == [[0, 0], [1, 1]]
    assert bank.info["position"][groups].tolist() == [[0, 1], [0, 1]]


def test_given_actions_meet_two_backgrounds_of_other_videos():
    """Uniform among the groups of others: of the videos 0, 1, 2, 2 and the action 0 the backgrounds are 1 and 2."""
    bank = make_bank([0, 1, 2, 2], windows=2, length=1)
    groups, actions = whole_groups(bank), np.arange(4).repeat(400)
    rows = draw_backgrounds(np.random.default_rng(0), bank, groups, actions)
    assert rows.shape == (3, 1600)
    assert (rows[0] == actions).all()
    assert all(len(set(column)) == 3 for column in bank.info["video"][groups[rows, 0]].T)
    pairs, counts = np.unique(rows[1:, :400], axis=1, return_counts=True)
    assert pairs.T.tolist() == [[1, 2], [1, 3], [2, 1], [3, 1]]
    assert abs(counts - 100).max() < 40


@pytest.mark.parametrize(("videos", "enough"), [([0, 1, 1, 0], False), ([0, 1, 2], True)])
def test_backgrounds_need_three_videos(videos, enough):
    bank = make_bank(videos, windows=1, length=1)
    groups = whole_groups(bank)
    if enough:
        assert sorted(draw_backgrounds(np.random.default_rng(0), bank, groups, np.array([1]))[:, 0]) == [0, 1, 2]
        return
    with pytest.raises(Starved, match=r"^pairs of three videos each are wanted, 2 videos are there$"):
        draw_backgrounds(np.random.default_rng(0), bank, groups, np.array([1]))


def test_a_group_is_as_used_as_its_most_used_window():
    """Two more uses have to be left: of three groups of three videos none of the first is drawn once one is not."""
    bank = make_bank(range(4), windows=3, length=1, reuse_max=3)
    groups, uses = whole_groups(bank), np.zeros(12, np.int64)
    uses[groups[0, 1]], uses[groups[1, 2]] = 2, 1
    set_columns(bank, uses=uses)
    drawn = {int(row) for seed in range(20) for row in draw_triples(np.random.default_rng(seed), bank, groups, 1)[:, 0]}
    assert drawn == {1, 2, 3}
    with pytest.raises(Starved):
        draw_triples(np.random.default_rng(0), bank, groups, 2)


def test_composites_of_given_groups_show_their_action():
    """Given are all windows of a group, pair after pair; query and key have regions of that video."""
    bank = make_bank([5, 3, 9, 7])
    groups = whole_groups(bank)
    first = groups[[2, 0, 2]].ravel()
    _, target = pal.sample(np.random.default_rng(0), bank, 3, pal.Settings(frames=FRAMES), first=first)
    assert target["video"][np.arange(6), target["start"]].tolist() == [9, 5, 9] * 2
    assert not (target["video"][:, 0] == np.array([9, 5, 9] * 2)).any()
