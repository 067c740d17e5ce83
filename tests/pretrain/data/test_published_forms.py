"""docs/formats.md: every command reads every form that the table says, as it is published."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import gpuaug
from pretrain.__main__ import main
from pretrain.data.annotations import training_subset
from pretrain.data.dataset import read_annotations
from pretrain.data.rows import counted
from pretrain.data.truth import read_truth, read_val_list

PAGE = Path(__file__).parents[3] / "docs" / "formats.md"
IDS = [f"video_{'validation' if k < 4 else 'test'}_{k:07d}" for k in range(6)]
SUBSET = {video: ("val", "test")[k >= 4] for k, video in enumerate(IDS)}
SECONDS = 6.0
ACTIONS = {video: [(1.0, 3.0, ("dive", "jump")[k % 2])] for k, video in enumerate(IDS)}
SETTINGS = {"fps": 10.0, "clip_frames": 4, "stride_frames": 2, "offset_frames": 0, "axes": "T,F"}


def table(path, columns, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([columns.split(","), *rows])
    return path


def published(folder: Path, form: str) -> tuple[Path, str | None, str | None]:
    """The file or folder in that form, and the names of its two subsets."""
    if "JSON" in form:
        thumos = "THUMOS" in form
        database = {
            video: {
                "subset": (
                    {"val": "validation", "test": "test"} if thumos else {"val": "training", "test": "validation"}
                )[SUBSET[video]],
                "duration": 0 if thumos else SECONDS,
                "annotations": [{"label": label, "segment": [s, e]} for s, e, label in ACTIONS[video]],
            }
            for video in IDS
        }
        path = folder / "a.json"
        path.write_text(json.dumps({"database": database, "taxonomy": [], "version": "1"}))
        return (path, "validation", "test") if thumos else (path, "training", "validation")
    if "THUMOS14's folder" in form:
        (folder / "text").mkdir()
        for video, ((start, end, label),) in ACTIONS.items():
            with open(folder / "text" / f"{label}_{SUBSET[video]}.txt", "a") as file:
                file.write(f"{video}  {start} {end}\n")
        return folder / "text", "val", "test"
    if "TSP" in form:
        columns = "video-name,t-start,t-end,action-label,video-duration,filename,fps,video-frames,temporal-region-label"
        rows = [
            (video, s, e, label, SECONDS, f"{video}.avi", 15.0, 90, "Action" if label else "No action")
            for video in IDS
            for s, e, label in (*ACTIONS[video], (3.0, SECONDS, ""))
        ]
        return table(folder / "tsp.csv", columns, rows), None, None
    if "start_seconds" in form:
        rows = [(f"videos/{v}.avi", s, e, label) for v in IDS for s, e, label in (*ACTIONS[v], (3.5, 5.5, ""))]
        return table(folder / "ours.csv", "path,start_seconds,end_seconds,label", rows), None, None
    if "Kinetics" in form:
        rows = [(ACTIONS[v][0][2], v, 20 * k, 20 * k + 10, "train", 0) for k, v in enumerate(IDS)]
        path = table(folder / "kinetics.csv", "label,youtube_id,time_start,time_end,split,is_cc", rows)
        for k, video in enumerate(IDS[:3]):  # the others go by their ids
            source = folder / "videos" / f"{video}.avi"
            source.rename(source.with_name(f"{video}_{20 * k:06d}_{20 * k + 10:06d}.avi"))
        return path, "train", None
    assert "CrossTask" in form
    (folder / "annotations").mkdir()
    for video in IDS:
        rows = "".join(f"{k},{s},{e}\n" for k, (s, e, _) in enumerate(ACTIONS[video], 1))
        (folder / "annotations" / f"23521_{video}.csv").write_text(rows)
    held_out = "".join(f"23521,{video},https://www.youtube.com/watch?v={video}\n" for video in IDS[4:])
    (folder / "videos_val.csv").write_text(held_out)
    return folder / "annotations", "training", "validation"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """videos/ID.avi and features of them."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "features").mkdir()
    (folder / "videos").mkdir()
    rng = np.random.default_rng(0)
    for video in IDS:
        frames = np.full((90, 16, 24, 3), 90, np.uint8)
        gpuaug.write_video(folder / "videos" / f"{video}.avi", frames, 15, codec="mjpeg", pixel_format="yuvj420p")
        np.save(folder / "features" / f"{video}.npy", rng.normal(size=(29, 8)).astype(np.float32))
    (folder / "features.json").write_text(json.dumps(SETTINGS))
    (folder / "features" / "features.json").write_text(json.dumps(SETTINGS))
    return folder


def cells():
    """(form, command) of every ✓ of the page."""
    lines = [line.strip("|").split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    heads = [re.sub(r"[`]", "", each).split()[:2] for each in lines[0][1:]]
    found = [(line[0].strip(), " ".join(head)) for line in lines[2:] for head, c in zip(heads, line[1:]) if "✓" in c]
    assert len(found) > 12
    return found


@pytest.mark.parametrize(("form", "what"), cells())
def test_every_cell(form, what, data, tmp_path, capsys):
    shutil.copytree(data, tmp_path, dirs_exist_ok=True)
    path, first, second = published(tmp_path, form)
    val_list = ["--val-list", str(tmp_path / "videos_val.csv")] if "CrossTask" in form else []
    if what.startswith("train"):
        folder = None if "path," in form else tmp_path / "videos"
        subset = training_subset(path) if first else None
        found = read_annotations(path, folder, subset=subset, cache=False, background="complement", clip_seconds=1.0)
        expected = 4 if first and "Kinetics" not in form else 6
        assert len(found.videos) == expected
        assert found.classes == ["dive", "jump"]
        labelled = [segment for segment in found.segments if segment.label >= 0]
        assert len(labelled) == expected
        spans = {(segment.start_seconds, segment.end_seconds) for segment in labelled}
        assert spans == ({(0.0, 6.0)} if "Kinetics" in form else {(1.0, 3.0)})
        return
    task = "steps" if what == "evaluate steps" or val_list else "detection"
    predictions = tmp_path / "predictions.json"
    features = ["--features", str(tmp_path / "features")]
    subsets = ["--train-subset", first, "--subset", second]
    flags = ["--epochs", "1", "--task", task, "--device", "cpu"]
    words = [*features, "--annotations", str(path), *val_list, *subsets, *flags, "--out", str(predictions)]
    assert main(["localize", *words]) == 0, capsys.readouterr().err
    assert "4 videos to learn from, 2 localised" in capsys.readouterr().out
    if what.startswith("evaluate"):
        subset = [] if path.is_dir() else ["--subset", second]
        given = ["--truth", str(path), "--predictions", str(predictions), *subset, *val_list]
        if path.is_dir() and task == "detection":  # all of the folder is the truth: the test files alone
            for file in path.glob("*_val.txt"):
                file.unlink()
        assert main(["evaluate", task, *given]) == 0, capsys.readouterr().err


def test_rows_of_a_published_list_are_counted_without_videos(tmp_path, capsys):
    path, _, _ = published(tmp_path, "TSP's CSV")
    for background, segments in (("file", 12), ("none", 6), ("complement", 12)):
        _, counts = counted(path, subset=None, background=background, clip_seconds=16 / 15)
        assert (counts["rows"], counts["rows of actions"], counts["rows of background"]) == (12, 6, 6)
        assert counts["action"] + counts["background"] == segments
    words = ["--recipe", "tsp-anet", "--dry-run", "--annotations", str(path), "--val-annotations", str(path)]
    assert main(["train", *words]) == 0
    line, again = capsys.readouterr().out.splitlines()
    assert line == again
    assert "12 rows of 6 videos, 6 of actions and 6 of background; 12 segments" in line
    assert main(["train", "--recipe", "tsp-anet", "--dry-run"]) == 1
    assert capsys.readouterr().err == "train: --dry-run needs --annotations\n"


def test_the_truth_of_text_files_is_of_their_subset_and_has_actions_only(tmp_path):
    for name, text in {"Dive_val": "v1 1 2\nv2 3 4\n", "Ambiguous_val": "v1 5 6\n", "Dive_test": "v3 1 2\n"}.items():
        (tmp_path / f"{name}.txt").write_text(text)
    truth, durations = read_truth(tmp_path, subset="val")
    assert truth.video.tolist() == ["v1", "v2"]
    assert durations.keys() == {"v1", "v2"}
    assert set(read_truth(tmp_path, subset=None)[1]) == {"v1", "v2", "v3"}
    with pytest.raises(gpuaug.BadFile, match="must have videos of the subset 'training', has test, val"):
        read_truth(tmp_path, subset="training")
    table = tmp_path / "own.csv"
    table.write_text("path,start_seconds,end_seconds,label\na.mp4,1,2,dive\na.mp4,2,4,\nb.mp4,0,1,\n")
    truth, durations = read_truth(table, subset="validation")  # of no subsets all of it is
    assert (truth.label.tolist(), truth.segment.tolist()) == (["dive"], [[1, 2]])
    assert set(durations) == {"a.mp4", "b.mp4"}


def test_crosstask_is_split_by_its_list(tmp_path):
    path, _, _ = published(tmp_path, "CrossTask")
    val_list = tmp_path / "videos_val.csv"
    assert read_val_list(val_list) == set(IDS[4:])
    truth, durations = read_truth(path, subset="validation", val_list=val_list)
    assert set(durations) == set(truth.video.tolist()) == set(IDS[4:])
    assert set(read_truth(path, subset="training", val_list=val_list)[1]) == set(IDS[:4])
    with pytest.raises(gpuaug.BadFile, match="must be split by --val-list"):
        read_truth(path, subset="validation")
    val_list.write_text("a,b\n")
    with pytest.raises(gpuaug.BadFile, match=r"line 1: must be TASK,VIDEO,URL or a video, got 'a,b'"):
        read_val_list(val_list)
    val_list.write_text("other\n")
    with pytest.raises(gpuaug.BadFile, match="must name a video of"):
        read_truth(path, subset="training", val_list=val_list)
