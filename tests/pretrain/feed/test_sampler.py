"""The order of decoding: complete epochs, disjoint shares, partners near each other, exact restore."""

import numpy as np
import pytest

from pretrain.data.dataset import Segment
from pretrain.feed.sampler import Order


def segments(labels, videos=None):
    videos = videos or range(len(labels))
    return [Segment(f"{v}.mp4", 0.0, 1.0, label, v) for v, label in zip(videos, labels)]


@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_segment_once_per_epoch_and_rank_shares_are_disjoint(world):
    data = segments([0] * 7 + [1] * 6 + [2] * 5)
    seen = []
    for rank in range(world):
        order = Order(data, seed=1, rank=rank, world=world)
        first = [order.next() for _ in order.share]
        second = [order.next() for _ in order.share]
        assert sorted(first) == sorted(second) == sorted(order.share)
        assert first != second
        assert {data[i].label for i in first} == {0, 1, 2}
        seen += first
    assert sorted(seen) == list(range(18))


def test_any_stretch_of_the_stream_has_partners():
    data = segments([i // 6 for i in range(60)])
    order = Order(data, seed=0)
    stream = [order.next() for _ in range(600)]
    for start in range(0, 590):
        part = stream[start : start + 5]
        labels = [data[i].label for i in part]
        assert len(set(labels)) < len(labels), "five in a row hold a same-class couple"
    together = [data[a].video != data[b].video for a, b in zip(stream[::2], stream[1::2])]
    assert all(together)
    shuffled = np.random.default_rng(0).permutation(60)
    lonely = [len({data[i].label for i in shuffled[s : s + 5]}) == 5 for s in range(50)]
    assert any(lonely), "negative control: a plain shuffle does not give that"


def test_windows_of_one_video_are_not_made_a_couple():
    data = segments([0] * 8, videos=[0, 0, 0, 0, 1, 1, 2, 3])
    order = Order(data, seed=0)
    for _ in range(20):
        epoch = [order.next() for _ in range(8)]
        couples = list(zip(epoch[::2], epoch[1::2]))
        assert sum(data[a].video != data[b].video for a, b in couples) >= 3


def test_restored_it_goes_on_exactly():
    data = segments([i % 3 for i in range(20)])
    order = Order(data, seed=5)
    [order.next() for _ in range(27)]
    order.strike(3)
    state = order.state_dict()
    expected = [order.next() for _ in range(50)]
    again = Order(data, seed=5)
    again.load_state_dict(state)
    assert [again.next() for _ in range(50)] == expected


def test_three_strikes_take_a_segment_out():
    order = Order(segments([0, 0]), seed=0)
    for _ in range(3):
        order.strike(1)
    assert {order.next() for _ in range(10)} <= {0, 1}
    assert {order.next() for _ in range(10)} == {0}
    for _ in range(2):
        order.strike(0)
    with pytest.raises(RuntimeError, match="no segment is left"):
        order.strike(0)
    with pytest.raises(ValueError, match="every rank needs a segment"):
        Order(segments([0]), seed=0, rank=1, world=2)
