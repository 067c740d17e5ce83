"""A disk that fails, and memory that runs out, under a process of its own: nothing is believed that was read then."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from support.kernel_implementations import require_compiler
from support.paths import REPOSITORY

NAMES = ["cfr", "mkv", "ts", "mpeg4_avi", "vp9", "mpeg2", "h264_avi", "raw_h264"]

LITTLE_MEMORY = """
import resource, sys
from gpuaug import Decoder
from gpuaug.video import manifest
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
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **environment}
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
