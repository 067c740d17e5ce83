"""Batches that are planned before they are decoded: which frames are asked for, and where they then lie."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpuaug import Failure, Plan, Window, fade
from gpuaug.bank import ClipBank
from gpuaug.layers.columns import TAPS, Marks
from gpuaug.supply.planned import Planned, plan_data, plan_of
from gpuaug.supply.supply import plain
from gpuaug.transitions import transition


class Queue:
    def request_frames(self, windows, frames):
        self.asked = [window.path for window in windows], [each.tolist() for each in frames]
        return self

    def wait(self):
        made = [torch.full((len(frames), *size, 3), int(path), dtype=torch.uint8)
                for path, frames, size in zip(*self.asked, self.sizes)]  # fmt: skip
        return made, self.lost

    sizes, lost = ((2, 3),) * 9, ()


def asked(plan, **options):
    queue = Queue()
    for name, value in options.items():
        setattr(queue, name, value)
    windows = {slot: Window(str(slot), 0, 25, 9) for slot in range(9)}
    return Planned.ask(4, plan, {"y": np.arange(2)}, windows, queue), queue


PLAN = fade(
    Plan.take([5, 2], [[7, 1, 7], [0, 0, 3]]), Plan.take([2, 2], [[4, 4, 6], [8, 8, 8]]), [[0, 0.5, 1], [0, 0, 0]]
)


def test_only_what_is_seen_is_asked_for():
    planned, queue = asked(PLAN)
    assert planned.slots.tolist() == [2, 5]
    assert queue.asked == (["2", "5"], [[0, 3, 4, 6], [1, 7]])
    assert (planned.step, planned.target["y"].tolist()) == (4, [0, 1])


def test_a_slots_frames_lie_one_after_the_other():
    packed = asked(PLAN)[0].packed()
    shown = packed.weight != 0
    assert packed.clip[shown].tolist() == [1, 1, 0, 0, 0, 0, 0]
    assert packed.frame[shown].tolist() == [1, 0, 2, 3, 0, 0, 1]
    assert (packed.weight == PLAN.weight).all()


def test_colours_are_no_slot():
    mixed = Plan.concat([Plan.color([1, 0, 0], frames=2), Plan.take(3, [5, 6])])
    planned, queue = asked(mixed)
    assert queue.asked == (["3"], [[5, 6]])
    assert planned.packed().clip.tolist() == [[[-1], [-1]], [[0], [0]]]
    assert planned.packed().frame[1].ravel().tolist() == [0, 1]
    assert planned.packed().layers is mixed.layers


INFO = np.zeros(9, ClipBank(1, 1, 1, 1).info.dtype)
for column in ("video", "label", "epoch", "start_seconds", "fps"):
    INFO[column] = 10 * np.arange(9) + len(column)


@pytest.mark.parametrize(
    ("sizes", "upright", "before", "after"),
    [
        (((2, 3), (2, 3)), False, (1, 1, 1, 1), (2, 4, 2, 3)),
        (((2, 3), (5, 1)), False, (1, 1, 1, 1), (2, 4, 5, 3)),
        (((2, 3), (5, 1)), True, (1, 1, 1, 1), (2, 4, 2, 5)),  # lying on its side
        (((2, 3), (2, 3)), False, (7, 9, 1, 9), (7, 9, 2, 9)),  # what there is stays
        (((2, 3), (2, 3)), False, (2, 4, 2, 3), None),
        (((2, 3), (3, 2)), True, (2, 4, 2, 3), None),
    ],
)
def test_a_bank_grows_to_what_is_decoded(sizes, upright, before, after):
    planned, _ = asked(PLAN, sizes=sizes)
    bank = ClipBank(*before, upright=upright)
    bank.decoded, bank.rendered = 3, 4
    found, lost = planned.write(bank, INFO)
    assert lost == []
    assert (found is bank) == (after is None)
    assert tuple(found.frames.shape[:4]) == (after or before)
    assert (found.tall is not None) == upright
    assert (found.decoded, found.rendered) == (5, 4)
    for place, slot in enumerate((2, 5)):
        for name in ("video", "label", "epoch", "start_seconds", "fps"):
            assert found.info[name][place] == 10 * slot + len(name), name
    assert found.info["frames"][:2].tolist() == [4, 2]
    assert (found.frames[0, :4, :2, :3] == 2).all()


def test_where_a_window_failed_nothing_is_written():
    planned, _ = asked(PLAN, lost=[Failure(0, "2", "broken")])
    bank = ClipBank(1, 1, 1, 1)
    assert planned.write(bank, INFO) == (bank, [Failure(0, "2", "broken")])
    assert bank.decoded == 0


@pytest.mark.parametrize("as_tensors", [False, True])
def test_a_plan_as_plain_data_is_the_same_again(as_tensors):
    luma = np.arange(6.0).reshape(2, 3)
    masked = transition(
        Plan.take(0, range(6)), Plan.take(1, range(6)), "luma", length=6, start=1, duration=4, luma=luma
    )
    marked = Plan(PLAN.clip, PLAN.time, PLAN.weight, marks=Marks(np.zeros((2, 3), int), np.ones((2, 3), int)))
    for plan in (PLAN, marked, masked):
        data = plan_data(plan)
        again = plan_of(plain(data) if as_tensors else data)
        for name in ("clip", "time", "weight"):
            assert np.array_equal(getattr(again, name), getattr(plan, name)), name
        assert (again.layers is None, again.marks is None) == (plan.layers is None, plan.marks is None)
        if plan.layers is not None:
            for name in (*TAPS, "maps"):
                assert np.array_equal(getattr(again.layers, name), getattr(plan.layers, name)), name
            assert [each.tolist() for each in again.layers.pictures] == [luma.tolist()]
        if plan.marks is not None:
            assert np.array_equal(again.marks.kind, plan.marks.kind)
            assert np.array_equal(again.marks.shot, plan.marks.shot)
