"""The backend of FFmpeg's decoders: a file, or a part of its windows, on each thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future

import torch

from ..demux import one_line
from ..frame_index import FrameIndex
from . import Decoded, FrameRequest
from .parts import Part, split
from .pool import Pool
from .pyav import decode_windows


class PyAV:
    """FFmpeg's decoders on the CPU, several files or parts of them at a time; takes every file.

    `timeout_seconds` is not used: a thread cannot be given up.
    """

    def __init__(self, device: torch.device, threads: int, timeout_seconds: float) -> None:
        self.device, self.threads, self.pinned = device, threads, device.type == "cuda"
        self._pool = Pool(threads, "gpuaug-decode")

    def refuses(self, index: FrameIndex) -> str:
        return ""

    def decode(self, requests: Sequence[FrameRequest]) -> Iterator[Decoded]:
        """As `Backend.decode`."""
        parts = split(requests, self.threads)
        running = [(part, self._pool.submit(_decode, requests[part[0]].part(part[1]), self.pinned)) for part in parts]
        return self._collect([len(request.positions) for request in requests], running)

    def close(self) -> None:
        self._pool.shutdown()

    def _collect(self, windows: list[int], running: list[tuple[Part, Future[Decoded]]]) -> Iterator[Decoded]:
        results: list[Decoded] = [[""] * count for count in windows]
        for (number, part), future in running:
            for k, frames in zip(part, future.result()):
                if not isinstance(frames, str):
                    frames = frames.to(self.device, non_blocking=self.pinned)
                results[number][k] = frames
        yield from results


def _decode(request: FrameRequest, pinned: bool) -> Decoded:
    try:
        size = request.height, request.width
        return decode_windows(request.index, request.positions, *size, pinned=pinned, damaged=request.damaged)
    except Exception as error:  # whatever a file brings about is that file's failure only
        return [one_line(error)] * len(request.positions)
