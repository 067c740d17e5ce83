"""`python -m pretrain evaluate`: the printed numbers, JSON, notes, exit status."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from pretrain.commands.evaluate import main
from pretrain.data import charades_crosstask as cc
from pretrain.data import results
from pretrain.data.charades_crosstask import Query, Step
from pretrain.data.segments import Segments
from support.detections import ROWS, TRUTH


@pytest.fixture
def files(tmp_path):
    database: dict = {"v4": {"subset": "validation", "duration": 9, "annotations": []}}
    for video, segment, label in zip(TRUTH.video.tolist(), TRUTH.segment.tolist(), TRUTH.label.tolist()):
        entry = database.setdefault(video, {"subset": "validation", "duration": 100, "annotations": []})
        entry["annotations"].append({"segment": segment, "label": label})
    (tmp_path / "truth.json").write_text(json.dumps({"database": database}))
    results.write_activitynet_results(tmp_path / "predictions.json.gz", Segments.of(ROWS))
    return ["--truth", str(tmp_path / "truth.json"), "--predictions", str(tmp_path / "predictions.json.gz")]


def run(capsys, *arguments):
    """(exit status, standard output, standard error)."""
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_detection(files, capsys, tmp_path):
    status, out, err = run(capsys, "detection", *files, "--json", tmp_path / "out" / "d.json")
    assert (status, err) == (0, "")
    table = dict(line.split("  ", 1) for line in out.splitlines() if "%" in line)
    assert table["average mAP"].strip() == "44.42 %"
    assert out.splitlines()[0].split() == ["mAP@0.50", "67.50", "%"]
    assert "note: 1 predictions are in 1 videos without ground truth: false positives" in out
    data = json.loads((tmp_path / "out" / "d.json").read_text())
    assert data["average_map"] == pytest.approx(0.444166667, abs=1e-6)
    assert data["ap"]["A"] == pytest.approx([0.6] * 3 + [1 / 3] * 4 + [1 / 6] * 3)
    assert data["by_length"]["seconds"][">180"] == [None] * 10  # NaN is not JSON
    assert data["task"] == "detection"


def test_json_on_standard_output_is_only_json(files, capsys):
    status, out, _ = run(capsys, "detection", *files, "--json", "-", "--thresholds", "0.5,0.65", "--lengths", "0,inf")
    data = json.loads(out)
    assert status == 0
    assert data["map"] == pytest.approx([0.675, (1 / 3 + 0.75) / 2])
    assert list(data["by_length"]["seconds"]) == [">0"]


@pytest.mark.parametrize(("convention", "name"), [("detad", "average mAP_N"), ("plain", "average mAP")])
def test_lengths_are_told_by_the_name_of_their_measure(files, capsys, convention, name):
    status, out, _ = run(capsys, "detection", *files, "--length-convention", convention)
    assert status == 0
    assert {line.split(",")[0] for line in out.splitlines() if line.startswith("average mAP") and "," in line} == {name}


def test_proposals(files, capsys):
    status, out, _ = run(capsys, "proposals", *files, "--max-proposals", 2)
    assert status == 0
    assert out.splitlines()[-2].split()[0] == "AUC"
    status, out, _ = run(capsys, "proposals", *files, "--max-proposals", 2, "--json", "-")
    told = json.loads(out)
    assert told["auc"] == pytest.approx(0.20575, abs=1e-8)
    assert set(told) == {"task", "truth", "predictions", "thresholds", "auc", "an", "ar", "recall", "notes"}
    assert told["thresholds"] == pytest.approx(np.arange(0.5, 1, 0.05).tolist())


def test_proposals_need_no_labels(files, capsys):
    read = json.loads(gzip.decompress(Path(files[3]).read_bytes()))
    for row in (row for rows in read["results"].values() for row in rows):
        del row["label"]
    Path(files[3]).write_bytes(gzip.compress(json.dumps(read).encode()))
    status, out, _ = run(capsys, "proposals", *files, "--max-proposals", 2, "--json", "-")
    assert (status, json.loads(out)["auc"]) == (0, pytest.approx(0.20575, abs=1e-8))
    status, _, err = run(capsys, "detection", *files)
    assert status == 1
    assert "label" in err


def test_all_subsets(files, capsys):
    truth = json.loads(Path(files[1]).read_text())
    moved = next(video for video in truth["database"].values() if video["annotations"])
    moved["subset"] = "training"
    Path(files[1]).write_text(json.dumps(truth))
    found = {}
    for subset in ("all", "validation"):
        status, out, _ = run(capsys, "detection", *files, "--subset", subset, "--json", "-")
        assert status == 0
        found[subset] = json.loads(out)["average_map"]
    assert found["all"] == pytest.approx(0.444166667, abs=1e-6)  # as with one subset
    assert found["validation"] != found["all"]


def test_exclude(files, capsys, tmp_path):
    (tmp_path / "blocked.json").write_text('["v9", "v3", "nowhere"]')
    status, out, _ = run(capsys, "proposals", *files, "--exclude", tmp_path / "blocked.json", "--json", "-")
    data = json.loads(out)
    assert status == 0
    assert data["notes"] == [f"1 videos left out by {tmp_path / 'blocked.json'}"]
    (tmp_path / "blocked.json").write_text("3")
    assert run(capsys, "proposals", *files, "--exclude", tmp_path / "blocked.json")[0] == 1


def test_thumos_text(capsys, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Diving_test.txt").write_text("video_test_1 0 10\nvideo_test_1 20 30\n")
    (tmp_path / "classes.txt").write_text("7 Diving\n")
    (tmp_path / "run.txt").write_text("video_test_1 0 10 7 0.9\n")
    files = ["--truth", tmp_path / "a", "--predictions", tmp_path / "run.txt", "--classes", tmp_path / "classes.txt"]
    status, out, _ = run(capsys, "detection", *files, "--thresholds", "thumos", "--json", "-")
    assert status == 0
    assert json.loads(out)["map"] == [0.5] * 5


def test_grounding(capsys, tmp_path):
    predicted = [(0, 10), (0, 5), (5, 10), (0, 3), (20, 30)]
    cc.write_charades(tmp_path / "t.txt", [Query("A", 0, 10, f"s{k}") for k in range(5)])
    cc.write_charades(tmp_path / "p.txt", [Query("A", *predicted[k], f"s{k}") for k in (3, 1, 0, 2, 4)])
    (tmp_path / "c.csv").write_text("id,length\nA,50\n")
    files = ["--truth", tmp_path / "t.txt", "--predictions", tmp_path / "p.txt"]
    status, out, _ = run(capsys, "grounding", *files)
    assert status == 0
    assert [line.split()[-2] for line in out.splitlines()] == ["80.00", "60.00", "20.00", "46.00"]
    assert run(capsys, "grounding", *files, "--convention", "2d-tan")[0] == 2
    status, out, _ = run(capsys, "grounding", *files, "--convention", "2d-tan", "--durations", tmp_path / "c.csv")
    assert [line.split()[-2] for line in out.splitlines()] == ["60.00", "20.00", "20.00", "46.00"]


def test_steps(capsys, tmp_path):
    cc.write_crosstask(tmp_path / "a", {"x": [Step("1", 1, 0.2, 0.6)], "y": [Step("1", 2, 0.0, 0.2)]})
    scores = {"x": np.array([0.1, 0.9, 0.8]), "y": np.array([0.5, 0.85]), "z": np.array([1.0])}
    cc.write_frame_scores(tmp_path / "s.json", 0.2, scores)
    files = ["--truth", tmp_path / "a", "--predictions", tmp_path / "s.json"]
    status, out, _ = run(capsys, "steps", *files, "--json", "-")
    data = json.loads(out)
    assert status == 0
    assert data["average_precision"] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert data["positive_share"] == 0.6
    assert data["notes"] == ["1 predicted videos are not in the truth and were left out"]
    cc.write_frame_scores(tmp_path / "s.json", 0.2, {"x": scores["x"]})
    status, _, err = run(capsys, "steps", *files)
    assert status == 1
    assert "s.json: results: must have the video 'y'" in err


def test_steps_from_activitynet_checks_the_number_of_scores(files, capsys, tmp_path):
    cc.write_frame_scores(
        tmp_path / "s.json", 1.0, {f"v{k}": np.arange(100.0) for k in (1, 2, 3)} | {"v4": np.arange(9.0)}
    )
    arguments = ["steps", *files[:2], "--predictions", tmp_path / "s.json"]
    assert run(capsys, *arguments)[0] == 0
    cc.write_frame_scores(tmp_path / "s.json", 0.2, {f"v{k}": np.arange(100.0) for k in (1, 2, 3, 4)})
    status, _, err = run(capsys, *arguments)
    assert status == 1
    assert "must have about 500 scores, got 100" in err or "must have about 45 scores, got 100" in err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["detection"], 2, "--truth"),
        (["nothing"], 2, "invalid choice"),
        (["detection", "FILES", "--thresholds", "0.5,2"], 2, "numbers in (0, 1]"),
        (["detection", "FILES", "--thresholds", "high"], 2, "must be activitynet, thumos or numbers"),
        (["detection", "FILES", "--lengths", "3,1"], 2, "increasing"),
        (["detection", "FILES", "--subset", "testing"], 1, "must have videos of the subset 'testing', has validation"),
        (["proposals", "FILES", "--max-proposals", "-1"], 2, "--max-proposals must be ≥ 0, got -1.0"),
        (["detection", "--truth", "missing.json", "--predictions", "x"], 1, "missing.json: cannot be read"),
    ],
)
def test_exit_status_and_one_line(files, capsys, arguments, status, message):
    arguments = [part for a in arguments for part in (files if a == "FILES" else [a])]
    got, out, err = run(capsys, *arguments)
    assert got == status
    assert message in err
    assert out == ""
    assert "Traceback" not in err
    assert err.count("\n") == 1


def test_unknown_class_is_reported(files, capsys, tmp_path):
    results.write_activitynet_results(tmp_path / "z.json", Segments.of([*ROWS, ("v1", 0, 9, "Z", 1.0)]))
    files[3] = str(tmp_path / "z.json")
    assert "note: class 'Z': 1 predictions ignored, no ground truth" in run(capsys, "detection", *files)[1]
    assert run(capsys, "detection", *files, "--unknown", "error")[0] == 1
