"""Every rule that `evaluate` is told reaches what it is about: values on both sides of it, by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pretrain.commands.evaluate import main
from pretrain.data import charades_crosstask as cc
from pretrain.data import results
from pretrain.data.charades_crosstask import Query, Step
from pretrain.data.segments import Segments


def truth_file(folder, videos):
    """{video: (duration, [(start, end, label)])}"""
    database = {
        video: {
            "subset": "validation",
            "duration": duration,
            "annotations": [{"segment": [start, end], "label": label} for start, end, label in rows],
        }
        for video, (duration, rows) in videos.items()
    }
    (folder / "truth.json").write_text(json.dumps({"database": database}))
    return ["--truth", folder / "truth.json", "--predictions", folder / "found.json"]


def told(capsys, *words, status=0):
    assert main([*map(str, words), "--json", "-"]) == status
    return json.loads(capsys.readouterr().out)


def lines(capsys, *words):
    assert main([*map(str, words)]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def equal(tmp_path):
    """One action, found by the first of two equally good predictions; nothing of class b is predicted."""
    files = truth_file(tmp_path, {"v": (100, [(0, 10, "a"), (20, 20, "b")])})
    rows = [("v", 0, 8, "a", 0.5), ("v", 50, 60, "a", 0.5)]
    results.write_activitynet_results(tmp_path / "found.json", Segments.of(rows))
    return files


def test_detection_takes_its_rules(equal, capsys):
    n = 0.5  # DETAD's mean number of true segments per class: that without length is in no bucket
    usual = told(capsys, "detection", *equal)
    assert usual["ap"]["a"] == [0.5] * 7 + [0] * 3
    assert usual["by_length"]["seconds"]["(0,30]"] == pytest.approx([n / (n + 1)] * 7 + [0] * 3)
    assert usual["notes"] == ["1 classes without predictions count as 0"]
    early = told(capsys, "detection", *equal, "--ties", "earlier", "--thresholds", "0.75,0.85")
    assert early["thresholds"] == [0.75, 0.85]
    assert early["ap"]["a"] == [1, 0]
    assert early["map"] == [0.5, 0]
    assert early["average_map"] == 0.25
    assert early["by_length"]["seconds"]["(0,30]"] == [1, 0]
    plain = told(capsys, "detection", *equal, "--length-convention", "plain", "--lengths", "0,10,20")
    assert plain["by_length"]["convention"] == "plain"
    assert plain["by_length"]["seconds"] == {"(0,10]": [0.5] * 7 + [0] * 3, "(10,20]": [None] * 10}
    assert "by_length" not in told(capsys, "detection", *equal, "--length-convention", "none")


def test_segments_without_length_by_the_rule(equal, tmp_path, capsys):
    results.write_activitynet_results(tmp_path / "found.json", Segments.of([("v", 90, 90, "b", 0.5)]))
    assert told(capsys, "detection", *equal)["ap"]["b"] == [0] * 10
    assert told(capsys, "detection", *equal, "--zero-length", "official")["ap"]["b"] == [1] * 10


def test_the_table_of_detection(equal, capsys):
    found = [line.rsplit(maxsplit=2)[:2] for line in lines(capsys, "detection", *equal, "--lengths", "0,30,60")]
    assert [name.strip() for name, _ in found[:10]] == [f"mAP@{t / 100:.2f}" for t in range(50, 100, 5)]
    assert [value for _, value in found[:10]] == ["25.00"] * 7 + ["0.00"] * 3
    table = [line for line in lines(capsys, "detection", *equal, "--lengths", "0,30,60") if line.startswith("average")]
    assert [line.split("  ")[0] for line in table] == [
        "average mAP", "average mAP_N, (0,30] s", "average mAP_N, (30,60] s"
    ]  # fmt: skip
    assert [line.split()[-1] for line in table] == ["%", "%", "-"]
    assert table[0].split()[-2] == "17.50"


def test_the_numbers_of_proposals_that_the_curve_reaches(equal, capsys):
    names = [line.split()[0] for line in lines(capsys, "proposals", *equal, "--max-proposals", 5)]
    assert names == ["AR@1", "AR@5", "AUC"]
    names = [line.split()[0] for line in lines(capsys, "proposals", *equal)]
    assert names == ["AR@1", "AR@5", "AR@10", "AR@50", "AR@100", "AUC"]
    names = [line.split()[0] for line in lines(capsys, "proposals", *equal, "--max-proposals", 4)]
    assert names == ["AR@1", "AUC"]
    usual = told(capsys, "proposals", *equal, "--max-proposals", 1, "--thresholds", "0.75")
    assert (usual["an"][-1], usual["ar"][-1], usual["recall"]) == (1, 0, {"0.75": [0] * 100})
    early = told(capsys, "proposals", *equal, "--max-proposals", 1, "--ties", "earlier", "--thresholds", "0.75")
    assert (early["ar"][-1], early["ar"][-2]) == (0.5, 0)
    assert told(capsys, "proposals", *equal, "--max-proposals", 0)["an"][-1] == 2, "all of them"
    assert told(capsys, "proposals", *equal)["an"][-1] == 100


def test_notes_on_what_is_outside(tmp_path, capsys):
    files = truth_file(tmp_path, {"v": (10, [(0, 12, "a"), (11, 13, "a"), (1, 2, "a")]), "w": (10, [(0, 5, "a")])})
    rows = [("x", 0, 8, "a", 0.5), ("x", 1, 9, "a", 0.5), ("y", 0, 8, "a", 0.5), ("v", 1, 2, "a", 0.5)]
    results.write_activitynet_results(tmp_path / "found.json", Segments.of(rows), trained_on=["w"])
    (tmp_path / "blocked.json").write_text('["v_w", "w", "x"]')
    assert main(["detection", *map(str, files)]) == 1
    error = capsys.readouterr().err
    assert "--truth must hold out videos that are not trained on by what made" in error
    assert "1 of the 2 are, the first is w; --subset or --exclude leaves them out" in error
    found = told(capsys, "detection", *files, "--exclude", tmp_path / "blocked.json")
    assert found["notes"] == [
        "actions of the truth: 1 outside the video, 1 reach beyond it; they are kept as published",
        f"1 videos left out by {tmp_path / 'blocked.json'}",
        "1 predictions are in 1 videos without ground truth: false positives",
    ]


def test_steps_take_their_rule_and_their_list(tmp_path, capsys):
    cc.write_crosstask(tmp_path / "a", {"x": [Step("1", 1, 0.25, 0.5)], "y": [Step("1", 2, 0.0, 0.2)]})
    cc.write_frame_scores(tmp_path / "s.json", 0.2, {"x": np.array([0.1, 0.9, 0.8, 0.0]), "y": np.array([0.5, 0.85])})
    files = ["steps", "--truth", tmp_path / "a", "--predictions", tmp_path / "s.json"]
    found = told(capsys, *files)
    assert (found["segment_seconds"], found["rule"], found["videos"], found["segments"]) == (0.2, "centre", 2, 6)
    assert found["positive_share"] == pytest.approx(2 / 6)
    assert told(capsys, *files, "--rule", "any")["positive_share"] == pytest.approx(3 / 6)
    (tmp_path / "val.csv").write_text("1,y,url\n")
    assert told(capsys, *files, "--val-list", tmp_path / "val.csv")["positive_share"] == 0.5
    cc.write_frame_scores(tmp_path / "s.json", 0.2, {"x": np.ones(4), "y": np.ones(2)}, trained_on=["y"])
    assert main([*map(str, files)]) == 1
    assert "1 of the 2 are, the first is y" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("duration", "count", "status"),
    [(100, 505, 0), (100, 495, 0), (100, 506, 1), (100, 494, 1), (10, 51, 0), (10, 49, 0), (10, 52, 1), (10, 48, 1),
     (0, 7, 0)],
)  # fmt: skip
def test_scores_are_as_many_as_the_duration_has_segments(duration, count, status, tmp_path, capsys):
    """One more or less, or one in a hundred; a duration of 0 is not known."""
    files = truth_file(tmp_path, {"v": (duration, [(0, 1, "a")])})
    cc.write_frame_scores(tmp_path / "found.json", 0.2, {"v": np.arange(float(count))})
    assert main(["steps", *map(str, files)]) == status
    assert status == 0 or f"must have about {duration * 5} scores, got {count}" in capsys.readouterr().err


def test_grounding_asks_for_every_duration(tmp_path, capsys):
    queries = [Query("A", 0, 20, "s"), Query("B", 0, 20, "s")]
    cc.write_charades(tmp_path / "t.txt", queries)
    cc.write_charades(tmp_path / "p.txt", [Query("A", 0, 10, "s"), Query("B", 0, 10, "s")])
    (tmp_path / "c.csv").write_text("id,length\nA,10\n")
    files = ["grounding", "--truth", tmp_path / "t.txt", "--predictions", tmp_path / "p.txt"]
    tan = ["--convention", "2d-tan", "--durations", tmp_path / "c.csv"]
    assert main([*map(str, [*files, *tan])]) == 1
    assert "c.csv: 'B': must have a row" in capsys.readouterr().err
    (tmp_path / "c.csv").write_text("id,length\nB,30\nA,10\n")
    found = told(capsys, *files, *tan)
    assert (found["convention"], found["queries"], found["mean_iou"]) == ("2d-tan", 2, 0.75)
    assert found["recall"] == {"0.3": 1.0, "0.5": 0.5, "0.7": 0.5}
    table = lines(capsys, *files, *tan)
    assert [line.split("  ")[0] for line in table] == [*(f"R@1, tIoU > {t}" for t in (0.3, 0.5, 0.7)), "mIoU"]
    assert lines(capsys, *files)[1].split("  ")[0] == "R@1, tIoU >= 0.5"
    assert told(capsys, *files)["recall"] == {"0.3": 1.0, "0.5": 1.0, "0.7": 0.0}
