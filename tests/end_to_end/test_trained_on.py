"""What was trained on is known at the next step: localize and evaluate refuse it among what is held out."""

import json
from pathlib import Path

import numpy as np
import pytest

from pretrain.commands import evaluate as evaluate_command
from pretrain.commands import extract, localize
from pretrain.data import overlap
from pretrain.data.overlap import Named
from support import tiny_training
from support.planted import SMALL, plant
from support.tiny_extraction import film, install, tiny


@pytest.fixture
def _small(monkeypatch):
    tiny_training.install(monkeypatch.setattr)
    yield
    tiny_training.torch.set_num_threads(tiny_training.THREADS)


@pytest.mark.usefixtures("_small")
def test_a_run_says_what_it_was_trained_on_also_before(tmp_path):
    first, second = (tiny_training.make_videos(tmp_path / name, classes=2) for name in ("first", "second"))
    flags = ["--steps", 1, "--val-batches", 1]
    assert tiny_training.train("--videos", first, "--out", tmp_path / "a", *flags, "--mode", "action") == 0
    before = overlap.of_run(tmp_path / "a")
    assert before == overlap.of_run(tmp_path / "a" / "best.pt")
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    assert len(before) == summary["training_videos"]
    assert all(Path(video.path).is_relative_to(first) and not video.id for video in before)
    teachers = ["--mode", "distill", "--teacher-action", tmp_path / "a", "--teacher-boundary", tmp_path / "a"]
    assert tiny_training.train("--videos", second, "--out", tmp_path / "b", *flags, *teachers) == 0
    after = overlap.of_run(tmp_path / "b")
    assert set(before) < set(after)
    assert any(Path(video.path).is_relative_to(second) for video in after)


def test_features_say_what_their_networks_were_trained_on(tmp_path, monkeypatch):
    """By id where the annotations have one, by file where not; kept when more is extracted without the record."""
    install(monkeypatch.setattr)
    paths = [film(tmp_path / f"{name}.mp4", 20) for name in "abc"]
    (tmp_path / "init.pt").write_bytes(b"")
    record = tmp_path / overlap.RECORD
    record.write_text(json.dumps(overlap.stated([Named(str(paths[0])), Named("gone.mp4", "gone"), Named("other.mp4")])))
    monkeypatch.setattr(
        "pretrain.features.extractor.encoder", lambda name, *, init, frames, size: tiny(name, frames=frames)
    )
    words = ["--encoder", "tiny", "--init", tmp_path / "init.pt", "--out", tmp_path / "features", "--threads", 1]
    for count in (2, 3):
        assert extract.main([*map(str, ["--videos", *paths[:count], *words])]) == 0
        about = json.loads((tmp_path / "features" / "features.json").read_text())
        assert about["trained_on"] == ["a", "gone"]
        record.unlink(missing_ok=True)
    assert len(about["videos"]) == 3


def test_a_broken_record_is_one_line(tmp_path):
    (tmp_path / overlap.RECORD).write_text('{"videos": [1]}')
    with pytest.raises(ValueError, match=r'training_videos.json must be \{"videos": \[\[path, id\], …\]\}'):
        overlap.of_run(tmp_path / "best.pt")
    assert overlap.of_run(None) == overlap.of_run(tmp_path.parent / "nowhere") == []


@pytest.fixture
def planted(tmp_path):
    """Features of 24 training and 12 validation videos."""
    return plant(tmp_path / "planted")


def run_localize(folder, *more):
    files = ["--features", folder / "features", "--annotations", folder / "truth.json", "--out", folder / "out.json"]
    return localize.main([*map(str, [*files, "--task", "steps", *more])])


def state(folder, **more):
    """Add to the features' JSON file."""
    file = folder / "features" / "features.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | more))


def test_localize_refuses_videos_that_it_learns_from(planted, capsys):
    assert run_localize(planted, "--subset", "training") == 1
    rule = "localize: --subset must hold out videos that are not trained on as --train-subset: 24 of the 24 are"
    assert capsys.readouterr().err.startswith(f"{rule}, the first is video0\n")
    entries = json.loads((planted / "truth.json").read_text())["database"]
    eleven = "v_abcdefghijk"  # with and without the prefix of ActivityNet's files it is one video
    np.save(planted / "features" / f"{eleven}.npy", np.zeros((40, 12), np.float32))
    entries |= {eleven: entries["video0"], eleven[2:]: entries["video30"]}
    (planted / "truth.json").write_text(json.dumps({"database": entries}))
    assert run_localize(planted) == 1
    assert "1 of the 13 are, the first is abcdefghijk\n" in capsys.readouterr().err
    assert not (planted / "out.json").exists()


def test_localize_refuses_one_file_under_two_names(planted, capsys, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"film")
    (tmp_path / "b.mp4").symlink_to(tmp_path / "a.mp4")
    state(planted, videos={"video0": {"path": str(tmp_path / "a.mp4")}, "video30": {"path": str(tmp_path / "b.mp4")}})
    assert run_localize(planted) == 1
    assert "as --train-subset: 1 of the 12 are, the first is video30\n" in capsys.readouterr().err


def test_localize_refuses_what_the_networks_were_trained_on(planted, capsys):
    state(planted, trained_on=["video1", "video30", "video31", "other"])
    assert run_localize(planted) == 1
    rule = f"not trained on by the networks that made {planted / 'features'}: 2 of the 12 are, the first is video30"
    assert f"localize: --subset must hold out videos that are {rule}\n" == capsys.readouterr().err


@pytest.mark.parametrize("task", ["steps", "detection"])
def test_evaluate_refuses_what_was_trained_on(planted, capsys, tmp_path, task):
    state(planted, trained_on=["video1", "other"])
    more = [*SMALL, "--task", task, "--length", 20, "--epochs", 1]
    more += ["--proposals", planted / "bare.json"] if task == "detection" else []
    assert run_localize(planted, *more) == 0
    training = [f"video{k}" for k in range(24)]
    pairs = [(task, planted / "out.json")] + [("proposals", planted / "bare.json")] * (task == "detection")
    for kind, file in pairs:
        assert json.loads(file.read_text())["external_data"]["trained_on"] == sorted([*training, "other"])
        words = [kind, "--truth", planted / "truth.json", "--predictions", file]
        capsys.readouterr()
        assert evaluate_command.main([*map(str, words)]) == 0
        assert evaluate_command.main([*map(str, [*words, "--subset", "all"])]) == 1
        error = capsys.readouterr().err
        rule = f"evaluate: --truth must hold out videos that are not trained on by what made {file}: 24 of the 36 are"
        assert error == f"{rule}, the first is video0; --subset or --exclude leaves them out\n"
    if task == "detection":
        (tmp_path / "blocked.json").write_text(json.dumps(training))
        assert (
            evaluate_command.main([*map(str, [*words, "--subset", "all", "--exclude", tmp_path / "blocked.json"])]) == 0
        )


def test_other_external_data_say_nothing_and_a_broken_list_is_one_line(planted, capsys):
    """Predictions of others have any content in this field."""
    words = ["--truth", planted / "truth.json", "--predictions", planted / "out.json"]
    for external in ("none", [], {"used": True, "details": "ImageNet"}):
        (planted / "out.json").write_text(json.dumps({"results": {}, "external_data": external}))
        assert overlap.of_predictions(planted / "out.json") == []
        assert evaluate_command.main([*map(str, ["detection", *words])]) == 0
    capsys.readouterr()
    content = {"results": {}, "segment_seconds": 0.2, "external_data": {"trained_on": [3]}}
    (planted / "out.json").write_text(json.dumps(content))
    for task in ("steps", "detection"):
        assert evaluate_command.main([*map(str, [task, *words])]) == 1
        assert "out.json: external_data: trained_on must be ids of videos, got 3\n" in capsys.readouterr().err
