"""What a loop validates and keeps, how it goes on from that, and what it tells of files and processes."""

import pytest
import torch

import gpuaug
from pretrain.common.distributed import Group
from pretrain.models import checkpoint
from support.runs.scripted_loop import ONE, ScriptedLoader, ScriptedValidation, batch, saved
from support.tiny_training import lines

RIGHT = {"value": 0.5, "confusion": [[1, 1], [0, 0]]}


def test_validations_come_as_often_as_asked_and_the_best_is_kept(make_loop, capsys):
    said = [{"loss": 3.0, "kind": {**RIGHT, "value": value}} for value in (0.5, 0.75, 0.75, 0.25)]
    it = make_loop(ScriptedLoader(ONE), ScriptedValidation(*said), steps=8, val_every=0.5, keep=9, log_every=100)
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


def test_without_accuracies_the_least_loss_is_best(make_loop, capsys):
    validation = ScriptedValidation({"loss": 3.0}, {"loss": 2.0}, {"loss": 2.5})
    it = make_loop(ScriptedLoader(ONE), validation, steps=3, val_every=0.25)
    it.run()
    assert saved(it, "best.pt")["step"] == 2
    assert it.best == -2.0
    assert "step 1, held out: loss 3.000\n" in capsys.readouterr().err


def test_without_val_every_one_comes_every_20_steps_and_at_the_end(make_loop):
    validation = ScriptedValidation(*[{"loss": 1.0}] * 2)
    it = make_loop(ScriptedLoader(ONE), validation, steps=21, log_every=100)
    it.run()
    assert [row["step"] for row in lines(it.record.folder) if "validation" in row] == [20, 21]
    assert validation.results == []


def test_a_validation_that_is_left_out_is_told_once_and_the_training_goes_on(make_loop, capsys):
    validation = ScriptedValidation(None, None, {"loss": 1.0}, None)
    validation.failures = [gpuaug.Failure(0, "a.mp4", "gone"), gpuaug.Failure(1, "b.mp4", "gone")]
    validation.left_out = "no held-out window can be decoded"
    it = make_loop(ScriptedLoader(ONE), validation, steps=4, val_every=0.25, keep=9)
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


def test_samples_of_a_validation_are_shown_in_the_pictures_own_colours(make_loop, monkeypatch):
    validation, seen = ScriptedValidation(), []
    validation.run = lambda model, autocast: ({"loss": 1.0}, ONE)
    it = make_loop(ScriptedLoader(ONE), validation, steps=1)
    monkeypatch.setattr(it.record, "clips", lambda *given: seen.append(given))
    it.run()
    assert seen == [(1, ONE.clips, [0.0] * 3, [1.0] * 3)]


def test_a_run_that_goes_on_ends_as_if_nothing_had_happened(make_loop, tmp_path):
    how = {"optim": {"schedule": "plateau", "patience": 0, "gamma": 0.5, "accumulate": 2}, "val_every": 0.25}
    other = batch([2.0, 1.0], [1.0, 0.0])
    said = [{"loss": 2.0}, {"loss": 2.0}, {"loss": 1.0}, {"loss": 5.0}]
    whole = make_loop(ScriptedLoader(ONE, other, ONE), ScriptedValidation(*said), steps=4, **how, folder="whole")
    whole.run()
    half = make_loop(ScriptedLoader(ONE, other, ONE), ScriptedValidation(*said[:2]), steps=2, **how, folder="half")
    half.run()
    rest = make_loop(ScriptedLoader(ONE, other, ONE), ScriptedValidation(*said[2:]), steps=4, **how, folder="rest")
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
def test_what_cannot_be_gone_on_from(make_loop, change, message, tmp_path):
    it = make_loop(ScriptedLoader(ONE), steps=1)
    it.run()
    path = tmp_path / "RUN"
    with pytest.raises(ValueError, match=message.replace("RUN", str(path))):
        it.load({**saved(it), **change}, path)


def test_of_several_processes_each_takes_its_own_part(make_loop, tmp_path, monkeypatch):
    one = make_loop(ScriptedLoader(ONE), steps=1)
    one.run()
    state = saved(one)
    state["feed"], state["plans"] = [{"asked": [7]}, {"asked": [8]}], [70, 80]
    it = make_loop(ScriptedLoader(ONE), folder="other")
    it.group = Group(1, 2)
    it.load(state, tmp_path)
    assert (it.loader.asked, it.plans) == ([8], 80)


def test_files_that_fail_on_the_way_are_named_once(make_loop, capsys):
    loader = ScriptedLoader(ONE)
    original = loader.batch

    def batch(number):
        if number < 2:
            loader.failures = [*loader.failures, gpuaug.Failure(number, f"{number}.mp4", "cut off")]
        loader.changed = {"3.mp4": "is larger now"} if number else {}
        return original(number)

    loader.batch = batch
    it = make_loop(loader)
    it.run()
    assert [(row["failures"], row["changed_files"]) for row in lines(it.record.folder)] == [(1, 0), (2, 1), (2, 1)]
    assert capsys.readouterr().err.splitlines()[:3] == [
        "skipped 0.mp4: cut off", "skipped 1.mp4: cut off", "still used: 3.mp4: is larger now"
    ]  # fmt: skip


def test_numbers_of_all_processes_are_added(make_loop, monkeypatch):
    it = make_loop(ScriptedLoader(ONE))
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
def test_the_bar_has_the_unit_of_the_runs_length(make_loop, monkeypatch, run, expected):
    it, moved = make_loop(ScriptedLoader(ONE), **run), []
    monkeypatch.setattr(it.record, "bar", lambda total, done, text, unit: moved.append(((total, done, unit), text)))
    it._train()
    it.seconds = 30.0
    it._log()
    ((found, text),) = moved
    assert found == expected
    assert text.startswith("loss 4.000, ")
    assert text.endswith(" samples/s, echo 2")
    assert f"{lines(it.record.folder)[0]['samples_per_second']:.3g}" in text


def test_only_the_first_process_writes_checkpoints(make_loop, monkeypatch):
    it = make_loop(ScriptedLoader(ONE))
    monkeypatch.setattr(it, "group", Group(1, 1))
    it._save(True)
    assert checkpoint.those_in(it.record.folder) == []
    assert it._saved == it.step
