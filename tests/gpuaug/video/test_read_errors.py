"""Files that cannot be read at the moment: refused with the reason, never taken for shorter ones, never remembered."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from gpuaug import Decoder, Window, probe
from gpuaug.video import demux, frame_index, manifest, reader
from gpuaug.video.backends import pyav
from support.assets import number_of
from support.kernel_implementations import require_compiler

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
    video, lasting = manifest._read(str(assets["cfr"]))
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
    original = pyav._File._open

    def opened(self):
        original(self)
        self.stream = SimpleNamespace(codec_context=Context(self.stream.codec_context))

    monkeypatch.setattr(pyav._File, "_open", opened)
    monkeypatch.setattr(pyav, "packets", lambda file, _: demux.packets(file, demux.videos(file.container)[0]))
    (reason,) = pyav.decode_windows(index, [np.arange(3)], 96, 160)
    assert reason == "cannot be read: Cannot allocate memory"


LITTLE_MEMORY = """
import resource, sys
from gpuaug import Decoder, Window, manifest
path = sys.argv[1]
with Decoder(threads=1) as decoder:
    print(manifest._read(path)[0].frames)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (100 << 20), resource.RLIM_INFINITY))
    print(*manifest._read(path))
    print(decoder._index(path))
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(manifest._read(path)[0].frames, len(decoder._index(path).stamp_N))
"""


def run(code, *arguments, **environment):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    call = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=200, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_where_little_memory_is_left_nothing_is_believed(assets):
    first, refused, kept, after = run(LITTLE_MEMORY, assets["mkv"]).splitlines()
    assert first == "50"
    assert "cannot be read: less than 256 MiB of memory are left" in refused
    assert refused.endswith(" False")
    assert kept == "cannot be read: less than 256 MiB of memory are left"
    assert after == "50 50"


SHIM = r"""
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char bad_path[4096];
static long long bad_start, bad_stop;
static int bad_errno, bad_hits;

extern "C" void bad_set(const char *path, long long start, long long stop, int number) {
    snprintf(bad_path, sizeof bad_path, "%s", path);
    bad_start = start, bad_stop = stop, bad_errno = number, bad_hits = 0;
}

extern "C" int bad_count() { return bad_hits; }

extern "C" ssize_t read(int file, void *to, size_t size) {
    static auto real = (ssize_t (*)(int, void *, size_t))dlsym(RTLD_NEXT, "read");
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = *bad_path ? readlink(link, path, sizeof path - 1) : -1;
    if (length > 0 && (path[length] = 0, !strcmp(path, bad_path))) {
        long long at = lseek(file, 0, SEEK_CUR);
        if (at >= bad_start && at < bad_stop) return bad_hits++, errno = bad_errno, -1;
        if (at < bad_start && at + (long long)size > bad_start) size = bad_start - at;
    }
    return real(file, to, size);
}
"""

UNDER_THE_SHIM = """
import ctypes, errno, json, os, sys
import gpuaug
shim = ctypes.CDLL(None)
set_fault = lambda path, start, stop, number: shim.bad_set(
    path.encode(), ctypes.c_longlong(start), ctypes.c_longlong(stop), number)
cache, rows = sys.argv[1], []
for path in sys.argv[2:]:
    size = os.path.getsize(path)
    for share in (0, 0.002, 0.5, 0.999):
        for number in (errno.EIO, errno.ENOMEM):
            start = int(size * share)
            set_fault(path, start, start + 4096, number)
            row = {"file": os.path.basename(path), "share": share, "errno": number}
            row["refused"] = gpuaug.probe(path, cache=cache).videos[0].error
            row["hits"] = shim.bad_count()
            set_fault("", 0, 0, 0)
            row["after"] = gpuaug.probe(path, cache=cache).videos[0].frames
            os.unlink(cache)
            rows.append(row)
print(json.dumps(rows))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="preloads a library")
def test_a_failing_disk(assets, tmp_path):
    """The system's own read fails, below Python and libav alike."""
    (tmp_path / "shim.cpp").write_text(SHIM)
    build = [require_compiler(), "-shared", "-fPIC", "-O1", str(tmp_path / "shim.cpp"), "-o", str(tmp_path / "shim.so")]
    subprocess.run([*build, "-ldl"], check=True, capture_output=True)
    paths = [os.path.realpath(assets[name]) for name in NAMES]
    rows = json.loads(run(UNDER_THE_SHIM, tmp_path / "cache", *paths, LD_PRELOAD=str(tmp_path / "shim.so")))
    assert len(rows) == len(NAMES) * 8
    for row in rows:
        assert row["hits"] > 0, row
        assert row["refused"] == f"cannot be read: {os.strerror(row['errno'])}", row
        assert row["after"] == 50, row
