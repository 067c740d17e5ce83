"""The rule that makes ranges of what the network says of every frame."""

import numpy as np
import pytest

from pretrain.shots.boundaries import FAMILIES, Thresholds, boundaries, runs


def said(count=60, **marks):
    """Probabilities with the given values: mark → {frames: value}."""
    mark = np.full((count, 3), 0.01)
    for name, values in marks.items():
        for frames, value in values.items():
            mark[np.asarray(frames), ("new", "inside", "jump").index(name)] = value
    return mark


def found(mark, kind="dissolve", **thresholds):
    family = np.tile(np.eye(len(FAMILIES))[FAMILIES.index(kind)], (len(mark), 1))
    return [(b.first, b.last, b.kind) for b in boundaries(mark, family, FAMILIES, Thresholds(**thresholds))]


def test_a_cut_is_the_highest_frame_and_the_earliest_of_equal_ones():
    assert found(said(new={10: 0.6, 11: 0.9, 12: 0.7})) == [(11, 11, "cut")]
    assert found(said(new={10: 0.8, 11: 0.8})) == [(10, 10, "cut")]
    assert found(said(new={10: 0.8, 13: 0.7})) == [(10, 10, "cut"), (13, 13, "cut")]
    assert found(said(new={10: 0.49})) == []
    assert found(said(new={10: 0.49}), cut=0.4) == [(10, 10, "cut")]


def test_cuts_at_the_ends_are_found():
    assert found(said(new={0: 0.9, 59: 0.9})) == [(0, 0, "cut"), (59, 59, "cut")]


def test_a_hole_in_a_transition_is_closed_and_one_frame_is_none():
    inside = {range(20, 25): 0.9, range(26, 30): 0.9}
    assert found(said(inside=inside, new={25: 0.6}), "wipe") == [(20, 29, "wipe")]
    assert found(said(inside={20: 0.9}, new={20: 0.9})) == [(20, 20, "cut")]


def test_a_transition_without_a_new_shot_is_none():
    assert found(said(inside={range(20, 30): 0.9})) == []
    assert found(said(inside={range(20, 30): 0.9}, new={30: 0.4})) == [(20, 29, "dissolve")]  # one frame beside it


def test_the_kind_of_a_range_is_gradual_even_if_cuts_are_likelier():
    assert found(said(inside={range(20, 30): 0.9}, new={25: 0.9}), "cut")[0][2] not in ("cut", "jump")


def test_of_a_cut_and_a_jump_the_more_probable_stays():
    assert found(said(new={10: 0.6}, jump={11: 0.7})) == [(11, 11, "jump")]
    assert found(said(new={10: 0.7}, jump={11: 0.7})) == [(10, 10, "cut")]
    assert found(said(new={10: 0.7}, jump={14: 0.7})) == [(10, 10, "cut"), (14, 14, "jump")]


def test_nothing_is_near_a_transition():
    assert found(said(inside={range(20, 30): 0.9}, new={25: 0.6, 31: 0.9}, jump={18: 0.9})) == [(20, 29, "dissolve")]
    assert found(said(inside={range(20, 30): 0.9}, new={25: 0.6, 33: 0.9}))[1] == (33, 33, "cut")


def test_runs():
    assert runs(np.zeros(5, bool)) == []
    assert runs(np.ones(5, bool)) == [(0, 4)]
    assert runs(np.array([1, 0, 0, 1], bool), closed=1) == [(0, 0), (3, 3)]


def test_thresholds_are_checked():
    with pytest.raises(ValueError, match=r"jump must be in \[0, 1\], got jump=1.5"):
        Thresholds(jump=1.5)
