"""Sessions that go on from another, begin anew where one was, or are not begun at all."""

import json
import shutil

import pytest

from pretrain.common.distributed import Group
from pretrain.training import session
from support.runs.painted_session import painted
from support.tiny_training import lines


def read(folder, name):
    return json.loads((folder / name).read_text())


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
