"""The two compilers: machine code for GPUs without having one, sanitizers over the CPU build, life without either."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from gpuaug import Plan, blend, functional, render
from gpuaug.kernels import host, kernel_args, launches
from gpuaug.kernels.launches import Variant
from support import kernel_implementations
from support.paths import REPOSITORY

BLEND, RENDER, MIX, TAPS = (
    *(kernel_args.BLEND, kernel_args.RENDER, kernel_args.MIX),
    kernel_args.struct_fields("Taps"),
)
KERNELS = kernel_implementations.KERNELS
# What compiles takes more than a second each; the rest of it is slow.
ARCHITECTURES = ("sm_90", *(pytest.param(arch, marks=pytest.mark.slow) for arch in ("sm_75", "sm_80", "sm_100")))
COMPILED = [pytest.param(dtype, marks=[pytest.mark.slow] * (dtype != "uint8")) for dtype in host.DTYPES]


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("kernel", ["blend", "render"])
@pytest.mark.parametrize("dtype", COMPILED)
def test_kernels_compile_for_gpus(kernel, dtype, arch):
    """An ELF file that holds the kernel's entry, for every dtype, channels and specialisation of K."""
    cuda = pytest.importorskip("gpuaug.kernels.cuda", reason="needs CuPy", exc_type=ImportError)
    cases = [(1, 1, 0, 1), (1, 2, 0, 0), (1, 0, 0, 1)]
    if kernel == "render":
        cases = [(3, 1, 1, 1), (3, 2, 2, 0), (3, 0, 0, 1), (1, 1, 1, 1)]
    for case in cases:
        code = cuda.machine_code(Variant(kernel, dtype, *case), arch)
        assert code[:4] == b"\x7fELF"
        assert f"gpuaug_{kernel}".encode() in code


def test_compile_errors_show_the_log(monkeypatch):
    cuda = pytest.importorskip("gpuaug.kernels.cuda", reason="needs CuPy", exc_type=ImportError)
    monkeypatch.setitem(cuda.TYPES, "uint8", "no_such_type")
    with pytest.raises(RuntimeError, match=r"render\.cu does not compile for sm_90: (.|\n)*no_such_type"):
        cuda.machine_code(Variant("render", "uint8", 3, 1, 1, 1), "sm_90")


def test_jobs_are_laid_out_as_the_compiler_lays_them_out(tmp_path):
    """Every field read from pixel.cuh is where C++ has it, and a job ends behind its last one."""
    structs = {"BlendJob": BLEND, "RenderJob": RENDER, "MixJob": MIX}
    structs |= {"BlendLaunch": launches.BLEND_LAUNCH, "RenderLaunch": launches.RENDER_LAUNCH}
    lines = ['#include "pixel.cuh"', "#include <stddef.h>", "#include <stdio.h>", "int main() {"]
    for struct, names in structs.items():
        kind = struct.removesuffix("Launch")
        job, source = structs[f"{kind}Job"] if kind != struct else (), getattr(launches, f"{kind.upper()}_SOURCE", ())
        for name in names:
            place = re.sub(r"^(sizes|strides|out_strides)(\d)$", r"\1[\2]", name)
            place = f"taps.{place}" if struct != "MixJob" and name in TAPS else place
            place = f"job.{place}" if name in job else f"source.{place}" if name in source else place
            lines.append(f'printf("%d ", (int)offsetof({struct}, {place}));')
        lines.append(f'printf("%d\\n", (int)sizeof({struct}));')
    (tmp_path / "layout.cpp").write_text("\n".join([*lines, "}"]))
    command = [kernel_implementations.require_compiler(), "-std=c++17", f"-I{KERNELS}", "-Wno-invalid-offsetof"]
    subprocess.run([*command, str(tmp_path / "layout.cpp"), "-o", str(tmp_path / "layout")], check=True)
    shown = subprocess.run([str(tmp_path / "layout")], check=True, capture_output=True, text=True).stdout
    for line, names in zip(shown.splitlines(), structs.values(), strict=True):
        assert [int(word) for word in line.split()] == [8 * k for k in range(len(names) + 1)]


def test_without_extension_the_reference_serves_with_one_warning(monkeypatch, tmp_path):
    (tmp_path / "host.py").touch()
    monkeypatch.setattr(host, "__file__", str(tmp_path / "host.py"))
    host.library.cache_clear()
    try:
        frames = torch.arange(6, dtype=torch.uint8).view(1, 6, 1, 1, 1)
        with pytest.warns(RuntimeWarning, match="not built.*NumPy reference"):
            assert blend(frames, Plan.take(0, [4, 2])).flatten().tolist() == [4, 2]
        got = render(
            frames, Plan.take(0, [4, 2]), size=(1, 1), dtype=torch.uint8
        )  # no second one: it would be an error
        assert got.flatten().tolist() == [4, 2]
        host.library.cache_clear()
        (tmp_path / f"_host{importlib.machinery.EXTENSION_SUFFIXES[0]}").write_text("no library")
        with pytest.warns(RuntimeWarning, match="cannot be loaded"):
            assert host.library() is None
    finally:
        host.library.cache_clear()


def test_threads_follow_torch_and_change_nothing():
    library = kernel_implementations.compiled()
    assert library is not None
    rng = np.random.default_rng(0)
    frames = torch.from_numpy(rng.integers(0, 256, (4, 6, 20, 30, 3), dtype=np.uint8))
    plan = Plan.take(rng.integers(0, 4, 8), rng.integers(0, 6, (8, 5)))
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(render(frames, plan, size=(15, 17)))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@pytest.mark.gpu
def test_gpu_does_not_wait_and_follows_the_stream():
    """After the first call nothing synchronises or allocates; work is queued behind what the stream already holds."""
    bank = torch.randint(0, 256, (4, 6, 40, 50, 3), dtype=torch.uint8, device="cuda")
    plan = Plan.take([0, 3], [[0, 5, 2]])
    out = torch.empty(2, 3, 3, 20, 25, device="cuda")
    out.fill_(torch.nan)  # the driver loads a kernel when it is first used, and may wait for the device then
    expected = render(255 - bank, plan, size=(20, 25), out=out).clone()
    torch.cuda.synchronize()
    allocated = torch.cuda.memory_stats()["num_device_alloc"]
    stream = torch.cuda.Stream()
    try:
        torch.cuda.set_sync_debug_mode("error")
        with torch.cuda.stream(stream):
            torch.cuda._sleep(500_000_000)  # a quarter of a second: longer than a busy host takes to queue the rest
            other = 255 - bank
            render(other, plan, size=(20, 25), out=out.fill_(torch.nan))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert not stream.query()  # still at work: nobody has waited
    stream.synchronize()
    assert torch.equal(out, expected)
    for _ in range(3):
        render(bank, plan, size=(20, 25), out=out)
    assert torch.cuda.memory_stats()["num_device_alloc"] <= allocated + 1  # the side stream's own first block


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_host_kernels_under_sanitizers(tmp_path):
    """The tests of pixels once more on a build with AddressSanitizer and UBSan; a planted overflow must be caught."""
    planted = tmp_path / "kernels"
    shutil.copytree(KERNELS, planted)
    header = (planted / "pixel.cuh").read_text(encoding="utf-8")
    assert "least(first + 1, pixels - 1)" in header
    changed = header.replace("least(first + 1, pixels - 1)", "least(first + 1, pixels)")
    (planted / "pixel.cuh").write_text(changed, encoding="utf-8")
    others = sorted(file for file in KERNELS.glob("*.cpp") if file.name != "host_render.cpp")
    shared = compile_sanitized(others, tmp_path)  # they take most of the time, and the fault is in another one
    good, bad = (
        sanitized(["-shared", *map(str, shared), *map(str, compile_sanitized([file], target))], target / "host.so")
        for file, target in (
            (KERNELS / "host_render.cpp", tmp_path / "good"),
            (planted / "host_render.cpp", tmp_path / "bad"),
        )
    )
    with ThreadPoolExecutor(2) as pool:
        caught = pool.submit(lambda: run_sanitized(bad, tmp_path, "test_odd_sizes and host"))
        done = run_sanitized(
            good,
            tmp_path,
            "host and not torchvision and not twice and not algebra and not foreign and not older and not jax",
        )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.count(".") > 80, done.stdout[-3000:]  # one dot per test passed
    assert caught.result().returncode != 0
    assert "AddressSanitizer: heap-buffer-overflow" in caught.result().stdout + caught.result().stderr


def compile_sanitized(sources: list[Path], folder: Path) -> list[Path]:
    """The object files, in `folder`."""
    folder.mkdir(exist_ok=True)
    objects = [folder / f"{source.stem}.o" for source in sources]
    for source, target in zip(sources, objects):
        sanitized(["-std=c++17", "-Og", "-g1", "-c", "-fPIC", "-fno-omit-frame-pointer", str(source)], target)
    return objects


def sanitized(arguments: list[str], target: Path) -> Path:
    sanitizers = ["-fopenmp", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command = [kernel_implementations.require_compiler(), *sanitizers, *arguments, "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the compiler has no sanitizers: {done.stderr.splitlines()[-1]}")
    return target


def run_sanitized(library: Path, folder: Path, selection: str) -> subprocess.CompletedProcess[str]:
    compiler = kernel_implementations.require_compiler()
    names = []
    for name in ("libasan.so", "libstdc++.so"):  # the second, so that the first finds the exceptions it has to watch
        found = subprocess.run([compiler, f"-print-file-name={name}"], capture_output=True, text=True).stdout.strip()
        if not Path(found).is_absolute():
            pytest.skip(f"no {name} to load first")
        names.append(found)
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join(names),
        "GPUAUG_TEST_LIBRARY": str(library),
        "ASAN_OPTIONS": "detect_leaks=0:halt_on_error=1",
        "OMP_NUM_THREADS": "1",
        "PYTHONMALLOC": "malloc",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "-k", selection]
    files = [str(REPOSITORY / "tests" / "gpuaug" / f"test_{name}.py") for name in ("render", "blend", "functional")]
    return subprocess.run([*command, *files], capture_output=True, text=True, env=environment, cwd=REPOSITORY)


@pytest.mark.parametrize("kernel", ["render", "blend", "mix"])
def test_what_is_built_is_what_runs(kernel, monkeypatch):
    """Where there are kernels the reference does not serve in silence: each call of the library is counted."""
    assert kernel_implementations.compiled() is not None
    calls = []
    real = getattr(host, "mix" if kernel == "mix" else "launch")

    def counted(library, *arguments, **options):
        calls.append("mix" if kernel == "mix" else arguments[0])
        return real(library, *arguments, **options)

    monkeypatch.setattr(host, real.__name__, counted)
    for name in ("render", "blend"):
        monkeypatch.setattr(f"gpuaug.reference.{name}", None)
    frames = torch.arange(2 * 3 * 8 * 9 * 3).to(torch.uint8).view(2, 3, 8, 9, 3)
    if kernel == "render":
        render(frames, Plan.take([0, 1], [[0]]), size=(4, 5))
    elif kernel == "blend":
        blend(frames, Plan.take([0, 1], [[0]]))
    else:
        functional.take(frames, [2, 0])
    assert calls == [kernel]
