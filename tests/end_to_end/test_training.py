"""Training: it learns, resumes exactly however it ended, stops cleanly, and says what went wrong."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

import pretrain.training.loop
from pretrain.models import checkpoint
from pretrain.tasks.bsp import task as bsp
from support import tiny_training
from support.paths import PYTHONPATH, SUPPORT
from support.tiny_training import lines, train

TIMES = {"seconds", "samples_per_second", "step_ms", "encoder_ms", "feed_ms", "wait_ms", "wait_seconds"}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return tiny_training.make_videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    tiny_training.install(monkeypatch.setattr)
    yield
    torch.set_num_threads(tiny_training.THREADS)


def same(a, b):
    """Are two checkpoints equal but for times?"""
    assert a["step"] == b["step"]
    assert a["plans"] == b["plans"]
    for key in a["model"]:
        assert torch.equal(a["model"][key], b["model"][key]), key
    one, two = (state["optimizer"]["torch"]["state"] for state in (a, b))
    for at in one:
        assert all(torch.equal(one[at][name], two[at][name]) for name in one[at])
    assert (a["best"], a["plateau"]) == (b["best"], b["plateau"])


def without_times(row):
    return {name: value for name, value in row.items() if name not in TIMES}


@pytest.fixture(scope="module")
def whole(videos, tmp_path_factory):
    """The folder of a run of 12 steps that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        tiny_training.install(patch.setattr)
        assert train("--videos", videos, "--out", out, *TWELVE) == 0
    return out


TWELVE = ["--steps", 12, "--checkpoint-every", 3, "--val-every", 2, "--schedule", "cosine", "--warmup", 1]


def test_run_folder(whole):
    config = json.loads((whole / "config.json").read_text())
    assert config["task"] == "bsp"
    assert config["encoder"] == {"name": "small", "frames": 8, "size": 32, "features": 16}
    assert config["names"]["boundary"] == list(bsp.KINDS)
    assert (config["flags"]["epsilon"], config["flags"]["dropout"], config["flags"]["weight_decay"]) == (
        None,
        0.5,
        1e-4,
    )
    assert {"torch", "gpuaug", "python"} <= set(config["versions"])
    rows = lines(whole)
    steps = [row for row in rows if "loss" in row]
    assert [row["step"] for row in steps] == list(range(1, 13))
    named = {"lr", "step_ms", "encoder_ms", "wait_ms", "decoded_windows", "rendered_windows", "echo", "grad_norm"}
    assert named <= set(steps[0])
    assert steps[0]["lr"] < steps[2]["lr"] > steps[-1]["lr"]
    validations = [row["validation"] for row in rows if "validation" in row]
    result = validations[-1]["boundary"]
    assert set(result["classes"]) == set(bsp.KINDS)
    shown = {name: each["samples"] for name, each in result["classes"].items()}
    assert result["samples"] == sum(map(sum, result["confusion"])) == sum(shown.values())
    assert shown["ds"] == shown["ss"] == result["videos"] == 4, "two batches of two videos, each in all kinds"
    assert max(shown.values()) == 4
    assert 0 <= result["low"] <= result["value"] <= result["high"] <= 1
    summary = json.loads((whole / "summary.json").read_text())
    assert (summary["status"], summary["steps"], summary["samples"]) == ("finished", 12, 96)
    assert summary["validation"]["boundary"] == result
    assert summary["training_videos"] + summary["held_out_videos"] == 24
    assert checkpoint.load_encoder(whole / "best.pt").features == 16


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, getattr(signal, "SIGHUP", 15)])
def test_a_signal_stops_cleanly_and_resume_ends_as_if_nothing_had_happened(
    videos, whole, tmp_path, monkeypatch, capsys, number
):
    original = pretrain.training.loop.Loop._train

    def interrupted(self):
        original(self)
        if self.step == 5:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(pretrain.training.loop.Loop, "_train", interrupted)
    assert train("--videos", videos, "--out", tmp_path, *TWELVE) == 1
    assert "stopped after step 5" in capsys.readouterr().err
    assert json.loads((tmp_path / "summary.json").read_text())["status"] == "stopped"
    assert checkpoint.read(tmp_path / checkpoint.NAME)["step"] == 5
    monkeypatch.setattr(pretrain.training.loop.Loop, "_train", original)
    assert train("--videos", videos, "--out", tmp_path, *TWELVE, "--resume") == 0
    assert list(map(without_times, lines(tmp_path))) == list(map(without_times, lines(whole)))
    same(checkpoint.read(tmp_path / checkpoint.NAME), checkpoint.read(whole / checkpoint.NAME))


def test_killed_and_resumed_with_a_damaged_checkpoint(videos, whole, tmp_path, capsys):
    """kill -9 in the middle, then the newest checkpoint is destroyed too: still the same run in the end."""
    command = [sys.executable, str(SUPPORT / "tiny_training.py"), "--videos", str(videos), "--out", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    with subprocess.Popen([*command, *map(str, TWELVE)], env=environment, stderr=subprocess.PIPE) as job:
        deadline = time.monotonic() + 120
        while not (tmp_path / "checkpoint.1.pt").exists():
            assert job.poll() is None, job.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        job.kill()
    newest = tmp_path / checkpoint.NAME
    if newest.exists():
        newest.write_bytes(newest.read_bytes()[:-1000])
    assert train("--videos", videos, "--out", tmp_path, *TWELVE, "--resume") == 0
    assert "resumed after step" in capsys.readouterr().err
    assert list(map(without_times, lines(tmp_path))) == list(map(without_times, lines(whole)))
    same(checkpoint.read(newest), checkpoint.read(whole / checkpoint.NAME))


def test_a_small_bank_that_is_replaced_resumes_exactly_too(videos, tmp_path):
    """Windows come and go here, so the feed's own position matters."""
    flags = [
        "--bank-gib",
        0.0057,
        "--reuse-min",
        1,
        "--reuse-max",
        6,
        "--val-batches",
        0,
        "--boundaries",
        "ds",
        "ss",
        "--lr",
        0.01,
    ]
    flags += ["--checkpoint-every", 4]
    for name, steps in (("a", [8]), ("b", [4, 8])):
        for i, count in enumerate(steps):
            resume = ["--resume"] if i else []
            assert train("--videos", videos, "--out", tmp_path / name, *flags, "--steps", count, *resume) == 0
    report = json.loads((tmp_path / "a" / "summary.json").read_text())
    assert not report["resident"]
    assert report["decoded_windows"] > report["slots"]
    assert lines(tmp_path / "a")[-1]["plans"] == lines(tmp_path / "b")[-1]["plans"]
    same(*(checkpoint.read(tmp_path / name / checkpoint.NAME) for name in "ab"))


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_batch(videos, tmp_path, monkeypatch, capsys):
    original = bsp.Head.loss

    def broken(self, encoder, clips, target):
        self.count = getattr(self, "count", 0) + 1
        loss, scores = original(self, encoder, clips, target)
        return (loss * float("nan") if self.count == 3 else loss), scores

    monkeypatch.setattr(bsp.Head, "loss", broken)
    assert train("--videos", videos, "--out", tmp_path, "--steps", 9, "--val-batches", 0, "--checkpoint-every", 1) == 1
    assert "training broke down: loss nan and gradient norm nan in step 2; the batch is in" in capsys.readouterr().err
    saved = torch.load(tmp_path / "nonfinite-rank0.pt", weights_only=True)
    assert saved["step"] == 2
    assert saved["clips"].shape == (8, 3, 8, 32, 32)
    assert saved["plan"]["clip"].shape[:2] == (8, 8)
    state = checkpoint.read(tmp_path / checkpoint.NAME)
    assert state["step"] == 2
    assert all(value.isfinite().all() for value in state["model"].values() if value.is_floating_point())
    assert json.loads((tmp_path / "summary.json").read_text())["status"] == "failed"


def test_a_folder_with_a_run_is_left_alone(videos, whole, capsys):
    before = (whole / "log.jsonl").read_bytes()
    assert train("--videos", videos, "--out", whole, "--steps", 2) == 1
    assert "holds a run already; give --resume" in capsys.readouterr().err
    assert train("--videos", videos, "--out", whole, *TWELVE, "--resume", "--batch", 4) == 1
    assert "--batch must be as in the run being resumed, 8, got 4" in capsys.readouterr().err
    assert train("--videos", videos, "--out", whole, *TWELVE, "--resume") == 0  # finished long ago: nothing to do
    assert (whole / "log.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--videos", "/nowhere"], "/nowhere"),
        (["--holdout", 0.04], "the held-out videos do not suffice"),
        (["--fps", 8, "--boundaries", "ds", "ss"], "shorter than 26 frames at 8 per second"),
        (["--bank-gib", 1e-4], "the bank of decoded windows is too small: slots must be ≥ 1"),
        (["--init", "/nowhere.pt"], "--init must be a file or folder that exists, there is no /nowhere.pt"),
        (["--encoder", "resnet50"], "got 'resnet50'; did you mean tsm_resnet50 or i3d_resnet50?"),
        (
            ["--teacher-action", "/nowhere"],
            "--teacher-action must be a file or folder that exists",
        ),
        (["--device", "tpu9"], "--device must be auto, cpu, cuda or cuda:1"),
    ],
)
def test_bad_input_is_one_line(videos, tmp_path, capsys, flags, message):
    if "--init" in flags:
        flags = [*flags, "--encoder", "r3d_18"]
    assert train("--videos", videos, "--out", tmp_path / "run", "--steps", 1, *flags) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("train: ")
    assert message in error
    assert not (tmp_path / "run" / checkpoint.NAME).exists()


def test_videos_that_are_too_short_are_named(videos, tmp_path, capsys):
    """2.0 to 2.5 s at 12 per second: some have the 26 frames that are needed."""
    flags = ["--fps", 12, "--boundaries", "ds", "ss", "--steps", 1]
    assert train("--videos", videos, "--out", tmp_path, *flags) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    reasons = {reason for _, reason in summary["skipped"]}
    assert reasons == {"shorter than 26 frames at 12 per second"}
    assert 0 < len(summary["skipped"]) < 24
    lost = len(summary["skipped"])
    lines = [line for line in capsys.readouterr().err.splitlines() if "shorter than 26 frames" in line]
    told = f"{lost} of 24 left out: {lost} shorter than 26 frames at 12 per second; --fps 12 asks for 2.17 s, a higher"
    assert lines == [f"{told} one for less; {tmp_path / 'skipped.csv'} names them"]
    with open(tmp_path / "skipped.csv", encoding="utf-8", newline="") as file:
        assert [tuple(row) for row in csv.reader(file)] == [("path", "reason"), *map(tuple, summary["skipped"])]


def test_a_run_of_the_last_version_is_resumed_and_its_config_read(videos, tmp_path, capsys):
    """Its config.json and checkpoints have the old names of flags, also of those that must not change."""
    run = tmp_path / "run"
    assert train("--videos", videos, "--out", run, "--steps", 1) == 0
    state = torch.load(run / checkpoint.NAME, weights_only=True)
    new = {"window_frames": "window", "windows_per_segment": "windows", "window_placement": "place"}
    new |= {"grad_clip": "clip"}
    flags = {new.get(name, name): value for name, value in state["config"]["flags"].items()} | {"resume": False}
    state["config"]["flags"] = flags
    checkpoint.save(run, state)
    (run / "config.json").write_text(json.dumps(state["config"]))
    assert train("--videos", videos, "--out", run, "--steps", 2, "--resume", "--window-frames", 30) == 1
    assert "--window-frames must be as in the run being resumed, 32, got 30" in capsys.readouterr().err
    words = ["--config", str(run / "config.json"), "--resume", "--steps", "3"]
    assert pretrain.commands.train.main(words) == 0
    assert json.loads((run / "summary.json").read_text())["steps"] == 3
    config = json.loads((run / "config.json").read_text())["flags"]
    assert config == {key: value for key, value in config.items() if key not in new.values()}
    assert config["window_frames"] == 32
    again = ["--config", str(run / "config.json"), "--out", str(tmp_path / "again")]
    assert pretrain.commands.train.main(again) == 0
    lines = [(folder / "log.jsonl").read_text().splitlines()[-1] for folder in (run, tmp_path / "again")]
    losses = [json.loads(line)["validation"]["loss"] for line in lines]
    assert losses[0] == losses[1]  # the same run, all at once


def test_a_run_goes_on_with_data_that_were_moved(videos, tmp_path, capsys):
    flags = ["--reuse-min", 1, "--reuse-max", 1, "--val-batches", 0, "--checkpoint-every", 2]
    assert train("--videos", videos, "--out", tmp_path / "whole", *flags, "--steps", 4) == 0
    shutil.copytree(videos, tmp_path / "here")
    assert train("--videos", tmp_path / "here", "--out", tmp_path / "run", *flags, "--steps", 2) == 0
    (tmp_path / "here").rename(tmp_path / "there")
    assert train("--videos", tmp_path / "there", "--out", tmp_path / "run", *flags, "--steps", 4, "--resume") == 0
    assert "epochs, 4 steps: 2 passes over 24 segments" in capsys.readouterr().err
    same(*(checkpoint.read(tmp_path / name / checkpoint.NAME) for name in ("whole", "run")))


def test_other_videos_do_not_resume_a_run(videos, tmp_path, capsys):
    some = tmp_path / "some"
    shutil.copytree(videos, some)
    assert train("--videos", some, "--out", tmp_path / "run", "--steps", 1) == 0
    shutil.rmtree(some / sorted(os.listdir(some))[0])
    assert train("--videos", some, "--out", tmp_path / "run", "--steps", 2, "--resume") == 1
    assert "their training segments differ" in capsys.readouterr().err
