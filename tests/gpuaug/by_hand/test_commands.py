"""The library's own program: what it hands to `probe`, what it prints of the answer, and its status."""

from __future__ import annotations

import sys

import pytest

import gpuaug.__main__ as command
from gpuaug import Manifest, Video, doctor


def video(k, seconds=1800.0, label=None, error=None):
    return Video(f"{k}.mp4", label, seconds, 25.0, False, 50, 160, 96, 0, "h264", "yuv420p", error)


@pytest.fixture
def probed(monkeypatch):
    """What `probe` is called with; it finds the videos of the list."""
    calls, found = [], []

    def probe(paths, **how):
        calls.append((paths, how))
        return Manifest(list(found))

    monkeypatch.setattr(command, "probe", probe)
    return calls, found


@pytest.mark.parametrize(
    ("words", "paths", "how"),
    [
        (["a"], ["a"], {"cache": None, "workers": None}),
        (["a", "b", "--workers", "1"], ["a", "b"], {"cache": None, "workers": 1}),
        (["--cache", "c", "a"], ["a"], {"cache": "c", "workers": None}),
        (["--cache", "c", "a", "--no-cache"], ["a"], {"cache": False, "workers": None}),
    ],
)
def test_what_is_handed_to_probe(probed, words, paths, how):
    assert command.main(["probe", *words]) == 1, "nothing is usable"
    assert probed[0] == [(paths, how)]


def test_the_words_of_the_program_are_taken(probed, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gpuaug", "probe", "x"])
    probed[1].append(video(0))
    assert command.main() == 0
    assert probed[0][0][0] == ["x"]
    monkeypatch.setattr(sys, "argv", ["gpuaug", "prob"])
    assert command.main() == 2


@pytest.mark.parametrize("failed", [0, 1, 10, 11, 13])
def test_the_summary(probed, capsys, failed):
    """Half an hour each; a video without a label is of no class; of the unusable the first ten are told."""
    _, found = probed
    found += [video(0, label="a"), video(1, label="a"), video(2, label="b"), video(3)]
    found += [video(k, 7200.0, "c", f"broken {k}") for k in range(10, 10 + failed)]
    assert command.main(["probe", "x"]) == 0
    out, err = capsys.readouterr()
    assert out == f"4 usable videos, 2.00 hours, 2 classes; {failed} unusable\n"
    lines = [f"  {k}.mp4: broken {k}" for k in range(10, 10 + min(failed, 10))]
    more = [f"  and {failed - 10} more; --out writes them all, column error"] if failed > 10 else []
    assert err.splitlines() == lines + more


def test_a_manifest_is_written_where_its_folder_has_to_be_made(probed, capsys, tmp_path, monkeypatch):
    probed[1].append(video(0))
    for out in (tmp_path / "new" / "deep" / "m.csv", tmp_path / "new" / "deep" / "n.csv"):
        assert command.main(["probe", "x", "--out", str(out)]) == 0
        assert capsys.readouterr().out.splitlines()[1:] == [f"written to {out}"]
        assert [each.duration_seconds for each in Manifest.load(out).videos] == [1800.0]
    monkeypatch.chdir(tmp_path)
    assert command.main(["probe", "x", "-o", "here.csv"]) == 0
    assert (tmp_path / "here.csv").is_file()


@pytest.mark.parametrize("error", [OSError("no\n  disk"), ValueError("no\n  disk"), RuntimeError("no\n  disk")])
def test_errors_are_one_line(monkeypatch, capsys, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(command, "probe", fail)
    assert command.main(["probe", "x"]) == 1
    assert capsys.readouterr() == ("", "error: no disk\n")


@pytest.mark.parametrize("status", [0, 3])
def test_the_doctors_status_is_the_programs(monkeypatch, status):
    monkeypatch.setattr(doctor, "report", lambda: status)
    assert command.main(["doctor"]) == status


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["doctor", "now"], 2, "tool doctor: error: nothing is known of now\n"),
        (["doctor", "--now"], 2, "tool doctor: error: there is no flag --now\n"),
        (["probe", "x", "--worker=3"], 2, "tool probe: error: there is no flag --worker; did you mean --workers?\n"),
        (["probe", "x", "--workers", "0"], 2, "tool probe: error: --workers must be >= 1, got 0\n"),
        (["probe", "x", "--workers", "a"], 2, "tool probe: error: argument --workers: invalid int value: 'a'\n"),
        (["--verion"], 2, "tool: error: the following arguments are required: COMMAND\n"),
        ([], 2, "tool: error: the following arguments are required: COMMAND\n"),
        (["dokter"], 2, "tool: there is no command 'dokter' here; did you mean 'doctor'?\n"),
        (
            ["fly"],
            2,
            "tool: there is no command 'fly' here; tool --help lists them; those of training: gpuaug --help\n",
        ),
        (["--version"], 0, ""),
    ],
)
def test_wrong_words(words, status, said, capsys):
    assert command.main(words, "tool") == status
    out, err = capsys.readouterr()
    assert err == said
    assert out == (f"gpuaug {command.__version__}\n" if not status else "")


@pytest.mark.parametrize(("code", "status"), [(0, 0), (1, 1), (None, 2), ("why", 2)])
def test_the_status_of_what_ends_the_program(monkeypatch, code, status):
    def end(*_):
        raise SystemExit(code)

    monkeypatch.setattr(command, "_doctor", end)
    assert command.main(["doctor"]) == status


def test_stopped_before_or_after_something_is_remembered(monkeypatch, capsys):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "probe", stop)
    monkeypatch.setattr(command, "_doctor", stop)
    said = []
    for words in (["probe", "x"], ["probe", "x", "--no-cache"], ["doctor"]):
        assert command.main(words) == 1
        said.append(capsys.readouterr().err)
    assert said == ["stopped; what was read is remembered\n", "stopped\n", "stopped\n"]


def test_help_names_the_commands_and_what_they_do(capsys):
    assert command.main(["--help"], "tool") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith("usage: tool ")
    for part in (command.DOCTOR, command.PROBE, "on-the-fly video augmentation", "of training", "COMMAND"):
        assert part in text
    assert command.main(["probe", "--help"], "tool") == 0
    text = capsys.readouterr().out
    for flag in ("PATH", "-o CSV, --out CSV", "--cache FILE", "--no-cache", "--workers N"):
        assert flag in text
