"""Nothing grows: 10,000 windows through supply, bank and loader, 10,000 through PyAV, and controls that do grow.

For supply, bank and loader the decoder is a stand-in, so that the windows are many and not the machine.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import gpuaug
from pretrain.toy.dataset import make_actions

WINDOWS, BATCH, SLOTS, LENGTH, HEIGHT, WIDTH = 10_000, 32, 64, 4, 30, 40
WINDOW_BYTES = LENGTH * HEIGHT * WIDTH * 3
GLIBC = sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "mallinfo2")


class Grey:
    """A decoder that gives a new grey picture for every frame; with `hoards` it keeps what it gave."""

    hoards = False

    def __init__(self, device, size, **options):
        self.size, self.kept = size, []

    def decode(self, windows, *_):
        frames = [torch.full((window.frames, *self.size, 3), 128, dtype=torch.uint8) for window in windows]
        if self.hoards:
            self.kept += frames
        return frames, []

    damaged_frames: dict[str, int] = {}  # noqa: RUF012
    fallbacks: dict[str, int] = {}  # noqa: RUF012

    def close(self):
        pass


class Hoarder(Grey):
    hoards = True


def sample(rng, bank, n):
    return gpuaug.Plan.take(bank.draw(rng, n)[:n], np.arange(4.0), frames=bank.info["frames"]), {}


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def growth(windows):
    """(bytes, objects) by which the process grew while the later four fifths of `windows` were decoded and shown.

    Objects are those that Python's collector knows; tensors are among them.
    """
    segments = [gpuaug.Segment(str(v), 0.0, 2.0, v % 3, v) for v in range(24)]
    with gpuaug.Loader(
        segments, sample, batch=BATCH, frames=LENGTH, fps=15.0, size=16, mean=(0.0,) * 3, std=(1.0,) * 3, slots=SLOTS,
        bank_size=(HEIGHT, WIDTH), fit="stretch", reuse_max=2, threads=1,
    ) as loader:  # fmt: skip
        step, begin = 0, None
        while loader.bank.decoded < windows:
            loader.batch(step)
            step += 1
            if begin is None and loader.bank.decoded >= windows // 5:
                gc.collect()
                begin = resident_bytes(), len(gc.get_objects())
        gc.collect()
        end = resident_bytes(), len(gc.get_objects())
        assert loader.bank.frames.numel() == SLOTS * WINDOW_BYTES
        assert not loader.report()["failures"]
    assert begin is not None
    return end[0] - begin[0], end[1] - begin[1]


def growth_with(decoder, windows):
    gpuaug.supply.loader.Decoder = decoder
    return growth(windows)


def in_a_new_process(*arguments):
    """What `growth_with` returns; in this process, memory freed by other tests would hide what is kept."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(growth_with, *arguments).result()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/statm")
def test_nothing_grows_over_ten_thousand_windows():
    grown, objects = in_a_new_process(Grey, WINDOWS)
    assert grown < 8 << 20, f"{grown} bytes; the windows decoded took {WINDOWS * WINDOW_BYTES}"
    assert objects < 500


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/statm")
def test_what_grows_is_noticed():
    """Negative control with a fifth of the windows: 23 MB and 1,600 tensors are kept."""
    grown, objects = in_a_new_process(Hoarder, WINDOWS // 5)
    assert grown > 8 << 20
    assert objects > 500


class Mallinfo2(ctypes.Structure):
    """The C library's account of its memory (malloc.h)."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "used", "free", "keepcost")
    ]


def allocated_bytes() -> int:
    """What malloc gave out and was not given back: exact, whatever is fragmented or cached."""
    call = ctypes.CDLL(None).mallinfo2
    call.restype = Mallinfo2
    gc.collect()
    found = call()
    return found.used + found.hblkhd


@pytest.mark.skipif(not GLIBC, reason="needs glibc's mallinfo2")
def test_pyav_keeps_nothing_of_ten_thousand_windows(tmp_path):
    """Of a file only part of which is read, which is what PyAV's demuxer lost 150 to 600 bytes a window for."""
    make_actions(
        tmp_path, classes=1, clips_per_class=1, codecs=["mjpeg"], sizes=[(36, 48)], rates=[15], seconds=(1.0, 1.0),
        progress=False,
    )  # fmt: skip
    (path,) = tmp_path.glob("*/*")
    files = [shutil.copy(path, tmp_path / f"{i}{path.suffix}") for i in range(20)]
    windows, kept = [gpuaug.Window(file, 0.2, 15, 4) for file in files], []
    with gpuaug.Decoder(size=(HEIGHT, WIDTH), backend="pyav") as decoder:

        def grown(calls, keep):
            before = allocated_bytes()
            for _ in range(calls):
                frames, failures = decoder.decode(windows)
                assert not failures
                kept.extend(frames * keep)
                del frames
            return allocated_bytes() - before

        grown(WINDOWS // 5 // 20, keep=False)
        assert grown(WINDOWS * 4 // 5 // 20, keep=False) < 25 * WINDOWS * 4 // 5
        assert grown(10, keep=True) > 200 * WINDOW_BYTES, "the control, which keeps the frames"
