"""PAL and TSP through the whole loop, on tiny untrimmed videos: learning, exact resume, two processes, bad files."""

import json
import os
import shutil
import socket
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import small
import torch
from small import lines

import pretrain.extractor
from pretrain import checkpoint, extract, similarity
from pretrain.toy import make_untrimmed

HERE = Path(__file__).parent
FLAGS = {
    "pal": "--task pal --frames 6 --window 13 --batch 3 --queue 64 --dim 16 --reuse-max 6 --bank-gib 0.0065",
    "tsp": "--task tsp --frames 8 --window 8 --bank-size 37 49 --batch 8 --reuse-max 2 --bank-gib 0.0015",
}
TASKS = sorted(FLAGS)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A folder of 16 untrimmed videos of 5 to 6 s with actions of two classes, and three files that are no videos."""
    folder = tmp_path_factory.mktemp("untrimmed")
    style = {"sizes": [(36, 48)], "rates": [Fraction(15)], "codecs": ["mjpeg"]}
    bounds = {"seconds": (5.0, 6.0), "action_seconds": (1.2, 2.0), "gap_seconds": (1.2, 2.0)}
    make_untrimmed(folder, classes=2, videos=16, progress=False, **style, **bounds)
    film = sorted(folder.glob("*.avi"))[0].read_bytes()
    (folder / "cut.avi").write_bytes(film[: len(film) // 2])
    (folder / "text.mp4").write_text("not a video")
    (folder / "empty.mp4").write_bytes(b"")
    return folder


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    small.install(monkeypatch.setattr)
    monkeypatch.setattr(pretrain.extractor, "encoder", small.small)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def flags_of(task, videos):
    annotated = ["--annotations", videos / "annotations.json"] if task == "tsp" else []
    return list(map(str, ["--videos", videos, *FLAGS[task].split(), *annotated]))


def train(task, videos, out, *flags):
    return small.train(*flags_of(task, videos), "--out", out, *flags)


def same(a, b):
    """Are two states of a model equal, the slow network and the queue included?"""
    assert a.keys() == b.keys()
    for key, value in a.items():
        if isinstance(value, dict):
            same(value, b[key])
        elif torch.is_tensor(value):
            assert torch.equal(value, b[key]), key
        else:
            assert value == b[key], key


@pytest.mark.parametrize("task", TASKS)
def test_interrupted_and_resumed_it_is_the_same_run(task, videos, tmp_path):
    flags = ["--checkpoint-every", 2, "--val-every", 100, "--val-batches", 1]
    assert train(task, videos, tmp_path / "a", *flags, "--steps", 6) == 0
    (tmp_path / "b").mkdir()
    shutil.copy(tmp_path / "a" / "checkpoint.2.pt", tmp_path / "b" / checkpoint.NAME)
    assert checkpoint.read(tmp_path / "b" / checkpoint.NAME)["step"] == 2
    assert train(task, videos, tmp_path / "b", *flags, "--steps", 6, "--resume") == 0
    whole, resumed = (checkpoint.read(tmp_path / name / checkpoint.NAME) for name in "ab")
    assert whole["plans"] == resumed["plans"]
    same(whole["model"], resumed["model"])
    assert [r["loss"] for r in lines(tmp_path / "a") if "loss" in r][2:] == [
        r["loss"] for r in lines(tmp_path / "b") if "loss" in r
    ]
    report = json.loads((tmp_path / "a" / "summary.json").read_text())
    assert report["decoded_windows"] > report["slots"], "windows were replaced on the way"
    assert report["echo"] <= {"pal": 6, "tsp": 2}[task]


@pytest.mark.parametrize("task", TASKS)
def test_files_that_are_no_videos_are_named(task, videos, tmp_path):
    assert train(task, videos, tmp_path, "--steps", 1, "--val-batches", 0) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    named = {Path(path).name for path, _ in summary["skipped"]} | {Path(f["path"]).name for f in summary["failures"]}
    assert {"text.mp4", "empty.mp4"} <= named


@pytest.mark.parametrize("task", TASKS)
def test_two_processes_train_one_model(task, videos, tmp_path):
    """Each on videos of its own; in PAL both queues hold the keys of both."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    path = {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)])}
    flags = [*flags_of(task, videos), "--out", str(tmp_path), "--steps", "3", "--val-batches", "1"]
    flags += ["--checkpoint-every", "1", "--holdout", "0.4"]
    ranks = [{**os.environ, **path, **address, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in (0, 1)]
    words = [sys.executable, str(HERE / "small.py"), *flags]
    jobs = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=rank) for rank in ranks]
    texts = [job.communicate(timeout=250)[1] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], texts
    state = checkpoint.read(tmp_path / checkpoint.NAME)
    assert len(set(state["plans"])) == 2
    if task == "pal":
        keys = state["model"]["head._extra_state"]["keys"]
        assert keys["pushed"] == 3 * 3 * 2
        assert (keys["video"] >= 0).sum() == 18


def test_the_features_chain_of_tsp(videos, tmp_path, capsys):
    """GVF of the initial encoder, training with it, features of the trained one, their similarity as a picture."""
    gvf, run, features = tmp_path / "gvf.h5", tmp_path / "run", tmp_path / "features"
    common = ["--videos", str(videos), "--fps", "15", "--threads", "1", "--stride", "4"]
    words = ["--encoder", "small", "--init", "none", "--clip", "8", "--fit", "stretch"]
    assert extract.main([*common, *words, "--pool", "max", "--out", str(gvf)]) == 0
    assert train("tsp", videos, run, "--steps", 2, "--val-batches", 1, "--gvf", gvf) == 0
    model = checkpoint.read(run / checkpoint.NAME)["model"]
    assert model["head.region.weight"].shape == (2, 32)
    scores = json.loads((run / "summary.json").read_text())["validation"]
    assert scores["action"]["samples"] == scores["region"]["confusion"][1][0] + scores["region"]["confusion"][1][1]
    assert extract.main([*common, "--checkpoint", str(run / checkpoint.NAME), "--out", str(features)]) == 0
    rows = np.load(sorted(features.glob("video_*.npy"))[0])
    assert rows.shape[1] == 16
    figure = ["--annotations", str(videos / "annotations.json"), "--out", str(tmp_path / "figure.png")]
    assert similarity.main(["--features", str(features), *figure]) == 0
    assert (tmp_path / "figure.png").stat().st_size > 5000

    import h5py

    with h5py.File(gvf, "a") as file:
        gone = next(name for name in file if name.startswith("video"))
        del file[gone]
    capsys.readouterr()
    assert train("tsp", videos, tmp_path / "other", "--steps", 2, "--val-batches", 0, "--gvf", gvf) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "must have a vector for every video, it lacks" in error
    assert gone in error
