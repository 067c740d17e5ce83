"""How a run can end: at its length, by a signal, of a loss that is no number, of files that are gone."""

import os
import signal

import pytest
import torch

import gpuaug
from pretrain.common.cli import Failed
from pretrain.common.distributed import Group
from pretrain.models import checkpoint
from support.runs.scripted_loop import ONE, ScriptedLoader, batch, saved
from support.tiny_training import lines


@pytest.mark.parametrize(
    ("run", "epoch_steps", "total"),
    [
        ({"steps": 5, "epochs": 9.0}, 4, 5),
        ({"steps": None, "epochs": 2.0}, 2.5, 5),
        ({"steps": None, "epochs": 0.9}, 4, 4),
        ({"steps": None, "epochs": 0.01}, 4, 1),
    ],
)
def test_the_length_of_a_run(make_loop, run, epoch_steps, total):
    loader = ScriptedLoader(ONE)
    it = make_loop(loader, epoch_steps=epoch_steps, **run)
    assert it.total == total
    assert it.progress == 0
    assert it.run() == "finished"
    assert len(loader.asked) == total
    assert it.progress == 1


def test_a_run_by_the_clock(make_loop, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("pretrain.training.loop.time.perf_counter", lambda: now[0])
    loader = ScriptedLoader(ONE)
    original = loader.batch

    def slow(number):
        now[0] += 30
        return original(number)

    loader.batch = slow
    it = make_loop(loader, steps=None, minutes=2.0)
    assert it.run() == "finished"
    assert (it.step, it.seconds, it.progress) == (4, 120.0, 1.0)
    assert [row["seconds"] for row in lines(it.record.folder)] == [30, 60, 90, 120]
    assert [row["step_ms"] for row in lines(it.record.folder)] == [30000] * 4
    assert [row["feed_ms"] for row in lines(it.record.folder)] == [30000] * 4
    assert lines(it.record.folder)[0]["samples_per_second"] == pytest.approx(2 / 30)


def test_lines_and_checkpoints_come_as_often_as_asked_and_at_the_end(make_loop):
    it = make_loop(ScriptedLoader(ONE), steps=7, log_every=3, checkpoint_every=2, keep=9)
    it.run()
    assert [row["step"] for row in lines(it.record.folder)] == [3, 6, 7]
    kept = [checkpoint.read(path)["step"] for path in checkpoint.those_in(it.record.folder)]
    assert sorted(kept) == [2, 4, 6, 7, 7], "the last one is the best, where nothing is held out"
    assert saved(it, "best.pt")["step"] == 7
    it = make_loop(ScriptedLoader(ONE), steps=7, checkpoint_every=2, keep=2, folder="few")
    it.run()
    assert [path.name for path in checkpoint.those_in(it.record.folder)] == [
        "checkpoint.1.pt",
        "checkpoint.pt",
        "best.pt",
    ]


def test_a_run_that_was_over_is_left_as_it_is(make_loop):
    loader = ScriptedLoader(ONE)
    it = make_loop(loader, steps=2)
    it.step, it.last = 2, {"step": 2, "loss": 1.0}
    assert it.run() == "finished"
    assert loader.asked == []
    assert checkpoint.those_in(it.record.folder) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_after_the_step_with_a_checkpoint(make_loop, number, capfd):
    loader = ScriptedLoader(ONE)
    original, before = loader.batch, signal.getsignal(number)

    def batch(step):
        if step == 1:
            os.kill(os.getpid(), number)
        return original(step)

    loader.batch = batch
    it = make_loop(loader, steps=5, checkpoint_every=1 if number == signal.SIGINT else 100)
    assert it.run() == "stopped"
    assert signal.getsignal(number) == before
    assert it.step == 2
    assert (saved(it)["step"], saved(it)["seconds"]) == (2, it.seconds)
    assert not (it.record.folder / "best.pt").exists()
    assert capfd.readouterr().err.strip() == (
        f"{signal.Signals(number).name}: stopping after this step, with a checkpoint; ^C quits without one"
    )


def test_a_hangup_that_is_ignored_stays_so(make_loop):
    """nohup's runs go on."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        loader = ScriptedLoader(ONE)
        original = loader.batch
        loader.batch = lambda step: os.kill(os.getpid(), signal.SIGHUP) or original(step)
        assert make_loop(loader, steps=2).run() == "finished"
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_interrupt_ends_it_at_once(make_loop, monkeypatch):
    ended = []
    monkeypatch.setattr("pretrain.common.interrupt.end_soon", lambda: ended.append(True))
    loader, before = ScriptedLoader(ONE), signal.getsignal(signal.SIGINT)

    def batch(step):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        return ONE

    loader.batch = batch
    it = make_loop(loader)
    with pytest.raises(KeyboardInterrupt):
        it.run()
    assert ended == [True]
    assert signal.getsignal(signal.SIGINT) == before
    assert checkpoint.those_in(it.record.folder) == []


def test_several_processes_stop_after_the_same_logged_step(make_loop, monkeypatch):
    it = make_loop(ScriptedLoader(ONE), log_every=2)
    flags = []
    monkeypatch.setattr(it, "group", Group(0, 2))
    monkeypatch.setattr(Group, "any", lambda self, flag: flags.append(flag) or len(flags) > 1)
    it.step, it._stop = 1, "SIGTERM"
    assert not it._stopping()
    it.step, it._stop = 2, ""
    assert not it._stopping()
    it.step = 4
    assert it._stopping()
    assert it._stop == "another process"
    assert flags == [False, False]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_ends_it_and_is_kept(make_loop, bad, tmp_path):
    worse = batch([1.0, 1.0], [3.0, bad])
    it = make_loop(ScriptedLoader(ONE, worse), steps=5, checkpoint_every=1, folder="runs/first")
    with pytest.raises(Failed) as told:
        it.run()
    path = tmp_path / "runs/first/nonfinite-rank0.pt"
    assert str(told.value) == (
        f"training broke down: loss {bad:.4g} and gradient norm {bad:.4g} in step 1; the batch is in {path}"
    )
    kept = torch.load(path, weights_only=True)
    assert kept["step"] == 1
    assert torch.equal(kept["clips"], worse.clips)
    assert torch.equal(kept["target"]["y"], worse.target["y"]) or bad != bad
    assert {name: array.tolist() for name, array in kept["plan"].items()} == {
        "clip": worse.plan.clip.tolist(), "time": worse.plan.time.tolist(), "weight": worse.plan.weight.tolist()
    }  # fmt: skip
    assert saved(it)["step"] == 1, "nothing that is not finite is saved"


def test_the_batch_is_kept_where_no_folder_is(make_loop, tmp_path):
    """Of a process that writes nothing else."""
    it = make_loop(ScriptedLoader(batch([1.0], [float("nan")])), folder="a/b", group=Group(1, 1))
    with pytest.raises(Failed, match="nonfinite-rank1"):
        it.run()
    assert (tmp_path / "a/b/nonfinite-rank1.pt").exists()


def test_a_bank_that_starves_names_the_file_that_is_to_blame(make_loop):
    loader = ScriptedLoader(ONE)

    def starved(number):
        raise gpuaug.Starved("no window is left")

    loader.batch = starved
    with pytest.raises(gpuaug.Starved, match=r"^no window is left$"):
        make_loop(loader).run()
    loader.failures = [gpuaug.Failure(0, "a.mp4", "cut off"), gpuaug.Failure(3, "b.mp4", "empty")]
    with pytest.raises(Failed, match=r"^no window is left; 2 windows could not be decoded, first a\.mp4: cut off$"):
        make_loop(loader, folder="other").run()
