"""A whole run, of an encoder of one layer over painted frames: what it hands on, says and leaves behind."""

import json

import pytest
import safetensors.torch
import torch

import gpuaug
from pretrain.common.distributed import Group
from pretrain.data.overlap import RECORD
from pretrain.models import checkpoint
from pretrain.models.encoders import Encoder
from pretrain.models.weights import Loaded
from pretrain.training import session
from support.runs.painted_session import painted, tiny
from support.tiny_training import lines


def read(folder, name):
    return json.loads((folder / name).read_text())


def test_what_a_run_leaves_and_says(begun, tmp_path, capsys, decoder):
    decoder.broken = frozenset({"/painted/3"})
    assert begun() == "finished"
    out = tmp_path / "run"
    assert begun.asked == [(("r2plus1d_18",), {"init": None, "frames": 4, "size": 8})]
    rows = lines(out)
    assert [row["step"] for row in rows if "loss" in row] == [1, 2, 3]
    assert [row["step"] for row in rows if "validation" in row][-1] == 3
    assert [row["epoch"] for row in rows if "loss" in row] == [0.25, 0.5, 0.75], "8 segments, 2 clips of each, 4 a step"
    result = [row["validation"] for row in rows if "validation" in row][-1]
    assert result["action"]["samples"] == result["action"]["videos"] == 4, "every held-out video once"
    assert set(result["action"]["classes"]) == {"run", "sit"}
    config = read(out, "config.json")
    assert config["encoder"] == {"name": "r2plus1d_18", "frames": 4, "size": 8, "features": 3}
    assert config["segments"] == gpuaug.Segment.fingerprint(painted(0, 8).segments)
    summary = read(out, "summary.json")
    assert (summary["status"], summary["steps"], summary["samples"]) == ("finished", 3, 12)
    assert (summary["training_videos"], summary["held_out_videos"]) == (8, 4)
    assert summary["validation"] == {"step": 3, **result}
    assert summary["rendered_windows"] == 12
    recorded = read(out, RECORD)["videos"]
    assert [path for path, _ in recorded] == [f"/painted/{k}" for k in range(8)], (
        "the held-out ones were not trained on"
    )
    assert read(out, f"weights/{RECORD}")["videos"] == recorded
    best = checkpoint.read(out)["model"]
    exported = safetensors.torch.load_file(out / "weights/model.safetensors")
    assert torch.equal(exported["net.layer.weight"], best["encoder.net.layer.weight"])
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "0.75 epochs, 3 steps: at least 2 passes, which fill the bank, over 8 segments"
    assert told[1].startswith("on this CPU: a step takes about")
    assert "skipped /painted/3: broken on purpose" in told
    assert told[-1] == f"finished after step 3, best held-out score {summary['best']:.3f}: {out / 'weights'}"


def test_each_part_is_given_what_the_settings_say(begun, monkeypatch):
    """Of the parts of a run, spies: encoder, model, optimiser, loop, loaders."""
    given = {}

    def spy(name, also=lambda *arguments: None):
        original = getattr(session, name)

        def called(*arguments, **more):
            given.setdefault(name, []).append((arguments, more))
            return original(*arguments, **more)

        monkeypatch.setattr(session, name, called)

    for name in ("Optimizer", "Loop", "training_loader", "held_out_loader", "Validation", "peak_rates", "config"):
        spy(name)
    data = painted(0, 8), painted(20, 4)
    begun("--accumulate", 2, "--val-batches", 2, "--seed", 5, "--crop", "center", "--cache", "kept", data=data)
    (settings, recipe, whole), _ = given["peak_rates"][0]
    assert (settings.batch, whole) == (4, 8)
    assert recipe["lr_head"].value == 0.002
    (model, stem, optim), more = given["Optimizer"][0]
    assert (stem, optim.lr, optim.lr_head, more) == ("", 0.01, pytest.approx(0.2), {"scale": False, "device": "cpu"})
    (run, optim, trained, *_), more = given["Loop"][0]
    assert (run.seed, run.steps, trained) == (5, 3, model)
    assert (more["epoch_steps"], more["dtype"], more["group"]) == (2.0, torch.float32, Group())
    assert more["config"]["precision"] == "float32"
    (segments, sample, draws, feed, augment, pictures), more = given["training_loader"][0]
    assert (segments, draws.held_out_placement, feed.seed, augment.crop) == (data[0].segments, "ends", 5, "center")
    assert (pictures.mean, pictures.dtype, pictures.device) == (model.encoder.mean, torch.float32, torch.device("cpu"))
    assert more == {"rank": 0, "world": 1, "cache": "kept"}
    assert sample.keywords == {"settings": sample.keywords["settings"]}
    (segments, *_, pictures), more = given["held_out_loader"][0]
    assert (segments, more) == (data[1].segments, {"rank": 0, "world": 1, "cache": "kept"})
    (_, names, group), more = given["Validation"][0]
    assert (names["action"], group) == (["run", "sit"], Group())
    assert more == {"batches": 2, "colors": (model.encoder.mean, model.encoder.std)}


@pytest.mark.parametrize(
    ("words", "dtype", "scale"),
    [
        (("--precision", "bf16"), torch.bfloat16, False),
        (("--precision", "fp16"), torch.float16, True),
        (("--precision", "auto"), torch.bfloat16, False),
    ],
)
def test_the_precision_reaches_pictures_loop_and_optimiser(begun, monkeypatch, words, dtype, scale):
    monkeypatch.setattr(session, "_fast", lambda device, net: {"cpu": torch.bfloat16}[device.type] if net.net else None)
    found = {}

    class Ended(Exception):
        pass

    def optimizer(*given, scale, device):
        found["scale"] = scale
        return Optimizer(*given, scale=False, device=device)

    def loop(*given, dtype, config, **more):
        found.update(dtype=dtype, precision=config["precision"])
        raise Ended

    Optimizer = session.Optimizer
    monkeypatch.setattr(session, "Optimizer", optimizer)
    monkeypatch.setattr(session, "Loop", loop)
    with pytest.raises(Ended):
        begun(*words, "--val-batches", 0)
    assert found == {"scale": scale, "dtype": dtype, "precision": str(dtype)[6:]}


def test_nothing_is_held_out_where_no_validation_is_asked_for(begun, tmp_path, capsys):
    assert begun("--val-batches", 0) == "finished"
    assert not any("validation" in row for row in lines(tmp_path / "run"))
    assert f"finished after step 3: {tmp_path / 'run/weights'}" == capsys.readouterr().err.splitlines()[-1]
    assert read(tmp_path / "run", "summary.json")["best"] is None
    assert begun(data=(painted(0, 8), None), folder="other") == "finished"
    told = capsys.readouterr().err.splitlines()[-1]
    assert told == f"finished after step 3: {tmp_path / 'other/weights'}"
    assert read(tmp_path / "other", "summary.json")["held_out_videos"] == 0


def test_how_a_run_ended_is_in_the_summary_whatever_happens(begun, tmp_path, monkeypatch, capsys):
    def ended(result):
        def run(self):
            self.step = 2
            if isinstance(result, str):
                return result
            raise result

        monkeypatch.setattr(session.Loop, "run", run)

    ended("stopped")
    assert begun() == "stopped"
    assert capsys.readouterr().err.splitlines()[-1] == "stopped after step 2; --resume goes on from there"
    assert not (tmp_path / "run/weights").exists()
    assert read(tmp_path / "run", "summary.json")["status"] == "stopped"
    for error, status in ((KeyboardInterrupt(), "stopped"), (RuntimeError("full"), "failed")):
        ended(error)
        with pytest.raises(type(error)):
            begun("--overwrite")
        assert read(tmp_path / "run", "summary.json")["status"] == status


def test_what_was_not_told_right_is_kept_to_be_shown(begun, tmp_path):
    begun()
    samples = read(tmp_path / "run", "wrong.json")["samples"]
    assert all(each["video"] in {"20", "21", "22", "23"} for each in samples)
    assert (tmp_path / "run/wrong.jpg").exists() == bool(samples)


def test_videos_of_the_weights_that_it_starts_from_are_its_own_too(begun, tmp_path, capsys, monkeypatch):
    begun(folder="first")
    loaded = Loaded("first/best.pt", 2, 0, {"fc": "no such layer"}, ["a.bias"])

    def encoder(name, **more):
        net = tiny(name, **more)
        net.loaded = loaded
        return net

    monkeypatch.setattr(session, "encoder", encoder)
    begun("--init", tmp_path / "first/best.pt", data=(painted(40, 6), None))
    told = capsys.readouterr().err.splitlines()
    assert "first/best.pt: 2 loaded, 1 skipped, 1 missing" in told
    assert {"  skipped fc: no such layer", "  missing a.bias: left random"} <= set(told)
    paths = {path for path, _ in read(tmp_path / "run", RECORD)["videos"]}
    assert paths == {f"/painted/{k}" for k in (*range(8), *range(40, 46))}


def test_deviations_from_a_published_recipe_are_said_first(begun, capsys):
    begun("--recipe", "tsp-anet", "--steps", 1)
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("deviation from tsp-anet: ")


def test_batch_norm_is_of_all_processes_where_asked_for(begun, monkeypatch):
    class Ended(Exception):
        pass

    asked = []
    monkeypatch.setattr(session, "sync_batch_norm", lambda model, device: asked.append((type(model).__name__, device)))
    monkeypatch.setattr(session, "Optimizer", lambda *given, **more: (_ for _ in ()).throw(Ended))
    for words, group in ((["--sync-bn"], Group(0, 2)), ([], Group(0, 2)), (["--sync-bn"], Group())):
        with pytest.raises(Ended):
            begun(*words, group=group)
    assert asked == [("Model", torch.device("cpu"))]


@pytest.mark.parametrize("compiled", [False, True])
def test_only_an_encoder_that_is_compiled_is_not_measured(begun, monkeypatch, compiled):
    done = []
    measure = session.cost.measure
    monkeypatch.setattr(Encoder, "compile", lambda self, **more: done.append("compiled"), raising=False)
    monkeypatch.setattr(session.cost, "measure", lambda net: done.append("measured") or measure(net))
    begun(*["--compile"] * compiled, "--steps", 1, "--val-batches", 0)
    assert done == (["compiled"] if compiled else ["measured"])
