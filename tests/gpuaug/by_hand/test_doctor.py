"""What the doctor says of machines that are not this one."""

from __future__ import annotations

import platform
import subprocess
import sys
import types
import warnings

import av
import numpy as np
import pytest
import torch

import gpuaug.kernels
from gpuaug import Failure, doctor
from gpuaug.kernels import host


def test_a_report(monkeypatch, capsys):
    """Rows and columns under one another, reasons numbered below the table, advice last."""
    table = {
        "h264": ["yes", "no (no library)", "no (it broke)"],
        "vp9": ["yes", "yes", "no (no library)"],
        "av1": ["not tried: no encoder (none)"],
    }
    monkeypatch.setattr(doctor, "COLUMNS", ["one", "two", "three"])
    monkeypatch.setattr(doctor, "_machine", lambda: [("memory", "8 GiB")])
    monkeypatch.setattr(doctor, "_kernels", lambda advice: advice.append("install them") or [("compiler", "none")])
    monkeypatch.setattr(doctor, "_gpu", lambda advice: advice.append("buy one") or [("devices", "none")])
    monkeypatch.setattr(doctor, "_codecs", lambda: table)
    assert doctor.report() == 0
    assert capsys.readouterr().out.splitlines() == [
        "memory       8 GiB",
        "compiler     none",
        "devices      none",
        "",
        "codec        one                          two                          three",
        "h264         yes                          no [1]                       no [2]",
        "vp9          yes                          yes                          no [1]",
        "av1          not tried: no encoder (none)",
        "  [1] no library",
        "  [2] it broke",
        "",
        "What would make it faster:",
        "  - install them",
        "  - buy one",
    ]
    monkeypatch.setattr(doctor, "_kernels", lambda advice: [])
    monkeypatch.setattr(doctor, "_gpu", lambda advice: [])
    doctor.report()
    assert capsys.readouterr().out.splitlines()[-2:] == ["", "Nothing here holds it back."]


def test_the_machine(monkeypatch):
    monkeypatch.setattr(doctor.gpuaug, "__version__", "7.8")
    monkeypatch.setattr(platform, "python_version", lambda: "3.99")
    monkeypatch.setattr(platform, "system", lambda: "Plan9")
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    monkeypatch.setattr(doctor, "usable_cores", lambda: 5)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(torch, "__version__", "2.99")
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(av, "__version__", "14")
    monkeypatch.setitem(av.library_versions, "libavcodec", (61, 3, 100))
    monkeypatch.setattr(doctor.os, "sysconf", {"SC_PHYS_PAGES": 3 * 2**20, "SC_PAGE_SIZE": 4096}.get)
    expected = [
        ("gpuaug", "7.8 on Python 3.99, Plan9"),
        ("processor", "vax, 5 cores, torch uses 3 threads"),
        ("memory", "12 GiB"),
        ("torch", "2.99, CUDA not built in"),
        ("PyAV", "14, FFmpeg's libavcodec 61.3.100"),
    ]
    assert doctor._machine() == expected
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert ("torch", "2.99, CUDA 13.0") in doctor._machine()


@pytest.mark.parametrize("error", [AttributeError, ValueError, OSError])
def test_memory_that_the_system_does_not_tell(error, monkeypatch):
    def fail(name):
        raise error

    monkeypatch.setattr(doctor.os, "sysconf", fail)
    assert doctor._memory() == "not known"


@pytest.mark.parametrize(
    ("found", "answer", "shown"),
    [
        ({"c++"}, "c++ 12\nfree software\n", "c++ 12"),
        ({"g++"}, "g++ 13\n", "g++ 13"),
        ({"clang++"}, "clang 14\n", "clang 14"),
        ({"icx", "c++"}, "", "does not answer"),
        (set(), "", "none found (needed only to install the CPU kernels)"),
    ],
)
def test_compilers(found, answer, shown, monkeypatch):
    asked = []

    def run(command, **how):
        asked.append(command)
        assert how["capture_output"]
        assert how["text"]
        return subprocess.CompletedProcess(command, 0, answer)

    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/bin/{name}" if name in found else None)
    monkeypatch.setattr(doctor.subprocess, "run", run)
    if "icx" in found:
        monkeypatch.setenv("CXX", "icx")
    else:
        monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(
        host, "library", lambda: warnings.warn("no kernels", stacklevel=1)
    )  # says no more than the report
    monkeypatch.setattr(host, "find", lambda: object())
    advice: list[str] = []
    assert doctor._kernels(advice) == [("CPU kernels", "compiled"), ("compiler", shown)]
    assert advice == []
    assert asked == [[f"/bin/{'icx' if 'icx' in found else name}", "--version"] for name in found][:1]


DEVICES = [
    types.SimpleNamespace(name="H100", total_memory=80 * 2**30, major=9, minor=0),
    types.SimpleNamespace(name="L4", total_memory=int(22.4 * 2**30), major=8, minor=9),
]


@pytest.fixture
def cuda(monkeypatch):
    """In place of gpuaug.kernels.cuda, which needs CuPy."""
    module = types.ModuleType("cuda")
    monkeypatch.setitem(sys.modules, "gpuaug.kernels.cuda", module)
    monkeypatch.setattr(gpuaug.kernels, "cuda", module, raising=False)
    return module


def test_a_machine_with_two_gpus(cuda, monkeypatch):
    made = []
    versions = {"cupy": "cupy-cuda13x 13", "nvidia-dali": "nvidia-dali-cuda130 2", "torchcodec": None}
    monkeypatch.setattr(doctor, "_version", versions.get)
    cuda.machine_code = lambda *what: made.append(what) or b"12345"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: DEVICES[index])
    monkeypatch.setattr(doctor, "_nvdec", lambda advice: "decodes H.264")
    advice: list[str] = []
    rows = [
        ("CuPy", "cupy-cuda13x 13"),
        ("DALI", "nvidia-dali-cuda130 2"),
        ("torchcodec", "not installed"),
        ("GPU kernels", "compile with NVRTC (render for sm_90: 5 bytes)"),
        ("device 0", "H100, 80 GiB, sm_90"),
        ("device 1", "L4, 22 GiB, sm_89"),
        ("NVDEC", "decodes H.264"),
    ]
    assert doctor._gpu(advice) == rows
    assert advice == []
    (((kind, dtype, *_), architecture),) = made
    assert (kind, dtype, architecture) == ("render", "bfloat16", "sm_90")
    versions |= {"cupy": None, "nvidia-dali": None, "torchcodec": "torchcodec 1"}
    assert doctor._gpu(advice) == [
        ("CuPy", "not installed"), ("DALI", "not installed"), ("torchcodec", "torchcodec 1"), *rows[3:],
    ]  # fmt: skip
    assert [line.partition(":")[0] for line in advice] == ["CuPy is missing, so GPU tensors cannot be rendered"]


@pytest.mark.parametrize("error", [ImportError, RuntimeError, OSError])
def test_a_machine_without_gpu_and_nvrtc(error, cuda, monkeypatch):
    def fail(*what):
        raise error("no\n  nvrtc")

    cuda.machine_code = fail
    monkeypatch.setattr(doctor, "_version", lambda prefix: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    advice: list[str] = []
    assert doctor._gpu(advice)[3:] == [
        ("GPU kernels", "do not compile: no nvrtc"),
        ("devices", "no CUDA device"),
        ("NVDEC", "not tried: no CUDA device"),
    ]
    assert advice == ["no CUDA device: decoding, kernels and training run on the CPU"]


@pytest.mark.parametrize("answer", ["yes", "no (refused)", "wrong frames"])
def test_nvdec(answer, monkeypatch):
    loaded, tried = [], []
    monkeypatch.setattr(doctor.ctypes, "CDLL", loaded.append)
    monkeypatch.setattr(doctor, "_clip", lambda folder, codec: (folder.is_dir(), codec))
    monkeypatch.setattr(doctor, "_try", lambda *how: tried.append(how) or answer)
    advice: list[str] = []
    assert doctor._nvdec(advice) == ("decodes H.264" if answer == "yes" else answer)
    assert loaded == ["libnvcuvid.so.1"]
    assert tried == [("cuda", "dali", (True, "h264"))]
    assert [line.startswith("NVDEC does not decode H.264") for line in advice] == [True] * (answer != "yes")


def test_nvdec_without_its_library(monkeypatch):
    def fail(name):
        raise OSError(name)

    monkeypatch.setattr(doctor.ctypes, "CDLL", fail)
    advice: list[str] = []
    assert doctor._nvdec(advice) == "no libnvcuvid.so.1: videos are decoded on the CPU"
    assert [line.partition(" (")[0] for line in advice] == ["libnvcuvid.so.1 is missing"]


@pytest.mark.parametrize("gpu", [False, True])
def test_each_codec_is_tried_by_each_backend(gpu, monkeypatch):
    """On the GPU where a backend knows it; a codec that FFmpeg cannot encode here is a row of its own."""

    def clip(folder, codec):
        assert folder.is_dir()
        if codec in errors:
            raise errors[codec]
        return codec

    errors = {"hevc": av.error.EncoderNotFoundError(1, "none\nsuch"), "vp8": ValueError("too small")}
    monkeypatch.setattr(doctor, "_clip", clip)
    monkeypatch.setattr(doctor, "_try", lambda *how: how)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setenv("SVT_LOG", "1")
    table = doctor._codecs()
    assert list(table) == ["h264", "hevc", "av1", "vp9", "vp8", "mjpeg", "mpeg4"]
    assert table["vp8"] == ["not tried: no encoder (too small)"]
    assert [answer.startswith("not tried: no encoder (") for answer in table["hevc"]] == [True]
    assert "\n" not in table["hevc"][0]
    assert doctor.COLUMNS[0] == "pyav"
    for codec in table.keys() - errors.keys():
        on_gpu = [bool(gpu and doctor.BACKENDS[name].devices) for name in doctor.COLUMNS]
        assert table[codec] == [
            ("cuda" if there else "cpu", name, codec) for there, name in zip(on_gpu, doctor.COLUMNS)
        ]
        assert table[codec][0] == ("cpu", "pyav", codec)
        assert any(on_gpu) == gpu


@pytest.mark.parametrize("answer", ["yes", "wrong frames", "no (open", "no)", "not tried: no encoder (a)"])
def test_answers_without_a_reason_stay_as_they_are(answer):
    why = ["a"]
    assert doctor._short(answer, why) == answer
    assert why == ["a"]


@pytest.mark.parametrize(("length", "shown"), [(299, 299), (300, 300), (301, 298)])
def test_long_errors_are_cut(length, shown):
    text = doctor._one_line(ValueError("a\n b" + "x" * (length - 3)))
    assert len(text) == shown
    assert text.startswith("a bxx")
    assert text.endswith("…" if length > 300 else "x")


def test_versions_are_found_by_the_begin_of_a_name(monkeypatch):
    names = [(None, "1"), ("Torch", "2"), ("CuPy-CUDA13x", "13.5"), ("cupy-other", "14")]
    found = [types.SimpleNamespace(metadata={"Name": name}, version=version) for name, version in names]
    monkeypatch.setattr(doctor.metadata, "distributions", lambda: found)
    assert [doctor._version(prefix) for prefix in ("cupy", "upy", "torch")] == ["CuPy-CUDA13x 13.5", None, "Torch 2"]


class Decoder:
    """In place of the true one: 12 grey frames, of which frame `wrong` is off by `by`."""

    wrong, by, failures, made = 0, 0.0, (), []

    def __init__(self, *given, **named):
        self.made.append((given, named))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def decode(self, windows):
        ((path, start, fps, frames),) = [(w.path, w.start_seconds, w.fps, w.frames) for w in windows]
        assert (path, start, fps, frames) == ("a.mp4", 0, 12, 12)
        level = 20.0 * np.arange(12)
        level[self.wrong] += self.by
        return [torch.from_numpy(level)[:, None, None, None].expand(-1, 2, 2, 3)], self.failures


@pytest.mark.parametrize("wrong", [0, 5, 11])
@pytest.mark.parametrize(
    ("by", "answer"), [(0, "yes"), (11, "yes"), (-11, "yes"), (12, "wrong frames"), (-12.5, "wrong frames")]
)
def test_frames_may_be_a_little_off(wrong, by, answer, monkeypatch):
    monkeypatch.setattr(doctor.gpuaug, "Decoder", type("Off", (Decoder,), {"wrong": wrong, "by": by, "made": []}))
    assert doctor._try("cuda", "dali", "a.mp4") == answer
    assert doctor.gpuaug.Decoder.made == [(("cuda", (64, 64)), {"backend": "dali", "threads": 1})]


def test_failures_of_a_decoder_are_reasons(monkeypatch):
    failed = [Failure(0, "a.mp4", "no\n luck")]
    monkeypatch.setattr(doctor.gpuaug, "Decoder", type("Failing", (Decoder,), {"failures": failed}))
    assert doctor._try("cpu", "pyav", "a.mp4") == "no (no luck)"
