"""The files of a run folder, value by value: what is kept, what is left out, and where the limits are."""

import json
import math
import os

import numpy as np
import pytest
from PIL import Image

from gpuaug import BadFile
from pretrain.reports import run_files
from pretrain.reports.run_files import clean, mapping, number, read_run, read_wrong, texts

SPEED = {"step_ms": 1, "wait_ms": 2, "encoder_ms": 3, "samples_per_second": 4.5, "echo": 0}


def row(**values):
    return run_files._row(json.dumps({"step": 1, **values}).encode())


def test_a_row_has_numbers_and_times_all_or_none():
    assert row(loss=0.5, lr=None, name="x", fine=True) == {"step": 1, "loss": 0.5}
    assert row(**SPEED) == {"step": 1, **SPEED}
    for name in SPEED:
        assert row(**{**SPEED, name: "x"}, loss=2) == {"step": 1, "loss": 2}
    assert run_files._row(b'{"step": 0, "loss": NaN, "lr": 1e999}') == {"step": 0}
    for line, told in ((b"{", "must be JSON (Expecting"), (b"[1]", "must be an object with a number as step"),
                       (b'{"step": true}', "must be an object"), (b'{"step": NaN}', "must be an object")):  # fmt: skip
        with pytest.raises(ValueError, match=rf"^{told}".replace("(", r"\(")):
            run_files._row(line)


def test_what_is_kept_of_a_validation():
    score = {"value": 0.5, "low": 0.25, "high": "x", "other": 3}
    found = row(validation={"loss": 0.25, "kind": score, "words": "x", "none": {"low": 1}, "list": [1]})
    assert found == {
        "step": 1, "validation": {"loss": 0.25, "kind": {"value": 0.5, "low": 0.25, "high": None}}
    }  # fmt: skip
    assert row(validation=[1]) == row(validation="x") == {"step": 1}
    assert row(validation={}) == {"step": 1, "validation": {}}


@pytest.mark.parametrize(
    ("more", "kept"),
    [
        ({"constant": 0.25, "samples": 8}, {"constant": 0.25, "samples": 8}),
        ({"constant": None, "samples": True}, {}),
        (
            {"classes": {"a": {"value": 1}, "b": 3, "c": {"low": 1}}},
            {"classes": {"a": {"value": 1, "low": None, "high": None}}},
        ),
        ({"classes": [1]}, {}),
        ({"confusion": [[0, 1], [2, 3]]}, {"confusion": [[0, 1], [2, 3]]}),
        ({"confusion": [[7]]}, {"confusion": [[7]]}),
        ({"confusion": []}, {}),
        ({"confusion": [[0, 1], [2]]}, {}),
        ({"confusion": [[0, 1]]}, {}),
        ({"confusion": [[0, -1], [2, 3]]}, {}),
        ({"confusion": [[0, 1.5], [2, 3]]}, {}),
        ({"confusion": [[0, True], [2, 3]]}, {}),
        ({"confusion": [3, 4]}, {}),
        ({"confusion": "no"}, {}),
    ],
)  # fmt: skip
def test_what_is_kept_of_a_score(more, kept):
    assert run_files._score({"value": None, **more}) == {"value": None, "low": None, "high": None, **kept}
    assert run_files._score({"low": 1, **more}) is None
    assert run_files._score([more]) is None


def test_values_that_can_be_shown():
    assert clean([2**53 - 1, 2**53, -(2**53), 1.5, math.inf, True, None]) == [
        2**53 - 1,
        None,
        None,
        1.5,
        None,
        True,
        None,
    ]
    assert clean("x" * 2000) == "x" * 2000
    assert clean("x" * 2001) == "x" * 2000 + "…"
    assert clean({"a\x1b": ["b\udce9"]}) == {"a\\x1b": ["b\\xe9"]}
    nested = value = []
    for _ in range(30):
        value.append([])
        value = value[0]
    found, depth = clean(nested), 0
    while isinstance(found, list):
        found, depth = found[0], depth + 1
    assert (found, depth) == ("…", 21), "levels 0 to 20"
    deep = value = {}
    for _ in range(30):
        value["k"] = {}
        value = value["k"]
    assert json.dumps(clean(deep)).count("{") == 21


@pytest.mark.parametrize(("value", "found"), [(0, 0), (1.5, 1.5), (True, None), ("1", None), (None, None), ([1], None)])
def test_numbers(value, found):
    assert number(value) is found
    assert mapping([value]) == {}
    assert texts({"a": value}) == []
    assert texts([value]) == [str(value)]
    assert mapping({"a": value}) == {"a": value}


def test_a_log_in_parts(tmp_path):
    """Of ten bad lines eight are told and two counted; half of a last line is what a kill leaves."""
    log = tmp_path / "log.jsonl"
    with pytest.raises(ValueError, match=rf"^run must be a folder with the log of a training run, there is no {log}$"):
        read_run(tmp_path)
    log.write_text("")
    with pytest.raises(ValueError, match=rf"^{log} must have at least one row: the run has not logged anything yet$"):
        read_run(tmp_path)
    log.write_text("[1]\n{\n")
    with pytest.raises(ValueError, match=rf"^{log}: line 1: must be an object with a number as step$"):
        read_run(tmp_path)
    log.write_text('{"step": 1}\n' + "[]\n" * 8 + '{"step": 2}')
    found = read_run(tmp_path)
    assert found.rows == [{"step": 1}, {"step": 2}]
    assert [line.split(": ")[1] for line in found.problems] == [f"line {n}" for n in range(2, 10)]
    log.write_text("[]\n" * 10 + '{"step": 1}\n{"st')
    found = read_run(tmp_path)
    assert len(found.problems) == 9
    assert found.problems[-1] == f"{log}: 2 more lines are left out"
    assert (found.config, found.summary) == ({}, {})


def test_the_other_files_are_read_or_named(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n')
    (tmp_path / "config.json").write_text('{"a": NaN, "b": "x\\u001b"}')
    (tmp_path / "summary.json").write_text("[1]")
    found = read_run(tmp_path)
    assert found.config == {"a": None, "b": "x\\x1b"}
    assert found.summary == {}
    assert found.problems == [f"{tmp_path}/summary.json: must be a JSON object"]
    (tmp_path / "config.json").unlink()
    os.mkdir(tmp_path / "config.json")
    assert read_run(tmp_path).problems[0] == f"{tmp_path}/config.json: must be a regular file"
    with pytest.raises(BadFile, match="must be a regular file"):
        run_files._regular(tmp_path)


@pytest.fixture
def wrong(tmp_path):
    """A function of samples and a picture's size: what `read_wrong` makes of the folder, and its problems."""

    def made(samples, size=(8, 24), form="JPEG", words=None):
        (tmp_path / "wrong.json").write_text(words or json.dumps({"samples": samples}))
        bands = np.repeat([40, 120, 200], 8)[:, None, None] + np.zeros((24, 8, 3))
        Image.fromarray(bands.astype(np.uint8)).resize(size, 0).save(tmp_path / "wrong.jpg", form, quality=95)
        problems = []
        return read_wrong(tmp_path, problems), problems

    return made


def test_a_row_of_the_picture_for_each_sample(wrong, tmp_path):
    told = {"score": "kind", "prediction": "cut", "truth": "none", "video": "a.mp4"}
    found, problems = wrong([{**told, "start_seconds": 1.5}, {**told, "start_seconds": "x"}, {}])
    assert [words for words, _ in found] == [
        "kind: cut, truly none (a.mp4 at 1.50 s)", "kind: cut, truly none (a.mp4)", "None: None, truly None (?)"
    ]  # fmt: skip
    assert [pixels.shape for _, pixels in found] == [(8, 8, 3)] * 3
    assert [round(pixels.mean() / 40) * 40 for _, pixels in found] == [40, 120, 200]
    assert problems == []
    assert len(wrong([told] * 13)[0]) == 12
    assert wrong([]) == ([], [])
    (tmp_path / "wrong.jpg").unlink()
    assert read_wrong(tmp_path, problems) == []
    assert problems == []


def test_pictures_that_are_refused(wrong, tmp_path, monkeypatch):
    assert run_files.WIDEST_PICTURE == 16384
    monkeypatch.setattr(run_files, "WIDEST_PICTURE", 24)
    assert len(wrong([{}])[0]) == 1
    for how in (
        {"size": (25, 8)},
        {"size": (8, 25)},
        {"form": "PNG"},
        {"words": "["},
        {"words": '{"samples": 3}'},
        {"words": '{"samples": null}'},
    ):
        found, problems = wrong([{}], **how)
        assert found == []
        (line,) = problems
        assert line.startswith(f"{tmp_path}/wrong.*: ")
        assert len(line) <= len(f"{tmp_path}/wrong.*: ") + 200
