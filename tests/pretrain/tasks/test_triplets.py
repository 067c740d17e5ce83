"""Which videos meet in a pair: whole groups, three different videos, all about equally often."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuaug.bank import Starved
from pretrain.tasks.pal import task as pal
from pretrain.tasks.pal.triplets import draw_triples, whole_groups
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
