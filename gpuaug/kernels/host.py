"""The kernels on the CPU: finds the compiled extension and calls it with ctypes, which frees the GIL."""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
import math
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .job import View

DTYPES = ("uint8", "float16", "bfloat16", "float32")  # their places are the codes that host.cpp takes


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels, or None after one warning: then the NumPy reference has to serve."""
    here = Path(__file__).parent
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        file = here / f"_host{suffix}"
        if file.exists():
            try:
                return load(file)
            except OSError as error:
                reason = f"cannot be loaded ({error})"
                break
    else:
        reason = "were not built (no C++ compiler at installation?)"
    warnings.warn(
        f"gpuaug's CPU kernels {reason}; the NumPy reference serves instead, some hundred times slower",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def load(file: Path) -> ctypes.CDLL:
    """The library in `file`, with its signatures declared."""
    lib = ctypes.CDLL(str(file))
    for function in (lib.gpuaug_render, lib.gpuaug_blend):
        function.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
        function.restype = ctypes.c_int
    address, count = ctypes.c_void_p, ctypes.c_longlong
    clips = (address, count, count)
    lib.gpuaug_copy.argtypes = [address, address, count, count, count, count, *clips, *clips, ctypes.c_int]
    lib.gpuaug_copy.restype = None
    lib.gpuaug_new_memory.argtypes = [ctypes.c_void_p, ctypes.c_longlong]
    lib.gpuaug_new_memory.restype = None
    return lib


def launch(lib: ctypes.CDLL, kernel: str, job: NDArray[np.uint8], dtype: str, threads: int) -> None:
    """Run `kernel` ("blend" or "render") on a job of kernels/job.py; returns when the output is written."""
    if getattr(lib, f"gpuaug_{kernel}")(job.ctypes.data, DTYPES.index(dtype), threads):
        raise MemoryError(f"no memory for the scratch rows of {threads} threads")


def copy(lib: ctypes.CDLL, out: int, views: list[View], table: NDArray[np.int64], threads: int) -> None:
    """Frames of one or two views of one shape to the address `out` on, (N, T) of them, one after the other.

    `table` (N or 1, T) has the frame of the first view, or ~frame of the second; each sample has its own clip there.
    The elements of a frame must lie in memory as in its shape.
    """
    table = np.ascontiguousarray(table)
    itemsize = views[0].itemsize
    places = [p for v in views for p in (v.address, v.strides[0] * itemsize, v.strides[1] * itemsize)] + [0, 0, 0]
    samples, _, *frame = views[0].shape
    rows, frames = table.shape
    lib.gpuaug_copy(out, table.ctypes.data, rows, samples, frames, math.prod(frame) * itemsize, *places[:6], threads)
