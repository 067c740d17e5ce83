"""Results of benchmarks: their schema, and that docs/benchmarks.md shows what they say."""

from __future__ import annotations

import doctest
import json
import os
import re
import time

import av
import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import common, decode, feed, render, scale, table, training, videos, windows
from benchmarks.study import run as study_run
from benchmarks.study import table as study_table

FILES = sorted((common.ROOT / "results").rglob("*.json"))
KEYS = {"suite", "version", "commit", "machine", "threads", "system", "versions", "facts", "results"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_schema(path):
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record.keys() == KEYS
    assert path.name == f"{record['suite']}--{record['machine']}.json"
    assert path.parent.name == record["version"]
    assert re.fullmatch(r"[0-9a-f]{7,40}\+?", record["commit"])
    assert record["versions"]["torch"]
    assert record["results"]
    names = [row["name"] for row in record["results"]]
    assert len(set(names)) == len(names)
    for row in record["results"]:
        assert row["unit"] in ("ms", "s", "×", "frames/s", "samples/s", "GB/s", "MiB", "%")
        assert row["median"] > 0 or row["unit"] == "%"
        assert row["iqr"] >= 0
        assert row["n"] >= 1


def test_the_page_shows_the_results():
    if not FILES:
        pytest.skip("benchmarks/results holds no JSON")
    text, records = table.PAGE.read_text(encoding="utf-8"), table.records()
    assert table.table(records) in text
    assert table.steps(records) in text


def test_readme_says_once_whether_a_gpu_was_measured():
    """At its beginning, and in no cell: what was not measured is left out of the tables."""
    text = (table.PAGE.parents[1] / "README.md").read_text(encoding="utf-8")
    said = "Nothing here was measured on a GPU"
    assert text.count(said) == (0 if table.measured_on_gpu(table.records()) else 1)
    assert said in text.partition("\n## ")[0] or table.measured_on_gpu(table.records())
    assert "not measured" not in text + table.PAGE.read_text(encoding="utf-8")


def test_a_column_for_each_device_that_was_measured():
    row = {"name": "render", "unit": "×", "median": 2.5, "iqr": 0.1, "n": 9}
    step = {**row, "name": f"r3d{table.STEP}", "limit": "encoder"}
    cpu, gpu, study = ({"suite": name, "machine": "m", "commit": "c"} for name in ("a_cpu", "a_cuda", "study"))
    records = [{**cpu, "results": [row, step]}, {**gpu, "results": [{**row, "median": 7}, {**step, "median": 1.5}]}]
    both, steps = (make(records).splitlines() for make in (table.table, table.steps))
    assert both[1:] == [
        "| suite | what | times as fast: CPU | GPU | IQR, n | machine, commit |",
        "|---|---|---|---|---|---|",
        "| a | render | 2.50 |  | 0.10, 9 | m, c |",
        "| a | render |  | 7.00 | 0.10, 9 | m, c |",
        table.END,
    ]
    assert steps[4] == "| r3d |  | 1.50 | 0.10, 9 | m, c | encoder |"
    for some, name in ((records[:1], "CPU"), (records[1:], "GPU")):
        head = f"| suite | what | times as fast: {name} | IQR, n | machine, commit |"
        assert table.table(some).splitlines()[1] == head
        assert table.measured_on_gpu([*some, {**study, "results": []}]) == (name == "GPU")


def test_a_table_is_replaced_in_its_place():
    text = table.put("before\n", f"{table.BEGIN}\nold\n{table.END}") + "after\n"
    new = f"{table.BEGIN}\nnew\n{table.END}"
    assert table.put(text, new) == f"before\n\n{new}\nafter\n"


def test_every_benchmark_is_run():
    files = {path.stem for path in common.ROOT.glob("*.py") if "= common.Suite(" in path.read_text(encoding="utf-8")}
    assert files == set(command.QUESTIONS + command.BY_NAME)


def test_one_that_fails_does_not_stop_the_others(monkeypatch, capsys):
    monkeypatch.setattr(command, "QUESTIONS", ("bad", "good"))
    monkeypatch.setattr(command, "run", lambda name, device, own: name == "good")
    assert command.main([]) == 1
    assert capsys.readouterr().out == "1 of 2 benchmarks done; failed: bad\n"


def test_a_single_one_is_given_its_own_options(monkeypatch):
    asked = []
    monkeypatch.setattr(command, "run", lambda *given: asked.append(given) or True)
    assert command.main(["transitions", "--threads", "1", "--rounds", "3"]) == 0
    assert asked == [("transitions", "cpu", ["--threads", "1", "--rounds", "3"])]


def test_wrong_usage_is_one_line(capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(["nothing"])
    assert "NAMES must be of" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        command.main(["edits", "transitions", "--threads", "1"])
    assert "need its name alone before them, got --threads 1" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        suite().parse(["--rounds", "0"])
    assert capsys.readouterr().err.endswith("--rounds must be >= 1, got 0\n")


def suite(*flags, **options):
    made = common.Suite("some", "Title.\n\nWhat was\ndone.", {"cpu": 3, "cuda": 5}, **options)
    if flags:
        made.parse(flags)
    return made


def test_a_suite_saves_what_it_found(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv(common.RESULTS, str(tmp_path))
    made = suite("--device", "cpu", saved_as="other")
    assert made.rounds == 3
    seconds = common.measure({"ours": lambda: None, "theirs": lambda: time.sleep(0.001)}, rounds=made.rounds)
    made.times("case", seconds)
    made.against("case", seconds, "ours", "theirs")
    made.row("case: bytes", "GB/s", np.array([1.0, 2.0, 5.0]), limit="memory")
    assert made.peer("no_such_library") is None
    assert made.finish() == 0
    (path,) = tmp_path.iterdir()
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record.keys() == KEYS
    assert record["suite"] == "other_cpu"
    assert path.name == f"other_cpu--{record['machine']}.json"
    assert record["facts"] == {
        "work": "What was done.",
        "left_out": {"no_such_library": "No module named 'no_such_library'"},
    }
    rows = {row["name"]: row for row in record["results"]}
    assert list(rows) == ["case: ours", "case: theirs", "case: ours against theirs", "case: bytes"]
    assert rows["case: theirs"]["median"] > 1
    assert rows["case: ours against theirs"]["median"] > 1
    assert rows["case: bytes"] == {
        "name": "case: bytes", "unit": "GB/s", "median": 2.0, "iqr": 2.0, "n": 3, "limit": "memory",
    }  # fmt: skip
    assert str(path) in capsys.readouterr().out


@pytest.mark.parametrize("flag", ["--no-save", "--smoke"])
def test_only_printed(flag, monkeypatch, tmp_path):
    monkeypatch.setenv(common.RESULTS, str(tmp_path))
    made = suite(flag, smoke=True)
    made.row("a", "ms", np.ones(1))
    assert made.finish() == 0
    assert not list(tmp_path.iterdir())
    assert made.rounds == (5 if flag == "--smoke" else 3), "--smoke runs what a GPU is asked"


def test_videos(tmp_path):
    path = videos.write(tmp_path / "a.mp4", 4, height=64, width=86, frames=9)
    with av.open(path) as container:
        frames = list(container.decode(video=0))
    assert [(frame.height, frame.width) for frame in frames] == [(64, 86)] * 9
    assert [k for k, frame in enumerate(frames) if frame.key_frame] == [0, 4, 8]
    first, last = (frame.to_ndarray(format="rgb24").astype(int) for frame in (frames[0], frames[-1]))
    assert np.abs(last - first).mean() > 10, "the camera moves"


@pytest.mark.parametrize(
    "module", [common, table, training, study_run, study_table], ids=lambda module: module.__name__
)
def test_examples_in_docstrings(module):
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "flags", "row"),
    [
        (decode, [], "libvpx-vp9, 96×64, GOP 30, whole files: gpuaug, PyAV, all cores"),
        (feed, ["--seconds", "0.1", "--reuse", "1"], "reuse 1"),
        (render, ["--no-compile"], "render, 4×8×128², K = 2: gpuaug against torch, sample by sample"),
        (windows, [], "windows of 16, pyav: at the end by at the start"),
        (scale, [], "ActivityNet, 40 videos: read by a second start"),
    ],
    ids=["decode", "feed", "render", "windows", "scale"],
)
def test_what_a_gpu_is_asked_runs_on_the_cpu(module, flags, row, capfd):
    pytest.importorskip("torchcodec")
    assert module.main(["--smoke", "--rounds", "1", *flags]) == 0
    assert re.search(rf"^{re.escape(row)} +\d+\.\d{{3}} ", capfd.readouterr().out, re.M)


def test_ready_videos_are_used_and_kept(monkeypatch, tmp_path):
    """A run on a borrowed machine encodes nothing; one that was cut short leaves no half file."""
    monkeypatch.setenv(videos.READY, str(tmp_path))
    with videos.dataset(2, 5) as made:
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
        assert len(before) == len(made.segments) == 2
    with videos.dataset(2, 5) as made:
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before
    first, second = before
    first.unlink()

    def broken(path, *_, **__):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(videos.gpuaug, "write_video", broken)
    with pytest.raises(KeyboardInterrupt), videos.dataset(2, 5):
        pass
    assert not first.exists()
    assert second.exists()
    monkeypatch.undo()
    with videos.dataset(1, 5) as made:
        passing = made.segments[0].path
    assert not os.path.exists(passing)


@pytest.mark.slow
def test_every_case_is_saved(monkeypatch, tmp_path):
    """What is done by the time a borrowed machine is given back is there."""
    saved = []
    monkeypatch.setattr(common.Suite, "save", lambda self: saved.append(len(self.rows)))
    assert render.main(["--smoke", "--rounds", "1", "--no-compile"]) == 0
    assert len(saved) == 4  # blend, K = 1, K = 2, and the end
    assert saved == sorted(saved)
    assert saved[0] < saved[1] < saved[2]


@pytest.mark.slow
def test_a_training_step_is_compared():
    made = suite("--rounds", "1")
    with videos.dataset(8, 90) as dataset:
        trainer = training.Trainer(training.Case("tsm_resnet18", 2, 8, 32, 15.0), dataset, "cpu")
        training.compare(made, trainer, [1, 8], 0.1)
    assert [trainer.stock(*given) for given in ((0, 8), (1, 1), (4, 1), (5, 1), (8, 8))] == [0, 1, 1, 2, 16]
    ends = ["frozen batch", *(f"reuse {n}{end}" for n in (1, 8) for end in ("", ", step / step on a frozen batch"))]
    assert [row["name"] for row in made.rows] == [f"tsm_resnet18, 8×32², batch 2: {end}" for end in ends]
