"""Readers and writers: round trips, gzip, and bad files whose error names the file, the entry and the rule."""

from __future__ import annotations

import gzip
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrain.common.files import new_text
from pretrain.data import annotations, results
from pretrain.data.annotations import read_published
from pretrain.data.formats import BadFile
from pretrain.data.segments import Segments

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


def same(a: Segments, b: Segments) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("video", "segment", "label", "score"))


# ---------------------------------------------------------------- ActivityNet


def test_activitynet_truth(tmp_path):
    truth, durations = annotations.read_activitynet_truth(put(tmp_path / "t.json", TRUTH), subset="validation")
    assert same(truth, Segments.of([("abcdefghijk", 1, 21, "run"), ("abcdefghijk", 3, 3, "sit")]))
    assert durations == {"abcdefghijk": 20.5, "empty": 4.0}
    everything, _ = annotations.read_activitynet_truth(tmp_path / "t.json", subset=None)
    assert everything.video.tolist() == ["abcdefghijk", "abcdefghijk", "other"]
    zero = put(tmp_path / "z.json", changed(TRUTH, 0, "database", "empty", "duration"))
    assert math.isnan(annotations.read_activitynet_truth(zero, subset="validation")[1]["empty"])


@pytest.fixture(scope="module")
def results_folder(tmp_path_factory):
    """One for all examples: numbering a folder for each takes longer than the test."""
    return tmp_path_factory.mktemp("r")


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
def test_activitynet_results_round_trip(results_folder, rows):
    rows = sorted([(v, s, s + n, label, score) for v, s, n, label, score in rows], key=lambda row: row[0])
    predictions = Segments.of(rows)
    for name in ("p.json", "p.json.gz"):
        path = results_folder / name
        results.write_activitynet_results(path, predictions)
        assert same(results.read_activitynet_results(path), predictions)
        assert (path.read_bytes()[:2] == b"\x1f\x8b") == name.endswith("gz")
        assert [p.name for p in path.parent.iterdir()] == [name]  # no part file stays
        path.unlink()


def test_ids_lose_the_leading_v_and_gzip_is_seen_by_content(tmp_path):
    predictions = Segments.of([("v_abcdefghijk", 0, 1, "run", 0.5)])
    results.write_activitynet_results(tmp_path / "p.json", predictions, videos=["v_abcdefghijk", "empty"])
    written = json.loads((tmp_path / "p.json").read_text())
    assert list(written) == ["version", "results", "external_data"]
    assert written["results"] == {"abcdefghijk": [{"label": "run", "score": 0.5, "segment": [0.0, 1.0]}], "empty": []}
    (tmp_path / "named.json").write_bytes(gzip.compress((tmp_path / "p.json").read_bytes()))
    assert len(results.read_activitynet_results(tmp_path / "named.json")) == 1


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = put(tmp_path / "p.json", "old")
    with pytest.raises(ZeroDivisionError), new_text(path) as file:
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
        annotations.read_activitynet_truth(path, subset="validation")
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    if "of the subset" not in message and not isinstance(content, str):  # no other parser trains on the same file
        with pytest.raises(BadFile) as other:
            read_published(path)
        assert str(other.value) == str(error.value)


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
            annotations.read_activitynet_truth(tmp_path / name, subset=None)
    for path in (tmp_path / "missing.json", tmp_path):
        with pytest.raises(BadFile, match="cannot be read"):
            annotations.read_activitynet_truth(path, subset=None)


# ---------------------------------------------------------------- THUMOS14


def test_thumos_files(tmp_path):
    put(tmp_path / "Diving_test.txt", "video_test_0000001  4.5 6.0\n\nvideo_test_0000002 0.0 1.5 \n")
    put(tmp_path / "Billiards_test.txt", "video_test_0000001 7 9\n")
    put(tmp_path / "Ambiguous_test.txt", "video_test_0000001 0 99\n")
    truth = annotations.read_thumos_truth(tmp_path)
    assert truth.label.tolist() == ["Billiards", "Diving", "Diving"]
    assert truth.segment.tolist() == [[7, 9], [4.5, 6], [0, 1.5]]
    classes = results.read_thumos_classes(put(tmp_path / "detclasslist.txt", "7 Diving\n9 Billiards\n"))
    rows = Segments.of(
        [("video_test_0000001", 1.1, 2, "Diving", 0.25), ("video_test_0000001", 0, 3, "Billiards", 1e-7)]
    )
    results.write_thumos_results(tmp_path / "run.txt", rows, classes)
    assert same(results.read_thumos_results(tmp_path / "run.txt", classes), rows)
    for text, message in {
        "v 0 1 8 0.5": "line 1: class must be a number of the class list, got '8'",
        "v 0 1 7": "line 1: must have 5 words, got 4",
        "v 0 x 7 0.5": "segment must be a number, got 'x'",
        "v 0 1 7 nan": "score must be a number, got 'nan'",
        "v 2 1 7 0.5": "must be finite with start <= end",
    }.items():
        with pytest.raises(BadFile, match=message):
            results.read_thumos_results(put(tmp_path / "bad.txt", text), classes)
    with pytest.raises(BadFile, match="line 2: must be a class number not used before, got '7'"):
        results.read_thumos_classes(put(tmp_path / "twice.txt", "7 Diving\n7 Billiards\n"))
    with pytest.raises(BadFile, match="must hold files named CLASS_test"):
        annotations.read_thumos_truth(tmp_path / "nowhere")
