"""Sharing out windows of files to threads."""

from __future__ import annotations

from collections.abc import Sequence

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
