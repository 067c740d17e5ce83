"""The doctor: it tries things, says what it found, and never fails because something is missing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gpuaug import doctor
from gpuaug.__main__ import main
from gpuaug.kernels import host

ROOT = Path(__file__).parents[2]


def test_it_reports_what_was_tried(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for name in ("torch", "PyAV", "CPU kernels", "compiler", "CuPy", "DALI", "NVDEC", "h264", "vp9", "mjpeg"):
        assert name in out
    rows = {line.split()[0]: line.split()[1] for line in out.splitlines() if line.split()[:1] and len(line.split()) > 1}
    assert rows["h264"] == rows["vp9"] == rows["mjpeg"] == "yes", "PyAV decodes these everywhere"
    if not torch.cuda.is_available():
        assert "no CUDA device" in out
        assert "What would make it faster" in out


@pytest.mark.parametrize("compiler", [None, "/usr/bin/c++"])
def test_missing_kernels_come_with_a_cure(monkeypatch, tmp_path, compiler):
    monkeypatch.setattr(host, "find", lambda: "were not built")
    monkeypatch.setattr(doctor.shutil, "which", lambda name: compiler)
    monkeypatch.setattr(doctor.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess("", 0, "c++ 12\n"))
    advice: list[str] = []
    assert dict(doctor._kernels(advice))["CPU kernels"] == "were not built: the NumPy reference serves"
    assert ("install a C++ compiler" in advice[0]) == (compiler is None)
    assert "reinstall gpuaug" in advice[0]
    assert str(ROOT / "gpuaug") in advice[0], "which may be a checkout that hides the one installed"


def test_wrong_frames_are_not_called_a_success(monkeypatch, tmp_path):
    """Negative control: a decoder that returns grey pictures fails the trial."""
    file = doctor._clip(tmp_path, "h264")
    assert doctor._try("cpu", "pyav", file) == "yes"

    def grey(self, windows):
        return [torch.full((12, 64, 64, 3), 128, dtype=torch.uint8)], []

    monkeypatch.setattr(doctor.gpuaug.Decoder, "decode", grey)
    assert doctor._try("cpu", "pyav", file) == "wrong frames"


def test_a_broken_backend_is_a_reason_not_a_crash(tmp_path):
    assert doctor._try("cpu", "pyav", tmp_path / "missing.mp4").startswith("no (")


@pytest.mark.skipif(shutil.which("env") is None, reason="needs env")
@pytest.mark.end_to_end
def test_it_works_without_compiler_and_nvidias_libraries():
    code = """
import sys
for name in ("cupy", "cupy_backends", "nvidia.dali"):
    sys.modules[name] = None
from gpuaug.__main__ import main
from gpuaug.kernels import host
sys.exit(main(["doctor"]))
"""
    answer = subprocess.run(
        [sys.executable, "-c", code], env={"PATH": ""}, capture_output=True, text=True, cwd=ROOT, timeout=200
    )
    assert answer.returncode == 0, answer.stderr
    assert "none found" in answer.stdout


def test_a_reason_is_told_once_below_the_table(monkeypatch, capsys):
    monkeypatch.setattr(
        doctor, "_codecs", lambda: {"h264": ["yes", "no (no library)"], "vp9": ["yes", "no (no library)"]}
    )
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert out.count("no library") == 1
    assert [line.split() for line in out.splitlines() if "[1]" in line][:2] == [
        ["h264", "yes", "no", "[1]"],
        ["vp9", "yes", "no", "[1]"],
    ]
    assert "GiB" in out.split("memory")[1].splitlines()[0]


@pytest.mark.parametrize(
    ("word", "hint"), [("doctr", "did you mean 'doctor'?"), ("train", "those of training: gpuaug --help")]
)
def test_a_command_that_is_none_of_the_librarys(word, hint, capsys):
    assert main([word, "--videos", "x"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"python -m gpuaug: there is no command {word!r} here; ")
    assert line.endswith(hint)
