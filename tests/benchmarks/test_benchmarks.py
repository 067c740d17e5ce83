"""Results of benchmarks: their schema, and that README shows what they say."""

from __future__ import annotations

import json
import re

import pytest

from benchmarks import __main__ as command
from benchmarks import common, table

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
        assert row["unit"] in ("ms", "×", "frames/s", "samples/s", "GB/s", "%")
        assert row["median"] > 0 or row["unit"] == "%"
        assert row["iqr"] >= 0
        assert row["n"] >= 1


def test_readme_shows_the_results():
    if not FILES:
        pytest.skip("benchmarks/results holds no JSON")
    text, records = table.README.read_text(encoding="utf-8"), table.records()
    assert table.table(records) in text
    assert table.steps(records) in text


def test_readme_says_once_whether_a_gpu_was_measured():
    """At its beginning, and in no cell: what was not measured is left out of the tables."""
    text = table.README.read_text(encoding="utf-8")
    said = "Nothing here was measured on a GPU"
    assert text.count(said) == (0 if table.measured_on_gpu(table.records()) else 1)
    assert said in text.partition("\n## ")[0] or table.measured_on_gpu(table.records())
    assert "not measured" not in text


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


def test_one_that_fails_does_not_stop_the_others(monkeypatch, capsys):
    monkeypatch.setattr(command, "find", lambda device: ["bad_cpu", "good_cpu"])
    monkeypatch.setattr(command, "run", lambda name: name == "good_cpu")
    assert command.main([]) == 1
    assert capsys.readouterr().out == "1 of 2 benchmarks done; failed: bad_cpu\n"


def test_wrong_usage_is_one_line(capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(["nothing"])
    assert "NAMES must be of" in capsys.readouterr().err
