"""Files that cannot be read at the moment: refused with the reason, never taken for shorter ones, never remembered."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from gpuaug import Decoder, Window, probe
from gpuaug.video import demux, frame_index, manifest, reader
from gpuaug.video.backends import pyav, stretch
from support.assets import number_of

ROOT = Path(__file__).parent.parent
NAMES = ["cfr", "mkv", "ts", "mpeg4_avi", "vp9", "mpeg2", "h264_avi", "raw_h264"]
REASONS = {errno.EIO: "Input/output error", errno.ESTALE: "Stale file handle", errno.ETIMEDOUT: "Connection timed out"}


class Fault:
    """Reading `path` fails from byte `start` to `stop`, `once` or always."""

    def __init__(self):
        self.path, self.hits = None, 0

    def set(self, path, start, stop=1 << 60, error=None, *, once=False):
        self.path, self.start, self.stop, self.hits, self.once = str(path), start, stop, 0, once
        self.error = error or OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.fixture
def fault(monkeypatch):
    state = Fault()

    class File(io.FileIO):
        def read(self, size=-1):
            if self.name == state.path and not (state.once and state.hits):
                at = self.tell()
                if state.start <= at < state.stop:
                    state.hits += 1
                    raise state.error
                if at < state.start < at + size:
                    size = state.start - at
            return super().read(size)

    monkeypatch.setattr(reader, "io", SimpleNamespace(FileIO=File))
    return state


@pytest.mark.parametrize("once", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_probe_refuses_and_forgets(name, once, assets, tmp_path, fault):
    path = assets[name]
    clean = probe(path, cache=False)
    assert not clean.failed
    size = path.stat().st_size
    for k, share in enumerate((0, 0.01, 0.4, 0.7, 0.999)):
        number = list(REASONS)[k % len(REASONS)]
        start = int(size * share)
        fault.set(path, start, start + 4096, OSError(number, os.strerror(number)), once=once)
        found = probe(path, cache=tmp_path / "cache")
        assert fault.hits, "nothing was read there"
        assert [video.error for video in found.videos] == [f"cannot be read: {REASONS[number]}"], share
        fault.path = None
        assert probe(path, cache=tmp_path / "cache") == clean
        os.unlink(tmp_path / "cache")


def test_memory_that_is_short_while_reading(assets, tmp_path, fault):
    fault.set(assets["mkv"], 3000, error=MemoryError())
    assert [video.error for video in probe(assets["mkv"], cache=tmp_path / "cache").videos] == ["out of memory"]
    fault.path = None
    assert probe(assets["mkv"], cache=tmp_path / "cache").usable[0].frames == 50


@pytest.mark.parametrize("name", NAMES)
def test_the_decoder_says_so_and_goes_on_when_it_is_over(name, assets, fault):
    path, size = assets[name], assets[name].stat().st_size
    windows = [Window(str(path), second, 25, 3, "repeat") for second in (0.04, 1.9)]
    with Decoder(threads=1) as decoder:
        for start in (0, size * 2 // 3):  # there is no time table yet
            fault.set(path, start)
            clips, failures = decoder.decode(windows)
            assert clips == [None, None]
            assert [failure.reason for failure in failures] == ["cannot be read: Input/output error"] * 2
        fault.path = None
        expected, failures = decoder.decode(windows)
        assert not failures
        fault.set(path, size * 2 // 3)  # the time table is there
        clips, failures = decoder.decode(windows)
        assert fault.hits
        assert [(failure.index, failure.reason) for failure in failures][-1] == (
            1,
            "cannot be read: Input/output error",
        )
        if len(failures) == 1:
            assert clips[0].equal(expected[0])
        fault.path = None
        clips, failures = decoder.decode(windows)
        assert not failures
        assert all(a.equal(b) for a, b in zip(clips, expected))


def test_what_was_decoded_before_the_error_is_given(assets, fault):
    path = assets["mkv"]
    index = frame_index.read_index(str(path))
    fault.set(path, path.stat().st_size * 2 // 3)
    first, last = pyav.decode_windows(index, [np.arange(3), np.arange(47, 50)], 96, 160)
    assert [number_of(frame) for frame in first.numpy()] == [0, 1, 2]
    assert last == "cannot be read: Input/output error"


class Ending:
    """A container whose packets end with an error of libav's after the tenth."""

    def __init__(self, inner, number):
        self.inner, self.number = inner, number

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def demux(self, *arguments):
        for k, packet in enumerate(self.inner.demux(*arguments)):
            if k == 10:
                av.error.err_check(-self.number)
            yield packet


SYSTEM = [errno.ENOMEM, errno.EMFILE, errno.EIO, errno.EACCES, errno.ETIMEDOUT]
CONTENT = [errno.EINVAL, errno.EPERM, int(av.error.ErrorType.INVALIDDATA)]


@pytest.mark.parametrize("number", SYSTEM + CONTENT)
def test_how_packets_end(number, assets, monkeypatch, tmp_path):
    path = assets["cfr"]
    original = demux.VideoFile._open
    with monkeypatch.context() as patch:
        patch.setattr(demux.VideoFile, "_open", lambda self, path: Ending(original(self, path), number))
        (video,) = probe(path, cache=tmp_path / "cache").videos
    (again,) = probe(path, cache=tmp_path / "cache").videos
    if number in SYSTEM:
        assert video.error == f"cannot be read: {os.strerror(number)}"
        assert again.frames == 50
    else:  # damage: what comes before it is used
        assert (video.error, video.frames) == (None, 10)
        assert again == video


@pytest.mark.parametrize("number", SYSTEM + CONTENT)
def test_what_keeps_a_file_from_being_opened(number, assets, monkeypatch):
    def refused(*_, **__):
        av.error.err_check(-number)

    monkeypatch.setattr(demux.av, "open", refused)
    video, lasting, _ = manifest._read(str(assets["cfr"]))
    assert lasting == (number in (errno.EINVAL, CONTENT[-1]))
    if number == errno.EIO:  # which the file did not give
        assert video.error == "not a video: it ends too early"
    elif number in SYSTEM:
        assert video.error == f"cannot be read: {os.strerror(number)}"
    else:
        assert video.error.startswith("not a video: ")


@pytest.mark.parametrize("step", ["first_frame", "decode"])
def test_memory_that_is_short_while_decoding(step, assets, monkeypatch):
    class Context:
        def __init__(self, inner):
            self.inner = inner

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def decode(self, packet):
            av.error.err_check(-errno.ENOMEM)

    index = frame_index.read_index(str(assets["cfr"]))
    with demux.VideoFile(index.path) as file:
        stream = demux.videos(file.container)[0]
        short = SimpleNamespace(codec_context=Context(stream.codec_context))
        if step == "first_frame":
            with pytest.raises(OSError, match="Cannot allocate memory"):
                demux.first_frame(short, list(demux.packets(file, stream))[:1])
            return
    original = stretch.OpenFile._open

    def opened(self):
        original(self)
        self.context = Context(self.context)

    monkeypatch.setattr(stretch.OpenFile, "_open", opened)
    monkeypatch.setattr(stretch, "packets", lambda file, _: demux.packets(file, demux.videos(file.container)[0]))
    (reason,) = pyav.decode_windows(index, [np.arange(3)], 96, 160)
    assert reason == "cannot be read: Cannot allocate memory"
