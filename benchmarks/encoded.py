"""Files for `decode_cuda`, and the decoders it compares with: functions that return functions without arguments."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

FPS = 30
OPTIONS = {
    "libx264": {"preset": "veryfast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=error"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}


def write(folder: Path, codec: str, height: int, width: int, gop: int, frames: int) -> Path:
    """A video of a texture that moves by some pixels from frame to frame."""
    path = folder / ("video.webm" if "vp9" in codec else "video.mp4")
    rng = np.random.default_rng(0)
    coarse = np.repeat(np.repeat(rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3)), 8, 0), 8, 1)
    noise = rng.integers(-12, 13, (height + 16, width + 16, 1))
    scene = np.clip(coarse[: height + 16, : width + 16] + noise[: coarse.shape[0], : coarse.shape[1]], 0, 255)
    scene = scene.astype(np.uint8)
    options = {"g": str(gop), **OPTIONS.get(codec, {})}
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(FPS), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for k in range(frames):
            top, left = int(4 + 4 * np.sin(k / 9)), int(4 + 4 * np.cos(k / 7))
            image = np.ascontiguousarray(scene[top : top + height, left : left + width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def torchcodec(paths: list[str], starts: np.ndarray, length: int, fps: int, device: str) -> Callable[[], Any]:
    """torchcodec, a kept decoder per file."""
    from torchcodec.decoders import VideoDecoder

    how: dict[str, Any] = {"dimension_order": "NHWC", "device": device}
    decoders = [VideoDecoder(path, seek_mode="approximate", **how) for path in paths]
    times = [[(int(start) + k + 0.25) / fps for k in range(length)] for start in starts]
    return lambda: [d.get_frames_played_at(seconds=t).data for d, t in zip(decoders, times)]


def decord(paths: list[str], starts: np.ndarray, length: int) -> Callable[[], Any]:
    """decord, a kept reader per file."""
    from decord import VideoReader

    readers = [VideoReader(path) for path in paths]
    return lambda: [r.get_batch(list(range(int(s), int(s) + length))) for r, s in zip(readers, starts)]


def reader(paths: list[str], length: int) -> Callable[[], Any]:
    """DALI's reader: one sequence of `length` frames per file and run."""
    from nvidia.dali import Pipeline, fn

    pipeline = Pipeline(len(paths), 4, 0, prefetch_queue_depth=1)
    with pipeline:
        frames = fn.readers.video(
            device="gpu", filenames=paths, sequence_length=length, name="reader", read_ahead=False, initial_fill=1
        )
        pipeline.set_outputs(frames)
    pipeline.build()
    return lambda: pipeline.run()
