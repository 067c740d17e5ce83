"""The implementations that every test of pixels runs on, as fixtures, and the CUDA kernels compiled for the CPU.

"reference": NumPy serves, as where there is no compiler. "host": the compiled extension. "emulated": the .cu files
themselves, built by the C++ compiler, block by block and thread by thread. "ptx": what NVRTC makes of them, the code
that a GPU is given, executed instruction by instruction with every access checked. "cuda": a GPU.
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

from gpuaug.kernels import host, kernel_args, launches

from .paths import REPOSITORY, SUPPORT
from .ptx import run, translate

KERNELS = Path(host.__file__).parent
BUILDS = REPOSITORY / ".pytest_cache" / "kernels"
COMPILER = shutil.which("c++")
TYPES = {"uint8": "u8", "float16": "Half", "bfloat16": "BFloat", "float32": "float"}
SHIM = """
#define __global__
#define __launch_bounds__(...)
#define __grid_constant__
struct Index {{ unsigned x, y, z; }};
struct alignas(16) uint4 {{ unsigned x, y, z, w; }};
static thread_local Index blockIdx, threadIdx;
#define TYPE {type}
#define CHANNELS {channels}
#define TAPS {taps}
#define LAYOUT {layout}
#define ONE {one}
#define SAME {same}
#define THREADS {threads}
#define ITEMS {items}
#define COLUMNS {columns}
#include "{kernel}.cu"
extern "C" void run(const char* parameters, const unsigned* grid) {{
    const auto& p = *(const {struct}*)parameters;
    for (blockIdx.z = 0; blockIdx.z < grid[2]; ++blockIdx.z)
        for (blockIdx.y = 0; blockIdx.y < grid[1]; ++blockIdx.y)
            for (blockIdx.x = 0; blockIdx.x < grid[0]; ++blockIdx.x)
                for (threadIdx.x = 0; threadIdx.x < THREADS; ++threadIdx.x) gpuaug_{kernel}(p);
}}
"""


def on(*names: str) -> Any:
    """The fixture that runs a test on each of these: it is the device to put tensors on."""

    marks = {"cuda": pytest.mark.gpu, "ptx": pytest.mark.slow}

    @pytest.fixture(params=[pytest.param(name, marks=marks[name]) if name in marks else name for name in names])
    def fixture(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.device:
        return put_in_charge(request.param, monkeypatch)

    return fixture


fixture = on("reference", "host", "emulated", "cuda")
pixels = on("reference", "host", "emulated", "ptx", "cuda")
kernels = on("host", "emulated", "ptx", "cuda")  # without the NumPy reference
cpu = on("reference", "host", "emulated")
built = on("reference", "host", "cuda")  # what users have, where emulation would show nothing more


def put_in_charge(name: str, monkeypatch: pytest.MonkeyPatch) -> torch.device:
    if name == "reference":
        monkeypatch.setattr(host, "library", lambda: None)
    elif name == "host":
        library = compiled()
        monkeypatch.setattr(host, "library", lambda: library)
    elif name in ("emulated", "ptx"):
        require_compiler()
        library = compiled()
        monkeypatch.setattr(host, "library", lambda: library)
        monkeypatch.setattr(host, "launch", emulate if name == "emulated" else execute)
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
    """Runs a .cu file on the CPU, launched as cuda.py launches it."""
    job = aligned(work)
    variant, found = launches.launches(kernel, job, dtype, job.ctypes.data)
    library = build_emulated(variant)
    for grid, parameters in found:
        library.run(ctypes.c_void_p(parameters.ctypes.data), (ctypes.c_uint * 3)(*grid))


def execute(_library: ctypes.CDLL, kernel: str, work: np.ndarray, dtype: str, _threads: int) -> None:
    """Runs the PTX of a .cu file on the CPU; whatever is read or written elsewhere is an error."""
    job = aligned(work)
    variant, found = launches.launches(kernel, job, dtype, job.ctypes.data)
    library = build_ptx(variant)
    allowed = run.ranges(kernel, job, dtype)
    for grid, parameters in found:
        run.run(library, parameters, grid, kernel_args.THREADS, allowed)


def aligned(work: np.ndarray) -> np.ndarray:
    """The job on a multiple of 256 bytes, as torch's memory on a GPU."""
    memory = np.empty(work.size + 256, np.uint8)
    begin = -memory.ctypes.data % 256
    memory[begin : begin + work.size] = work
    return memory[begin : begin + work.size]


@functools.cache
def build_emulated(variant: launches.Variant) -> ctypes.CDLL:
    """The .cu file by the C++ compiler."""
    values = {**variant._asdict(), "type": TYPES[variant.dtype], "struct": f"{variant.kernel.capitalize()}Launch"}
    values |= {"threads": kernel_args.THREADS, "items": kernel_args.ITEMS, "columns": kernel_args.COLUMNS}
    return build("emulated", variant, SHIM.format(**values), ["-Wno-unknown-pragmas", f"-I{KERNELS}"])


@functools.cache
def build_ptx(variant: launches.Variant, *options: str, change: tuple[str, str] = ("", "")) -> ctypes.CDLL:
    """What NVRTC makes of the .cu file, for sm_90, in C++.

    Args:
        options: of NVRTC, beside the usual ones.
        change: a text in the source, and what stands there instead.
    """
    cuda = pytest.importorskip("gpuaug.kernels.cuda", reason="needs CuPy", exc_type=ImportError)
    key = [cuda.source(variant.kernel), *cuda.options(variant), *options, *change, str(cuda.nvrtc.getVersion())]
    digest = hashlib.sha256("\0".join(key).encode()).hexdigest()[:16]
    kept = BUILDS / f"{variant.kernel}-{digest}.ptx"  # NVRTC takes as long as the C++ compiler
    if not kept.exists():
        with pytest.MonkeyPatch.context() as patch:
            text = cuda.source(variant.kernel)
            assert change[0] in text
            patch.setattr(cuda, "source", lambda _: text.replace(*change) if change[0] else text)
            code = cuda.machine_code(variant, "compute_90", *options)
        write_whole(kept, code.rstrip(b"\0").decode())
    # no reordering of pointers of another type; and no fma where PTX has none
    flags = [f"-I{SUPPORT / 'ptx'}", "-fno-strict-aliasing", "-ffp-contract=off", "-w"]
    return build("ptx", variant, translate.Translator(kept.read_text()).program(), flags)


def build(name: str, variant: launches.Variant, code: str, flags: list[str]) -> ctypes.CDLL:
    """Built once for the same sources, command and compiler: a build takes seconds, and is kept in BUILDS."""
    command = [require_compiler(), "-std=c++17", "-O1", "-shared", "-fPIC", *flags]
    key = hashlib.sha256("\n".join([code, *command, *_what_builds_depend_on()]).encode()).hexdigest()[:16]
    target = BUILDS / f"{name}-{'-'.join(map(str, variant))}-{key}.so"
    if not target.exists():
        source, part = (target.with_suffix(f".{os.getpid()}{suffix}") for suffix in (".cpp", ".part"))
        write_whole(source, code)
        subprocess.run([*command, str(source), "-o", str(part)], check=True, capture_output=True, text=True)
        part.replace(target)  # whole whenever it exists: several processes may build it
        source.unlink()
    return ctypes.CDLL(str(target))


def write_whole(file: Path, text: str) -> None:
    BUILDS.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(f".{os.getpid()}.text")
    part.write_text(text)
    part.replace(file)


@functools.cache
def _what_builds_depend_on() -> list[str]:
    compiler = subprocess.run([require_compiler(), "--version"], check=True, capture_output=True, text=True).stdout
    files = sorted([*KERNELS.glob("*.cu"), *KERNELS.glob("*.cuh"), SUPPORT / "ptx" / "machine.h"])
    return [compiler, *(file.read_text(encoding="utf-8") for file in files)]
