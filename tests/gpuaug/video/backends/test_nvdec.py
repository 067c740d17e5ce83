"""What NVDEC can do: the driver's answer, and what is made of it. A table stands for the driver."""

import ctypes

import pytest
import torch

from gpuaug import doctor
from gpuaug.video.backends import nvdec
from gpuaug.video.backends.nvdec import Capabilities, Caps, Kind, kind_of
from gpuaug.video.frame_index import read_index

CPU = torch.device("cpu")
H264 = Kind("h264", "4:2:0", 8)
# of CUVIDDECODECAPS: where a field begins, its bytes, a value
ANSWER = ((24, 1, 1), (26, 2, 3), (28, 4, 8192), (32, 4, 4320), (36, 4, 9999), (40, 2, 144), (42, 2, 96))
USUAL = Caps(True, 48, 16, 4096, 4096, 65536, 0b1)


def asked(monkeypatch, answers):
    """Capabilities that answer from a table, and the list of what was asked."""
    questions = []

    def ask(device, kind):
        questions.append(kind)
        return answers.get(kind, Caps(False))

    monkeypatch.setattr(Capabilities, "ask", staticmethod(ask))
    return Capabilities(CPU), questions


@pytest.mark.parametrize(
    ("pixel_format", "chroma", "bits"),
    [
        ("yuv420p", "4:2:0", 8),
        ("yuvj420p", "4:2:0", 8),
        ("nv12", "4:2:0", 8),
        ("yuv420p10le", "4:2:0", 10),
        ("p010le", "4:2:0", 10),
        ("yuv422p12le", "4:2:2", 12),
        ("yuv444p", "4:4:4", 8),
        ("gray", "4:0:0", 8),
        ("yuv410p", "", 8),
        ("yuva420p", "", 8),
        ("gbrp", "", 8),
        ("pal8", "", 8),
    ],
)
def test_classes_of_videos(pixel_format, chroma, bits):
    assert kind_of("hevc", pixel_format) == ("hevc", chroma, bits)


def test_each_class_is_asked_for_once(monkeypatch):
    capabilities, questions = asked(monkeypatch, {H264: USUAL})
    for _ in range(3):
        assert capabilities.refuses_kind(H264) == ""
        assert capabilities.refuses_size(H264, 640, 480) == ""
        assert capabilities.refuses_kind(H264._replace(bits=10)) == "NVDEC here does not decode h264 of 10 bits, 4:2:0"
    assert questions == [H264, H264._replace(bits=10)]


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((48, 16), ""),
        ((47, 16), "at least 48 × 16 pixels, this has 47 × 16"),
        ((48, 15), "at least 48 × 16 pixels, this has 48 × 15"),
        ((4096, 4096), ""),
        ((4097, 16), "at most 4096 × 4096 pixels, this has 4097 × 16"),
        ((64, 4098), "at most 4096 × 4096 pixels, this has 64 × 4098"),
    ],
)
def test_sizes(monkeypatch, size, reason):
    capabilities, _ = asked(monkeypatch, {H264: USUAL})
    assert capabilities.refuses_size(H264, *size) == (reason and f"NVDEC here decodes h264 of {reason}")


def test_macroblocks_are_limited_too(monkeypatch):
    capabilities, _ = asked(monkeypatch, {H264: USUAL._replace(most_blocks=100)})
    assert capabilities.refuses_size(H264, 160, 160) == ""
    assert "at most 100 macroblocks" in capabilities.refuses_size(H264, 176, 160)


def test_what_no_nvdec_does_is_not_asked(monkeypatch):
    capabilities, questions = asked(monkeypatch, {})
    assert capabilities.refuses_kind(Kind("ffv1", "4:2:0", 8)) == "NVDEC does not decode ffv1 of this chroma"
    assert capabilities.refuses_kind(Kind("h264", "", 8)) == "NVDEC does not decode h264 of this chroma"
    assert questions == []


def test_the_surface_that_a_library_wants_must_be_there(monkeypatch):
    capabilities, _ = asked(monkeypatch, {H264: USUAL._replace(outputs=0b10)})
    assert capabilities.refuses_kind(H264) == ""
    assert capabilities.refuses_kind(H264, output=nvdec.NV12)


def test_the_drivers_answer(monkeypatch):
    """CUVIDDECODECAPS has 88 bytes, and the fields where the SDK's header puts them."""
    given = []

    class Driver:
        status = 0

        def cuvidGetDecoderCaps(self, pointer):
            raw = ctypes.cast(pointer, ctypes.POINTER(ctypes.c_uint8 * 88)).contents
            given.append([int.from_bytes(raw[i : i + 4], "little") for i in (0, 4, 8)])
            for at, size, value in ANSWER:
                raw[at : at + size] = value.to_bytes(size, "little")
            return self.status

    assert ctypes.sizeof(nvdec._Caps) == 88
    monkeypatch.setattr(nvdec, "_library", Driver)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: torch.cpu.Stream())
    monkeypatch.setattr(torch.cpu.Stream, "synchronize", lambda self: None, raising=False)
    monkeypatch.setattr(torch.cuda, "device", lambda device: torch.no_grad())
    assert nvdec.ask_driver(CPU, Kind("hevc", "4:4:4", 10)) == Caps(True, 144, 96, 8192, 4320, 9999, 3)
    assert given == [[8, 3, 2]]
    monkeypatch.setattr(Driver, "status", 100)
    capabilities = Capabilities(CPU)
    assert capabilities.refuses_kind(H264) == "NVDEC cannot be asked: error 100 of cuvidGetDecoderCaps"
    assert capabilities.refuses_size(H264, 1, 1) == ""


def test_without_a_driver_it_says_so(monkeypatch):
    def missing(name):
        raise OSError(f"{name}: cannot open shared object file\nmore")

    monkeypatch.setattr(nvdec.ctypes, "CDLL", missing)
    assert nvdec.missing().startswith("NVDEC cannot be used: ")
    assert "\n" not in nvdec.missing()


def test_the_videos_of_the_gpus_tests_are_large_enough(gpu_assets, tmp_path):
    """HEVC needs 144 × 144; doctor's, too."""
    needed = USUAL._replace(least_width=144, least_height=144)
    paths = [gpu_assets["hevc"], gpu_assets["turned_90"], doctor._clip(tmp_path, "hevc")]
    for path in paths:
        index = read_index(str(path))
        assert index.width >= needed.least_width
        assert index.height >= needed.least_height


@pytest.mark.gpu
def test_a_gpu_answers():
    if reason := nvdec.missing():  # a container without its library: no backend is asked there
        assert "nvcuvid" in reason
        assert isinstance(nvdec.ask_driver(torch.device("cuda", 0), H264), str)
        return
    caps = nvdec.ask_driver(torch.device("cuda", 0), H264)
    assert isinstance(caps, Caps)
    assert caps.supported
    assert 16 <= caps.least_width < 256 < 3840 <= caps.most_width
    assert caps.outputs >> nvdec.NV12 & 1
