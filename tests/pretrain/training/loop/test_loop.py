"""The loop against known answers: a linear model over scripted batches and validations, no video.

Samples x = 1, y = 3 and a weight that begins at 1: the loss is (1 − 3)² = 4 and its gradient 2 · (1 − 3) = −4, so that
a step of rate 0.1 ends at 1.4, the next at 1.72: each goes 0.2 of what is left.
"""

import pytest
import torch

import gpuaug
from support.runs.scripted_loop import ONE, ScriptedLoader, ScriptedValidation, batch, saved
from support.tiny_training import lines

WEIGHTS = [1.4, 1.72, 1.976]


def weight(it):
    return it.model.head.weight.item()


def test_steps_and_their_log_by_hand(make_loop):
    loader = ScriptedLoader(ONE)
    it = make_loop(loader)
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


def test_plans_of_the_log_are_a_sum_over_clip_time_and_weight(make_loop):
    """So that two runs that show other samples are told apart by the last lines of their logs."""
    two, other = gpuaug.Plan.take([0, 1], [0.0]), gpuaug.Plan.take([0, 1], [1.0])
    faded = [gpuaug.edits.paste(two, other, start=0, stop=1, opacity=share) for share in (0.25, 0.5)]
    found = set()
    for number, plan in enumerate((two, gpuaug.Plan.take([1, 0], [0.0]), other, *faded)):
        it = make_loop(ScriptedLoader(gpuaug.Batch(ONE.clips, ONE.target, plan, 0.0)), steps=2, folder=str(number))
        it.run()
        first, last = lines(it.record.folder)
        assert first["plans"] != last["plans"], "it goes on from what was"
        assert last["plans"] == f"{it.plans:08x}"
        found.add(it.plans)
    assert len(found) == 5


def test_accumulated_batches_are_one_step_of_their_mean(make_loop):
    """Gradients −4 and −8 (x = 2, y = 3: 2 · (2 − 3) · 2 = −4; of y = 4: −8): their mean, −6."""
    parts = [batch([1.0, 1.0], [3.0, 3.0]), batch([2.0, 2.0], [4.0, 4.0])]
    loader = ScriptedLoader(*parts)
    it = make_loop(loader, optim={"accumulate": 2}, steps=2)
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


def test_the_rate_follows_the_schedule(make_loop):
    how = {"schedule": "step", "milestones": (0.5, 0.75), "gamma": 0.5}
    it = make_loop(ScriptedLoader(ONE), optim=how, steps=4)
    it.run()
    assert [row["lr"] for row in lines(it.record.folder)] == pytest.approx([0.1, 0.1, 0.05, 0.025])
    it = make_loop(ScriptedLoader(ONE), optim={"schedule": "cosine"}, steps=2, folder="cosine")
    it.run()
    assert [row["lr"] for row in lines(it.record.folder)] == pytest.approx([0.1, 0.05])
    it = make_loop(ScriptedLoader(ONE), optim={"warmup": 1.0}, steps=3, folder="warm")
    it.run()
    assert [row["lr"] for row in lines(it.record.folder)] == pytest.approx([1e-6, 0.025, 0.05], rel=1e-3)


def test_a_plateau_lowers_the_rate_of_the_steps_after_it(make_loop):
    how = {"schedule": "plateau", "patience": 0, "gamma": 0.5}
    validation = ScriptedValidation({"loss": 1.0}, {"loss": 1.0}, {"loss": 2.0}, {"loss": 0.5})
    it = make_loop(ScriptedLoader(ONE), validation, optim=how, steps=4, val_every=0.25)
    it.run()
    assert [row["lr"] for row in lines(it.record.folder) if "lr" in row] == pytest.approx([0.1, 0.1, 0.05, 0.025])
    assert saved(it)["plateau"] == {"patience": 0, "gamma": 0.5, "best": 0.5, "waited": 0, "factor": 0.25}


def test_the_seed_of_dropout_is_the_runs_and_the_batchs(make_loop, monkeypatch):
    def drawn(folder, **more):
        it = make_loop(ScriptedLoader(ONE), folder=folder, **more)
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
def test_steps_and_validations_have_the_precision_asked_for(make_loop, dtype, expected):
    seen = []
    validation = ScriptedValidation({"loss": 1.0})
    original = validation.run

    def run(model, autocast):
        with autocast():
            seen.append((ONE.clips[:, 0, 0, 0, :1] @ model.head.weight).dtype)
        return original(model, autocast)

    validation.run = run
    it = make_loop(ScriptedLoader(ONE), validation, dtype=dtype, steps=1)
    it.model.head.weight.register_hook(lambda grad: seen.append(it.model.encoder(ONE.clips).dtype))
    it.model.encoder.register_forward_hook(lambda module, given, out: seen.append((out @ it.model.head.weight).dtype))
    it.run()
    assert set(seen) == {expected, torch.float32}
    assert weight(it) == pytest.approx(1.4, rel=0.01)
