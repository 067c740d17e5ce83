"""Toy videos: are they real files, the same for a seed, safe against a kill, and do only motions tell their labels?"""

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import GroupKFold, cross_val_predict

from pretrain.commands import toy as toy_command
from pretrain.toy import dataset as toy
from pretrain.toy import video as film
from pretrain.toy.sprites import CLASSES

SMALL = {
    "seconds": (1.0, 1.4),
    "sizes": [(48, 64)],
    "rates": [12],
    "classes": 3,
    "clips_per_class": 3,
    "progress": False,
}
UNTRIMMED = {
    **{"seconds": (8.0, 10.0), "action_seconds": (1.0, 2.0), "gap_seconds": (0.5, 1.5), "videos": 8, "progress": False},
    **{"sizes": [(48, 64)], "rates": [12, Fraction(30000, 1001)], "classes": 4},
}


def decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def digest(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_actions_are_real_files_in_class_folders(tmp_path):
    paths = toy.make_actions(tmp_path, clips_per_class=6, classes=2, seconds=(1.0, 1.3), progress=False)
    assert len(paths) == 12
    seen = []
    for path in paths:
        assert path.parent.name in CLASSES[:2]
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            frames = list(container.decode(stream))
            size = stream.height, stream.width
            seen.append((stream.codec_context.name, size, stream.average_rate))
            assert size in toy.SIZES
            assert 1.0 <= len(frames) / stream.average_rate <= 1.35
            times = np.array([float(frame.pts * frame.time_base) for frame in frames])
            np.testing.assert_allclose(
                np.diff(times), 1 / float(stream.average_rate), atol=1.1e-3
            )  # WebM: milliseconds
    codecs, sizes, rates = (set(column) for column in zip(*seen))
    assert len(codecs) == 3
    assert len(sizes) > 1
    assert len(rates) > 1
    assert seen[:6] == seen[6:]  # the same in every class


@pytest.mark.slow
def test_same_seed_same_bytes_and_other_seed_other_frames(tmp_path):
    for name, seed, workers in (("a", 5, 1), ("b", 5, 3), ("c", 6, 2)):
        toy.make_actions(tmp_path / name, seed=seed, workers=workers, **SMALL)
        toy.make_untrimmed(tmp_path / name / "u", seed=seed, workers=workers, **{**UNTRIMMED, "videos": 3})
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    same = [key for key, value in digest(tmp_path / "a").items() if digest(tmp_path / "c").get(key) == value]
    assert same == []


def test_two_clips_of_a_class_differ_and_every_frame_moves(tmp_path):
    paths = toy.make_actions(tmp_path, **{**SMALL, "classes": 8, "clips_per_class": 2})
    clips = [decode(path).astype(float) for path in paths]
    for first, second in zip(clips[::2], clips[1::2]):
        assert np.abs(first[0] - second[0]).mean() > 8
    for clip in clips:
        assert np.abs(np.diff(clip, axis=0)).mean((1, 2, 3)).min() > 0.2


@pytest.mark.slow
def test_one_frame_tells_nothing_but_several_do(tmp_path):
    """A forest on pixels of single frames stays at chance; the same forest on how frames change does not."""
    paths = toy.make_actions(
        tmp_path, seconds=(1.5, 1.5), sizes=[(48, 64)], rates=[15], codecs=["mjpeg"], clips_per_class=16, progress=False
    )
    label = np.array([CLASSES.index(path.parent.name) for path in paths])
    single, group, motion = [], [], []
    for k, path in enumerate(paths):
        gray = decode(path).astype(float).mean(-1)
        color = decode(path)[:, ::6, ::6].astype(float)
        for t in (0, 7, 15):
            single.append(color[t].ravel())
            group.append(k)
        gy, gx = np.gradient((gray[1:] + gray[:-1]) / 2, axis=(1, 2))
        gt = np.diff(gray, axis=0)
        dy, dx = -(gt * gy).sum((1, 2)) / (gy**2).sum((1, 2)), -(gt * gx).sum((1, 2)) / (gx**2).sum((1, 2))
        grows = np.diff((np.abs(gray - np.median(gray)) > 40).sum((1, 2)))
        motion.append([f(v) for v in (dy, dx, grows) for f in (np.mean, np.std, lambda v: np.abs(np.diff(v)).mean())])
        motion[-1] += [np.abs(dy).mean(), np.abs(dx).mean(), abs(dx.mean()), np.corrcoef(dy[:-4], dx[4:])[0, 1]]

    def accuracy(features, labels, groups):
        forest = ExtraTreesClassifier(100, random_state=0, n_jobs=1)
        predicted = cross_val_predict(forest, features, labels, groups=groups, cv=GroupKFold(8))
        return (predicted == labels).mean()

    chance, clips = 1 / 8, len(paths)
    bound = 1.96 * np.sqrt(chance * (1 - chance) / clips)  # frames of one clip are not independent: n = clips
    still = accuracy(np.array(single), label[group], np.array(group))
    moving = accuracy(np.array(motion), label, np.arange(clips))
    print(f"one frame {still:.3f} (chance {chance} ± {bound:.3f}), several {moving:.3f}")
    assert still < chance + 1.5 * bound
    assert moving > 3.5 * chance

    # the test can fail: with typical looks the same classifier reads the label from one frame
    paths = toy.make_actions(
        tmp_path / "shortcut", seconds=(0.5, 0.5), sizes=[(48, 64)], rates=[15], codecs=["mjpeg"], clips_per_class=16,
        style=toy.Style(shortcut=1.0), progress=False,
    )  # fmt: skip
    looks = np.array([decode(path)[0, ::6, ::6].ravel() for path in paths], float)
    assert accuracy(looks, label, np.arange(clips)) > 0.9


def test_untrimmed_annotations_fit_the_files(tmp_path):
    path = toy.make_untrimmed(tmp_path, repeat=0.5, **UNTRIMMED)
    database = json.loads(path.read_text())["database"]
    assert len(database) == 8
    assert [record["subset"] for record in database.values()].count("validation") == 2
    labels, again = set(), 0
    for video, record in database.items():
        file = next(tmp_path.glob(f"{video}.*"))
        with av.open(str(file)) as container:
            rate = container.streams.video[0].average_rate
            count = sum(1 for _ in container.decode(video=0))
        assert record["duration"] == pytest.approx(float(count / rate))
        assert 8 <= record["duration"] <= 10.1
        ends = [0.0, *(edge for a in record["annotations"] for edge in a["segment"]), record["duration"]]
        assert ends == sorted(ends)
        assert np.allclose(np.array(ends) * float(rate), np.round(np.array(ends) * float(rate)), atol=1e-6)
        for annotation in record["annotations"]:
            assert 0.9 <= annotation["segment"][1] - annotation["segment"][0] <= 2.1
        assert all(gap >= 0.4 for gap in np.diff(ends)[:-1:2])
        names = [a["label"] for a in record["annotations"]]
        labels |= set(names)
        again += len(names) - len(set(names))
    assert labels == set(CLASSES[:4])
    assert again > 0
    with (tmp_path / "annotations.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    truth = [(v, *a["segment"], a["label"]) for v, record in database.items() for a in record["annotations"]]
    assert [
        (Path(r["path"]).stem, float(r["start_seconds"]), float(r["end_seconds"]), r["label"]) for r in rows
    ] == truth
    assert all((tmp_path / row["path"]).is_file() for row in rows)


@pytest.mark.slow
def test_shortcut_and_repeat_of_untrimmed_videos(tmp_path):
    easy = toy.make_untrimmed(tmp_path, repeat=1.0, **{**UNTRIMMED, "videos": 4})
    for record in json.loads(easy.read_text())["database"].values():
        assert len({a["label"] for a in record["annotations"]}) == 1
    other = toy.make_untrimmed(
        tmp_path / "b", repeat=0.0, boundary_cuts=1.0, false_cuts=1.0, **{**UNTRIMMED, "videos": 4}
    )
    for record in json.loads(other.read_text())["database"].values():
        first, *rest = [a["label"] for a in record["annotations"]]
        assert first not in rest
        assert rest


def test_finished_files_are_kept_and_failed_ones_leave_nothing(tmp_path, monkeypatch):
    whole = tmp_path / "whole"
    toy.make_actions(whole, seed=2, **SMALL)
    real, calls = film.shoot, []

    def breaks(shot):
        calls.append(shot.path)
        for chunk in real(shot):
            yield chunk
            if len(calls) == 5:
                raise OSError("disk full")

    monkeypatch.setattr(film, "shoot", breaks)
    with pytest.raises(OSError, match="disk full"):
        toy.make_actions(tmp_path / "torn", seed=2, workers=1, **SMALL)
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "torn").rglob("*.*") if not path.name.startswith(".")}
    assert 4 <= len([path for path in done if path.suffix != ".json"]) < 9
    monkeypatch.setattr(film, "shoot", real)
    toy.make_actions(tmp_path / "torn", seed=2, **SMALL)
    assert digest(tmp_path / "torn") == digest(whole)
    for path, mtime in done.items():
        if path.suffix != ".json":
            assert path.stat().st_mtime_ns == mtime


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_kill_and_resume(tmp_path):
    code = (
        "import sys; from pretrain.toy import dataset as toy;"
        "toy.make_actions(sys.argv[1], classes=3, clips_per_class=6, seconds=(2, 2), sizes=[(96, 128)], rates=[24],"
        "progress=False)"
    )
    root = Path(__file__).parents[3]
    run = [sys.executable, "-c", code]
    process = subprocess.Popen([*run, str(tmp_path / "a")], cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
    deadline = time.monotonic() + 60
    while not list((tmp_path / "a").rglob("up_000[1-9].*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").glob("*/[a-z]*.*")}
    assert 0 < len(finished) < 18
    for path in finished:
        assert len(decode(path)) == 48

    def make(name):
        subprocess.run([*run, str(tmp_path / name)], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=True)

    make("b")
    places = (tmp_path / "a" / path.relative_to(tmp_path / "b") for path in (tmp_path / "b").glob("*/[a-z]*.*"))
    there = next(path for path in places if not path.exists())
    there.parent.mkdir(exist_ok=True)
    there.with_name(f".{there.name}.{process.pid}.part").write_bytes(b"half")  # as if it had been killed there, too
    make("a")
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert all(path.stat().st_mtime_ns == mtime for path, mtime in finished.items())


def test_another_set_does_not_mix_into_a_folder(tmp_path):
    toy.make_actions(tmp_path, **SMALL)
    with pytest.raises(ValueError, match="holds toy videos of other arguments"):
        toy.make_actions(tmp_path, **{**SMALL, "clips_per_class": 2})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": 99}, r"classes must be in 1…15, got classes=99"),
        ({"classes": ["up", "fly"]}, r"classes must be of up, .*, got 'fly'"),
        ({"clips_per_class": 0}, r"must be ≥ 1, got 0"),
        ({"sizes": [(47, 64)]}, r"sizes must be \(H, W\) in even numbers ≥ 16, got \(47, 64\)"),
        ({"rates": [0]}, r"rates must be above 0"),
        ({"codecs": ["h265"]}, r"codecs must be of h264, vp9, mjpeg, got 'h265'"),
        ({"seconds": (2, 1)}, r"seconds must be two ascending numbers above 0, got seconds=\(2, 1\)"),
    ],
)
def test_wrong_arguments(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        toy.make_actions(tmp_path, **{**SMALL, **change})
    assert not list(tmp_path.iterdir())


def test_wrong_styles_and_lengths(tmp_path):
    with pytest.raises(ValueError, match=r"shortcut must be in \[0, 1\], got shortcut=2"):
        toy.Style(shortcut=2)
    with pytest.raises(ValueError, match=r"actors ≥ 1, got distractors=0, actors=0"):
        toy.Style(actors=0)
    with pytest.raises(ValueError, match=r"seconds must leave room for the longest gap and action"):
        toy.make_untrimmed(tmp_path, seconds=(3, 5), action_seconds=(2, 3), gap_seconds=(1, 2))


def test_command(tmp_path, capsys):
    assert toy_command.main(["--out", str(tmp_path), "--classes", "1", "--clips", "1", "--videos", "0"]) == 0
    assert "1 clips of 1 classes" in capsys.readouterr().out
    assert toy_command.main(["--out", str(tmp_path), "--classes", "0", "--videos", "0"]) == 1
    assert capsys.readouterr().err == "toy: classes must be in 1…15, got classes=0\n"
    assert toy_command.main(["--classes", "3"]) == 2
