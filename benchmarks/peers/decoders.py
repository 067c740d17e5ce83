"""Other decoders of windows, and FFmpeg's libraries for torchcodec: functions that return functions to be timed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av

import gpuaug


def torchcodec(
    windows: Sequence[gpuaug.Window], *, size: tuple[int, int] | None = None, opened: bool = False, **how: Any
) -> Callable[[], Any]:
    """torchcodec by time, all frames of a window in one call; a decoder kept per file, or `opened` in each call."""
    from torchcodec import transforms
    from torchcodec.decoders import VideoDecoder

    if size:
        how["transforms"] = [transforms.Resize(size)]
    # It shows the frame whose interval contains a time; a quarter of a frame inside is that of any rounding.
    times = [[w.start_seconds + (k + 0.25) / w.fps for k in range(w.frames)] for w in windows]

    def decoders() -> list[VideoDecoder]:
        return [VideoDecoder(os.fspath(w.path), dimension_order="NHWC", **how) for w in windows]

    kept = [] if opened else decoders()
    return lambda: [d.get_frames_played_at(seconds=t).data for d, t in zip(kept or decoders(), times)]


def decord(windows: Sequence[gpuaug.Window]) -> Callable[[], Any]:
    """decord, a kept reader per file."""
    from decord import VideoReader

    readers = [VideoReader(os.fspath(w.path)) for w in windows]
    frames = [[round(w.start_seconds * w.fps) + k for k in range(w.frames)] for w in windows]
    return lambda: [reader.get_batch(numbers) for reader, numbers in zip(readers, frames)]


def dali_reader(windows: Sequence[gpuaug.Window]) -> Callable[[], Any]:
    """DALI's reader: one sequence as long as a window per file and run."""
    from nvidia.dali import Pipeline, fn

    pipeline = Pipeline(len(windows), 4, 0, prefetch_queue_depth=1)
    with pipeline:
        frames = fn.readers.video(
            device="gpu", name="reader", filenames=[os.fspath(w.path) for w in windows],
            sequence_length=windows[0].frames, read_ahead=False, initial_fill=1,
        )  # fmt: skip
        pipeline.set_outputs(frames)
    pipeline.build()
    return lambda: pipeline.run()


def can_load_torchcodec() -> bool:
    """Whether torchcodec finds FFmpeg."""
    try:
        from torchcodec.decoders import VideoDecoder

        VideoDecoder(b"not a video")
    except RuntimeError as error:
        return "libtorchcodec" not in str(error)
    except ValueError:
        pass
    return True


def run_with_pyavs_libraries(benchmark: str, argv: Sequence[str] | None) -> int:
    """Run a benchmark again with the FFmpeg libraries in PyAV's wheel."""
    if os.environ.get("GPUAUG_PYAV_LIBRARIES"):
        raise SystemExit("error: torchcodec can load neither the system's FFmpeg nor PyAV's")
    command = [sys.executable, "-m", f"benchmarks.{benchmark}", *(sys.argv[1:] if argv is None else argv)]
    with pyavs_libraries() as environment:
        return subprocess.run(command, env=environment).returncode


@contextmanager
def pyavs_libraries() -> Iterator[dict[str, str]]:
    """The environment of a process in which torchcodec finds PyAV's FFmpeg libraries, under the names it looks for."""
    wheel = Path(av.__file__).parent.parent / "av.libs"
    with tempfile.TemporaryDirectory() as folder:
        for library in wheel.glob("lib*.so.*"):
            name = re.sub(r"-[0-9a-f]+\.so\.(\d+).*", r".so.\1", library.name)
            (Path(folder) / name).symlink_to(library)
        path = os.pathsep.join([folder, str(wheel), os.environ.get("LD_LIBRARY_PATH", "")])
        yield {**os.environ, "LD_LIBRARY_PATH": path, "GPUAUG_PYAV_LIBRARIES": "1"}
