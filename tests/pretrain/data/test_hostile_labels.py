"""Labels as people send them: links, two labels, ids with and without v_, actions outside their video, hostile JSON."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tracemalloc
from collections import Counter

import numpy as np
import pytest

from gpuaug import BadFile, read_text
from gpuaug.video import table
from gpuaug.video.write import write_video
from pretrain.commands import evaluate, localize
from pretrain.data.annotations import read_actions, read_activitynet_truth, read_published
from pretrain.data.charades_crosstask import read_charades_durations
from pretrain.data.dataset import read_annotations, read_videos
from pretrain.data.formats import read_json
from pretrain.data.results import (
    read_activitynet_results,
    read_video_scores,
    write_activitynet_results,
    write_thumos_results,
)
from pretrain.data.segments import Segments, beyond, cut, inside
from pretrain.localization.inputs import read_subset

ROW = {"subset": "training", "duration": 10.0, "annotations": [{"label": "dive", "segment": [1, 4]}]}


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    write_video(path, [np.full((32, 32, 3), k, np.uint8) for k in range(100)], 10, "ffv1", pixel_format="bgr0")
    return path


# ---- one video, one label ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_one_file_in_two_class_folders_is_refused(tmp_path, film, link):
    for name in ("dive", "swim"):
        (tmp_path / "v" / name).mkdir(parents=True)
    shutil.copy(film, tmp_path / "v/dive/a.mkv")
    link(tmp_path / "v/dive/a.mkv", tmp_path / "v/swim/b.mkv")
    with pytest.raises(ValueError, match=r"a video must have one label, .*a\.mkv has 'dive' and .*b\.mkv 'swim'"):
        read_videos(tmp_path / "v", cache=False, progress=False)
    link(tmp_path / "v/dive/a.mkv", tmp_path / "v/dive/b.mkv")  # with one label, two names are two videos
    os.unlink(tmp_path / "v/swim/b.mkv")
    assert len(read_videos(tmp_path / "v", cache=False, progress=False).videos) == 2


@pytest.mark.parametrize("more", ["second.csv", "."])
def test_two_lists_that_contradict_are_refused(tmp_path, film, more):
    shutil.copy(film, tmp_path / "a.mkv")
    for name, label in (("first", "dive"), ("second", "swim")):
        (tmp_path / f"{name}.csv").write_text(f"path,label\na.mkv,{label}\n")
    with pytest.raises(ValueError, match="a video must have one label"):
        read_videos([tmp_path / "first.csv", tmp_path / more], cache=False, progress=False)


def test_a_path_given_twice_is_one_video(tmp_path, film, monkeypatch):
    shutil.copy(film, tmp_path / "a.mkv")
    monkeypatch.chdir(tmp_path)
    assert len(read_videos(["a.mkv", "./a.mkv", tmp_path / "a.mkv"], cache=False, progress=False).videos) == 1


# ---- ids -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", ["abcdefghijk", "run01", "a b", "日本"])
@pytest.mark.parametrize("annotated", ["", "v_"])
@pytest.mark.parametrize("stored", ["", "v_"])
def test_ids_with_and_without_v(tmp_path, film, id, annotated, stored):
    shutil.copy(film, tmp_path / f"{stored}{id}.mkv")
    (tmp_path / "a.json").write_text(json.dumps({"database": {f"{annotated}{id}": ROW}}))
    found = read_annotations(tmp_path / "a.json", tmp_path, clip_seconds=1.0, cache=False, progress=False)
    assert [video.path for video in found.videos] == [str(tmp_path / f"{stored}{id}.mkv")]
    assert found.skipped == []


def test_a_file_of_the_very_name_comes_first(tmp_path, film):
    for name in ("run01", "v_run01"):
        shutil.copy(film, tmp_path / f"{name}.mkv")
    for name in ("run01", "v_run01"):
        (tmp_path / "a.json").write_text(json.dumps({"database": {name: ROW}}))
        found = read_annotations(tmp_path / "a.json", tmp_path, clip_seconds=1.0, cache=False, progress=False)
        assert [video.path for video in found.videos] == [str(tmp_path / f"{name}.mkv")]


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_two_annotated_names_of_one_file_are_refused(tmp_path, film, link):
    """What is an action under one name would be background under the other."""
    shutil.copy(film, tmp_path / "a.mkv")
    link(tmp_path / "a.mkv", tmp_path / "b.mkv")
    (tmp_path / "a.json").write_text(json.dumps({"database": {"a": ROW, "b": ROW}}))
    with pytest.raises(BadFile, match="must be annotated under one name, got 'a' and 'b'"):
        read_annotations(tmp_path / "a.json", tmp_path, clip_seconds=1.0, cache=False, progress=False)


def test_a_key_twice_is_refused_everywhere(tmp_path):
    row = json.dumps(ROW)
    text = f'{{"database": {{"a": {row}, "a": {row}}}, "results": {{"a": [], "a": []}}}}'
    (tmp_path / "a.json").write_text(text)
    for read in (read_published, read_actions, read_activitynet_results, read_video_scores):
        with pytest.raises(BadFile, match=r"a\.json: 'a': must occur once in its object"):
            read(tmp_path / "a.json")


# ---- actions outside their video -----------------------------------------------------------------------------------

SPANS = [[1, 4], [8, 12], [-2, 3], [9.5, 30], [12, 14], [10, 11], [-3, 0], [2, 2]]  # of a video of ten seconds


@pytest.fixture
def outside(tmp_path):
    """Features of three videos, and their annotations."""
    actions = [{"label": "dive", "segment": span} for span in SPANS]
    database = {
        name: {"subset": subset, "duration": 10.0, "annotations": actions}
        for name, subset in (("a", "training"), ("b", "validation"), ("c", "training"))
    }
    (tmp_path / "truth.json").write_text(json.dumps({"database": database}))
    rng = np.random.default_rng(0)
    (tmp_path / "f").mkdir()
    for name in database:
        np.save(tmp_path / "f" / f"{name}.npy", rng.normal(size=(12, 4)).astype(np.float32))
    (tmp_path / "f/features.json").write_text(json.dumps({"fps": 10, "clip_frames": 8, "stride_frames": 8}))
    return tmp_path


def test_actions_outside_their_video_are_counted_in_one_way(outside):
    expected = {"outside the video": 3, "clipped to the video": 3}
    published = Segments.of([("a", *span, "dive") for span in SPANS])
    _, counts = cut(published, 10.0, clip_seconds=0.25)
    assert {name: counts[name] for name in expected} == expected
    kept, counts = inside(published, 10.0)
    assert counts == expected
    assert kept.segment.tolist() == [[1, 4], [8, 10], [0, 3], [9.5, 10], [2, 2]]
    assert inside(published, float("nan"))[1] == {"outside the video": 1, "clipped to the video": 1}
    assert read_subset(outside / "f", outside / "truth.json", "validation").counts == Counter(expected)


@pytest.mark.slow
def test_localize_and_evaluate_tell_of_actions_outside_their_video(outside, capsys):
    tmp_path = outside
    out = ["--annotations", tmp_path / "truth.json", "--out", tmp_path / "out.json", "--length", 10, "--epochs", 1]
    assert localize.main([str(each) for each in ("--features", tmp_path / "f", *out)]) == 0
    told = capsys.readouterr().out
    assert "training: 6 actions clipped to the video, 6 actions outside the video" in told
    assert "validation: 3 actions clipped to the video, 3 actions outside the video" in told
    files = ["--truth", str(tmp_path / "truth.json"), "--predictions", str(tmp_path / "out.json")]
    assert evaluate.main(["detection", *files]) == 0
    assert "actions of the truth: 3 outside the video, 3 reach beyond it; they are kept" in capsys.readouterr().out


def test_an_unknown_duration_has_no_end():
    outside, clipped = beyond([[5, 1e9], [-1, 2], [-2, -1]], [np.nan, np.nan, np.nan])
    assert outside.tolist() == [False, False, True]
    assert clipped.tolist() == [False, True, False]


# ---- hostile files -------------------------------------------------------------------------------------------------


def of_segment(segment):
    return '{"database": {"v": {"annotations": [{"label": "a", "segment": ' + segment + "}]}}}"


HOSTILE = {
    "deep": '{"database":' + "[" * 1_000_000,
    "deep and closed": '{"database":' + "[" * 900 + "]" * 900 + "}",
    "deep segment": of_segment("[" * 400 + "]" * 400),
    "400 digits": of_segment("[0, 1" + "0" * 400 + "]"),
    "5000 digits": of_segment("[0, 1" + "0" * 5000 + "]"),
    "1e999": of_segment("[0, 1e999]"),
    "NaN": of_segment("[0, NaN]"),
    "-Infinity": of_segment("[-Infinity, 1]"),
    "null": of_segment("[0, null]"),
    "true": of_segment("[0, true]"),
    "long text": of_segment('[0, "' + "x" * 1_000_000 + '"]'),
    "long label": '{"database": {"v": {"annotations": [{"label": '
    + "["
    + "9," * 100_000
    + '9], "segment": [0, 1]}]}}}',
    "long id": '{"database": {"' + "v" * 1_000_000 + '": {"annotations": [{"label": "a", "segment": [2, 1]}]}}}',
    "negative duration": '{"database": {"v": {"duration": -3, "annotations": []}}}',
    "infinite duration": '{"database": {"v": {"duration": 1e999, "annotations": []}}}',
    "a list": "[]",
    "cut off": '{"database": {"v": {"annotations": [{"la',
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_annotations_are_refused_in_one_short_line(tmp_path, kind):
    file = tmp_path / "hostile.json"
    file.write_text(HOSTILE[kind])
    for read in (read_published, read_actions, lambda path: read_activitynet_truth(path, subset=None)):
        with pytest.raises(BadFile, match=r"hostile\.json") as caught:
            read(file)
        assert len(str(caught.value)) < 1500
        assert "\n" not in str(caught.value)


def test_large_whole_numbers_elsewhere_are_no_error(tmp_path):
    (tmp_path / "a.json").write_text('{"seed": 1%s, "n": 7}' % ("0" * 5000))
    assert read_json(tmp_path / "a.json") == {"seed": float("inf"), "n": 7}


def test_gzip_bombs_do_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "UNPACKED", 8 << 20)
    bomb = gzip.compress(bytes(64 << 20), 9)  # 64 KiB
    (tmp_path / "bomb.json").write_bytes(bomb)
    tracemalloc.start()
    with pytest.raises(BadFile, match=r"bomb\.json: must not unpack to more than 8 MiB"):
        read_text(tmp_path / "bomb.json")
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()
    for whole in (bytes(7 << 20), np.random.default_rng(0).integers(32, 127, 9 << 20, np.uint8).tobytes()):
        (tmp_path / "fine.gz").write_bytes(gzip.compress(whole, 1))
        assert read_text(tmp_path / "fine.gz") == whole.decode()
    (tmp_path / "two.gz").write_bytes(gzip.compress(b"one, ") + gzip.compress(b"two"))  # as `cat` joins them
    assert read_text(tmp_path / "two.gz") == "one, two"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("id,length\na,3\na,4\n", "row 2: a video must have one length, 'a' has 3.0 too"),
        ("id,length\na\n", "row 1: length must be a number, got None"),
        ("id,length\n" + "x" * 200_000 + ",3\n", "must be CSV"),
    ],
)
def test_lengths_of_charades(tmp_path, text, rule):
    (tmp_path / "lengths.csv").write_text(text)
    with pytest.raises(BadFile, match=rf"lengths\.csv: {rule}"):
        read_charades_durations(tmp_path / "lengths.csv")


def test_names_of_bytes_are_written_and_read(tmp_path):
    found = Segments.of([("v\udcff", 1, 2, "a", 0.5)])
    write_activitynet_results(tmp_path / "found.json", found, videos=["w\udcfe"])
    assert read_activitynet_results(tmp_path / "found.json").video.tolist() == ["v\udcff"]
    write_thumos_results(tmp_path / "found.txt", found, {1: "a"})
    assert (tmp_path / "found.txt").read_bytes() == b"v\xff 1.0 2.0 1 0.5\n"


@pytest.mark.parametrize("text", ["[" * 100_000, "[1" + "0" * 5000 + "]", "{", "7"])
def test_a_list_of_excluded_videos_that_is_none(tmp_path, text, capsys):
    (tmp_path / "truth.json").write_text(json.dumps({"database": {"a": ROW}}))
    (tmp_path / "found.json").write_text('{"results": {}}')
    (tmp_path / "exclude.json").write_text(text)
    files = ["--truth", tmp_path / "truth.json", "--predictions", tmp_path / "found.json"]
    exclude = ["--exclude", tmp_path / "exclude.json", "--subset", "training"]
    assert evaluate.main(["detection", *map(str, files + exclude)]) == 1
    assert "exclude.json: must be a JSON list of video names" in capsys.readouterr().err
