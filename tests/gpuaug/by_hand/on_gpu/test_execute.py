"""What is handed to a GPU's kernels, told by a tensor of the CPU that says otherwise and a module that writes down."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import torch

import gpuaug.kernels
from gpuaug import Plan, arrays, blend, edits, execute, render
from gpuaug.kernels import host, kernel_args


class OnGpu(torch.Tensor):
    is_cuda = True


def on_gpu(*shape, dtype=torch.float32):
    return torch.zeros(*shape, dtype=dtype).as_subclass(OnGpu)


@pytest.fixture
def cuda(monkeypatch):
    """In place of gpuaug.kernels.cuda; there are no kernels for the CPU."""
    calls = []
    module = types.ModuleType("cuda")
    module.launch = lambda *what: calls.append(("launch", *what))
    module.hold = lambda *what: calls.append(("hold", *what))
    module.calls = calls
    monkeypatch.setitem(sys.modules, "gpuaug.kernels.cuda", module)
    monkeypatch.setattr(gpuaug.kernels, "cuda", module, raising=False)
    monkeypatch.setattr(host, "library", lambda: None)
    return module


def test_a_blend_of_the_gpu_is_its_kernels(cuda):
    views, out = [arrays.view(on_gpu(2, 4, 5))], on_gpu(1, 3, 5)
    shown = execute.arguments.shown(Plan.take(1, [0, 3, 1]), np.array([4, 4]))
    execute.blend_into(views, shown, out)
    ((what, kernel, work, device, dtype),) = cuda.calls
    assert (what, kernel, device, dtype) == ("launch", "blend", out.device, "float32")
    np.testing.assert_array_equal(work, kernel_args.blend(shown, views, arrays.view(out)))


def test_an_edit_of_the_gpu_is_a_blend(cuda):
    """Also of arrays that lie densely, which the CPU mixes without taps."""
    views, out = [arrays.view(on_gpu(1, 4, 5)), arrays.view(on_gpu(1, 4, 5))], on_gpu(1, 4, 5, dtype=torch.float16)
    execute.mix_into(views, edits.RULES["crossfade"]((4, 4), 1, length=4, center=2, overlap=2), out)
    ((_, kernel, _, _, dtype),) = cuda.calls
    assert (kernel, dtype) == ("blend", "float16")


@pytest.mark.parametrize(("layered", "kernel"), [(False, "render"), (True, "compose")])
def test_a_render_of_the_gpu(cuda, layered, kernel):
    plan, out = Plan.take(0, [1, 0]), on_gpu(1, 2, 4, 4, 3, dtype=torch.bfloat16)
    plan = gpuaug.plan.over(plan) if layered else plan
    execute.render_into(
        [on_gpu(1, 2, 4, 4, 3, dtype=torch.uint8)], plan, None, None, [0] * 3, [1] * 3, "NTHWC", False, out
    )
    assert [(call[1], call[3], call[4]) for call in cuda.calls] == [(kernel, out.device, "bfloat16")]


def test_layers_of_the_gpu(cuda):
    plan, out = gpuaug.plan.over(Plan.take(0, [1, 0])), on_gpu(1, 2, 4, 4, 3)
    execute.layers_into([arrays.view(on_gpu(1, 2, 4, 4, 3))], plan, out)
    assert [call[1] for call in cuda.calls] == ["compose"]


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("gpu", [False, True])
def test_what_was_imported_stays_until_the_kernel_has_read_it(cuda, monkeypatch, copied, gpu):
    """DLPack's memory is its owner's, who does not know of our stream; arrays of torch are not held."""
    array, out = torch.ones(2, 4, 5), on_gpu(2, 3, 5) if gpu else torch.ones(2, 3, 5)
    inside = array[:] if copied else array
    given = execute._Given({"clip": inside}, 1, [arrays.view(inside)], torch.float32, out.device)
    monkeypatch.setattr(execute, "new", lambda device, shape, dtype: out)
    filled = []
    assert execute._made(given, {"clip": array}, 3, filled.append) is out
    assert filled == [out]
    assert [(what, device) for what, _, device in cuda.calls] == ([("hold", out.device)] if copied and gpu else [])
    assert all(held[0] is inside for _, held, _ in cuda.calls)


def test_without_cupy_the_cure_is_told(monkeypatch):
    monkeypatch.delattr(gpuaug.kernels, "cuda", raising=False)
    monkeypatch.setitem(sys.modules, "gpuaug.kernels.cuda", None)
    with pytest.raises(RuntimeError, match=r"^tensors on cuda:1 need CuPy \(pip install 'gpuaug\[cuda12\]' or "):
        execute._cuda(torch.device("cuda:1"))


@pytest.mark.parametrize("compiling", [False, True])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_memory_of_results(monkeypatch, compiling, device):
    """Kept memory is the CPU's alone, and none where torch.compile traces."""
    kept = torch.empty(2, 3)
    monkeypatch.setattr(execute.host_allocator, "new", lambda shape, dtype: kept)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    got = execute.new(torch.device(device), (2, 3), torch.float16)
    assert (got is kept) == (device == "cpu" and not compiling)
    if got is not kept:
        assert (got.shape, got.dtype, got.device.type) == ((2, 3), torch.float16, device)


def test_results_that_have_no_element_launch_nothing(cuda):
    empty = Plan(np.zeros((0, 3, 1), np.int64), np.zeros((0, 3, 1)), np.zeros((0, 3, 1), np.float32))
    bank = torch.zeros(1, 2, 4, 4, 3, dtype=torch.uint8)
    for plan in (empty, gpuaug.plan.over(empty)):
        assert blend(bank, plan, spatial_dims=(2, 3)).shape == (0, 3, 4, 4, 3)
        assert render(bank, plan, size=(2, 2)).shape == (0, 3, 3, 2, 2)
    assert cuda.calls == []
