"""BSP: targets against the plan, equal conditions for all kinds, partners, options, and the heads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpuaug
from pretrain.tasks.bsp import task as bsp
from support.banks import T, draw, make_bank, set_columns


def read_again(plan, bank, i):
    """Kind, boundary, second-source frames and action of sample i, from its taps alone."""
    _, frames, taps = plan.shape
    share = []  # per frame: clip → weight
    for t in range(frames):
        weights = {}
        for k in range(taps):
            clip = int(plan.clip[i, t, k])
            weights[clip] = weights.get(clip, 0.0) + float(plan.weight[i, t, k])
        share.append({clip: weight for clip, weight in weights.items() if weight > 0})
        assert sum(share[-1].values()) == pytest.approx(1, abs=1e-6)
    clips = list(dict.fromkeys(clip for frame in share for clip in sorted(frame)))
    first = max(share[0], key=share[0].__getitem__)
    second = [int(frame.get(first, 0.0) < 0.5) for frame in share]
    labels = {int(bank.info["label"][clip]) for clip in clips}
    if len(clips) == 2:
        boundary = second.index(1)
        assert second == [0] * boundary + [1] * (frames - boundary)
        kind = "sc" if len(labels) == 1 else "dc"
    else:
        step = np.diff(plan.time[i, :, 0])
        changed = np.flatnonzero(np.abs(step - step[0]) > 1e-6)
        boundary = int(changed[0]) + 1 if len(changed) else -1
        kind = "ds" if len(changed) else "ss"
    return kind, boundary, second, labels.pop() if len(labels) == 1 else -1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"epsilon": (0, 4), "frames": 8},
        {"frames": 16, "rates": (0.5, 1.5)},
        {"sampling": "dense", "stride": 1.5},
        {"mode": "regression", "boundaries": ("dc", "sc", "ds")},
        {"mode": "two_head"},
        {"mode": "action"},
        {"boundaries": ("ds", "ss"), "change_point": (3, 4)},
    ],
)
def test_targets_are_what_the_plan_shows(options):
    bank, plan, target = draw(300, **options)
    frames = options.get("frames", T)
    assert plan.shape[:2] == (300, frames)
    seen = set()
    for i in range(300):
        kind, boundary, second, action = read_again(plan, bank, i)
        seen.add(kind)
        assert bsp.KINDS[target["kind"][i]] == kind
        assert target["boundary"][i] == boundary
        assert target["second"][i].tolist() == second
        assert target["action"][i] == action
        expected = [0.0 if boundary < 0 else np.exp(-((t - boundary) ** 2) / (2 * frames)) for t in range(frames)]
        np.testing.assert_allclose(target["heatmap"][i], expected, atol=1e-6)
    assert (target["boundary"] == plan.boundary()).all()
    default = {"action": {"ss"}}.get(options.get("mode"), set(bsp.KINDS))
    assert seen == set(options.get("boundaries", default))


def test_a_wrong_plan_gives_another_target():
    """The targets follow the plan, not the draw that made it: a reversed ds is a ds whose boundary moved."""
    bank, plan, target = draw(200, boundaries=("ds", "ss"))
    reverse = bsp.targets(plan.at(np.arange(T)[::-1].copy()), bank.info["label"])
    assert (reverse["kind"] == target["kind"]).all()
    ds = target["kind"] == bsp.DS
    assert (reverse["boundary"][ds] == T + 1 - target["boundary"][ds]).mean() > 0.9
    frozen = bsp.targets(plan.at(np.zeros(T)), bank.info["label"])
    assert (frozen["kind"] == bsp.SS).all()


def test_what_is_shown_exists():
    bank, plan, _ = draw(2000, bank=make_bank(frames=np.arange(48) + 26))
    assert (plan.frame >= 0).all()
    assert (plan.frame < bank.info["frames"][plan.clip]).all()


@pytest.mark.parametrize("sampling", ["uniform", "dense"])
def test_all_kinds_have_one_distribution_of_time_step_and_start(sampling):
    """Else the kind could be read from the speed or the place alone. The step follows from the clip, never the kind."""
    bank, plan, target = draw(8000, bank=make_bank(200, frames=np.arange(200) % 60 + 60), sampling=sampling)
    clip, time = plan.clip[:, 0, 0], plan.time[:, :2, 0]
    length = bank.info["frames"][clip]
    step = time[:, 1] - time[:, 0]
    expected = length / 26 if sampling == "uniform" else np.full(len(clip), 2.0)
    np.testing.assert_allclose(step, expected, rtol=1e-9)
    place = time[:, 0] / (length - 1 - 25 * step)
    for values in (place, length / length.max()):
        for kind in range(4):
            here, rest = np.sort(values[target["kind"] == kind]), np.sort(values[target["kind"] != kind])
            grid = np.linspace(0, 1, 200)
            share = [np.searchsorted(v, grid, side="right") / len(v) for v in (here, rest)]
            distance = np.abs(share[0] - share[1]).max()  # Kolmogorov–Smirnov
            assert distance < 1.95 * np.sqrt(1 / len(here) + 1 / len(rest))
    # the partners, too, run at the speed that their own length gives
    other = plan.clip[:, -1, 0]
    last = plan.time[:, -1, 0] - plan.time[:, -2, 0]
    pair = target["kind"] <= bsp.SC
    expected = bank.info["frames"][other] / 26 if sampling == "uniform" else np.full(len(other), 2.0)
    np.testing.assert_allclose(last[pair], expected[pair], rtol=1e-9)


def test_kinds_rates_and_change_points_are_equally_likely():
    _, plan, target = draw(8000)
    counts = np.bincount(target["kind"], minlength=4)
    assert (abs(counts - 2000) < 200).all()
    ds = target["kind"] == bsp.DS
    step = np.diff(plan.time[ds, :, 0], axis=1)
    rates, counts = np.unique((step[:, -1] / step[:, 0]).round(3), return_counts=True)
    assert rates.tolist() == [0.25, 0.5, 2, 4]
    assert (abs(counts / counts.sum() - 0.25) < 0.05).all()
    points, counts = np.unique(target["boundary"][ds], return_counts=True)
    assert points.tolist() == [2, 3, 4, 5, 6]  # t uniform on [τ/2, 3τ/2]
    assert (abs(counts / counts.sum() - 0.2) < 0.05).all()
    blended = (plan.weight[target["kind"] == bsp.DC] > 0).sum(2) == 2
    assert set(blended.sum(1)) == {1, 3}  # 2ε − 1 frames show both clips, ε in {1, 2}
    assert (target["boundary"][target["kind"] <= bsp.SC] == 4).all()


def test_partners_are_other_videos():
    bank, plan, target = draw(2000, bank=make_bank(96, classes=4, per_video=3))
    pair = target["kind"] <= bsp.SC
    first, second = plan.clip[pair, 0, 0], plan.clip[pair, -1, 0]
    assert (bank.info["video"][first] != bank.info["video"][second]).all()
    assert (plan.clip[~pair] == plan.clip[~pair][:, :1, :1]).all()


def test_partners_are_uniform():
    bank, plan, _ = draw(20_000, bank=make_bank(12, classes=3), boundaries=("sc", "dc"))
    first, second = plan.clip[:, 0, 0], plan.clip[:, -1, 0]
    counts = np.zeros((12, 12))
    np.add.at(counts, (first, second), 1)
    same = bank.info["label"][:, None] == bank.info["label"]
    for members in (same & ~np.eye(12, dtype=bool), ~same):
        values = counts[members]
        assert (abs(values / values.mean() - 1) < 0.35).all()
    assert counts.diagonal().sum() == 0


def test_same_seed_same_samples():
    _, a, _ = draw(64, seed=3)
    _, b, _ = draw(64, seed=3)
    _, c, _ = draw(64, seed=4)
    assert all(np.array_equal(getattr(a, x), getattr(b, x)) for x in ("clip", "time", "weight"))
    assert not np.array_equal(a.clip, c.clip) or not np.array_equal(a.time, c.time)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 24), st.integers(0, 2**31))
def test_no_slot_is_shown_beyond_its_limit(reuse_max, classes, n, seed):
    rng = np.random.default_rng(seed)
    bank = make_bank(24, classes=classes, reuse_max=reuse_max)
    uses, ready = rng.integers(0, reuse_max + 1, 24), rng.random(24) < 0.8
    label = np.where(rng.random(24) < 0.2, -1, bank.info["label"])
    set_columns(bank, uses=uses, ready=ready, label=label)
    try:
        plan, target = bsp.sample(rng, bank, n, bsp.Settings())
    except gpuaug.Starved:
        return
    for i in range(n):
        shown = np.unique(plan.clip[i])
        uses[shown] += 1
        assert bank.info["ready"][shown].all()
        assert len(shown) == 1 or (bank.info["label"][shown] >= 0).all()
        assert len(shown) == 1 + (target["kind"][i] <= bsp.SC)
    assert uses.max() <= reuse_max


def test_starved_banks_say_why():
    with pytest.raises(gpuaug.Starved, match=r"clips of at least 26 frames are wanted, the longest .* has 25"):
        draw(8, bank=make_bank(frames=25))
    with pytest.raises(gpuaug.Starved, match="a video of another class"):
        draw(8, bank=make_bank(classes=1), boundaries=("dc", "ss"))
    with pytest.raises(gpuaug.Starved, match="another video of their class"):
        draw(8, bank=make_bank(slots=8, classes=8), boundaries=("sc", "ss"))
    unlabelled = make_bank()
    set_columns(unlabelled, label=-1)
    with pytest.raises(gpuaug.Starved):
        draw(8, bank=unlabelled)
    draw(8, bank=unlabelled, boundaries=("ds", "ss"))  # speed needs no classes


def test_short_clips_are_left_out():
    _, plan, _ = draw(500, bank=make_bank(frames=np.where(np.arange(48) < 24, 60, 20)))
    assert plan.clip.max() < 24


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"boundaries": ("dc", "xx")}, "boundaries must be different ones of dc, sc, ds, ss"),
        ({"boundaries": ("ds",)}, "boundaries must be at least 2"),
        ({"mode": "regression", "boundaries": ("ds", "ss")}, "boundaries for regression"),
        ({"mode": "action", "boundaries": ("dc", "ss")}, "two actions"),
        ({"frames": 7}, "frames must be even and ≥ 4, got frames=7"),
        ({"rates": (1.0, 2.0)}, "rates must be > 0 and not 1"),
        ({"epsilon": (1, 5)}, r"epsilon must be .* in \[0, 4\], got epsilon=\(1, 5\)"),
        ({"change_point": (1, 4)}, r"change_point must be .* in \[2, 7\]"),
        ({"stride": 0.5}, "stride must be ≥ 1, got stride=0.5"),
        ({"sampling": "sparse"}, "sampling must be"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        draw(4, **options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"mode": "boundary"}, {4}),
        ({"mode": "two_head", "frames": 16, "change_point": (3, 4)}, {8}),
        ({"mode": "regression", "change_point": (2, 5)}, {2, 3, 4, 5}),
        ({"mode": "regression", "center": (3, 4), "change_point": (2, 5)}, {3, 4}),
        ({"mode": "boundary", "center": (1, 3)}, {1, 2, 3}),
    ],
)
def test_where_two_clips_meet(options, expected):
    """In the middle, unless a heat map is learnt, which has them where speeds change, or it is told."""
    _, _, target = draw(400, boundaries=("dc", "sc", "ds"), **options)
    two = np.isin(target["kind"], [list(bsp.KINDS).index(name) for name in ("dc", "sc")])
    assert set(target["boundary"][two].tolist()) == expected
