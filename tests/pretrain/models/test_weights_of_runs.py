"""Which files of a run folder are its checkpoints, what is left beside them, and what its exported weights tell."""

import json
import os

import pytest
import torch

from pretrain.models import checkpoint, hub


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_those_of_a_folder_are_in_order_and_the_best_last(tmp_path):
    for name in ("best.pt", "checkpoint.pt", "checkpoint.2.pt", "checkpoint.1.pt", "other.pt", "checkpoint.txt"):
        (tmp_path / name).touch()
    found = [path.name for path in checkpoint.those_in(str(tmp_path))]
    assert found == ["checkpoint.1.pt", "checkpoint.2.pt", "checkpoint.pt", "best.pt"]


def test_a_name_of_a_folder_means_its_best_else_its_newest(tmp_path):
    assert checkpoint.locate(tmp_path) == tmp_path / "checkpoint.pt"
    (tmp_path / "best.pt").touch()
    assert checkpoint.locate(str(tmp_path)) == tmp_path / "best.pt"
    assert checkpoint.locate(tmp_path / "x.pt") == tmp_path / "x.pt"


def test_saving_makes_the_folder_and_deletes_what_killed_runs_left(tmp_path):
    folder = tmp_path / "a" / "b"
    checkpoint.save(folder, {"step": 1}, best=True)
    for name in ("best.pt", "checkpoint.pt"):
        (folder / f".{name}.{2**30}.part").touch()
    (folder / "checkpoint.7.pt").touch()
    assert checkpoint.save(str(folder), {"step": 2}) == folder / "checkpoint.pt"
    assert names(folder) == ["best.pt", "checkpoint.1.pt", "checkpoint.pt"]
    assert os.stat(folder / "best.pt").st_ino == os.stat(folder / "checkpoint.1.pt").st_ino, "one file, two names"


def test_what_is_written_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done = []
    original = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: done.append(("sync", os.fstat(file).st_size)) or original[0](file))
    monkeypatch.setattr(os, "replace", lambda old, new: done.append(("name", new.name)) or original[1](old, new))
    path = checkpoint.save(tmp_path, {"step": 1, "w": torch.zeros(1000)})
    assert done == [("sync", path.stat().st_size), ("name", "checkpoint.pt")]
    done.clear()
    for _ in range(2):
        checkpoint.save(tmp_path, {"step": 2})
    assert [each for each in done if each[0] == "name"][2:] == [
        ("name", "checkpoint.2.pt"), ("name", "checkpoint.1.pt"), ("name", "checkpoint.pt")
    ]  # fmt: skip


@pytest.mark.parametrize("content", [{"format": 0}, {"format": "2"}, [1], {"format": None}])
def test_other_forms_are_not_of_this_version(tmp_path, content):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"a\.pt is not a checkpoint of this version \(format 1\)$") as told:
        checkpoint.read(tmp_path / "a.pt")
    assert type(told.value) is ValueError


def test_what_a_folder_of_weights_says_of_its_run():
    score = {"value": 0.5, "low": 0.25, "high": None, "constant": 1, "samples": 8, "videos": 4, "classes": {}, "x": 3}
    config = {name: name.upper() for name in ("task", "classes", "deviations", "precision", "commit", "versions")}
    state = {
        "config": {**config, "flags": {"recipe": "bsp", "fit": "short"}, "fps": 10, "extract_fps": 5, "other": 1},
        "step": 7,
        "last": {"step": 7, "loss": 0.5, "kind": score},
    }
    kept = {"value": 0.5, "low": 0.25, "constant": 1, "samples": 8, "videos": 4}
    about = {"recipe": "bsp", "fps": 5, "fit": "short", "step": 7, "numbers": {"kind": kept}}
    assert checkpoint._about(state) == {**config, **about}
    assert checkpoint._about({"config": {"fps": 10}, "last": None}) == {
        "recipe": "", "fps": 10, "fit": None, "step": None, "numbers": {}
    }  # fmt: skip


@pytest.fixture
def spied(monkeypatch, tmp_path):
    """`export` of a run of bsp, whose model writes its words; the folder, and what was asked for."""
    asked = []

    class Model(torch.nn.Linear):
        def save_pretrained(self, folder):
            folder.mkdir()
            (folder / "about.json").write_text(json.dumps(self.about))

    monkeypatch.setattr(checkpoint, "encoder", lambda name, **how: asked.append((name, how)) or Model(1, 1))
    model = {f"encoder.{k}": v for k, v in torch.nn.Linear(1, 1).state_dict().items()}
    config = {"task": "bsp", "encoder": {"name": "r2plus1d_34", "frames": 4, "size": 32}}
    checkpoint.save(tmp_path / "run", {"config": config, "model": model, "step": 3}, best=True)
    return tmp_path, asked


def test_weights_are_exported_all_at_once_over_what_was_there(spied):
    folder, asked = spied
    out = folder / "weights"
    for name in (".weights.part", ".weights.old", "weights"):
        (folder / name).mkdir()
        (folder / name / "rest").touch()
    checkpoint.export(str(folder / "run"), str(out))
    assert names(folder) == ["run", "weights"]
    assert names(out) == ["about.json"]
    assert json.loads((out / "about.json").read_text())["step"] == 3
    best = folder / "run" / "best.pt"
    assert asked == [("r2plus1d_34", {"init": best, "frames": 4, "size": 32})], "its shapes come from the best"
    checkpoint.export(folder / "run", folder / "new")
    assert names(folder) == ["new", "run", "weights"]


def test_a_folder_of_weights_is_read_without_asking_the_hub(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(hub, "is_folder", lambda path: True)
    monkeypatch.setattr(checkpoint.Encoder, "from_pretrained", lambda path, **how: asked.append((path, how)) or "net")
    assert checkpoint.load_encoder(tmp_path) == "net"
    assert asked == [(tmp_path, {"local_files_only": True})]
