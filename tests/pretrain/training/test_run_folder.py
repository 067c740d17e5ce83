"""The run folder: complete files, a log that can be rewound, TensorBoard events."""

import csv
import errno
import io
import json
import math
import os
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import gpuaug
from pretrain.common.environment import environment
from pretrain.training import run_folder
from pretrain.training.run_folder import MOST_NAMED, RunFolder
from pretrain.training.scores import Wrong


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


def test_what_is_left_out_is_counted_by_reason_and_named_in_a_table(tmp_path, capsys):
    record = RunFolder(tmp_path)
    table = tmp_path / "skipped.csv"
    table.write_text("of an earlier run")
    record.skipped([], 5)
    assert not table.exists()
    assert capsys.readouterr().err == ""
    reasons = ["empty"] * 4 + ["cut off"] * 3 + ["too short"] * 2 + ["other", "last"]
    files = [(f"{k}, {reason}.mp4", reason) for k, reason in enumerate(reasons)]
    record.skipped(files, 1200, hint="; a hint")
    told = "11 of 1,200 left out: 4 empty; 3 cut off; 2 too short; 2 for other reasons; a hint; "
    assert capsys.readouterr().err == f"{told}{table} names them\n"
    with open(table, newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["path", "reason"], *map(list, files)]
    record.skipped(files[:9], 9)
    assert capsys.readouterr().err == f"9 of 9 left out: 4 empty; 3 cut off; 2 too short; {table} names them\n"
    record.close()
    RunFolder(tmp_path / "other", writes=False, speaks=True).skipped(files[:1], 9)
    assert capsys.readouterr().err == "1 of 9 left out: 1 empty\n"
    assert not (tmp_path / "other").exists()


def test_what_is_noticed_on_the_way_is_said_once_and_of_many_the_first(tmp_path, capsys):
    record = RunFolder(tmp_path)
    record.name("skipped", [("a", "empty"), ("a", "again"), ("b", "cut off")])
    record.name("skipped", [("a", "empty"), ("c", "empty")])
    record.name("still used:", [("a", "changed")])
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["skipped a: empty", "skipped b: cut off", "skipped c: empty", "still used: a: changed"]
    record.name("skipped", [(f"f{k}", "empty") for k in range(MOST_NAMED)])
    assert len(capsys.readouterr().err.splitlines()) == MOST_NAMED == 10
    record.name("skipped", [(f"g{k}", "empty") for k in range(MOST_NAMED + 2)])
    lines = capsys.readouterr().err.splitlines()
    assert lines[9:] == ["skipped g9: empty", "skipped 2 other files"]
    record.close()


def test_few_samples_are_shown_as_rows_of_frames_in_their_own_colours(tmp_path):
    shown = []
    record = RunFolder(tmp_path)
    record._board = SimpleNamespace(add_image=lambda *given: shown.append(given), close=lambda: None)
    clips = torch.arange(5.0)[:, None, None, None, None].expand(5, 3, 2, 1, 3).clone()
    clips[0, 0, 1] = 0.5  # red of the first sample's second frame
    record.clips(7, clips, (0.25, 0.5, 0.75), (0.5, 0.25, 0.125))
    ((name, rows, step),) = shown
    assert (name, step, rows.shape) == ("clips", 7, (3, 4, 6))
    assert rows[:, 0].tolist() == [[0.25] * 3 + [0.5] * 3, [0.5] * 6, [0.75] * 6]
    assert rows[:, 2, 0].tolist() == [1.0, 1.0, 1.0]
    assert rows[:, 1, 0].tolist() == [0.75, 0.75, 0.875]
    record.close()
    RunFolder(tmp_path / "other").clips(7, clips, (0.0,) * 3, (1.0,) * 3)


@pytest.mark.parametrize(("count", "kept"), [(1, 1), (16, 16), (31, 16), (32, 16), (33, 16), (48, 16), (50, 16)])
def test_long_samples_are_kept_as_sixteen_frames(count, kept, tmp_path):
    frames = np.zeros((count, 8, 8, 3), np.uint8)
    wrong = Wrong("kind", "cut", "none", 1, frames)
    record = RunFolder(tmp_path)
    record.wrong([wrong], [gpuaug.Segment("x/a.mp4", 0.0, 1.0, 0, 0), gpuaug.Segment("x/b.mp4", 2.5, 4.0, 0, 1)])
    with Image.open(tmp_path / "wrong.jpg") as picture:
        assert (picture.format, picture.size) == ("JPEG", (8 * kept, 8))
    told = json.loads((tmp_path / "wrong.json").read_text())["samples"]
    assert told == [{"score": "kind", "truth": "cut", "prediction": "none", "video": "b.mp4", "start_seconds": 2.5}]
    record.wrong([], [])
    assert not (tmp_path / "wrong.jpg").exists()
    assert json.loads((tmp_path / "wrong.json").read_text()) == {"samples": []}
    record.close()


def test_a_bar_counts_what_the_run_is_measured_in(tmp_path, monkeypatch):
    made = []

    class Bar:
        def __init__(self, **how):
            self.how, self.n, self.text = how, how["initial"], ""
            made.append(self)

        def set_postfix_str(self, text, refresh):
            self.text = (text, refresh)

        def close(self):
            self.n = "closed"

    monkeypatch.setattr(run_folder, "tqdm", Bar)
    record = RunFolder(tmp_path)
    record.bar(10, 3, "a", "steps")
    record.bar(10, 12, "b", "steps")
    (bar,) = made
    assert (bar.n, bar.text) == (10, ("b", True))
    assert (bar.how["total"], bar.how["initial"], bar.how["unit"]) == (10, 3, "steps")
    assert "{n:.0f}/{total:.0f} {unit}" in bar.how["bar_format"]
    record.close()
    assert bar.n == "closed"
    record.bar(2.5, 0.5, "a", "min")
    assert "{n:.1f}/{total:.1f} {unit}" in made[1].how["bar_format"]
    for quiet in (RunFolder(tmp_path / "q", quiet=True), RunFolder(tmp_path / "w", writes=False)):
        quiet.bar(1, 0, "", "steps")
    assert len(made) == 2
