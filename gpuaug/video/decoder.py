"""Windows of video files to RGB frames on a device: the same frames from every backend."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from .backends import BackendName, Decoded, FrameRequest, open_backends
from .backends.pool import Pool
from .backends.pyav import learn_order
from .demux import Unusable, check_file, one_line
from .frame_index import FrameIndex, read_index
from .probe_cache import Cache
from .window import Failure, Window

KEPT_INDICES = 4096  # time tables of files kept in memory; one takes about 50 bytes a frame
KEPT_REASONS = 1000  # why a backend left files to the next one; some name sizes
_Job = tuple[list[int], FrameRequest]  # windows of one file: their numbers in the call, and what is wanted of them


class Decoder:
    """Decodes windows of video files, many at a time.

    Args:
        device: where frames are put.
        size: (height, width) of the frames; with fit "short" their short side, or that and the longest long one; None:
            each video's display size.
        backend: "pyav" (FFmpeg's decoders on the CPU), "dali" (NVIDIA's on the GPU; on the CPU VP8, VP9 and MJPEG
            only), "torchcodec" (NVIDIA's on the GPU; on the CPU the system's FFmpeg), or "auto": where the device is a
            GPU, DALI or else torchcodec, as far as installed, where they give the frames, else PyAV, file by file;
            the next one, too, where one failed. `fallbacks` counts why.
        threads: files decoded at the same time; None: one for each core.
        fit: "stretch": exactly `size`. "inside": as large as fits into `size` in the display aspect, and no larger
            than the video, so that sizes differ. "short": in the display aspect, wide or tall, with a short side of
            `size` and a long one of at most four times that, if `size` does not say; no larger than the video either.
        timeout_seconds: after which DALI is given up with a message.
        cache: `probe`'s file, in which files' time tables are found, and those that are not there are kept: a file is
            then read as a whole once, by whichever process. None: the user's; False: none.

    Frames are the display picture: pixel aspect and rotation applied, RGB by the matrix and range the file names
    (BT.601 if it names none), scaled by a triangle filter as wide as the reduction. Memory: the frames asked for, and
    one decoder and one file for each thread.

    A frame in which the decoder found an error, or which depends on one, is handed on as ffmpeg shows it, the same
    wherever decoding began; `damaged_frames` counts them.

    One thread at a time may call it. It may be used before a process forks, in which case the child makes threads of
    its own, and sent to a spawned one, which makes another of the same arguments.
    """

    Backend: TypeAlias = BackendName  # for programs that offer the choice

    def __init__(
        self,
        device: str | torch.device = "cpu",
        size: tuple[int, int] | int | None = None,
        *,
        backend: BackendName = "auto",
        threads: int | None = None,
        fit: Literal["stretch", "inside", "short"] = "stretch",
        timeout_seconds: float = 120.0,
        cache: str | os.PathLike[str] | Literal[False] | None = False,
    ) -> None:
        if fit not in ("stretch", "inside", "short"):
            raise ValueError(f'fit must be "stretch", "inside" or "short", got fit={fit!r}')
        if fit == "short":
            sides = (size, size) if isinstance(size, int | np.integer) else size
            if sides is not None and not (len(sides) == 2 and 1 <= sides[0] <= sides[1]):
                rule = 'an integer >= 1, a short and a long side, or None, where fit="short"'
                raise ValueError(f"size must be {rule}, got size={size}")
        elif size is not None and (isinstance(size, int | np.integer) or len(size) != 2 or min(size) < 1):
            raise ValueError(f"size must be (height, width), both >= 1, or None, got size={size}")
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be >= 1, got threads={threads}")
        if not timeout_seconds > 0:
            raise ValueError(f"timeout_seconds must be > 0, got timeout_seconds={timeout_seconds}")
        self.device = torch.device(device)
        self.size, self.fit = size, fit
        self.threads = threads or usable_cores()
        self._backends = open_backends(backend, self.device, self.threads, timeout_seconds)
        self._pool = Pool(self.threads, "gpuaug-index")
        self._indices: OrderedDict[str, tuple[int, int, FrameIndex]] = OrderedDict()
        self._lock, self._process = threading.Lock(), os.getpid()
        self._arguments = {
            "device": self.device,
            "size": size,
            "backend": backend,
            "threads": threads,
            "fit": fit,
            "timeout_seconds": timeout_seconds,
            "cache": cache,
        }
        self._tables = Cache(cache)
        self._damaged: dict[str, set[int]] = {}
        self._fallbacks: dict[str, set[str]] = {}

    @property
    def damaged_frames(self) -> dict[str, int]:
        """{file: how many of its frames were handed on although they are damaged}; files without any are not in it."""
        return {path: len(positions) for path, positions in self._damaged.items()}

    @property
    def fallbacks(self) -> dict[str, int]:
        """{reason: how many files a backend left to the next one for it}, at most 1000 reasons.

        Empty where one backend was asked for by name: what that refuses is a failure.
        """
        return {reason: len(paths) for reason, paths in self._fallbacks.items()}

    def decode(
        self, windows: Sequence[Window], frames_needed: Sequence[NDArray[np.int64]] | None = None
    ) -> tuple[list[torch.Tensor | None], list[Failure]]:
        """(frames, failures): for each window uint8 RGB (T,h,w,3) on the device, or None where there is a failure.

        `frames_needed`: for each window the numbers (T,) of its frames to decode, in [0, frames − 1]; None: all.
        Windows of one file are decoded together: it is opened once, and a frame that several windows show is decoded
        once. No file raises: what is wrong with it is in its failures. On a GPU, frames are ready for the current
        stream.
        """
        results: list[torch.Tensor | str] = [""] * len(windows)
        backends = list(self._backends.values())
        running: list[list[tuple[list[_Job], Iterable[Decoded]]]] = [[] for _ in backends]

        def start(jobs: list[_Job], first: int) -> None:
            """Hand each job to the next backend, from number `first` on, that does not refuse it."""
            for backend, batches in zip(backends[first:], running[first:]):
                taken, left = list[_Job](), list[_Job]()
                for group, request in jobs:
                    reason = backend.refuses(request.index)
                    (left if reason else taken).append((group, request))
                    if reason and backend is not backends[-1]:
                        self._left(request, reason)
                    for i in group:
                        results[i] = results[i] or reason
                if taken:
                    batches.append((taken, backend.decode([request for _, request in taken])))
                jobs = left

        start(self._jobs(windows, frames_needed, results), 0)
        for k, batches in enumerate(running):
            failed: list[_Job] = []
            for jobs, answers in batches:
                for decoded, (group, request) in zip(answers, jobs):  # in this order, so that answers are used up
                    for i, frames in zip(group, decoded):
                        results[i] = frames
                    if lost := [place for place, frames in enumerate(decoded) if isinstance(frames, str)]:
                        failed.append(([group[place] for place in lost], request.part(lost)))
                        if k + 1 < len(backends):
                            self._left(request, str(decoded[lost[0]]))
            start(failed, k + 1)
            for jobs, _ in batches:
                for _, request in jobs:
                    if request.damaged:
                        self._damaged.setdefault(request.index.path, set()).update(request.damaged)
        failures = [Failure(i, os.fspath(windows[i].path), r) for i, r in enumerate(results) if isinstance(r, str)]
        return [None if isinstance(r, str) else r for r in results], failures

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the frames of a video whose display size is this."""
        if self.size is None:
            return height, width
        limits = (self.size, 4 * self.size) if isinstance(self.size, int | np.integer) else self.size
        if self.fit == "stretch":
            return limits
        if self.fit == "short" and height > width:
            limits = limits[::-1]
        scale = min(limits[0] / height, limits[1] / width, 1.0)
        return max(1, round(height * scale)), max(1, round(width * scale))

    def close(self) -> None:
        """Wait for running work, and let go of threads and backends."""
        self._pool.shutdown()
        self._tables.close()
        for backend in self._backends.values():
            backend.close()

    def __reduce__(self) -> tuple[object, ...]:
        return _another, (type(self), self._arguments)

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _jobs(
        self,
        windows: Sequence[Window],
        frames_needed: Sequence[NDArray[np.int64]] | None,
        results: list[torch.Tensor | str],
    ) -> list[_Job]:
        """The work, file by file; windows that cannot be decoded get their reason in `results` instead."""
        if self._process != os.getpid():  # forked: nobody there can let go of a lock that was held
            self._lock, self._process = threading.Lock(), os.getpid()
        paths = [os.fspath(w.path) for w in windows]
        indices = dict(zip(dict.fromkeys(paths), self._pool.map(self._index, dict.fromkeys(paths))))
        jobs: dict[str, _Job] = {}
        for i, (path, window) in enumerate(zip(paths, windows)):
            index = indices[path]
            if isinstance(index, str):
                results[i] = index
                continue
            try:
                positions_T = index.frames_at(window.start_seconds, window.fps, window.frames, window.edge)
            except Unusable as error:
                results[i] = str(error)
                continue
            if path not in jobs:
                jobs[path] = [], FrameRequest(index, [], *self.output_size(index.height, index.width))
            group, request = jobs[path]
            group.append(i)
            request.positions.append(positions_T if frames_needed is None else positions_T[frames_needed[i]])
        return list(jobs.values())

    def _left(self, request: FrameRequest, reason: str) -> None:
        """Count a file that a backend left to the next one."""
        if len(self._fallbacks) < KEPT_REASONS or reason in self._fallbacks:
            self._fallbacks.setdefault(reason, set()).add(request.index.path)

    def _index(self, path: str) -> FrameIndex | str:
        """The file's time table, or why it has none; kept until the file changes."""
        try:
            status = check_file(path)
            with self._lock:
                if path in self._indices and self._indices[path][:2] == (status.st_size, status.st_mtime_ns):
                    self._indices.move_to_end(path)
                    return self._indices[path][2]
            known = FrameIndex.restored(path, self._tables.table(path, status))
            index = known or read_index(path)
            if index.display_order_unknown:
                index = learn_order(index)  # which is FFmpeg's, whoever decodes
            if index is not known and (table := index.saved()):
                self._tables.keep_table(path, status, table)
            with self._lock:
                self._indices[path] = status.st_size, status.st_mtime_ns, index
                while len(self._indices) > KEPT_INDICES:
                    self._indices.popitem(last=False)
            return index
        except Exception as error:  # whatever a file brings about is that file's failure only
            return one_line(error)


def _another(kind: type[Decoder], arguments: dict[str, Any]) -> Decoder:
    return kind(**arguments)


def usable_cores() -> int:
    """Of the machine's cores, those that this process may use: a job of a cluster has a few of many."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
