"""The kernels on the GPU: NVRTC through CuPy, on torch's current stream. The only file that imports CuPy.

Everything is compiled by `machine_code`, with one set of options: what tests and doctor compile is what runs. (CuPy's
own compilation adds -ftz=true, which makes subnormal numbers 0.)
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import tempfile
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cupy
import numpy as np
import torch
from cupy_backends.cuda.libs import nvrtc
from numpy.typing import NDArray

from . import kernel_args
from .launches import Variant
from .launches import launches as find_launches

TYPES = {"uint8": "u8", "float16": "Half", "bfloat16": "BFloat", "float32": "float"}

_held: list[tuple[Any, Any]] = []  # events, and what has to live until they have passed


def source(kernel: str) -> str:
    """The CUDA source of `kernel` ("blend", "render", "compose"), its includes filled in: no search path is needed."""
    here = Path(__file__).parent

    def fill(match: re.Match[str]) -> str:
        return (here / match[1]).read_text(encoding="utf-8").replace("#pragma once", "")

    return re.sub(r'#include "(.+)"', fill, (here / f"{kernel}.cu").read_text(encoding="utf-8"))


def options(variant: Variant) -> tuple[str, ...]:
    """The compiler's options for a variant."""
    values: dict[str, int | str] = {"TYPE": TYPES[variant.dtype], "CHANNELS": variant.channels, "TAPS": variant.taps}
    values |= {"LAYOUT": variant.layout, "ONE": variant.one}
    if variant.kernel == "compose":
        values["SAME"] = variant.same
    values |= {"THREADS": kernel_args.THREADS, "ITEMS": kernel_args.ITEMS, "COLUMNS": kernel_args.COLUMNS}
    return ("--std=c++17", *(f"-D{name}={value}" for name, value in values.items()))


def machine_code(variant: Variant, arch: str, *more: str) -> bytes:
    """Machine code for "sm_90", or PTX for "compute_90", compiled without a driver or a device.

    Args:
        more: options beside the usual ones.

    Raises:
        RuntimeError: with the compiler's log.
    """
    program = nvrtc.createProgram(source(variant.kernel), f"{variant.kernel}.cu", (), ())
    try:
        try:
            nvrtc.compileProgram(program, (*options(variant), *more, f"--gpu-architecture={arch}"))
        except nvrtc.NVRTCError:
            raise RuntimeError(
                f"{variant.kernel}.cu does not compile for {arch}: {nvrtc.getProgramLog(program)}"
            ) from None
        if arch.startswith("sm_"):
            return bytes(nvrtc.getCUBIN(program)) + b"\0"  # CuPy cuts the last byte off
        ptx = nvrtc.getPTX(program)
        return ptx.encode() if isinstance(ptx, str) else bytes(ptx)
    finally:
        nvrtc.destroyProgram(program)


def architecture(capability: tuple[int, int]) -> str:
    """What to compile for on a device of such a compute capability; PTX where the device is newer than NVRTC.

    Raises:
        RuntimeError: for devices older than the oldest that this NVRTC compiles for.
    """
    number, known = 10 * capability[0] + capability[1], [int(arch) for arch in nvrtc.getSupportedArchs()]
    if number in known:
        return f"sm_{number}"
    older = [arch for arch in known if arch < number]
    if not older:
        version = ".".join(map(str, nvrtc.getVersion()))
        raise RuntimeError(f"NVRTC {version} compiles for sm_{min(known)} and newer, got a device of sm_{number}")
    return f"compute_{max(older)}"


def kept_code(variant: Variant, arch: str) -> bytes:
    """`machine_code` from the user's cache, $XDG_CACHE_HOME/gpuaug/kernels, where it is kept once compiled.

    A file there is its code and the SHA-256 of it; one that is not whole is compiled again. Where nothing can be kept
    there is one warning, and every process compiles what it needs.
    """
    made_of = [source(variant.kernel), arch, *options(variant), *map(str, nvrtc.getVersion())]
    key = hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:32]
    root = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    file = Path(root) / "gpuaug" / "kernels" / f"{variant.kernel}-{arch}-{key}"
    try:
        found = file.read_bytes()
        if hashlib.sha256(found[:-32]).digest() == found[-32:]:
            return found[:-32]
    except OSError:
        pass  # not there yet
    code = machine_code(variant, arch)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as part:
            part.write(code + hashlib.sha256(code).digest())
        os.replace(part.name, file)  # whole whenever it exists: several processes may compile it
    except OSError as error:
        warnings.warn(f"compiled GPU kernels cannot be kept ({error}); each process compiles them", stacklevel=2)
    return code


@functools.cache
def _function(device: int, variant: Variant) -> cupy.cuda.function.Function:
    with cupy.cuda.Device(device):
        module = cupy.cuda.function.Module()
        module.load(kept_code(variant, architecture(torch.cuda.get_device_capability(device))))
        return module.get_function(f"gpuaug_{variant.kernel}")


def launch(kernel: str, work: NDArray[np.uint8], device: torch.device, dtype: str) -> None:
    """Queue `kernel` on torch's current stream of `device`: one copy from pinned memory, one launch, no waiting.

    Both buffers are torch's: its allocators hand the same memory out again once the copy, or the kernel, is done.

    Args:
        work: of kernel_args.py, with addresses on this device.

    Raises:
        RuntimeError: while the stream is captured into a CUDA graph.
    """
    index = torch.cuda.current_device() if device.index is None else device.index
    with torch.cuda.device(index), cupy.cuda.Device(index):
        if torch.cuda.is_current_stream_capturing():
            raise RuntimeError(
                f"{kernel} cannot be captured into a CUDA graph: a replay would read the plan of this call from memory "
                "that others have by then; call it before the graph, which then reads its result"
            )
        _release()
        pinned = torch.empty(work.size, dtype=torch.uint8, device="cpu", pin_memory=True)
        pinned.numpy()[:] = work
        on_device = pinned.to(torch.device("cuda", index), non_blocking=True)
        stream = SimpleNamespace(ptr=torch.cuda.current_stream(index).cuda_stream)  # all that CuPy asks of a stream
        variant, found = find_launches(kernel, work, dtype, on_device.data_ptr())
        run = _function(index, variant)
        for grid, parameters in found:
            by_value = parameters.view(f"V{parameters.size}")  # an array of one element is a structure by value
            run(grid, (kernel_args.THREADS,), (by_value,), stream=stream)


def hold(arrays: Any, device: torch.device) -> None:
    """Keep `arrays`, memory of other libraries, until what torch's current stream of `device` holds by now is done.

    Their allocators know nothing of that stream: a dropped array would be handed out again while a kernel reads it.
    """
    _release()
    _held.append((torch.cuda.current_stream(device).record_event(), arrays))


def _release() -> None:
    _held[:] = [(event, kept) for event, kept in _held if not event.query()]
