"""Decoding with NVIDIA DALI, imported only here: NVDEC on a GPU, libavcodec (VP8, VP9, MJPEG) on the CPU.

Legend: T frames of a request, H W height and width of its output.
"""

from __future__ import annotations

import ctypes
import os
import queue
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from nvidia.dali import Pipeline, fn
from nvidia.dali import types as dali_types

from ..demux import one_line
from ..frame_index import FrameIndex
from . import Decoded, FrameRequest

types: Any = dali_types  # its enumerations are made at run time

CPU_CODECS = {"vp8", "vp9", "mjpeg"}
GPU_CODECS = CPU_CODECS | {"h264", "hevc", "av1", "mpeg4"}
PLANAR_420 = {"yuv420p", "yuvj420p", "yuv420p10le", "yuv420p12le", "p010le", "nv12"}  # what NVDEC gives as 4:2:0
KEPT_FAILURES = 4096  # files that failed, remembered
BATCH = 32  # requests of one pipeline run
BATCH_BYTES = 1 << 30  # of files and decoded frames, before scaling, in one pipeline run
LARGEST_FILE = 1 << 30  # bytes; a file is read into memory, for a mapped one that is cut ends the process (SIGBUS)

# Luma weights of red and blue by YUV matrix (ISO/IEC 23091-2); the rest, and what is not told, is BT.601.
LUMA = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
BT601 = (0.299, 0.114)


class Dali:
    """A DALI pipeline in a thread of its own, which is replaced when a file breaks it or when it does not answer.

    Args:
        device: "cpu", or a CUDA device.
        threads: files decoded at the same time.
        timeout_seconds: how long one run of up to 32 files may take.
    """

    def __init__(self, device: torch.device, threads: int, timeout_seconds: float) -> None:
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", torch.cuda.current_device())
        self.device, self.threads, self.timeout_seconds = device, threads, timeout_seconds
        self._worker: _Worker | None = None
        self._without = nvdec_missing() if device.type == "cuda" else ""
        self._failed: OrderedDict[str, str] = OrderedDict()

    def refuses(self, index: FrameIndex) -> str:
        """Why DALI would not give the frames that are wanted of this file; empty if it does.

        A file that failed once is refused from then on: NVDEC may lack its codec's profile or its size, and each
        failure costs the pipeline.
        """
        gpu = self.device.type == "cuda"
        if self._without:
            return self._without
        if index.path in self._failed:
            return self._failed[index.path]
        if index.codec not in (GPU_CODECS if gpu else CPU_CODECS):
            return f"DALI has no {index.codec} decoder for {self.device.type}"
        if not index.frame_numbers_agree:
            return (
                "DALI numbers the frames of this file differently (hidden frames, several video streams, or no times)"
            )
        if index.bytes > LARGEST_FILE:
            return f"DALI is given files of at most {LARGEST_FILE} bytes, this has {index.bytes}"
        if gpu and index.pixel_format not in PLANAR_420:
            return f"DALI converts only 4:2:0 pictures to RGB, this is {index.pixel_format}"
        if not gpu and index.full_range and not index.pixel_format.startswith("yuvj"):
            return f"DALI takes {index.pixel_format} for limited range, this is full range"
        return ""

    def decode(self, requests: Sequence[FrameRequest]) -> Iterator[Decoded]:
        """As `Backend.decode`: all windows of a file at once, or none."""
        for request, frames in zip(requests, self._unions(requests)):
            if isinstance(frames, str):
                yield [frames] * len(request.positions)
            else:
                yield [frames[np.searchsorted(request.union, positions_T)] for positions_T in request.positions]

    def _unions(self, requests: Sequence[FrameRequest]) -> list[torch.Tensor | str]:
        """For each request uint8 (T,H,W,3) on the device, or the reason why DALI could not decode it."""
        results: list[torch.Tensor | str] = []
        try:
            for batch in _batches(requests):
                try:
                    results += self._run(batch)
                except RuntimeError:  # of which file is not told
                    for request in batch:
                        try:
                            results += self._run([request])
                        except RuntimeError as error:
                            results.append(self._reason(request.index.path, error))
        except TimeoutError as error:  # the rest would wait as long
            results += [str(error)] * (len(requests) - len(results))
        return results

    def close(self) -> None:
        """End the thread; a later call starts another."""
        if self._worker is not None:
            self._worker.jobs.put(None)
            self._worker = None

    def _reason(self, path: str, error: RuntimeError) -> str:
        """Why a file failed; remembered where that is a matter of the file and not of the moment."""
        cause = error.__cause__
        if isinstance(cause, OSError | MemoryError | torch.OutOfMemoryError):
            return one_line(cause)
        self._failed[path] = _first_line(error)
        while len(self._failed) > KEPT_FAILURES:
            self._failed.popitem(last=False)
        return self._failed[path]

    def _run(self, batch: list[FrameRequest]) -> list[torch.Tensor]:
        if self._worker is not None and self._worker.process != os.getpid():
            self._worker = None  # the thread is the parent's
        worker = self._worker = self._worker or _Worker(self.device, self.threads)
        answer: queue.SimpleQueue[list[torch.Tensor] | Exception] = queue.SimpleQueue()
        stream = torch.cuda.current_stream(self.device) if self.device.type == "cuda" else None
        worker.jobs.put((batch, answer, stream))
        try:
            result = answer.get(timeout=self.timeout_seconds)
        except queue.Empty:
            self.close()
            names = ", ".join(sorted({r.index.path for r in batch})[:3])
            raise TimeoutError(
                f"DALI gave no answer within timeout_seconds={self.timeout_seconds:g} (decoding {names} …)"
            ) from None
        if isinstance(result, Exception):
            self.close()  # an error leaves the pipeline unusable
            raise RuntimeError(str(result)) from result
        return [_finish(frames, r.index) for frames, r in zip(result, batch)]


class _Worker(threading.Thread):
    """Runs one pipeline. A daemon, so that a decoder that hangs does not keep the program from ending."""

    def __init__(self, device: torch.device, threads: int) -> None:
        super().__init__(name="gpuaug-dali", daemon=True)
        self.device, self.threads, self.process = device, threads, os.getpid()
        self.jobs: queue.SimpleQueue[tuple[list[FrameRequest], queue.SimpleQueue[Any], Any] | None] = (
            queue.SimpleQueue()
        )
        self.start()

    def run(self) -> None:
        pipeline: Pipeline | None = None
        while (job := self.jobs.get()) is not None:
            batch, answer, stream = job
            try:
                pipeline = pipeline or _pipeline(self.device, self.threads)
                with torch.cuda.stream(stream):  # the caller's; nothing for None
                    answer.put(_frames(pipeline, batch, stream))
            except Exception as error:
                answer.put(error)


def _pipeline(device: torch.device, threads: int) -> Pipeline:
    gpu = device.type == "cuda"
    pipeline = Pipeline(
        batch_size=BATCH,
        num_threads=threads,
        device_id=device.index if gpu else None,
        prefetch_queue_depth=1,
        exec_dynamic=True,
    )
    with pipeline:
        files = fn.external_source(name="files", dtype=types.UINT8, ndim=1, no_copy=True)
        positions = fn.external_source(name="positions", dtype=types.INT32, ndim=1)
        size = fn.external_source(name="size", dtype=types.FLOAT, ndim=1)
        # With any other pad_mode a file with fewer frames than it promises gives black frames without an error.
        frames = fn.decoders.video(files, frames=positions, device="mixed" if gpu else "cpu", pad_mode="none")
        # PyAV's filter: a triangle as wide as the reduction.
        pipeline.set_outputs(fn.resize(frames, size=size, interp_type=types.INTERP_LINEAR, antialias=True))
    pipeline.build()
    return pipeline


def _frames(pipeline: Pipeline, batch: list[FrameRequest], stream: torch.cuda.Stream | None) -> list[torch.Tensor]:
    """Frames as stored, of their final size; copies, for DALI's buffers last until the next run.

    Waited for is `stream` (None: the CPU), on which the copies are made, and not what else the device has to do.
    """
    files = {r.index.path: np.fromfile(r.index.path, np.uint8) for r in batch}
    upright = [(r.width, r.height) if r.index.rotation % 180 else (r.height, r.width) for r in batch]
    (output,) = pipeline.run(  # without a stream it returns when the frames are there
        files=[files[r.index.path] for r in batch],
        positions=[r.union.astype(np.int32) for r in batch],
        size=[np.array(hw, np.float32) for hw in upright],
    )
    if stream is None:
        frames = [torch.from_numpy(np.array(output.at(i))) for i in range(len(batch))]
    else:
        frames = [torch.from_dlpack(output[i]).clone() for i in range(len(batch))]
        stream.synchronize()
    for got, request in zip(frames, batch):
        if len(got) != len(request.union):
            raise RuntimeError(f"DALI gave {len(got)} frames of {request.index.path} instead of {len(request.union)}")
    return frames


def _finish(frames_THW3: torch.Tensor, index: FrameIndex) -> torch.Tensor:
    """The right matrix, then the right way up: DALI takes every file for BT.601 and unrotated.

    Exact but for colours that the wrong matrix sent past 0 or 255, which stay clipped.
    """
    if index.matrix in LUMA:
        correction_33 = _yuv_to_rgb(*LUMA[index.matrix]) @ np.linalg.inv(_yuv_to_rgb(*BT601))
        matrix = torch.from_numpy(correction_33.astype(np.float32)).to(frames_THW3.device)
        for frame_HW3 in frames_THW3:
            frame_HW3.copy_((frame_HW3.float() @ matrix.T).round_().clamp_(0, 255))
    if index.rotation:
        frames_THW3 = torch.rot90(frames_THW3, -index.rotation // 90, (1, 2))
    if index.mirrored:
        frames_THW3 = frames_THW3.flip(2)
    return frames_THW3.contiguous()


def _yuv_to_rgb(red: float, blue: float) -> NDArray[np.float64]:
    """Matrix (3, 3) from full-range Y, Cb, Cr to R, G, B. Range and offset cancel in a product with an inverse."""
    green = 1 - red - blue
    return np.array(
        [
            [1, 0, 2 * (1 - red)],
            [1, -2 * (1 - blue) * blue / green, -2 * (1 - red) * red / green],
            [1, 2 * (1 - blue), 0],
        ]
    )


def nvdec_missing() -> str:
    """Why there is no NVDEC to use; empty if its library can be loaded."""
    name = "nvcuvid.dll" if sys.platform == "win32" else "libnvcuvid.so.1"
    try:
        ctypes.CDLL(name)
    except OSError as error:
        return f"NVDEC cannot be used: {str(error).splitlines()[0]}"
    return ""


def _batches(requests: Sequence[FrameRequest]) -> list[list[FrameRequest]]:
    batches: list[list[FrameRequest]] = []
    size = 0
    for request in requests:
        need = len(request.union) * request.index.width * request.index.height * 3 + request.index.bytes
        if not batches or len(batches[-1]) == BATCH or size + need > BATCH_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(request)
        size += need
    return batches


def _first_line(error: Exception) -> str:
    """DALI's message without its traceback: the line that follows "encountered:"."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    after = [lines[i + 1] for i, line in enumerate(lines[:-1]) if line.endswith("encountered:")]
    return (after or lines or [type(error).__name__])[0]
