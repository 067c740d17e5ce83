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
