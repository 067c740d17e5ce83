"""Dropped results serve new ones: only when nothing of them is left, only as many bytes as allowed, never waiting."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import gpuaug
from gpuaug.kernels import host_allocator
from support import kernel_implementations

SIZE = host_allocator.SMALLEST
on_cpu = kernel_implementations.on("reference", "host")


@pytest.fixture(autouse=True)
def nothing_kept(on_cpu):
    host_allocator.set_limit(0)
    host_allocator.set_limit(4 * SIZE)
    yield
    host_allocator.set_limit(0)
    host_allocator.set_limit(host_allocator.LIMIT)


def new(count=SIZE, dtype=torch.uint8):
    return host_allocator.new((count // dtype.itemsize,), dtype)


def kept():
    return sum(block.numel() for block in host_allocator._idle.values())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32])
def test_a_dropped_result_serves_the_next_of_its_size(dtype):
    first = new(dtype=dtype)
    assert first.dtype == dtype
    assert first.is_contiguous()
    address = first.data_ptr()
    del first
    assert kept() == SIZE
    assert new(2 * SIZE).data_ptr() != address
    assert new(dtype=dtype).data_ptr() == address


@pytest.mark.parametrize(
    "part", [lambda t: t[5:6], lambda t: t.numpy()[::2], lambda t: t.view(-1, 2).T, lambda t: memoryview(t.numpy())]
)
def test_what_is_in_use_is_left_alone(part):
    whole = new()
    address = whole.data_ptr()
    piece = part(whole)
    del whole
    assert kept() == 0
    other = new()
    assert other.data_ptr() != address
    del piece
    assert new().data_ptr() == address


def test_results_of_the_library_are_reused_and_right():
    """Two results in turn in the same memory, and one that is kept meanwhile."""
    clip = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 3, SIZE // 8), dtype=np.uint8))
    plan = gpuaug.Plan.take(range(4), [[0, 2]])
    held = gpuaug.take(clip, [1, 1])
    addresses = set()
    for make in (lambda: gpuaug.take(clip, [0, 2]), lambda: gpuaug.blend(clip, plan)):
        result = make()
        addresses.add(result.data_ptr())
        assert torch.equal(result, clip[:, [0, 2]])
        del result
    array = gpuaug.take(clip.numpy(), [0, 2])
    addresses.add(array.ctypes.data)
    assert np.array_equal(array, clip[:, [0, 2]].numpy())
    assert len(addresses) == 1
    assert torch.equal(held, clip[:, [1, 1]])


def test_no_more_is_kept_than_allowed():
    """The longest idle block goes first; one that is larger than the limit is not kept at all."""
    results = [new() for _ in range(6)]
    addresses = [result.data_ptr() for result in results]
    while results:
        del results[0]
        assert kept() <= 4 * SIZE
    assert list(host_allocator._idle) == addresses[2:]
    del results
    large = new(5 * SIZE)
    del large
    assert list(host_allocator._idle) == addresses[2:]
    host_allocator.set_limit(SIZE)
    assert list(host_allocator._idle) == addresses[5:]
    host_allocator.set_limit(0)
    assert kept() == 0
    new()
    assert kept() == 0


def test_a_limit_below_zero_is_refused():
    with pytest.raises(ValueError, match="limit must be ≥ 0 bytes, got limit=-1"):
        host_allocator.set_limit(-1)


def test_nobody_waits_for_the_lock():
    """As in a child forked while another thread held it, or where the garbage collector drops a result meanwhile."""
    result = new()
    with host_allocator._lock:
        del result
        result = new()
    assert kept() == 0
    del result
    assert kept() == SIZE


def test_small_results_are_torchs_own():
    result = host_allocator.new((SIZE - 1,), torch.uint8)
    result.resize_(3)
    del result
    assert kept() == 0


def test_tracing_makes_ordinary_tensors():
    """Inside torch.compile the operators find their memory themselves."""
    clip = torch.zeros(2, 2, SIZE // 4, dtype=torch.uint8)
    fast = torch.compile(lambda c: gpuaug.take(c, [1, 0]), backend="eager", fullgraph=True)
    for _ in range(2):
        assert fast(clip).shape == clip.shape
    assert kept() == SIZE


def test_a_result_can_be_shared_with_other_processes():
    result = new().fill_(3)
    result.share_memory_()
    assert result.is_shared()
    assert bool((result == 3).all())


def test_threads_never_share_a_block():
    def work(mark):
        for _ in range(300):
            result = new()
            ends = result[:: SIZE - 1]
            ends.fill_(mark)
            if ends.tolist() != [mark, mark]:
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))
    assert SIZE <= kept() <= 4 * SIZE
