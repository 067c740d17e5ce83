"""Annotations of every form: bad files, and what training, reports and evaluation have to agree on."""

from __future__ import annotations

import gzip
import json

import pytest

from pretrain.data import annotations, results
from pretrain.data.annotations import read_actions, read_published
from pretrain.data.formats import BadFile

TSP_HEADER = "video-name,t-start,t-end,action-label,video-duration,filename,fps,video-frames,temporal-region-label"


def put(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '{"database": ', r"a\.json: line 1 column 14: must be JSON"),
        ("a.json", '{"results": {}}', r"must have the field 'database'"),
        (
            "a.json",
            '{"database": {"v": {"annotations": [{"segment": [1, 2], "label": ""}]}}}',
            r"'v': a label must not be empty",
        ),
        (
            "a.json",
            '{"database": {"v": {"duration": Infinity, "annotations": []}}}',
            r"v: duration must be finite, got inf",
        ),
        ("a.csv", "path,start,end\n", r"the columns must include path,start_seconds,end_seconds,label or video-name"),
        ("a.csv", "", r"the columns must include"),
        ("a.csv", "path,start_seconds,end_seconds,label\nv,1,2\n", r"line 2: must have 4 values, got 3"),
        (
            "a.csv",
            "path,start_seconds,end_seconds,label\nv,1,2,a\nv,x,2,a\n",
            r"line 3: segment must be a number, got 'x'",
        ),
        ("a.csv", "path,start_seconds,end_seconds,label\n,1,2,a\n", r"line 2: must name a video, got an empty path"),
        ("a.csv", f"{TSP_HEADER}\nv,1,2,a,9,v.mp4,30,270,No action\n", r"line 2: temporal-region-label must be"),
        ("a.csv", f"{TSP_HEADER}\nv,1,2,a,9,v.mp4,?,270,Action\n", r"line 2: fps must be a number, got '\?'"),
        ("a.csv", f"{TSP_HEADER}\nv,1,2,a,9,v.mp4,inf,270,Action\n", r"line 2: fps must be a number, got 'inf'"),
        ("a.csv", 'path,start_seconds,end_seconds,label\nv,1,2,"a\nw,1,2,"\n', r"line 2: must close the quotes"),
        ("up_val.txt", "v 1 2\nv 1\n", r"up_val\.txt: line 2: must have 3 words, got 2"),
        ("a.csv.gz", gzip.compress(b"path", mtime=0)[:-4], r"a\.csv\.gz: must be a whole gzip file"),
        ("a.json", b"\xff\xfe\x00", r"a\.json: byte 0: must be UTF-8"),
    ],
)
def test_bad_files_name_file_entry_and_rule(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadFile, match=message) as error:
        read_published(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_classes_of_thumos_files(tmp_path):
    """The class is all before the last underscore; "Ambiguous" is no class."""
    put(tmp_path / "High_Jump_val.txt", "video_1 1 2\n")
    put(tmp_path / "Ambiguous_val.txt", "video_1 3 4\n")
    (tmp_path / "Diving_val.txt.gz").write_bytes(gzip.compress(b"video_1 5 6\n", mtime=0))
    assert annotations.read_thumos_truth(tmp_path).label.tolist() == ["Diving", "High_Jump"]
    assert read_published(tmp_path).classes == ["Diving", "High_Jump"]
    assert read_published(tmp_path / "High_Jump_val.txt").videos["video_1"].subset == "val"
    put(tmp_path / "Diving_test.txt", "video_1 1 2\n")
    with pytest.raises(BadFile, match=r"line 1: a video must be of one subset, 'video_1' is of val and test"):
        read_published(tmp_path)


def test_ids_keep_a_v_of_their_own(tmp_path):
    """v_ belongs to the file's name only before the eleven characters of a YouTube id."""
    one = {"annotations": [{"label": "a", "segment": [1, 2]}]}
    path = put(
        tmp_path / "a.json", {"database": {"v_abcdefghi": one, "v_abcdefghijk": one, "v_run01": one, "run01": one}}
    )
    ids = ["v_abcdefghi", "abcdefghijk", "v_run01", "run01"]
    assert list(read_actions(path)) == ids
    assert list(annotations.read_activitynet_truth(path, subset=None)[1]) == ids


ONE = '{"subset": "training", "duration": 9, "annotations": [{"label": "a", "segment": [1, 2]}]}'
SCORES = '[{"label": "a", "score": 1, "segment": [1, 2]}]'


@pytest.mark.parametrize(
    "read", [read_published, read_actions, annotations.training_subset, "truth", "results", "scores"]
)
@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a", "a"), "'a': must occur once in its object"),
        (
            ("abcdefghijk", "v_abcdefghijk"),
            "'v_abcdefghijk': a video must occur once, with or without v_, 'abcdefghijk'",
        ),
    ],
)
def test_a_video_twice_is_refused_everywhere(tmp_path, read, names, message):
    field, content = ("results", SCORES) if read in ("results", "scores") else ("database", ONE)
    path = put(
        tmp_path / "a.json", f'{{"{field}": {{{", ".join(f"{json.dumps(name)}: {content}" for name in names)}}}}}'
    )
    named = {
        "truth": lambda path: annotations.read_activitynet_truth(path, subset="training"),
        "results": results.read_activitynet_results,
        "scores": results.read_video_scores,
    }
    with pytest.raises(BadFile, match=message):
        named.get(read, read)(path)


def test_other_subsets_do_not_count_in_evaluation(tmp_path):
    """What the official evaluator takes has a number: only the subset asked for has to be in order."""
    other = ONE.replace('"subset": "training"', '"subset": "test"').replace("annotations", "withheld")
    path = put(tmp_path / "a.json", f'{{"database": {{"abcdefghijk": {ONE}, "v_abcdefghijk": {other}}}}}')
    assert annotations.read_activitynet_truth(path, subset="training")[1] == {"abcdefghijk": 9.0}
    with pytest.raises(BadFile, match="a video must occur once, with or without v_"):
        read_published(path)


def test_a_video_twice_in_a_table_is_refused(tmp_path):
    rows = "".join(f"{name},1,2,a,9,x.mp4,30,270,Action\n" for name in ("abcdefghijk", "v_abcdefghijk"))
    with pytest.raises(BadFile, match="a video must occur once, with or without v_"):
        read_published(put(tmp_path / "a.csv", f"{TSP_HEADER}\n{rows}"))
    put(tmp_path / "up_val.txt", "abcdefghijk 1 2\nv_abcdefghijk 3 4\n")
    with pytest.raises(BadFile, match="'v_abcdefghijk': a video must occur once, with or without v_"):
        read_published(tmp_path / "up_val.txt")
    put(tmp_path / "b.csv", "path,start_seconds,end_seconds,label\na/x.mp4,1,2,a\nb/x.mp4,1,2,a\n")
    assert len(read_published(tmp_path / "b.csv").videos) == 2  # two files, but features do not tell them apart
    with pytest.raises(BadFile, match=r"'b/x\.mp4': a video must occur once"):
        read_actions(tmp_path / "b.csv")
