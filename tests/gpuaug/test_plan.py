"""Plans: construction, composition, targets. The algebra is checked on random plans."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaug.plan import Plan, fade, where


def frames_of(plan: Plan, clips: list[np.ndarray]) -> np.ndarray:
    """What the plan shows, by plain loops: (N, T) scalars from one-number frames."""
    n, t, k = plan.shape
    out = np.zeros((n, t))
    for i in range(n):
        for j in range(t):
            for tap in range(k):
                out[i, j] += plan.weight[i, j, tap] * clips[plan.clip[i, j, tap]][plan.frame[i, j, tap]]
    return out


CLIPS = [np.arange(100.0, 112.0), np.arange(200.0, 209.0), np.arange(300.0, 307.0)]
LENGTHS = [len(clip) for clip in CLIPS]


@st.composite
def plans(draw, n=2, length=5):
    """A random plan over CLIPS: takes, reordered, stitched and faded."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def base() -> Plan:
        clip = rng.integers(len(CLIPS), size=n)
        time = rng.uniform(0, np.array(LENGTHS)[clip] - 1, (length, n)).T
        return Plan.take(clip, time, frames=LENGTHS)

    plan = base()
    for _ in range(draw(st.integers(0, 3))):
        step = draw(st.sampled_from(["at", "where", "fade"]))
        if step == "at":
            plan = plan.at(rng.integers(length, size=(n, length)))
        elif step == "where":
            plan = where(rng.random((n, length)) < 0.5, plan, base())
        else:
            plan = fade(plan, base(), rng.choice([0, 0.25, 0.5, 1], (n, length)))
    return plan


@given(plans())
def test_weights_sum_to_one_and_unused_taps_come_last(plan):
    np.testing.assert_allclose(plan.weight.sum(2), 1, rtol=1e-6)
    used = plan.weight != 0
    assert (used[:, :, :-1] >= used[:, :, 1:]).all()
    assert used.any((0, 1)).all(), "a tap that is zero everywhere must be dropped"
    copies = np.where(used, 0, plan.clip - plan.clip[:, :, :1])
    assert (copies == 0).all(), "an unused tap repeats the first one, so that it is always readable"


@given(plans())
def test_reverse_twice_is_the_identity(plan):
    twice = plan.at([4, 3, 2, 1, 0]).at([4, 3, 2, 1, 0])
    for name in ("clip", "time", "weight"):
        np.testing.assert_array_equal(getattr(twice, name), getattr(plan, name))


@given(plans(), st.integers(0, 2**32 - 1))
def test_at_composes_like_indexing(plan, seed):
    order = np.random.default_rng(seed).integers(5, size=(2, 7))
    np.testing.assert_allclose(
        frames_of(plan.at(order), CLIPS), np.take_along_axis(frames_of(plan, CLIPS), order, 1), rtol=1e-6
    )


@given(plans(), plans(), st.integers(0, 2**32 - 1))
def test_where_and_fade_mean_what_they_say(a, b, seed):
    rng = np.random.default_rng(seed)
    mask, alpha = rng.random((2, 5)) < 0.5, rng.choice([0.0, 0.25, 1.0], (2, 5))
    shown_a, shown_b = frames_of(a, CLIPS), frames_of(b, CLIPS)
    np.testing.assert_allclose(frames_of(where(mask, a, b), CLIPS), np.where(mask, shown_a, shown_b), rtol=1e-6)
    mixed = (1 - alpha) * shown_a + alpha * shown_b
    np.testing.assert_allclose(frames_of(fade(a, b, alpha), CLIPS), mixed, rtol=1e-6)


@given(plans(), st.integers(0, 2**32 - 1))
def test_fade_of_nothing_adds_no_tap(plan, seed):
    other = Plan.take(0, np.zeros((2, 5)))
    faded = fade(plan, other, np.zeros((2, 5)))
    np.testing.assert_array_equal(faded.clip, plan.clip)
    np.testing.assert_array_equal(faded.weight, plan.weight)


@settings(max_examples=30)
@given(plans(), plans(n=3))
def test_concat_keeps_every_sample(a, b):
    both = Plan.concat([a, b])
    np.testing.assert_allclose(frames_of(both, CLIPS), np.concatenate([frames_of(a, CLIPS), frames_of(b, CLIPS)]))


@given(plans())
def test_shares_are_what_a_render_of_one_hot_clips_averages_to(plan):
    one_hot = [np.zeros((length, 3)) for length in LENGTHS]
    for clip, frames in enumerate(one_hot):
        frames[:, clip] = 1
    expected = np.stack([frames_of(plan, [frames[:, c] for frames in one_hot]).mean(1) for c in range(3)], 1)
    np.testing.assert_allclose(plan.share(3), expected, atol=1e-6)
    np.testing.assert_allclose(plan.share(5)[:, 3:], 0)
    assert plan.share(3).dtype == np.float32


def test_times_are_composed_and_rounded_once():
    """Twice as fast, then half as fast, is the original: rounding in between would repeat every second frame."""
    fast = Plan.take(0, 2.0 * np.arange(6))
    np.testing.assert_array_equal(fast.at(np.arange(11) / 2).frame[0, :, 0], np.arange(11))
    rounded_between = 2 * np.floor(np.arange(11) / 2 + 0.5)
    assert (rounded_between != np.arange(11)).any()  # negative control


def test_a_fractional_position_never_lies_between_two_clips():
    cut = where([[True, True, False, False]], Plan.take(0, range(4)), Plan.take(1, range(10, 14)))
    plan = cut.at([1.4, 1.5])
    assert plan.clip[0, :, 0].tolist() == [0, 1]
    assert plan.frame[0, :, 0].tolist() == [1, 12]


def test_nearest_frame_is_floor_of_x_plus_half():
    assert Plan.take(0, [0.49, 0.5, 1.5, 2.5]).frame[0, :, 0].tolist() == [0, 1, 2, 3]  # np.round would give 0, 0, 2, 2


def test_the_boundary_is_read_from_the_plan():
    first, second = Plan.take(0, range(8)), Plan.take(1, range(8))
    alpha = np.array([[0, 0, 0.25, 0.5, 0.75, 1, 1, 1]])
    assert fade(first, second, alpha).boundary().tolist() == [4]  # a tie belongs to the first clip
    assert where(np.arange(8)[None] < 3, first, second).boundary().tolist() == [3]
    assert first.boundary().tolist() == [-1]
    assert Plan.take(0, [0, 1, 2, 2.25, 2.5]).boundary().tolist() == [3]
    assert Plan.take(0, [0.0]).boundary().tolist() == [-1]


def test_edges():
    with pytest.raises(ValueError, match=r"time must be in \[0, 4\].*got time=5"):
        Plan.take([0, 1], [[0, 1], [4, 5]], frames=[9, 5])
    assert Plan.take([0, 1], [[0, 1], [4, 5]], frames=[9, 5], edge="repeat").frame[1, :, 0].tolist() == [4, 4]
    assert Plan.take(0, [4.4], frames=5).frame.item() == 4
    with pytest.raises(ValueError, match="time must be ≥ 0"):
        Plan.take(0, [-0.6])
    with pytest.raises(ValueError, match=r"order must be in \[0, 1\]"):
        Plan.take(0, [0, 1]).at([2])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Plan.take(-1, [0]), "clip must be ≥ 0, got clip=-1"),
        (lambda: Plan.take(0.5, [0]), "clip must be whole numbers"),
        (lambda: Plan.take(0, [np.nan]), "time must be finite"),
        (lambda: Plan.take([0, 1, 2], [[0], [1]]), "do not fit together"),
        (lambda: Plan.take(0, [0], edge="wrap"), "edge must be 'error' or 'repeat', got edge='wrap'"),
        (lambda: Plan.take(3, [0], frames=[5, 5]), "clip must be below the number of clips 2, got clip=3"),
        (lambda: fade(Plan.take(0, [0]), Plan.take(0, [0]), 1.5), r"alpha must be in \[0, 1\]"),
        (lambda: fade(Plan.take(0, [0]), Plan.take(0, [0, 1]), 0.5), r"both plans must have one \(N, T\)"),
        (lambda: where([[True, False, True]], Plan.take(0, [0]), Plan.take(0, [0])), "mask must broadcast"),
        (lambda: Plan.take(3, [0]).share(3), r"clips must be above every clip id of the plan \(3\), got clips=3"),
        (lambda: Plan(np.zeros((1, 1, 1)), np.zeros((1, 1, 1)), np.ones((1, 1, 1))), "clip must be a int64 array"),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_plan_does_not_change_with_the_callers_array():
    time = np.arange(4.0)
    plan = Plan.take(0, time)
    time[:] = 9
    assert plan.frame[0, :, 0].tolist() == [0, 1, 2, 3]


def test_at_drops_a_tap_that_no_kept_frame_shows():
    faded = fade(Plan.take(0, np.arange(4.0)), Plan.take(1, np.arange(4.0)), [[0, 0, 0.5, 1]])
    assert faded.at([0, 1]).shape == (1, 2, 1)
    assert faded.at([2, 3]).shape == (1, 2, 2)


def test_a_position_whose_nearest_frame_is_the_first_is_taken():
    """−0.5 is nearest to frame 0, and the end of the clip is half a frame behind its last one."""
    assert Plan.take(0, [-0.5]).frame.tolist() == [[[0]]]
    assert Plan.take(0, [2.0]).at([-0.5]).time.tolist() == [[[2.0]]]
    assert Plan.take(0, [1.49], frames=2).frame.tolist() == [[[1]]]
    for time in (-0.51, 1.5):
        with pytest.raises(ValueError, match=r"time must be in \[0, 1\]"):
            Plan.take(0, [time], frames=2)


def test_times_between_two_frames_of_other_clips_are_not_mixed():
    """Clips are compared tap by tap: one of two taps that differs is enough."""
    plan = fade(Plan.take(0, [0, 10]), Plan.take([[1, 2]], [[0, 10]]), 0.5)
    assert plan.at([0.25]).time.tolist() == [[[0, 0]]]
    assert plan.at([0.75]).clip.tolist() == [[[0, 2]]]
    assert plan.at([0.75]).time.tolist() == [[[10, 10]]]
    alike = fade(Plan.take(0, [0, 10]), Plan.take(1, [0, 20]), 0.5)
    assert alike.at([0.25]).time.tolist() == [[[2.5, 5.0]]]


@pytest.mark.parametrize(("clip", "time"), [([[[0]]], [0]), ([0], [[[0]]])])
def test_three_dimensions_are_refused(clip, time):
    with pytest.raises(ValueError, match="clip and time must have at most 2 dimensions"):
        Plan.take(clip, time)


def test_lengths_of_two_dimensions_are_refused():
    with pytest.raises(ValueError, match="frames must be a scalar or an array indexed by clip id, got shape"):
        Plan.take(0, [0.0], frames=[[3]])
