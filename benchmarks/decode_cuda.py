"""How many frames a second are decoded on the device? `python -m benchmarks.decode_cuda [--device cpu]`

By codec, size, distance of key frames, and windows of 16 frames against whole files, with our decoder (DALI's
decoders.video, several files at a time) at 1, 4, 7 and 16 threads, DALI's readers.video (whole H.264 files of one size,
a fresh pipeline's first frames not counted), torchcodec on the device and on the CPU, PyAV (our backend, all cores) and
decord. 340 × 256 is coded as 352 × 256: compared with a file of that size it shows what DALI's decoder cache costs,
which looks decoders up by the coded size and keeps them by the displayed one. Counted are the frames returned; each row
also says how many were decoded per frame used, from the key frames' distance. A candidate that is absent or fails is
named in the JSON. With --device cpu a small case runs through the same lines.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import gpuaug

from . import common, encoded

# codec, height, width, key frames apart
CASES = {
    "cuda": (
        ("libx264", 256, 340, 30),
        ("libx264", 256, 340, 250),
        ("libx264", 256, 352, 250),
        ("libx265", 256, 340, 250),
        ("libx264", 720, 1280, 250),
        ("libx264", 1080, 1920, 30),
    ),
    "cpu": (("libx264", 64, 84, 30), ("libvpx-vp9", 64, 96, 30)),
}
FILES = {"cuda": 32, "cpu": 2}
FRAMES, FPS, WINDOW = 300, 30, 16
THREADS = {"cuda": (1, 4, 7, 16), "cpu": (1, 2)}


def main(argv: list[str] | None = None) -> int:
    """Make the files, measure, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decode_cuda", description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda", help="default: cuda")
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    parser.add_argument("--no-save", action="store_true", help="only print")
    args = parser.parse_args(argv)
    results: list[dict[str, Any]] = []
    absent: dict[str, str] = {}
    work = " ".join(__doc__.split("\n\n")[1].split())
    frames = FRAMES if args.device == "cuda" else 60
    for codec, height, width, gop in CASES[args.device]:
        with tempfile.TemporaryDirectory() as folder:
            first = encoded.write(Path(folder), codec, height, width, gop, frames)
            paths = [str(first.with_name(f"{i}{first.suffix}")) for i in range(FILES[args.device])]
            for path in paths:
                Path(path).symlink_to(first)
            for length in (WINDOW, frames):
                few = paths if length == WINDOW else paths[: max(1, len(paths) // (4 if height < 720 else 16))]
                title = f"{codec}, {width}×{height}, GOP {gop}, " + (
                    "windows of 16" if length == WINDOW else "whole files"
                )
                results += compare(title, few, gop, length, frames, args.device, args.rounds, absent)
        if not args.no_save:  # after each case: what is there stays there if time runs out
            common.save(f"decode_{args.device}", results, work=work, left_out=absent, files=FILES[args.device])
    common.show(results)
    for name, reason in absent.items():
        print(f"left out: {name}: {reason}")
    return 0


def compare(
    title: str, paths: list[str], gop: int, length: int, frames: int, device: str, rounds: int, absent: dict[str, str]
) -> list[dict[str, Any]]:
    """Rows of one kind of file and window: frames a second, frames decoded per frame used, NVDEC load."""
    rng = np.random.default_rng(0)
    starts = rng.integers(0, frames - length + 1, len(paths))
    decoded = float(np.mean((starts % gop + length) / length))
    whole = length == frames
    rows, medians = [], {}
    for name, make in candidates(paths, starts, length, whole, device, absent).items():
        try:
            run = make()
            run()
            with Load(device, absent) as load:
                seconds = common.measure({"": functools.partial(finished, run, device)}, rounds=rounds, warmup=0)[""]
        except Exception as error:
            absent[f"{title}: {name}"] = (str(error).splitlines() or [type(error).__name__])[0][:200]
            continue
        speed = length * len(paths) / seconds
        medians[name] = seconds
        facts = {"decoded_per_used": round(decoded, 2), "nvdec_load": load.mean()}
        rows.append({"name": f"{title}: {name}", "unit": "frames/s", **common.summary(speed), **facts})
    ours = [name for name in medians if name.startswith("gpuaug") and "PyAV" not in name]
    if ours:
        best = min(ours, key=lambda name: float(np.median(medians[name])))
        limit = "decoding"
        for name in medians:
            if name not in ours:
                row = common.ratio(medians[name], medians[best])
                rows.append({"name": f"{title}: {best} against {name}", "unit": "×", "stage": limit, **row})
    return rows


def finished(run: Callable[[], Any], device: str) -> None:
    """Run to the end of the device's work."""
    kept = run()
    common.synchronize(device)
    del kept


def candidates(
    paths: list[str], starts: np.ndarray, length: int, whole: bool, device: str, absent: dict[str, str]
) -> dict[str, Callable[[], Callable[[], Any]]]:
    """name → a function that makes the function to be timed."""
    windows = [gpuaug.Window(path, int(start) / FPS, FPS, length) for path, start in zip(paths, starts)]

    def ours(backend: Any, threads: int | None, where: str) -> Callable[[], Any]:
        decoder = gpuaug.Decoder(where, backend=backend, threads=threads)

        def run() -> Any:
            frames, failures = decoder.decode(windows)
            if failures:
                raise RuntimeError(failures[0].reason)
            return frames

        return run

    found: dict[str, Callable[[], Callable[[], Any]]] = {
        f"gpuaug, DALI, {n} threads": lambda n=n: ours("dali", n, device)  # type: ignore[misc]
        for n in THREADS[device]
    }
    found["gpuaug, PyAV, all cores"] = lambda: ours("pyav", None, device)
    if common.peer("torchcodec.decoders", absent):
        for where in dict.fromkeys((device, "cpu")):
            found[f"torchcodec, {where}"] = lambda where=where: encoded.torchcodec(paths, starts, length, FPS, where)  # type: ignore[misc]
    if common.peer("decord", absent):
        found["decord, cpu"] = lambda: encoded.decord(paths, starts, length)
    if whole and device == "cuda" and common.peer("nvidia.dali", absent):
        found["DALI, readers.video"] = lambda: encoded.reader(paths, length)
    return found


class Load:
    """The mean load of NVDEC in %, read ten times a second, or None where NVML does not tell."""

    def __init__(self, device: str, absent: dict[str, str]) -> None:
        self.values: list[float] = []
        self._stop = threading.Event()
        self._nvml = common.peer("pynvml", absent) if device == "cuda" else None
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def mean(self) -> float | None:
        return round(sum(self.values) / len(self.values), 1) if self.values else None

    def _read(self) -> None:
        if self._nvml is None:
            return
        try:
            self._nvml.nvmlInit()
            handle = self._nvml.nvmlDeviceGetHandleByIndex(0)
            while not self._stop.is_set():
                self.values.append(float(self._nvml.nvmlDeviceGetDecoderUtilization(handle)[0]))
                time.sleep(0.1)
        except self._nvml.NVMLError:
            self.values.clear()


if __name__ == "__main__":
    raise SystemExit(main())
