"""Measures of shot boundaries, on made lists whose results can be counted by hand."""

import numpy as np
import pytest

from pretrain.evaluation.shots import SLACK, Range, intervals, judge, match, measures

TRUTH = [Range(10, 10, "cut"), Range(30, 39, "dissolve"), Range(60, 60, "jump"), Range(90, 90, "cut")]
FOUND = [Range(12, 12, "cut"), Range(35, 44, "wipe"), Range(61, 61, "jump"), Range(70, 70, "cut")]


def test_every_measure_of_a_small_video():
    judged = judge(FOUND, TRUTH)
    assert judged.hit == [True, True, True, False]
    assert judged.exact == [False, False, False, False]
    assert judged.false == [Range(70, 70, "cut")]
    found = measures({"v": judged}, 2.0, traps={"v": [(69, 75)]})
    assert found["precision"] == 2 / 3  # the jump counts on neither side
    assert found["recall"] == 2 / 3
    assert found["f1"] == pytest.approx(2 / 3)
    assert found["gradual_iou"] == 5 / 15
    assert found["jump_recall"] == 0  # found a frame too late
    assert found["false_per_minute"] == 0.5
    assert found["false_in_traps"] == 1


def test_matching_is_one_to_one_and_the_nearest_wins():
    assert match([Range(9, 9, "cut"), Range(11, 11, "cut")], [Range(11, 11, "cut")]) == [(1, 0)]
    assert match([Range(13, 13, "cut")], [Range(10, 10, "cut")]) == []  # three frames away
    assert match([Range(12, 12, "cut")], [Range(10, 10, "cut")]) == [(0, 0)]
    assert len(match([Range(31, 31, "cut"), Range(38, 38, "cut")], [Range(30, 39, "fade")])) == 1


def reference(found, truth):
    """True positives, false alarms, misses, mean IoU and jumps, by brute force over frames."""
    pairs = sorted(
        (abs(a.first - b.first) + abs(a.last - b.last), i, j)
        for i, a in enumerate(found)
        for j, b in enumerate(truth)
        if set(range(a.first - 2, a.last + 3)) & set(range(b.first, b.last + 1))
    )
    of, used = {}, set()
    for _, i, j in pairs:
        if j not in of and i not in used:
            of[j] = i
            used.add(i)
    frames = [set(range(each.first, each.last + 1)) for each in found]
    ious = [
        len(frames[of[j]] & set(range(t.first, t.last + 1))) / len(frames[of[j]] | set(range(t.first, t.last + 1)))
        if j in of
        else 0.0
        for j, t in enumerate(truth)
        if t.kind == "dissolve"
    ]
    jumps = [j in of and found[of[j]].first == t.first for j, t in enumerate(truth) if t.kind == "jump"]
    hits = [j in of for j, t in enumerate(truth) if t.kind != "jump"]
    return sum(hits), len(found) - len(used), len(hits) - sum(hits), ious, jumps


@pytest.mark.parametrize("seed", range(20))
def test_against_frames_counted_one_by_one(seed):
    rng = np.random.default_rng(seed)

    def drawn(count):
        kinds = rng.choice(["cut", "dissolve", "jump"], count)
        first = np.sort(rng.choice(300, count, replace=False))
        # contiguous ranges have the IoU of their frames only where they meet: the rule is that of ranges
        return [
            Range(int(a), int(a + (rng.integers(1, 9) if k == "dissolve" else 0)), str(k)) for a, k in zip(first, kinds)
        ]

    found, truth = drawn(12), drawn(14)
    tp, fp, fn, ious, jumps = reference(found, truth)
    told = measures({"v": judge(found, truth)}, 1.0)
    assert told["false"] == fp
    assert told["gradual_iou"] == pytest.approx(np.mean(ious)) if ious else np.isnan(told["gradual_iou"])
    assert told["recall"] == pytest.approx(tp / max(1, tp + fn))
    assert told["precision"] == pytest.approx(tp / max(1, tp + fp))
    if jumps:
        assert told["jump_recall"] == pytest.approx(np.mean(jumps))


def test_intervals_hold_the_value_and_shrink_with_more_boundaries():
    few = {"v": judge(FOUND, TRUTH)}
    many = {f"v{k}": judge(FOUND, TRUTH) for k in range(50)}
    narrow, wide = intervals(many, 100.0, rounds=200), intervals(few, 2.0, rounds=200)
    low, high = narrow["f1"]
    assert low <= measures(many, 100.0)["f1"] <= high
    assert high - low < wide["f1"][1] - wide["f1"][0]


def test_intervals_are_the_same_each_time():
    videos = {"v": judge(FOUND, TRUTH), "w": judge(FOUND, TRUTH)}
    told = intervals(videos, 2.0)
    assert told == intervals(videos, 2.0) == intervals(videos, 2.0, rounds=1000, seed=0)
    assert told != intervals(videos, 2.0, seed=1)


def test_slack_is_that_of_both_ends():
    truth = [Range(10, 14, "fade")]
    for slack in (0, 2, 3):
        for first, last, near in ((5, 10 - slack, True), (5, 9 - slack, False), (14 + slack, 20, True)):
            found = [Range(first, last, "fade")]
            assert match(found, truth, slack=slack) == [(0, 0)] * near
            assert judge(found, truth, slack=slack).hit == [near]
            assert len(judge(found, truth, slack=slack).false) == 1 - near
        assert not match([Range(15 + slack, 20, "fade")], truth, slack=slack)
    assert SLACK == 2


def test_found_boundaries_may_come_in_any_order():
    truth = [Range(10, 10, "jump"), Range(20, 24, "fade")]
    judged = judge([Range(60, 60, "cut"), Range(22, 25, "fade"), Range(10, 10, "cut")], truth)
    assert (judged.hit, judged.exact, judged.iou) == ([True, True], [True, False], [1.0, 0.5])
    assert judged.false == [Range(60, 60, "cut")]
    assert measures({"v": judged}, 0.5)["jump_recall"] == 1
    assert measures({"v": judged}, 0.5)["false_per_minute"] == 2


def test_traps_have_both_their_frames():
    judged = judge([Range(10, 12, "fade")], [])
    for trap, inside in (((12, 20), 1), ((13, 20), 0), ((1, 10), 1), ((1, 9), 0), ((11, 11), 1)):
        assert measures({"v": judged}, 1, traps={"v": [(100, 101), trap]})["false_in_traps"] == inside
    assert measures({"v": judged}, 1, traps={"w": [(10, 12)]})["false_in_traps"] == 0
    assert measures({"v": judged}, 1)["false_in_traps"] == 0


def test_nothing_found_and_nothing_there():
    found = measures({"v": judge([], [])}, 1)
    assert (found["f1"], found["precision"], found["recall"], found["false"]) == (0, 0, 0, 0)
    assert np.isnan([found["gradual_iou"], found["jump_recall"]]).all()
    missed = measures({"v": judge([], [Range(3, 6, "fade"), Range(9, 9, "jump")])}, 1)
    assert (missed["gradual_iou"], missed["jump_recall"], missed["recall"]) == (0, 0, 0)


def test_bootstrap_intervals_are_those_of_a_binomial_and_a_poisson():
    """100 cuts of which 80 are found, and 25 false alarms in 5 minutes."""
    truth = [Range(100 * k, 100 * k, "cut") for k in range(100)]
    found = [*truth[:80], *(Range(100 * k + 50, 100 * k + 50, "cut") for k in range(25))]
    told = intervals({"v": judge(found, truth)}, 5.0, rounds=500)
    assert told.keys() == {"f1", "precision", "recall", "false_per_minute"}
    assert told["recall"] == pytest.approx((0.72, 0.875), abs=0.02)
    assert told["false_per_minute"] == pytest.approx((16 / 5, 35 / 5), abs=0.41)
    low, high = told["precision"]
    assert low < 80 / 105 < high
    assert intervals({"v": judge([], []), "w": judge(found, truth)}, 5.0)["recall"] == pytest.approx(
        (0.72, 0.875), abs=0.02
    )
