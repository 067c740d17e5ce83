"""How jobs become launches: threads divided into rows and columns, grids beyond their limit, what is flagged."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpuaug import Plan, arguments, render
from gpuaug.arrays import view
from gpuaug.kernels import host, kernel_args, launches
from support import kernel_implementations


def job(bank, out, *, layout="NCTHW", n=2, t=3):
    plan = Plan.take(np.arange(n) % len(bank), np.arange(t)[None] % bank.shape[1])
    views = [view(bank)]
    shown = arguments.shown(plan, kernel_args.lengths(views))
    height, width = bank.shape[2:4]
    box = np.array([0.0, 0.0, height, width]).reshape(1, 1, 1, 4)
    matrix = arguments.matrix(None, [0.0] * 3, [1.0] * 3, n, 1.0)
    return kernel_args.render(shown, views, view(out), layout=layout, box_NTK4=box, matrix=matrix)


def flags(bank, out, dtype="bfloat16"):
    """(words, pairs) of a launch."""
    _, (launch,) = launches.launches("render", job(bank, out), dtype, 0)
    values = dict(zip(launches.RENDER_LAUNCH, launch.parameters.view(np.int64).tolist()))
    return values["words"], values["pairs"]


@given(columns=st.integers(1, 1 << 20), thread=st.integers(0, 2**31 - 1), near=st.integers(-1, 1))
def test_threads_are_divided_without_a_division(columns, thread, near):
    rows, nearest = [[0] * 6], max(0, thread // columns * columns + near)
    field = {"x": 2 * columns, "y": 4, "c": 3, "out": 0, "clip_stride": 0}
    field |= {f"out_{name}": 0 for name in "ntycx"}
    found, _ = launches._render_threads(field, rows, 0, 2)
    assert found["columns"] == max(2, columns)
    assert found["multiplier"] < 2**32
    for each in {thread, nearest}:
        assert each * found["multiplier"] >> 32 >> found["shift"] == each // found["columns"]


@pytest.mark.parametrize("most", [1, 2])
def test_grids_beyond_their_limit_take_more_launches(monkeypatch, most):
    """T and N are 65535 at most in a grid."""
    bank = torch.randint(0, 256, (3, 4, 20, 24, 3), dtype=torch.uint8)
    plan = Plan.take([0, 2, 1, 0, 1], [[3, 1, 0]])
    expected = render(bank, plan, size=(10, 14))
    library, counts = kernel_implementations.compiled(), []

    def launch(_library, kernel, work, dtype, _threads):
        work = kernel_implementations.aligned(work)
        variant, found = launches.launches(kernel, work, dtype, work.ctypes.data, most)
        counts.append(len(found))
        for grid, parameters in found:
            assert max(grid[1:]) <= most
            emulated = kernel_implementations.build_emulated(variant)
            emulated.run(ctypes.c_void_p(parameters.ctypes.data), (ctypes.c_uint * 3)(*grid))

    monkeypatch.setattr(host, "library", lambda: library)
    monkeypatch.setattr(host, "launch", launch)
    kernel_implementations.require_compiler()
    out = torch.full((5, 3, 3, 10, 14), torch.nan)
    torch.testing.assert_close(render(bank, plan, size=(10, 14), out=out), expected, rtol=0, atol=1e-5)
    assert counts == [15 if most == 1 else 6]


def test_too_many_taps_are_refused(monkeypatch):
    bank, out = torch.zeros(1, 4, 8, 8, 3, dtype=torch.uint8), torch.zeros(2, 3, 3, 8, 8, dtype=torch.bfloat16)
    work = job(bank, out)
    header = work[: 8 * len(kernel_args.RENDER)].view(np.int64)
    header[kernel_args.RENDER.index("n")] = 2**31 // 3 + 1
    with pytest.raises(ValueError, match="a plan must be below 2³¹ taps"):
        launches.launches("render", work, "bfloat16", 0)


def test_what_rows_of_words_are():
    """Rows on multiples of 4 bytes, each in its own memory, of two pixels at least."""
    out = torch.zeros(2, 3, 3, 8, 8, dtype=torch.bfloat16)
    wide = torch.zeros(3, 4, 10, 16, 3, dtype=torch.uint8)
    assert flags(wide, out)[0] == 1
    assert flags(wide[:, :, :, :13], out)[0] == 1  # the pitch counts, not the width
    assert flags(wide[:, :, :, 4:13], out)[0] == 1
    assert flags(wide[:, :, :, 1:], out)[0] == 0  # begins at byte 3
    assert flags(wide[:, :, :, :1], out)[0] == 0
    assert flags(torch.zeros(3, 4, 10, 15, 3, dtype=torch.uint8), out)[0] == 0
    assert flags(wide[:, :, :1].expand(-1, -1, 10, -1, -1), out)[0] == 0  # every row is the same memory
    assert flags(wide[:, :, :1], out)[0] == 1


def test_what_pairs_are():
    bank = torch.zeros(3, 4, 10, 16, 3, dtype=torch.uint8)
    around = torch.zeros(2, 3, 3, 9, 11, dtype=torch.bfloat16)
    assert flags(bank, torch.zeros(2, 3, 3, 8, 8, dtype=torch.bfloat16))[1] == 1
    assert flags(bank, torch.zeros(2, 3, 3, 8, 7, dtype=torch.bfloat16))[1] == 0
    assert flags(bank, around[..., :8, :8])[1] == 0  # rows of 11
    assert flags(bank, torch.zeros(2, 3, 3, 9, 12, dtype=torch.bfloat16)[..., :8, 2:10])[1] == 1
    assert flags(bank, torch.zeros(2, 3, 3, 9, 12, dtype=torch.bfloat16)[..., :8, 1:9])[1] == 0
