"""The kernels on the CPU: finds the compiled extension and calls it with ctypes, which frees the GIL."""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
import math
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import kernel_args
from .kernel_args import StridedClips

MIX = struct.Struct(f"{len(kernel_args.MIX)}q")
DTYPES = ("uint8", "float16", "bfloat16", "float32")  # their places are the codes that host.cpp takes


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels, or None after one warning: then the NumPy reference has to serve."""
    found = find()
    if isinstance(found, ctypes.CDLL):
        return found
    warnings.warn(
        f"gpuaug's CPU kernels {found}; the NumPy reference serves instead, some hundred times slower",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def find() -> ctypes.CDLL | str:
    """The compiled kernels, or what is the matter with them."""
    here = Path(__file__).parent
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        file = here / f"_host{suffix}"
        if file.exists():
            try:
                return load(file)
            except OSError as error:
                return f"cannot be loaded ({error})"
    return "were not built (no C++ compiler at installation?)"


def load(file: Path) -> ctypes.CDLL:
    """The library in `file`, with its signatures declared."""
    lib = ctypes.CDLL(str(file))
    for function in (lib.gpuaug_render, lib.gpuaug_blend, lib.gpuaug_compose, lib.gpuaug_mix):
        function.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
        function.restype = ctypes.c_int
    address, count = ctypes.c_void_p, ctypes.c_longlong
    lib.gpuaug_interleave.argtypes = [address, count, count, *(address, count) * 3, count, count]
    lib.gpuaug_interleave.restype = None
    lib.gpuaug_new_memory.argtypes = [address, count]
    lib.gpuaug_new_memory.restype = None
    return lib


def launch(lib: ctypes.CDLL, kernel: str, job: NDArray[np.uint8], dtype: str, threads: int) -> None:
    """Run `kernel` ("blend", "render" or "compose") on a job of kernel_args.py; returns when the output is written."""
    if getattr(lib, f"gpuaug_{kernel}")(job.ctypes.data, DTYPES.index(dtype), threads):
        raise MemoryError(f"no memory for the scratch rows of {threads} threads")


def mix(
    lib: ctypes.CDLL,
    clips: Sequence[StridedClips],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    weight: NDArray[np.float32],
    out: int,
    size: tuple[int, int],
    dtype: str,
    threads: int,
) -> None:
    """(1 − weight)·clips[0][first] + weight·clips[-1][second] into dense memory at the address `out`, (N, T, …).

    Args:
        clips: one or two arrays (N, L, …) of one dtype, whose frames are dense.
        first, second, weight: (N or 1, T or 1).
        size: (N, T).

    Raises:
        IndexError: for a frame that its clip does not have; then nothing was written.
    """
    a, b = clips[0], clips[-1]
    values = {"n": size[0], "t": size[1], "per_frame": math.prod(a.shape[2:]), "out": out}
    for name, v in (("a", a), ("b", b)):
        values |= {name: v.address, f"{name}_frames": v.shape[1]}
        values |= {f"{name}_clip_step": v.strides[0] * v.itemsize, f"{name}_frame_step": v.strides[1] * v.itemsize}
    for name, part in (("first", first), ("second", second), ("weight", weight)):
        steps = (step // part.itemsize if count > 1 else 0 for step, count in zip(part.strides, part.shape))
        values |= zip((name, f"{name}_n", f"{name}_t"), (part.ctypes.data, *steps))
    status = lib.gpuaug_mix(MIX.pack(*(values[name] for name in kernel_args.MIX)), DTYPES.index(dtype), threads)
    if status == 1:
        raise MemoryError(f"no memory for the scratch rows of {threads} threads")
    if status:
        raise IndexError(f"frames must be in clips of {a.shape[1]} and {b.shape[1]} frames, got others")


def interleave(lib: ctypes.CDLL, planes: Sequence[tuple[int, int]], out: NDArray[np.uint8]) -> None:
    """Red, green and blue planes, each by its address and the bytes from row to row, into the pixels of `out` (h,w,3).

    The three values of a pixel of `out` must lie side by side; rows and columns may have any strides.
    """
    h, w, _ = out.shape
    row, pixel, _ = out.strides
    lib.gpuaug_interleave(out.ctypes.data, row, pixel, *(part for plane in planes for part in plane), h, w)
