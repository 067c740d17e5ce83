"""Data sets by hand: parts of them, splits, what files contradict, what they lack, and who was trained on."""

import json
import os
from collections import Counter
from types import SimpleNamespace

import pytest

import gpuaug
from gpuaug import BadFile, Video
from pretrain.data import dataset as module
from pretrain.data import overlap
from pretrain.data.annotations import Entry
from pretrain.data.dataset import Dataset, Segment, read_annotations, read_videos, split
from pretrain.data.needs import Needs, lacking
from pretrain.data.overlap import Named


def made(*labels, ids=()):
    """A video for each, with a segment for each of its labels; named z, y, x …, so that the last path is the first."""
    videos = [Video(f"/{'zyxwvutsrqponmlkjihgfedcba'[k]}.mp4", duration_seconds=9.0) for k in range(len(labels))]
    segments = [
        Segment(videos[k].path, float(j), j + 1.0, label, k)
        for k, own in enumerate(labels)
        for j, label in enumerate(own)
    ]
    return Dataset(segments, ["a", "b", "c"], videos, [("bad", "why")], Counter(clipped=2), list(ids))


def test_some_of_its_videos_in_the_order_given():
    whole = made([0, -1], [1], [2, 2], ids=["i0", "i1", "i2"])
    part = whole.take([2, 0])
    assert [video.path for video in part.videos] == ["/x.mp4", "/z.mp4"]
    assert [(s.path, s.start_seconds, s.end_seconds, s.label, s.video) for s in part.segments] == [
        ("/x.mp4", 0.0, 1.0, 2, 0), ("/x.mp4", 1.0, 2.0, 2, 0), ("/z.mp4", 0.0, 1.0, 0, 1), ("/z.mp4", 1.0, 2.0, -1, 1)
    ]  # fmt: skip
    assert (part.ids, part.classes, part.skipped, part.counts) == (["i2", "i0"], ["a", "b", "c"], [], Counter())
    assert part.named == [Named("/x.mp4", "i2"), Named("/z.mp4", "i0")]
    assert part.empty_classes == ["b"]
    assert made([0]).take([0]).ids == []
    assert made([0]).named == [Named("/z.mp4", "")]


def test_a_data_set_in_words():
    whole = made([0, -1], [2])
    whole.counts.update({"action": 7, "background": 3, "rows": 5})
    assert str(whole) == "2 videos, 2 of 3 classes; 2 labelled and 1 other segments; 2 clipped; 5 rows; 1 skipped"


@pytest.mark.parametrize(
    ("count", "holdout", "held_out"),
    [
        (10, 0.2, {2}),
        (10, 0.25, {2, 3}),
        (2, 0.01, {1}),
        (2, 0.99, {1}),
        (3, 0.99, {2}),
        (3, 0.01, {1}),
        (30, 0.1, {3}),
    ],
)
def test_how_many_are_held_out(count, holdout, held_out):
    found = set()
    for seed in range(12):
        videos = [Video(f"/{k:03d}.mp4", duration_seconds=9.0) for k in range(count)]
        whole = Dataset([Segment(video.path, 0.0, 1.0, 0, k) for k, video in enumerate(videos)], ["a"], videos)
        rest, held = split(whole, holdout=holdout, seed=seed)
        found.add(len(held.videos))
        assert len(rest.videos) == count - len(held.videos)
    assert found == held_out


def test_a_fifth_is_held_out_and_what_was_skipped_stays_with_the_rest():
    whole = made(*[[0]] * 10)
    rest, held = split(whole)
    again = split(whole, holdout=0.2, seed=0)
    assert [video.path for video in held.videos] == [video.path for video in again[1].videos]
    assert len(held.videos) == 2
    assert (rest.skipped, held.skipped) == ([("bad", "why")], [])
    for wrong in (0.0, 1.0, -0.1):
        with pytest.raises(ValueError, match=r"^holdout must be in \(0, 1\), got holdout="):
            split(whole, holdout=wrong)
    assert len(split(made([0], [0]), holdout=0.5)[1].videos) == 1


def test_a_video_counts_for_its_most_frequent_label_the_smaller_of_equal_ones_and_background_for_none():
    """Four videos of each of three classes, and four without any; a quarter of each is held out."""
    kinds = [[-1, -1, -1, 0], [1, 1, 0, 2], [2, 1, 1, 2, 0, 0, 0, 2], [-1, -1]]
    whole = made(*(kinds[k % 4] for k in range(16)))
    for seed in range(6):
        _, held = split(whole, holdout=0.25, seed=seed)
        taken = Counter(whole.videos.index(video) % 4 for video in held.videos)
        assert taken[1] == taken[3] == 1
        assert taken[0] + taken[2] == 2, "of the first class both"


@pytest.fixture
def probed(monkeypatch):
    """Videos that `probe` finds, and what it was asked for."""
    videos, asked = [], []
    monkeypatch.setattr(gpuaug, "probe", lambda given, **how: asked.append((given, how)) or gpuaug.Manifest(videos))
    return videos, asked


def film(path, **more):
    return Video(str(path), **{"fps": 10.0, "frames": 100, "duration_seconds": 10.0, **more})


def test_videos_with_and_without_a_class(probed, tmp_path):
    videos, asked = probed
    videos += [
        film("/a", label="x"),
        film("/b", duration_seconds=3.0),
        film("/c", label="w"),
        film("/d", error="cut off"),
    ]
    found = read_videos("given", cache=tmp_path, progress=True)
    assert asked == [("given", {"cache": tmp_path, "progress": True})]
    assert (found.classes, found.skipped, found.ids) == (["w", "x"], [("/d", "cut off")], [])
    assert found.segments == [
        Segment("/a", 0.0, 10.0, 1, 0), Segment("/b", 0.0, 3.0, -1, 1), Segment("/c", 0.0, 10.0, 0, 2)
    ]  # fmt: skip
    read_videos("given")
    assert asked[-1][1] == {"cache": None, "progress": None}
    del videos[:3]
    message = "videos must include at least one usable file, got given: 1 unusable, for example /d: cut off"
    with pytest.raises(ValueError, match=f"^{message}$"):
        read_videos("given")
    videos.clear()
    with pytest.raises(ValueError, match=r"got given: 0 unusable$"):
        read_videos("given")


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"fps": 10.01, "frames": 100.5, "duration_seconds": 10.5}, ""),
        ({"fps": 9.989}, "10 fps, not 9.989"),
        ({"frames": 101}, "100 frames, not 101"),
        ({"duration_seconds": 9.4}, "10 seconds, not 9.4"),
        ({"fps": 25.0, "frames": 90}, "10 fps, not 25, 100 frames, not 90"),
        ({"fps": None, "frames": 0, "duration_seconds": 0.0}, ""),
    ],
)
def test_what_an_entry_states_wrongly(stated, words):
    found = module._contradiction(Entry(**stated), film("/a", fps=10.0 + 1e-9))
    assert found == ([f"/a has {words}"] if words else [])


def annotated(folder, **entries):
    """A file of ActivityNet's form of actions of these spans, and read with its videos in that folder."""
    rows = {
        name: {"annotations": [{"label": "dive", "segment": span} for span in spans]} for name, spans in entries.items()
    }
    (folder / "a.json").write_text(json.dumps({"database": rows}))
    return folder / "a.json"


def test_what_is_asked_of_annotated_videos(probed, tmp_path):
    videos, asked = probed
    videos += [film(tmp_path / "u.mp4"), film(tmp_path / "v.mp4", error="cut off"), film(tmp_path / "w.mp4")]
    file = annotated(tmp_path, u=[[2, 4]], v=[[1, 2]], w=[[1, 1.5]])
    found = read_annotations(file, clip_seconds=1.0, background="none", cache=False, progress=False)
    assert asked == [([str(tmp_path)], {"cache": False, "progress": False})]
    assert [(s.start_seconds, s.end_seconds, s.label, s.video) for s in found.segments] == [(2.0, 4.0, 0, 0)]
    assert found.ids == ["u"]
    assert found.skipped == [
        (str(tmp_path / "v.mp4"), "cut off"), (str(tmp_path / "w.mp4"), "no segment of at least 1 s")
    ]  # fmt: skip
    whole = read_annotations(annotated(tmp_path, u=[[2, 4]]))
    assert asked[-1][1] == {"cache": None, "progress": None}
    assert [(s.start_seconds, s.end_seconds, s.label) for s in whole.segments] == [(2, 4, 0), (0, 2, -1), (4, 10, -1)]
    few = read_annotations(annotated(tmp_path, u=[[0, 2], [3, 10]]))
    assert (len(few.segments), few.counts["background too short"]) == (2, 1), "a second is less than 16 frames at 15/s"
    with pytest.raises(
        ValueError, match=r"a\.json: at least one annotated video in .* must be usable, got none, for ex"
    ):
        read_annotations(annotated(tmp_path, v=[[1, 2]]))


def test_one_contradiction_is_told_alone_and_to_the_caller(probed, tmp_path):
    videos, _ = probed
    videos.append(film(tmp_path / "u.mp4"))
    entry = {"duration": 20, "annotations": [{"label": "dive", "segment": [2, 4]}]}
    (tmp_path / "a.json").write_text(json.dumps({"database": {"u": entry}}))
    with pytest.warns(UserWarning, match=r"u\.mp4 has 10 seconds, not 20$") as told:
        read_annotations(tmp_path / "a.json")
    assert told[0].filename == __file__


def test_a_table_of_paths_does_not_ask_for_what_lies_beside_them(probed, tmp_path):
    videos, asked = probed
    (tmp_path / "u.mp4").touch()
    videos.append(film(tmp_path / "u.mp4"))
    (tmp_path / "a.csv").write_text("path,start_seconds,end_seconds,label\nu.mp4,2,4,dive\n")
    assert read_annotations(tmp_path / "a.csv").ids == [""]
    assert asked[-1][0] == [str(tmp_path / "u.mp4")]
    read_annotations(tmp_path / "a.csv", tmp_path)
    assert asked[-1][0] == [str(tmp_path / "u.mp4"), str(tmp_path)]


@pytest.mark.parametrize(
    ("labels", "needs", "told"),
    [
        ([[-1]], Needs(label="x", two_classes="x", same_class="y"), "must have labels for x and y, {one} none: L"),
        ([[0], [0]], Needs(two_classes="x"), "must have videos of two classes for x, the 2 videos have only 'a': L"),
        ([[0, 0], [1]], Needs(same_class="x"), "must have two videos of a class for x, the 2 videos have 1 of each: L"),
        ([[0], [0], [1]], Needs(same_class="x"), ""),
        ([[0]], Needs(background="x"), "must have background beside actions for x, {one} none: --annotations says "
         "where actions start and end"),
        ([[-1]], Needs(background="x"), "must have labels for x, the 1 video has none: L"),
        ([[0, -1]], Needs(background="x", any_held_out=True), ""),
    ],
)  # fmt: skip
def test_what_is_lacking_without_a_way_round(labels, needs, told):
    usual = "put the videos of a class into a folder of its own, or give a CSV with path,label"
    words = told.replace("{one}", "the 1 video has").replace(": L", f": {usual}")
    assert lacking(made(*labels), needs) == (f"--videos {words}" if told else "")


def test_what_two_names_of_a_video_have_in_common(tmp_path):
    (tmp_path / "a").touch()
    os.link(tmp_path / "a", tmp_path / "b")
    a, b, gone = str(tmp_path / "a"), str(tmp_path / "b"), f"{tmp_path}/x/../gone"
    assert overlap.identity(a) == overlap.identity(b) == (os.stat(a).st_dev, os.stat(a).st_ino)
    assert overlap.identity(gone) == str(tmp_path / "gone")
    assert list(overlap.keys(Named())) == []
    assert list(overlap.keys(Named(gone))) == [("file", str(tmp_path / "gone"))]
    assert list(overlap.keys(Named(a, "i"))) == [("file", overlap.identity(a)), ("id", "i")]
    assert list(overlap.keys(Named(id="i"))) == [("id", "i")]
    held = [Named(b), Named("c", "i"), Named("i")]
    assert overlap.shared([Named(a, "i")], held) == held[:2]
    overlap.refuse([Named(a)], held[1:], "--flag")
    for by, hint, trained, told in (
        ("", "", Named(a), f"trained on: 1 of the 3 are, the first is {b}"),
        (" by X", "; or Y", Named(id="i"), "trained on by X: 1 of the 3 are, the first is i; or Y"),
    ):
        with pytest.raises(ValueError, match=rf"^--flag must hold out videos that are not {told}$"):
            overlap.refuse([trained], held, "--flag", by=by, hint=hint)


def test_a_disk_without_numbers_of_files_tells_them_by_their_paths(tmp_path, monkeypatch):
    (tmp_path / "a").touch()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    monkeypatch.setattr(overlap.os, "stat", lambda path: SimpleNamespace(st_dev=1, st_ino=0))
    assert overlap.identity(str(tmp_path / "b")) == str(tmp_path / "a")


def test_nothing_is_needed_where_nothing_is_said():
    words = ("label", "two_classes", "same_class", "background", "otherwise")
    assert [getattr(Needs(), name) for name in words] == [""] * 5
    assert Needs().any_held_out is False


def test_a_path_is_kept_once_and_a_file_has_one_label(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").touch()
    os.link("a", "b")
    videos = [Video("a", label="x"), Video(str(tmp_path / "a"), label="x"), Video("b", label="x"), Video("gone")]
    assert overlap.one_label(gpuaug.Manifest(videos)).videos == [videos[0], videos[2], videos[3]]
    with pytest.raises(ValueError, match=r"^a video must have one label, a has 'x' and b None, which are one file$"):
        overlap.one_label(gpuaug.Manifest([videos[0], Video("b")]))


def test_the_record_of_what_was_trained_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = overlap.stated([Named("b", "i"), Named("a"), Named("", "j"), Named("a")])
    assert content == {"videos": [("", "j"), (f"{tmp_path}/a", ""), (f"{tmp_path}/b", "i")]}
    record = tmp_path / "training_videos.json"
    assert overlap.of_run(tmp_path) == overlap.of_run(None) == overlap.of_run("") == []
    record.write_text(json.dumps(content))
    expected = [Named("", "j"), Named(f"{tmp_path}/a"), Named(f"{tmp_path}/b", "i")]
    assert overlap.of_run(tmp_path) == overlap.of_run(tmp_path / "best.pt") == expected
    for wrong in ("[", "[1]", "{}", '{"videos": [["a"]]}', '{"videos": 3}', "[" * 100_000):
        record.write_text(wrong)
        with pytest.raises(ValueError, match=r'training_videos\.json must be \{"videos": \[\[path, id\], …\]\}: '):
            overlap.of_run(tmp_path)


def test_what_predictions_were_trained_on(tmp_path):
    path = tmp_path / "p.json"
    for external in (
        {},
        {"external_data": "words"},
        {"external_data": {"used": True}},
        {"external_data": ["trained_on"]},
    ):
        path.write_text(json.dumps(external))
        assert overlap.of_predictions(path) == []
    path.write_text(json.dumps({"external_data": {"trained_on": ["v_abcdefghijk", "b"]}}))
    assert overlap.of_predictions(path) == [Named("", "abcdefghijk"), Named("", "b")]
    for wrong, told in (
        ([3], "trained_on must be ids of videos, got 3"),
        ("a", "trained_on must be a JSON list, got str"),
    ):
        path.write_text(json.dumps({"external_data": {"trained_on": wrong}}))
        with pytest.raises(BadFile, match=rf"p\.json: external_data: {told}$"):
            overlap.of_predictions(path)
