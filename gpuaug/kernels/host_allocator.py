"""Memory of large results on the CPU: what a dropped one leaves serves the next of its size.

The C library returns a large block to the system and asks for it again each time, and each page of it then costs a
fault: of a batch's 300 MB more than rendering it. So blocks are kept here, as torch keeps those of a GPU.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import host

SMALLEST = 1 << 25  # bytes; what is smaller the C library keeps by itself (glibc's largest threshold)
LIMIT = 1 << 30  # bytes that are kept, unless set_limit says otherwise

_lock = threading.Lock()  # nobody waits for it: whoever does not get it takes, or leaves, memory of the system
_limit = LIMIT
_idle: dict[int, Tensor] = {}  # by address, the longest idle first


def set_limit(limit: int) -> None:
    """Keep at most `limit` bytes of dropped results for new ones (default: 2³⁰); 0 gives everything back at once.

    What is kept is memory that nobody uses; results that are in use do not count.

    >>> set_limit(0)
    >>> set_limit(LIMIT)
    """
    global _limit
    if limit < 0:
        raise ValueError(f"limit must be ≥ 0 bytes, got limit={limit}")
    with _lock:
        _limit = limit
        _trim(limit)


def new(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor on the CPU, of at least 32 MiB perhaps where an earlier one was."""
    size = math.prod(shape) * dtype.itemsize
    if size < SMALLEST:
        return torch.empty(shape, dtype=dtype, device="cpu")
    bytes_ = np.asarray(_Lease(_take(size)))  # the array, and every tensor or view made from it, keeps the lease
    return torch.from_numpy(bytes_).view(dtype).view(shape)


class _Lease:
    """A block in use, as NumPy's array interface; whoever drops the last array of it gives the block back."""

    __slots__ = ("__array_interface__", "block")

    def __init__(self, block: Tensor) -> None:
        self.block = block
        self.__array_interface__: dict[str, Any] = {
            "data": (block.data_ptr(), False),
            "shape": (block.numel(),),
            "typestr": "|u1",
            "version": 3,
        }

    def __del__(self) -> None:
        if _lock is not None and _lock.acquire(blocking=False):  # None: the interpreter ends
            try:
                size = self.block.numel()
                if size <= _limit:
                    _trim(_limit - size)
                    _idle[self.block.data_ptr()] = self.block
            finally:
                _lock.release()


def _take(size: int) -> Tensor:
    """uint8 (size,): a block that is idle, else a new one, in huge pages where the system has them."""
    if _lock.acquire(blocking=False):
        try:
            for address, block in _idle.items():
                if block.numel() == size:
                    return _idle.pop(address)
        finally:
            _lock.release()
    block = torch.empty(size, dtype=torch.uint8, device="cpu")
    if library := host.library():
        library.gpuaug_new_memory(block.data_ptr(), size)
    return block


def _trim(limit: int) -> None:
    """Give idle blocks back until no more than `limit` bytes are idle. The lock is held."""
    kept = sum(block.numel() for block in _idle.values())
    for address in list(_idle):
        if kept <= limit:
            return
        kept -= _idle.pop(address).numel()
