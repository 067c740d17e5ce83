"""The demo's steps by themselves: what each is told, what is kept, and what is said at the end; nothing is trained."""

import json
import signal
import time
from types import SimpleNamespace

import pytest
import torch

import gpuaug
from pretrain.commands import demo
from pretrain.models import checkpoint

SUMMARY = {
    "status": "finished",
    "validation": {"boundary": {"value": 0.875, "low": 0.8125, "high": 0.9375}},
    "share_of_time": {"encoder": 0.75, "wait": 0.125, "render": 0.125},
    "samples_per_second": 123.4,
    "echo": 5.25,
    "limited_by": "the encoder",
}


@pytest.fixture
def steps(monkeypatch, tmp_path):
    """(name, words) of the commands that were run; training writes a summary, and ends with `status`."""
    told = SimpleNamespace(ran=[], status={}, probed=[], threads=[])

    def stub(name):
        def main(words):
            told.ran.append((name, words))
            told.threads.append(torch.get_num_threads())
            if name == "train":
                run = tmp_path / "demo" / "bsp"
                checkpoint.save(run, {"model": {}, "optimizer": {}, "feed": [], "plans": []}, best=True)
                (run / "summary.json").write_text(json.dumps(SUMMARY))
                (run / "config.json").write_text(json.dumps({"flags": {"seed": 4}}))
            return told.status.get(name, 0)

        return SimpleNamespace(main=main)

    for name in ("preview", "train", "report"):
        monkeypatch.setattr(demo, name, stub(name))
    monkeypatch.setattr(demo, "toy_command", stub("toy"))
    manifest = SimpleNamespace(usable=[1, 2], failed=[3], save=lambda path: told.probed.append(path))
    monkeypatch.setattr(demo.gpuaug, "probe", lambda path: told.probed.append(path) or manifest)
    return told


def value(words, flag, count=1):
    at = words.index(flag) + 1
    return words[at] if count == 1 else words[at : at + count]


def test_every_step_is_told_of_the_same_folder_and_seed(steps, tmp_path, capsys):
    out, threads = tmp_path / "demo", torch.get_num_threads()
    assert demo.main(["--out", str(out), "--seed", "4"]) == 0
    assert [name for name, _ in steps.ran] == ["toy", "preview", "train", "report"]
    toy, preview, train, report = (words for _, words in steps.ran)
    assert toy == ["--out", str(out / "videos"), "--seed", "4", "--videos", "0"]
    assert steps.probed == [out / "videos" / "actions", out / "manifest.csv"]
    for words in (preview, train):
        assert words[:6] == ["--task", "bsp", "--videos", str(out / "videos" / "actions"), "--seed", "4"]
        assert value(words, "--boundaries", 2) == ["dc", "ss"]
        assert [value(words, f"--{name}") for name in ("encoder", "size", "fps", "window-frames")] == [
            "tsm_resnet18", "32", "12", "48"
        ]  # fmt: skip
    assert (value(preview, "--out"), value(preview, "--samples")) == (str(out / "preview"), "24")
    assert value(train, "--out") == str(out / "bsp")
    assert {"--deterministic", "--resume"} <= set(train)
    assert [value(train, f"--{name}") for name in ("steps", "batch", "keep", "threads", "precision", "device")] == [
        "160", "16", "1", "1", "fp32", "cpu"
    ]  # fmt: skip
    assert [value(train, f"--{name}") for name in ("optimizer", "lr", "weight-decay", "dropout", "schedule")] == [
        "adamw", "0.0004", "0.01", "0", "cosine"
    ]  # fmt: skip
    assert report == [str(out / "bsp")]
    assert steps.threads[2] == 1
    assert torch.get_num_threads() == threads
    text = capsys.readouterr().out
    assert f"2 usable videos, 1 unusable: {out / 'manifest.csv'}" in text
    assert "held-out accuracy   0.875, 95 % interval 0.812–0.938; chance 0.5" in text
    assert [path.name for path in checkpoint.those_in(out / "bsp")] == ["best.pt"], "it was made slim"
    assert demo.main(["--out", str(out), "--seed", "4"]) == 0
    assert [name for name, _ in steps.ran[4:]] == ["toy", "preview", "report"]
    assert f"{out / 'bsp'} has finished before" in capsys.readouterr().out
    assert demo.main(["--out", str(out), "--seed", "5"]) == 0
    assert "train" in [name for name, _ in steps.ran[7:]], "of another seed it has not"


@pytest.mark.parametrize("name", ["toy", "preview", "train", "report"])
def test_a_step_that_fails_ends_it(steps, tmp_path, capsys, name):
    steps.status[name] = 3
    assert demo.main(["--out", str(tmp_path / "demo"), "--seed", "4"]) == 1
    assert steps.ran[-1][0] == name
    assert capsys.readouterr().err == "demo: stopped: the step above ended with status 3\n"


def test_training_that_is_cut_makes_no_claim(steps, tmp_path, capsys, monkeypatch):
    class Cut:
        def __init__(self, seconds):
            assert seconds == 90

        def __enter__(self):
            return SimpleNamespace(is_set=lambda: True)

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(demo, "time_cap", Cut)
    steps.status["train"] = 1
    words = ["--out", str(tmp_path / "demo"), "--seed", "4", "--minutes", "1.5"]
    assert demo.main(words) == 1
    text = capsys.readouterr().out
    assert "no result: cut at 1.5 minutes; the same command goes on" in text
    assert "5/5" not in text
    steps.status["train"] = 0
    assert demo.main(words) == 0, "cut in its last step, but finished"


@pytest.mark.parametrize("minutes", ["0", "-1", "100000", "nan"])
def test_minutes_that_are_none(minutes, capsys):
    assert demo.main(["--minutes", minutes]) == 2
    assert "--minutes must be in (0, 1e5), got" in capsys.readouterr().err


def test_flags_are_words():
    assert demo.flags({"a-b": 1, "c": ["x", 2], "d": 0.5}) == ["--a-b", "1", "--c", "x", "2", "--d", "0.5"]


def test_time_that_is_up_stops_who_listens():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with demo.time_cap(0.01) as cut:
            deadline = time.monotonic() + 5
            while not heard and time.monotonic() < deadline:
                time.sleep(0.005)
            assert cut.is_set()
        with demo.time_cap(60.0) as cut:
            assert not cut.is_set()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]
    with demo.time_cap(0.0) as cut:  # nobody listens: nothing is killed
        assert cut.wait(5)


def finished_run(folder, *, status="finished", seed=4, files=("best.pt",)):
    folder.mkdir()
    (folder / "summary.json").write_text(json.dumps({"status": status}))
    (folder / "config.json").write_text(json.dumps({"flags": {"seed": seed}}))
    for name in files:
        (folder / name).write_bytes(b"")
    return folder


@pytest.mark.parametrize(
    ("changes", "is_over"),
    [
        ({}, True),
        ({"status": "stopped"}, False),
        ({"seed": 5}, False),
        ({"files": ()}, False),
        ({"files": ("best.pt", "checkpoint.pt")}, False),
    ],
)
def test_what_has_finished_before(changes, is_over, tmp_path):
    assert demo.finished(finished_run(tmp_path / "run", **changes), 4) is is_over
    assert not demo.finished(tmp_path / "nowhere", 4)
    (tmp_path / "run" / "summary.json").write_text("{")
    assert not demo.finished(tmp_path / "run", 4)


def test_a_slim_run_has_its_best_weights_alone(tmp_path):
    state = {"model": {"w": torch.ones(2)}, "optimizer": {}, "feed": [1], "plans": [2], "step": 3, "config": {}}
    checkpoint.save(tmp_path, state, best=True)
    checkpoint.save(tmp_path, {**state, "step": 4})
    demo.slim(tmp_path)
    assert [path.name for path in checkpoint.those_in(tmp_path)] == ["best.pt"]
    found = checkpoint.read(tmp_path)
    assert found.keys() == {"model", "step", "config", "format"}
    assert found["step"] == 3
    before = (tmp_path / "best.pt").read_bytes()
    demo.slim(tmp_path)
    assert (tmp_path / "best.pt").read_bytes() == before


def test_the_last_lines(tmp_path):
    least, most, count = demo.expected()
    assert (least, most, count) == (0.859, 0.984, 5)
    assert demo.summary(SUMMARY, tmp_path, 61.4).splitlines() == [
        "",
        "held-out accuracy   0.875, 95 % interval 0.812–0.938; chance 0.5",
        "to be expected      0.859 to 0.984, measured with 5 seeds",
        "samples per second  123",
        "reuse               5.2 samples shown per decoded window",
        "limited by          the encoder: encoder 75%, waiting 12%",
        f"look at             {tmp_path / 'preview' / 'preview.html'}, {tmp_path / 'bsp' / 'report.html'}",
        f"took                61 s with gpuaug {gpuaug.__version__}",
        f"next                {demo.prog('preview')} --task bsp --videos YOUR_VIDEOS --out look",
    ]
