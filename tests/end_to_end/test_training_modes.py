"""What training can be asked for: it learns, in all of BSP's modes, at other precisions and rates."""

import json

import pytest
import torch

from pretrain.models import checkpoint
from pretrain.tasks.bsp.distillation import Teachers
from support import tiny_training
from support.tiny_training import lines, train


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return tiny_training.make_videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    tiny_training.install(monkeypatch.setattr)
    yield
    torch.set_num_threads(tiny_training.THREADS)


def test_it_learns(videos, tmp_path):
    flags = ["--boundaries", "sc", "ss", "--dropout", 0, "--epochs", 40, "--schedule", "cosine", "--log-every", 10]
    assert train("--videos", videos, "--out", tmp_path, *flags, "--lr", 0.01, "--val-batches", 8) == 0
    result = json.loads((tmp_path / "summary.json").read_text())["validation"]["boundary"]
    assert result["low"] > 0.5


def test_regression_finds_the_cut(videos, tmp_path):
    """From decoded files to the heat map, every step must agree on which frame is the first new one."""
    flags = ["--mode", "regression", "--boundaries", "sc", "--encoder", "changes", "--dropout", 0, "--epochs", 60]
    flags += ["--lr", 0.02, "--schedule", "cosine", "--log-every", 10, "--holdout", 0.4, "--crop", "center"]
    assert train("--videos", videos, "--out", tmp_path, *flags) == 0
    result = json.loads((tmp_path / "summary.json").read_text())["validation"]
    assert result["gain"]["low"] > 0  # better than the best constant map, by more than its 95 % interval
    assert result["frame"]["low"] > result["frame"]["constant"]


def test_accumulated_batches_are_one_step(videos, tmp_path):
    flags = ["--val-batches", 0, "--steps", 3, "--accumulate", 2]
    assert train("--videos", videos, "--out", tmp_path, *flags, "--batch", 4) == 0
    rows = lines(tmp_path)
    assert [row["samples"] for row in rows] == [8, 16, 24]
    assert checkpoint.read(tmp_path / checkpoint.NAME)["step"] == 3


@pytest.mark.parametrize("mode", ["regression", "action", "two_head"])
def test_other_modes(videos, tmp_path, mode):
    flags = ["--mode", mode, "--steps", 2, "--val-batches", 1]
    assert train("--videos", videos, "--out", tmp_path, *flags) == 0
    result = json.loads((tmp_path / "summary.json").read_text())["validation"]
    scores = {"regression": {"heatmap", "gain", "frame"}, "action": {"action"}, "two_head": {"action", "boundary"}}
    assert set(result) == {"step", "loss"} | scores[mode]


def test_distillation_from_two_runs(videos, tmp_path):
    for mode in ("action", "boundary"):
        assert (
            train("--videos", videos, "--out", tmp_path / mode, "--mode", mode, "--steps", 1, "--val-batches", 0) == 0
        )
    teachers = [
        "--teacher-action",
        tmp_path / "action" / "best.pt",
        "--teacher-boundary",
        tmp_path / "boundary" / "best.pt",
    ]
    flags = ["--videos", videos, "--out", tmp_path / "student", "--mode", "distill", "--val-batches", 1]
    assert train(*flags, "--steps", 2, *teachers) == 0
    assert "match" in lines(tmp_path / "student")[0]
    state = checkpoint.read(tmp_path / "student" / checkpoint.NAME)
    assert not any("teacher" in key for key in state["model"])
    assert any(key.startswith("head.match.project") for key in state["model"])

    torch.manual_seed(0)
    match, clips = Teachers(16, *map(str, teachers[1::2])), torch.randn(8, 3, 8, 32, 32)
    own = match._teachers[0](clips)  # a student that has one teacher's features already learns to copy that one
    optimizer = torch.optim.Adam(match.parameters(), 0.05)
    losses = []
    for _ in range(60):
        loss = match(own, clips).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    assert all(parameter.grad is None for teacher in match._teachers for parameter in teacher.parameters())


def test_precision_and_frozen_stem(videos, tmp_path):
    flags = [
        "--precision",
        "bf16",
        "--lr-stem",
        0,
        "--lr-head",
        0.1,
        "--bias-factor",
        1,
        "--steps",
        2,
        "--val-batches",
        0,
    ]
    assert train("--videos", videos, "--out", tmp_path, *flags) == 0
    torch.manual_seed(0)
    net, state = tiny_training.small("small"), checkpoint.read(tmp_path / checkpoint.NAME)
    assert torch.equal(state["model"]["encoder.net.stem.weight"], net.net.stem.weight)
    assert not torch.equal(state["model"]["encoder.net.last.weight"], net.net.last.weight)
    rates = [group["lr"] for group in state["optimizer"]["torch"]["param_groups"]]
    assert sorted(set(rates)) == [0.003, 0.1]
