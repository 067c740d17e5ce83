"""Detection mAP and AR@AN against plain loops written from the definition, on real files and on random segments."""

from __future__ import annotations

import gzip
import json
import time
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pretrain.data.segments import Segments
from pretrain.evaluation import detection
from pretrain.evaluation.detection import ACTIVITYNET, THUMOS

SEGMENT = st.tuples(st.integers(0, 40), st.integers(1, 12)).map(lambda v: (v[0], v[0] + v[1]))
ROW = st.tuples(st.sampled_from("uvw"), SEGMENT, st.sampled_from("AB")).map(lambda v: (v[0], *v[1], v[2]))
TRUTHS = st.lists(ROW, min_size=1, max_size=12)
SCORED = st.lists(st.tuples(ROW, st.integers(0, 6)), max_size=25).map(lambda v: [(*row, score) for row, score in v])
QUICK = settings(max_examples=60, deadline=None)


def overlap(a, b):
    common = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = (b[1] - b[0]) + (a[1] - a[0]) - common
    return common / union if union > 0 else 0.0


def slow_detection(truth, predictions, thresholds):
    """{class: [AP per threshold]}: one prediction after another."""
    result, predicted, true = {}, predictions.segment.tolist(), truth.segment.tolist()
    for label in sorted(set(truth.label.tolist())):
        rows = np.flatnonzero(predictions.label == label).tolist()
        rows.sort(key=lambda p: (-predictions.score[p], -p))
        owned = np.flatnonzero(truth.label == label).tolist()
        by_video = {}
        for g in owned:
            by_video.setdefault(str(truth.video[g]), []).append(g)
        result[label] = []
        for threshold in thresholds:
            taken, hits = set(), []
            for p in rows:
                near = [(overlap(predicted[p], true[g]), g) for g in by_video.get(str(predictions.video[p]), [])]
                free = [(iou, g) for iou, g in near if iou >= threshold and g not in taken]
                hits.append(bool(free))
                if free:
                    taken.add(max(free)[1])
            area, best, found = 0.0, 0.0, sum(hits)
            for k in reversed(range(len(hits))):
                best = max(best, found / (k + 1))  # the greatest precision from here on
                area += best * hits[k]
                found -= hits[k]
            result[label].append(area / len(owned))
    return result


def slow_auc(truth, proposals, limit):
    videos = list(dict.fromkeys(truth.video.tolist()))
    ratio = limit * len(videos) / len(proposals)
    tables, kept = [], 0
    for video in videos:
        rows = np.flatnonzero(proposals.video == video).tolist()
        rows.sort(key=lambda p: (-proposals.score[p], -p))
        rows = rows[: min(len(rows), int(len(rows) * ratio))]
        kept += len(rows)
        own = truth.segment[truth.video == video]
        shown = proposals.segment[rows].tolist()
        tables.append([list(accumulate((overlap(p, g) for p in shown), max)) for g in own.tolist()])
    an, recall = [], []
    for step in np.arange(1, 101) / 100.0 * (limit * len(videos) / kept):
        found = 0
        for table in tables:
            for row in table:
                count = min(len(row), int(len(row) * step))
                if count:
                    found += sum(row[count - 1] >= threshold for threshold in ACTIVITYNET)
        an.append(step * kept / len(videos))
        recall.append(found / len(ACTIVITYNET) / len(truth))
    area = sum((b - a) * (x + y) / 2 for a, b, x, y in zip(an, an[1:], recall, recall[1:]))
    return area / an[-1]


@QUICK
@given(TRUTHS, SCORED)
def test_equals_the_loops(truth, rows):
    truth, predictions = Segments.of(truth), Segments.of(rows)
    found = detection.detection_map(truth, predictions)
    slow = slow_detection(truth, predictions, ACTIVITYNET)
    np.testing.assert_allclose(found.ap_CI, [slow[name] for name in found.classes], atol=1e-12)
    if np.isin(predictions.video, truth.video).any():
        for limit in (1, 7, 100):
            ratio = limit * len(np.unique(truth.video)) / len(predictions)
            if ratio >= 1 or any((predictions.video == v).sum() * ratio >= 1 for v in truth.video):
                curve = detection.average_recall(truth, predictions, max_proposals=limit)
                assert curve.auc == pytest.approx(slow_auc(truth, predictions, limit), abs=1e-12)


@QUICK
@given(TRUTHS)
def test_perfect_predictions(rows):
    distinct = list(dict.fromkeys(rows))  # of two equal ones, one proposal finds both
    truth = Segments.of(distinct)
    predictions = Segments.of([(*row, 1.0) for row in distinct])
    assert detection.detection_map(truth, predictions).average_map == pytest.approx(1)
    assert detection.detection_map(truth, predictions, ties="earlier").average_map == pytest.approx(1)
    for values in detection.map_by_length(truth, predictions, convention="plain").values():
        assert np.isnan(values).all() or values == pytest.approx(np.ones(10))


@QUICK
@given(st.lists(SEGMENT, min_size=1, max_size=9))
def test_perfect_method_has_99_percent(segments):
    """One action per video, found by every one of its 100 proposals: recall 1 from AN 1 on, area 99 of 100."""
    truth = Segments.of([(f"v{k}", *segment) for k, segment in enumerate(segments)])
    proposals = Segments.of([(f"v{k}", *segment, "", n) for k, segment in enumerate(segments) for n in range(100)])
    curve = detection.average_recall(truth, proposals)
    assert curve.ar_A == pytest.approx(np.ones(100))
    assert curve.auc == pytest.approx(0.99)


@QUICK
@given(TRUTHS, SCORED, st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter_without_ties(truth, rows, random):
    rows = [(*row[:4], k + 0.5) for k, row in enumerate(rows)]  # no equal scores
    truth, rows_too = list(dict.fromkeys(truth)), rows[:]
    for row in rows:  # nor two ground truths that fit a prediction equally well
        fits = [overlap(row[1:3], t[1:3]) for t in truth if (t[0], t[3]) == (row[0], row[3])]
        assume(len({fit for fit in fits if fit >= 0.5}) == sum(fit >= 0.5 for fit in fits))
    truth_too = truth[:]
    random.shuffle(rows_too)
    random.shuffle(truth_too)
    first = detection.detection_map(Segments.of(truth), Segments.of(rows))
    second = detection.detection_map(Segments.of(truth_too), Segments.of(rows_too))
    assert first.classes == second.classes
    assert first.ap_CI == pytest.approx(second.ap_CI)
    if rows:
        first_auc = detection.average_recall(Segments.of(truth), Segments.of(rows)).auc
        assert first_auc == pytest.approx(detection.average_recall(Segments.of(truth_too), Segments.of(rows_too)).auc)


@QUICK
@given(TRUTHS, SCORED, SEGMENT, st.integers(0, 7), st.sampled_from("AB"), st.integers(0, 25))
def test_a_false_positive_never_helps(truth, rows, segment, score, label, place):
    place = min(place, len(rows))
    more = [*rows[:place], ("elsewhere", *segment, label, score), *rows[place:]]
    before = detection.detection_map(Segments.of(truth), Segments.of(rows))
    after = detection.detection_map(Segments.of(truth), Segments.of(more))
    assert (after.ap_CI <= before.ap_CI + 1e-12).all()


@QUICK
@given(TRUTHS, SCORED)
def test_by_length_one_bucket_is_the_whole(truth, rows):
    truth, predictions = Segments.of(truth), Segments.of(rows)
    whole = detection.detection_map(truth, predictions).map_I
    parts = detection.map_by_length(truth, predictions, edges_seconds=(0, np.inf), convention="plain")
    assert parts[">0"] == pytest.approx(whole)


@pytest.mark.slow
def test_turn_on_thumos14(shared_data):
    truth, predictions = thumos(shared_data)
    found = detection.detection_map(truth, predictions, thresholds=THUMOS)
    official = [0.456661, 0.366699, 0.263657, 0.147106, 0.064191]
    np.testing.assert_allclose(found.map_I, official, atol=0.005)  # equal scores: the official sort is not stable
    assert 100 * detection.average_recall(truth, predictions).auc == pytest.approx(25.3573, abs=0.01)
    slow = slow_detection(truth, predictions, THUMOS)
    np.testing.assert_allclose(found.map_I, np.mean(list(slow.values()), 0), atol=1e-12)
    assert detection.average_recall(truth, predictions).auc == pytest.approx(
        slow_auc(truth, predictions, 100), abs=1e-12
    )


@pytest.mark.slow
def test_random_proposals_on_activitynet(shared_data):
    """The official notebook's proposals: seed 42; per video 100 × (centre, length, score) uniform, times the duration.

    It reports 44.8844 % for the 4,710 videos that were not blocked when it ran, in the order of a Python 2 dictionary;
    neither that list nor the order is in the ground truth. Other seeds give 44.55 ± 0.10 (standard deviation) on all
    4,926 videos and leaving out 216 random ones moves it by 0.11, so this bound is wide; the loop below it is exact.
    """
    database = load(shared_data / "eval/activitynet13_ground_truth.json.gz")["database"]
    validation = {name: video for name, video in database.items() if video["subset"] == "validation"}
    truth = Segments.of(
        [(name, *a["segment"], a["label"]) for name, video in validation.items() for a in video["annotations"]]
    )
    draw = np.random.RandomState(42).rand(len(validation), 100, 3)
    duration = np.array([video["duration"] for video in validation.values()])[:, None]
    centre, half = duration * draw[..., 0], duration * draw[..., 1] / 2
    proposals = Segments.columns(
        np.repeat(list(validation), 100),
        np.stack([centre - half, centre + half], -1),
        np.full(draw[..., 2].size, ""),
        draw[..., 2].ravel(),
    )
    start = time.perf_counter()
    auc = detection.average_recall(truth, proposals).auc
    print(f"{len(proposals)} proposals in {time.perf_counter() - start:.2f} s, AUC {100 * auc:.6f} %")
    assert 100 * auc == pytest.approx(44.8844, abs=0.6)
    some = list(validation)[:300]
    truth, proposals = (part.take(np.isin(part.video, some)) for part in (truth, proposals))
    assert detection.average_recall(truth, proposals).auc == pytest.approx(slow_auc(truth, proposals, 100), abs=1e-12)


def load(path):
    return json.loads(gzip.decompress(path.read_bytes()))


def thumos(shared_data):
    database = load(shared_data / "eval/thumos14_ground_truth.json.gz")["database"]
    results = load(shared_data / "eval/thumos14_turn_flow_predictions.json.gz")["results"]
    truth = [
        (name, *a["segment"], a["label"])
        for name, video in database.items()
        if video["subset"] == "test"
        for a in video["annotations"]
    ]
    rows = [(name, *p["segment"], p["label"], p["score"]) for name, found in results.items() for p in found]
    return Segments.of(truth), Segments.of(rows)
