"""Decoding in the background: one thread that works through requests in their order.

Used by the supplies; imports video (windows, the decoder).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from numpy.typing import NDArray

from ..video.decoder import Decoder
from ..video.window import Failure, Window

CHUNK = 8  # windows per call of the decoder: few enough that the first ones arrive early


_Decoded = tuple[list[torch.Tensor | None], list[Failure], torch.cuda.Event | None]  # and after what they are there


class Request:
    """Windows on their way."""

    def __init__(self, call: Future[_Decoded], first: int, count: int, stream: torch.cuda.Stream | None) -> None:
        self._call, self._first, self._count, self._stream = call, first, count, stream

    @property
    def ready(self) -> bool:
        """Would `wait` return at once?"""
        return self._call.done()

    def wait(self) -> tuple[list[torch.Tensor | None], list[Failure]]:
        """Frames of each window, None for those that failed, and the failures, whose index counts from 0 here.

        On a GPU, frames are ready for the queue's `stream`.
        """
        frames, failures, event = self._call.result()
        if event is not None and self._stream is not None:
            self._stream.wait_event(event)
        mine = range(self._first, self._first + self._count)
        own = [Failure(f.index - self._first, f.path, f.reason) for f in failures if f.index in mine]
        return frames[self._first : self._first + self._count], own

    def cancel(self) -> None:
        """Not wanted any more."""
        self._call.cancel()


class DecodeQueue:
    """Requests are decoded one after the other; the caller's thread never decodes.

    Args:
        decoder: closed by `close`.
        stream: on a GPU, where frames are used: the bank's, which waits for renders of the slots that it writes.
            Decoding has one of its own, behind none of these, or it would wait for training. None on the CPU.

    Attributes:
        changed_files: file → what was seen of its change since its first window was decoded.
    """

    def __init__(self, decoder: Decoder, stream: torch.cuda.Stream | None = None) -> None:
        self._decoder, self._stream = decoder, stream
        self._own = torch.cuda.Stream(stream.device) if stream is not None else None
        self._seen: dict[str, tuple[int, int]] = {}  # path → its size and time of change, when it was first decoded
        self.changed_files: dict[str, str] = {}
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="gpuaug-decode")

    def request(self, visits: Sequence[Sequence[Window]]) -> list[Request]:
        """Ask for the windows of each visit; small visits share a call of the decoder."""
        requests = []
        step = max(1, CHUNK // max((len(windows) for windows in visits), default=1))
        for i in range(0, len(visits), step):
            part = visits[i : i + step]
            call = self._worker.submit(self._decode, [window for windows in part for window in windows])
            first = 0
            for windows in part:
                requests.append(Request(call, first, len(windows), self._stream))
                first += len(windows)
        return requests

    def request_frames(self, windows: list[Window], frames_needed: list[NDArray]) -> Request:
        """Ask for some frames of each window, by their number in it."""
        return Request(self._worker.submit(self._decode, windows, frames_needed), 0, len(windows), self._stream)

    @property
    def damaged_frames(self) -> dict[str, int]:
        """File → how many of its frames were handed on although they are damaged."""
        return self._decoder.damaged_frames

    @property
    def fallbacks(self) -> dict[str, int]:
        """Reason → how many files a backend left to the next one for it."""
        return self._decoder.fallbacks

    def close(self) -> None:
        """Stop decoding; waits for the windows being decoded right now."""
        self._worker.shutdown(cancel_futures=True)
        self._decoder.close()

    def _decode(self, windows: list[Window], frames_needed: list[NDArray] | None = None) -> _Decoded:
        for path in {window.path for window in windows}:
            self._watch(path)
        with torch.cuda.stream(self._own):  # nothing for None
            frames, failures = self._decoder.decode(windows, frames_needed)
        return frames, failures, None if self._own is None else self._own.record_event()

    def _watch(self, path: str) -> None:
        """Take note of a file that is not the one it was; windows of it that can be decoded are still shown."""
        try:
            status = os.stat(path)
        except OSError:
            return  # for which the decoder has a reason
        now = status.st_size, status.st_mtime_ns
        before = self._seen.setdefault(path, now)
        if before != now and path not in self.changed_files:
            sizes = f", from {before[0]:,} to {now[0]:,} bytes" if before[0] != now[0] else ""
            self.changed_files[path] = f"changed since it was first decoded{sizes}"
