"""Files of predictions, queries, steps and scores, byte by byte: what is written, read, and just not refused."""

from __future__ import annotations

import gzip
import json
import math

import numpy as np
import pytest

from pretrain.data import charades_crosstask as cc
from pretrain.data import formats, results
from pretrain.data.charades_crosstask import Query, Step
from pretrain.data.formats import BadFile
from pretrain.data.segments import Segments
from pretrain.data.truth import STEP, read_truth, read_val_list

FOUND = Segments.of([("v_abcdefghijk", 0.5, 2, "run", 0.25), ("b", 1, 4, "sit", -1.5)])


@pytest.fixture
def left(tmp_path):
    """A function: a half-written file of this name, of a process that is gone."""

    def made(name):
        path = tmp_path / f".{name}.{2**30}.part"
        path.write_text("half")
        return path

    return made


def test_predictions_as_they_are_written(tmp_path, left):
    half = left("p.json")
    results.write_activitynet_results(tmp_path / "p.json", FOUND, videos=["z", "v_abcdefghijk"], trained_on=["w", "a"])
    rows = {"abcdefghijk": [{"label": "run", "score": 0.25, "segment": [0.5, 2.0]}],
            "b": [{"label": "sit", "score": -1.5, "segment": [1.0, 4.0]}]}  # fmt: skip
    written = json.loads((tmp_path / "p.json").read_text())
    assert written == {
        "version": "VERSION 1.3", "results": {"z": [], **rows}, "external_data": {"trained_on": ["a", "w"]}
    }  # fmt: skip
    assert list(written["results"]) == ["z", "abcdefghijk", "b"]
    assert not half.exists()
    results.write_activitynet_results(tmp_path / "p.json", FOUND, version="2")
    assert json.loads((tmp_path / "p.json").read_text())["version"] == "2"
    results.write_thumos_results(tmp_path / "p.txt", FOUND, {3: "run", 12: "sit"})
    assert (tmp_path / "p.txt").read_text() == "v_abcdefghijk 0.5 2.0 3 0.25\nb 1.0 4.0 12 -1.5\n"
    assert results.read_thumos_results(tmp_path / "p.txt", {3: "run", 12: "sit"}).video.tolist() == ["abcdefghijk", "b"]
    with pytest.raises(KeyError, match="sit"):
        results.write_thumos_results(tmp_path / "p.txt", FOUND, {3: "run"})


def test_places_of_entries_are_counted_from_0_in_each_video(tmp_path):
    good = {"label": "a", "score": 1, "segment": [0, 1]}
    (tmp_path / "r.json").write_text(json.dumps({"results": {"u": [good], "v": [good, good, {**good, "score": "x"}]}}))
    for read in (results.read_activitynet_results, results.read_video_scores):
        with pytest.raises(BadFile, match=r"r\.json: 'v' result 2: score must be a number, got 'x'$"):
            read(tmp_path / "r.json")
    (tmp_path / "r.json").write_text(json.dumps({"results": {"v_abcdefghijk": [good, {**good, "label": "b"}]}}))
    assert results.read_video_scores(tmp_path / "r.json") == {"abcdefghijk": {"a": 1.0, "b": 1.0}}
    (tmp_path / "r.json").write_text('{"results": {"v": 3}}')
    for read in (results.read_activitynet_results, results.read_video_scores):
        with pytest.raises(BadFile, match=r"r\.json: v: results must be a JSON list, got int$"):
            read(tmp_path / "r.json")
    (tmp_path / "r.json").write_text('{"results": 3}')
    with pytest.raises(BadFile, match=r"r\.json: results: must be a JSON object, got int$"):
        results.read_video_scores(tmp_path / "r.json")


def test_queries_line_by_line(tmp_path):
    path = tmp_path / "q.txt"
    path.write_text("a 0 5##  opens ## it  \n\nb 2 2 0.5##closes\n")
    first, second = cc.read_charades(path)
    assert first[:4] == ("a", 0.0, 5.0, "opens ## it")
    assert math.isnan(first.score)
    assert second == Query("b", 2.0, 2.0, "closes", 0.5)
    cc.write_charades(path, [first, second, Query("c", 0.0, 1.0, "", 0.0)])
    assert path.read_text() == "a 0.0 5.0##opens ## it\nb 2.0 2.0 0.5##closes\nc 0.0 1.0 0.0##\n"
    for line, rule in (("a 0##s", "must be VIDEO"), ("a 0 1 2 3##s", "must be VIDEO"), ("a 0 1 x##s", "score must be")):
        path.write_text(f"a 0 1##s\n\n{line}\n")
        with pytest.raises(BadFile, match=rf"q\.txt: line 3: {rule}"):
            cc.read_charades(path)


def test_lengths_may_be_told_twice_if_they_are_the_same(tmp_path):
    (tmp_path / "c.csv").write_text("id,length\na,3\nb,4.5\na,3.0\n")
    assert cc.read_charades_durations(tmp_path / "c.csv") == {"a": 3.0, "b": 4.5}
    (tmp_path / "c.csv").write_text("id,length\n")
    with pytest.raises(BadFile, match=r"c\.csv: line 1: must have the columns id and length$"):
        cc.read_charades_durations(tmp_path / "c.csv")
    (tmp_path / "c.csv").write_text("id,length\na,3\nb,x\n")
    with pytest.raises(BadFile, match=r"row 2: length must be a number"):
        cc.read_charades_durations(tmp_path / "c.csv")


def test_the_best_answer_to_each_query():
    """The greatest score, the first of equal ones; without scores in order; of one video and one sentence alone."""
    truth = [Query("a", 0, 9, "opens"), Query("b", 0, 9, "opens"), Query("a", 0, 9, "closes")]
    scored = [Query("a", 1, 2, "opens", 0.1), Query("a", 3, 4, "opens", 0.7), Query("a", 5, 6, "opens", 0.7)]
    others = [Query("b", 7, 8, "opens", -1.0), Query("a", 2, 6, "closes")]
    assert cc.answers("f", truth, [*scored, *others]).tolist() == [[3, 4], [7, 8], [2, 6]]
    twice = [truth[0], truth[2], truth[0]]
    lines = [Query("a", 1, 2, "opens"), others[1], Query("a", 3, 4, "opens")]
    found = cc.answers("f", twice, lines)
    assert found.tolist() == [[1, 2], [2, 6], [3, 4]]
    assert found.dtype == np.float64
    with pytest.raises(BadFile, match=r"^f: video 'b', 'opens': must have a prediction$"):
        cc.answers("f", truth, scored)


def test_steps_of_a_video_in_two_tasks(tmp_path):
    steps = {"a_b": [Step("2", 4, 1.0, 1.0), Step("17", 2, 0.0, 3.5), Step("2", 1, 5.0, 6.0)], "none": []}
    cc.write_crosstask(tmp_path, steps)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "2_a_b.csv": "4,1.0,1.0\n1,5.0,6.0\n", "17_a_b.csv": "2,0.0,3.5\n"
    }  # fmt: skip
    (tmp_path / "3_c.csv.gz").write_bytes(gzip.compress(b"\n 7 ,1,2\n"))
    (tmp_path / "notes_x.csv").write_text("not a task")
    (tmp_path / "3_d.txt").write_text("no table")
    assert cc.read_crosstask(tmp_path) == {
        "a_b": [steps["a_b"][1], steps["a_b"][0], steps["a_b"][2]], "c": [Step("3", 7, 1.0, 2.0)]
    }  # fmt: skip
    for line in ("x,1,2", "1,2,3,4", "-1,1,2"):
        (tmp_path / "5_bad.csv").write_text(f"1,1,2\n\n{line}\n")
        with pytest.raises(BadFile, match=rf"5_bad\.csv: line 3: must be step,start,end, got '{line}'$"):
            cc.read_crosstask(tmp_path)


def test_scores_of_frames_as_they_are_written(tmp_path, left):
    half = left("s.json")
    cc.write_frame_scores(tmp_path / "s.json", 0.25, {"v_abcdefghijk": np.float32([0.5, 2])}, trained_on={"w", "a"})
    assert json.loads((tmp_path / "s.json").read_text()) == {
        "segment_seconds": 0.25, "results": {"v_abcdefghijk": [0.5, 2.0]}, "external_data": {"trained_on": ["a", "w"]}
    }  # fmt: skip
    assert not half.exists()
    seconds, scores = cc.read_frame_scores(tmp_path / "s.json")
    assert (seconds, list(scores)) == (0.25, ["abcdefghijk"])
    assert scores["abcdefghijk"].dtype == np.float64
    (tmp_path / "s.json").write_text('{"segment_seconds": 1e-9, "results": {}}')
    assert cc.read_frame_scores(tmp_path / "s.json") == (1e-9, {})
    for content, message in (
        ({"results": {}}, "must have the field 'segment_seconds'"),
        ({"segment_seconds": 1}, "must have the field 'results'"),
        (
            {"segment_seconds": 1, "results": {"v_abcdefghijk": 3}},
            "v_abcdefghijk: results must be a JSON list, got int",
        ),
        ({"segment_seconds": -1, "results": {}}, "segment_seconds: must be above 0, got -1.0"),
    ):
        (tmp_path / "s.json").write_text(json.dumps(content))
        with pytest.raises(BadFile, match=rf"s\.json: {message}$"):
            cc.read_frame_scores(tmp_path / "s.json")


def test_ids_are_of_11_characters_after_the_v():
    ids = {"v_" + "x" * n: n for n in (10, 11, 12)}
    assert [formats.video_id(name) for name in ids] == ["v_" + "x" * 10, "x" * 11, "v_" + "x" * 12]
    assert formats.video_id("w_" + "x" * 11) == "w_" + "x" * 11
    assert formats.file_id("a/v_b/v_" + "x" * 11) == "x" * 11
    assert formats.unique_ids("f", ["a/x", "b/y"]) == {"a/x": "a/x", "b/y": "b/y"}
    assert formats.unique_ids("f", ["a/x", "b/y"], formats.file_id) == {"x": "a/x", "y": "b/y"}
    with pytest.raises(BadFile, match=r"^f: 'b/x': a video must occur once, with or without v_, 'a/x' is this one too"):
        formats.unique_ids("f", ["a/x", "b/x"], formats.file_id)


def test_numbers_of_300_digits_are_whole_and_of_more_infinite(tmp_path):
    """Where one is of thousands, which Python does not read; else as Python reads them."""
    for digits, whole in ((300, True), (301, False)):
        text = f'{{"n": 1{"0" * (digits - 1)}, "m": 1{"0" * 5000}}}'
        found = formats.read_json("unread", text=text)
        assert found == {"n": 10 ** (digits - 1) if whole else math.inf, "m": math.inf}
    assert formats.read_json("unread", "n", text=f'{{"n": 1{"0" * 400}}}') == {"n": 10**400}
    with pytest.raises(BadFile, match=r"^unread: must have the field 'm'$"):
        formats.read_json("unread", "n", "m", text='{"n": 1}')
    with pytest.raises(BadFile, match=r"^unread: line 2 column 4: must be JSON \("):
        formats.read_json("unread", text='{"n":\n1, }')
    assert formats.read_by_id("unread", "n", '{"n": {"v_abcdefghijk": 7}}') == {"abcdefghijk": 7}


@pytest.mark.parametrize(
    ("value", "found"),
    [(3, 3.0), ("2.5", 2.5), (True, "number"), (None, "number"), ("x", "number"), ("nan", "number"), ([], "number"),
     (10**400, "number"), (math.nan, "finite"), (-math.inf, "finite")],
)  # fmt: skip
def test_what_a_number_is(value, found):
    if isinstance(found, float):
        assert formats.number_of("f", "here", "score", value) == found
        return
    rule = "be finite" if found == "finite" else "be a number"
    with pytest.raises(BadFile, match=rf"^f: here: score must {rule}, got "):
        formats.number_of("f", "here", "score", value)


def test_a_value_in_a_message_is_short(tmp_path):
    with pytest.raises(BadFile) as told:
        formats.number_of("f", "here", "score", "x" * 200)
    assert len(str(told.value).partition("got ")[2]) == 80
    assert formats.span_of("f", "here", 2, "2.0") == (2.0, 2.0)
    (tmp_path / "w.txt").write_text("a b\n \nc d\ne\n")
    with pytest.raises(BadFile, match=r"w\.txt: line 4: must have 2 words, got 1$"):
        formats.lines_of(tmp_path / "w.txt", 2)
    (tmp_path / "w.txt").write_text("a b\n \nc d\n")
    assert formats.lines_of(tmp_path / "w.txt", 2) == [("line 1", ["a", "b"]), ("line 3", ["c", "d"])]
    entry = {"segment": [0, 1], "label": "a", "score": 0.5}
    assert formats.segments_of("f", [("v", "at", entry)], scored=False).score.tolist() == [0.0]
    assert formats.segments_of("f", [("v", "at", entry)], scored=True, labelled=False).label.tolist() == ["a"]


def test_the_truth_of_each_form(tmp_path):
    """Durations where they are told; a packed table; a folder of steps, split by a list of ids or of whole lines."""
    header = "video-name,t-start,t-end,action-label,video-duration,filename,fps,video-frames,temporal-region-label\n"
    table = f"{header}v1,1,2,dive,9.5,v1.mp4,,,Action\nv1,3,4,,9.5,v1.mp4,,,No action\nv2,0,1,dive,,v2.mp4,,,Action\n"
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(table.encode()))
    truth, durations = read_truth(tmp_path / "t.csv.gz", subset=None)
    assert (truth.video.tolist(), truth.segment.tolist()) == (["v1", "v2"], [[1, 2], [0, 1]])
    assert durations["v1"] == 9.5
    assert math.isnan(durations["v2"])
    folder = tmp_path / "steps"
    folder.mkdir()
    cc.write_crosstask(folder, {name: [Step("5", k, 0.0, 1.0)] for k, name in enumerate("abc")})
    truth, durations = read_truth(folder, subset=None)
    assert (truth.label.tolist(), list(durations)) == ([STEP] * 3, ["a", "b", "c"])
    assert all(map(math.isnan, durations.values()))
    val_list = tmp_path / "val.csv"
    val_list.write_text("5,b,https://x\n\n c \n")
    assert read_val_list(val_list) == {"b", "c"}
    assert list(read_truth(folder, subset="training", val_list=val_list)[1]) == ["a"]
    assert list(read_truth(folder, subset="validation", val_list=val_list)[1]) == ["b", "c"]
    for wrong in ("x,b,u", "5,b", "5,b,u,v"):
        val_list.write_text(f"b\n{wrong}\n")
        with pytest.raises(BadFile, match=rf"line 2: must be TASK,VIDEO,URL or a video, got '{wrong}'$"):
            read_val_list(val_list)
    val_list.write_text("b\n")
    with pytest.raises(BadFile, match="must be split by --val-list into training and validation, got subset 'test'"):
        read_truth(folder, subset="test", val_list=val_list)
