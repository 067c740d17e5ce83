"""Disks that fail, memory that runs out: nothing is believed that was read then. Files that vanish or change during a
training are named and counted, and the training goes on, or ends in one line."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import torch

import gpuaug.supply.room
import pretrain.training.loop
from pretrain.models import checkpoint
from support import tiny_training
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
    print(*manifest._read(path)[:2])
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


SHOWN_ONCE = ["--reuse-min", 1, "--reuse-max", 1]
SHOWN_OFTEN = ["--bank-gib", 0.0057, "--reuse-min", 1, "--reuse-max", 6]
SMALL = ["--boundaries", "dc", "sc", "ss"]


@pytest.fixture(scope="module")
def all_videos(tmp_path_factory):
    return tiny_training.make_videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture
def videos(all_videos, tmp_path):
    return shutil.copytree(all_videos, tmp_path / "videos")


@pytest.fixture
def train(monkeypatch, capsys, tmp_path):
    """A function that trains, calls `event` after step 2: status, lines on standard error, last line of the log."""
    tiny_training.install(monkeypatch.setattr)

    def call(videos, event, *flags):
        original = pretrain.training.loop.Loop._train

        def disturbed(self):
            original(self)
            if self.step == 2:
                event()

        with monkeypatch.context() as patch:
            patch.setattr(pretrain.training.loop.Loop, "_train", disturbed)
            status = tiny_training.train("--videos", videos, "--out", tmp_path / "run", *SMALL, *flags)
        return status, capsys.readouterr().err.strip().splitlines()

    yield call
    torch.set_num_threads(tiny_training.THREADS)


def summary(tmp_path):
    return json.loads((tmp_path / "run" / "summary.json").read_text())


@pytest.mark.parametrize("flags", [SHOWN_ONCE, SHOWN_OFTEN], ids=["shown_once", "shown_often"])
def test_all_files_vanish(train, videos, tmp_path, flags):
    """What is said first depends on which windows were on their way."""
    classes = [path.name for path in videos.iterdir() if path.is_dir()]
    status, lines = train(videos, lambda: shutil.rmtree(videos), *flags, "--val-batches", 0, "--steps", 400)
    assert status == 1
    told = summary(tmp_path)
    first = told["failures"][0]
    what = r"no segment is left: every one failed to decode|\d+ clips with .*; \d+ windows could not be decoded"
    assert re.fullmatch(f"train: ({what}), first {re.escape(first['path'])}: no such file", lines[-1])
    assert not any("Traceback" in line for line in lines)
    assert told["status"] == "failed"
    assert {os.path.dirname(each["path"]) for each in told["failures"]} <= {f"{videos}/{name}" for name in classes}


@pytest.mark.parametrize("flags", [SHOWN_ONCE, SHOWN_OFTEN], ids=["shown_once", "shown_often"])
def test_some_files_vanish(train, videos, tmp_path, flags):
    gone = [sorted(folder.iterdir())[0] for folder in sorted(videos.iterdir()) if folder.is_dir()]
    status, lines = train(videos, lambda: [path.unlink() for path in gone], *flags, "--val-batches", 0, "--steps", 40)
    assert status == 0
    for path in gone:
        assert lines.count(f"skipped {path}: no such file") == 1
    told = summary(tmp_path)
    assert {each["path"] for each in told["failures"]} == set(map(str, gone))
    assert tiny_training.lines(tmp_path / "run")[-1]["failures"] == len(told["failures"]) >= len(gone)


@pytest.mark.parametrize("flags", [SHOWN_ONCE, SHOWN_OFTEN], ids=["shown_once", "shown_often"])
def test_files_change(train, videos, tmp_path, flags):
    """Into half a file, and into another video of the same length: the one fails, the other one is told of."""
    files = sorted(path for path in videos.rglob("*.avi"))
    cut, other = files[0], files[1]

    def change():
        cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
        other.write_bytes(other.read_bytes() + bytes(8))

    status, lines = train(videos, change, *flags, "--val-batches", 0, "--steps", 40)
    assert status == 0
    told = summary(tmp_path)
    assert {each["path"] for each in told["failures"]} == {str(cut)}
    assert sum(line.startswith(f"skipped {cut}: ") for line in lines) == 1
    assert (
        sum(line.startswith(f"still used: {other}: changed since it was first decoded, from ") for line in lines) == 1
    )
    assert set(told["changed_files"]) >= {str(cut), str(other)}
    row = tiny_training.lines(tmp_path / "run")[-1]
    assert (row["failures"], row["changed_files"]) == (len(told["failures"]), len(told["changed_files"]))


@pytest.mark.parametrize("left", [5, 1, 0])
def test_files_that_are_held_out_vanish(train, videos, tmp_path, monkeypatch, left):
    """Of six that do not fit their bank; five go on being validated with, one has no partners."""
    monkeypatch.setattr(gpuaug.supply.room, "RESIDENT_BYTES", 0)
    monkeypatch.setattr(gpuaug.supply.room, "DEFAULT_BANK_BYTES", 0)
    held_out = []
    for folder in sorted(path for path in videos.iterdir() if path.is_dir()):
        (tmp_path / "held_out" / folder.name).mkdir(parents=True)
        for path in sorted(folder.iterdir())[:2]:
            held_out.append(path.rename(tmp_path / "held_out" / folder.name / path.name))
    gone = held_out[left:]
    flags = ["--val-videos", tmp_path / "held_out", "--batch", 2, "--steps", 6, "--val-every", 0.1]
    status, lines = train(videos, lambda: [path.unlink() for path in gone], *flags)
    assert status == 0
    validations = [row["validation"] for row in tiny_training.lines(tmp_path / "run") if "validation" in row]
    assert len(validations) == (6 if left == 5 else 1)
    lost = {each["path"] for each in summary(tmp_path)["held_out_failures"]}
    assert lost
    assert lost <= set(map(str, gone))
    named = [line for line in lines if line.startswith("skipped, held out: ")]
    assert sorted(named) == [f"skipped, held out: {path}: no such file" for path in sorted(lost)]
    told = [line for line in lines if line.startswith("validation left out: ")]
    assert len(told) == (left < 5)
    for line in told:
        assert line.split(": ")[1] in lost
        assert line.endswith("; the training goes on")
    assert checkpoint.read(tmp_path / "run" / "best.pt")["step"] <= 6
