"""The loader: determinism, reuse limits, failures, restore. The decoder is a stand-in that paints numbers."""

import numpy as np
import pytest
import torch

import gpuaug
from support.fake_decoder import FPS, LENGTH, dataset, equal, loader, run


@pytest.mark.parametrize("reuse", [1, 3])
def test_the_picture_is_the_one_the_target_names(decoder, reuse):
    with loader(reuse_max=reuse, slots=12) as source:
        for clips, video, start in run(source, 20):
            assert clips.shape == (4, 3, 4, 8, 8)
            np.testing.assert_allclose(clips[:, 0].mean((1, 2, 3)) * 255, video, atol=1e-4)
            np.testing.assert_allclose(clips[0, 1, :, 0, 0] * 255, np.arange(4), atol=1e-4)
            np.testing.assert_allclose(clips[:, 2, 0, 0, 0] * 255, (start * 10).astype(int), atol=1e-4)


@pytest.mark.parametrize("reuse", [1, 3])
def test_the_same_seed_gives_the_same_batches_however_fast_decoding_is(decoder, reuse):
    with loader(reuse_max=reuse, deterministic=reuse > 1) as fast:
        expected = run(fast, 25)
    decoder.delay = 0.004
    with loader(reuse_max=reuse, deterministic=reuse > 1) as slow:
        assert equal(run(slow, 25), expected)
    with loader(seed=1, reuse_max=reuse) as other:
        assert not equal(run(other, 25), expected)


def test_racing_depends_on_the_speed_but_keeps_the_limits(decoder):
    with loader(deterministic=False, reuse_min=2, reuse_max=4) as source:
        seen = np.zeros(6)
        for step in range(40):
            source.batch(step)
            seen = np.maximum(seen, source.bank.info["uses"])
            assert source.bank.info["uses"].max() <= 4
        report = source.report()
    assert 1.5 <= report["echo"] <= 4


@pytest.mark.parametrize("reuse", [1, 2, 5])
def test_no_window_is_shown_more_often_than_allowed(decoder, reuse):
    shown: dict[tuple, int] = {}
    with loader(reuse_max=reuse, slots=12) as source:
        for _, video, start in run(source, 40):
            for key in zip(video.tolist(), start.tolist()):
                shown[key] = shown.get(key, 0) + 1
        assert max(shown.values()) <= reuse
        assert source.report()["echo"] <= reuse
        if reuse == 1:
            assert max(shown.values()) == 1


def test_all_of_the_data_is_visited(decoder):
    with loader(reuse_max=2) as source:
        videos = np.concatenate([video for _, video, _ in run(source, 30)])
    assert set(videos.tolist()) == set(range(12))


def test_data_that_fit_the_bank_are_decoded_once(decoder):
    with loader(dataset(videos=5, seconds=LENGTH / FPS), slots=8, reuse_max=2) as source:
        run(source, 30)
        report = source.report()
    assert report["resident"]
    assert report["decoded_windows"] == decoder.calls == 5
    assert report["echo"] == 30 * 4 / 5


def test_a_broken_file_is_named_and_replaced(decoder):
    decoder.broken = frozenset({"3", "7"})
    with loader(reuse_max=1, slots=12) as source:
        shown = run(source, 30)
        report = source.report()
    videos = {v for _, video, _ in shown for v in video.tolist()}
    assert videos == set(range(12)) - {3, 7}
    assert {failure["path"] for failure in report["failures"]} == {"3", "7"}
    assert len(report["failures"]) == 6, "each is tried three times, then left alone"
    assert all(failure["reason"] == "broken on purpose" for failure in report["failures"])


def test_nothing_readable_is_an_error_not_a_hang(decoder):
    decoder.broken = frozenset(map(str, range(12)))
    with (
        loader() as source,
        pytest.raises(gpuaug.NoSegmentLeft, match=r"no segment is left: .*, first \d+: broken on purpose$"),
    ):
        source.batch(0)


def test_of_windows_that_are_shown_once_only_the_frames_shown_are_decoded(decoder):
    def middle(rng, bank, n):
        slots = bank.draw(rng, n)[:n]
        return gpuaug.Plan.take(slots, [4.0, 1.0, 4.0], frames=bank.info["frames"]), {
            "video": bank.info["video"][slots]
        }

    for reuse, frames in ((1, 2), (2, LENGTH)):
        decoder.calls = decoder.painted = 0
        source = gpuaug.Loader(
            dataset(), middle, batch=4, frames=LENGTH, fps=FPS, size=8, mean=(0.0,) * 3, std=(1.0,) * 3, slots=12,
            reuse_max=reuse, deterministic=True,
        )  # fmt: skip
        with source:
            for step in range(6):
                batch = source.batch(step)
                shown = batch.clips[:, :2, :, 4, 4] * 255
                np.testing.assert_allclose(shown[:, 0].mean(1), batch.target["video"], atol=1e-4)
                np.testing.assert_allclose(shown[:, 1], np.tile([4, 1, 4], (4, 1)), atol=1e-4)
                assert batch.plan.frame[0, :, 0].tolist() == [4, 1, 4]
        assert decoder.painted == frames * decoder.calls


def test_a_feed_that_starts_elsewhere_forgets_what_it_planned(decoder):
    with loader(reuse_max=1, slots=12) as source:
        run(source, 5)
        for clips, video, _ in run(source, 5, start=50):
            np.testing.assert_allclose(clips[:, 0].mean((1, 2, 3)) * 255, video, atol=1e-4)
        assert source.report()["echo"] == 1


@pytest.mark.parametrize("at", [1, 7, 13])
@pytest.mark.parametrize("reuse", [1, 3])
def test_restored_it_goes_on_exactly(decoder, tmp_path, at, reuse):
    decoder.broken = frozenset({"5"})
    with loader(reuse_max=reuse) as source:
        run(source, at)
        torch.save(source.state_dict(), tmp_path / "state.pt")
        expected, report = run(source, 20, start=at), source.report()
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    with loader(reuse_max=reuse) as again:
        again.load_state_dict(state)
        assert equal(run(again, 20, start=at), expected)
        new = again.report()
    for name in ("decoded_windows", "rendered_windows", "failures"):
        assert new[name] == report[name]
    with (
        loader(slots=8, reuse_max=reuse) as other,
        pytest.raises(ValueError, match="slots must be as in the checkpoint, 6 groups, got 8"),
    ):
        other.load_state_dict(state)


@pytest.mark.parametrize("reuse", [1, 2])
def test_groups_are_replaced_as_a_whole(decoder, reuse):
    with loader(windows=3, slots=9, placement="spread", reuse_max=reuse) as source:
        for step in range(20):
            source.batch(step)
            info = source.bank.info.reshape(3, 3)
            assert (info["video"] == info["video"][:, :1]).all()
            assert info["position"].tolist() == [[0, 1, 2]] * 3
            assert (np.diff(info["start_seconds"], axis=1) > 0).all()


@pytest.mark.parametrize("place", ["random", "spread"])
def test_five_clips_of_a_segment_are_others_every_time_or_evenly_spread(decoder, place):
    """TSP: at random places in training, at the same, evenly spaced ones in validation."""
    seen = {}
    with loader(dataset(videos=4, seconds=5.0), windows=5, slots=10, placement=place, reuse_max=2, batch=10) as source:
        for step in range(40):
            source.batch(step)
            for group in source.bank.info.reshape(2, 5):
                seen.setdefault(int(group["video"][0]), set()).add(tuple(group["start_seconds"]))
        assert source.report()["epoch"] >= 5
    assert len(seen) == 4
    last = 5.0 - LENGTH / FPS
    for starts in seen.values():
        if place == "spread":
            np.testing.assert_allclose(list(starts), [last * np.arange(0.1, 1, 0.2)], atol=1e-9)
        else:
            assert len(starts) >= 5
            assert len(set().union(*starts)) == 5 * len(starts), "no clip comes again"
            assert all(0 <= start <= last for each in starts for start in each)


@pytest.mark.parametrize("reuse", [1, 2])
def test_ranks_share_out_every_pass_anew(decoder, reuse):
    """Within a pass their videos are disjoint; over the passes, videos of different shares meet."""
    first, later = [], []
    for rank in range(2):
        with loader(rank=rank, world=2, slots=4, reuse_max=reuse, batch=3) as source:
            first.append([v for _, video, _ in run(source, 2 * reuse) for v in video.tolist()])
            later.append({v for _, video, _ in run(source, 60, start=2 * reuse) for v in video.tolist()})
    if reuse == 1:
        assert sorted(first[0] + first[1]) == list(range(12))
    assert not set(first[0]) & set(first[1])
    assert later[0] == later[1] == set(range(12))


def test_an_impossible_request_is_an_error(decoder):
    with pytest.raises(ValueError, match=r"slots must be ≥ 4 for the windows of one batch at reuse_max=1, got slots=3"):
        loader(slots=3, reuse_max=1)
    with pytest.raises(ValueError, match=r"slots must be ≥ 6 .* at reuse_max=2, got slots=4"):
        loader(slots=4, windows=2, windows_per_sample=5, reuse_max=2, batch=2)
    with pytest.raises(ValueError, match="reuse must be 1 ≤ min ≤ max"):
        loader(reuse_min=4)
    with pytest.raises(ValueError, match="reuse_max must be a number where deterministic and 12 segments are longer"):
        loader(reuse_max=None)
