"""The kernels on the GPU: NVRTC through CuPy, on torch's current stream. The only file that imports CuPy."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import cupy
import numpy as np
import torch
from cupy_backends.cuda.libs import nvrtc
from numpy.typing import NDArray

from . import kernel_args

TYPES = {"uint8": "u8", "float16": "Half", "bfloat16": "BFloat", "float32": "float"}


def source(kernel: str) -> str:
    """The CUDA source of `kernel` ("blend" or "render"), its includes filled in: no search path is needed."""
    here = Path(__file__).parent

    def fill(match: re.Match[str]) -> str:
        return (here / match[1]).read_text(encoding="utf-8").replace("#pragma once", "")

    return re.sub(r'#include "(.+)"', fill, (here / f"{kernel}.cu").read_text(encoding="utf-8"))


def options(dtype: str, channels: int, taps: int, layout: int) -> tuple[str, ...]:
    """Compiler options for one output dtype, number of channels, K (0: any), and place in `kernel_args.LAYOUTS`."""
    values = {"TYPE": TYPES[dtype], "CHANNELS": channels, "TAPS": taps, "LAYOUT": layout}
    values |= {"THREADS": kernel_args.THREADS, "ITEMS": kernel_args.ITEMS}
    return ("--std=c++17", *(f"-D{name}={value}" for name, value in values.items()))


@functools.cache  # and CuPy keeps the machine code on disk, in CUPY_CACHE_DIR
def _function(device: int, kernel: str, compiler_options: tuple[str, ...]) -> cupy.RawKernel:
    with cupy.cuda.Device(device):
        return cupy.RawModule(code=source(kernel), options=compiler_options).get_function(f"gpuaug_{kernel}")


def launch(kernel: str, work: NDArray[np.uint8], device: torch.device, dtype: str) -> None:
    """Queue `kernel` on torch's current stream of `device`: one copy from pinned memory, one launch, no waiting.

    Both buffers are torch's: its allocators hand the same memory out again once the copy, or the kernel, is done.

    Args:
        work: of kernel_args.py, with addresses on this device.
    """
    grid = kernel_args.grid(kernel, work, dtype)
    index = torch.cuda.current_device() if device.index is None else device.index
    with torch.cuda.device(index), cupy.cuda.Device(index):
        pinned = torch.empty(work.size, dtype=torch.uint8, pin_memory=True)
        pinned.numpy()[:] = work
        on_device = pinned.to(torch.device("cuda", index), non_blocking=True)
        run = _function(index, kernel, options(dtype, grid.channels, grid.taps, grid.layout))
        with cupy.cuda.ExternalStream(torch.cuda.current_stream(index).cuda_stream, index):
            run(
                (grid.blocks,),
                (kernel_args.THREADS,),
                (np.uint64(on_device.data_ptr()), np.int64(grid.blocks_per_frame)),
            )


def cubin(kernel: str, arch: str, dtype: str, *, channels: int = 3, taps: int = 2, layout: int = 1) -> bytes:
    """Machine code of `kernel` for `arch` ("sm_90"), compiled without a driver or a device.

    Raises:
        RuntimeError: with the compiler's log.
    """
    program = nvrtc.createProgram(source(kernel), f"{kernel}.cu", (), ())
    try:
        try:
            nvrtc.compileProgram(program, (*options(dtype, channels, taps, layout), f"--gpu-architecture={arch}"))
        except nvrtc.NVRTCError:
            raise RuntimeError(f"{kernel}.cu does not compile for {arch}: {nvrtc.getProgramLog(program)}") from None
        return nvrtc.getCUBIN(program)
    finally:
        nvrtc.destroyProgram(program)
