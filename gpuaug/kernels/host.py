"""The kernels on the CPU: finds the compiled extension and calls it with ctypes, which frees the GIL."""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
import math
import struct
import warnings
from array import array as doubles
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .kernel_args import View

EDIT = struct.Struct("19q")  # the header of an edit's job, mirrored by host_edit.cpp; 64-bit floats follow
DOUBLE = struct.Struct("d")
EDITS = {  # their numbers there, and their parameters
    "crossfade": (0, ("center", "overlap")),
    "concatenate": (0, ("center",)),
    "paste": (1, ("start", "stop", "opacity")),
    "resample_speed": (2, ("change_point", "rate")),
    "take": (3, ("frames",)),
}
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
    for function in (lib.gpuaug_render, lib.gpuaug_blend, lib.gpuaug_edit):
        function.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
        function.restype = ctypes.c_int
    address, count = ctypes.c_void_p, ctypes.c_longlong
    lib.gpuaug_interleave.argtypes = [address, count, count, *(address, count) * 3, count, count]
    lib.gpuaug_interleave.restype = None
    lib.gpuaug_new_memory.argtypes = [address, count]
    lib.gpuaug_new_memory.restype = None
    return lib


def launch(lib: ctypes.CDLL, kernel: str, job: NDArray[np.uint8], dtype: str, threads: int) -> None:
    """Run `kernel` ("blend" or "render") on a job of kernels/job.py; returns when the output is written."""
    if getattr(lib, f"gpuaug_{kernel}")(job.ctypes.data, DTYPES.index(dtype), threads):
        raise MemoryError(f"no memory for the scratch rows of {threads} threads")


def edit(
    lib: ctypes.CDLL,
    name: str,
    views: list[View],
    out: int,
    frames: int,
    values: Mapping[str, ArrayLike],
    dtype: int,
    threads: int,
) -> bool:
    """An edit of gpuaug/edits.py on dense frames into memory from `out` on: (N, frames, …), all side by side.

    `views` are its clips (N, T, …), each with dense frames; `values` its parameters; `dtype` a place in DTYPES. False
    where a value breaks a rule: then nothing was written, and edits.py says which.
    """
    code, names = EDITS[name]
    samples = views[0].shape[0]
    header = [code, samples, frames, math.prod(views[0].shape[2:]), out]
    for v in views:
        header += (v.address, v.shape[1], v.strides[0] * v.itemsize, v.strides[1] * v.itemsize)
    header += [0] * (13 - len(header))
    block = bytes(8)  # 0.0 for a value that the edit does not have
    try:
        for key in names:
            more, step = _doubles(values[key], samples, key == "frames")
            header += (EDIT.size + len(block), step)
            block += more
    except (TypeError, ValueError, OverflowError, struct.error):
        return False
    header += [EDIT.size, 0] * (3 - len(names))
    status = lib.gpuaug_edit(EDIT.pack(*header) + block, dtype, threads)
    if status == 1:
        raise MemoryError(f"no memory for the scratch rows of {threads} threads")
    return status == 0


def interleave(lib: ctypes.CDLL, planes: Sequence[tuple[int, int]], out: NDArray[np.uint8]) -> None:
    """Red, green and blue planes, each by its address and the bytes from row to row, into the pixels of `out` (h,w,3).

    The three values of a pixel of `out` must lie side by side; rows and columns may lie anyhow.
    """
    h, w, _ = out.shape
    row, pixel, _ = out.strides
    lib.gpuaug_interleave(out.ctypes.data, row, pixel, *(part for plane in planes for part in plane), h, w)


def _doubles(value: ArrayLike, samples: int, listed: bool) -> tuple[bytes, int]:
    """A parameter as 64-bit floats, and how many of them are a sample's own; `listed`: it has one per frame."""
    if isinstance(value, (int, float)):
        return DOUBLE.pack(value), 0
    if listed and isinstance(value, range):
        return doubles("d", value).tobytes(), 0
    array = np.asarray(value, np.float64)
    rows = array.shape[:-1] if listed else array.shape
    if rows not in ((), (1,), (samples,)):
        raise ValueError(f"a scalar or a row for all or for each of {samples} samples, got shape {array.shape}")
    return array.tobytes(), array.size // samples if rows == (samples,) else 0
