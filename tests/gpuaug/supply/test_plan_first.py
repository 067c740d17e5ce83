"""The rules of windows that are shown once, by hand: which are replaced, and when nothing is left."""

import numpy as np
import pytest
import torch

import gpuaug
from gpuaug.bank import ClipBank
from gpuaug.supply.plan_first import PlanFirstSupply
from gpuaug.supply.sampler import SegmentSampler
from support.banks import set_columns
from support.fake_decoder import FPS, LENGTH, dataset


class Asked:
    def __init__(self, windows, frames):
        self.frames, self.cancelled = frames, False

    def wait(self):
        return [torch.zeros(len(each), 2, 2, 3, dtype=torch.uint8) for each in self.frames], []

    def cancel(self):
        self.cancelled = True


class Queue:
    def __init__(self):
        self.asked = []

    def request_frames(self, windows, frames):
        self.asked.append(Asked(windows, frames))
        return self.asked[-1]


class Draws:
    """Shows the slots that `shown` says for a step; nothing fits where it has none."""

    def __init__(self, shown):
        self.shown, self.steps = shown, []

    def __call__(self, step):
        self.steps.append(step)
        if step not in self.shown:
            raise gpuaug.Starved("nothing fits")
        return np.random.default_rng(0), gpuaug.Plan.take(np.array(self.shown[step]), np.zeros((1, 1))), {}

    def views(self, step):
        return np.random.default_rng(step)


def supply(groups, shown, *, windows=1, whole_visits=False):
    sampler = SegmentSampler(
        dataset(videos=300), frames=LENGTH, fps=FPS, windows=windows, pairs=False, shuffle=False, placement="spread"
    )
    bank, draws = ClipBank(groups * windows, LENGTH, 2, 2, "meta", reuse_max=1), Draws(shown)
    pixels = ClipBank(1, 1, 1, 1)
    return PlanFirstSupply(sampler, bank, Queue(), draws, pixels=pixels, whole_visits=whole_visits), draws


def segments(made):
    return [visit.segment for visit in made._groups.held]


def test_what_never_pairs_up_is_replaced_three_times_every_other_group_in_turn():
    made, draws = supply(5, {})
    with pytest.raises(gpuaug.Starved, match="nothing fits"):
        made.next(0)
    assert draws.steps == [0, 0, 0, 0]
    assert segments(made) == [10, 8, 11, 9, 12], "0 … 4 at first; 0, 2, 4; 1, 3; 0, 2, 4"


def test_three_batches_are_planned_and_those_that_do_not_fit_wait():
    made, draws = supply(6, {0: [0, 1], 1: [2, 3], 2: [4], 3: [5]})
    shown = made.next(0)
    assert shown.plan.clip.ravel().tolist() == [0, 1]
    assert draws.steps == [0, 1, 2]
    assert made.bank.slots().tolist() == [5], "slots of other plans are not drawn"
    assert shown.rng.random() == np.random.default_rng(0).random()
    made.next(1)
    assert segments(made) == [6, 7, 2, 3, 4, 5], "what was shown is replaced"
    assert draws.steps == [0, 1, 2, 3]
    few, draws = supply(2, {0: [0]})
    few.next(0)
    assert draws.steps == [0, 1], "the first one is enough"
    assert segments(few) == [0, 1], "nothing was replaced for the second"


def test_starting_elsewhere_what_was_planned_is_given_up():
    made, draws = supply(6, {0: [0, 1], 1: [2, 3], 2: [4], 7: [2], 8: [3]})
    made.next(0)
    planned = list(made._planned)
    made.next(7)
    assert draws.steps[3:] == [7, 8, 9]
    assert [each.request.cancelled for each in planned] == [True, True]
    assert 4 in made.bank.slots().tolist()


@pytest.mark.parametrize(("whole_visits", "kept"), [(False, [0, 2]), (True, [2])])
def test_which_groups_were_shown(whole_visits, kept):
    """All of their windows, or with whole visits any of them."""
    made, _ = supply(3, {0: [5]}, windows=2, whole_visits=whole_visits)
    made._renew()
    assert segments(made) == [0, 1, 2]
    set_columns(made.bank, uses=[1, 0, 1, 1, 0, 0])
    made._renew()
    assert [group for group, segment in enumerate(segments(made)) if segment == group] == kept


@pytest.mark.parametrize(("whole_visits", "left"), [(False, [0, 2, 3, 5]), (True, [2, 3])])
def test_what_a_plan_takes(whole_visits, left):
    """The slots that it shows, or with whole visits all of their groups."""
    made, _ = supply(3, {0: [1, 4]}, windows=2, whole_visits=whole_visits)
    made._renew()
    made._plan(0)
    assert made.bank.slots().tolist() == left
    made._forget()
    assert made.bank.slots().tolist() == list(range(6))


def test_pixels_grow_to_what_a_batch_needs_and_keep_their_counts():
    made, _ = supply(4, {0: [0, 1], 1: [2], 2: [3]})
    made.pixels.decoded, made.pixels.rendered = 5, 7
    shown = made.next(0)
    assert tuple(made.pixels.frames.shape) == (2, 1, 2, 2, 3)
    assert (made.pixels.decoded, made.pixels.rendered) == (7, 7)
    assert shown.packed.clip.ravel().tolist() == [0, 1]
    assert made.pixels.info["video"].tolist() == [0, 1]
    same = made.pixels
    made.next(1)
    assert made.pixels is same, "which is large enough"
    assert made.pixels.info["video"].tolist() == [2, 1]
