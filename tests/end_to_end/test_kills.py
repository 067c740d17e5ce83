"""A training killed at random moments ends with the very parameters of one that nothing interrupted."""

import multiprocessing
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pretrain.models import checkpoint
from support import tiny_training

FLAGS = ["--checkpoint-every", 2, "--schedule", "cosine"]
BSP_FLAGS = ["--val-every", 8, "--bank-gib", 0.0042, "--reuse-max", 12, "--boundaries", "dc", "sc", "ss"]


def program(flags):
    tiny_training.install(setattr)
    sys.exit(tiny_training.train(*flags))


def logged(folder: Path) -> int:
    """Lines of the run's log."""
    log = folder / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


TASKS = {"bsp": (20, 80), "pal": (5, 20), "tsp": (5, 20)}  # kills, steps


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The killed runs of all tasks, side by side: they mostly wait."""
    context = multiprocessing.get_context("forkserver")  # imports once, so that thirty starts are quick
    context.set_forkserver_preload(["small"])
    with ThreadPoolExecutor(len(TASKS)) as pool:
        yield {
            task: pool.submit(killed_run, context, task, *numbers, tmp_path_factory.mktemp(task))
            for task, numbers in TASKS.items()
        }


def killed_run(context, task, kills, steps, folder):
    """Checkpoints of a whole run and of a killed one, and the steps saved at each kill."""
    if task == "bsp":
        flags = ["--videos", tiny_training.make_videos(folder / "videos"), *BSP_FLAGS]
    else:
        flags = [
            *tiny_training.untrimmed_flags(task, tiny_training.make_long_videos(folder / "videos")),
            "--val-batches",
            1,
        ]
    flags += [*FLAGS, "--steps", steps]
    whole, killed = folder / "whole", folder / "killed"
    undisturbed = context.Process(target=program, args=([*flags, "--out", whole],))
    undisturbed.start()
    rng = np.random.default_rng(0)
    reached = []
    for moment in np.sort(rng.uniform(0, steps, kills)):
        job = context.Process(target=program, args=([*flags, "--out", killed, "--resume"],))
        job.start()
        while logged(killed) < moment and job.is_alive():
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.05))  # anywhere in a step, in a validation, in the writing of a checkpoint
        job.kill()
        job.join()
        reached.append(checkpoint.newest(killed)[0]["step"] if any(killed.glob("checkpoint*")) else 0)
    job = context.Process(target=program, args=([*flags, "--out", killed, "--resume"],))
    job.start()
    for process in (job, undisturbed):
        process.join()
        assert process.exitcode == 0
    return *(checkpoint.read(run / checkpoint.NAME) for run in (whole, killed)), reached


@pytest.mark.skipif(sys.platform == "win32", reason="needs forked processes")
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.timeout(600)
def test_killed_at_random_moments(task, runs):
    one, two, reached = runs[task].result()
    kills, steps = TASKS[task]
    assert reached == sorted(reached), "a kill loses nothing that was saved"
    assert len(set(reached)) > kills / 4, "the run goes on between the kills"
    assert one["step"] == two["step"] == steps
    tiny_training.check_equal(one["model"], two["model"])
