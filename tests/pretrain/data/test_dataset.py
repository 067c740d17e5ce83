"""From files and annotations to segments: matching, clipping to the real video, what is left out, and the split."""

import csv
import gzip
import json
import shutil
from collections import Counter
from dataclasses import astuple
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuaug import Video
from pretrain.data.dataset import Dataset, Segment, read_annotations, read_videos, split
from pretrain.data.segments import CLIP_SECONDS
from pretrain.toy import dataset as toy

TSP_HEADER = "video-name,t-start,t-end,action-label,video-duration,filename,fps,video-frames,temporal-region-label"


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """Eight untrimmed videos of 12…14 s with annotations.json and annotations.csv."""
    folder = tmp_path_factory.mktemp("untrimmed")
    lengths = {"seconds": (12.0, 14.0), "action_seconds": (2.0, 3.0), "gap_seconds": (0.4, 2.0)}
    toy.make_untrimmed(folder, videos=8, classes=4, sizes=[(32, 48)], rates=[10, Fraction(30000, 1001)], **lengths)
    return folder


@pytest.fixture
def options(tmp_path):
    return {"cache": tmp_path / "cache" / "manifest", "progress": False}


def database(folder: Path) -> dict:
    return json.loads((folder / "annotations.json").read_text())["database"]


def rows_of(dataset: Dataset) -> list[tuple]:
    names = [*dataset.classes, None]
    cells = ((s.path, s.start_seconds, s.end_seconds, s.label) for s in dataset.segments)
    rows = [(Path(path).stem, round(start, 4), round(end, 4), names[label]) for path, start, end, label in cells]
    return sorted(rows, key=str)


def write_forms(folder: Path, toys: Path) -> dict[str, Path]:
    """The toy annotations in every form, with fps and frame counts that lie."""
    truth = database(toys)
    paths = {
        name: folder / name for name in ("activitynet.json", "gzipped.json.gz", "tsp.csv", "thumos.json", "thumos")
    }
    text = json.dumps({"database": truth})
    paths["activitynet.json"].write_text("\ufeff" + text, encoding="utf-8")
    paths["gzipped.json.gz"].write_bytes(gzip.compress(text.encode()))
    blank = {video: {**record, "duration": 0} for video, record in truth.items()}
    paths["thumos.json"].write_text(json.dumps({"database": blank}))
    paths["thumos"].mkdir()
    lines = [TSP_HEADER]
    for video, record in truth.items():
        tail = f"{record['duration']},{video}.mkv,30.0,{round(record['duration'] * 30) + 9}"
        for annotation in record["annotations"]:
            start, end = annotation["segment"]
            lines.append(f"{video},{start!r},{end!r},{annotation['label']},{tail},Action")
            with (paths["thumos"] / f"{annotation['label']}_val.txt").open("a") as file:
                file.write(f"{video}  {start!r} {end!r}\n")
        lines.append(f"{video},0.0,1.5,,{tail},No action")
    paths["tsp.csv"].write_text("\r\n".join(lines) + "\r\n")
    return paths


def test_all_forms_give_the_same_segments(tmp_path, toys, options):
    truth = read_annotations(toys / "annotations.csv", **options)
    assert truth.classes == sorted({a["label"] for record in database(toys).values() for a in record["annotations"]})
    assert sum(s.label >= 0 for s in truth.segments) == sum(len(r["annotations"]) for r in database(toys).values())
    assert truth.skipped == []
    assert truth.ids == [""] * 8  # they are known by their paths
    assert truth.counts["background too short"] > 0
    for name, path in write_forms(tmp_path, toys).items():
        if name == "tsp.csv":
            with pytest.warns(
                UserWarning, match=r"tsp.csv contradicts the videos.* fps, not 30, .* frames, not .* \(and 7 more\)$"
            ):
                dataset = read_annotations(path, toys, **options)
            with pytest.warns(UserWarning, match="contradicts"):
                published = read_annotations(path, toys, background="file", **options)
            assert [row[1:3] for row in rows_of(published) if row[3] is None] == [(0.0, 1.5)] * 8
        else:
            dataset = read_annotations(path, toys, **options)
        assert rows_of(dataset) == rows_of(truth), name
        assert sorted(dataset.ids) == sorted(database(toys)), name
        assert dataset.counts == truth.counts


def test_segments_follow_the_file_not_the_annotation(tmp_path, toys, options):
    truth = database(toys)
    video = next(iter(truth))
    real = truth[video]["duration"]
    wrong = {video: {"duration": 2 * real, "annotations": [{"label": "up", "segment": [real - 3, real + 5]}]}}
    (tmp_path / "a.json").write_text(json.dumps({"database": wrong}))
    with pytest.warns(UserWarning, match="seconds, not"):
        dataset = read_annotations(tmp_path / "a.json", toys, **options)
    assert [row[1:] for row in rows_of(dataset)] == [
        (0.0, round(real - 3, 4), None),
        (round(real - 3, 4), round(real, 4), "up"),
    ]
    assert dataset.counts["clipped to the video"] == 1
    assert str(dataset).endswith("; 1 labelled and 1 other segments; 1 clipped to the video; 7 skipped")


def test_what_cannot_be_used_is_named(tmp_path, toys, options):
    folder = tmp_path / "videos"
    (folder / "deep").mkdir(parents=True)
    files = sorted(path for path in toys.glob("video_*"))
    for k, path in enumerate(files[:4]):
        shutil.copy(path, folder / "deep" / f"v_{path.name}" if k == 0 else folder / path.name)
    shutil.copy(files[4], folder / "lonely.mp4")
    (folder / "broken.mp4").write_bytes(b"no video")
    (folder / "deep" / files[1].name).write_bytes(files[1].read_bytes())
    truth = {path.stem: database(toys)[path.stem] for path in files[:4]}
    truth[files[3].stem] = {**truth[files[3].stem], "annotations": []}
    one = {"duration": 1, "annotations": [{"label": "up", "segment": [0, 3]}]}
    (tmp_path / "a.json").write_text(json.dumps({"database": {**truth, "missing": one, "broken": one}}))
    dataset = read_annotations(tmp_path / "a.json", folder, **options)
    assert [Path(video.path).stem for video in dataset.videos] == [f"v_{files[0].stem}", files[2].stem]
    reasons = {Path(name).stem: reason for name, reason in dataset.skipped}
    assert set(reasons) == {"missing", "broken", "lonely", files[1].stem, files[3].stem}
    assert reasons["missing"] == f"annotated, but no such file in {folder}"
    assert reasons["lonely"] == "not annotated"
    assert reasons[files[3].stem] == "no action is annotated"
    assert "broken.mp4" in next(name for name, _ in dataset.skipped if "broken" in name)
    assert any(reason.startswith("2 files have this name") for _, reason in dataset.skipped)
    for segment in dataset.segments:
        assert dataset.videos[segment.video].path == segment.path


def test_subset_and_classes(toys, options):
    whole = read_annotations(toys / "annotations.json", **options)
    train = read_annotations(toys / "annotations.json", subset="training", **options)
    val = read_annotations(toys / "annotations.json", subset="validation", classes=train.classes, **options)
    assert (len(train.videos), len(val.videos)) == (6, 2)
    assert train.classes == val.classes == whole.classes
    assert train.skipped == val.skipped == []  # videos of the other subset are no failures
    assert sorted(rows_of(train) + rows_of(val), key=str) == rows_of(whole)
    turned = read_annotations(toys / "annotations.json", classes=whole.classes[::-1], **options)
    assert rows_of(turned) == rows_of(whole)
    with pytest.raises(ValueError, match=r"subset must be one of training, validation, got 'test'"):
        read_annotations(toys / "annotations.json", subset="test", **options)
    with pytest.raises(ValueError, match=r"labels must be among the 1 classes given, got "):
        read_annotations(toys / "annotations.json", classes=["up"], **options)
    with pytest.raises(ValueError, match=r"background must be 'complement'"):
        read_annotations(toys / "annotations.json", background="file", **options)


def test_one_file_under_two_names_is_refused(tmp_path, toys, options):
    video = next(iter(database(toys)))
    entry = database(toys)[video]
    (tmp_path / "a.json").write_text(json.dumps({"database": {video: entry, f"{video}.x": entry}}))
    read_annotations(tmp_path / "a.json", toys, **options)
    suffix = next(toys.glob(f"{video}.*")).suffix
    (tmp_path / "a.json").write_text(json.dumps({"database": {video: entry, f"{video}{suffix}": entry}}))
    with pytest.raises(ValueError, match="must be annotated under one name"):
        read_annotations(tmp_path / "a.json", toys, **options)


@pytest.mark.parametrize("prefix", ["", "v_"])
def test_files_are_found_with_and_without_the_v_of_activitynet(tmp_path, toys, options, prefix):
    """The annotations have it before every id or before none; of the files, one has it and one does not."""
    ids = ["abcdefghijk", "bbcdefghijk", "v_abcdefghi"]
    for source, name in zip(sorted(toys.glob("video_*")), ["abcdefghijk", "v_bbcdefghijk", "v_abcdefghi"]):
        shutil.copy(source, tmp_path / f"{name}{source.suffix}")
    shutil.copy(source, tmp_path / f"abcdefghi{source.suffix}")  # v_abcdefghi is a YouTube id: this is another video
    names = [prefix * (not name.startswith("v_")) + name for name in ids]
    one = {"annotations": [{"label": "up", "segment": [1, 4]}]}
    (tmp_path / "a.json").write_text(json.dumps({"database": dict.fromkeys(names, one)}))
    rows = [f"{name},1,4,up,,{name}.mp4,,,Action" for name in names]
    (tmp_path / "a.csv").write_text("\n".join([TSP_HEADER, *rows]))
    for file in ("a.json", "a.csv"):
        dataset = read_annotations(tmp_path / file, tmp_path, **options)
        assert [Path(video.path).stem for video in dataset.videos] == ["abcdefghijk", "v_bbcdefghijk", "v_abcdefghi"]
        assert dataset.ids == ids
        assert [(Path(name).stem, reason) for name, reason in dataset.skipped] == [("abcdefghi", "not annotated")]


def test_our_csv_lists_paths_and_explicit_background(tmp_path, toys, options):
    file = sorted(toys.glob("video_*"))[0]
    lines = [["path", "start_seconds", "end_seconds", "label"], [str(file), 1, 3, "up"], [str(file), 5, 7, ""]]
    lines.append([f"elsewhere/{file.name}", 1, 3, "up"])
    with (tmp_path / "a.csv").open("w", newline="") as out:
        csv.writer(out).writerows(lines)
    dataset = read_annotations(tmp_path / "a.csv", background="file", **options)
    assert [row[1:] for row in rows_of(dataset)] == [(1, 3, "up"), (5, 7, None)]
    assert dataset.skipped == [(f"elsewhere/{file.name}", f"annotated, but no such file in {tmp_path}")]


def test_nothing_usable_is_an_error(tmp_path, toys, options):
    (tmp_path / "a.csv").write_text("path,start_seconds,end_seconds,label\nx.mp4,1,2,a\n")
    with pytest.raises(
        ValueError, match=r"at least one annotated video in .* must be usable, got none, for example x.mp4"
    ):
        read_annotations(tmp_path / "a.csv", **options)
    with pytest.raises(ValueError, match=r"videos_dir must be a folder"):
        read_annotations(toys / "annotations.json", tmp_path / "nowhere", **options)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"must include at least one usable file"):
        read_videos(tmp_path / "empty", **options)


def test_class_folders(tmp_path, options):
    paths = toy.make_actions(
        tmp_path / "a", classes=["zoom", "circle"], clips_per_class=2, seconds=(1, 1), sizes=[(32, 32)], rates=[10]
    )
    (tmp_path / "a" / "zoom" / "bad.mp4").write_bytes(b"")
    dataset = read_videos(tmp_path / "a", **options)
    assert dataset.classes == ["circle", "zoom"]
    assert [(Path(s.path), s.start_seconds, s.label) for s in dataset.segments] == [
        (path, 0.0, dataset.classes.index(path.parent.name)) for path in sorted(paths)
    ]
    assert all(s.end_seconds == pytest.approx(1.0, abs=0.01) for s in dataset.segments)
    assert [Path(name).name for name, _ in dataset.skipped] == ["bad.mp4"]
    assert [s.video for s in dataset.segments] == list(range(4))
    flat = read_videos([str(path) for path in paths], **options)
    assert flat.classes == []
    assert {s.label for s in flat.segments} == {-1}
    again = read_videos(tmp_path / "a", **options)  # from the cache
    assert again == dataset


def dataset_of(labels: list[list[int]], folder: str = "x") -> Dataset:
    videos = [Video(f"{folder}/{k:03d}.mp4", duration_seconds=10.0) for k in range(len(labels))]
    segments = [
        Segment(videos[k].path, 2.0 * j, 2.0 * j + 2, label, k)
        for k, own in enumerate(labels)
        for j, label in enumerate(own)
    ]
    return Dataset(segments, ["a", "b", "c", "d"], videos)


@given(
    st.lists(st.lists(st.integers(-1, 3), min_size=1, max_size=4), min_size=2, max_size=60),
    st.floats(0.02, 0.98),
    st.integers(0, 5),
)
def test_split_shares_no_video_and_loses_none(labels, holdout, seed):
    dataset = dataset_of(labels)
    train, val = split(dataset, holdout=holdout, seed=seed)
    paths = [{video.path for video in side.videos} for side in (train, val)]
    assert not paths[0] & paths[1]
    assert len(paths[0] | paths[1]) == len(labels)
    assert min(map(len, paths)) >= 1
    assert abs(len(val.videos) - holdout * len(labels)) <= 1 + 1e-6
    assert sorted(astuple(s)[:4] for s in train.segments + val.segments) == sorted(
        astuple(s)[:4] for s in dataset.segments
    )
    for side in (train, val):
        assert side.classes == dataset.classes
        assert all(side.videos[s.video].path == s.path for s in side.segments)


def test_split_is_stratified_and_does_not_depend_on_order_or_folder():
    labels = [[k % 4, -1, -1, k % 4, (k + 1) % 4] for k in range(40)]
    dataset = dataset_of(labels)
    for seed in range(5):
        _, val = split(dataset, holdout=0.2, seed=seed)
        assert Counter(int(Path(video.path).stem) % 4 for video in val.videos) == {0: 2, 1: 2, 2: 2, 3: 2}
    turned = dataset.take(reversed(range(40)))
    other = dataset_of(labels, "y/z")
    names = [[Path(v.path).stem for v in split(d, seed=3)[1].videos] for d in (dataset, turned, other)]
    assert sorted(names[0]) == sorted(names[1]) == sorted(names[2])
    assert names[0] != [Path(v.path).stem for v in split(dataset, seed=4)[1].videos]


def test_split_refuses():
    with pytest.raises(ValueError, match=r"holdout must be in \(0, 1\), got holdout=0"):
        split(dataset_of([[0], [1]]), holdout=0)
    with pytest.raises(
        ValueError, match=r"videos must be two at least, so that --holdout can keep one back, got 1: .* --val-videos"
    ):
        split(dataset_of([[0]]))


def test_real_untrimmed_videos(shared_data, options):
    folder = shared_data / "untrimmed"
    whole = read_annotations(folder / "annotations.json", **options)
    assert len(whole.videos) == 15
    assert [(Path(name).name, reason) for name, reason in whole.skipped] == [("v_ZNVhz7ctTq0.mp4", "not annotated")]
    assert whole.counts["clipped to the video"] > 0  # ends past the video are as published
    for segment in whole.segments:
        video = whole.videos[segment.video]
        assert video.variable_rate
        assert 0 <= segment.start_seconds < segment.end_seconds <= video.duration_seconds
        assert segment.end_seconds - segment.start_seconds >= CLIP_SECONDS - 1e-6
    overlapping = [(s.start_seconds, s.end_seconds) for s in whole.segments if "S1_ADL_10" in s.path and s.label >= 0]
    assert overlapping == [(0.0, 2.5), (0.0, 3.0)]
    train = read_annotations(folder / "annotations.json", subset="training", **options)
    val = read_annotations(folder / "annotations.json", subset="validation", **options)
    assert (len(train.videos), len(val.videos)) == (5, 10)
