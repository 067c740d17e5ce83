"""The edges of the rule that makes boundaries: what is just enough, what is just near, and how sure it is, by hand."""

import numpy as np
import pytest

from pretrain.shots.boundaries import FAMILIES, INSTANT, Boundary, Thresholds, boundaries, runs

DISSOLVE = np.eye(len(FAMILIES))[FAMILIES.index("dissolve")]


def mark(count=40, **columns):
    """Probabilities (T, 3) that are 0 but for those given: column → {frame: value}."""
    found = np.zeros((count, 3))
    for name, values in columns.items():
        for frame, value in values.items():
            found[frame, ("new", "inside", "jump").index(name)] = value
    return found


def spans(mark_TM, family=DISSOLVE, **thresholds):
    found = boundaries(mark_TM, np.tile(family, (len(mark_TM), 1)), thresholds=Thresholds(**thresholds))
    return [(each.first, each.last, each.kind) for each in found]


def ramp(first, last, value=0.9):
    return dict.fromkeys(range(first, last + 1), value)


@pytest.mark.parametrize(
    ("name", "enough", "frames"),
    [
        ("cut", 0.5, lambda value: mark(new={9: value})),
        ("jump", 0.5, lambda value: mark(jump={9: value})),
        ("gradual", 0.3, lambda value: mark(inside=ramp(9, 12), new={10: value})),
        ("inside", 0.5, lambda value: mark(inside=ramp(9, 12, value), new={10: 0.4})),
    ],
)
def test_a_probability_that_is_the_threshold_is_enough(name, enough, frames):
    for bound in (enough, 0.25):
        given = {} if bound == enough else {name: bound}
        assert len(spans(frames(bound), **given)) == 1
        assert spans(frames(bound - 0.01), **given) == []
    assert getattr(Thresholds(), name) == enough


@pytest.mark.parametrize("name", ["cut", "gradual", "inside", "jump"])
def test_thresholds_are_probabilities(name):
    assert getattr(Thresholds(**{name: 0.0}), name) == 0
    assert getattr(Thresholds(**{name: 1.0}), name) == 1
    for wrong in (-0.01, 1.01, float("nan")):
        with pytest.raises(ValueError, match=rf"^{name} must be in \[0, 1\], got {name}="):
            Thresholds(**{name: wrong})


def test_a_threshold_of_0_does_not_make_frames_of_0_boundaries():
    assert spans(mark(new={9: 1e-6}), cut=0.0, jump=0.0) == [(9, 9, "cut")]


def test_a_transition_has_two_frames_and_no_holes_of_two():
    assert spans(mark(inside=ramp(9, 9), new={9: 0.4})) == []
    assert spans(mark(inside=ramp(9, 10), new={9: 0.4})) == [(9, 10, "dissolve")]
    holed = {**ramp(9, 12), **ramp(14, 16), **ramp(19, 20)}
    assert spans(mark(inside=holed, new={9: 0.4, 19: 0.4})) == [(9, 16, "dissolve"), (19, 20, "dissolve")]


@pytest.mark.parametrize(("frame", "there"), [(7, False), (8, True), (9, True), (12, True), (13, True), (14, False)])
def test_the_new_shot_is_in_a_transition_or_one_frame_beside_it(frame, there):
    assert spans(mark(inside=ramp(9, 12), new={frame: 0.4})) == [(9, 12, "dissolve")] * there


def test_transitions_at_the_ends_of_a_video():
    assert spans(mark(inside={**ramp(0, 2), **ramp(37, 39)}, new={0: 0.4, 39: 0.4})) == [
        (0, 2, "dissolve"),
        (37, 39, "dissolve"),
    ]
    assert spans(mark(inside=ramp(0, 2), new={39: 0.4})) == [], "the last frame is not beside the first one"


@pytest.mark.parametrize(("distance", "free"), [(1, False), (2, False), (3, True)])
def test_how_near_is_near(distance, free):
    """Of a transition on either side, of a more probable cut or jump, and of a later frame as probable."""
    for column, kind in (("new", "cut"), ("jump", "jump")):
        at = [9 - distance, 12 + distance]
        for t in at:
            found = spans(mark(inside=ramp(9, 12), **{"new": {10: 0.4}, column: {t: 0.8, 10: 0.4}}))
            assert found == sorted([(9, 12, "dissolve"), *[(t, t, kind)] * free])
        assert (
            spans(mark(**{column: {20: 0.8, 20 + distance: 0.7}}))
            == [(20, 20, kind)] + [(20 + distance, 20 + distance, kind)] * free
        )
        assert spans(mark(**{column: {20: 0.7, 20 + distance: 0.8}})) == [(20, 20, kind)] * free + [
            (20 + distance, 20 + distance, kind)
        ]
        assert len(spans(mark(**{column: {20: 0.7, 20 + distance: 0.7}}))) == 1 + free
    for t in (20 - distance, 20 + distance):
        assert spans(mark(new={20: 0.6}, jump={t: 0.8})) == sorted([(t, t, "jump"), *[(20, 20, "cut")] * free])
        assert spans(mark(new={20: 0.8}, jump={t: 0.8})) == sorted([(20, 20, "cut"), *[(t, t, "jump")] * free])
    assert spans(mark(new={20: 0.8}, jump={20: 0.8})) == [(20, 20, "cut")]


def test_how_sure_a_boundary_is():
    """A cut or jump: its probability; a transition: half the mean of inside, half the greatest of a new shot."""
    given = mark(new={5: 0.7, 20: 0.6, 22: 0.4}, jump={12: 0.9}, inside={20: 0.6, 21: 0.8, 22: 1.0, 23: 0.8})
    found = boundaries(given, np.tile(DISSOLVE, (40, 1)))
    assert [(each.first, each.last) for each in found] == [(5, 5), (12, 12), (20, 23)]
    assert [each.score for each in found] == pytest.approx([0.7, 0.9, (0.8 + 0.6) / 2])
    more = boundaries(mark(new={5: 1.25, 20: 1.5}, inside=ramp(20, 23, 1.5)), np.tile(DISSOLVE, (40, 1)))
    assert [each.score for each in more] == [1.0, 1.0]
    assert {type(each.score) for each in found + more} == {float}
    assert Boundary(1, 2, "wipe").score == 1.0, "of those that are annotated"


def test_the_families_that_the_weights_are_of():
    assert FAMILIES == ("cut", "jump", "dissolve", "fade", "wipe", "push", "zoom", "shape")
    assert FAMILIES[:2] == INSTANT


def test_the_kind_is_that_of_the_greatest_mean_over_the_frames_of_the_transition():
    """Wipe leads in one frame, and outside; fade in the mean of the three."""
    family = np.zeros((40, len(FAMILIES)))
    fade, wipe = FAMILIES.index("fade"), FAMILIES.index("wipe")
    family[9:12, fade], family[10, wipe], family[[8, 12], wipe] = 0.4, 0.9, 3.0
    (found,) = boundaries(mark(inside=ramp(9, 11), new={10: 0.4}), family)
    assert found.kind == "fade"
    family[11, wipe] = 0.9
    assert boundaries(mark(inside=ramp(9, 11), new={10: 0.4}), family)[0].kind == "wipe"


def test_families_of_ones_own():
    given, names = mark(inside=ramp(9, 11), new={10: 0.4}), ("melt", "cut", "iris")
    family = np.tile([0.1, 0.9, 0.2], (40, 1))
    assert boundaries(given, family, names)[0].kind == "iris"
    assert boundaries(given, family[:, :1], ("cut",))[0].kind == "cut", "there is no other"


@pytest.mark.parametrize(
    ("mask", "closed", "expected"),
    [
        ([1, 0, 1, 0, 0, 1, 0, 0, 0, 1], 0, [(0, 0), (2, 2), (5, 5), (9, 9)]),
        ([1, 0, 1, 0, 0, 1, 0, 0, 0, 1], 1, [(0, 2), (5, 5), (9, 9)]),
        ([1, 0, 1, 0, 0, 1, 0, 0, 0, 1], 2, [(0, 5), (9, 9)]),
        ([0, 1, 1, 0], 0, [(1, 2)]),
        ([], 1, []),
    ],
)
def test_runs_with_holes_filled(mask, closed, expected):
    assert runs(np.array(mask, bool), closed=closed) == expected
    assert runs(np.array(mask, bool)) == runs(np.array(mask, bool), closed=0)
