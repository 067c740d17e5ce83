"""The kernels on the GPU: NVRTC through CuPy, on torch's current stream. The only file that imports CuPy."""

from __future__ import annotations

import functools
from pathlib import Path

import cupy
import numpy as np
import torch
from cupy_backends.cuda.libs import nvrtc
from numpy.typing import NDArray

TYPES = {"uint8": "u8", "float16": "Half", "bfloat16": "BFloat", "float32": "float"}
THREADS = 256  # per block, as in __launch_bounds__
ITEMS = {"blend": 2048, "render": 256}  # output elements (pixels) of a frame that one block makes


def source(kernel: str) -> str:
    """The CUDA source of `kernel` ("blend" or "render"), its one include filled in: no search path is needed."""
    here = Path(__file__).parent
    text = (here / f"{kernel}.cu").read_text(encoding="utf-8")
    header = (here / "pixel.cuh").read_text(encoding="utf-8").replace("#pragma once", "")
    return text.replace('#include "pixel.cuh"', header)


def options(dtype: str, channels: int, taps: int) -> tuple[str, ...]:
    """Compiler options for one output dtype; K = 1 and 2 are compiled as such, larger K is read from the job."""
    fixed_taps = taps if taps <= 2 else 0
    return ("--std=c++17", f"-DTYPE={TYPES[dtype]}", f"-DCHANNELS={channels}", f"-DTAPS={fixed_taps}")


@functools.cache
def _function(device: int, kernel: str, compiler_options: tuple[str, ...]) -> cupy.RawKernel:
    with cupy.cuda.Device(device):
        return cupy.RawModule(code=source(kernel), options=compiler_options).get_function(f"gpuaug_{kernel}")


def launch(
    kernel: str,
    job: NDArray[np.uint8],
    device: torch.device,
    dtype: str,
    *,
    frames: int,
    per_frame: int,
    channels: int,
    taps: int,
) -> None:
    """Queue `kernel` on torch's current stream of `device`: one copy from pinned memory, one launch, no waiting.

    Args:
        job: of kernels/job.py, with addresses on this device.
        frames: N·T; per_frame: elements of an output frame (blend) or its pixels (render).
    """
    index = torch.cuda.current_device() if device.index is None else device.index
    with torch.cuda.device(index), cupy.cuda.Device(index):
        pinned = torch.empty(job.size, dtype=torch.uint8, pin_memory=True)  # torch keeps it until the copy is done
        pinned.numpy()[:] = job
        on_device = pinned.to(torch.device("cuda", index), non_blocking=True)
        blocks = -(-per_frame // ITEMS[kernel])
        run = _function(index, kernel, options(dtype, channels, taps))
        with cupy.cuda.ExternalStream(torch.cuda.current_stream(index).cuda_stream, index):
            run((blocks * frames,), (THREADS,), (np.uint64(on_device.data_ptr()), np.int64(blocks)))


def cubin(kernel: str, arch: str, dtype: str, *, channels: int = 3, taps: int = 2) -> bytes:
    """Machine code of `kernel` for `arch` ("sm_90"), compiled without a driver or a device.

    Raises:
        RuntimeError: with the compiler's log.
    """
    program = nvrtc.createProgram(source(kernel), f"{kernel}.cu", (), ())
    try:
        try:
            nvrtc.compileProgram(program, (*options(dtype, channels, taps), f"--gpu-architecture={arch}"))
        except nvrtc.NVRTCError:
            raise RuntimeError(f"{kernel}.cu does not compile for {arch}: {nvrtc.getProgramLog(program)}") from None
        return nvrtc.getCUBIN(program)
    finally:
        nvrtc.destroyProgram(program)
