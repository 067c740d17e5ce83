"""Iterating a loader: an epoch is a pass, resumed anywhere, shared by ranks; and without shuffling, everything once."""

import io
from collections import Counter

import numpy as np
import pytest
import torch

import gpuaug
from support.fake_decoder import FPS, LENGTH, dataset, loader, sample


def shown(batches):
    """(video, start) of every sample."""
    return [pair for b in batches for pair in zip(b.target["video"].tolist(), b.target["start"].tolist())]


@pytest.mark.parametrize("slots", [None, 40])
@pytest.mark.parametrize(("batch", "windows"), [(4, 1), (5, 1), (4, 5), (6, 5)])
def test_every_segment_is_shown_once_per_window_and_epoch(decoder, batch, windows, slots):
    """TSP: five clips of every segment in every epoch, each of another place."""
    with loader(batch=batch, windows=windows, slots=slots, reuse_max=1, deterministic=False) as source:
        samples = []
        for _ in range(batch):  # as many epochs as make whole batches
            samples += shown(source)
        total = 12 * windows
        epochs = [samples[i : i + total] for i in range(0, len(samples) // total * total, total)]
        assert len(epochs) >= 3
        for epoch in epochs:
            assert Counter(video for video, _ in epoch) == dict.fromkeys(range(12), windows)
        assert len(set(samples)) == len(samples)
        assert source.report()["passes"] == pytest.approx(len(samples) / total, abs=1e-9)


def test_over_two_ranks_every_segment_is_shown_once_per_epoch(decoder):
    epochs = [[], []]
    for rank in range(2):
        with loader(batch=6, windows=5, slots=None, reuse_max=1, rank=rank, world=2) as source:
            assert len(source) == 5
            for epoch in epochs:
                epoch += shown(source)
    for epoch in epochs:
        assert Counter(video for video, _ in epoch) == dict.fromkeys(range(12), 5)
    assert {video for video, _ in epochs[0][:30]} != {video for video, _ in epochs[1][:30]}


@pytest.mark.parametrize("reuse", [1, 3])
def test_resumed_from_a_state_in_the_middle_of_an_epoch(decoder, reuse):
    with loader(reuse_max=reuse) as source:
        stream = iter(source)
        next(stream)
        next(stream)
        file = io.BytesIO()
        torch.save(source.state_dict(), file)
        expected = shown(source) + shown(source)
        assert len(expected) == 4 * (1 + 3), "the rest of the pass, and another one"
    file.seek(0)
    state = torch.load(file, weights_only=True)
    moved = [gpuaug.Segment(f"elsewhere/{s.path}", s.start_seconds, s.end_seconds, s.label, s.video) for s in dataset()]
    for data in (dataset(), moved):
        with loader(data, reuse_max=reuse) as again:
            again.load_state_dict(state)
            assert again.step == 2
            assert shown(again) + shown(again) == expected
            assert again.step == 6


def test_a_plan_alone_is_enough(decoder):
    def plan(rng, bank, n):
        return gpuaug.Plan.take(bank.draw(rng, n)[:n], np.arange(4.0))

    with gpuaug.Loader(dataset(), plan, batch=4, frames=LENGTH, fps=FPS, size=8) as source:
        batches = [(batch.clips.clone(), batch.target) for batch in source]
    assert len(batches) == 3
    assert all(target == {} for _, target in batches)
    videos = sorted(round(float(clip[0].mean()) * 255) for clips, _ in batches for clip in clips)
    assert videos == list(range(12))


@pytest.mark.parametrize("slots", [None, 6, 8])
@pytest.mark.parametrize("batch", [4, 5])
def test_without_shuffling_every_window_comes_once_in_order_and_always_the_same(decoder, batch, slots):
    how = {"shuffle": False, "windows": 2, "placement": "spread", "slots": slots, "batch": batch}
    with loader(**how) as source:
        passes = []
        for _ in range(3):
            passes.append([(b.clips.clone(), b.target["start"].clone(), b.video, b.segment) for b in source])
        assert len(source) == -(-12 // (batch // 2))
        if slots is None:
            assert decoder.calls == 24, "data that fit the bank are decoded once"
    video = np.concatenate([v for _, _, v, _ in passes[0]])
    assert video.tolist() == np.repeat(np.arange(12), 2).tolist()
    assert np.concatenate([s for *_, s in passes[0]]).tolist() == video.tolist()
    np.testing.assert_allclose(np.concatenate([start for _, start, *_ in passes[0]]), 12 * [0.35, 1.05])
    pixels = torch.cat([clips for clips, *_ in passes[0]])
    assert (pixels[:, 0, 0, 0, 0] * 255).round().int().tolist() == video.tolist()
    for again in passes[1:]:
        assert torch.equal(torch.cat([clips for clips, *_ in again]), pixels)


def test_without_shuffling_ranks_share_and_partners_are_always_the_same(decoder):
    def pairs(rng, bank, n, *, first):
        others = np.setdiff1d(bank.slots(), first)
        second = rng.choice(others, n)
        target = {"first": bank.info["video"][first], "second": bank.info["video"][second]}
        return gpuaug.Plan.take(first, np.arange(4.0)), target

    def met(rank, delay):
        decoder.delay = delay
        how = {"shuffle": False, "slots": 4, "batch": 2, "rank": rank, "world": 2}
        with gpuaug.Loader(dataset(), pairs, frames=LENGTH, fps=FPS, size=8, **how) as source:
            return [(b.target["first"].tolist(), b.target["second"].tolist()) for _ in range(2) for b in source]

    first = [met(rank, 0.0) for rank in range(2)]
    assert first == [met(rank, 0.003) for rank in range(2)]
    for mine in first:
        assert mine[:3] == mine[3:]
    videos = [video for mine in first for part, _ in mine[:3] for video in part]
    assert sorted(videos) == list(range(12))
    assert [part for part, _ in first[1][:3]] == [[1, 3], [5, 7], [9, 11]]


def test_without_shuffling_what_fails_is_named_and_the_rest_comes(decoder):
    decoder.broken = frozenset({"2", "3", "7"})
    for slots in (None, 4):
        with loader(shuffle=False, slots=slots, batch=2) as source:
            for _ in range(2):
                videos = [video for batch in source for video in batch.target["video"].tolist()]
                assert videos == [0, 1, 4, 5, 6, 8, 9, 10, 11]
            assert [failure.path for failure in source.failures] == ["2", "3", "7"]


def test_balance_makes_every_batch_half_and_half(decoder):
    data = [gpuaug.Segment(str(v), 0.0, 2.0, 0 if v < 4 else -1, v) for v in range(12)]

    def halves(rng, bank, n):
        action = bank.info["label"] >= 0
        slots = np.concatenate([bank.draw(rng, n // 2, side)[: n // 2] for side in (action, ~action)])
        return gpuaug.Plan.take(slots, np.arange(4.0)), {"video": bank.info["video"][slots]}

    how = {"frames": LENGTH, "fps": FPS, "size": 8, "slots": 8, "balance": True}
    with gpuaug.Loader(data, halves, batch=4, **how) as source:
        seen = Counter(v for step in range(40) for v in source.batch(step).target["video"].tolist())
    assert {seen[v] for v in range(4)} == {20}
    assert {seen[v] for v in range(4, 12)} == {10}


def test_a_bank_s_size_follows_from_the_batch_and_the_segments(decoder):
    """The first batch of 128 comes from as many windows; of those shown several times, each segment has a place."""
    many = dataset(videos=1000)
    for reuse, slots in ((1, 512), (8, 1000)):
        with loader(many, slots=None, batch=128, reuse_max=reuse, deterministic=True) as source:
            batch = source.batch(0)
            assert len(set(batch.target["video"].tolist())) == 128
            assert source.report()["slots"] == slots
    with loader(many, slots=None, bank_bytes=100 * LENGTH * 9 * 16 * 3, reuse_max=8) as source:
        assert source.report()["slots"] == 100


def test_videos_of_a_folder(tmp_path):
    """From files, with a manifest's labels, on the real decoder."""
    for label, shade in (("a", 60), ("b", 180)):
        (tmp_path / label).mkdir()
        for k in range(2):
            frames = np.full((30, 24, 32, 3), shade + 20 * k, np.uint8)
            gpuaug.write_video(tmp_path / label / f"{k}.avi", frames, 15, codec="mjpeg", pixel_format="yuvj420p")
    (tmp_path / "a" / "broken.avi").write_bytes(b"no video")
    with gpuaug.Loader(tmp_path, sample, batch=2, frames=8, fps=15, size=16, cache=False) as source:
        assert source.classes == ["a", "b"]
        assert [path for path, _ in source.skipped] == [str(tmp_path / "a" / "broken.avi")]
        levels = {round(float(clip.mean()) * 255 / 5) for batch in source for clip in batch.clips}
    assert levels == {12, 16, 36, 40}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch must be a whole number ≥ 1, got batch=0"),
        ({"rank": 2, "world": 2}, r"rank must be in \[0, world\), got rank=2, world=2"),
        ({"reuse_min": 0}, "reuse_min must be a whole number ≥ 1, got reuse_min=0"),
    ],
)
def test_what_cannot_be_is_refused(decoder, options, message):
    with pytest.raises(ValueError, match=message):
        loader(**options)


def test_segments_must_have_a_length():
    with pytest.raises(ValueError, match="videos must have 0 ≤ start < end, got segment 1"):
        loader([gpuaug.Segment("a", 0, 1), gpuaug.Segment("a", 1, 1)])
