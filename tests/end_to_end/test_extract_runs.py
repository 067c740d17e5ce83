"""Extraction with bad files, wrong flags, kills in the middle, and two processes."""

import json
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest

from pretrain.commands.extract import main
from pretrain.features.store import Features
from support.processes import Program
from support.tiny_extraction import TINY, film, folder_of, install, make_films, shown


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    install(monkeypatch.setattr)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return make_films(tmp_path_factory.mktemp("films"))


@pytest.fixture
def mixed(films, tmp_path):
    """Two good videos among bad ones: cut off, garbage, empty, text, and one that is shorter than a clip."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.mp4").symlink_to(films[name][0])
    whole = films["long"][0].read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    middle = bytearray(whole)
    at = whole.index(b"mdat") + 4
    middle[at + 2000 : at + 12000] = np.random.default_rng(0).bytes(10000)
    (folder / "damaged.mp4").write_bytes(middle)
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("not a video\n")
    film(folder / "short.mp4", 5)
    return folder


def test_bad_videos_are_named_and_the_run_goes_on(mixed, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["--videos", str(mixed), "--out", str(out), *TINY]) == 0
    printed = capsys.readouterr()
    assert "4 videos extracted, 1 padded, 3 failed, 1 with damaged frames" in printed.out
    about = json.loads((out / "features.json").read_text())
    ((path, frames),) = about["damaged_frames"].items()
    assert Path(path).name == "damaged.mp4"
    assert 0 < frames < about["videos"]["damaged"]["frames"]
    assert f"damaged: {path}: its features show {frames} frames with errors, as FFmpeg gives them" in printed.err
    for name in ("cut", "empty", "text"):
        (path,) = [path for path in about["failed"] if Path(path).stem == name]
        assert f"failed: {path}: {about['failed'][path]}" in printed.err
    assert sorted(p.stem for p in out.glob("*.npy")) == ["a", "b", "damaged", "short"]
    assert about["padded"] == ["short"]
    assert shown(np.load(out / "short.npy")).tolist() == [[0, 2, 4, 4]]  # at 10 of 20 a second, the last one repeated


def test_too_short_videos_can_be_skipped(mixed, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["--videos", str(mixed), "--out", str(out), *TINY, "--too-short", "skip"]) == 0
    assert "1 too short and skipped" in capsys.readouterr().out
    about = json.loads((out / "features.json").read_text())
    assert about["skipped"] == {str(mixed / "short.mp4"): "3 frames at 10 per second, a clip has 4"}
    assert not (out / "short.npy").exists()


def test_nothing_could_be_done(mixed, tmp_path, capsys):
    videos = [str(mixed / f"{name}.mp4") for name in ("text", "cut")]
    assert main(["--videos", *videos, "--out", str(tmp_path / "out"), *TINY]) == 1
    err = capsys.readouterr().err
    assert all(path in err for path in videos)
    assert "Traceback" not in err


def test_the_settings_of_a_run_make_another(films, tmp_path):
    videos, out = [str(path) for path, _, _ in films.values()], tmp_path / "out"
    assert main(["--videos", *videos, "--out", str(out), *TINY, "--stride", "2"]) == 0
    assert main(["--config", str(out / "features.json"), "--out", str(tmp_path / "again")]) == 0
    one, two = Features(out), Features(tmp_path / "again")
    assert list(one) == list(two)
    assert all((one[name] == two[name]).all() for name in one)
    flags = one.settings["flags"]
    assert two.settings["flags"] == {**flags, "out": str(tmp_path / "again")}


def test_wrong_usage(films, tmp_path, capsys):
    video = ["--videos", str(films["a"][0]), "--out", str(tmp_path / "x")]
    for flags in ([], ["--encoder", "tiny"], [*TINY, "--stride", "0"], [*TINY, "--pool", "max", "--rescale", "9"]):
        assert main([*video, *flags]) == 2
    assert main(["--videos", str(tmp_path / "none"), "--out", str(tmp_path / "x"), *TINY]) == 1
    assert main([*video, "--checkpoint", str(films["a"][0])]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-2].startswith("extract: no such file")
    assert lines[-1].startswith(f"extract: {films['a'][0]} is damaged or no checkpoint")


def test_features_of_other_settings_are_not_mixed(films, tmp_path, capsys):
    run = ["--videos", folder_of(films), "--out", str(tmp_path), *TINY]
    assert main(run) == 0
    assert main([*run, "--stride", "2"]) == 1
    assert re.search(r"same stride_frames, .* has others: 4 there, 2 asked for", capsys.readouterr().err)
    (tmp_path / "features.json").unlink()
    assert main(run) == 1


def test_equal_names(films, tmp_path, capsys):
    for folder in ("x", "y"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        (tmp_path / "in" / folder / "v.mp4").symlink_to(films["a"][0])
    run = ["--videos", str(tmp_path / "in"), *TINY]
    assert main([*run, "--out", str(tmp_path / "out")]) == 1
    assert "names must differ" in capsys.readouterr().err
    assert main([*run, "--out", str(tmp_path / "out2"), "--names", "path"]) == 0
    assert sorted(Features(tmp_path / "out2")) == ["x/v", "y/v"]
    assert main([*run, "--out", str(tmp_path / "out.h5"), "--names", "path"]) == 0
    assert sorted(Features(tmp_path / "out.h5")) == ["x/v", "y/v"]
    (tmp_path / "in/x/v.mkv").symlink_to(films["b"][0])
    assert main([*run, "--out", str(tmp_path / "out3"), "--names", "path"]) == 1
    assert main([*run, "--out", str(tmp_path / "out3"), "--names", "file"]) == 0
    assert sorted(Features(tmp_path / "out3")) == ["x/v.mkv", "x/v.mp4", "y/v.mp4"]


def test_an_hdf5_file_grows(films, tmp_path, capsys):
    out = ["--out", str(tmp_path / "all.h5"), *TINY]
    assert main(["--videos", str(films["a"][0]), *out]) == 0
    first = Features(tmp_path / "all.h5")["a"]
    assert main(["--videos", folder_of(films), *out]) == 0
    assert "3 videos extracted, 1 were there" in capsys.readouterr().out
    features = Features(tmp_path / "all.h5")
    assert sorted(features) == sorted(films)
    np.testing.assert_array_equal(features["a"], first)
    assert sorted(features.settings["videos"]) == sorted(films)


def program(*arguments, **environment):
    """The command as a process of its own."""
    return Program("tiny_extraction.py", *arguments, **environment)


def test_a_killed_run_goes_on(films, tmp_path):
    folder, out = tmp_path / "many", tmp_path / "out"
    folder.mkdir()
    source = film(tmp_path / "source.mp4", 30, size=(16, 24))
    names = [f"{i:03d}" for i in range(300)]
    for name in names:
        (folder / f"{name}.mp4").symlink_to(source)
    run = ["--videos", folder, "--out", out, *TINY, "--memory", "1"]
    killed = program(*run)
    deadline = time.monotonic() + 140
    while len(list(out.glob("*.npy"))) < 20 and killed.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    killed.kill()
    killed.communicate()
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("[!.]*.npy")}
    assert 20 <= len(before) < 300, "the run must be killed in its middle"
    assert not json.loads((out / "features.json").read_text())["complete"]
    (out / ".299.npy.1.part").write_bytes(b"half")  # a kill in the middle of writing leaves this
    again = program(*run)
    printed, errors = again.communicate(timeout=140)
    assert again.returncode == 0, errors
    assert f"{300 - len(before)} videos extracted, {len(before)} were there" in printed
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("*.npy") if path.name in before} == before
    assert sorted(path.name for path in out.iterdir()) == sorted([*(f"{n}.npy" for n in names), "features.json"])
    for name in names:
        assert shown(np.load(out / f"{name}.npy")).shape == (3, 4)


def test_two_processes_share_the_videos(films, tmp_path):
    alone, out = tmp_path / "alone", tmp_path / "out.h5"
    assert main(["--videos", folder_of(films), "--out", str(alone), *TINY]) == 0
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(29500 + os.getpid() % 2000)}
    flags = ["--videos", folder_of(films), "--out", out, *TINY]
    pair = [program(*flags, RANK=str(rank), LOCAL_RANK=str(rank), **world) for rank in (0, 1)]
    texts = [process.communicate(timeout=140) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], texts
    assert "4 videos extracted" in texts[0][0]
    features = Features(out)
    assert sorted(features) == sorted(films)
    assert features.settings["last_run"]["processes"] == 2
    for name in films:
        np.testing.assert_allclose(features[name], Features(alone)[name], atol=1e-4)
