"""Two processes on the CPU: the same flags, disjoint samples, gradients of the joined batch, exact resume."""

import json
import os
import shutil
import socket
import subprocess
import sys
from fractions import Fraction

import pytest
import torch

from pretrain.models import checkpoint
from pretrain.toy.dataset import make_actions
from support.paths import PYTHONPATH, SUPPORT
from support.processes import Program

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PYTHONPATH}


def torchrun(script, *arguments):
    """Run a script of this folder in two processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = [*launcher, str(SUPPORT / script), *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=250, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def pair(script, *arguments, status=0):
    """The same without torchrun, which takes seconds to start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
        address["LOCAL_WORLD_SIZE"] = "2"
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in (0, 1)]
    jobs = [Program(script, *arguments, **address, **rank) for rank in ranks]
    try:
        texts = [job.communicate(timeout=120)[1] for job in jobs]
    finally:
        for job in jobs:  # one that waits for a dead one
            job.kill()
            job.communicate()
    assert [job.returncode for job in jobs] == [status, status], texts
    return texts


def test_gradients_are_those_of_one_process_on_the_joined_batch():
    assert ["agrees" in text for text in pair("programs/ranks.py")] == [True, True]


def test_one_process_a_node_goes_first_however_long_it_takes(tmp_path):
    """A time-out of three seconds for all else, and five seconds of work."""
    pair("programs/patience.py", tmp_path)
    assert (tmp_path / "order").read_text().split() == ["0", "1"]


def test_training_under_torchrun(tmp_path):
    videos = tmp_path / "videos"
    style = {"sizes": [(36, 48)], "rates": [Fraction(15)], "codecs": ["mjpeg"], "seconds": (2.0, 2.2)}
    make_actions(videos, classes=2, clips_per_class=12, progress=False, **style)
    flags = ["--videos", videos, "--batch", 4, "--checkpoint-every", 2, "--val-batches", 1, "--val-every", 100]
    torchrun("tiny_training.py", *flags, "--out", tmp_path / "a", "--steps", 4)
    (tmp_path / "b").mkdir()
    shutil.copy(tmp_path / "a" / "checkpoint.1.pt", tmp_path / "b" / checkpoint.NAME)
    pair("tiny_training.py", *flags, "--out", tmp_path / "b", "--steps", 4, "--resume")

    assert checkpoint.read(tmp_path / "a" / "checkpoint.1.pt")["step"] == 2
    whole, resumed = (checkpoint.read(tmp_path / name / checkpoint.NAME) for name in "ab")
    assert whole["plans"] == resumed["plans"]
    assert len(set(whole["plans"])) == 2  # each process has its own plans …
    for epoch in range(4):  # … of its own videos within a pass
        held = [{c[0] for c in part["supply"]["held"] if c and c[1] == epoch} for part in whole["feed"]]
        assert not held[0] & held[1]
        assert epoch or all(held)
    assert all(torch.equal(whole["model"][key], resumed["model"][key]) for key in whole["model"])
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    assert summary["samples"] == 4 * 4 * 2
    assert summary["validation"]["boundary"]["samples"] == 2 * 4
    rows = [json.loads(line) for line in (tmp_path / "a" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "loss" in row] == [1, 2, 3, 4]


def test_what_does_not_fit_into_memory_is_refused_by_every_process(tmp_path):
    """Only the first one measures; the other may not wait for it, and end in a traceback, when it has gone."""
    videos = tmp_path / "videos"
    style = {"sizes": [(36, 48)], "rates": [Fraction(15)], "codecs": ["mjpeg"], "seconds": (2.0, 2.2)}
    make_actions(videos, classes=2, clips_per_class=4, progress=False, **style)
    much = ["--batch", 3_000_000, "--reuse-max", 3_000_000, "--bank-gib", 0.01, "--val-batches", 0]
    flags = ["--videos", videos, "--out", tmp_path / "run", "--steps", 1, *much]
    for text in pair("tiny_training.py", *flags, status=1):
        assert "--batch 3000000: a step needs at least" in text
        assert "each of 2 processes 3000000 samples" in text
        assert "Traceback" not in text


def test_minutes_are_for_one_process(monkeypatch, tmp_path, capsys):
    import pretrain.commands.train
    from pretrain.common.distributed import Group

    monkeypatch.setattr(pretrain.commands.train, "start", lambda device: Group(1, 2, 0))
    flags = ["--task", "bsp", "--videos", "x", "--out", str(tmp_path), "--minutes", "1", "--device", "cpu"]
    monkeypatch.setattr(Group, "close", lambda self: None)
    assert pretrain.commands.train.main(flags) == 1
    assert "--minutes is for one process" in capsys.readouterr().err


@pytest.mark.parametrize("world", [1])
def test_a_group_of_one(world):
    from pretrain.common.distributed import start

    group = start("cpu")
    assert (group.rank, group.world, group.main, group.gather(3), group.any(True)) == (0, world, True, [3], True)


@pytest.mark.parametrize(("said", "beside"), [("3", 3), (None, 1)])
def test_a_group_knows_how_many_share_its_machine(said, beside, monkeypatch):
    from pretrain.common import distributed

    monkeypatch.setattr(distributed.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed.dist, "new_group", lambda **_: None)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    for name, value in {"WORLD_SIZE": "6", "RANK": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": said}.items():
        if value:
            monkeypatch.setenv(name, value)
    group = distributed.start("cpu")
    assert (group.rank, group.world, group.local, group.beside) == (4, 6, 1, beside)
