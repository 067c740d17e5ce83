"""The seam between the decoder and its backends, with one that is made up here."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import get_args

import av
import numpy as np
import pytest
import torch

from benchmarks.peers import decoders
from gpuaug import Decoder, Window
from gpuaug.video import backends
from gpuaug.video import decoder as decoder_module
from support.assets import number_of

ROOT = Path(__file__).parents[4]


class Painter:
    """Takes VP9 alone; a frame is its position in every pixel, and windows that show frame 13 fail."""

    def __init__(self, device, threads, timeout_seconds):
        self.device, self.options, self.closed = device, (threads, timeout_seconds), False

    def refuses(self, index):
        return "" if index.codec == "vp9" else f"no paint for {index.codec}"

    def decode(self, requests):
        return [[self._paint(request, positions_T) for positions_T in request.positions] for request in requests]

    def close(self):
        self.closed = True

    def _paint(self, request, positions_T):
        if 13 in positions_T:
            return "unlucky"
        level_T = torch.from_numpy(positions_T).to(self.device, torch.uint8)
        return level_T[:, None, None, None].expand(-1, request.height, request.width, 3).contiguous()


@pytest.fixture
def painter(monkeypatch):
    """Register it, before the others."""
    module = ModuleType("painter")
    module.Painter = Painter
    monkeypatch.setitem(sys.modules, "painter", module)
    entry = backends.Entry("painter", "Painter", "paint")
    monkeypatch.setattr(backends, "BACKENDS", {"painter": entry, **backends.BACKENDS})


def test_the_names_are_those_of_the_backends():
    assert get_args(backends.BackendName) == ("auto", *backends.BACKENDS)


def test_it_serves_windows(painter, assets):
    path = str(assets["vp9"])
    windows = [Window(path, 0.4, 25, 3), Window(path, 0.2, 25, 4), Window(str(assets["cfr"]), 0, 25, 2)]
    with Decoder(size=(5, 7), backend="painter", threads=3, timeout_seconds=9) as decoder:
        clips, failures = decoder.decode(windows, [np.array([0, 2]), np.array([1, 2, 3]), np.array([0])])
        backend = decoder._backends["painter"]
    assert [clip.shape for clip in clips[:2]] == [(2, 5, 7, 3), (3, 5, 7, 3)]
    assert [clip[:, 0, 0, 0].tolist() for clip in clips[:2]] == [[10, 12], [6, 7, 8]]
    assert [(f.index, f.reason) for f in failures] == [(2, "no paint for h264")]
    assert (backend.options, backend.closed) == ((3, 9), True)


def test_auto_goes_on_with_the_next_one(painter, assets):
    """File by file where it refuses, window by window where it failed."""
    path = str(assets["vp9"])
    windows = [Window(path, 0.4, 25, 2), Window(str(assets["cfr"]), 0.4, 25, 2), Window(path, 0.48, 25, 2)]
    with Decoder(threads=2) as decoder:
        clips, failures = decoder.decode(windows)
    assert not failures
    assert clips[0][:, 0, 0, 0].tolist() == [10, 11]
    assert [number_of(frame) for frame in clips[0].numpy()] == [-1, -1], "negative control: painted, not decoded"
    assert [[number_of(frame) for frame in clip.numpy()] for clip in clips[1:]] == [[10, 11], [12, 13]]
    with Decoder(backend="painter", threads=2) as alone:
        assert [f.reason for f in alone.decode(windows)[1]] == ["no paint for h264", "unlucky"]


def test_what_was_left_to_the_next_one_is_counted(painter, assets, tmp_path, monkeypatch):
    """Files by reason, whether one refused or failed; a file counts once."""
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(assets["cfr"].read_bytes())
    windows = [Window(str(path), 0.48, 25, 2) for path in (assets["vp9"], assets["cfr"], assets["cfr"], copy)]
    with Decoder(threads=2) as decoder:
        for _ in range(2):
            assert not decoder.decode(windows)[1]
            assert decoder.fallbacks == {"no paint for h264": 2, "unlucky": 1}
    with Decoder(backend="painter", threads=2) as alone:
        assert len(alone.decode(windows)[1]) == 4
        assert alone.fallbacks == {}
    monkeypatch.setattr(decoder_module, "KEPT_REASONS", 1)
    with Decoder(threads=2) as decoder:
        assert not decoder.decode(windows)[1]
        assert decoder.fallbacks == {"no paint for h264": 2}


def test_a_failure_is_not_hidden_by_a_later_refusal(monkeypatch, painter, assets):
    class Nothing(Painter):
        def refuses(self, index):
            return "never"

    monkeypatch.setattr(sys.modules["painter"], "Nothing", Nothing, raising=False)
    first = backends.BACKENDS["painter"]
    monkeypatch.setattr(backends, "BACKENDS", {"painter": first, "nothing": first._replace(name="Nothing")})
    windows = [Window(str(assets[name]), 0.48, 25, 2) for name in ("vp9", "cfr")]
    with Decoder() as decoder:
        assert [f.reason for f in decoder.decode(windows)[1]] == ["unlucky", "no paint for h264"]


def test_one_without_its_library(monkeypatch, painter):
    monkeypatch.setitem(sys.modules, "painter", None)
    with pytest.raises(RuntimeError, match='backend="painter" needs paint, which cannot be imported'):
        Decoder(backend="painter")
    Decoder().close()


def test_an_unknown_one_is_refused_with_the_choices(painter):
    message = 'backend must be "auto", "painter", "dali", "torchcodec" or "pyav", got backend=\'oil\''
    with pytest.raises(ValueError, match=re.escape(message)):
        Decoder(backend="oil")


@pytest.mark.parametrize("error", [ImportError("No module named 'torchcodec'"), None])
def test_torchcodec_without_itself_or_without_ffmpeg(monkeypatch, error):
    """One line that says what to install; "auto" does without."""
    if error is None:  # torchcodec is there, and finds no FFmpeg
        fake = ModuleType("torchcodec.decoders")

        def found_nothing(source):
            raise RuntimeError("Could not load libtorchcodec. Likely causes: …")

        fake.VideoDecoder = found_nothing
        monkeypatch.setitem(sys.modules, "torchcodec", ModuleType("torchcodec"))
        monkeypatch.setitem(sys.modules, "torchcodec.decoders", fake)
        monkeypatch.delitem(sys.modules, "gpuaug.video.backends.torchcodec", raising=False)
    else:
        monkeypatch.setitem(sys.modules, "gpuaug.video.backends.torchcodec", None)
    with pytest.raises(RuntimeError, match='backend="torchcodec" needs torchcodec, which cannot be imp') as raised:
        Decoder(backend="torchcodec")
    assert str(raised.value).endswith("; pip install 'gpuaug[torchcodec]'")
    assert "\n" not in str(raised.value)
    if error is None:
        assert "it finds no FFmpeg libraries (Debian, Ubuntu: apt install ffmpeg)" in str(raised.value)
    with Decoder() as decoder:
        assert [*decoder._backends] == ["pyav"]


@pytest.mark.slow
def test_torchcodec_with_the_ffmpeg_of_pyavs_wheel():
    """Runs test_torchcodec.py where the system's FFmpeg does not serve; on Linux, that in PyAV's wheel does."""
    pytest.importorskip("torchcodec")
    if not list((Path(av.__file__).parent.parent / "av.libs").glob("libavcodec*.so*")):
        pytest.skip("PyAV was not installed from its wheel for Linux")
    file = Path(__file__).with_name("test_torchcodec.py")
    with decoders.pyavs_libraries() as environment:
        run = subprocess.run(
            [sys.executable, "-m", "pytest", str(file), "-m", "not gpu", "-p", "no:cacheprovider", "-rs"],
            env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    assert "[100%]" in run.stdout
    assert "SKIPPED" not in run.stdout
