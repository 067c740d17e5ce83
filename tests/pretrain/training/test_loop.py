"""The loop against known answers: a linear model over scripted batches and validations, no video.

Samples x = 1, y = 3 and a weight that begins at 1: the loss is (1 − 3)² = 4 and its gradient 2 · (1 − 3) = −4, so that
a step of rate 0.1 ends at 1.4, the next at 1.72: each goes 0.2 of what is left.
"""

import os
import signal

import pytest
import torch

import gpuaug
from pretrain.common.cli import Failed
from pretrain.common.distributed import Group
from pretrain.models import checkpoint
from pretrain.training.loop import Loop
from support.scripted_loop import ScriptedLoader, ScriptedValidation, batch, loop
from support.tiny_training import lines

ONE = batch([1.0, 1.0], [3.0, 3.0], wait=0.25)
WEIGHTS = [1.4, 1.72, 1.976]
RIGHT = {"value": 0.5, "confusion": [[1, 1], [0, 0]]}


@pytest.fixture
def make(tmp_path):
    """`loop` in a folder that is given back afterwards."""
    made: list[Loop] = []

    def begun(*arguments, folder="run", **more):
        made.append(loop(tmp_path / folder, *arguments, **more))
        return made[-1]

    yield begun
    for each in made:
        each.record.close()


def weight(it):
    return it.model.head.weight.item()


def saved(it, name=checkpoint.NAME):
    return checkpoint.read(it.record.folder / name)


# ---- steps ---------------------------------------------------------------------------------------------------------


def test_steps_and_their_log_by_hand(make):
    loader = ScriptedLoader(ONE)
    it = make(loader)
    assert it.run() == "finished"
    assert loader.asked == [0, 1, 2]
    assert weight(it) == pytest.approx(WEIGHTS[-1])
    first, second, last = lines(it.record.folder)
    assert [row["loss"] for row in (first, second, last)] == pytest.approx([4.0, 2.56, 1.6384])
    assert [row["grad_norm"] for row in (first, second)] == pytest.approx([4.0, 3.2])
    assert (first["step"], first["epoch"], first["samples"], first["lr"]) == (1, 0.25, 2, 0.1)
    assert (last["step"], last["epoch"], last["samples"]) == (3, 0.75, 6)
    assert (first["decoded_windows"], first["rendered_windows"], first["passes"], first["echo"]) == (12, 24, 0.5, 2)
    assert (last["decoded_windows"], last["passes"]) == (36, 1.5)
    assert (first["failures"], first["changed_files"], first["sign"]) == (0, 0, 1.0)
    assert first["wait_ms"] == last["wait_ms"] == 250
    assert 0 < first["encoder_ms"] <= first["step_ms"]
    assert it.seconds == pytest.approx(sum(row["step_ms"] for row in (first, second, last)) / 1000, rel=0.2)
    assert last["seconds"] == round(it.seconds, 3)


def test_plans_of_the_log_are_a_sum_over_clip_time_and_weight(make):
    """So that two runs that show other samples are told apart by the last lines of their logs."""
    two, other = gpuaug.Plan.take([0, 1], [0.0]), gpuaug.Plan.take([0, 1], [1.0])
    faded = [gpuaug.edits.paste(two, other, start=0, stop=1, opacity=share) for share in (0.25, 0.5)]
    found = set()
    for number, plan in enumerate((two, gpuaug.Plan.take([1, 0], [0.0]), other, *faded)):
        it = make(ScriptedLoader(gpuaug.Batch(ONE.clips, ONE.target, plan, 0.0)), steps=2, folder=str(number))
        it.run()
        first, last = lines(it.record.folder)
        assert first["plans"] != last["plans"], "it goes on from what was"
        assert last["plans"] == f"{it.plans:08x}"
        found.add(it.plans)
    assert len(found) == 5


def test_accumulated_batches_are_one_step_of_their_mean(make):
    """Gradients −4 and −8 (x = 2, y = 3: 2 · (2 − 3) · 2 = −4; of y = 4: −8): their mean, −6."""
    parts = [batch([1.0, 1.0], [3.0, 3.0]), batch([2.0, 2.0], [4.0, 4.0])]
    loader = ScriptedLoader(*parts)
    it = make(loader, optim={"accumulate": 2}, steps=2)
    it._train()
    assert loader.asked == [0, 1]
    assert weight(it) == pytest.approx(1 + 0.1 * (4 + 8) / 2)
    assert it.samples == 4
    it._train()
    assert loader.asked == [0, 1, 2, 3]
    it._log()
    (row,) = lines(it.record.folder)
    assert row["samples"] == 8
    assert row["loss"] == pytest.approx((4 + 4 + 1.96 + 0.64) / 4, rel=0.2)
    it._save(False)
    assert (saved(it)["step"], saved(it)["batches"]) == (2, 4)


def test_the_rate_follows_the_schedule(make):
    how = {"schedule": "step", "milestones": (0.5, 0.75), "gamma": 0.5}
    it = make(ScriptedLoader(ONE), optim=how, steps=4)
    it.run()
    assert [row["lr"] for row in lines(it.record.folder)] == pytest.approx([0.1, 0.1, 0.05, 0.025])
    it = make(ScriptedLoader(ONE), optim={"schedule": "cosine"}, steps=2, folder="cosine")
    it.run()
    assert [row["lr"] for row in lines(it.record.folder)] == pytest.approx([0.1, 0.05])
    it = make(ScriptedLoader(ONE), optim={"warmup": 1.0}, steps=3, folder="warm")
    it.run()
    assert [row["lr"] for row in lines(it.record.folder)] == pytest.approx([1e-6, 0.025, 0.05], rel=1e-3)


def test_a_plateau_lowers_the_rate_of_the_steps_after_it(make):
    how = {"schedule": "plateau", "patience": 0, "gamma": 0.5}
    validation = ScriptedValidation({"loss": 1.0}, {"loss": 1.0}, {"loss": 2.0}, {"loss": 0.5})
    it = make(ScriptedLoader(ONE), validation, optim=how, steps=4, val_every=0.25)
    it.run()
    assert [row["lr"] for row in lines(it.record.folder) if "lr" in row] == pytest.approx([0.1, 0.1, 0.05, 0.025])
    assert saved(it)["plateau"] == {"patience": 0, "gamma": 0.5, "best": 0.5, "waited": 0, "factor": 0.25}


def test_the_seed_of_dropout_is_the_runs_and_the_batchs(make, monkeypatch):
    def drawn(folder, **more):
        it = make(ScriptedLoader(ONE), folder=folder, **more)
        seen = []
        monkeypatch.setattr(it, "trained", lambda *given: seen.append(torch.rand(1).item()) or it.model(*given))
        it.run()
        return seen

    first = drawn("a")
    assert len(set(first)) == 3
    assert drawn("b") == first
    assert drawn("c", optim={"accumulate": 3}, steps=1) == first
    assert not set(drawn("d", seed=1)) & set(first)


@pytest.mark.parametrize(("dtype", "expected"), [(torch.float32, torch.float32), (torch.bfloat16, torch.bfloat16)])
def test_steps_and_validations_have_the_precision_asked_for(make, dtype, expected):
    seen = []
    validation = ScriptedValidation({"loss": 1.0})
    original = validation.run

    def run(model, autocast):
        with autocast():
            seen.append((ONE.clips[:, 0, 0, 0, :1] @ model.head.weight).dtype)
        return original(model, autocast)

    validation.run = run
    it = make(ScriptedLoader(ONE), validation, dtype=dtype, steps=1)
    it.model.head.weight.register_hook(lambda grad: seen.append(it.model.encoder(ONE.clips).dtype))
    it.model.encoder.register_forward_hook(lambda module, given, out: seen.append((out @ it.model.head.weight).dtype))
    it.run()
    assert set(seen) == {expected, torch.float32}
    assert weight(it) == pytest.approx(1.4, rel=0.01)


# ---- how it ends ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "epoch_steps", "total"),
    [
        ({"steps": 5, "epochs": 9.0}, 4, 5),
        ({"steps": None, "epochs": 2.0}, 2.5, 5),
        ({"steps": None, "epochs": 0.9}, 4, 4),
        ({"steps": None, "epochs": 0.01}, 4, 1),
    ],
)
def test_the_length_of_a_run(make, run, epoch_steps, total):
    loader = ScriptedLoader(ONE)
    it = make(loader, epoch_steps=epoch_steps, **run)
    assert it.total == total
    assert it.progress == 0
    assert it.run() == "finished"
    assert len(loader.asked) == total
    assert it.progress == 1


def test_a_run_by_the_clock(make, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("pretrain.training.loop.time.perf_counter", lambda: now[0])
    loader = ScriptedLoader(ONE)
    original = loader.batch

    def slow(number):
        now[0] += 30
        return original(number)

    loader.batch = slow
    it = make(loader, steps=None, minutes=2.0)
    assert it.run() == "finished"
    assert (it.step, it.seconds, it.progress) == (4, 120.0, 1.0)
    assert [row["seconds"] for row in lines(it.record.folder)] == [30, 60, 90, 120]
    assert [row["step_ms"] for row in lines(it.record.folder)] == [30000] * 4
    assert [row["feed_ms"] for row in lines(it.record.folder)] == [30000] * 4
    assert lines(it.record.folder)[0]["samples_per_second"] == pytest.approx(2 / 30)


def test_lines_and_checkpoints_come_as_often_as_asked_and_at_the_end(make):
    it = make(ScriptedLoader(ONE), steps=7, log_every=3, checkpoint_every=2, keep=9)
    it.run()
    assert [row["step"] for row in lines(it.record.folder)] == [3, 6, 7]
    kept = [checkpoint.read(path)["step"] for path in checkpoint.those_in(it.record.folder)]
    assert sorted(kept) == [2, 4, 6, 7, 7], "the last one is the best, where nothing is held out"
    assert saved(it, "best.pt")["step"] == 7
    it = make(ScriptedLoader(ONE), steps=7, checkpoint_every=2, keep=2, folder="few")
    it.run()
    assert [path.name for path in checkpoint.those_in(it.record.folder)] == [
        "checkpoint.1.pt",
        "checkpoint.pt",
        "best.pt",
    ]


def test_a_run_that_was_over_is_left_as_it_is(make):
    loader = ScriptedLoader(ONE)
    it = make(loader, steps=2)
    it.step, it.last = 2, {"step": 2, "loss": 1.0}
    assert it.run() == "finished"
    assert loader.asked == []
    assert checkpoint.those_in(it.record.folder) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_after_the_step_with_a_checkpoint(make, number, capfd):
    loader = ScriptedLoader(ONE)
    original, before = loader.batch, signal.getsignal(number)

    def batch(step):
        if step == 1:
            os.kill(os.getpid(), number)
        return original(step)

    loader.batch = batch
    it = make(loader, steps=5, checkpoint_every=1 if number == signal.SIGINT else 100)
    assert it.run() == "stopped"
    assert signal.getsignal(number) == before
    assert it.step == 2
    assert (saved(it)["step"], saved(it)["seconds"]) == (2, it.seconds)
    assert not (it.record.folder / "best.pt").exists()
    assert capfd.readouterr().err.strip() == (
        f"{signal.Signals(number).name}: stopping after this step, with a checkpoint; ^C quits without one"
    )


def test_a_hangup_that_is_ignored_stays_so(make):
    """nohup's runs go on."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        loader = ScriptedLoader(ONE)
        original = loader.batch
        loader.batch = lambda step: os.kill(os.getpid(), signal.SIGHUP) or original(step)
        assert make(loader, steps=2).run() == "finished"
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_interrupt_ends_it_at_once(make, monkeypatch):
    ended = []
    monkeypatch.setattr("pretrain.common.interrupt.end_soon", lambda: ended.append(True))
    loader, before = ScriptedLoader(ONE), signal.getsignal(signal.SIGINT)

    def batch(step):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        return ONE

    loader.batch = batch
    it = make(loader)
    with pytest.raises(KeyboardInterrupt):
        it.run()
    assert ended == [True]
    assert signal.getsignal(signal.SIGINT) == before
    assert checkpoint.those_in(it.record.folder) == []


def test_several_processes_stop_after_the_same_logged_step(make, monkeypatch):
    it = make(ScriptedLoader(ONE), log_every=2)
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
def test_what_is_not_finite_ends_it_and_is_kept(make, bad, tmp_path):
    worse = batch([1.0, 1.0], [3.0, bad])
    it = make(ScriptedLoader(ONE, worse), steps=5, checkpoint_every=1, folder="runs/first")
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


def test_the_batch_is_kept_where_no_folder_is(make, tmp_path):
    """Of a process that writes nothing else."""
    it = make(ScriptedLoader(batch([1.0], [float("nan")])), folder="a/b", group=Group(1, 1))
    with pytest.raises(Failed, match="nonfinite-rank1"):
        it.run()
    assert (tmp_path / "a/b/nonfinite-rank1.pt").exists()


def test_a_bank_that_starves_names_the_file_that_is_to_blame(make):
    loader = ScriptedLoader(ONE)

    def starved(number):
        raise gpuaug.Starved("no window is left")

    loader.batch = starved
    with pytest.raises(gpuaug.Starved, match=r"^no window is left$"):
        make(loader).run()
    loader.failures = [gpuaug.Failure(0, "a.mp4", "cut off"), gpuaug.Failure(3, "b.mp4", "empty")]
    with pytest.raises(Failed, match=r"^no window is left; 2 windows could not be decoded, first a\.mp4: cut off$"):
        make(loader, folder="other").run()


# ---- validations and the best model --------------------------------------------------------------------------------


def test_validations_come_as_often_as_asked_and_the_best_is_kept(make, capsys):
    said = [{"loss": 3.0, "kind": {**RIGHT, "value": value}} for value in (0.5, 0.75, 0.75, 0.25)]
    it = make(ScriptedLoader(ONE), ScriptedValidation(*said), steps=8, val_every=0.5, keep=9, log_every=100)
    it.run()
    rows = [row for row in lines(it.record.folder) if "validation" in row]
    assert [(row["step"], row["validation"]["kind"]["value"]) for row in rows] == [
        (2, 0.5),
        (4, 0.75),
        (6, 0.75),
        (8, 0.25),
    ]
    assert saved(it, "best.pt")["step"] == 4, "the first of those as good"
    assert (it.best, it.last) == (0.75, {"step": 8, **said[-1]})
    assert (saved(it)["best"], saved(it)["last"]) == (0.75, it.last)
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "step 2, held out: loss 3.000, kind 0.500"


def test_without_accuracies_the_least_loss_is_best(make, capsys):
    validation = ScriptedValidation({"loss": 3.0}, {"loss": 2.0}, {"loss": 2.5})
    it = make(ScriptedLoader(ONE), validation, steps=3, val_every=0.25)
    it.run()
    assert saved(it, "best.pt")["step"] == 2
    assert it.best == -2.0
    assert "step 1, held out: loss 3.000\n" in capsys.readouterr().err


def test_without_val_every_one_comes_every_20_steps_and_at_the_end(make):
    validation = ScriptedValidation(*[{"loss": 1.0}] * 2)
    it = make(ScriptedLoader(ONE), validation, steps=21, log_every=100)
    it.run()
    assert [row["step"] for row in lines(it.record.folder) if "validation" in row] == [20, 21]
    assert validation.results == []


def test_a_validation_that_is_left_out_is_told_once_and_the_training_goes_on(make, capsys):
    validation = ScriptedValidation(None, None, {"loss": 1.0}, None)
    validation.failures = [gpuaug.Failure(0, "a.mp4", "gone"), gpuaug.Failure(1, "b.mp4", "gone")]
    validation.left_out = "no held-out window can be decoded"
    it = make(ScriptedLoader(ONE), validation, steps=4, val_every=0.25, keep=9)
    steps = []
    original = checkpoint.save
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            checkpoint, "save", lambda *given, best, **more: steps.append(best) or original(*given, best=best, **more)
        )
        assert it.run() == "finished"
    assert steps == [True, True, True, False], "while nothing is known the newest is the best"
    told = capsys.readouterr().err.splitlines()
    assert told[:2] == ["skipped, held out: a.mp4: gone", "skipped, held out: b.mp4: gone"]
    assert told[2] == ("validation left out: a.mp4: gone; no held-out window can be decoded; the training goes on")
    assert len([line for line in told if "left out" in line]) == 1
    validation.results, validation.failures, it._left_out = [None], [], False
    it._validate()
    assert capsys.readouterr().err == "validation left out: no held-out window can be decoded; the training goes on\n"


def test_samples_of_a_validation_are_shown_in_the_pictures_own_colours(make, monkeypatch):
    validation, seen = ScriptedValidation(), []
    validation.run = lambda model, autocast: ({"loss": 1.0}, ONE)
    it = make(ScriptedLoader(ONE), validation, steps=1)
    monkeypatch.setattr(it.record, "clips", lambda *given: seen.append(given))
    it.run()
    assert seen == [(1, ONE.clips, [0.0] * 3, [1.0] * 3)]


# ---- going on, and what is told ------------------------------------------------------------------------------------


def test_a_run_that_goes_on_ends_as_if_nothing_had_happened(make, tmp_path):
    how = {"optim": {"schedule": "plateau", "patience": 0, "gamma": 0.5, "accumulate": 2}, "val_every": 0.25}
    other = batch([2.0, 1.0], [1.0, 0.0])
    said = [{"loss": 2.0}, {"loss": 2.0}, {"loss": 1.0}, {"loss": 5.0}]
    whole = make(ScriptedLoader(ONE, other, ONE), ScriptedValidation(*said), steps=4, **how, folder="whole")
    whole.run()
    half = make(ScriptedLoader(ONE, other, ONE), ScriptedValidation(*said[:2]), steps=2, **how, folder="half")
    half.run()
    rest = make(ScriptedLoader(ONE, other, ONE), ScriptedValidation(*said[2:]), steps=4, **how, folder="rest")
    rest.load(saved(half), tmp_path)
    assert (rest.step, rest.seconds, rest.best, rest.last) == (2, half.seconds, -2.0, {"step": 2, "loss": 2.0})
    rest.run()
    a, b = saved(whole), saved(rest)
    assert a["feed"][0]["asked"] == b["feed"][0]["asked"] == list(range(8))
    assert torch.equal(a["model"]["head.weight"], b["model"]["head.weight"])
    assert a["plateau"] == b["plateau"]
    assert [a[name] for name in ("plans", "step", "best", "last")] == [
        b[name] for name in ("plans", "step", "best", "last")
    ]
    assert (a["config"], len(a["plans"])) == (whole.config, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feed": [{}, {}]}, "^a run of 2 processes cannot be resumed by 1$"),
        ({"model": {}}, "^RUN cannot be resumed: RuntimeError: Error.*Missing key.*head.weight"),
        ({"optimizer": {}}, "^RUN cannot be resumed: KeyError: 'torch'$"),
        ({"feed": [{}]}, "^RUN cannot be resumed: KeyError: 'asked'$"),
        ({"plans": []}, "^RUN cannot be resumed: IndexError: list index out of range$"),
        ({"plateau": {"patience": 1, "x": 2}}, "^RUN cannot be resumed: TypeError: .*'x'"),
    ],
)
def test_what_cannot_be_gone_on_from(make, change, message, tmp_path):
    it = make(ScriptedLoader(ONE), steps=1)
    it.run()
    path = tmp_path / "RUN"
    with pytest.raises(ValueError, match=message.replace("RUN", str(path))):
        it.load({**saved(it), **change}, path)


def test_of_several_processes_each_takes_its_own_part(make, tmp_path, monkeypatch):
    one = make(ScriptedLoader(ONE), steps=1)
    one.run()
    state = saved(one)
    state["feed"], state["plans"] = [{"asked": [7]}, {"asked": [8]}], [70, 80]
    it = make(ScriptedLoader(ONE), folder="other")
    it.group = Group(1, 2)
    it.load(state, tmp_path)
    assert (it.loader.asked, it.plans) == ([8], 80)


def test_files_that_fail_on_the_way_are_named_once(make, capsys):
    loader = ScriptedLoader(ONE)
    original = loader.batch

    def batch(number):
        if number < 2:
            loader.failures = [*loader.failures, gpuaug.Failure(number, f"{number}.mp4", "cut off")]
        loader.changed = {"3.mp4": "is larger now"} if number else {}
        return original(number)

    loader.batch = batch
    it = make(loader)
    it.run()
    assert [(row["failures"], row["changed_files"]) for row in lines(it.record.folder)] == [(1, 0), (2, 1), (2, 1)]
    assert capsys.readouterr().err.splitlines()[:3] == [
        "skipped 0.mp4: cut off", "skipped 1.mp4: cut off", "still used: 3.mp4: is larger now"
    ]  # fmt: skip


def test_numbers_of_all_processes_are_added(make, monkeypatch):
    it = make(ScriptedLoader(ONE))
    it._train()
    theirs = (8, 32, 3, [("z.mp4", "gone")], [("c.mp4", "larger"), ("d.mp4", "larger")])
    monkeypatch.setattr(it, "group", Group(0, 2))
    monkeypatch.setattr(Group, "gather", lambda self, value: [value, theirs])
    it._log()
    (row,) = lines(it.record.folder)
    assert (row["decoded_windows"], row["rendered_windows"], row["passes"]) == (20, 56, 20 / 24)
    assert (row["echo"], row["failures"], row["changed_files"], row["samples"]) == (2.8, 3, 2, 4)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ({"steps": 5}, (5, 1, "steps")),
        ({"steps": None, "minutes": 2.0}, (2.0, 0.5, "min")),
    ],
)
def test_the_bar_has_the_unit_of_the_runs_length(make, monkeypatch, run, expected):
    it, moved = make(ScriptedLoader(ONE), **run), []
    monkeypatch.setattr(it.record, "bar", lambda total, done, text, unit: moved.append(((total, done, unit), text)))
    it._train()
    it.seconds = 30.0
    it._log()
    ((found, text),) = moved
    assert found == expected
    assert text.startswith("loss 4.000, ")
    assert text.endswith(" samples/s, echo 2")
    assert f"{lines(it.record.folder)[0]['samples_per_second']:.3g}" in text


def test_only_the_first_process_writes_checkpoints(make, monkeypatch):
    it = make(ScriptedLoader(ONE))
    monkeypatch.setattr(it, "group", Group(1, 1))
    it._save(True)
    assert checkpoint.those_in(it.record.folder) == []
    assert it._saved == it.step
