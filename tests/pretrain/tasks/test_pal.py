"""PAL: composites and their targets, recomputed from the plan frame by frame."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaug.bank import Starved
from pretrain.tasks.pal import task as pal
from support.composites import FRAMES, J, make_bank, put


def taps(plan, bank, row, t):
    """{video: (position, frame, weight)} of one output frame, without zero weights; a video twice is an error."""
    shown = {}
    for clip, frame, weight in zip(plan.clip[row, t], plan.frame[row, t], plan.weight[row, t]):
        if weight:
            video = int(bank.info["video"][clip])
            assert video not in shown
            shown[video] = (int(bank.info["position"][clip]), int(frame), float(weight))
    return shown


@settings(max_examples=60, deadline=None)
@given(
    st.integers(3, 10),
    st.integers(1, 6),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(0, 2**32),
    st.sampled_from([(0.6, 0.95), (1.0, 1.0), (0.05, 0.4), (0.4, 0.6)]),
)
def test_every_composite_is_what_the_paper_says_and_its_target_what_the_plan_says(
    j, n, frames, stride_max, seed, opacity
):
    bank = make_bank([5, 3, 9, 7], windows=j, length=(frames - 1) * stride_max + 3)
    soft = opacity != (1.0, 1.0)
    plan, target = pal.sample(
        np.random.default_rng(seed), bank, n, pal.Settings(frames=frames, stride_max=stride_max, opacity=opacity)
    )
    assert plan.shape[:2] == (2 * n, j * frames)
    assert plan.shape[2] == (2 if soft else 1)
    assert plan.frame.max() < bank.info["frames"].min()
    np.testing.assert_allclose(plan.weight.sum(2), 1, atol=1e-6)
    for row in range(2 * n):
        frame = [taps(plan, bank, row, t) for t in range(j * frames)]
        (background,) = frame[0]
        region = [clip for clip in range(j) if any(video != background for video in frame[clip * frames])]
        start, stop = region[0], region[-1] + 1
        assert (target["start"][row], target["stop"][row]) == (start, stop)
        assert region == list(range(start, stop))
        assert 1 <= start < stop <= j - 1, "background on each side, at least one clip of action"
        (action,) = set(frame[start * frames]) - {background}
        beta = frame[start * frames][action][2]
        assert opacity[0] - 1e-6 <= beta <= opacity[1] + 1e-6
        assert target["opacity"][row] == np.float32(beta)
        first = frame[start * frames][action][0]
        for clip in range(j):
            inside = start <= clip < stop
            assert target["video"][row, clip] == (action if inside else background)
            assert target["source"][row, clip] == (first + clip - start if inside else clip)
            for shown in frame[clip * frames : (clip + 1) * frames]:
                if not inside:
                    assert shown.keys() == {background}
                else:
                    assert shown[action][2] == pytest.approx(beta, abs=1e-6)
                    assert shown[action][0] == first + clip - start
                    assert shown.keys() == ({action, background} if soft else {action})
                if background in shown:
                    assert shown[background][0] == clip
        check_strides(frame, [action, background], frames, stride_max)
        partner = (row + n) % (2 * n)
        assert target["video"][partner][target["start"][partner]] == action, "query and key show one action"
        assert target["video"][partner, 0] not in (background, action), "on two backgrounds"


def test_both_regions_on_one_background():
    bank = make_bank(range(9))
    settings = pal.Settings(frames=FRAMES, paste="same")
    _, target = pal.sample(np.random.default_rng(0), bank, 60, settings)
    action, ground = target["video"][np.arange(120), target["start"]], target["video"][:, 0]
    assert (action[:60] == action[60:]).all()
    assert (ground[:60] == ground[60:]).all()
    assert (action != ground).all()


def test_regions_of_videos_that_are_not_pasted_anywhere():
    """Both rows show the whole of the video; the regions differ, and are where they come from."""
    bank = make_bank(range(9))
    plan, target = pal.sample(np.random.default_rng(0), bank, 60, pal.Settings(frames=FRAMES, paste="none"))
    assert plan.shape == (120, J * FRAMES, 1)
    assert (target["video"] == target["video"][:, :1]).all()
    assert (target["video"][:60] == target["video"][60:]).all()
    assert (target["source"] == np.arange(J)).all()
    assert (target["opacity"] == 1).all()
    length = target["stop"] - target["start"]
    assert set(length.tolist()) == set(range(1, 7))
    assert (target["start"] + length <= J).all()
    assert not (target["start"][:60] == target["start"][60:]).all()


def check_strides(frame, videos, frames, stride_max):
    """One stride and one first frame per video, in all its clips."""
    for video in videos:
        seen = {}
        for t, shown in enumerate(frame):
            if video in shown:
                seen.setdefault(t % frames, set()).add(shown[video][1])
        assert all(len(value) == 1 for value in seen.values())
        steps = set(np.diff([seen[k].pop() for k in range(frames)]).tolist())
        assert len(steps) <= 1
        assert steps <= set(range(1, stride_max + 1))


def test_regions_strides_and_opacities_are_spread_as_the_options_say():
    bank = make_bank(range(12))
    plan, target = pal.sample(np.random.default_rng(0), bank, 2000, pal.Settings(frames=2))
    length = target["stop"] - target["start"]
    np.testing.assert_allclose(np.bincount(length) / len(length), [0] + [1 / 6] * 6, atol=0.02)
    assert abs(np.corrcoef(length[:2000], length[2000:])[0, 1]) < 0.06, "independent draws for query and key"
    start = target["source"][np.arange(len(length)), target["start"]]
    assert set(start[length == 6]) == {0, 1, 2}
    assert set(start[length == 1]) == set(range(8))
    assert set(target["start"][length == 6]) == {1}
    assert set(target["start"][length == 1]) == set(range(1, 7))
    assert abs(target["opacity"].mean() - 0.8) < 0.01
    _, time = plan.source()
    step = np.diff(time[:, :2]).ravel()
    np.testing.assert_allclose(np.bincount(step.astype(int)) / len(step), [0] + [0.25] * 4, atol=0.02)
    two, _ = pal.sample(
        np.random.default_rng(0), bank, 500, pal.Settings(frames=2, length_min=2, length_max=3, stride_max=1)
    )
    assert set(np.diff(two.source()[1][:, :2]).ravel()) == {1.0}


def test_windows_too_short_for_a_stride_get_smaller_ones():
    bank = make_bank([0, 1, 2], short={0: 9, 1: 5, 2: 3})  # 4 frames: strides up to 2, 1, and a repeated end
    plan, _ = pal.sample(np.random.default_rng(0), bank, 200, pal.Settings(frames=FRAMES, opacity=(1.0, 1.0)))
    video = bank.info["video"][plan.clip[:, :, 0]].reshape(-1, FRAMES)
    frame = plan.frame[:, :, 0].reshape(-1, FRAMES)
    steps = {v: set(map(tuple, np.diff(frame[video[:, 0] == v]))) for v in range(3)}
    assert steps == {0: {(1, 1, 1), (2, 2, 2)}, 1: {(1, 1, 1)}, 2: {(1, 1, 0)}}


def test_one_seed_one_batch():
    bank = make_bank(range(6))
    (plan, target), (again, same), (other, _) = (
        pal.sample(np.random.default_rng(seed), bank, 4, pal.Settings(frames=FRAMES)) for seed in (1, 1, 2)
    )
    assert (plan.clip == again.clip).all()
    assert (plan.time == again.time).all()
    assert (plan.weight == again.weight).all()
    assert all((target[name] == same[name]).all() for name in target)
    assert not (plan.clip.shape == other.clip.shape and (plan.clip == other.clip).all())


@pytest.mark.parametrize(("reuse", "n"), [(2, 1), (3, 4), (8, 4)])
def test_no_window_is_shown_more_often_than_allowed(reuse, n):
    rng = np.random.default_rng(0)
    bank = make_bank(range(15), reuse_max=reuse)
    renewed = 0
    for _ in range(60):
        try:
            plan, _ = pal.sample(rng, bank, n, pal.Settings(frames=FRAMES))
        except Starved:
            spent = {int(bank.info["group"][slot]) for slot in np.flatnonzero(bank.info["uses"] > reuse - 2)}
            assert spent, "starved although nothing is used up"
            for slot in np.flatnonzero(np.isin(bank.info["group"], list(spent))):
                video, group, position = (int(bank.info[name][slot]) for name in ("video", "group", "position"))
                put(bank, slot, video, group, position, 29)
            renewed += 1
            continue
        with bank.reading(plan.clip):
            pass
        assert bank.info["uses"].max() <= reuse
    assert renewed
    assert bank.rendered > 60 * n * J / 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"opacity": (0.9, 0.8)}, r"opacity must be 0 ≤ low ≤ high ≤ 1, got opacity=\(0.9, 0.8\)"),
        ({"opacity": (-0.1, 0.8)}, r"opacity must be in \[0, 1\]"),
        ({"length_max": 7}, "lengths must be 1 ≤ min ≤ max ≤ windows − 2 = 6, got length_min=1, length_max=7"),
        ({"length_min": 0}, "length_min must be ≥ 1, got length_min=0"),
        ({"frames": 0}, "frames must be ≥ 1, got frames=0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        pal.sample(np.random.default_rng(0), make_bank(range(4)), 1, pal.Settings(**options))


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="reuse_max must be ≥ 2 for PAL"):
        pal.sample(np.random.default_rng(0), make_bank(range(4), reuse_max=1), 1, pal.Settings())
    with pytest.raises(ValueError, match="windows − 2 = 0"):
        pal.sample(np.random.default_rng(0), make_bank(range(4), windows=2), 1, pal.Settings())
    with pytest.raises(Starved, match="2 videos make fewer"):
        pal.sample(np.random.default_rng(0), make_bank([0, 1, 1]), 1, pal.Settings())
    with pytest.raises(ValueError, match=r"momentum must be in \[0, 1\], got momentum=1\.5"):
        pal.Head(3, [], pal.Settings(momentum=1.5))
    with pytest.raises(ValueError, match="queue must be ≥ 1, got queue=0"):
        pal.Head(3, [], pal.Settings(queue=0))
