"""Detection mAP, mAP by length and AR@AN: values of the reference tools, named choices, errors."""

from __future__ import annotations

import numpy as np
import pytest

from pretrain.data.segments import Segments
from pretrain.evaluation import detection
from pretrain.evaluation.detection import ACTIVITYNET, average_recall, detection_map
from pretrain.evaluation.matching import pairs
from support.detections import ROWS, TRUTH

PREDICTIONS = Segments.of(ROWS)
INSIDE = Segments.of([row for row in ROWS if row[0] != "v9"])


def test_fixture_detection():
    found = detection.detection_map(TRUTH, PREDICTIONS)
    assert found.classes == ["A", "B"]
    expected_a = [0.6] * 3 + [1 / 3] * 4 + [1 / 6] * 3
    expected_b = [0.75] * 7 + [0.0] * 3
    np.testing.assert_allclose(found.ap_CI, [expected_a, expected_b], atol=1e-6)
    assert found.average_map == pytest.approx(0.444166667, abs=1e-6)
    assert ACTIVITYNET[8] == 0.8999999999999999


@pytest.mark.parametrize(
    ("proposals", "limit", "recall", "auc"),
    [
        (INSIDE, 1, 0.333333, 11.166667),
        (INSIDE, 2, 0.45, 21.425),
        (INSIDE, 3, 0.8, 32.65),
        (INSIDE, 100, 0.8, 78.616667),
        (PREDICTIONS, 2, 0.45, 20.575),
    ],
)
def test_fixture_proposals(proposals, limit, recall, auc):
    curve = detection.average_recall(TRUTH, proposals, max_proposals=limit)
    assert curve.ar_A[-1] == pytest.approx(recall, abs=1e-6)
    assert 100 * curve.auc == pytest.approx(auc, abs=1e-6)
    assert curve.an_A[-1] == pytest.approx(limit)


def test_fixture_ties_and_threshold():
    truth = Segments.of([("v", 0, 10, "A")])
    good, bad = ("v", 0, 10, "A", 0.5), ("v", 50, 60, "A", 0.5)
    assert detection.detection_map(truth, Segments.of([bad, good])).average_map == 1
    assert detection.detection_map(truth, Segments.of([good, bad])).average_map == 0.5
    assert detection.detection_map(truth, Segments.of([good, bad]), ties="earlier").average_map == 1
    just = detection.detection_map(truth, Segments.of([("v", 0, 5.5, "A", 1.0)]))
    assert just.map_I.tolist() == [1, 1] + [0] * 8  # hit at .5 and .55, miss at .6


def test_order_of_rows_matters_with_ties():
    """The control of the test above: with equal scores it would fail."""
    first = detection.detection_map(TRUTH, PREDICTIONS).average_map
    rows = [(*row[:4], 0.5) for row in ROWS]
    assert detection.detection_map(TRUTH, Segments.of(rows)).average_map != first
    reverse = detection.detection_map(TRUTH, Segments.of(rows[::-1])).average_map
    assert reverse != detection.detection_map(TRUTH, Segments.of(rows)).average_map


def test_by_length_conventions():
    """Two classes; the long action of A is found with the best score, the short one behind a false positive."""
    truth = Segments.of([("v", 0, 10, "A"), ("v", 100, 200, "A"), ("v", 50, 60, "B"), ("v", 0, 0, "B")])
    rows = [("v", 100, 200, "A", 0.9), ("v", 400, 410, "A", 0.8), ("v", 0, 10, "A", 0.7)]
    plain = detection.map_by_length(truth, Segments.of(rows), convention="plain")
    assert plain["(0,30]"] == pytest.approx(np.full(10, 0.25))  # A: hit at rank 2 of 2 (the long one is left out); B 0
    assert plain["(60,120]"] == pytest.approx(np.ones(10))
    assert np.isnan(plain[">180"]).all()
    detad = detection.map_by_length(truth, Segments.of(rows))
    typical = 3 / 2  # the one without length does not count
    assert detad["(0,30]"] == pytest.approx(np.full(10, typical / (typical + 1) / 2))
    # a prediction that takes the long action at .5 only is left out of the short bucket at every threshold by DETAD
    rows = [("v", 100, 152, "A", 0.9), ("v", 0, 10, "A", 0.7)]
    one = Segments.of([("v", 0, 10, "A"), ("v", 100, 200, "A")])
    assert detection.map_by_length(one, Segments.of(rows))["(0,30]"] == pytest.approx(np.ones(10))
    assert detection.map_by_length(one, Segments.of(rows), convention="plain")["(0,30]"] == pytest.approx(
        [1] + [0.5] * 9
    )


def test_zero_length_segments():
    truth = Segments.of([("v", 5, 5, "A"), ("v", 10, 20, "A")])
    rows = Segments.of([("v", 30, 30, "A", 0.9), ("v", 10, 20, "A", 0.8)])
    assert detection.detection_map(truth, rows).average_map == pytest.approx(0.25)  # half precision, half recall
    assert detection.detection_map(truth, rows, zero_length="official").average_map == pytest.approx(1)


def test_unknown_and_missing_classes():
    rows = Segments.of([("v1", 0, 10, "A", 0.5), ("v1", 0, 10, "Z", 0.5), ("v1", 0, 9, "Z", 0.5)])
    found = detection.detection_map(TRUTH, rows)
    assert found.ignored == {"Z": 2}
    assert found.ap_CI[1].tolist() == [0] * 10  # B has no prediction
    with pytest.raises(ValueError, match="classes of the ground truth only, got also Z"):
        detection.detection_map(TRUTH, rows, unknown="error")


def test_no_predictions_at_all():
    nothing = Segments.of([])
    assert detection.detection_map(TRUTH, nothing).average_map == 0
    assert detection.average_recall(TRUTH, nothing).auc == 0
    assert detection.average_recall(TRUTH, Segments.of([("v9", 0, 1)])).auc == 0
    assert all(np.isnan(v).all() or (v == 0).all() for v in detection.map_by_length(TRUTH, nothing).values())


def test_matched_rows_are_reported():
    found = detection.detection_map(TRUTH, PREDICTIONS, thresholds=[0.5])
    assert found.matched_IP[0].tolist() == [0, -1, 1, 3, -1, 2, 4, 5, -1, -1]


def test_of_equally_good_ground_truths_the_later_row_is_taken():
    truth = Segments.of([("v", 0, 12, "A"), ("v", 2, 14, "A")])
    found = detection.detection_map(truth, Segments.of([("v", 2, 12, "A", 0.5)]), thresholds=[0.5])
    assert found.matched_IP.tolist() == [[1]]


def test_pairs_counts():
    rng = np.random.default_rng(1)
    p, g = rng.integers(0, 5, 30), rng.integers(0, 5, 20)
    left, right = pairs(p, g)
    assert {(int(a), int(b)) for a, b in zip(left, right)} == {
        (a, b) for a in range(30) for b in range(20) if p[a] == g[b]
    }
    assert len(left) == (p[:, None] == g).sum()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Segments.of([("v", 5, 4, "A")]), r"start <= end, got segment \[5.0, 4.0\]"),
        (lambda: Segments.of([("v", 0, np.nan, "A")]), "must be finite"),
        (lambda: Segments.of([("v", 0, 1, "A", np.inf)]), "must be finite"),
        (lambda: detection.detection_map(Segments.of([]), PREDICTIONS), "truth must hold at least one segment"),
        (lambda: detection.detection_map(TRUTH, PREDICTIONS, thresholds=[0.5, 1.5]), r"tIoU in \(0, 1\]"),
        (lambda: detection.detection_map(TRUTH, PREDICTIONS, thresholds=[0, 0.5]), r"tIoU in \(0, 1\]"),
        (lambda: detection.detection_map(TRUTH, PREDICTIONS, thresholds=[]), r"tIoU in \(0, 1\]"),
        (lambda: detection.detection_map(TRUTH, PREDICTIONS, ties="random"), "ties must be 'later' or 'earlier'"),
        (lambda: detection.detection_map(TRUTH, PREDICTIONS, zero_length="x"), "zero_length must be one of"),
        (lambda: detection.average_recall(TRUTH, PREDICTIONS, max_proposals=0), "max_proposals must be above 0"),
        (lambda: detection.map_by_length(TRUTH, PREDICTIONS, convention="x"), "convention must be one of"),
    ],
)
def test_errors_name_argument_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_no_proposals_have_no_recall_at_any_number():
    for limit, last in ((20, 20), (None, 0)):
        found = average_recall(TRUTH, Segments.of([]), max_proposals=limit)
        np.testing.assert_allclose(found.an_A, np.arange(1, 101) / 100 * last)
        assert (found.recall_IA.shape, found.recall_IA.any()) == ((10, 100), False)


def test_without_a_limit_every_proposal_counts():
    truth = Segments.of([("v", 0, 10), ("w", 0, 10)])
    far = [("v", 50 + k, 60 + k, "", 0.9 - k / 1000) for k in range(150)]
    proposals = Segments.of([*far, ("v", 0, 10, "", 0.1), ("w", 0, 10, "", 0.2)])
    whole = average_recall(truth, proposals, max_proposals=None)
    assert whole.an_A[-1] == 76  # 152 of two videos
    assert whole.ar_A[-1] == 1
    assert average_recall(truth, proposals, max_proposals=25).ar_A[-1] == 0, "both are the last of their video"
    for limit in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="max_proposals must be above 0 or None"):
            average_recall(truth, proposals, max_proposals=limit)


@pytest.mark.parametrize(
    ("prediction", "official"),
    [((20, 30), 0.0), ((0, 10), 1.0), ((5, 5), 0.0), ((12, 12), 0.0)],
)
def test_only_segments_without_length_hit_what_they_do_not_touch(prediction, official):
    """In the official tool 0/0 is not below a threshold; a segment with a length is never of that kind."""
    truth, found = Segments.of([("v", 0, 10, "a")]), Segments.of([("v", *prediction, "a", 0.9)])
    assert detection_map(truth, found, zero_length="official").average_map == official
    flat = Segments.of([("v", 3, 3, "a")])
    expected = float(prediction[0] == prediction[1])
    assert detection_map(flat, found, zero_length="official").average_map == expected
    assert detection_map(flat, found, zero_length="never").average_map == 0.0


def test_lengths_belong_to_the_bucket_that_they_end():
    truth = Segments.of([("v", 0, 30, "a"), ("v", 100, 131, "a"), ("v", 200, 300, "a"), ("v", 400, 400, "a")])
    found = Segments.of([("v", 100, 131, "a", 0.5)])
    by = detection.map_by_length(truth, found, edges_seconds=(0, 30, 60), convention="plain", thresholds=[0.5, 1.0])
    assert {name: value.tolist() for name, value in by.items()} == {"(0,30]": [0, 0], "(30,60]": [1, 1]}


def test_by_length_equal_scores_follow_the_rule():
    truth = Segments.of([("v", 0, 10, "a")])
    found = Segments.of([("v", 0, 10, "a", 0.5), ("v", 50, 60, "a", 0.5)])
    for ties, value in (("later", 0.5), ("earlier", 1.0)):
        by = detection.map_by_length(truth, found, edges_seconds=(0, np.inf), convention="plain", ties=ties)
        assert by == {">0": pytest.approx(np.full(10, value))}


def test_recall_between_the_points_of_its_curve():
    curve = detection.Recall(np.array([0.5, 0.75]), np.array([1.0, 2.0, 4.0]), np.array([[0, 0.5, 1], [0, 0, 0.5]]))
    assert curve.ar_A.tolist() == [0, 0.25, 0.75]
    assert [curve.at(an) for an in (0.5, 1, 1.5, 3, 9)] == pytest.approx([0, 0, 0.125, 0.5, 0.75])
    assert curve.auc == pytest.approx((1 * 0.125 + 2 * 0.5) / 4)


def test_thresholds_of_recall_and_its_usual_number():
    truth = Segments.of([("v", 0, 10)])
    found = Segments.of([("v", 0, 8, "", 0.5)])
    curve = detection.average_recall(truth, found, thresholds=[0.8, 1.0])
    assert curve.recall_IA[:, -1].tolist() == [1, 0]
    assert curve.an_A[-1] == 100
    two = Segments.of([("v", 0, 8, "", 0.5), ("v", 50, 58, "", 0.5)])
    recalls = [
        detection.average_recall(truth, two, max_proposals=1, ties=ties).recall_IA[0, -1]
        for ties in ("later", "earlier")
    ]
    assert recalls == [0, 1]


def test_the_published_thresholds_and_lengths():
    assert pytest.approx([0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]) == detection.ACTIVITYNET
    assert pytest.approx([0.3, 0.4, 0.5, 0.6, 0.7]) == detection.THUMOS
    assert (0, 30, 60, 120, 180, np.inf) == detection.LENGTHS_SECONDS
