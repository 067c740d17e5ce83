"""Training takes its own subset, and refuses videos on both sides (test_trained_on.py: the commands after it)."""

import json
import os
import shutil
from fractions import Fraction
from pathlib import Path

import pytest

from pretrain.commands import preview
from pretrain.common.distributed import Group
from pretrain.data import overlap
from pretrain.data.annotations import training_subset
from pretrain.data.dataset import Dataset, read_videos, split
from pretrain.toy import dataset as toy
from pretrain.training.run_folder import RunFolder
from pretrain.training.session import read_data
from pretrain.training.settings import parse
from support import tiny_training

TSP = ["--task", "tsp", "--frames", "8", "--window-frames", "8", "--out", "unused"]


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """40 videos of the subset training and 20 of validation."""
    folder = tmp_path_factory.mktemp("untrimmed")
    style = {"sizes": [(36, 48)], "rates": [Fraction(15)], "codecs": ["mjpeg"], "classes": 2}
    lengths = {"seconds": (4.0, 5.0), "action_seconds": (1.2, 2.0), "gap_seconds": (1.2, 2.0)}
    toy.make_untrimmed(folder, videos=60, validation=1 / 3, progress=False, **style, **lengths)
    return folder


@pytest.fixture
def _small(monkeypatch):
    tiny_training.install(monkeypatch.setattr)
    yield
    tiny_training.torch.set_num_threads(tiny_training.THREADS)


def database(folder: Path) -> dict:
    return json.loads((folder / "annotations.json").read_text())["database"]


def of_subset(folder: Path, subset: str) -> list[str]:
    return sorted(video for video, entry in database(folder).items() if entry["subset"] == subset)


def read(tmp_path, *flags):
    """(ids trained on, ids held out), as `train` with these flags takes them."""
    settings, task, _ = parse([*TSP, *map(str, flags)], prog="train")
    sides = read_data(settings, task, Group(), RunFolder(tmp_path, writes=False))
    return tuple(sorted(Path(video.path).stem for video in side.videos) for side in sides)


def write(path: Path, entries: dict) -> Path:
    path.write_text(json.dumps({"database": entries}))
    return path


@pytest.mark.slow
def test_training_takes_the_training_subset(toys, tmp_path):
    training, validation = of_subset(toys, "training"), of_subset(toys, "validation")
    assert (len(training), len(validation)) == (40, 20)
    data = ["--videos", toys, "--annotations", toys / "annotations.json"]
    assert read(tmp_path, *data, "--val-subset", "validation") == (training, validation)
    trained, held_out = read(tmp_path, *data)
    assert sorted([*trained, *held_out]) == training
    assert len(held_out) == 8
    trained, held_out = read(tmp_path, *data, "--subset", "all")
    assert sorted([*trained, *held_out]) == sorted([*training, *validation])
    assert read(tmp_path, *data, "--subset", "validation", "--val-subset", "training") == (validation, training)


def test_held_out_annotations_of_their_own(toys, tmp_path):
    """Two lists, as TSP publishes them, of videos in one folder or in two."""
    parts = {
        name: {v: e for v, e in database(toys).items() if e["subset"] == name} for name in ("training", "validation")
    }
    lists = [write(tmp_path / f"{name}.json", entries) for name, entries in parts.items()]
    sides = of_subset(toys, "training"), of_subset(toys, "validation")
    flags = ["--videos", toys, "--annotations", lists[0], "--val-annotations", lists[1]]
    assert read(tmp_path, *flags) == sides
    (tmp_path / "held").mkdir()
    for video in sides[1]:
        shutil.copy(toys / f"{video}.avi", tmp_path / "held")
    assert read(tmp_path, *flags, "--val-videos", tmp_path / "held") == sides
    assert read(tmp_path, *flags, "--val-videos", tmp_path / "held", "--val-subset", "validation") == sides


@pytest.mark.parametrize(
    ("flags", "flag", "count"),
    [
        (["--val-subset", "training"], "--val-subset", "40 of the 40"),
        (["--subset", "all", "--val-subset", "validation"], "--val-subset", "20 of the 20"),
        (["--val-videos", "{toys}"], "--val-videos", "40 of the 60"),
        (["--val-videos", "{toys}", "--val-batches", "0"], "--val-videos", "40 of the 60"),
        (["--val-annotations", "{toys}/annotations.json"], "--val-annotations", "40 of the 60"),
        (["--val-videos", "{copies}", "--val-subset", "all"], "--val-subset", "40 of the 60"),
    ],
)
@pytest.mark.usefixtures("_small")
def test_an_overlap_is_refused_in_one_line(toys, tmp_path, capsys, flags, flag, count):
    if "{copies}" in flags:  # other files of the same ids
        shutil.copytree(toys, tmp_path / "copies")
    flags = [word.format(toys=toys, copies=tmp_path / "copies") for word in flags]
    out = tmp_path / "run"
    data = ["--videos", toys, "--annotations", toys / "annotations.json", "--steps", 1, "--out", out]
    assert tiny_training.train(*TSP[:6], *data, *flags) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("train: ")]
    first = of_subset(toys, "training" if "40" in count else "validation")[0]
    rule = f"must hold out videos that are not trained on: {count} are, the first is {first}"
    assert len(lines) == 1
    assert lines[0].startswith(f"train: {flag} {rule}")
    assert not (out / "checkpoint.pt").exists()


@pytest.mark.usefixtures("_small")
def test_preview_refuses_too(toys, tmp_path, capsys):
    data = ["--videos", toys, "--annotations", toys / "annotations.json", "--val-subset", "training"]
    assert preview.main([*map(str, [*TSP[:6], *data, "--out", tmp_path / "look"])]) == 1
    assert "preview: --val-subset must hold out videos that are not trained on: 40 of the 40" in capsys.readouterr().err


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_one_file_under_two_names_is_refused(tmp_path, link):
    videos = tiny_training.make_videos(tmp_path / "videos", classes=2)
    shutil.copytree(videos, tmp_path / "other")
    names = sorted((tmp_path / "other").rglob("*.avi"))
    names[3].unlink()
    inside = sorted(videos.rglob("*.avi"))[3]
    link(inside, names[3].with_name("another.avi"))
    bsp = ["--task", "bsp", "--fps", 15, "--window-frames", 28, "--videos", videos, "--out", "unused"]
    settings, task, _ = parse([*map(str, [*bsp, "--val-videos", tmp_path / "other"])], prog="train")
    with pytest.raises(
        ValueError, match=r"^--val-videos must hold out .*: 1 of the 16 are, the first is .*/another.avi$"
    ):
        read_data(settings, task, Group(), RunFolder(tmp_path, writes=False))


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_names_of_one_file_stay_on_one_side_of_a_split(tmp_path, link):
    videos = tiny_training.make_videos(tmp_path / "videos", classes=2)
    for path in sorted(videos.rglob("*.avi"))[::2]:
        link(path, path.with_name(f"z_{path.name}"))
    dataset = read_videos(videos, progress=False)
    assert len(dataset.videos) == 24
    for seed in range(5):
        sides = [{overlap.identity(video.path) for video in side.videos} for side in split(dataset, seed=seed)]
        assert not sides[0] & sides[1]
        assert abs(len(sides[1]) - 0.2 * 16) <= 1
        assert sum(len(side.videos) for side in split(dataset, seed=seed)) == 24


@pytest.mark.usefixtures("_small")
def test_resuming_with_videos_trained_on_is_refused(tmp_path, capsys):
    videos = tiny_training.make_videos(tmp_path / "videos", classes=2)
    run = ["--videos", videos, "--out", tmp_path / "run"]
    assert tiny_training.train(*run, "--steps", 1, "--val-batches", 0) == 0
    assert tiny_training.train(*run, "--steps", 2, "--val-videos", videos, "--resume") == 1
    assert "--val-videos must hold out videos that are not trained on: 16 of the 16" in capsys.readouterr().err
    assert tiny_training.train(*run, "--steps", 2, "--resume") == 1  # would hold out a fifth of what was trained on
    assert "must be as in the run being resumed; their training segments differ" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("subsets", "right"),
    [
        (["training", "validation", "testing"], "training"),
        (["Train", "val", "test"], "Train"),
        (["Validation", "Test"], "Validation"),  # THUMOS14 as ActionFormer has it
        (["val", "test"], "val"),  # THUMOS14's text files
        ([None, None], None),
        (["validation", "testing"], ValueError),
        (["test"], ValueError),
    ],
)
def test_the_training_subset_by_its_name(tmp_path, subsets, right):
    action = {"segment": [0, 1], "label": "a"}
    entries = {f"v{k}": {"subset": name, "annotations": [action]} for k, name in enumerate(subsets)}
    file = write(tmp_path / "a.json", entries)
    if right is ValueError:
        with pytest.raises(ValueError, match=r"a\.json: the subset to train on must be given, none of te.* is called"):
            training_subset(file)
    else:
        assert training_subset(file) == right


def test_subsets_of_thumos_text_files(tmp_path):
    for name in ("Diving_val", "Diving_test"):
        (tmp_path / f"{name}.txt").write_text("video_1 0 1\n" if name.endswith("val") else "video_2 0 1\n")
    assert training_subset(tmp_path) == "val"


@pytest.mark.parametrize("flag", ["--subset", "--val-subset", "--val-annotations"])
def test_flags_of_annotations_need_them(flag, capsys):
    with pytest.raises(SystemExit, match="2"):
        parse([*TSP, "--videos", "x", flag, "y"], prog="train")
    assert f"{flag} needs --annotations" in capsys.readouterr().err


def test_classes_are_counted_after_skipping(tmp_path, capsys):
    """Two of three classes are too short for the task: they are named, and not counted."""
    style = {"sizes": [(36, 48)], "rates": [Fraction(15)], "codecs": ["mjpeg"], "clips_per_class": 4, "progress": False}
    for names, seconds in ((["up"], (2.0, 2.0)), (["down", "zoom"], (1.0, 1.0))):
        toy.make_actions(tmp_path / names[0], classes=names, seconds=(seconds), **style)
    flags = ["--task", "bsp", "--boundaries", "ds", "ss", "--fps", "15", "--window-frames", "28", "--out", "unused"]
    settings, task, _ = parse([*flags, "--videos", str(tmp_path / "up"), str(tmp_path / "down")], prog="train")
    train_set, held_out = read_data(settings, task, Group(), RunFolder(tmp_path / "run"))
    error = capsys.readouterr().err
    assert "nothing to train on of 2 classes: down, zoom\n" in error
    assert "training: 3 videos, 1 of 3 classes; 3 segments, all labelled; 8 skipped\n" in error
    assert str(held_out).startswith("1 videos, 1 of 3 classes;")
    assert train_set.classes == ["down", "up", "zoom"]
    assert str(Dataset([], [], [])).startswith("0 videos; 0 segments")
