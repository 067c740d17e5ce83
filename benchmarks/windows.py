"""What does a window cost by its place in a long file? `python -m benchmarks.windows [--device cpu|cuda]`

A VP9 file of ten minutes, key frames 30 apart. Windows of 16 frames, 8 after a key frame, at the start, in the middle
and at the end, one a call, with the file's time table made before; the places take turns. On the CPU by DALI's CPU
decoder, torchcodec and PyAV with one thread, on a GPU by DALI and torchcodec with NVDEC. A ratio is that of a place's
times by the median at the start.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

import gpuaug

from . import common, videos
from .peers import decoders

WINDOW, GOP, AFTER = 16, 30, 8  # frames: of a window, from key frame to key frame, from a key frame to a window
FRAMES, SMOKE = 10 * 60 * videos.FPS, 6 * videos.FPS
HEIGHT, WIDTH = 128, 172
BACKENDS = ("dali", "torchcodec", "pyav")


def main(argv: Sequence[str] | None = None) -> int:
    """Make the file, measure, print and save."""
    suite = common.Suite("windows", __doc__, {"cpu": 30, "cuda": 30}, smoke=True)
    suite.parse(argv)
    there = suite.device == "cpu" and not suite.smoke and importlib.util.find_spec("torchcodec")
    if there and not decoders.can_load_torchcodec():
        return decoders.run_with_pyavs_libraries("windows", argv)
    torch.set_num_threads(1)
    frames = SMOKE if suite.smoke else FRAMES
    with made(frames) as path:
        groups = frames // GOP
        keys = {"at the start": 0, "in the middle": groups // 2 * GOP, "at the end": (groups - 1) * GOP}
        windows = {
            place: gpuaug.Window(path, (key + AFTER) / videos.FPS, videos.FPS, WINDOW) for place, key in keys.items()
        }
        for backend in BACKENDS:
            one_backend(suite, backend, windows)
    return suite.finish()


@contextlib.contextmanager
def made(frames: int) -> Iterator[str]:
    """The path of such a file."""
    with videos.folder(f"libvpx-vp9 {WIDTH} {HEIGHT} {GOP} {frames}") as folder:
        size: dict[str, Any] = {"height": HEIGHT, "width": WIDTH, "frames": frames}
        options = videos.FAST["libvpx-vp9"]
        yield videos.write(folder / "video.webm", GOP, codec="libvpx-vp9", options=options, **size)


def one_backend(suite: common.Suite, backend: Any, windows: dict[str, gpuaug.Window]) -> None:
    """Rows of one decoder: milliseconds by place, and how they compare."""
    try:
        decoder = gpuaug.Decoder(suite.device, backend=backend, threads=1)
    except RuntimeError as error:
        suite.leave_out(backend, error)
        return
    with decoder:

        def decode(window: gpuaug.Window) -> None:
            _, failures = decoder.decode([window])
            if failures:
                raise RuntimeError(failures[0].reason)
            common.synchronize(suite.device)

        try:
            candidates: common.Candidates = {place: functools.partial(decode, w) for place, w in windows.items()}
            seconds = common.measure(candidates, rounds=suite.rounds, warmup=2)
        except RuntimeError as error:
            suite.leave_out(backend, error)
            return
    suite.times(f"windows of {WINDOW}, {backend}", seconds)
    (_, first), *others = seconds.items()
    for place, values in others:
        suite.row(f"windows of {WINDOW}, {backend}: {place} by at the start", "ratio", values / np.median(first))


if __name__ == "__main__":
    raise SystemExit(main())
