"""Which segments a run trains on and holds out, and what it says of the others."""

from types import SimpleNamespace

import pytest

import gpuaug
from pretrain.common.distributed import Group
from pretrain.training import session
from pretrain.training.settings import parse
from support.runs.painted_session import painted


@pytest.fixture
def data_of(tmp_path, monkeypatch):
    """A function of what `read_videos` and `read_annotations` find, and of flags: what `read_data` gives, and says."""

    def given(*words, videos=None, annotated=None, held=None):
        calls, found = [], {"videos": videos, "annotated": annotated, "held": held}

        def read_videos(paths, *, cache):
            calls.append((tuple(paths), cache))
            return found["held"] if tuple(paths) == ("w",) else found["videos"]

        def read_annotations(path, folder, **more):
            calls.append((path, folder, more))
            return found["held"] if folder == "w" or more["subset"] == "val" else found["annotated"]

        monkeypatch.setattr(session, "read_videos", read_videos)
        monkeypatch.setattr(session, "read_annotations", read_annotations)
        monkeypatch.setattr(session, "training_subset", lambda path: "training" if "own" not in path else None)
        line = ["--task", "tsp", "--out", tmp_path / "out", "--videos", "x", "--fps", 10, *words]
        settings, task, _ = parse(list(map(str, line)), prog="train")
        said = []
        record = SimpleNamespace(say=said.append, skipped=lambda files, total, hint: said.append((files, total, hint)))
        return session.read_data(settings, task, Group(), record), calls, said

    return given


def test_segments_that_are_too_short_are_left_out_and_said(data_of):
    """A clip of 16 frames at 10 per second takes 1.6 s."""
    data = painted(0, 4)
    data.segments[1] = gpuaug.Segment("/painted/1", 0.5, 2.09, 1, 1)
    data.segments[2] = gpuaug.Segment("/painted/2", 0.0, 1.6, 0, 2)
    data.skipped.append(("z.mp4", "empty"))
    (train, held), calls, said = data_of("--val-batches", 0, "--cache", "c", videos=data)
    assert [segment.path for segment in train.segments] == ["/painted/0", "/painted/2", "/painted/3"]
    assert [segment.video for segment in train.segments] == [0, 1, 2]
    assert (held, calls) == (None, [(("x",), "c")])
    lost = [("z.mp4", "empty"), ("/painted/1 at 0.50 s", "shorter than 16 frames at 10 per second")]
    assert train.skipped == lost
    assert said[0] == (lost, 5, "; --fps 10 asks for 1.60 s, a higher one for less")
    assert said[1] == "training: 3 videos, 2 classes; 3 segments, all labelled; 2 skipped"
    whole = data_of("--val-batches", 0, "--window-placement", "whole", "--windows-per-segment", 1, videos=data)
    assert len(whole[0][0].segments) == 4, "a whole segment has all frames, however short"
    assert whole[2][0] == ([("z.mp4", "empty")], 5, "")


def test_no_segment_left_names_the_last_reason(data_of):
    short = painted(0, 2, seconds=1.0)
    with pytest.raises(ValueError, match=r"none is left: shorter than 16 frames at 10 per second$"):
        data_of("--val-batches", 0, videos=short)


def test_a_share_is_held_out_of_itself(data_of):
    (train, held), _, said = data_of("--holdout", 0.25, "--seed", 3, videos=painted(0, 16))
    assert (len(train.videos), len(held.videos)) == (12, 4)
    assert said[-1] == "held out: 4 videos, 2 classes; 4 segments, all labelled"
    again = data_of("--holdout", 0.25, "--seed", 4, videos=painted(0, 16))[0]
    assert [v.path for v in again[1].videos] != [v.path for v in held.videos]


def test_held_out_videos_are_read_by_their_own_flags(data_of):
    (train, held), calls, _ = data_of("--val-videos", "w", videos=painted(0, 4), held=painted(10, 3))
    assert (len(train.videos), len(held.videos)) == (4, 3)
    assert calls == [(("x",), None), (("w",), None)]
    other = painted(10, 3)
    other.classes = ["run", "stand"]
    with pytest.raises(
        ValueError, match=r"--val-videos must have the classes of --videos, got \['run', 'stand'\], not"
    ):
        data_of("--val-videos", "w", videos=painted(0, 4), held=other)
    with pytest.raises(ValueError, match="--val-videos") as told:
        data_of("--val-videos", "w", videos=painted(0, 4), held=painted(3, 3))
    assert "--val-subset" not in str(told.value)


def test_annotations_and_their_subsets(data_of):
    words = ["--annotations", "a.json", "--background", "none", "--cache", "c", "--val-batches", 0]
    usual = {"classes": None, "background": "none", "cache": "c"}
    _, calls, said = data_of(*words, annotated=painted(0, 4))
    assert calls == [("a.json", "x", {"subset": "training", **usual})]
    assert said[0] == "training on the subset training; --subset names another, or all"
    assert data_of(*words, "--subset", "all", annotated=painted(0, 4))[1][0][2]["subset"] is None
    _, calls, said = data_of(*words, "--subset", "mine", annotated=painted(0, 4))
    assert calls[0][2]["subset"] == "mine"
    assert not any("training on" in str(line) for line in said)
    words[1] = "own.csv"
    _, calls, said = data_of(*words, annotated=painted(0, 4))
    assert calls[0][2]["subset"] is None
    assert not any("training on" in str(line) for line in said)
    with pytest.raises(ValueError, match=r"^--videos must be one folder where there are annotations, got 2 paths$"):
        data_of(*words, "--videos", "x", "y", annotated=painted(0, 4))


def test_held_out_annotations_take_the_training_classes(data_of):
    words = ["--annotations", "a.json", "--val-subset", "val"]
    _, calls, _ = data_of(*words, annotated=painted(0, 4), held=painted(10, 3))
    assert [(file, folder, how["subset"], how["classes"]) for file, folder, how in calls] == [
        ("a.json", "x", "training", None), ("a.json", "x", "val", ["run", "sit"])
    ]  # fmt: skip
    words += ["--val-annotations", "b.json", "--val-videos", "w"]
    _, calls, _ = data_of(*words, annotated=painted(0, 4), held=painted(10, 3))
    assert calls[1][:2] == ("b.json", "w")
    with pytest.raises(ValueError, match="; --val-subset or --val-annotations tells them apart"):
        data_of("--annotations", "a.json", "--val-videos", "w", annotated=painted(0, 4), held=painted(3, 3))


def test_classes_without_a_segment_are_named(data_of):
    data = painted(0, 4)
    data.classes = ["fall", "jump", "run"]
    data.segments = [gpuaug.Segment(s.path, 0.0, 2.0, 2, s.video) for s in data.segments]
    said = data_of("--val-batches", 0, videos=data)[2]
    assert "nothing to train on of 2 classes: fall, jump" in said
