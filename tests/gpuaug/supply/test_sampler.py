"""The order of decoding: complete passes, disjoint shares, partners near each other, exact restore."""

import sys

import numpy as np
import pytest

from gpuaug import Failure, NoSegmentLeft, Segment
from gpuaug.supply.sampler import SegmentSampler

LOST = [Failure(0, "a.mp4", "gone"), Failure(3, "b.mp4", "damaged")]


def segments(labels, videos=None):
    videos = range(len(labels)) if videos is None else videos
    return [Segment(f"{v}.mp4", 0.0, 1.0, label, v) for v, label in zip(videos, labels)]


def sampler(data, **options):
    return SegmentSampler(data, **{"frames": 5, "fps": 10.0, "seed": 1, **options})


def numbers(source, count):
    return [source.next().segment for _ in range(count)]


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_segment_once_per_pass_over_all_ranks(world, pairs):
    data = segments([0] * 8 + [1] * 8 + [2] * 8)
    ranks = [sampler(data, rank=rank, world=world, pairs=pairs) for rank in range(world)]
    shares = []
    for epoch in range(4):
        visits = [[rank.next() for _ in range(24 // world)] for rank in ranks]
        assert {visit.epoch for each in visits for visit in each} == {epoch}
        assert sorted(visit.segment for each in visits for visit in each) == list(range(24))
        shares.append([[visit.segment for visit in each] for each in visits])
    assert shares[0] != shares[1]
    if world > 1:
        assert len({tuple(sorted(share[0])) for share in shares}) > 1, "shares are dealt out anew"


def test_of_an_odd_number_every_rank_gets_as_many_in_the_long_run():
    ranks = [sampler(segments([0] * 7), rank=rank, world=2, pairs=False) for rank in range(2)]
    for _ in range(5):
        two_passes = [number for rank in ranks for number in numbers(rank, 7)]
        assert sorted(two_passes) == sorted(2 * list(range(7)))


def test_any_stretch_of_the_stream_has_partners():
    data = segments([i // 6 for i in range(60)])
    stream = numbers(sampler(data), 600)
    for start in range(0, 590):
        labels = [data[i].label for i in stream[start : start + 5]]
        assert len(set(labels)) < len(labels), "five in a row hold a same-class couple"
    assert all(data[a].video != data[b].video for a, b in zip(stream[::2], stream[1::2]))
    for plain in (numbers(sampler(data, pairs=False), 60), np.random.default_rng(0).permutation(60).tolist()):
        lonely = [len({data[i].label for i in plain[s : s + 5]}) == 5 for s in range(50)]
        assert any(lonely), "negative control: a plain shuffle does not give that"


def test_couples_stay_on_one_rank():
    data = segments([i // 6 for i in range(60)])
    for rank in range(2):
        stream = numbers(sampler(data, rank=rank, world=2), 120)
        assert all(data[a].label == data[b].label for a, b in zip(stream[::2], stream[1::2]))


def test_windows_of_one_video_are_not_made_a_couple():
    data = segments([0] * 8, videos=[0, 0, 0, 0, 1, 1, 2, 3])
    source = sampler(data, seed=0)
    for _ in range(20):
        epoch = numbers(source, 8)
        assert sum(data[a].video != data[b].video for a, b in zip(epoch[::2], epoch[1::2])) >= 3


def test_balanced_labelled_and_other_segments_take_turns():
    data = segments([0, -1, 1, -1, -1])
    source = sampler(data, balance=True, pairs=False)
    stream = numbers(source, 24)
    assert all((data[i].label >= 0) == (k % 2 == 0) for k, i in enumerate(stream))
    assert sorted(stream[::2]) == sorted([0, 2] * 6)
    assert sorted(stream[1::2]) == sorted([1, 3, 4] * 4)
    with pytest.raises(ValueError, match="balance needs labelled segments and others"):
        sampler(segments([0, 1]), balance=True)


def test_without_shuffling_the_order_is_the_data_set_s():
    data = segments([0, 1] * 5)
    assert numbers(sampler(data, shuffle=False, pairs=False), 20) == 2 * list(range(10))
    fixed = sampler(data, shuffle=False, pairs=True)
    assert numbers(fixed, 10) == numbers(fixed, 10)
    ranks = [numbers(sampler(data, shuffle=False, pairs=False, rank=rank, world=2), 5) for rank in range(2)]
    assert ranks == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]


def test_restored_it_goes_on_exactly():
    data = segments([i % 3 for i in range(20)])
    source = sampler(data, seed=5, rank=1, world=2)
    numbers(source, 27)
    source.count_failure(3, LOST)
    state = source.state_dict()
    expected = [source.next() for _ in range(50)]
    again = sampler(data, seed=5, rank=1, world=2)
    again.load_state_dict(state)
    assert [again.next() for _ in range(50)] == expected
    moved = sampler([Segment(f"elsewhere/{s.path}", s.start_seconds, s.end_seconds, s.label) for s in data])
    visit = moved.visit(expected[0].state())
    assert visit.windows[0].path == f"elsewhere/{expected[0].windows[0].path}"
    assert visit.windows[0].start_seconds == expected[0].windows[0].start_seconds


def test_three_failures_take_a_segment_out():
    source = sampler(segments([0, 0]))
    for _ in range(2):
        source.count_failure(1, LOST)
    assert set(numbers(source, 10)) == {0, 1}
    source.count_failure(1, LOST)
    assert source.given_up(1)
    assert set(numbers(source, 10)) == {0}
    again = sampler(segments([0, 0]))
    again.load_state_dict(source.state_dict())
    for each in (source, again):
        for _ in range(2):
            each.count_failure(0, LOST)
        with pytest.raises(NoSegmentLeft, match=r"no segment is left: every one failed to decode, first a\.mp4: gone$"):
            each.count_failure(0, LOST)


def test_of_two_sides_both_have_to_last():
    source = sampler(segments([0, -1, -1, 1]), balance=True, pairs=False)
    for segment in (0, 1, 2):
        for _ in range(2):
            source.count_failure(segment, LOST)
    source.count_failure(0, LOST)
    source.count_failure(1, LOST)
    with pytest.raises(NoSegmentLeft, match="no segment without a label is left"):
        source.count_failure(2, LOST)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 1, "world": 2}, "every rank needs a segment, got 1 segments for world=2"),
        ({"frames": 0}, "frames must be ≥ 1, got frames=0"),
        ({"windows": 0}, "windows must be ≥ 1, got windows=0"),
        ({"placement": "even"}, "placement must be one of random, spread, ends, whole, got placement='even'"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        sampler(segments([0]), **options)


def lines_run(function, *arguments):
    """Lines of Python that a call runs through."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*arguments)
    finally:
        sys.settrace(before)
    return count


def test_counting_a_failure_takes_no_more_steps_for_more_videos():
    """A disk with a great many videos that goes away is told of in seconds, not in days."""
    few, many = (sampler(segments([0] * n), pairs=False) for n in (3, 30_000))
    steps = [[lines_run(source.count_failure, 1, LOST) for _ in range(3)] for source in (few, many)]
    assert steps[0] == steps[1]
    assert steps[0][0] > 0
    for source, left in ((few, 2), (many, 29_999)):
        assert (source.given_up(1), source._left.tolist()) == (True, [left])


def test_dealing_a_pass_takes_no_more_steps_for_more_videos_or_classes():
    rng = np.random.default_rng(0)
    few, many = (sampler(segments(rng.integers(0, classes, 20 * classes).tolist())) for classes in (2, 400))
    steps = [lines_run(source._passes[0]._deal, 7) for source in (few, many)]
    assert 0 < steps[1] <= steps[0]


@pytest.mark.parametrize(
    ("placement", "windows", "starts"),
    [
        ("spread", 1, [3.0]),  # the middle of 2 … 4, where a window of 0.5 s may begin
        ("spread", 2, [2.5, 3.5]),
        ("spread", 4, [2.25, 2.75, 3.25, 3.75]),
        ("ends", 1, [3.0]),
        ("ends", 2, [2.0, 4.0]),
        ("ends", 3, [2.0, 3.0, 4.0]),
    ],
)
def test_where_windows_begin(placement, windows, starts):
    source = sampler([Segment("a", 2.0, 4.5, 0, 0)], placement=placement, windows=windows)
    visit = source.next()
    assert [window.start_seconds for window in visit.windows] == pytest.approx(starts)
    assert {(window.path, window.fps, window.frames, window.edge) for window in visit.windows} == {
        ("a", 10.0, 5, "error")
    }
    assert visit.state() == (0, 0, [(start, 5) for start in [w.start_seconds for w in visit.windows]])


@pytest.mark.parametrize(
    ("seconds", "frames", "slack"),
    [(0.5, 5, 0), (0.49, 4, 0.09), (0.3, 3, 0), (0.7 - 0.4, 3, 0), (0.05, 1, 0), (2.0, 5, 1.5), (0.5999, 5, 0.0999)],
)
def test_a_short_segment_gives_as_many_frames_as_it_has(seconds, frames, slack):
    source = sampler([Segment("a", 1.0, 1.0 + seconds, 0, 0)], placement="ends", windows=2)
    first, last = source.next().windows
    assert (first.frames, last.frames) == (frames, frames)
    assert (first.start_seconds, last.start_seconds) == (1.0, pytest.approx(1.0 + slack, abs=1e-9))


def test_random_windows_are_in_order_and_anywhere_in_the_segment():
    source = sampler([Segment("a", 1.0, 3.5, 0, 0)], windows=3)
    starts = np.array([[window.start_seconds for window in source.next().windows] for _ in range(300)])
    assert (np.diff(starts, axis=1) > 0).all()
    assert 1.0 <= starts.min() < 1.02
    assert 2.98 < starts.max() <= 3.0
    np.testing.assert_allclose(starts.mean(0), [1.5, 2.0, 2.5], atol=0.08)  # order statistics of three
    again = sampler([Segment("a", 1.0, 3.5, 0, 0)], windows=3)
    assert [window.start_seconds for window in again.next().windows] == starts[0].tolist()
    for other in ({"seed": 2}, {"rank": 1, "world": 2}):
        data = [Segment("a", 1.0, 3.5, 0, 0)] * 2
        assert [w.start_seconds for w in sampler(data, windows=3, pairs=False, **other).next().windows] != starts[
            0
        ].tolist()


def test_passes_are_counted_from_0():
    source = sampler(segments([0, 0, 0]), pairs=False)
    assert source.epoch == -1
    assert [source.next().epoch for _ in range(7)] == [0, 0, 0, 1, 1, 1, 2]
    assert source.epoch == 2
    balanced = sampler(segments([0, -1, -1, -1]), balance=True, pairs=False)
    for _ in range(6):
        balanced.next()
    assert balanced.epoch == 0, "the earlier one of the two sides"


def test_of_an_order_that_stays_a_rank_meets_its_own_segments_alone():
    """4 segments over 2 ranks: each has two of them for good; once they are given up nothing is left."""
    source = sampler(segments([0] * 4), shuffle=False, pairs=False, rank=1, world=2)
    assert numbers(source, 4) == [1, 3, 1, 3]
    for _ in range(3):
        source.count_failure(1, LOST)
    assert set(numbers(source, 3)) == {3}
    for _ in range(2):
        source.count_failure(3, LOST)
    with pytest.raises(NoSegmentLeft):
        source.count_failure(3, LOST)
    odd = sampler(segments([0] * 3), shuffle=False, pairs=False, rank=1, world=2)
    assert numbers(odd, 3) == [1, 0, 2], "which go round where the ranks do not divide them"
    for segment in (1, 0):
        for _ in range(3):
            odd.count_failure(segment, LOST)
    assert set(numbers(odd, 2)) == {2}


def test_balance_names_the_side_that_is_lost():
    source = sampler(segments([0, -1]), balance=True, pairs=False)
    for _ in range(2):
        source.count_failure(0, LOST)
    with pytest.raises(NoSegmentLeft, match="no segment that is labelled is left"):
        source.count_failure(0, LOST)
