"""A whole run, of an encoder of one layer over painted frames: what it hands on, says and leaves behind."""

import json
import shutil
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch
from torch import nn

import gpuaug
from gpuaug.video.manifest import Video
from pretrain.common.distributed import Group
from pretrain.data.dataset import Dataset
from pretrain.data.overlap import RECORD
from pretrain.models import checkpoint
from pretrain.models.encoders import Encoder
from pretrain.models.networks import Default
from pretrain.models.weights import Loaded
from pretrain.training import about, session
from pretrain.training.run_folder import RunFolder
from pretrain.training.settings import parse
from support.tiny_training import lines

FLAGS = "--task tsp --frames 4 --window-frames 4 --windows-per-segment 1 --clips-per-segment 2 --fps 10 --size 8"
FLAGS += " --bank-size 9 9 --batch 4 --reuse-max 2 --deterministic --threads 1 --quiet --log-every 1"
FLAGS += " --precision fp32 --lr 0.01 --videos x --checkpoint-every 2"


class Means(nn.Module):
    """(N, 3): the mean colour; a layer, so that there is something to learn."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, clip_NCTYX):
        return self.layer(clip_NCTYX.mean((2, 3, 4)))


def tiny(name, *, init=None, frames=None, size=None):
    return Encoder(name, Means(), 3, Default(4, 8, 10.0), frames or 4, size or 8)


def painted(first, count, seconds=2.0):
    """Segments of the stand-in decoder's videos: their paths are numbers."""
    paths = [f"/painted/{k}" for k in range(first, first + count)]
    segments = [gpuaug.Segment(path, 0.0, seconds, k % 2, k) for k, path in enumerate(paths)]
    return Dataset(segments, ["run", "sit"], [Video(path) for path in paths])


@pytest.fixture
def begun(tmp_path, decoder, monkeypatch):
    """A function of more flags that runs a session: its status; `asked` has what the encoder was made with."""
    asked = []
    monkeypatch.setattr(session, "encoder", lambda *given, **more: asked.append((given, more)) or tiny(*given, **more))
    monkeypatch.setattr(checkpoint, "encoder", tiny)
    monkeypatch.setattr(session, "check_files", lambda settings: None)
    monkeypatch.setattr(about, "environment", lambda device: {"commit": "abc", "versions": {}})

    def run(*words, data=None, group=None, folder="run", read=None):
        length = [] if "--minutes" in words else ["--steps", 3]
        line = [*FLAGS.split(), "--out", tmp_path / folder, *length, *words]
        settings, task, _ = parse(list(map(str, line)), prog="train")
        data = data or (painted(0, 8), painted(20, 4))
        monkeypatch.setattr(session, "read_data", read or (lambda *given: data))
        group = group or Group()
        record = RunFolder(settings.run.out, writes=group.main, quiet=True)
        try:
            return session.run(settings, task, device=torch.device("cpu"), group=group, record=record)
        finally:
            record.close()

    run.asked = asked
    return run


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


def test_a_run_that_goes_on_says_so_and_ends_as_one(begun, tmp_path, capsys):
    assert begun("--steps", 4, folder="whole") == "finished"
    assert begun("--steps", 2) == "finished"
    shutil.rmtree(tmp_path / "run/weights")
    with open(tmp_path / "run/log.jsonl", "a") as file:
        file.write('{"step": 3, "loss": 7}\n')
    capsys.readouterr()
    assert begun("--steps", 4, "--resume") == "finished"
    told = capsys.readouterr().err.splitlines()
    assert "resumed after step 2" in told
    assert (tmp_path / "run/weights/model.safetensors").exists()
    a, b = ([(row["step"], row["loss"], row["plans"]) for row in lines(tmp_path / each) if "loss" in row]
            for each in ("whole", "run"))  # fmt: skip
    assert a == b
    shutil.rmtree(tmp_path / "run/weights")
    assert begun("--steps", 4, "--resume") == "finished"
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"{tmp_path / 'run'} had finished after step 4: nothing was left to do"
    )
    assert not (tmp_path / "run/weights").exists(), "a run that was over is left as it is"
    with pytest.raises(
        ValueError, match=r"^--videos, --annotations, --subset and what is held out must be as in the run"
    ):
        begun("--steps", 6, "--resume", data=(painted(1, 8), None))


def test_another_run_over_an_old_one(begun, tmp_path, capsys):
    begun("--steps", 3, "--keep", 2)
    with pytest.raises(
        ValueError, match=r"holds a run already; give --resume .* to delete checkpoint.1.pt, checkpoint.pt"
    ):
        begun("--steps", 1)
    begun("--steps", 1, "--overwrite", "--checkpoint-every", 5)
    assert sorted(path.name for path in (tmp_path / "run").glob("*.pt")) == ["best.pt", "checkpoint.pt"]
    assert [row["step"] for row in lines(tmp_path / "run")] == [1, 1], "its log begins anew: a step, a validation"


def test_what_is_foreseen_is_of_the_steps_left_and_may_refuse(begun, tmp_path, monkeypatch, capsys):
    asked = []

    def foresee(settings, task, model, loader, steps, each, *, beside):
        asked.append((steps, each.seconds > 0, beside, loader.report()["slots"] > 0))
        return ["so it will be"]

    monkeypatch.setattr(session, "foresee", foresee)
    begun("--steps", 2)
    assert capsys.readouterr().err.splitlines()[1] == "so it will be"
    begun("--steps", 3, "--resume")
    begun("--minutes", 0.0001, "--overwrite")
    assert asked == [(2, True, 1, True), (1, True, 1, True), (0, True, 1, True)]
    begun("--minutes", 0.0001, "--resume")
    assert len(asked) == 3, "nothing is left to foresee"

    def refuse(*given, **more):
        raise ValueError("too much")

    monkeypatch.setattr(session, "foresee", refuse)
    with pytest.raises(ValueError, match=r"^too much$"):
        begun(folder="other")
    assert not (tmp_path / "other/config.json").exists()


def test_a_run_says_no_epochs_where_its_length_is_in_minutes(begun, capsys):
    assert begun("--minutes", 0.0001) == "finished"
    assert [line for line in capsys.readouterr().err.splitlines() if " epochs, " in line] == []
    with pytest.raises(ValueError, match=r"^--minutes is for one process; use --steps or --epochs with several$"):
        begun("--minutes", 1, group=Group(0, 2), folder="other")


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


def test_a_folder_without_a_checkpoint_is_begun(begun, tmp_path, capsys):
    assert begun("--resume", "--steps", 1) == "finished"
    assert "resumed" not in capsys.readouterr().err
    for name in ("checkpoint.pt", "checkpoint.1.pt"):
        (tmp_path / "run" / name).unlink(missing_ok=True)
    with pytest.raises(
        ValueError, match=r"has no checkpoint to resume, only best.pt \(--init .*best.pt and another --out"
    ):
        begun("--resume", "--steps", 1)


def test_a_damaged_checkpoint_is_passed_over_and_named(begun, tmp_path, capsys):
    begun("--steps", 3)
    (tmp_path / "run/checkpoint.pt").write_bytes(b"PK")
    begun("--steps", 4, "--resume")
    told = capsys.readouterr().err
    assert f"passed over: {tmp_path / 'run/checkpoint.pt'} is damaged" in told
    assert "resumed after step 2" in told


# ---- which segments ------------------------------------------------------------------------------------------------


@pytest.fixture
def data_of(tmp_path, monkeypatch):
    """A function of what `read_videos` and `read_annotations` find, and of flags: what `read_data` gives, and says."""

    def given(*words, videos=None, annotated=None, held=None):
        calls, found = [], {"videos": videos, "annotated": annotated, "held": held}

        def read_videos(paths, *, cache):
            calls.append((tuple(paths), cache))
            return found["held"] if tuple(paths) == ("w",) else found["videos"]

        def read_annotations(path, folder, **more):
            calls.append((path, folder, more))
            return found["held"] if folder == "w" or more["subset"] == "val" else found["annotated"]

        monkeypatch.setattr(session, "read_videos", read_videos)
        monkeypatch.setattr(session, "read_annotations", read_annotations)
        monkeypatch.setattr(session, "training_subset", lambda path: "training" if "own" not in path else None)
        line = ["--task", "tsp", "--out", tmp_path / "out", "--videos", "x", "--fps", 10, *words]
        settings, task, _ = parse(list(map(str, line)), prog="train")
        said = []
        record = SimpleNamespace(say=said.append, skipped=lambda files, total, hint: said.append((files, total, hint)))
        return session.read_data(settings, task, Group(), record), calls, said

    return given


def test_segments_that_are_too_short_are_left_out_and_said(data_of):
    """A clip of 16 frames at 10 per second takes 1.6 s."""
    data = painted(0, 4)
    data.segments[1] = gpuaug.Segment("/painted/1", 0.5, 2.09, 1, 1)
    data.segments[2] = gpuaug.Segment("/painted/2", 0.0, 1.6, 0, 2)
    data.skipped.append(("z.mp4", "empty"))
    (train, held), calls, said = data_of("--val-batches", 0, "--cache", "c", videos=data)
    assert [segment.path for segment in train.segments] == ["/painted/0", "/painted/2", "/painted/3"]
    assert [segment.video for segment in train.segments] == [0, 1, 2]
    assert (held, calls) == (None, [(("x",), "c")])
    lost = [("z.mp4", "empty"), ("/painted/1 at 0.50 s", "shorter than 16 frames at 10 per second")]
    assert train.skipped == lost
    assert said[0] == (lost, 5, "; --fps 10 asks for 1.60 s, a higher one for less")
    assert said[1] == "training: 3 videos, 2 classes; 3 segments, all labelled; 2 skipped"
    whole = data_of("--val-batches", 0, "--window-placement", "whole", "--windows-per-segment", 1, videos=data)
    assert len(whole[0][0].segments) == 4, "a whole segment has all frames, however short"
    assert whole[2][0] == ([("z.mp4", "empty")], 5, "")


def test_no_segment_left_names_the_last_reason(data_of):
    short = painted(0, 2, seconds=1.0)
    with pytest.raises(ValueError, match=r"none is left: shorter than 16 frames at 10 per second$"):
        data_of("--val-batches", 0, videos=short)


def test_a_share_is_held_out_of_itself(data_of):
    (train, held), _, said = data_of("--holdout", 0.25, "--seed", 3, videos=painted(0, 16))
    assert (len(train.videos), len(held.videos)) == (12, 4)
    assert said[-1] == "held out: 4 videos, 2 classes; 4 segments, all labelled"
    again = data_of("--holdout", 0.25, "--seed", 4, videos=painted(0, 16))[0]
    assert [v.path for v in again[1].videos] != [v.path for v in held.videos]


def test_held_out_videos_are_read_by_their_own_flags(data_of):
    (train, held), calls, _ = data_of("--val-videos", "w", videos=painted(0, 4), held=painted(10, 3))
    assert (len(train.videos), len(held.videos)) == (4, 3)
    assert calls == [(("x",), None), (("w",), None)]
    other = painted(10, 3)
    other.classes = ["run", "stand"]
    with pytest.raises(
        ValueError, match=r"--val-videos must have the classes of --videos, got \['run', 'stand'\], not"
    ):
        data_of("--val-videos", "w", videos=painted(0, 4), held=other)
    with pytest.raises(ValueError, match="--val-videos") as told:
        data_of("--val-videos", "w", videos=painted(0, 4), held=painted(3, 3))
    assert "--val-subset" not in str(told.value)


def test_annotations_and_their_subsets(data_of):
    words = ["--annotations", "a.json", "--background", "none", "--cache", "c", "--val-batches", 0]
    usual = {"classes": None, "background": "none", "cache": "c"}
    _, calls, said = data_of(*words, annotated=painted(0, 4))
    assert calls == [("a.json", "x", {"subset": "training", **usual})]
    assert said[0] == "training on the subset training; --subset names another, or all"
    assert data_of(*words, "--subset", "all", annotated=painted(0, 4))[1][0][2]["subset"] is None
    _, calls, said = data_of(*words, "--subset", "mine", annotated=painted(0, 4))
    assert calls[0][2]["subset"] == "mine"
    assert not any("training on" in str(line) for line in said)
    words[1] = "own.csv"
    _, calls, said = data_of(*words, annotated=painted(0, 4))
    assert calls[0][2]["subset"] is None
    assert not any("training on" in str(line) for line in said)
    with pytest.raises(ValueError, match=r"^--videos must be one folder where there are annotations, got 2 paths$"):
        data_of(*words, "--videos", "x", "y", annotated=painted(0, 4))


def test_held_out_annotations_take_the_training_classes(data_of):
    words = ["--annotations", "a.json", "--val-subset", "val"]
    _, calls, _ = data_of(*words, annotated=painted(0, 4), held=painted(10, 3))
    assert [(file, folder, how["subset"], how["classes"]) for file, folder, how in calls] == [
        ("a.json", "x", "training", None), ("a.json", "x", "val", ["run", "sit"])
    ]  # fmt: skip
    words += ["--val-annotations", "b.json", "--val-videos", "w"]
    _, calls, _ = data_of(*words, annotated=painted(0, 4), held=painted(10, 3))
    assert calls[1][:2] == ("b.json", "w")
    with pytest.raises(ValueError, match="; --val-subset or --val-annotations tells them apart"):
        data_of("--annotations", "a.json", "--val-videos", "w", annotated=painted(0, 4), held=painted(3, 3))


def test_classes_without_a_segment_are_named(data_of):
    data = painted(0, 4)
    data.classes = ["fall", "jump", "run"]
    data.segments = [gpuaug.Segment(s.path, 0.0, 2.0, 2, s.video) for s in data.segments]
    said = data_of("--val-batches", 0, videos=data)[2]
    assert "nothing to train on of 2 classes: fall, jump" in said
