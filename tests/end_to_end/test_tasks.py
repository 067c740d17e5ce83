"""PAL and TSP through the whole loop, on tiny untrimmed videos: learning, exact resume, two processes, bad files."""

import json
import shutil
import socket
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

import pretrain.features.extractor
from pretrain.commands import extract, similarity
from pretrain.models import checkpoint
from support import tiny_training
from support.processes import Program
from support.tiny_training import lines

TASKS = sorted(tiny_training.UNTRIMMED_FLAGS)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return tiny_training.make_long_videos(tmp_path_factory.mktemp("untrimmed"))


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    tiny_training.install(monkeypatch.setattr)
    monkeypatch.setattr(pretrain.features.extractor, "encoder", tiny_training.small)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def train(task, videos, out, *flags):
    return tiny_training.train(*tiny_training.untrimmed_flags(task, videos), "--out", out, *flags)


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
    tiny_training.check_equal(whole["model"], resumed["model"])
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


PUBLISHED = ["--windows-per-segment", 5, "--clips-per-segment", 5, "--batch", 5, "--epochs", 2, "--val-every", 0.5]
PUBLISHED += ["--reuse-min", 1, "--reuse-max", 1, "--val-batches", 100]


def check_epochs(found, epochs):
    """Every training segment five times an epoch, each time elsewhere; every held-out one five times a validation.

    Args: found: what `tiny_training.record_segments` wrote down, of one process or of several.
    """
    rows = {train: [each for each in found if each[0] == train] for train in (True, False)}
    shown, starts = (np.concatenate([row[k] for row in rows[True]]).astype(float) for k in (1, 2))
    count = len(shown) // epochs
    assert len(shown) == epochs * count
    segments = int(shown.max()) + 1
    assert segments == count // (2 // epochs * 5) > 20
    for epoch in range(epochs):
        assert Counter(shown[epoch * count : (epoch + 1) * count]) == dict.fromkeys(range(segments), 2 // epochs * 5)
    assert len(set(zip(shown, starts))) == len(shown), "no clip comes twice"
    held = np.concatenate([row[1] for row in rows[False]])
    validations = Counter(held.tolist())
    times = set(validations.values())
    assert len(times) == 1, "in a validation every held-out segment comes as often"
    assert set(validations) == set(range(max(validations) + 1))
    assert times.pop() == 5 * 4, "five clips in each of four validations"


def test_tsp_shows_every_segment_as_often_as_published(videos, tmp_path, monkeypatch):
    found = []
    tiny_training.record_segments(monkeypatch.setattr, found)
    monkeypatch.setattr(tiny_training.pretrain.training.validation.Validation, "check", lambda self: None)
    assert train("tsp", videos, tmp_path, *PUBLISHED) == 0
    check_epochs(found, epochs=2)
    said = (tmp_path / "summary.json").read_text()
    assert json.loads(said)["passes"] == pytest.approx(2, rel=0.3), "and what was decoded ahead"


@pytest.mark.timeout(600)
def test_with_two_processes_too(videos, tmp_path):
    """Of an odd number of segments one process has one more, in turn: over both epochs it comes out even."""
    jobs = start_two("tsp", videos, tmp_path / "run", *PUBLISHED, record=tmp_path / "shown")
    texts = [job.communicate(timeout=250)[1] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], texts
    ranks = [json.loads((tmp_path / f"shown.{rank}.json").read_text()) for rank in range(2)]
    for rank in ranks:
        rank.remove(next(each for each in rank if not each[0]))  # drawn before training, to see whether they suffice
    held = [{number for shuffled, numbers, _ in rank if not shuffled for number in numbers} for rank in ranks]
    assert not held[0] & held[1]
    check_epochs([each for rank in ranks for each in rank], epochs=1)


def start_two(task, videos, out, *flags, record=None):
    """Two processes that train one model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    words = [
        *tiny_training.untrimmed_flags(task, videos),
        "--out",
        out,
        "--val-batches",
        1,
        "--checkpoint-every",
        1,
        *flags,
    ]
    told = ["--record", record] if record else []
    words = [*told, *words, "--holdout", 0.4]
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in (0, 1)]
    return [Program("tiny_training.py", *words, **address, **rank) for rank in ranks]


@pytest.mark.parametrize(("task", "flags"), [("pal", []), ("pal", ["--no-sync-bn"]), ("tsp", [])])
@pytest.mark.timeout(600)
def test_two_processes_train_one_model_also_if_one_is_killed(task, flags, videos, tmp_path):
    """Each on videos of its own; in PAL both queues hold the keys of both."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    flags = [*flags, "--steps", 9]
    jobs = start_two(task, videos, whole, *flags)
    texts = [job.communicate(timeout=250)[1] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], texts
    state = checkpoint.read(whole / checkpoint.NAME)
    assert len(set(state["plans"])) == 2
    if task == "pal":
        keys = state["model"]["head._extra_state"]["keys"]
        assert keys["pushed"] == 9 * 3 * 2
        assert (keys["video"] >= 0).sum() == 54

    jobs = start_two(task, videos, killed, *flags)
    while not (killed / "checkpoint.2.pt").exists():  # three steps are done
        assert jobs[0].poll() is None, jobs[0].communicate()[1]
        time.sleep(0.002)
    jobs[1].kill()
    assert jobs[0].wait(120) != 0, "it does not go on alone, and does not wait for ever"
    for job in jobs:
        job.communicate()
    assert checkpoint.newest(killed)[0]["step"] < 9
    jobs = start_two(task, videos, killed, *flags, "--resume")
    texts = [job.communicate(timeout=250)[1] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], texts
    resumed = checkpoint.read(killed / checkpoint.NAME)
    assert resumed["plans"] == state["plans"]
    tiny_training.check_equal(state["model"], resumed["model"])


def test_the_features_chain_of_tsp(videos, tmp_path, capsys):
    """GVF of the initial encoder, training with it, features of the trained one, their similarity as a picture."""
    gvf, run, features = tmp_path / "gvf.h5", tmp_path / "run", tmp_path / "features"
    common = ["--videos", str(videos), "--fps", "15", "--threads", "1", "--stride", "4"]
    words = ["--encoder", "small", "--init", "none", "--frames", "8", "--fit", "stretch"]
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
