"""DALI's pipeline, in a thread of its own. NVIDIA DALI is imported only here. Used by dali.py.

Legend: T frames of a piece, H W height and width of its output.
"""

from __future__ import annotations

import os
import queue
import threading
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from nvidia.dali import Pipeline, fn
from nvidia.dali import types as dali_types

from ..frame_index import FrameIndex
from . import FrameRequest
from .cut import Cut, Piece
from .picture import stored_size

types: Any = dali_types  # its enumerations are made at run time

BATCH = 32  # pieces of one pipeline run
OWN_FRAMES = 8  # decoded pictures that it sorts by time stamp, and has memory for, for each piece on a GPU

# Luma weights of red and blue by YUV matrix (ISO/IEC 23091-2); the rest, and what is not told, is BT.601.
LUMA = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
BT601 = (0.299, 0.114)
AT_ONCE = 16  # frames whose colours are put right at once: floats take four times their memory, and more


class Job(NamedTuple):
    """A piece of request `number`, and what DALI is given for it."""

    number: int
    request: FrameRequest
    piece: Piece
    cut: Cut


class Worker(threading.Thread):
    """Runs one pipeline. A daemon, so that a decoder that hangs does not keep the program from ending."""

    def __init__(self, device: torch.device, threads: int) -> None:
        super().__init__(name="gpuaug-dali", daemon=True)
        self.device, self.threads, self.process = device, threads, os.getpid()
        self.jobs: queue.SimpleQueue[tuple[list[Job], queue.SimpleQueue[Any], Any] | None] = queue.SimpleQueue()
        self.start()

    def run(self) -> None:
        pipeline: Pipeline | None = None
        while (given := self.jobs.get()) is not None:
            jobs, answer, stream = given
            try:
                pipeline = pipeline or _pipeline(self.device, self.threads)
                with torch.cuda.stream(stream):  # the caller's; nothing for None
                    answer.put(_frames(pipeline, jobs, stream))
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
    # Its threads are pinned to cores unless told otherwise, those of several processes to the same ones.
    where = {"device": "mixed", "affine": False} if gpu else {"device": "cpu"}
    with pipeline:
        files = fn.external_source(name="files", dtype=types.UINT8, ndim=1, no_copy=True)
        numbers = fn.external_source(name="numbers", dtype=types.INT32, ndim=1)
        size = fn.external_source(name="size", dtype=types.FLOAT, ndim=1)
        # With any other pad_mode a file with fewer frames than it promises gives black frames without an error.
        frames = fn.decoders.video(files, frames=numbers, pad_mode="none", build_index=False, **where)
        # PyAV's filter: a triangle as wide as the reduction.
        pipeline.set_outputs(fn.resize(frames, size=size, interp_type=types.INTERP_LINEAR, antialias=True))
    pipeline.build()
    return pipeline


def _frames(pipeline: Pipeline, jobs: list[Job], stream: torch.cuda.Stream | None) -> list[torch.Tensor]:
    """Frames as stored, of their final size; copies, for DALI's buffers last until the next run.

    Waited for is `stream` (None: the CPU), on which the copies are made, and not what else the device has to do.
    """
    (output,) = pipeline.run(  # without a stream it returns when the frames are there
        files=[job.cut.data for job in jobs],
        numbers=[job.cut.number_T for job in jobs],
        size=[np.array(stored_size(job.request), np.float32) for job in jobs],
    )
    if stream is None:
        frames = [torch.from_numpy(np.array(output.at(i))) for i in range(len(jobs))]
    else:
        frames = [torch.from_dlpack(output[i]).clone() for i in range(len(jobs))]
        stream.synchronize()
    for got, job in zip(frames, jobs):
        if len(got) != len(job.piece.positions):
            path, wanted = job.request.index.path, len(job.piece.positions)
            raise RuntimeError(f"DALI gave {len(got)} frames of {path} instead of {wanted}")
    return frames


def recoloured(frames_THW3: torch.Tensor, index: FrameIndex) -> torch.Tensor:
    """The same tensor, in the colours of the file's matrix: DALI takes every file for BT.601.

    Exact but for colours that the wrong matrix sent past 0 or 255, which stay clipped. Sums of products, element by
    element: as a product of matrices it would be subject to what the user lets those be (TF32).
    """
    if index.matrix not in LUMA:
        return frames_THW3
    correction_33 = (_yuv_to_rgb(*LUMA[index.matrix]) @ np.linalg.inv(_yuv_to_rgb(*BT601))).tolist()
    for part_THW3 in frames_THW3.split(AT_ONCE):
        red, green, blue = part_THW3.float().unbind(-1)
        for channel, (r, g, b) in enumerate(correction_33):
            sum_THW = (red * r).add_(green, alpha=g).add_(blue, alpha=b)
            part_THW3[..., channel] = sum_THW.round_().clamp_(0, 255)
    return frames_THW3


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
