"""The run folder: complete files, a log that can be rewound, TensorBoard events."""

import errno
import io
import json
import math
import os
import sys
import warnings

import pytest
import torch

from pretrain.common.environment import environment
from pretrain.training.run_folder import RunFolder


def test_json_is_standard_and_whole(tmp_path):
    record = RunFolder(tmp_path / "run")
    record.json("summary.json", {"a": math.nan, "b": (1, math.inf, "x"), 3: {"c": None, "d": True}, "e": tmp_path})
    text = (tmp_path / "run" / "summary.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {
        "a": None,
        "b": [1, None, "x"],
        "3": {"c": None, "d": True},
        "e": str(tmp_path),
    }
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [".lock", "summary.json"]


def test_one_run_has_the_folder(tmp_path):
    pytest.importorskip("fcntl")
    first = RunFolder(tmp_path)
    with pytest.raises(ValueError, match=f"--out {tmp_path} is in use by another run"):
        RunFolder(tmp_path)
    RunFolder(tmp_path, writes=False).close()
    first.close()
    first.close()
    RunFolder(tmp_path).close()


def test_a_lock_that_the_disk_cannot_have_is_told(tmp_path, monkeypatch, capsys):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    RunFolder(tmp_path).close()
    assert f"{tmp_path} cannot be locked (No locks available)" in capsys.readouterr().err


def test_a_closed_terminal_ends_nothing(tmp_path, monkeypatch):
    class Closed(io.StringIO):
        def write(self, text):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        def isatty(self):
            return True

    record = RunFolder(tmp_path)
    monkeypatch.setattr(sys, "stderr", Closed())
    record.say("a line")
    for done in (1, 2):
        record.bar(10, done, "loss 0.5", "steps")
    record.close()
    assert isinstance(sys.stderr, Closed)


def test_rewind_drops_what_will_come_again_and_half_a_line(tmp_path):
    record = RunFolder(tmp_path)
    record.rewind(3)  # no log yet
    for step in range(1, 6):
        record.log({"step": step, "loss": 0.5})
    with open(tmp_path / "log.jsonl", "a") as file:
        file.write('{"step": 2, "lo')
    record.rewind(3)
    record.log({"step": 4, "loss": 0.25})
    assert [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()] == [1, 2, 3, 4]


def test_other_processes_write_nothing(tmp_path, capsys):
    record = RunFolder(tmp_path / "run", writes=False)
    record.json("config.json", {})
    record.log({"step": 1})
    record.rewind(0)
    record.say("hello")
    record.bar(10, 1, "", "steps")
    record.close()
    assert not (tmp_path / "run").exists()
    assert capsys.readouterr().err == ""


def test_bar_and_messages_go_to_standard_error(tmp_path, capsys):
    record = RunFolder(tmp_path)
    record.say("a line")
    record.bar(10, 3, "loss 0.5", "steps")
    record.close()
    assert "a line" in capsys.readouterr().err


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        record = RunFolder(tmp_path, tensorboard=True)
        record.log({"step": 7, "loss": 0.5, "validation": {"boundary": {"value": 0.75}}, "plans": "ab"})
        record.clips(7, torch.zeros(6, 3, 5, 8, 8), (0.5,) * 3, (0.25,) * 3)
        record.close()
        events = EventAccumulator(str(tmp_path)).Reload()
    assert set(events.Tags()["scalars"]) == {"loss", "validation/boundary/value"}
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(7, 0.5)]
    (image,) = events.Images("clips")
    assert (image.height, image.width) == (4 * 8, 5 * 8)


def test_tensorboard_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match=r"needs tensorboard: pip install 'gpuaug\[tensorboard\]'"):
        RunFolder(tmp_path, tensorboard=True)


def test_environment():
    about = environment(torch.device("cpu"))
    assert {"torch", "numpy", "gpuaug", "python"} <= set(about["versions"])
    assert about["machine"]["device"] == "cpu"
    assert about["commit"] is None or len(about["commit"].rstrip("+")) == 40
