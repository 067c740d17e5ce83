"""Rows of annotations counted without videos, by hand."""

import pytest

from pretrain.data.annotations import read_published
from pretrain.data.formats import BadFile
from pretrain.data.rows import counted

OURS = """\
path,start_seconds,end_seconds,label
a.mp4,1,3,run
a.mp4,4,4.5,sit
a.mp4,6,9,
b.mp4,0,2,run
c.mp4,5,8,sit
"""
KINETICS = "label,youtube_id,time_start,time_end,split\n{}\n"


@pytest.fixture
def ours(tmp_path):
    path = tmp_path / "ours.csv"
    path.write_text(OURS)
    return path


def test_rows_and_segments(ours):
    text, counts = counted(ours, subset=None, background="none", clip_seconds=1.0)
    assert {name: counts[name] for name in ("rows", "rows of actions", "rows of background", "videos")} == {
        "rows": 5, "rows of actions": 4, "rows of background": 1, "videos": 3
    }  # fmt: skip
    assert (counts["action"], counts["background"], counts["action too short"]) == (3, 0, 1)
    assert text == (
        f"{ours}: 5 rows of 3 videos, 4 of actions and 1 of background; 3 segments, 3 of actions and 0 of background "
        "(none), of at least 1 s; 1 action too short; 3 durations not stated"
    )


@pytest.mark.parametrize(
    ("background", "clip_seconds", "actions", "others"),
    [
        ("file", 1.0, 3, 1),
        ("file", 0.5, 4, 1),
        ("file", 2.5, 1, 1),
        ("none", 0.25, 4, 0),
        ("complement", 0.25, 4, 4),
        ("complement", 2.0, 3, 2),
    ],
)
def test_what_is_long_enough_of_what_is_asked_for(ours, background, clip_seconds, actions, others):
    """Between and around actions of a: 0–1, 3–4, 4.5–9 (its last row's end), of c: 0–5; a has 1 s at its beginning."""
    text, counts = counted(ours, subset=None, background=background, clip_seconds=clip_seconds)
    assert (counts["action"], counts["background"]) == (actions, others)
    assert f"({background}), of at least {clip_seconds:g} s" in text
    assert f"{actions + others} segments, {actions} of actions and {others} of background" in text


def test_only_a_subset_and_stated_durations(tmp_path):
    path = tmp_path / "kinetics.csv"
    path.write_text(KINETICS.format("run,a1,0,10,train\nsit,b2,5,9,val\nrun,c3,2,4,train"))
    text, counts = counted(path, subset="train", background="none", clip_seconds=3.0)
    assert (counts["videos"], counts["rows"], counts["action"], counts["action too short"]) == (2, 2, 1, 1)
    assert "not stated" not in text
    assert counted(path, subset=None, background="none", clip_seconds=3.0)[1]["videos"] == 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (",a1,0,10,train", "must have a label and a youtube_id"),
        ("run,,0,10,train", "must have a label and a youtube_id"),
        ("run,a1,0,10,train\nsit,a1,20,30,train", "a video must occur once, 'a1' does twice"),
        ("run,a1,10,0,train", "kinetics.csv"),
    ],
)
def test_rows_of_kinetics_that_are_none(tmp_path, line, message):
    path = tmp_path / "kinetics.csv"
    path.write_text(KINETICS.format(line))
    with pytest.raises(BadFile, match=message):
        read_published(path)


def test_a_row_of_kinetics(tmp_path):
    path = tmp_path / "kinetics.csv"
    path.write_text(KINETICS.format("run,a1,7,17.5,\nsit,b2,1234567,1234577,val"))
    found = read_published(path)
    first, second = found.videos["a1"], found.videos["b2"]
    assert (first.filename, first.subset, first.duration_seconds, first.trimmed) == (
        "a1_000007_000017.mp4",
        None,
        10.5,
        True,
    )
    assert (second.filename, second.subset) == ("b2_1234567_1234577.mp4", "val")
    assert found.segments.segment.tolist() == [[0.0, 10.5], [0.0, 10.0]]
