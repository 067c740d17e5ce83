"""What a GPU's steady state must not do; devices; compiled kernels on disk. What can, runs on the CPU too."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch

import gpuaug
from pretrain.data.dataset import Segment
from support.tiny_training import Small

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


class Grey:
    """A decoder whose frames lie on the device already."""

    def __init__(self, device, size, **options):
        self.device, self.size = device, size

    def decode(self, windows, *_):
        shape = (*self.size, 3)
        return [torch.full((w.frames, *shape), 99, dtype=torch.uint8, device=self.device) for w in windows], []

    damaged_frames: dict[str, int] = {}  # noqa: RUF012
    fallbacks: dict[str, int] = {}  # noqa: RUF012

    def close(self):
        pass


@contextmanager
def steady(device):
    """On a GPU, waiting for the device is an error, and so is memory asked of it or of the driver."""
    if device == "cpu":
        yield
        return
    before = torch.cuda.memory_stats()["num_device_alloc"], pinned()
    try:
        torch.cuda.set_sync_debug_mode("error")  # inside the try: if it warns as an error, it is set all the same
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert (torch.cuda.memory_stats()["num_device_alloc"], pinned()) == before


def pinned():
    """Blocks of page-locked memory that torch has asked the driver for; 0 where torch does not count them."""
    return torch.cuda.host_memory_stats().get("num_host_alloc", 0) if hasattr(torch.cuda, "host_memory_stats") else 0


@pytest.mark.parametrize("device", DEVICES)
def test_a_training_step_neither_waits_nor_allocates(device, monkeypatch):
    """All windows in the bank; a step is a batch of the feed, forward, backward, clipping and update."""
    monkeypatch.setattr("gpuaug.supply.loader.Decoder", Grey)
    segments = [Segment(str(v), 0.0, 0.8, v % 3, v) for v in range(6)]

    def sample(rng, bank, n):
        slots = bank.draw(rng, n)[:n]
        return gpuaug.Plan.take(slots, np.arange(8.0), frames=bank.info["frames"]), {"label": bank.info["label"][slots]}

    model = torch.nn.Sequential(Small(), torch.nn.Linear(16, 3)).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    with gpuaug.Loader(
        segments,
        sample,
        reuse_max=32,
        batch=8,
        frames=8,
        fps=10.0,
        size=32,
        mean=(0.4,) * 3,
        std=(0.2,) * 3,
        device=device,
        slots=6,
    ) as feed:

        def step(number):
            batch = feed.batch(number)
            loss = torch.nn.functional.cross_entropy(model(batch.clips), batch.target["label"])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            return loss.detach()

        # The host may run ahead of the device by all the steps that are queued at once, and pins memory for each: once
        # it has run ahead as far, all of that memory is there.
        first = [step(number) for number in range(20)]
        if device == "cuda":
            torch.cuda.synchronize()
        assert feed.resident
        with steady(device):
            last = [step(number) for number in range(20, 30)]
    assert torch.isfinite(torch.stack(first + last)).all()


@pytest.mark.gpu
def test_waiting_and_allocating_are_noticed():
    """Negative controls of `steady`."""
    with pytest.raises(RuntimeError, match="synchroniz"), steady("cuda"):
        torch.ones(1, device="cuda").item()
    with pytest.raises(AssertionError), steady("cuda"):
        held = torch.empty(2 * torch.cuda.memory_reserved() + (1 << 26), dtype=torch.uint8, device="cuda")
    del held


@pytest.mark.parametrize("device", DEVICES)
def test_out_is_written_in_place(device):
    """The result is the tensor given, here a view; on a GPU nothing of its size is made beside it."""
    bank = torch.randint(0, 256, (3, 4, 64, 80, 3), dtype=torch.uint8, device=device)
    around = torch.empty(5, 3, 4, 64, 64, device=device)
    plan = gpuaug.Plan.take([0, 2, 1], np.arange(4))
    expected = gpuaug.render(bank, plan, size=(64, 64))
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    got = gpuaug.render(bank, plan, size=(64, 64), out=around[1:4])
    if device == "cuda":
        assert torch.cuda.max_memory_allocated() - before < expected.nbytes // 8
    assert got.data_ptr() == around[1].data_ptr()
    assert torch.equal(around[1:4], expected)


@pytest.mark.gpu
def test_every_device_serves_whichever_is_current():
    """All pairs of current device and device of the tensors; with one GPU that is one pair."""
    bank, plan = torch.randint(0, 256, (3, 4, 20, 30, 3), dtype=torch.uint8), gpuaug.Plan.take([0, 2], [[3, 1]])
    expected = gpuaug.render(bank, plan, size=(16, 24))
    for current, used in itertools.product(range(torch.cuda.device_count()), repeat=2):
        with torch.cuda.device(current):
            got = gpuaug.render(bank.to(f"cuda:{used}"), plan, size=(16, 24))
            assert torch.cuda.current_device() == current
        assert got.device.index == used
        torch.testing.assert_close(got.cpu(), expected, atol=1e-5, rtol=0)


@pytest.mark.gpu
def test_a_graph_is_not_captured_in_silence():
    """Captured, a replay would read a plan that is gone; torch.compile's graphs leave the operators out."""
    bank = torch.randint(0, 256, (3, 4, 20, 30, 3), dtype=torch.uint8, device="cuda")
    plan = gpuaug.Plan.take([0, 2], [[3, 1]])
    expected = gpuaug.render(bank, plan, size=(16, 24))  # compiled and allocated
    torch.cuda.synchronize()
    with pytest.raises(RuntimeError, match="render cannot be captured"), torch.cuda.graph(torch.cuda.CUDAGraph()):
        gpuaug.render(bank, plan, size=(16, 24))

    def step(bank):
        return gpuaug.render(bank + 0, plan, size=(16, 24)) * 2

    fast = torch.compile(step, mode="reduce-overhead")
    for _ in range(4):
        torch.testing.assert_close(fast(bank), expected * 2)


@pytest.mark.gpu
def test_a_dropped_array_of_another_library_is_read_before_it_is_reused():
    """CuPy hands a dropped array's memory out at once; what is queued on torch's stream reads it first."""
    cupy = pytest.importorskip("cupy")
    expected = np.arange(1 << 20, dtype=np.uint8).reshape(1, 16, -1)
    torch.cuda._sleep(50_000_000)
    array = cupy.asarray(expected)
    address = array.data.ptr
    shown = gpuaug.take(array, range(15, -1, -1))
    del array
    other = cupy.full(expected.shape, 77, np.uint8)
    assert other.data.ptr != address
    np.testing.assert_array_equal(shown.get(), expected[:, ::-1])


@pytest.mark.gpu
def test_kernels_are_compiled_once_and_kept_on_disk(tmp_path):
    """A second process finds the machine code of the first: one file for each variant, and no new one."""
    program = (
        "import torch, gpuaug; bank = torch.zeros(1, 2, 8, 8, 3, dtype=torch.uint8, device='cuda')\n"
        "for layout in ('NCTHW', 'NTHWC'):\n"
        "    for dtype in (torch.float32, torch.bfloat16):\n"
        "        gpuaug.render(bank, gpuaug.Plan.take(0, [0, 1]), size=(8, 8), dtype=dtype, layout=layout)\n"
        "torch.cuda.synchronize()"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    kept = []
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program], env=environment, check=True)
        kept.append({path.name: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()})
    assert len(kept[0]) == 4
    assert kept[1] == kept[0]
