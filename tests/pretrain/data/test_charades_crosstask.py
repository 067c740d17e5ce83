"""Charades-STA, CrossTask and scores per segment: round trips, and bad files whose error names file, entry and rule."""

from __future__ import annotations

import numpy as np
import pytest

from pretrain.data import charades_crosstask as cc
from pretrain.data.charades_crosstask import Query, Step
from pretrain.data.formats import BadFile


def put(path, content):
    path.write_text(content)
    return path


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
        "ok 0 1##s\n3MSZA 2 1##s": "line 2: segment must be finite with start <= end",
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
        '{"segment_seconds": 0.2, "results": {"a": [NaN]}}': "'a': score must be finite, got nan",
        '{"segment_seconds": 0.2, "results": {"a": ["x"]}}': "'a': score must be a number",
        '{"segment_seconds": 0.2, "results": {"abcdefghijk": [], "v_abcdefghijk": []}}': "must occur once, with",
        '{"segment_seconds": 0.2, "results": {"a": 3}}': "results",
    }.items():
        with pytest.raises(BadFile, match=rf"bad\.json: .*{message}"):
            cc.read_frame_scores(put(tmp_path / "bad.json", data))
