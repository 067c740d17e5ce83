"""What stands between a job and a GPU, on a machine without one: compiling, keeping, launching, holding."""

from __future__ import annotations

import importlib
import warnings
import weakref
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gpuaug import Plan, arguments
from gpuaug.arrays import view
from gpuaug.kernels import kernel_args
from gpuaug.kernels.launches import BLEND_LAUNCH, Variant

cuda = pytest.importorskip("gpuaug.kernels.cuda", reason="needs CuPy", exc_type=ImportError)
BLEND = Variant("blend", "uint8", 1, 1, 0, 1)
GPU = torch.device("cuda", 0)


@pytest.fixture
def device(monkeypatch):
    """A GPU that only writes down what it is told."""
    calls: list[SimpleNamespace] = []
    with torch.device("cpu"):  # the first of a process keeps what torch.empty is, for every later one
        empty, to = torch.empty, torch.Tensor.to

    def function(index, variant):
        def run(grid, block, arguments, *, stream):
            calls.append(SimpleNamespace(variant=variant, grid=grid, arguments=arguments, stream=stream.ptr))

        return run

    def on_the_host(self, *where, non_blocking=False, **options):
        return self.clone() if where == (GPU,) else to(self, *where, **options)

    monkeypatch.setattr(torch.cuda, "device", lambda index: nullcontext())
    monkeypatch.setattr(cuda.cupy.cuda, "Device", lambda index: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda index: SimpleNamespace(cuda_stream=4321))
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setattr(torch, "empty", lambda *size, pin_memory=False, **options: empty(*size, **options))
    monkeypatch.setattr(torch.Tensor, "to", on_the_host)
    monkeypatch.setattr(cuda, "_function", function)
    return calls


def job() -> np.ndarray:
    frames = torch.zeros(1, 2, 8, dtype=torch.uint8, device="cpu")
    plan = arguments.shown(Plan.take(0, [0, 1]), np.array([2]))
    return kernel_args.blend(plan, [view(frames)], view(torch.zeros(1, 2, 8, dtype=torch.uint8, device="cpu")))


def test_a_launch_follows_torchs_stream_without_a_warning(device):
    """CuPy deprecates classes of its own; a warning in every launch would be an error in every test on a GPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cuda.launch("blend", job(), GPU, "uint8")
    (call,) = device
    assert (call.variant, call.grid, call.stream) == (BLEND, (1, 2, 1), 4321)
    (by_value,) = call.arguments
    assert by_value.size == 1  # CuPy takes it by value
    assert by_value.nbytes == 8 * len(BLEND_LAUNCH)


def test_a_launch_while_a_graph_is_captured_is_refused(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    with pytest.raises(RuntimeError, match="blend cannot be captured into a CUDA graph"):
        cuda.launch("blend", job(), GPU, "uint8")
    assert not device


def test_a_launch_does_not_depend_on_the_default_device(device):
    """Where tensors are made on a GPU unless said otherwise, page-locked memory still is the host's."""
    work = job()
    with torch.device("meta"):
        cuda.launch("blend", work, GPU, "uint8")
    assert len(device) == 1


def test_operators_stay_out_of_cuda_graphs():
    importlib.import_module("gpuaug.compile")
    for name in ("blend", "render", "edit"):
        assert torch.Tag.cudagraph_unsafe in getattr(torch.ops.gpuaug, name).default.tags


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """The options of every compilation, whose results are kept in a folder of this test."""
    seen: list[tuple[str, ...]] = []
    compile_ = cuda.nvrtc.compileProgram
    monkeypatch.setattr(cuda.nvrtc, "compileProgram", lambda program, how: (seen.append(how), compile_(program, how)))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return seen


def test_what_is_tested_is_what_runs(compiled):
    """One set of options for tests, doctor and the device; none that makes subnormal numbers 0."""
    assert cuda.kept_code(BLEND, "sm_90") == cuda.machine_code(BLEND, "sm_90")
    assert compiled[0] == compiled[1]
    assert not any("ftz" in option or "fast" in option for option in compiled[0])


@pytest.mark.slow
def test_compiled_code_is_kept_and_checked(compiled, tmp_path):
    code = cuda.kept_code(BLEND, "sm_90")
    (file,) = (tmp_path / "gpuaug" / "kernels").iterdir()
    assert cuda.kept_code(BLEND, "sm_90") == code
    assert len(compiled) == 1
    for damaged in (file.read_bytes()[:-100], b"", b"\0" * 1000):
        file.write_bytes(damaged)
        assert cuda.kept_code(BLEND, "sm_90") == code
    assert len(compiled) == 4
    assert cuda.kept_code(BLEND, "sm_80") != code  # a file per architecture
    assert len(list((tmp_path / "gpuaug" / "kernels").iterdir())) == 2


def test_without_a_folder_to_keep_it_code_is_compiled_with_a_warning(compiled, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="compiled GPU kernels cannot be kept"):
        assert cuda.kept_code(BLEND, "sm_90")[:4] == b"\x7fELF"


def test_machine_code_is_whole(compiled):
    """The ELF header says where its tables end; CuPy's answer lacks the last byte."""
    code = cuda.machine_code(BLEND, "sm_90")
    table, entry, count = (int.from_bytes(code[at : at + n], "little") for at, n in ((40, 8), (58, 2), (60, 2)))
    program, size, programs = (int.from_bytes(code[at : at + n], "little") for at, n in ((32, 8), (54, 2), (56, 2)))
    assert len(code) == max(table + entry * count, program + size * programs)


def test_devices_without_machine_code_of_their_own():
    known = [int(arch) for arch in cuda.nvrtc.getSupportedArchs()]
    assert cuda.architecture((9, 0)) == "sm_90"
    assert cuda.architecture((99, 0)) == f"compute_{max(known)}"  # PTX, which the driver compiles
    with pytest.raises(RuntimeError, match=r"compiles for sm_\d+ and newer, got a device of sm_30"):
        cuda.architecture((3, 0))


def test_memory_of_other_libraries_lives_until_its_reader_is_done(monkeypatch):
    done = {"first": False, "second": False}
    names = iter(done)

    def record_event():
        name = next(names)
        return SimpleNamespace(query=lambda: done[name])

    monkeypatch.setattr(torch.cuda, "current_stream", lambda index: SimpleNamespace(record_event=record_event))
    monkeypatch.setattr(cuda, "_held", [])
    first, second = np.zeros(3), np.zeros(3)
    alive = weakref.ref(first)
    cuda.hold([first], GPU)
    del first
    assert alive() is not None
    done["first"] = True
    cuda.hold([second], GPU)
    assert alive() is None
