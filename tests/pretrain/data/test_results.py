"""Readers and writers: round trips, gzip, and bad files whose error names the file, the entry and the rule."""

from __future__ import annotations

import gzip
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrain.data import charades_crosstask as cc
from pretrain.data import results
from pretrain.data.charades_crosstask import Query, Step
from pretrain.data.results import BadFile
from pretrain.data.segments import Instances

TRUTH = {
    "version": "x",
    "taxonomy": [],
    "database": {
        "abcdefghijk": {
            "subset": "validation",
            "duration": 20.5,
            "annotations": [{"label": "run", "segment": [1, 21.0]}, {"label": "sit", "segment": [3, 3]}],
        },
        "empty": {"subset": "validation", "duration": 4, "annotations": []},
        "other": {"subset": "training", "duration": 9, "annotations": [{"label": "run", "segment": [0, 1]}]},
    },
}


def put(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def changed(source, value, *keys):
    """A deep copy with one entry replaced (or removed by value ...)."""
    copy = json.loads(json.dumps(source))
    inner = copy
    for key in keys[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    return copy


def same(a: Instances, b: Instances) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("video", "segment", "label", "score"))


# ---------------------------------------------------------------- ActivityNet


def test_activitynet_truth(tmp_path):
    truth, durations = results.read_activitynet_truth(put(tmp_path / "t.json", TRUTH), subset="validation")
    assert same(truth, Instances.of([("abcdefghijk", 1, 21, "run"), ("abcdefghijk", 3, 3, "sit")]))
    assert durations == {"abcdefghijk": 20.5, "empty": 4.0}
    everything, _ = results.read_activitynet_truth(tmp_path / "t.json", subset=None)
    assert everything.video.tolist() == ["abcdefghijk", "abcdefghijk", "other"]
    zero = put(tmp_path / "z.json", changed(TRUTH, 0, "database", "empty", "duration"))
    assert math.isnan(results.read_activitynet_truth(zero, subset="validation")[1]["empty"])


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a b", "ü", 'q"', "abcdefghijk"]),
            st.floats(-5, 1e4),
            st.floats(0, 1e4),
            st.text(max_size=4).filter(lambda t: "\x00" not in t),  # NumPy's strings end at a NUL
            st.floats(-1e9, 1e9),
        ),
        max_size=8,
    )
)
def test_activitynet_results_round_trip(tmp_path_factory, rows):
    rows = sorted([(v, s, s + n, label, score) for v, s, n, label, score in rows], key=lambda row: row[0])
    predictions = Instances.of(rows)
    for name in ("p.json", "p.json.gz"):
        path = tmp_path_factory.mktemp("r") / name
        results.write_activitynet_results(path, predictions)
        assert same(results.read_activitynet_results(path), predictions)
        assert (path.read_bytes()[:2] == b"\x1f\x8b") == name.endswith("gz")
        assert [p.name for p in path.parent.iterdir()] == [name]  # no part file stays


def test_ids_lose_the_leading_v_and_gzip_is_seen_by_content(tmp_path):
    predictions = Instances.of([("v_abcdefghijk", 0, 1, "run", 0.5)])
    results.write_activitynet_results(tmp_path / "p.json", predictions, videos=["v_abcdefghijk", "empty"])
    written = json.loads((tmp_path / "p.json").read_text())
    assert list(written) == ["version", "results", "external_data"]
    assert written["results"] == {"abcdefghijk": [{"label": "run", "score": 0.5, "segment": [0.0, 1.0]}], "empty": []}
    (tmp_path / "named.json").write_bytes(gzip.compress((tmp_path / "p.json").read_bytes()))
    assert len(results.read_activitynet_results(tmp_path / "named.json")) == 1


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = put(tmp_path / "p.json", "old")
    with pytest.raises(ZeroDivisionError), results.new_file(path) as file:
        file.write(f"half {1 / 0}")
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


V = ("database", "abcdefghijk")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"line 1 column 2: must be JSON"),
        ("[1]", "must be a JSON object"),
        ({"results": {}}, "must have the field 'database'"),
        ('{"database": {"a": {}, "a": {}}}', "'a': must occur once"),
        (changed(TRUTH, [], *V), "abcdefghijk: must be a JSON object, got list"),
        (changed(TRUTH, ..., *V, "annotations"), "abcdefghijk: annotations must be a JSON list, got NoneType"),
        (changed(TRUTH, "long", *V, "duration"), "abcdefghijk: duration must be a number, got 'long'"),
        (
            changed(TRUTH, [5, 4], *V, "annotations", 1, "segment"),
            r"'abcdefghijk' annotation 1: segment must be finite",
        ),
        (changed(TRUTH, [5], *V, "annotations", 1, "segment"), r"annotation 1: segment must be \[start, end\]"),
        (
            changed(TRUTH, [5, None], *V, "annotations", 1, "segment"),
            "annotation 1: segment must be a number, got None",
        ),
        (changed(TRUTH, [5, True], *V, "annotations", 1, "segment"), "must be a number, got True"),
        (changed(TRUTH, [-math.inf, -math.inf], *V, "annotations", 0, "segment"), "must be finite"),
        (changed(TRUTH, 7, *V, "annotations", 0, "label"), "annotation 0: label must be a string, got 7"),
        (
            changed(TRUTH, TRUTH["database"]["empty"], "database", "v_abcdefghijk"),
            "must occur once, with or without v_",
        ),
        (changed(TRUTH, {}, "database"), "must have videos of the subset 'validation', has none"),
        ("\x1f\x8b" + "x" * 30, "must be"),
    ],
)
def test_bad_activitynet_truth(tmp_path, content, message):
    path = put(tmp_path / "bad.json", content)
    with pytest.raises(BadFile, match=message) as error:
        results.read_activitynet_truth(path, subset="validation")
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"label": "a", "segment": [0, 1]}, "'v' result 0: score must be a number, got None"),
        ({"label": "a", "segment": [0, 1], "score": math.nan}, "score must be finite, got nan"),
        ({"segment": [0, 1], "score": 1}, "label must be a string, got None"),
        ({"label": "a", "score": 1}, "segment must be a JSON list, got NoneType"),
        ("x", "'v' result 0: must be a JSON object, got str"),
    ],
)
def test_bad_results(tmp_path, entry, message):
    with pytest.raises(BadFile, match=message):
        results.read_activitynet_results(put(tmp_path / "p.json", {"results": {"v": [entry]}}))


def test_proposals_need_no_label(tmp_path):
    path = put(tmp_path / "p.json", {"results": {"v": [{"segment": [0, 1], "score": 1}]}})
    assert results.read_activitynet_results(path, labelled=False).label.tolist() == [""]


def test_unreadable_bytes(tmp_path):
    whole = gzip.compress(json.dumps(TRUTH).encode())
    for name, data in {"cut.gz": whole[: len(whole) // 2], "latin.json": b'{"\xe9": 1}'}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BadFile, match=name):
            results.read_activitynet_truth(tmp_path / name, subset=None)
    for path in (tmp_path / "missing.json", tmp_path):
        with pytest.raises(BadFile, match="cannot be read"):
            results.read_activitynet_truth(path, subset=None)


# ---------------------------------------------------------------- THUMOS14


def test_thumos_files(tmp_path):
    put(tmp_path / "Diving_test.txt", "video_test_0000001  4.5 6.0\n\nvideo_test_0000002 0.0 1.5 \n")
    put(tmp_path / "Billiards_test.txt", "video_test_0000001 7 9\n")
    put(tmp_path / "Ambiguous_test.txt", "video_test_0000001 0 99\n")
    truth = results.read_thumos_truth(tmp_path)
    assert truth.label.tolist() == ["Billiards", "Diving", "Diving"]
    assert truth.segment.tolist() == [[7, 9], [4.5, 6], [0, 1.5]]
    classes = results.read_thumos_classes(put(tmp_path / "detclasslist.txt", "7 Diving\n9 Billiards\n"))
    rows = Instances.of(
        [("video_test_0000001", 1.1, 2, "Diving", 0.25), ("video_test_0000001", 0, 3, "Billiards", 1e-7)]
    )
    results.write_thumos_results(tmp_path / "run.txt", rows, classes)
    assert same(results.read_thumos_results(tmp_path / "run.txt", classes), rows)
    for text, message in {
        "v 0 1 8 0.5": "line 1: class must be a number of the class list, got '8'",
        "v 0 1 7": "line 1: must have 5 words, got 4",
        "v 0 x 7 0.5": "time or score must be a number, got 'x'",
        "v 0 1 7 nan": "must be finite",
        "v 2 1 7 0.5": "must have start <= end",
    }.items():
        with pytest.raises(BadFile, match=message):
            results.read_thumos_results(put(tmp_path / "bad.txt", text), classes)
    with pytest.raises(BadFile, match="line 2: must be a class number not used before, got '7'"):
        results.read_thumos_classes(put(tmp_path / "twice.txt", "7 Diving\n7 Billiards\n"))
    with pytest.raises(BadFile, match="must hold files named CLASS_test"):
        results.read_thumos_truth(tmp_path / "nowhere")


# ---------------------------------------------------------------- Charades-STA, CrossTask, scores


def test_charades(tmp_path):
    queries = [Query("3MSZA", 24.3, 30.4, "person turns a light on."), Query("3MSZA", 0, 1, "a ## b", 0.5)]
    cc.write_charades(tmp_path / "q.txt", queries)
    assert (tmp_path / "q.txt").read_text().splitlines()[0] == "3MSZA 24.3 30.4##person turns a light on."
    got = cc.read_charades(tmp_path / "q.txt")
    assert got[0][:4] == queries[0][:4]
    assert got[1] == queries[1]
    lengths = put(tmp_path / "c.csv", 'id,subject,length\n3MSZA,"a, b",30.5\n')
    assert cc.read_charades_durations(lengths) == {"3MSZA": 30.5}
    for text, message in {
        "3MSZA 1 2 no mark": "line 1: must be VIDEO START END##SENTENCE",
        "ok 0 1##s\n3MSZA 2 1##s": "line 2: must be finite with start <= end",
        "3MSZA 1 x##s": "must be a number, got 'x'",
        "": "at least one line",
    }.items():
        with pytest.raises(BadFile, match=message):
            cc.read_charades(put(tmp_path / "bad.txt", text))
    with pytest.raises(BadFile, match="columns id and length"):
        cc.read_charades_durations(put(tmp_path / "d.csv", "id,size\na,1\n"))


def test_answers_refuse_what_is_ambiguous_or_missing():
    truth = [Query("a", 0, 5, "opens"), Query("a", 7, 9, "opens")]
    three = [Query("a", k, k + 1, "opens") for k in range(3)]
    assert cc.answers("f", truth, three[:1]).tolist() == [[0, 1], [0, 1]]
    with pytest.raises(BadFile, match="must have scores, or 1 or 2 lines, got 3, 0 scored"):
        cc.answers("f", truth, three)
    with pytest.raises(BadFile, match="got 2, 1 scored"):
        cc.answers("f", truth, [three[0], Query("a", 0, 1, "opens", 0.5)])
    with pytest.raises(BadFile, match="video 'a', 'opens': must have a prediction"):
        cc.answers("f", truth, [Query("a", 0, 1, "closes")])


def test_crosstask(tmp_path):
    videos = {"x_y-1": [Step("16815", 1, 2.5, 4.0), Step("16815", 3, 4.0, 9.25)], "zz": [Step("23521", 2, 0.0, 1.0)]}
    cc.write_crosstask(tmp_path, videos)
    assert (tmp_path / "16815_x_y-1.csv").read_text() == "1,2.5,4.0\n3,4.0,9.25\n"
    put(tmp_path / "23521_none.csv", "")
    assert cc.read_crosstask(tmp_path) == {**videos, "none": []}
    for text, message in {"1,2": "line 1: must be step,start,end", "1,3,2": "start <= end", "1,a,2": "got 'a'"}.items():
        put(tmp_path / "5_bad.csv", text)
        with pytest.raises(BadFile, match=message):
            cc.read_crosstask(tmp_path)
    with pytest.raises(BadFile, match="must hold files named TASK_VIDEO"):
        cc.read_crosstask(tmp_path / "nowhere")


def test_frame_scores(tmp_path):
    scores = {"a": np.array([0.1, -3.0]), "b": np.array([])}
    cc.write_frame_scores(tmp_path / "s.json.gz", 0.2, scores)
    seconds, got = cc.read_frame_scores(tmp_path / "s.json.gz")
    assert seconds == 0.2
    assert {k: v.tolist() for k, v in got.items()} == {"a": [0.1, -3.0], "b": []}
    for data, message in {
        '{"segment_seconds": 0, "results": {}}': "segment_seconds: must be above 0",
        '{"segment_seconds": 0.2, "results": {"a": [NaN]}}': "'a': scores must be finite",
        '{"segment_seconds": 0.2, "results": {"a": ["x"]}}': "'a': score must be a number",
    }.items():
        with pytest.raises(BadFile, match=message):
            cc.read_frame_scores(put(tmp_path / "bad.json", data))
