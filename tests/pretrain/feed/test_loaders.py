"""What settings and a task make of the loader: the bank's size, epochs in passes, held-out samples."""

import functools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

import gpuaug
from pretrain.feed.loaders import Draws, EncoderInput, held_out_loader, passes, training_loader
from pretrain.feed.settings import AugmentSettings, FeedSettings
from pretrain.tasks.bsp import task as bsp
from pretrain.tasks.pal import task as pal
from pretrain.tasks.task import TASKS, load
from pretrain.tasks.tsp import task as tsp

INPUT = EncoderInput((0.0,) * 3, (1.0,) * 3, torch.float32, torch.device("cpu"))
FEED = FeedSettings(batch=128, size=8, fps=10.0, window_frames=64, deterministic=True)


def data(videos, seconds=8.0, classes=10):
    return [gpuaug.Segment(str(v), 0.0, seconds, v % classes, v) for v in range(videos)]


def made(task, settings):
    """What `training_loader` and `held_out_loader` want of a task."""
    return functools.partial(task.sample, settings=settings), task.draws(settings, FEED.windows_per_segment)


@pytest.mark.parametrize("reuse", [1, 32])
def test_bsps_first_batch_of_128_comes_from_as_many_windows(decoder, reuse):
    """With the recipe's batch and window, and more videos than any bank."""
    feed = replace(FEED, reuse_min=min(8, reuse), reuse_max=reuse)
    with training_loader(data(2000), *made(bsp, bsp.Settings()), feed, AugmentSettings(), INPUT) as loader:
        plan = loader.batch(0).plan
    first = plan.clip[:, 0, 0]
    assert len(set(first.tolist())) == len(first) == 128
    both = Counter(slot for row in plan.clip for slot in set(row.ravel().tolist()))
    assert len(both) >= 150 or reuse > 1, "and partners, of which a window shown once has none for another"


def test_at_the_recipes_size_the_bank_has_two_windows_per_sample_and_some_6_gb():
    """Without making it: 64 frames of 256 × 456, half of which each sample needs two of."""
    from gpuaug.supply.room import room

    group = 64 * 256 * 456 * 3
    groups, resident = room(None, None, windows=1, group_bytes=group, batch=128, need=256, once=False, kept=None)
    assert (groups, resident) == (256, False)
    assert 5.6e9 < groups * group < 5.8e9


@pytest.mark.parametrize(
    ("task", "settings", "options"),
    [
        (bsp, bsp.Settings(), {"reuse_min": 1, "reuse_max": 1, "slots": 200}),
        (tsp, tsp.Settings(frames=16), {"reuse_min": 1, "reuse_max": 1, "bank_gib": 1e-4}),
        (pal, pal.Settings(), {"reuse_min": 2, "reuse_max": 2, "windows_per_segment": 8, "bank_gib": 1e-3}),
    ],
)
def test_a_bank_that_cannot_serve_a_batch_is_refused_with_the_flags_that_mend_it(decoder, task, settings, options):
    feed = replace(FEED, **options)
    sample = functools.partial(task.sample, settings=settings)
    with pytest.raises(
        ValueError, match=r"the bank .* is too small: slots must be ≥ \d+ .*--bank-gib and --reuse-max up"
    ):
        training_loader(
            data(50), sample, task.draws(settings, feed.windows_per_segment), feed, AugmentSettings(), INPUT
        )


@pytest.mark.parametrize(
    ("draws", "options", "samples", "said"),
    [
        (Draws(), {"windows_per_segment": 5, "reuse_max": 1}, 40, "8 passes"),
        (Draws(), {"reuse_min": 20, "reuse_max": 20}, 8, "0.4 passes at reuse 20"),
        (Draws(), {"deterministic": False}, 64, "2 to 8 passes at reuse 8 to 32"),
        (Draws(uses_per_sample=1.5), {}, 64, "3 passes at reuse 32"),
    ],
)
def test_epochs_in_passes(draws, options, samples, said):
    assert passes(draws, replace(FEED, **options), samples, resident=False) == said


@pytest.mark.parametrize(
    ("deterministic", "filling", "said"),
    [
        (True, 1.5, "2.75 passes at reuse 32"),
        (True, 2.5, "at least 2.5 passes, which fill the bank,"),
        (False, 2.5, "2.5 to 10.5 passes at reuse 8 to 32"),
        (False, 33.7, "at least 33.7 passes, which fill the bank,"),
    ],
)
def test_a_bank_is_filled_however_few_segments_there_are(deterministic, filling, said):
    feed = replace(FEED, deterministic=deterministic)
    assert passes(Draws(), feed, 64, resident=False, filling=filling) == said
    given = passes(Draws(), replace(feed, bank_gib=2.0), 64, resident=False, filling=filling)
    assert given == said.replace("bank,", "bank (fewer with a smaller --bank-gib),")


def test_a_bank_larger_than_the_data_holds_many_windows_of_each_segment_that_is_longer_than_one(decoder):
    """A large --bank-gib: nine windows of each, for two batches; and as many as segments, where they fit a window."""
    feed = replace(FEED, batch=12, slots=180, reuse_max=32, deterministic=True)
    for seconds, decoded, resident in ((8.0, 180, False), (FEED.window_frames / FEED.fps, 20, True)):
        segments = [gpuaug.Segment(str(k), 0.0, seconds, k % 4, k) for k in range(20)]
        with training_loader(segments, *made(bsp, bsp.Settings()), feed, AugmentSettings(), INPUT) as loader:
            loader.batch(0)
            loader.batch(1)
            assert (loader.report()["decoded_windows"], loader.resident) == (decoded, resident)
            assert loader.pass_windows == 20


def test_passes_told_are_those_that_come_about(decoder):
    feed = replace(FEED, batch=12, reuse_min=4, reuse_max=4)
    with training_loader(data(200), *made(bsp, bsp.Settings()), feed, AugmentSettings(), INPUT) as loader:
        for step in range(200):
            loader.batch(step)
        report = loader.report()
    told = passes(bsp.draws(bsp.Settings(), 1), feed, 200 * 12 / 200, resident=False, filling=report["slots"] / 200)
    assert told == "5 passes at reuse 4"
    assert report["passes"] == pytest.approx(5.0, rel=0.1)


def test_every_held_out_clip_of_bsp_is_shown_in_every_kind(decoder):
    """But for those of a class of their own, which have no partner to be cut to."""
    videos = [*data(20, classes=4), gpuaug.Segment("20", 0.0, 8.0, 4, 20)]
    for world in (1, 2):
        seen = Counter()
        for rank in range(world):
            feed = replace(FEED, batch=10)
            with held_out_loader(videos, *made(bsp, bsp.Settings()), feed, INPUT, rank=rank, world=world) as loader:
                for batch in loader:
                    assert len(batch.clips) == len(batch.target["kind"]) == len(batch.video) == len(batch.segment)
                    red = (batch.clips[:, 0, 0, 0, 0] * 255).round().int().tolist()
                    assert red == batch.video.tolist() == batch.segment.tolist()
                    seen.update(zip(batch.video.tolist(), batch.target["kind"].tolist()))
        assert seen == dict.fromkeys({(v, k) for v in range(21) for k in range(4)} - {(20, bsp.SC)}, 1)


def test_a_kind_that_no_held_out_clip_can_show_is_left_out_with_a_word(decoder):
    """Two videos of two classes, as five of each give with the usual --holdout: there is nothing to cut to."""
    with held_out_loader(data(2), *made(bsp, bsp.Settings()), replace(FEED, batch=8), INPUT) as loader:
        with pytest.warns(UserWarning, match="of the held-out clips none has a partner for sc: this kind is left out"):
            (batch,) = loader
        assert sorted(batch.target["kind"].tolist()) == sorted(2 * [bsp.DC, bsp.DS, bsp.SS])
    one = held_out_loader(data(1), *made(bsp, bsp.Settings()), replace(FEED, batch=8), INPUT)
    with one as loader, pytest.raises(gpuaug.Starved, match="no clip of the bank has a partner for dc and sc"):
        list(loader)


def test_held_out_pairs_of_pal_have_every_video_as_action_once(decoder):
    feed = replace(FEED, batch=4, windows_per_segment=4, window_frames=10)
    settings = pal.Settings(frames=4)
    sample = functools.partial(pal.sample, settings=settings)
    with held_out_loader(data(11), sample, pal.draws(settings, 4), feed, INPUT) as loader:
        runs = []
        for _ in range(2):
            videos, plans = [], []
            for batch in loader:
                start, video = batch.target["start"], batch.target["video"]
                pairs = len(start) // 2
                action = video.gather(1, start[:, None])[:, 0]
                assert action[:pairs].tolist() == action[pairs:].tolist() == batch.video.tolist()
                backgrounds = video[:, 0]
                three = torch.stack([action[:pairs], backgrounds[:pairs], backgrounds[pairs:]])
                assert all(len(set(column)) == 3 for column in three.T.tolist())
                videos += batch.video.tolist()
                plans.append(batch.plan.time)
            runs.append((videos, np.concatenate(plans)))
    assert runs[0][0] == list(range(11))
    assert (runs[0][1] == runs[1][1]).all()


@pytest.mark.parametrize("name", TASKS)
def test_every_task_says_how_it_draws(name):
    task = load(name)
    draws = task.draws(task.Settings(), 8)
    assert draws.windows_per_sample >= draws.uses_per_sample >= 1
