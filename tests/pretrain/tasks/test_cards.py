"""Preview: what the cards of a batch say, against the plan they are made from."""

import re

import numpy as np
import pytest
import torch

from gpuaug import Batch, Plan
from gpuaug.bank import ClipBank
from gpuaug.video.manifest import Video
from pretrain.data.dataset import Dataset, Segment
from pretrain.tasks.bsp import card as bsp_card
from pretrain.tasks.bsp import task as bsp
from pretrain.tasks.card import Source, rows
from pretrain.tasks.pal import card as pal_card
from pretrain.tasks.pal import task as pal
from pretrain.tasks.task import TASKS, load_cards
from pretrain.tasks.tsp import card as tsp_card
from pretrain.tasks.tsp import task as tsp

FRAMES, J = 16, 4


@pytest.fixture
def dataset():
    """Six videos of 20 s; an action <b> from 5 to 9 s, and from 12 s on one of the second class."""
    videos = [Video(f"/films/film{v}.mp4", duration_seconds=20.0) for v in range(6)]
    spans = [(0.0, 5.0, -1), (5.0, 9.0, 0), (9.0, 12.0, -1), (12.0, 20.0, 1)]
    segments = [Segment(video.path, *span, v) for v, video in enumerate(videos) for span in spans]
    return Dataset(segments, ["<b>", "swim"], videos)


@pytest.fixture
def bank():
    """Four windows of 29 frames of every video, one in each of its segments."""
    bank = ClipBank(24, 29, 1, 1)
    for slot in range(24):
        row = {
            "video": slot // J,
            "group": slot // J,
            "position": slot % J,
            "fps": 10.0,
            "label": (-1, 0, -1, 1)[slot % J],
        }
        bank.write(slot, torch.zeros(29, 1, 1, 3, dtype=torch.uint8), row | {"start_seconds": 5.0 * (slot % J)})
    return bank


def batch_of(plan, target):
    """A batch whose pictures have their frame's number as red."""
    n, t, _ = plan.shape
    pictures = np.zeros((n, t, 2, 2, 3), np.uint8)
    pictures[..., 0] = np.arange(t)[:, None, None]
    tensors = {name: torch.from_numpy(value) for name, value in target.items()}
    return Batch(torch.zeros(n, 3, t, 2, 2), tensors, plan, 0.0), pictures


def names(bank):
    return {slot: Source(f"window {slot}", 5.0 * (slot % J), 10.0) for slot in range(len(bank.info))}


def test_bsp_marks_the_boundary(bank, dataset):
    plan, target = bsp.sample(np.random.default_rng(0), bank, 12, bsp.Settings())
    made = bsp_card.cards(*batch_of(plan, target), names(bank), dataset)
    assert len(made) == 12
    for n, card in enumerate(made):
        kind = bsp.KINDS[target["kind"][n]]
        assert card.kind == kind
        assert card.title == f"{bsp_card.MEANING[kind]} ({kind})"
        start_K = 5.0 * (plan.clip[n] % J)
        np.testing.assert_allclose(card.seconds_TK, (start_K + plan.frame[n] / 10) * np.ones(1))
        assert card.boundary == target["boundary"][n]
        assert (card.plan.clip[0] == plan.clip[n]).all()


def test_pal_shows_the_two_composites_of_a_pair_one_below_the_other(bank, dataset):
    plan, target = pal.sample(np.random.default_rng(0), bank, 3, pal.Settings(opacity=(0.6, 0.9)))
    made = pal_card.cards(*batch_of(plan, target), names(bank), dataset)
    assert [card.title.split(":")[0] for card in made] == [
        f"Pair {p}, {q}" for p in (1, 2, 3) for q in ("first of the two (query)", "second (key)")
    ]
    for card, n in zip(made, (0, 3, 1, 4, 2, 5)):
        start, stop = target["start"][n], target["stop"][n]
        assert card.span == (start, stop)
        assert card.frames_TYXC[:, 0, 0, 0].tolist() == [4, 12, 20, 28], "the middle frame of each clip"
        action, background = (target["video"][n][j] for j in (start, 0))
        assert f"film{action}.mp4 pasted on film{background}.mp4" in card.title
        assert card.plan.clip[0, start, card.plan.weight[0, start] > 0.5] == action
        assert set(card.plan.clip[0, [j for j in range(J) if not start <= j < stop]].ravel()) == {background}
        assert set(card.plan.clip[0].ravel()) == {action, background} == set(card.names)
        first, last, place, end = re.fullmatch(
            r"its clips? (\d)(?: to (\d))? in place of (\d)(?: to (\d))?, .*", card.note
        ).groups()
        assert (int(first), int(last or first)) == tuple(target["source"][n][[start, stop - 1]] + 1), "counted from 1"
        assert (int(place), int(end or place)) == (start + 1, stop)


def test_tsp_shows_the_clip_on_its_videos_time_line(bank, dataset):
    plan, target = tsp.sample(np.random.default_rng(0), bank, 6, tsp.Settings(frames=FRAMES))
    made = tsp_card.cards(*batch_of(plan, target), names(bank), dataset)
    for n, card in enumerate(made):
        action = target["action"][n]
        assert card.title == (f"action: {dataset.classes[action]}" if action >= 0 else "background")
        assert card.frames_TYXC[:, 0, 0, 0].tolist() == [0, 2, 4, 6, 9, 11, 13, 15]
        line, video = card.timeline, target["video"][n]
        spans = [(action.start_seconds, action.end_seconds, name) for action, name in line.actions]
        assert spans == [(5.0, 9.0, "<b>"), (12.0, 20.0, "swim")]
        assert line.duration_seconds == 20
        assert line.clip == (target["start_seconds"][n], target["end_seconds"][n])
        same = [m for m in range(6) if target["video"][m] == video and m != n]
        assert line.others == [(target["start_seconds"][m], target["end_seconds"][m]) for m in same]


def test_every_task_has_its_cards():
    assert [callable(load_cards(name)) for name in TASKS] == [True] * 4


def test_rows_are_those_samples_of_the_plan():
    plan = Plan.take([3, 4, 5], [[0, 1]])
    assert rows(plan, [2, 0]).clip[:, 0, 0].tolist() == [5, 3]
