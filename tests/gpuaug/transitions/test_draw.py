"""Random transitions: the prior, reproducibility, and 100,000 of them whose labels are recomputed from pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpuaug import Plan, render
from gpuaug.layers import cover
from gpuaug.transitions import FAMILIES, KINDS, NAMES, WEIGHTS, draw, labels, transition

LENGTH, SIZE = 12, (3, 5)
FIRST, SECOND = (60, 120, 200), (200, 90, 40)
ALIKE = {family: 1.0 for family in FAMILIES if family != "time"}  # of two clips; test_times.py has the others


def test_the_prior():
    drawn = draw(np.random.default_rng(0), 20000, length=128)
    kinds = np.array(drawn["kind"])
    families = np.array([KINDS[kind].family for kind in kinds])
    for family in FAMILIES:
        assert abs((families == family).mean() - WEIGHTS[family]) < 0.01, family
    gradual = drawn["duration"][kinds != "cut"]
    assert (drawn["duration"][kinds == "cut"] == 0).all()
    quantiles = np.quantile(gradual, [0.25, 0.5, 0.75, 0.95])
    np.testing.assert_allclose(quantiles, [2, 9, 18, 35], atol=2)  # ClipShots counts a frame at either end
    assert (gradual >= 2).all()
    assert (drawn["start"] >= 1).all()
    assert (drawn["start"] + np.maximum(drawn["duration"], 1) <= 128).all()


def test_the_same_generator_gives_the_same():
    one, two = (draw(np.random.default_rng(7), 50, length=16) for _ in range(2))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    other = draw(np.random.default_rng(8), 50, length=16)
    assert not np.array_equal(one["angle"], other["angle"])


def test_weights_and_ranges_are_data():
    rng = np.random.default_rng(1)
    drawn = draw(rng, 300, length=8, weights={"wipe": 1, "luma": 1}, ranges={"angle": (10, 20)})
    assert {KINDS[kind].family for kind in drawn["kind"]} == {"wipe", "matte"}
    assert "luma" in drawn["kind"]
    assert "clouds" not in drawn["kind"]
    assert (drawn["angle"] >= 10).all()
    assert (drawn["angle"] <= 20).all()
    short = draw(rng, 300, length=8, start=7, weights={"wipe": 1})  # no room for one in its middle
    assert set(short["kind"]) == {"cut"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"length": 1}, "length must be ≥ 2 to hold a transition, got length=1"),
        ({"start": 0}, r"start must be in \[1, 7\], got start=0"),
        ({"weights": {"swipe": 1}}, "weights must be of families or kinds of gpuaug.transitions, got 'swipe'"),
        ({"weights": {"wipe": -1}}, "weights must be ≥ 0 and finite, got wipe: -1"),
        ({"weights": {"wipe": 0}}, "weights must have one above 0"),
        ({"weights": {"jump": 1}}, r"frames must be at least length \+ 4 = 12 for the kind 'jump'"),
        ({"frames": 7}, "frames must be at least length=8, got frames=7"),
        ({"ranges": {"rate": (0, 1)}}, r"ranges of rate must be two numbers in \[1e-06, 1e\+06\] that rise, got rate"),
        ({"ranges": {"softness": (1, 0)}}, r"ranges of softness must be .* that rise, got softness: \(1, 0\)"),
        ({"ranges": {"angle": (0, 90, 180)}}, "ranges of angle must be two numbers"),
        ({"ranges": {"color": (0, float("nan"))}}, "ranges of color must be two numbers"),
        ({"ranges": {"anlge": (0, 90)}}, "ranges must be of softness, .* got 'anlge'; did you mean 'angle'"),
        ({"weights": {"push_lef": 1}}, "got 'push_lef'; did you mean 'push_left'"),
        ({"durations": (0, 1)}, "durations must be"),
        ({"durations": ((0, 3), (1, float("nan")))}, "durations must be"),
        ({"durations": ((0, 3), (1, 2))}, "durations must be"),
    ],
)
def test_bad_settings_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        draw(np.random.default_rng(0), 2, **{"length": 8, **given})


def check(rng, n, weights):
    """Labels and shares of n random transitions, recomputed from pixels of two flat colours."""
    drawn = draw(rng, n, length=LENGTH, weights=weights)
    clips = [Plan.take(np.full(n, k), range(LENGTH)) for k in (0, 1)]
    plan = transition(*clips, length=LENGTH, **drawn)
    bank = torch.tensor([FIRST, SECOND], dtype=torch.uint8).view(2, 1, 1, 1, 3).expand(2, LENGTH, *SIZE, 3).contiguous()
    got = render(bank, plan, size=SIZE, layout="NTHWC").numpy() * 255
    is_first, is_second = (np.abs(got - np.array(color)).max((2, 3, 4)) < 1e-3 for color in (FIRST, SECOND))
    mixed = ~is_first & ~is_second
    found = labels(plan)
    assert found.sample.tolist() == list(range(n))
    gradual = mixed.any(1)
    first = np.where(gradual, mixed.argmax(1), -1)
    last = np.where(gradual, LENGTH - 1 - mixed[:, ::-1].argmax(1), -1)
    new = is_second.argmax(1)
    kinds = np.where(gradual, drawn["kind"], "cut")
    for name, expected in (("first", first), ("last", last), ("new", new), ("names", kinds)):
        wrong = np.flatnonzero(np.asarray(getattr(found, name)) != expected)
        assert not len(wrong), (name, [(drawn["kind"][i], drawn["duration"][i], drawn["easing"][i]) for i in wrong[:5]])
    if plan.layers is None:
        np.testing.assert_allclose(plan.weight.sum(2), 1, atol=1e-6)
        return
    k = plan.shape[2]
    assert (plan.weight[~mixed] == np.eye(1, k)).all()  # a single tap
    columns = plan.layers.each(lambda column: column.reshape(n * LENGTH, *column.shape[2:])[mixed.ravel()])
    share = cover.shares(plan.weight.reshape(-1, k)[mixed.ravel()], columns, SIZE)
    np.testing.assert_allclose(share.sum(1), 1, atol=1e-6)
    clip = plan.clip[mixed]
    area = share.mean((2, 3))
    seen = sum(
        (area * (clip == number)).sum(1)[:, None] * np.array(color) for number, color in ((0, FIRST), (1, SECOND))
    )
    paint = ((clip == -1) * area)[:, :, None] * columns.color * 255
    np.testing.assert_allclose(got[mixed].mean((1, 2)), seen + paint.sum(1), atol=0.01)


def test_labels_of_a_few():
    check(np.random.default_rng(2), 400, ALIKE)


@pytest.mark.slow
@pytest.mark.parametrize("weights", [WEIGHTS, ALIKE], ids=["as drawn", "alike"])
def test_labels_of_thousands(weights):
    """100,000 in all."""
    rng = np.random.default_rng(3)
    for _ in range(50):
        check(rng, 1000, weights)


def test_a_wrong_label_would_be_noticed(monkeypatch):
    """Negative control: a transition whose first frame shows nothing of the second clip yet."""
    from gpuaug.transitions import edit

    late = lambda t, names: np.where(t < 0.3, 1e-9, t)  # noqa: E731
    monkeypatch.setattr(edit, "ease", late)
    with pytest.raises(AssertionError):
        check(np.random.default_rng(4), 50, {"dissolve": 1.0})


def test_every_kind_is_drawn():
    drawn = draw(np.random.default_rng(5), 5000, length=32, frames=80, weights=dict.fromkeys(FAMILIES, 1.0))
    assert set(drawn["kind"]) == set(NAMES) - {"luma"}


def test_jumps_and_ramps_fit_the_first_clip():
    """The clip's last frames are reached, and none beyond."""
    for frames in (None, 17, 20, 40):
        weights = {"time": 1.0} if frames in (None, 17) else {"jump": 1.0, "speed_ramp": 1.0}
        drawn = draw(np.random.default_rng(6), 2000, length=16, frames=frames, weights=weights)
        clips = Plan.take(0, range(frames or 16)), Plan.color([0, 0, 0], frames=1)
        assert transition(*clips, length=16, **drawn).frame.max() == (frames or 16) - 1
        assert ("jump" in drawn["kind"]) == (frames in (20, 40))
        ramps = drawn["rate"][np.array(drawn["kind"]) == "speed_ramp"]
        assert 0.25 <= ramps.min() < 0.3
        assert ramps.max() < (4 if frames else 1) + 1e-9
        assert not frames or ramps.max() > 1
