"""A training killed at twenty random moments ends with the very parameters of one that nothing interrupted."""

import multiprocessing
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import small
import torch

from pretrain import checkpoint

STEPS, KILLS = 80, 20
FLAGS = ["--steps", STEPS, "--checkpoint-every", 2, "--val-every", 8, "--bank-gib", 0.0042, "--reuse-max", 12]
FLAGS += ["--boundaries", "dc", "sc", "ss", "--schedule", "cosine"]


def program(flags):
    small.install(setattr)
    sys.exit(small.train(*flags))


def logged(folder: Path) -> int:
    """Lines of the run's log."""
    log = folder / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs forked processes")
@pytest.mark.timeout(600)
def test_killed_at_twenty_random_moments(tmp_path):
    videos = small.make_videos(tmp_path / "videos")
    context = multiprocessing.get_context("forkserver")  # imports once, so that twenty starts are quick
    context.set_forkserver_preload(["small"])
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    job = context.Process(target=program, args=(["--videos", videos, "--out", whole, *FLAGS],))
    job.start()
    job.join()
    assert job.exitcode == 0
    rng = np.random.default_rng(0)
    reached = []
    for moment in np.sort(rng.uniform(0, STEPS, KILLS)):
        job = context.Process(target=program, args=(["--videos", videos, "--out", killed, *FLAGS, "--resume"],))
        job.start()
        while logged(killed) < moment and job.is_alive():
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.05))  # anywhere in a step, in a validation, in the writing of a checkpoint
        job.kill()
        job.join()
        reached.append(checkpoint.newest(killed)[0]["step"] if any(killed.glob("checkpoint*")) else 0)
    assert reached == sorted(reached), "a kill loses nothing that was saved"
    assert len(set(reached)) > KILLS / 4, "the run goes on between the kills"
    job = context.Process(target=program, args=(["--videos", videos, "--out", killed, *FLAGS, "--resume"],))
    job.start()
    job.join()
    assert job.exitcode == 0
    one, two = (checkpoint.read(folder / checkpoint.NAME) for folder in (whole, killed))
    assert one["step"] == two["step"] == STEPS
    for key, value in one["model"].items():
        assert torch.equal(value, two["model"][key]), key
