"""What the videos lack is said before anything is decoded, with the flags that help."""

import shutil

import pytest

from support import tiny_training
from support.tiny_training import make_long_videos, make_videos, train


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    tiny_training.install(monkeypatch.setattr)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    return make_videos(tmp_path_factory.mktemp("videos"), classes=2)


@pytest.mark.parametrize(
    ("kind", "flags", "words"),
    [
        ("flat", [], ["--videos must have labels for dc and sc", "a folder of its own", "give --boundaries ds ss"]),
        ("flat", ["--mode", "action"], ["must have labels for --mode action", "path,label"]),
        ("one class", [], ["must have videos of two classes for dc", "give --boundaries ds ss"]),
        ("one each", ["--val-batches", 0], ["must have two videos of a class for sc", "give --boundaries ds ss"]),
        ("one", ["--boundaries", "ds", "ss"], ["videos must be two at least", "--val-videos", "--val-batches 0"]),
    ],
)
def test_labels(labelled, tmp_path, capsys, kind, flags, words):
    videos = tmp_path / "videos"
    files = [sorted(folder.iterdir()) for folder in sorted(labelled.iterdir()) if folder.is_dir()]
    chosen = {"flat": [*files[0], *files[1]], "one class": files[0], "one each": [files[0][0], files[1][0]]}
    for path in chosen.get(kind, files[0][:1]):
        copy = videos / ("" if kind in ("flat", "one") else path.parent.name) / f"{path.parent.name}_{path.name}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    assert train("--videos", videos, "--out", tmp_path / "run", "--steps", 1, *flags) == 1
    told = capsys.readouterr().err.splitlines()
    assert all(word in told[-1] for word in words), told
    assert not (tmp_path / "run/log.jsonl").exists()


def test_tsp_without_annotations(tmp_path, capsys):
    videos = make_long_videos(tmp_path / "videos")
    flags = tiny_training.UNTRIMMED_FLAGS["tsp"].split()
    assert train("--videos", videos, *flags, "--out", tmp_path / "run", "--steps", 1) == 1
    assert "--videos must have labels for TSP" in capsys.readouterr().err.splitlines()[-1]
