"""How many frames a second are decoded? `python -m benchmarks.decode [--device cpu|cuda]`

Counted are the frames that are returned; what must be decoded on the way to them depends on the distance of key frames.

On the CPU: H.264 of 340 × 256 (x264, medium, CRF 23; 3 files of 300 frames), the same windows by our PyAV backend and
by torchcodec with one thread, in the same process and round. torchcodec's way of asking is the fastest that gives these
frames: by time, all frames of a window in one call. "opened": with the file's time table made or scanned in each call;
"known": made before, the file opened in each call (torchcodec: the decoder is kept). Where the system has no FFmpeg
that torchcodec can use, it gets the one in PyAV's wheel, which is the same for both.

On a GPU: by codec, size, distance of key frames, and windows of 16 frames against whole files, with our decoder (DALI's
decoders.video, several files at a time) at 1, 4, 7 and 16 threads, DALI's readers.video (whole H.264 files of one size,
a fresh pipeline's first frames not counted), torchcodec on the device and on the CPU, PyAV (our backend, all cores) and
decord. 340 × 256 is coded as 352 × 256: compared with a file of that size it shows what DALI's decoder cache costs,
which looks decoders up by the coded size and keeps them by the displayed one. Each row also says how many frames were
decoded per frame used, from the key frames' distance.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

import gpuaug

from . import common, videos
from .peers import decoders

WINDOW = 16
FILES = 3
SIZES = (None, (128, 171))
CUDA = (  # codec, height, width, key frames apart
    ("libx264", 256, 340, 30),
    ("libx264", 256, 340, 250),
    ("libx264", 256, 352, 250),
    ("libx265", 256, 340, 250),
    ("libx264", 720, 1280, 250),
    ("libx264", 1080, 1920, 30),
)
SMOKE = (("libx264", 64, 84, 30), ("libvpx-vp9", 64, 96, 30))


def main(argv: Sequence[str] | None = None) -> int:
    """Make the files, measure, print and save."""
    suite = common.Suite("decode", __doc__, {"cpu": 9, "cuda": 3}, smoke=True)
    suite.parse(argv)
    if suite.device == "cpu" and not decoders.can_load_torchcodec():
        return decoders.run_with_pyavs_libraries("decode", argv)
    if suite.device == "cuda" or suite.smoke:
        on_cuda(suite)
    else:
        on_cpu(suite)
    return suite.finish()


def on_cpu(suite: common.Suite) -> None:
    """Our backend and torchcodec, in one thread."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for gop, lengths in ((30, (WINDOW, videos.FRAMES)), (250, (WINDOW,))):
            paths = [videos.write(Path(folder) / f"{gop}_{i}.mp4", gop, seed=i) for i in range(FILES)]
            for length, size in itertools.product(lengths, SIZES):
                case = f"GOP {gop}, {length} frames, {'native' if size is None else '×'.join(map(str, size))}"
                one_thread(suite, case, draw(paths, length, videos.FRAMES), size)


def one_thread(suite: common.Suite, case: str, windows: list[gpuaug.Window], size: tuple[int, int] | None) -> None:
    """Rows for one kind of window: frames a second of each candidate once they agree, and their ratio."""
    ours: dict[str, Any] = {"size": size, "backend": "pyav", "threads": 1}
    torchcodec = functools.partial(decoders.torchcodec, windows, size=size, num_ffmpeg_threads=1)

    def ours_opened() -> list[torch.Tensor]:
        with gpuaug.Decoder(**ours) as decoder:
            return decode(decoder, windows)

    with gpuaug.Decoder(**ours) as known:
        candidates: common.Candidates = {
            "gpuaug, opened": ours_opened,
            "gpuaug, known": lambda: decode(known, windows),
            "torchcodec exact, opened": torchcodec(seek_mode="exact", opened=True),
            "torchcodec approximate, opened": torchcodec(seek_mode="approximate", opened=True),
            "torchcodec, known": torchcodec(seek_mode="exact"),
        }
        for a, b in zip(candidates["gpuaug, known"](), candidates["torchcodec, known"]()):
            difference = (a.float() - b.float()).abs().mean()
            if difference > 4:  # a neighbouring frame: more than 10; other interpolation of chroma: 2
                raise AssertionError(f"the candidates return different frames: mean difference {difference}")
        seconds = common.measure(candidates, rounds=suite.rounds, warmup=1)
    for name, values in seconds.items():
        suite.row(f"{case}: {name}", "frames/s", len(windows) * windows[0].frames / values)
    suite.against(case, seconds, "gpuaug, opened", "torchcodec exact, opened")
    suite.against(case, seconds, "gpuaug, known", "torchcodec, known")


def on_cuda(suite: common.Suite) -> None:
    """All decoders, one after the other: NVDEC's load is that of each alone."""
    frames, files = (60, 2) if suite.smoke else (videos.FRAMES, 32)
    suite.facts["files"] = files
    for codec, height, width, gop in SMOKE if suite.smoke else CUDA:
        with made(codec, height, width, gop, frames) as first:
            paths = [str(first.with_name(f"{i}{first.suffix}")) for i in range(files)]
            for path in paths:
                Path(path).unlink(missing_ok=True)
                Path(path).symlink_to(first.name)
            few = paths[: max(1, files // (4 if height < 720 else 16))]
            title = f"{codec}, {width}×{height}, GOP {gop}"
            one_by_one(suite, f"{title}, windows of {WINDOW}", draw(paths, WINDOW, frames), gop, whole=False)
            one_by_one(suite, f"{title}, whole files", draw(few, frames, frames), gop, whole=True)
        suite.save()


@contextlib.contextmanager
def made(codec: str, height: int, width: int, gop: int, frames: int) -> Iterator[Path]:
    """A video of this kind, in a folder of its own."""
    with videos.folder(f"{codec} {width} {height} {gop} {frames}") as folder:
        path = folder / ("video.webm" if "vp9" in codec else "video.mp4")
        size: dict[str, Any] = {"height": height, "width": width, "frames": frames}
        videos.write(path, gop, codec=codec, options=videos.FAST[codec], **size)
        yield path


def one_by_one(suite: common.Suite, title: str, windows: list[gpuaug.Window], gop: int, *, whole: bool) -> None:
    """Rows of one kind of file and window: frames a second, frames decoded per frame used, NVDEC load, ratios."""
    length = windows[0].frames
    first = np.array([round(w.start_seconds * w.fps) for w in windows])
    decoded = round(float(np.mean((first % gop + length) / length)), 2)
    seconds = {}
    for name, make in makers(suite, windows, whole=whole).items():
        try:
            run = make()
            run()
            with nvdec_load(suite) as load:
                finished = functools.partial(finish, run, suite.device)
                seconds[name] = common.measure({"": finished}, rounds=suite.rounds, warmup=0)[""]
        except Exception as error:
            suite.leave_out(f"{title}: {name}", error)
            continue
        speed = length * len(windows) / seconds[name]
        nvdec = round(float(np.mean(load)), 1) if load else None
        suite.row(f"{title}: {name}", "frames/s", speed, decoded_per_used=decoded, nvdec_load=nvdec)
    if ours := [name for name in seconds if name.startswith("gpuaug, DALI")]:
        best = min(ours, key=lambda name: float(np.median(seconds[name])))
        for name in seconds:
            if name not in ours:
                suite.against(title, seconds, best, name, stage="decoding")


def makers(
    suite: common.Suite, windows: list[gpuaug.Window], *, whole: bool
) -> dict[str, Callable[[], Callable[[], Any]]]:
    """name → a function that makes the function to be timed."""

    def ours(backend: Any, threads: int | None) -> Callable[[], Any]:
        return functools.partial(decode, gpuaug.Decoder(suite.device, backend=backend, threads=threads), windows)

    threads = (1, 2) if suite.smoke else (1, 4, 7, 16)
    found: dict[str, Callable[[], Callable[[], Any]]] = {
        f"gpuaug, DALI, {n} threads": functools.partial(ours, "dali", n) for n in threads
    }
    found["gpuaug, PyAV, all cores"] = functools.partial(ours, "pyav", None)
    if suite.peer("torchcodec.decoders"):
        for where in dict.fromkeys((suite.device, "cpu")):
            found[f"torchcodec, {where}"] = functools.partial(
                decoders.torchcodec, windows, device=where, seek_mode="approximate"
            )
    if suite.peer("decord"):
        found["decord, cpu"] = functools.partial(decoders.decord, windows)
    if whole and suite.device == "cuda" and suite.peer("nvidia.dali"):
        found["DALI, readers.video"] = functools.partial(decoders.dali_reader, windows)
    return found


def draw(paths: list[str], length: int, frames: int) -> list[gpuaug.Window]:
    """A window of `length` frames somewhere in each file."""
    starts = np.random.default_rng(0).integers(frames - length + 1, size=len(paths))
    return [gpuaug.Window(path, int(start) / videos.FPS, videos.FPS, length) for path, start in zip(paths, starts)]


def decode(decoder: gpuaug.Decoder, windows: list[gpuaug.Window]) -> list[Any]:
    frames, failures = decoder.decode(windows)
    if failures:
        raise RuntimeError(failures[0].reason)
    return frames


def finish(run: Callable[[], Any], device: str) -> None:
    """Run to the end of the device's work."""
    kept = run()
    common.synchronize(device)
    del kept


@contextlib.contextmanager
def nvdec_load(suite: common.Suite) -> Iterator[list[float]]:
    """NVDEC's load in % since then, ten times a second; nothing where NVML does not tell."""
    nvml: Any = suite.peer("pynvml") if suite.device == "cuda" else None
    values: list[float] = []
    stop = threading.Event()

    def read() -> None:
        try:
            nvml.nvmlInit()
            handle = nvml.nvmlDeviceGetHandleByIndex(0)
            while not stop.wait(0.1):
                values.append(float(nvml.nvmlDeviceGetDecoderUtilization(handle)[0]))
        except nvml.NVMLError:
            values.clear()

    with ThreadPoolExecutor(1) as pool:
        if nvml:
            pool.submit(read)
        try:
            yield values
        finally:
            stop.set()


if __name__ == "__main__":
    raise SystemExit(main())
