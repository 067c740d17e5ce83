"""What a run folder has is kept: by kills at random moments, a second run, another version, an edited checkpoint."""

import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import pretrain.training.loop
from pretrain.models import checkpoint
from support import tiny_training
from support.processes import quick_processes

FLAGS = ["--checkpoint-every", 2, "--schedule", "cosine"]
BSP_FLAGS = ["--val-every", 8, "--bank-gib", 0.0057, "--reuse-max", 12, "--boundaries", "dc", "sc", "ss"]


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
    context = quick_processes()
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


SIX = [*FLAGS, "--steps", 6, "--val-every", 1, "--val-batches", 1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The videos, and the folder of a run of 6 steps."""
    folder = tmp_path_factory.mktemp("whole")
    videos = tiny_training.make_videos(folder / "videos")
    with pytest.MonkeyPatch.context() as patch:
        tiny_training.install(patch.setattr)
        assert tiny_training.train("--videos", videos, "--out", folder / "run", *SIX) == 0
    return videos, folder / "run"


@pytest.fixture
def train(whole, monkeypatch, capsys):
    """A function that trains in a folder: the exit status and the lines on standard error."""
    tiny_training.install(monkeypatch.setattr)

    def call(out, *flags):
        status = tiny_training.train("--videos", whole[0], "--out", out, *flags)
        return status, capsys.readouterr().err.strip().splitlines()

    yield call
    torch.set_num_threads(tiny_training.THREADS)


@pytest.fixture
def run(whole, tmp_path):
    """A copy of the run's folder, with older checkpoints."""
    return Path(shutil.copytree(whole[1], tmp_path / "run"))


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kept", ["checkpoint.pt", "checkpoint.1.pt", "best.pt"])
def test_an_earlier_run_is_not_replaced(train, run, kept):
    """Whatever checkpoint is left of it: the newest is missing after a kill between two renames."""
    for path in run.glob("*.pt"):
        if path.name != kept:
            path.unlink()
    before = content(run)
    status, lines = train(run, *SIX)
    assert status == 1
    assert lines == [
        f"train: --out {run} holds a run already; give --resume to go on with it, another folder, or --overwrite to "
        f"delete {kept}"
    ]
    if kept == "best.pt":
        status, lines = train(run, *SIX, "--resume")
        assert (status, len(lines)) == (1, 1)
        assert f"has no checkpoint to resume, only best.pt (--init {run / kept} and another --out" in lines[0]
    assert content(run) == before


def test_an_earlier_run_is_overwritten_when_that_is_said(train, run):
    first = len(tiny_training.lines(run))
    assert train(run, *SIX, "--overwrite", "--videos", "/nowhere")[0] == 1
    assert len(list(run.glob("checkpoint*.pt"))) == 3, "nothing is deleted for a run that does not begin"
    assert train(run, *FLAGS, "--steps", 2, "--val-batches", 0, "--overwrite")[0] == 0
    assert sorted(path.name for path in run.glob("*.pt")) == ["best.pt", "checkpoint.pt"]
    assert [checkpoint.read(path)["step"] for path in run.glob("*.pt")] == [2, 2]
    assert len(tiny_training.lines(run)) < first
    status, lines = train(run, *SIX, "--overwrite", "--resume")
    assert status == 2
    assert "--resume and --overwrite cannot both be given" in lines[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="needs fcntl")
@pytest.mark.parametrize("how", ["--resume", "--overwrite"])
def test_a_second_run_in_the_folder_ends_and_the_first_one_notices_nothing(train, whole, tmp_path, monkeypatch, how):
    original, second = pretrain.training.loop.Loop._train, []

    def disturbed(self):
        original(self)
        if self.step == 3:
            state = torch.get_rng_state()
            second.append(train(tmp_path, *SIX, how))
            assert torch.equal(torch.get_rng_state(), state)

    monkeypatch.setattr(pretrain.training.loop.Loop, "_train", disturbed)
    assert train(tmp_path, *SIX)[0] == 0
    ((status, lines),) = second
    assert status == 1
    assert lines[-1] == f"train: --out {tmp_path} is in use by another run: wait for its end, or give another"
    one, two = (checkpoint.read(folder / checkpoint.NAME) for folder in (whole[1], tmp_path))
    assert (one["step"], one["plans"], one["best"]) == (two["step"], two["plans"], two["best"])
    tiny_training.check_equal(one["model"], two["model"])
    assert [row["step"] for row in tiny_training.lines(tmp_path)] == [
        row["step"] for row in tiny_training.lines(whole[1])
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "is of a newer version (format 2, this one reads 1): update gpuaug"),
        ({"step": "six"}, "cannot be resumed: its step must be int, got 'six'"),
        ({"step": 2.5}, "cannot be resumed: its step must be int, got 2.5"),
        ({"step": -1}, "cannot be resumed: its step must be in [0, 1e15), got -1"),
        ({"step": 5}, "cannot be resumed: it is of 6 batches, step 5 of 5"),
        ({"step": 10**9}, "cannot be resumed: it is of 6 batches, step 1000000000 of 1000000000"),
        ({"seconds": float("nan")}, "cannot be resumed: its seconds must be in [0, 1e15), got nan"),
        (
            {"feed": [{"step": 0, "supply": {}, "counts": ()}]},
            "cannot be resumed: ValueError: state must be what Loader.state_dict returned, got something else",
        ),
        ({"config": {}}, "cannot be resumed: its config has no flags"),
        ({"optimizer": {}}, "cannot be resumed: KeyError: "),
        ({"plateau": {"x": 1}}, "cannot be resumed: TypeError: "),
        ({"model": None}, "cannot be resumed: its model must be dict, got None"),
        ({"shapes": 1}, "cannot be resumed: RuntimeError: Error(s) in loading state_dict for Model"),
    ],
)
def test_a_checkpoint_that_was_edited_costs_one_line_and_nothing_else(train, run, change, message):
    path = run / checkpoint.NAME
    state = {**torch.load(path, weights_only=True), **change}
    if "shapes" in change:
        state["model"] = {name: value.repeat(2) if value.ndim == 1 else value for name, value in state["model"].items()}
    torch.save(state, path)
    before = content(run)
    status, lines = train(run, *FLAGS, "--steps", 8, "--resume")
    assert status == 1
    assert lines[-1].startswith(f"train: {path} {message}")
    assert not any("Traceback" in line for line in lines)
    assert content(run) == before
