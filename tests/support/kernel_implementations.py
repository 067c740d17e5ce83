"""The implementations that every test of pixels runs on, as fixtures, and the CUDA kernels compiled for the CPU.

"reference": NumPy serves, as where there is no compiler. "host": the compiled extension. "emulated": the .cu files
themselves, built by the C++ compiler, block by block and thread by thread. "cuda": a GPU.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gpuaug.kernels import host, kernel_args

from .paths import REPOSITORY

KERNELS = Path(host.__file__).parent
BUILDS = REPOSITORY / ".pytest_cache" / "kernels"
COMPILER = shutil.which("c++")
TYPES = {"uint8": "u8", "float16": "Half", "bfloat16": "BFloat", "float32": "float"}
SHIM = """
#define __global__
#define __launch_bounds__(n)
struct Index {{ unsigned x; }};
struct alignas(16) uint4 {{ unsigned x, y, z, w; }};
static thread_local Index blockIdx, blockDim, threadIdx;
#define TYPE {type}
#define CHANNELS {channels}
#define TAPS {taps}
#define LAYOUT {layout}
#define THREADS {threads}
#define ITEMS {items}
#include "{kernel}.cu"
extern "C" void run(const char* job, long long blocks, long long per_frame) {{
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) {{
{block}
    }}
}}
"""
# A block, thread by thread; render's threads meet at its barrier between make and put.
BLOCKS = {
    "blend": "for (threadIdx.x = 0; threadIdx.x < THREADS; ++threadIdx.x) gpuaug_blend(job, per_frame);",
    "render": """
        static thread_local uint4 tile[PIXELS * CHANNELS / LANES];
        for (int i = 0; i < THREADS; ++i) make(job, blockIdx.x, i, per_frame, (TYPE*)tile);
        for (int i = 0; LAYOUT && i < THREADS; ++i) put(job, blockIdx.x, i, per_frame, (const TYPE*)tile);
    """,
}


def on(*names: str) -> Any:
    """The fixture that runs a test on each of these: it is the device to put tensors on."""

    @pytest.fixture(params=[pytest.param(name, marks=pytest.mark.gpu) if name == "cuda" else name for name in names])
    def fixture(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.device:
        return put_in_charge(request.param, monkeypatch)

    return fixture


fixture = on("reference", "host", "emulated", "cuda")
kernels = on("host", "emulated", "cuda")  # without the NumPy reference
cpu = on("reference", "host", "emulated")
built = on("reference", "host", "cuda")  # what users have, where emulation would show nothing more


def put_in_charge(name: str, monkeypatch: pytest.MonkeyPatch) -> torch.device:
    if name == "reference":
        monkeypatch.setattr(host, "library", lambda: None)
    elif name == "host":
        library = compiled()
        monkeypatch.setattr(host, "library", lambda: library)
    elif name == "emulated":
        require_compiler()
        library = compiled()
        monkeypatch.setattr(host, "library", lambda: library)
        monkeypatch.setattr(host, "launch", emulate)
        monkeypatch.setattr("gpuaug.execute._is_dense", lambda _: False)  # a GPU has no `mix`: its edits are blends
    return torch.device("cuda" if name == "cuda" else "cpu")


def require_compiler() -> str:
    if COMPILER is None:
        pytest.skip("needs a C++ compiler")
    return COMPILER


def compiled() -> ctypes.CDLL:
    """The extension, or the library that GPUAUG_TEST_LIBRARY names (a build with sanitizers)."""
    named = os.environ.get("GPUAUG_TEST_LIBRARY")
    library = host.load(Path(named)) if named else host.library()
    if library is None:
        require_compiler()
        pytest.fail("gpuaug.kernels._host is not built: python setup.py build_ext --inplace")
    return library


def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets plans with planted errors through to the kernels."""
    monkeypatch.setattr(
        importlib.import_module("gpuaug.arguments"),
        "shown",
        lambda plan, lengths: kernel_args.FrameTaps(plan.clip, plan.frame, plan.weight),
    )


def emulate(_library: ctypes.CDLL, kernel: str, work: np.ndarray, dtype: str, _threads: int) -> None:
    """Runs render.cu or blend.cu on the CPU, launched as cuda.py launches it."""
    grid = kernel_args.grid(kernel, work, dtype)
    library = build_emulated(kernel, TYPES[dtype], grid.channels, grid.taps, grid.layout)
    library.run(
        ctypes.c_void_p(work.ctypes.data), ctypes.c_longlong(grid.blocks), ctypes.c_longlong(grid.blocks_per_frame)
    )


@functools.cache
def build_emulated(kernel: str, type_: str, channels: int, taps: int, layout: int) -> ctypes.CDLL:
    """Built once for the same sources, command and compiler: a build takes seconds, and is kept in BUILDS."""
    values = {"kernel": kernel, "type": type_, "channels": channels, "taps": taps, "layout": layout}
    values |= {"threads": kernel_args.THREADS, "items": kernel_args.ITEMS}
    code = SHIM.format(**values, block=BLOCKS[kernel])
    command = [require_compiler(), "-std=c++17", "-O1", "-shared", "-fPIC", "-Wno-unknown-pragmas", f"-I{KERNELS}"]
    key = hashlib.sha256("\n".join([code, *command, *_what_builds_depend_on()]).encode()).hexdigest()[:16]
    target = BUILDS / f"{kernel}-{type_}-{channels}-{taps}-{layout}-{key}.so"
    if not target.exists():
        BUILDS.mkdir(parents=True, exist_ok=True)
        source, part = (target.with_suffix(f".{os.getpid()}{suffix}") for suffix in (".cpp", ".part"))
        source.write_text(code)
        subprocess.run([*command, str(source), "-o", str(part)], check=True, capture_output=True, text=True)
        part.replace(target)  # whole whenever it exists: several processes may build it
        source.unlink()
    return ctypes.CDLL(str(target))


@functools.cache
def _what_builds_depend_on() -> list[str]:
    compiler = subprocess.run([require_compiler(), "--version"], check=True, capture_output=True, text=True).stdout
    files = sorted([*KERNELS.glob("*.cu"), *KERNELS.glob("*.cuh")])
    return [compiler, *(file.read_text(encoding="utf-8") for file in files)]
