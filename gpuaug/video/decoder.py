"""Windows of video files to RGB frames on a device: the same frames from every backend."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from .backends.pyav import decode_windows, learn_order
from .demux import Unusable, check_file, one_line
from .frame_index import FrameIndex, read_index
from .window import Failure, Window

KEPT_INDICES = 4096  # time tables of files kept in memory; one takes about 50 bytes a frame


class Decoder:
    """Decodes windows of video files, many at a time.

    Args:
        device: where frames are put.
        size: (height, width) of the frames; None: each video's display size.
        backend: "pyav" (FFmpeg's decoders on the CPU), "dali" (NVIDIA's on the GPU; on the CPU VP8, VP9 and MJPEG
            only), or "auto": DALI where the device is a GPU and it has the codec, else PyAV, file by file.
        threads: files decoded at the same time; None: one for each core.
        fit: "stretch": exactly `size`. "inside": as large as fits into `size` in the display aspect, and no larger
            than the video, so that sizes differ.
        timeout_seconds: after which DALI is given up with a message.

    Frames are the display picture: pixel aspect and rotation applied, RGB by the matrix and range the file names
    (BT.601 if it names none), scaled by a triangle filter as wide as the reduction. Memory: the frames asked for, and
    one decoder and one file for each thread.

    One thread at a time may call it.
    """

    def __init__(
        self,
        device: str | torch.device = "cpu",
        size: tuple[int, int] | None = None,
        *,
        backend: Literal["auto", "dali", "pyav"] = "auto",
        threads: int | None = None,
        fit: Literal["stretch", "inside"] = "stretch",
        timeout_seconds: float = 120.0,
    ) -> None:
        if size is not None and (len(size) != 2 or min(size) < 1):
            raise ValueError(f"size must be (height, width), both >= 1, or None, got size={size}")
        if backend not in ("auto", "dali", "pyav"):
            raise ValueError(f'backend must be "auto", "dali" or "pyav", got backend={backend!r}')
        if fit not in ("stretch", "inside"):
            raise ValueError(f'fit must be "stretch" or "inside", got fit={fit!r}')
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be >= 1, got threads={threads}")
        if not timeout_seconds > 0:
            raise ValueError(f"timeout_seconds must be > 0, got timeout_seconds={timeout_seconds}")
        self.device = torch.device(device)
        self.size, self.fit = size, fit
        self.threads = threads or _cores()
        self._pool = ThreadPoolExecutor(self.threads, "gpuaug-decode")
        self._indices: OrderedDict[str, tuple[int, int, FrameIndex]] = OrderedDict()
        self._lock = threading.Lock()
        self._dali: Any = None
        if backend == "dali" or (backend == "auto" and self.device.type == "cuda"):
            self._dali = _dali_backend(self.device, self.threads, timeout_seconds, required=backend == "dali")
        self.backend = backend

    def decode(
        self, windows: Sequence[Window], frames_needed: Sequence[NDArray[np.int64]] | None = None
    ) -> tuple[list[torch.Tensor | None], list[Failure]]:
        """(frames, failures): for each window uint8 RGB (T,h,w,3) on the device, or None where there is a failure.

        `frames_needed`: for each window the numbers (T,) of its frames to decode, in [0, frames − 1]; None: all.
        Windows of one file are decoded together: it is opened once, and a frame that several windows show is decoded
        once. No file raises: what is wrong with it is in its failures. On a GPU, frames are ready for the current
        stream.
        """
        pinned = self.device.type == "cuda"
        results: list[torch.Tensor | str] = ["not decoded"] * len(windows)
        dali, pyav = [], []
        for job in self._jobs(windows, frames_needed, results):
            reason = self._dali.refuses(job.index) if self._dali is not None else "not asked for"
            if not reason:
                dali.append(job)
            elif self.backend != "dali":
                pyav.append(job)
            else:
                _put(results, job, [reason] * len(job.group))
        running = [(job, self._pool.submit(_decode_pyav, job, pinned)) for job in _split(pyav, self.threads)]
        for job, frames in zip(dali, self._run_dali(dali)):
            if isinstance(frames[0], str) and self.backend == "auto":
                running.append((job, self._pool.submit(_decode_pyav, job, pinned)))
            else:
                _put(results, job, frames)
        for job, future in running:
            decoded = future.result()
            _put(results, job, [f if isinstance(f, str) else f.to(self.device, non_blocking=pinned) for f in decoded])
        failures = [Failure(i, os.fspath(windows[i].path), r) for i, r in enumerate(results) if isinstance(r, str)]
        return [None if isinstance(r, str) else r for r in results], failures

    def close(self) -> None:
        """Wait for running work, and let go of threads and DALI."""
        self._pool.shutdown(wait=True)
        if self._dali is not None:
            self._dali.close()

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
                jobs[path] = _Job(index, [], [], *self._output_size(index))
            jobs[path].group.append(i)
            jobs[path].positions.append(positions_T if frames_needed is None else positions_T[frames_needed[i]])
        return list(jobs.values())

    def _index(self, path: str) -> FrameIndex | str:
        """The file's time table, or why it has none; kept until the file changes."""
        try:
            status = check_file(path)
            with self._lock:
                if path in self._indices and self._indices[path][:2] == (status.st_size, status.st_mtime_ns):
                    self._indices.move_to_end(path)
                    return self._indices[path][2]
            index = read_index(path)
            if index.display_order_unknown:
                index = learn_order(index)
            with self._lock:
                self._indices[path] = status.st_size, status.st_mtime_ns, index
                while len(self._indices) > KEPT_INDICES:
                    self._indices.popitem(last=False)
            return index
        except Exception as error:  # whatever a file brings about is that file's failure only
            return one_line(error)

    def _output_size(self, index: FrameIndex) -> tuple[int, int]:
        if self.size is None:
            return index.height, index.width
        if self.fit == "stretch":
            return self.size
        scale = min(self.size[0] / index.height, self.size[1] / index.width, 1.0)
        return max(1, round(index.height * scale)), max(1, round(index.width * scale))

    def _run_dali(self, jobs: list[_Job]) -> list[list[torch.Tensor | str]]:
        if not jobs:
            return []
        from .backends.dali import Sample

        unions = [np.unique(np.concatenate(job.positions)) for job in jobs]
        decoded = self._dali.decode([Sample(j.index, u, j.height, j.width) for j, u in zip(jobs, unions)])
        return [
            [frames if isinstance(frames, str) else frames[np.searchsorted(union, p)] for p in job.positions]
            for job, union, frames in zip(jobs, unions, decoded)
        ]


@dataclass(frozen=True, eq=False)
class _Job:
    """Windows of one file: their numbers in the call, the positions of their frames, and their size."""

    index: FrameIndex
    group: list[int]
    positions: list[NDArray[np.int64]]
    height: int
    width: int


def _put(results: list[torch.Tensor | str], job: _Job, frames: Sequence[torch.Tensor | str]) -> None:
    for i, result in zip(job.group, frames):
        results[i] = result


def _decode_pyav(job: _Job, pinned: bool) -> Sequence[torch.Tensor | str]:
    try:
        return decode_windows(job.index, job.positions, job.height, job.width, pinned=pinned)
    except Exception as error:  # whatever a file brings about is that file's failure only
        return [one_line(error)] * len(job.group)


def _split(jobs: list[_Job], threads: int) -> list[_Job]:
    """Where there are fewer files than threads, those with most windows are halved, by time."""
    jobs = list(jobs)
    while 0 < len(jobs) < threads and len((most := max(jobs, key=lambda job: len(job.group))).group) > 1:
        jobs.remove(most)
        order = sorted(range(len(most.group)), key=lambda k: int(most.positions[k][0]))
        for half in (order[: len(order) // 2], order[len(order) // 2 :]):
            jobs.append(replace(most, group=[most.group[k] for k in half], positions=[most.positions[k] for k in half]))
    return jobs


def _dali_backend(device: torch.device, threads: int, timeout_seconds: float, *, required: bool) -> Any:
    try:
        from .backends.dali import Dali
    except ImportError as error:
        if required:
            raise RuntimeError(f'backend="dali" needs NVIDIA DALI, which cannot be imported: {error}') from None
        return None
    return Dali(device, threads, timeout_seconds)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
