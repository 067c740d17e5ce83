"""Reports of folders that somebody sent: nothing outside is written, nothing is run, what is broken costs itself."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import pickle
import random
import re

import numpy as np
import pytest

from pretrain.commands import report, similarity
from pretrain.common.files import readable
from pretrain.features.store import Store
from pretrain.reports import figures, run_report
from pretrain.reports.run_files import clean, number, read_run

SCORE = {"value": 0.5, "low": 0.4, "high": 0.6, "samples": 8, "constant": 0.25, "confusion": [[3, 1], [2, 2]]}
TRAIN = {"loss": 1.0, "lr": 0.1, "step_ms": 5.0, "wait_ms": 1.0, "feed_ms": 2.0, "encoder_ms": 3.0, "boundary": 0.5}
TRAIN |= {"samples_per_second": 9.0, "echo": 2.0}
HELD = {"loss": 1.1, "boundary": SCORE | {"classes": {"dc": SCORE, "sc": SCORE}}}
SHARES = {"encoder": 0.5, "render": 0.3, "wait": 0.2}
SUMMARY = {"status": "finished", "steps": 2, "samples": 16, "seconds": 3.0, "training_videos": 4, "held_out_videos": 2}
SUMMARY |= {"limited_by": "decoding", "share_of_time": SHARES, "samples_per_second": 9.0, "decoded_windows": 3}
SUMMARY |= {"rendered_windows": 6, "echo": 2.0, "slots": 4, "bank_bytes": 4096, "skipped": [["a.mp4", "why"]]}
SUMMARY |= {"failures": [{"path": "b.mp4", "reason": "why"}]}
CONFIG = {"task": "bsp", "encoder": {"name": "small"}, "names": {"boundary": ["dc", "sc"]}, "flags": {"lr": 0.1}}
CONFIG |= {"classes": ["dive"], "empty_classes": [], "machine": {"cores": 2}, "commit": "abc", "world": 1}
RUN = {"log.jsonl": [TRAIN | {"step": 1}, TRAIN | {"step": 2}, {"step": 2, "validation": HELD}]}
RUN |= {"config.json": CONFIG, "summary.json": SUMMARY}


def write(folder, run):
    folder.mkdir(exist_ok=True)
    for name, content in run.items():
        rows = content if name == "log.jsonl" else [content]
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Blank:
    def get_figwidth(self):
        return 1


@pytest.fixture
def blank(monkeypatch):
    """Pictures are empty files: drawing them takes most of a report's time, and not every test is about them."""
    monkeypatch.setattr(figures, "save", save_empty)
    monkeypatch.setattr(figures, "svg", lambda figure: "")
    for name in ("curves", "speed", "confusion"):
        monkeypatch.setattr(figures, name, lambda *_: Blank())


def save_empty(figure, path, **_):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    return path


ODD_NAMES = ["x" * 400, "nul\0", "caf\udce9"]
NAMES = ["/../../../evil", "../evil", "/tmp/evil", "a/b", "A_b", "..", ".", "", "é", *ODD_NAMES]


@pytest.mark.parametrize("names", [NAMES, pytest.param(ODD_NAMES, marks=pytest.mark.slow)], ids=["not drawn", "drawn"])
def test_names_of_scores_stay_in_the_folder(tmp_path, names, request):
    if names is NAMES:
        request.getfixturevalue("blank")
    run = copy.deepcopy(RUN)
    run["log.jsonl"][-1]["validation"] = {"loss": 1.0} | dict.fromkeys(names, SCORE)
    write(tmp_path / "run", run)
    before = files(tmp_path)
    assert report.main([str(tmp_path / "run")]) == 0
    new = files(tmp_path).keys() - before.keys()
    pictures = {name for name in new if re.fullmatch(r"run/figures/confusion_\w+\.png", name, re.A)}
    assert len(pictures) == len(names)
    assert new - pictures == {"run/report.html", "run/figures/curves.png", "run/figures/speed.png"}
    assert not re.search(r'(src|href)="(?!data:)', (tmp_path / "run/report.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize("link", ["report.html", "figures/curves.png", "figures", "part"])
def test_links_are_not_written_through(tmp_path, capsys, link, request):
    if link in ("report.html", "part"):
        request.getfixturevalue("blank")
    run = write(tmp_path / "run", RUN)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("mine")
    if link == "figures":
        (run / link).symlink_to(tmp_path / "mine", target_is_directory=True)
        assert report.main([str(run)]) == 1
        assert f"{run / link} must be a folder, got a link" in capsys.readouterr().err
    else:
        (run / "figures").mkdir()
        (run / (f".report.html.{os.getpid()}.part" if link == "part" else link)).symlink_to(tmp_path / "mine/file")
        assert report.main([str(run)]) == 0
        assert not (run / "report.html").is_symlink()
    assert files(tmp_path / "mine") == {"file": b"mine"}


def test_broken_lines_are_named_and_left_out(tmp_path, capsys, blank):
    run = write(tmp_path / "run", RUN)
    bad = [
        b"{",
        b"[1]",
        b'{"loss": 1}',
        b'{"step": "1"}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"step": 1' + b"0" * 5000 + b"}",
    ]
    with open(run / "log.jsonl", "ab") as log:
        log.write(b"\n".join(bad) + b'\n{"step": 3, "lo')
    assert report.main([str(run)]) == 0
    *told, following = capsys.readouterr().err.splitlines()
    assert following.startswith("next: ")
    assert [line.partition("log.jsonl: ")[2][:7] for line in told] == [f"line {n}:"[:7] for n in range(4, 11)]
    page = (run / "report.html").read_text()
    assert "7 parts of the run&#39;s files are left out" in page or "7 parts of the run's files are left out" in page
    assert [row["step"] for row in read_run(run).rows] == [1, 2, 2]


def test_an_unknown_limit_is_shown_without_advice(tmp_path, blank):
    run = copy.deepcopy(RUN)
    run["summary.json"]["limited_by"] = "the <moon>"
    assert report.main([str(write(tmp_path / "run", run))]) == 0
    page = (tmp_path / "run/report.html").read_text()
    assert "Limited by <b>the &lt;moon&gt;</b>." in page
    assert "What would help" not in page


@pytest.mark.parametrize("name", ["log.jsonl", "config.json"])
def test_a_pipe_does_not_hang(tmp_path, name, capsys, blank):
    run = write(tmp_path / "run", RUN)
    (run / name).unlink()
    os.mkfifo(run / name)
    assert report.main([str(run)]) == (name == "log.jsonl")
    assert f"{name}: must be a regular file" in capsys.readouterr().err


ODD = [
    None,
    True,
    -1,
    0.5,
    "text",
    "caf\udce9\x1b",
    [],
    {},
    [[1]],
    {"a": 1},
    float("nan"),
    float("inf"),
    10**400,
    "x" * 9999,
]


def mutated(rng):
    """The run with some values, at any depth, replaced or gone."""
    run = copy.deepcopy(RUN)
    places = []

    def collect(value):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            places.append((value, key))
            if isinstance(value[key], dict | list):
                collect(value[key])

    collect(run)
    for place, key in rng.sample([place for place in places if place[0] is not run], 3):
        if isinstance(place, dict) and rng.random() < 0.3:
            place.pop(key, None)
        elif isinstance(place, list) or key in place:
            place[key] = rng.choice(ODD)
    return run


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_any_value_may_be_anything(tmp_path, seed, capsys, recwarn, monkeypatch):
    """Each picture is drawn once, as PNG or as SVG."""
    if seed % 2:
        monkeypatch.setattr(figures, "save", save_empty)
    else:
        monkeypatch.setattr(figures, "svg", lambda figure: "")
    run = write(tmp_path / "run", mutated(random.Random(seed)))
    assert report.main([str(run)]) in (0, 1)
    assert "Traceback" not in capsys.readouterr().err


def test_what_the_page_needs_is_of_its_type(tmp_path, blank):
    """All places, without pictures: what is read of a run has the types that the page needs."""
    for seed in range(300):
        run = write(tmp_path / "run", mutated(random.Random(1000 + seed)))
        whole = any(isinstance(row, dict) and number(row.get("step")) is not None for row in json_lines(run))
        with contextlib.nullcontext() if whole else pytest.raises(ValueError, match=r"log\.jsonl"):
            run_report.write(run, run / "report.html", {})


def json_lines(run):
    return [clean(json.loads(line)) for line in (run / "log.jsonl").read_text().splitlines()]


def sent_features(folder, rows):
    folder.mkdir()
    store = Store(folder)
    for name, values in rows.items():
        store.write(name, values)
    (folder / "features.json").write_text(json.dumps({"fps": 10, "clip_frames": 8, "stride_frames": 8}))
    return folder


def test_features_of_one_video_cost_themselves(tmp_path, capsys, blank):
    rng = np.random.default_rng(0)
    rows = {f"v{k}": rng.normal(size=(40, 6)).astype(np.float32) for k in range(4)}
    rows["v1"][3, 2] = np.nan
    rows["v2"] = rows["v2"][:, :5]
    features = sent_features(tmp_path / "f", rows)
    (features / "v3.npy").write_bytes(b"\x93NUMPY")
    lines = [f"v{k},{start},{start + 4},act" for k in range(4) for start in (3, 12)]
    (tmp_path / "a.csv").write_text("\n".join(["path,start_seconds,end_seconds,label", *lines]))
    run = write(tmp_path / "run", RUN)
    flags = ["--features", str(features), "--annotations", str(tmp_path / "a.csv")]
    assert report.main([str(run), *flags]) == 0
    told = capsys.readouterr().err
    for line in ("f: v1: features must be finite, got nan", "f: v2: features must be (T, 6)", "f: v3: "):
        assert f"left out: {line}" in told


def test_pickled_features_are_not_run(tmp_path, capsys):
    class Boom:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    sent_features(tmp_path / "f", {})
    (tmp_path / "f/v0.pkl").write_bytes(pickle.dumps(Boom()))
    (tmp_path / "a.csv").write_text("path,start_seconds,end_seconds,label\nv0,1,2,act\n")
    flags = ["--features", str(tmp_path / "f"), "--annotations", str(tmp_path / "a.csv")]
    assert report.main([str(write(tmp_path / "run", RUN)), *flags]) == 1
    assert "v0.pkl must be a pickled array" in capsys.readouterr().err
    assert similarity.main([*flags, "--out", str(tmp_path / "s.png")]) == 1
    assert not (tmp_path / "ran").exists()


def test_readable():
    assert readable("a\nb\tc") == "a\nb\tc"
    assert readable("caf\udce9 \x00\x1b[0m \ud800") == "caf\\xe9 \\x00\\x1b[0m \\ud800"


def test_a_page_of_bytes_that_are_no_text(tmp_path):
    run = copy.deepcopy(RUN)
    run["config.json"]["classes"] = run["config.json"]["names"]["boundary"] = ["caf\udce9", "b"]
    run["summary.json"]["skipped"] = [["caf\udce9/x.avi", "why"]]
    assert report.main([str(write(tmp_path / "run", run))]) == 0
    assert (tmp_path / "run/report.html").read_text(encoding="utf-8").count("caf\\xe9") == 2


def test_messages_do_not_steer_the_terminal(tmp_path, capsys):
    assert report.main([str(tmp_path / "\x1b]0;evil\x07")]) == 1
    told = capsys.readouterr().err
    assert "\\x1b]0;evil\\x07" in told
    assert "\x1b" not in told


def test_a_page_elsewhere_has_its_pictures_under_its_own_name(tmp_path, monkeypatch):
    run = write(tmp_path / "run", RUN)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert report.main([str(run), "--out", "full.html"]) == 0
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["full.html", "full_figures"]
    assert not (run / "figures").exists()
