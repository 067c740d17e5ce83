"""Passes in order, of windows and of whole segments: what every batch shows, its partners, and what fails."""

import numpy as np
import pytest

import gpuaug
from gpuaug.supply.draw import Draw
from gpuaug.supply.supply import Shown
from support.fake_decoder import FPS, LENGTH, dataset, loader, sample

WAYS = ["whole", "spread"]  # planned first, and decoded first


@pytest.fixture(params=WAYS)
def how(request):
    return {"shuffle": False, "placement": request.param, "batch": 2}


def videos(batches):
    return [batch.target["video"].tolist() for batch in batches]


@pytest.mark.parametrize("slots", [None, 2, 3, 5])
def test_every_segment_once_in_order_pass_after_pass(decoder, how, slots):
    with loader(dataset(videos=7), slots=slots, **how) as source:
        for _ in range(2):
            batches = [(b.video.tolist(), b.segment.tolist(), b.clips.clone(), b.target) for b in source]
            assert [video for video, *_ in batches] == [[0, 1], [2, 3], [4, 5], [6]]
            for video, segment, clips, target in batches:
                assert video == segment == target["video"].tolist()
                np.testing.assert_allclose(clips[:, 0].mean((1, 2, 3)) * 255, video, atol=1e-4)
                np.testing.assert_allclose(clips[:, 1, :, 0, 0] * 255, [[0, 1, 2, 3]] * len(video), atol=1e-4)
        assert len(source) == 4


def test_of_whole_segments_only_the_frames_shown_are_decoded(decoder):
    decoder.calls = decoder.painted = 0
    with loader(dataset(videos=5), shuffle=False, placement="whole", batch=2, slots=4) as source:
        stream = iter(source)
        next(stream)
        source.settle()
        assert decoder.calls == 5, "three batches are on their way"
        list(stream)
        list(source)
    assert decoder.calls == 10
    assert decoder.painted == 4 * decoder.calls


@pytest.mark.parametrize("slots", [None, 2])
def test_what_fails_is_named_once_and_left_out(decoder, how, slots):
    decoder.broken = frozenset({"1", "4", "5"})
    with loader(dataset(videos=7), slots=slots, **how) as source:
        for _ in range(2):
            assert videos(source) == [[0], [2, 3], [6]]
        assert sorted({failure.path for failure in source.failures}) == ["1", "4", "5"]
        if how["placement"] == "spread":
            assert len(source.failures) == 3
        with pytest.raises(gpuaug.NoSegmentLeft, match="no window of batch 2 can be shown, for example 1: broken"):
            source.batch(2)


def test_a_pass_that_was_begun_elsewhere_may_end_with_nothing(decoder, how):
    """All of it failing is an error, the rest of it is not."""
    decoder.broken = frozenset({"4", "5", "6"})
    with loader(dataset(videos=7), slots=3, **how) as source:
        stream = iter(source)
        assert videos([next(stream), next(stream)]) == [[0, 1], [2, 3]]
        state = source.state_dict()
    with loader(dataset(videos=7), slots=3, **how) as again:
        again.load_state_dict(state)
        assert list(again) == []
        assert again.step == 4
        assert videos(again) == [[0, 1], [2, 3]]


def test_batches_that_a_pass_does_not_have(decoder, how):
    with loader(dataset(videos=7), **how) as source:
        for step in (4, 99):
            with pytest.raises(ValueError, match=rf"step must be in \[0, 4\), the batches of a pass, got step={step}"):
                source.batch(step)
        assert source.batch(3).target["video"].tolist() == [6]
        assert source.batch(1).target["video"].tolist() == [2, 3], "any of them"


def noting(met):
    """A plan function that notes which videos the bank names."""

    def function(rng, bank, n, *, first):
        met.append(sorted(bank.info["video"][bank.slots()].tolist()))
        return sample(rng, bank, n, first=first)

    return function


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"slots": 4}, [[0, 1, 2, 3], [0, 1, 2, 3], [2, 3, 4, 5], [3, 4, 5, 6]]),
        ({"slots": 2}, [[0, 1], [2, 3], [4, 5], [5, 6]]),
        ({"slots": 20}, [list(range(7))] * 4),
        ({"slots": 4, "rank": 1, "world": 2}, [[0, 1, 3, 5], [0, 1, 3, 5]]),  # its own first, then of the other's
        ({"slots": 2, "rank": 0, "world": 2}, [[0, 2], [4, 6]]),
    ],
)
def test_partners_beside_the_windows_of_a_batch(decoder, how, options, expected):
    met = []
    usual = {"frames": LENGTH, "fps": FPS, "size": 8}
    with gpuaug.Loader(dataset(videos=7), noting(met), **usual, **how, **options) as source:
        if options.get("world"):
            assert len(source) == 2
        for _ in range(2):
            met.clear()
            list(source)
            assert [m for k, m in enumerate(met) if k < len(expected)] == expected


def test_partners_that_fail_are_none(decoder, how):
    decoder.broken = frozenset({"3"})
    met = []
    usual = {"frames": LENGTH, "fps": FPS, "size": 8, "slots": 4}
    with gpuaug.Loader(dataset(videos=4), noting(met), **usual, **how) as source:
        list(source)
        met.clear()
        list(source)
    assert met == [[0, 1, 2], [0, 1, 2]]


def test_a_plan_function_may_leave_samples_out(decoder, how):
    def even(rng, bank, n, *, first):
        slot = first[bank.info["video"][first] % 2 == 0]
        plan = gpuaug.Plan.take(slot, np.arange(4.0))
        return plan, {"slot": slot, "seen": bank.info["video"][slot]}

    usual = {"frames": LENGTH, "fps": FPS, "size": 8, "slots": 4}
    with gpuaug.Loader(dataset(videos=6), even, **usual, **how) as source:
        batches = [(b.target["seen"].tolist(), b.video.tolist(), b.segment.tolist()) for b in source]
    assert batches == [([k], [k], [k]) for k in (0, 2, 4)]


def test_batches_of_which_nothing_is_shown_are_left_out(decoder, how):
    def late(rng, bank, n, *, first):
        slot = first[bank.info["video"][first] >= 4]
        return gpuaug.Plan.take(slot, np.zeros((len(slot), 2))), {"slot": slot}

    usual = {"frames": LENGTH, "fps": FPS, "size": 8, "slots": 4}
    with gpuaug.Loader(dataset(videos=6), late, **usual, **how) as source:
        assert [batch.video.tolist() for batch in source] == [[4, 5]]


# ---- generators, and what a sample is of ----------------------------------------------------------------------------


def test_a_step_has_a_generator_for_its_plan_and_one_for_its_views():
    drawn = []

    def function(rng, bank, n, **first):
        drawn.append((rng.integers(1 << 30), n, first))
        return gpuaug.Plan.take(bank.slots()[:n], [0.0])

    bank = gpuaug.ClipBank(6, 2, 1, 1)
    bank.reserve(np.arange(6), {"frames": 2})
    draw = Draw(function, bank, batch=3, seed=7, rank=2, windows=2, samples_per_visit=1, rows=1)
    draw(5)
    expected = np.random.default_rng([7, 2, 5])
    assert drawn == [(expected.integers(1 << 30), 3, {})]
    rng, _, _ = draw(5)
    assert rng.random() == expected.random(), "which goes on with the views"
    assert draw.views(5).random() == np.random.default_rng([7, 2, 5, 2]).random()
    assert draw.views(5).random() != draw.views(6).random()
    first = np.arange(4)
    draw(0, first=first)
    assert drawn[-1][1:] == (2, {"first": first}), "a sample for each visit of two windows"


def test_samples_are_told_by_slot_or_by_their_order():
    first, segment = np.array([4, 5, 2, 3]), np.array([7, 7, 9, 9])
    video_S = np.array([0, 0, 20, 20, 10, 10])

    def told(per_visit, **target):
        shown = Shown(None, None, target, None, None, first, segment, video_S)
        return [values.tolist() for values in shown.samples(per_visit, 2)]

    assert told(1) == [[10, 20], [7, 9]]
    assert told(3) == [[10, 10, 10, 20, 20, 20], [7, 7, 7, 9, 9, 9]]
    assert told(1, slot=np.array([3, 4, 4])) == [[20, 10, 10], [9, 7, 7]]
    assert Shown(None, None, {}, None, None).samples(1, 1) == (None, None)
    pixels = gpuaug.ClipBank(6, 1, 1, 1)
    pixels.reserve(np.arange(6), {"video": video_S + 1})
    shown = Shown(None, None, {}, pixels, None, first, segment)
    assert shown.samples(1, 2)[0].tolist() == [11, 21], "as the bank's table says"
