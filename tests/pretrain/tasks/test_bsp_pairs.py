"""Who may be whose partner, by hand."""

import re

import numpy as np
import pytest

import gpuaug
from pretrain.tasks.bsp import task as bsp
from pretrain.tasks.bsp.pairs import draw_clips, in_all_kinds, partnered
from pretrain.tasks.bsp.targets import DC, DS, SC, SS
from support.banks import set_columns


def bank(labels, *, reuse_max=1, uses=0, frames=8):
    made = gpuaug.ClipBank(len(labels), 8, 1, 1, device="meta", reuse_max=reuse_max)
    set_columns(made, video=np.arange(len(labels)), label=labels, frames=frames, uses=uses, ready=True)
    return made


def draw(made, n, *, same, two=True, need=8):
    return draw_clips(np.random.default_rng(0), made, two=np.full(n, two), same=np.full(n, same), need=need)


@pytest.mark.parametrize(("labels", "same"), [([3, 3], True), ([3, 4], False)])
def test_the_last_use_of_a_window_may_be_as_a_partner(labels, same):
    assert sorted(draw(bank(labels), 1, same=same)[0].tolist()) == [0, 1]
    assert sorted(draw(bank(labels, reuse_max=2, uses=1), 1, same=same)[0].tolist()) == [0, 1]
    with pytest.raises(gpuaug.Starved):
        draw(bank(labels, reuse_max=2, uses=[1, 2]), 1, same=same)
    with pytest.raises(gpuaug.Starved):
        draw(bank(labels), 1, same=not same)


def test_who_has_a_partner():
    """Slots 0 and 1 are of one class, 2 of another one, 3 of none, 4 too short, 5 used up."""
    made = bank([3, 3, 4, -1, 3, 4], frames=[8, 8, 8, 8, 4, 8], uses=[0, 0, 0, 0, 0, 1])
    same, other = partnered(made, np.array([0, 1, 2, 3]), 8)
    assert same.tolist() == [True, True, False, False]
    assert other.tolist() == [True, True, True, False]
    with pytest.raises(gpuaug.Starved, match="clips of at least 8 frames are wanted, one has 4"):
        partnered(made, np.array([4]), 8)


def test_clips_without_a_second_one_are_their_own():
    found = draw(bank([3, 4, -1]), 3, same=False, two=False)
    assert (found[:, 0] == found[:, 1]).all()
    assert sorted(found[:, 0].tolist()) == [0, 1, 2]


def test_partners_of_given_clips():
    """In their order, also those that need none: of one class 0 with 1, of two classes 2 with 0, 1 or 4."""
    made = bank([3, 3, 4, -1, 5], reuse_max=None)
    first, two, same = np.array([1, 2, 3, 0]), np.array([True, True, False, True]), np.array([True, False, True, True])
    partners = set()
    for seed in range(20):
        found = draw_clips(np.random.default_rng(seed), made, two=two, same=same, need=8, first=first)
        assert found[:, 0].tolist() == [1, 2, 3, 0]
        assert (found[0, 1], found[2, 1], found[3, 1]) == (0, 3, 1)
        partners.add(int(found[1, 1]))
    assert partners == {0, 1, 4}


def test_given_clips_have_no_partner_that_is_too_short():
    made = bank([3, 3, 3], frames=[8, 7, 8], reuse_max=None)
    yes = np.ones(1, bool)
    found = [draw_clips(np.random.default_rng(k), made, two=yes, same=yes, need=8, first=yes * 0) for k in range(9)]
    assert {int(each[0, 1]) for each in found} == {2}


@pytest.mark.parametrize(
    ("labels", "kinds", "expected"),
    [
        ([3, 3, 4, -1], [DC, SC, SS], [(0, DC), (0, SC), (0, SS), (2, DC), (2, SS), (3, SS)]),
        ([3, 3, -1, -1], [SC, DS], [(0, SC), (0, DS), (2, DS), (3, DS)]),
        ([3, 4, 4, 5], [DC], [(0, DC), (2, DC), (3, DC)]),
        ([-1, -1, -1, -1], [DS, SS], [(0, DS), (0, SS), (2, DS), (2, SS), (3, DS), (3, SS)]),
    ],
)
def test_every_clip_in_every_kind_that_it_has_a_partner_for(labels, kinds, expected):
    """Asked of the slots 0, 2 and 3; nothing is said where all kinds have somebody."""
    first, found = in_all_kinds(bank(labels), np.array([0, 2, 3]), np.array(kinds), 8)
    assert list(zip(first.tolist(), found.tolist())) == expected


@pytest.mark.parametrize(
    ("labels", "kinds", "lost", "expected"),
    [
        ([3, 4], [DC, SC, DS], "sc", [(0, DC), (0, DS), (1, DC), (1, DS)]),
        ([3, 3], [DC, SC, SS], "dc", [(0, SC), (0, SS), (1, SC), (1, SS)]),
    ],
)
def test_a_kind_that_no_clip_has_a_partner_for_is_named_to_the_caller(labels, kinds, lost, expected):
    message = f"^of the held-out clips none has a partner for {lost}: this kind is left out$"
    with pytest.warns(UserWarning, match=message) as told:
        first, found = in_all_kinds(bank(labels), np.array([0, 1]), np.array(kinds), 8)
    assert [each.filename for each in told] == [__file__]
    assert list(zip(first.tolist(), found.tolist())) == expected


@pytest.mark.parametrize(
    ("labels", "kinds", "lost"),
    [([3, -1], [DC, SC, DS], "dc and sc"), ([3, 4], [SC, SS], "sc"), ([3, 3], [DC], "dc")],
)
def test_no_partner_for_any_kind_of_two_clips_is_starved(labels, kinds, lost):
    with pytest.raises(gpuaug.Starved, match=f"^no clip of the bank has a partner for {lost}$"):
        in_all_kinds(bank(labels), np.array([0, 1]), np.array(kinds), 8)


def test_why_no_clip_is_long_enough():
    """The longest of those that can be shown is told; that those long enough are used up is another reason."""
    made = bank([3, 3, 3], frames=[5, 6, 9])
    made.release(np.array([2]))
    message = "clips of at least 8 frames are wanted, the longest window in the bank has 6"
    with pytest.raises(gpuaug.Starved, match=f"^{re.escape(message)}$"):
        draw(made, 1, same=True, two=False)
    with pytest.raises(gpuaug.Starved) as found:
        draw(bank([3, 3], uses=1), 1, same=True, two=False)
    assert "longest" not in str(found.value)
    assert sorted(draw(bank([3, 3], frames=8), 2, same=True, two=False)[:, 0].tolist()) == [0, 1]


def test_samples_of_given_clips_are_of_all_kinds_that_they_can_be():
    made = bank([3, 3, 4, -1], frames=60, reuse_max=None)
    plan, target = bsp.sample(np.random.default_rng(0), made, 2, bsp.Settings(), first=np.array([3, 0]))
    expected = [(3, DS), (3, SS), (0, DC), (0, SC), (0, DS), (0, SS)]
    assert list(zip(target["slot"].tolist(), target["kind"].tolist())) == expected
    assert plan.clip[:, 0, 0].tolist() == [slot for slot, _ in expected]
    assert "slot" not in bsp.sample(np.random.default_rng(0), made, 2, bsp.Settings(boundaries=("ds", "ss")))[1]


def test_given_clips_that_can_be_of_no_kind_make_an_empty_plan():
    made = bank([3, 3, -1], frames=60, reuse_max=None)
    options = bsp.Settings(mode="regression", boundaries=("sc",))
    plan, target = bsp.sample(np.random.default_rng(0), made, 1, options, first=np.array([2]))
    assert plan.shape[:2] == (0, options.frames)
    assert target == {}


@pytest.mark.parametrize(
    ("labels", "same", "what"),
    [([3, 4], True, "another video of their class"), ([3, 3], False, "a video of another class")],
)
def test_what_too_few_clips_have_is_said(labels, same, what):
    with pytest.raises(gpuaug.Starved, match=f"^1 clips with {what} are wanted, the bank has 0$"):
        draw(bank(labels), 1, same=same)
