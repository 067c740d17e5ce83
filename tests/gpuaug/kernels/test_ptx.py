"""That executed PTX shows faults that emulation hides, each planted here; and the translator itself."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
import torch

from gpuaug import Plan, blend, render
from gpuaug.kernels import host, kernel_args, launches
from support import kernel_implementations
from support.paths import SUPPORT
from support.ptx import run, translate

pytest.importorskip("gpuaug.kernels.cuda", reason="needs CuPy", exc_type=ImportError)
ORDER = ("fused(wb, y, wa * x)", "wa * x + wb * y")
BOUND = (" || lowest < height - 1)", " || true)")
ALIGNMENT = (
    "const u32 begin = 3u * (u32)c.low, word = begin & ~3u",
    "const u32 begin = 3u * (u32)c.low, word = begin & ~1u",
)
UNWRITTEN = ("if (y + r >= (int)job.y) break;", "if (y + r + 1 >= (int)job.y) break;")


@pytest.fixture
def planted(monkeypatch):
    """Has PTX executed that was made with other options, or of a changed source."""
    kernel_implementations.require_compiler()
    library = kernel_implementations.compiled()

    def plant(*options: str, change: tuple[str, str] = ("", "")) -> None:
        def launch(_library, kernel, work, dtype, _threads):
            job = kernel_implementations.aligned(work)
            variant, found = launches.launches(kernel, job, dtype, job.ctypes.data)
            built = kernel_implementations.build_ptx(variant, *options, change=change)
            for grid, parameters in found:
                run.run(built, parameters, grid, kernel_args.THREADS, run.ranges(kernel, job, dtype))

        monkeypatch.setattr(host, "library", lambda: library)
        monkeypatch.setattr(host, "launch", launch)

    return plant


@pytest.mark.slow
def test_flushed_subnormals_are_found(planted):
    """-ftz=true, which CuPy adds to what it compiles: bfloat16's smallest numbers become 0 where elements are cast."""
    frames = torch.arange(1, 128).to(torch.int16).view(torch.bfloat16).view(1, 1, -1)
    plan = Plan(np.zeros((1, 1, 2), np.int64), np.zeros((1, 1, 2)), np.full((1, 1, 2), 0.5, np.float32))
    planted()
    assert torch.equal(blend(frames, plan), frames)
    planted("-ftz=true")
    assert (blend(frames, plan) == 0).all()


@pytest.mark.slow
def test_the_order_of_a_fused_sum_is_found(planted):
    """Sums of products, of which the compiler may fuse either: words and elements then differ by a last place."""
    rng = np.random.default_rng(0)
    frames = torch.from_numpy(rng.normal(size=(2, 1, 4096)).astype(np.float32))
    moved = torch.empty(frames.numel() + 1)[1:].view_as(frames).copy_(frames)
    weight = np.array([[[0.3, 0.7]]], np.float32)
    plan = Plan(np.array([[[0, 1]]]), np.zeros((1, 1, 2)), weight)
    planted()
    assert torch.equal(blend(frames, plan), blend(moved, plan))
    planted(change=ORDER)
    assert int((blend(frames, plan) != blend(moved, plan)).sum()) > 100


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "found"),
    [(BOUND, "read outside"), (ALIGNMENT, "not on a multiple of its size")],
    ids=["bound", "alignment"],
)
def test_accesses_that_are_wrong_are_found(planted, change, found):
    bank = torch.randint(0, 256, (1, 1, 6, 8, 3), dtype=torch.uint8)
    planted()
    whole = render(bank, Plan.take(0, [0]), size=(6, 8), dtype=torch.bfloat16)
    planted(change=change)
    with pytest.raises(AssertionError, match=found):
        render(bank, Plan.take(0, [0]), size=(6, 8), dtype=torch.bfloat16)
    planted(change=UNWRITTEN)
    out = torch.full_like(whole, torch.nan)
    assert render(bank, Plan.take(0, [0]), size=(6, 8), dtype=torch.bfloat16, out=out)[..., -1, :].isnan().all()


def test_memory_of_a_job():
    """What may be read: the job, and the words of each source; written: the output."""
    bank, out = torch.zeros(2, 3, 5, 7, 3, dtype=torch.uint8), torch.zeros(1, 3, 1, 4, 4, dtype=torch.bfloat16)
    address = bank.data_ptr()
    steps = [(2, 315), (3, 105), (5, 21), (21, 1)]
    assert run.span(address, steps, 1) == (address, address + bank.numel())
    assert run.span(100, [(3, -8), (2, 4)], 4) == (84, 108)
    assert out.numel() == 48


@pytest.mark.parametrize(
    "line", ["atom.global.add.u32 %r1, [%rd1], %r2;", "add.rz.f32 %f1, %f2, %f3;", "cvt.rni.s32.f32 %r1, %f1;"]
)
def test_an_unknown_instruction_is_an_error(line):
    with pytest.raises(ValueError, match="is known"):
        translate.Translator(".visible .entry kernel(\n.param .u64 kernel_param_0\n)\n{\n" + line + "\nret;\n}")


def test_instructions_that_c_lacks(tmp_path):
    """Sums rounded down, bytes picked, bits shifted in, against Python's exact numbers."""
    compiler = kernel_implementations.require_compiler()
    (tmp_path / "try.cpp").write_text("""#include "machine.h"
#include <cstdio>
int main() {
    printf("%.9g %.9g %.9g\\n", add_down(-1e-30f, 1.f), add_down(2.5f, 8388608.f), add_down(1.f, 1.f));
    printf("%x %x %x\\n", prmt(0x33221100, 0x77665544, 0x7250), prmt(0x80, 0, 0x8888),
           funnel_right(0x11223344, 0x55667788, 8));
    printf("%x %x %x\\n", to_bf16(as_float(0x3f808000)), to_bf16(as_float(0x3f818000)), to_f16(65520.f));
    printf("%d %d %x\\n", to_s32(-1.5f), shifted_right<s32>(-8, 40), lop3(0xf0, 0xcc, 0xaa, 0xca));
}
""")
    assert shutil.which("c++")
    command = [compiler, "-std=c++17", f"-I{SUPPORT / 'ptx'}", str(tmp_path / "try.cpp"), "-o", str(tmp_path / "try")]
    subprocess.run(command, check=True)
    shown = subprocess.run([str(tmp_path / "try")], check=True, capture_output=True, text=True).stdout
    below = float(np.nextafter(np.float32(1), np.float32(0)))
    assert shown.splitlines() == [
        f"{below:.9g} 8388610 2", "77225500 ffffffff 88112233", "3f80 3f82 7c00", "-1 -1 ca",
    ]  # fmt: skip
