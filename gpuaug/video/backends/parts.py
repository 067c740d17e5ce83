"""Sharing out windows to threads, frames to key frames, and memory for what comes out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ...kernels import host_allocator
from ..frame_index import FrameIndex
from . import FrameRequest

Part = tuple[int, list[int]]  # number of a request, and of some of its windows


def split(requests: Sequence[FrameRequest], threads: int) -> list[Part]:
    """Where there are fewer files than threads, those with most windows are halved, by time."""
    parts = [(number, list(range(len(request.positions)))) for number, request in enumerate(requests)]
    while 0 < len(parts) < threads and len((most := max(parts, key=lambda part: len(part[1])))[1]) > 1:
        parts.remove(most)
        number, windows = most
        order = sorted(windows, key=lambda k: int(requests[number].positions[k][0]))
        parts += [(number, order[: len(order) // 2]), (number, order[len(order) // 2 :])]
    return parts


def stretches_of(index: FrameIndex, wanted: NDArray[np.int64]) -> list[tuple[int, list[int]]]:
    """(key frame to start from, positions) such that no start skips fewer packets than it costs."""
    found: list[tuple[int, list[int]]] = []
    reached = -1  # number of the last packet that must be decoded for what was wanted so far
    key_T = np.searchsorted(index.first_decodable_K, wanted, side="right") - 1
    for i, key, packet in zip(wanted.tolist(), key_T.tolist(), index.packet_N[wanted].tolist()):
        while key > 0 and index.key_packet_K[key] > packet:
            key -= 1
        if not found or index.key_packet_K[key] > reached:
            found.append((max(key, 0), []))
        found[-1][1].append(i)
        reached = max(reached, packet)
    return found


def room(shape: tuple[int, ...], pinned: bool) -> torch.Tensor:
    """An uninitialised uint8 tensor on the CPU."""
    if pinned:
        return torch.empty(shape, dtype=torch.uint8, pin_memory=True, device="cpu")
    if math.prod(shape) >= host_allocator.SMALLEST:
        return host_allocator.new(shape, torch.uint8)
    return torch.from_numpy(np.empty(shape, np.uint8))  # in large pages: the first write takes a quarter of the time
