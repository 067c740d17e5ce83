"""The study: a miniature from training to table, taken up where it was stopped; its claims; its page."""

import json

import pytest

from benchmarks.study import run as study
from benchmarks.study import table as study_table
from pretrain.toy import dataset as toy

NUMBERS = {"mAP@0.5", "mAP@0.75", "mAP@0.95", "average mAP", "AR@10", "AR@100", "AUC", "frame AP"}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    few = {"classes": 2, "sizes": ((48, 64),), "rates": (15,), "codecs": ("mjpeg",)}
    toy.make_actions(folder / "actions", clips_per_class=10, seconds=(4.5, 5.0), **few)
    short = {"videos": 6, "validation": 0.5, "seconds": (8.0, 9.0), "action_seconds": (2.0, 3.0)}
    toy.make_untrimmed(folder / "untrimmed", gap_seconds=(1.0, 2.0), **short, **few)
    return folder


@pytest.mark.timeout(300)
def test_a_miniature(videos, tmp_path, capsys):
    data = ["--actions", videos / "actions", "--untrimmed", videos / "untrimmed"]
    data += ["--annotations", videos / "untrimmed" / "annotations.json", "--lengths", "0,2.5,inf"]
    flags = ["--rows", "random", "two-stream", "--seeds", 0, "--clips", 32, "--jobs", 2, "--out", tmp_path, *data]
    assert study.main(list(map(str, flags))) == 0, (tmp_path / "two-stream-0" / "log.txt").read_text()
    printed = capsys.readouterr().out
    record = json.loads((tmp_path / "study.json").read_text())
    assert list(record["rows"]) == ["random", "two-stream"]
    for (run,) in record["rows"].values():
        assert run["numbers"].keys() >= NUMBERS
        assert all(0 <= value <= 100 for value in run["numbers"].values())
    assert (tmp_path / "study.png").stat().st_size > 10_000
    assert json.loads((tmp_path / "BSP-0" / "run" / "summary.json").read_text())["steps"] == 2
    (tmp_path / "two-stream-0" / "numbers.json").unlink()  # as if killed there
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/run/*.pt")}
    assert before
    assert study.main(list(map(str, flags))) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/run/*.pt")} == before, "nothing is trained again"
    assert capsys.readouterr().out.split("|", 1)[1] == printed.split("|", 1)[1], "and the numbers are the same"


def rows(**values):
    return {row: [{"numbers": {"average mAP": v, "AUC": 2 * v}} for v in each] for row, each in values.items()}


def test_claims_say_what_holds():
    found = {"random": [1.0, 2.0, 3.0], "vanilla": [5.0, 6.1, 7.0], "PAL": [0.0, 0.9, 2.0]}
    found["two-stream"] = [6.0, 5.0, 7.0]
    text = study_table.claims(rows(**found))
    lines = dict(line.split(": ", 1) for line in text.splitlines() if "average mAP" in line)
    assert lines["vanilla over random, average mAP"].endswith("holds")
    assert lines["PAL over random, average mAP"].endswith("reversed")
    assert lines["two-stream over vanilla, average mAP"].endswith("open")


def test_the_page_shows_the_saved_study():
    record = study_table.saved()
    if record is None:
        pytest.skip("benchmarks/results holds no study")
    assert study_table.table(record["facts"]["rows"]) in (study_table.DOCS / "study.md").read_text(encoding="utf-8")
    assert {row["name"] for row in record["results"]} == {
        f"{row}: {name}" for row, runs in record["facts"]["rows"].items() for name in runs[0]["numbers"]
    }
