"""What a plan function may return, at the edges of the rules: a bank of four slots, of which the last is not ready."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpuaug import Plan, fade, plan
from gpuaug.bank import ClipBank
from gpuaug.supply import checks
from gpuaug.supply.augment import Augment
from gpuaug.video.window import Failure
from support.banks import set_columns


def bank(reuse_max=2, uses=(0, 0, 0, 0)):
    made = ClipBank(4, 8, 2, 2, "meta", reuse_max=reuse_max)
    made.reserve(np.arange(4), {"video": np.arange(4), "frames": [5, 5, 3, 5]})
    made.release(np.array([3]))
    set_columns(made, uses=uses)
    return made


def take(slots, times=(0, 4)):
    return Plan.take(np.array(slots), np.array(times, float))


def planned(made, samples=2, *, rows=1, chosen=False, of=None):
    return checks.planned(made, of or bank(), samples, rows=rows, chosen=chosen)


def test_a_plan_alone_has_no_targets():
    made = take([0, 1])
    assert planned(made) == (made, {})
    assert planned((made, {})) == (made, {})


@pytest.mark.parametrize("value", [[3, 4], np.array([True, False]), np.zeros((2, 5), np.float16), torch.ones(2)])
def test_targets_are_arrays_of_a_row_for_each_sample(value):
    _, target = planned((take([0, 1]), {"y": value}))
    assert type(target["y"]) is np.ndarray
    np.testing.assert_array_equal(target["y"], np.asarray(value))


@pytest.mark.parametrize("value", [3, [1], [1, 2, 3], ["a", "b"], [1j, 2j], [None, 3], np.array([1, 2], "M8[s]")])
def test_other_targets_are_refused(value):
    with pytest.raises(ValueError, match=r"^target 'y' must be numbers with a first axis of 2, as the plan has, got "):
        planned((take([0, 1]), {"y": value}))


@pytest.mark.parametrize(
    ("made", "got"),
    [
        (None, "NoneType"),
        ([take([0, 1]), {}], "list"),
        ((take([0, 1]),), "a tuple of 1"),
        ((take([0, 1]), {}, {}), "a tuple of 3"),
        (({}, take([0, 1])), "a tuple of 2"),
        ((take([0, 1]), [1, 2]), "a tuple of 2"),
    ],
)
def test_what_is_no_plan(made, got):
    with pytest.raises(ValueError, match=f"^the plan function must return .* and a dict of arrays, got {got}$"):
        planned(made)


@pytest.mark.parametrize(
    ("slots", "samples", "rows", "chosen", "target", "right"),
    [
        ([0, 1], 2, 1, False, {}, True),
        ([0, 1], 1, 2, False, {}, True),
        ([0, 1], 2, 2, False, {}, False),
        ([0], 2, 1, False, {}, False),
        ([0, 1, 2], 2, 1, False, {}, False),
        ([0], 2, 1, True, {}, False),
        ([0], 2, 1, True, {"slot": [0]}, True),  # left out, and it says of which slot the other is
        ([0], 2, 1, False, {"slot": [0]}, False),
        ([0], 2, 1, True, {"other": [0]}, False),
    ],
)
def test_as_many_samples_as_asked_for(slots, samples, rows, chosen, target, right):
    if right:
        assert planned((take(slots), target), samples, rows=rows, chosen=chosen)[0].shape[0] == len(slots)
        return
    with pytest.raises(
        ValueError, match=rf"^the plan must have {samples * rows} samples, got {len(slots)} \(bank.draw"
    ):
        planned((take(slots), target), samples, rows=rows, chosen=chosen)


def test_all_samples_may_be_left_out_where_they_are_chosen():
    none = Plan(np.zeros((0, 2, 1), np.int64), np.zeros((0, 2, 1)), np.zeros((0, 2, 1), np.float32))
    got, target = planned((none, {"slot": np.zeros(0, int), "y": np.zeros(3)}), 2, chosen=True)
    assert got is none
    assert target["y"].shape == (3,)


COLOUR = Plan.color([0.5] * 3, frames=2)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (take([0, 2], (0, 2)), ""),
        (take([0, 2], (0, 3)), r"frames inside its windows, got frame 3 of slot 2, which has 3 \("),
        (take([0, 1], (0, 5)), r"frames inside its windows, got frame 5 of slot 0, which has 5 \("),
        (take([0, 3]), r"slots that are ready, got slot 3 \("),
        (take([0, 4]), "slots 0 … 3 of the bank, got slot 4$"),
        (Plan(np.array([[[0]], [[-1]]]), np.zeros((2, 1, 1)), np.ones((2, 1, 1), "f4")), "bank, got slot -1$"),
        (Plan(np.array([[[0]], [[-2]]]), np.zeros((2, 1, 1)), np.ones((2, 1, 1), "f4")), "bank, got slot -2$"),
        (Plan(np.array([[[0]], [[1]]]), np.full((2, 1, 1), -1.0), np.ones((2, 1, 1), "f4")), "got frame -1 of slot 0"),
        (Plan(np.array([[[0, 9]], [[1, -7]]]), np.zeros((2, 1, 2)), np.array([[[1, 0]]] * 2, "f4")), ""),
        (plan.fade(take([0, 1]), Plan.concat([COLOUR] * 2), 0.5), ""),
        (Plan.concat([COLOUR] * 2), "slots 0 … 3 of the bank, got colours alone$"),
    ],
)
def test_what_a_plan_may_show(made, message):
    if not message:
        assert planned(made)[0] is made
        return
    with pytest.raises(ValueError, match=f"^the plan must show .*{message}"):
        planned(made)


@pytest.mark.parametrize(
    ("made", "uses", "over"),
    [
        (take([0, 0]), (0, 0, 0, 0), None),  # twice: as often as the limit allows
        (take([0, 0]), (1, 0, 0, 0), 0),
        (take([0, 1]), (1, 1, 2, 2), None),
        (take([1, 0]), (1, 2, 0, 0), 1),
        (fade(take([0, 2], (0, 1)), take([0, 2], (2, 0)), 0.5), (1, 1, 1, 0), None),  # two taps of one sample
        (fade(take([0, 1], (0, 1)), take([1, 0], (2, 0)), 0.5), (0, 1, 0, 0), 1),
        (fade(take([0, 1], (0, 1)), take([2, 0], (2, 0)), 0.5), (1, 1, 1, 0), 0),
        (fade(take([0, 1], (0, 1)), take([2, 0], (2, 0)), [[0.5], [0.0]]), (1, 1, 1, 0), None),  # what is not seen
    ],
)
def test_no_window_is_shown_more_often_than_its_limit(made, uses, over):
    for how, limited in (({"of": bank(2, uses)}, True), ({"of": bank(None, uses)}, False)):
        if limited and over is not None:
            with pytest.raises(ValueError, match=rf"^the plan shows slot {over} more often than reuse_max=2 allows \("):
                planned(made, **how)
        else:
            assert planned(made, **how)[0] is made
    assert planned(made, of=bank(2, uses), chosen=True)[0] is made, "windows that were given have no limit"


OPTIONS = {"plan": len, "augment": None, "bank_size": None, "dtype": torch.float32}
COUNTS = {"world": 2, "reuse_min": 2, "reuse_max": 3}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({}, ""),
        ({"augment": Augment()}, ""),
        ({"bank_size": (1, 2)}, ""),
        ({"bank_size": [np.int64(1), 2]}, ""),
        ({"dtype": torch.bfloat16}, ""),
        ({"fps": 1}, ""),
        ({"fps": 1e-9}, ""),
        ({"reuse_max": 2}, ""),
        ({"reuse_max": None}, ""),
        ({"rank": 1}, ""),
        ({"rank": 2}, r"rank must be in \[0, world\), got rank=2, world=2"),
        ({"rank": -1}, "rank must be a whole number ≥ 0, got rank=-1"),
        ({"reuse_max": 1}, "reuse must be 1 ≤ min ≤ max, got reuse_min=2, reuse_max=1"),
        ({"reuse_min": 0}, "reuse_min must be a whole number ≥ 1, got reuse_min=0"),
        ({"world": 1.0}, "world must be a whole number ≥ 1, got world=1.0"),
        ({"world": True}, "world must be a whole number ≥ 1, got world=True"),
        ({"fps": 0}, "fps must be a number > 0, got fps=0"),
        ({"fps": float("inf")}, "fps must be a number > 0, got fps=inf"),
        ({"fps": True}, "fps must be a number > 0, got fps=True"),
        ({"fps": "9"}, "fps must be a number > 0, got fps='9'"),
        ({"bank_size": (0, 2)}, "bank_size's height must be a whole number ≥ 1, got bank_size's height=0"),
        ({"bank_size": (2, 0)}, "bank_size's width must be a whole number ≥ 1, got bank_size's width=0"),
        ({"bank_size": (2,)}, r"bank_size must be \(height, width\) or None, got bank_size=\(2,\)"),
        ({"bank_size": 2}, r"bank_size must be \(height, width\) or None, got bank_size=2"),
        ({"dtype": torch.int32}, "dtype must be a floating point dtype of torch, got dtype=torch.int32"),
        ({"dtype": "float32"}, "dtype must be a floating point dtype of torch, got dtype='float32'"),
        ({"augment": "random"}, "augment must be a gpuaug.Augment or None, got augment='random'"),
        ({"plan": 3}, r"plan must be a function of \(rng, bank, n\), got plan=3"),
    ],
)
def test_options(changed, message):
    counts, places, others, fps = dict(COUNTS), {"rank": 0}, dict(OPTIONS), {"fps": 12.5}
    for name, value in changed.items():
        next(part for part in (counts, places, others, fps) if name in part)[name] = value
    if not message:
        checks.check_options(counts, places, others, **fps)
        return
    with pytest.raises(ValueError, match=f"^{message}$"):
        checks.check_options(counts, places, others, **fps)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"options": {"a": 1, "b": None, "c": 3}}, ""),
        ({"options": {"a": 2, "b": None}}, "a must be as in the state, a=2, got a=1"),
        ({"options": {"b": None}}, "a must be as in the state, a=None, got a=1"),
        ({"options": 3}, "state must be what Loader.state_dict returned, got something else"),
        ({}, "state must be what Loader.state_dict returned, got something else"),
        (None, "state must be what Loader.state_dict returned, got something else"),
    ],
)
def test_states_of_other_options(state, message):
    if not message:
        checks.same_options(state, {"a": 1, "b": None})
        return
    with pytest.raises(ValueError, match=f"^{message}$"):
        checks.same_options(state, {"a": 1, "b": None})


def test_nothing_comes_with_the_first_reason():
    failures = [Failure(3, "a.mp4", "broken"), Failure(0, "b.mp4", "missing")]
    assert checks.nothing("no window", failures) == "no window can be shown, for example a.mp4: broken"
    assert checks.nothing("no window", []) == "no window can be shown"
