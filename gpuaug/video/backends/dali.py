"""Decoding with NVIDIA DALI: NVDEC on a GPU, libavcodec (VP8, VP9, MJPEG) on the CPU.

DALI decodes what it is given from its first frame on; it is given cuts (cut.py), never a file.

Legend: T frames of a piece, H W height and width of its output.
"""

from __future__ import annotations

import os
import queue
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future

import torch

from ..demux import Unusable, one_line
from ..frame_index import FrameIndex
from . import Decoded, FrameRequest, nvdec
from .cut import Cut, Piece, cut, pieces_of, why_not_cut
from .dali_pipeline import BATCH, OWN_FRAMES, Job, Worker, recoloured
from .failures import Classes
from .picture import upright, windows_of
from .pool import Pool

CPU_CODECS = {"vp8", "vp9", "mjpeg"}
GPU_CODECS = {"vp8", "vp9", "h264", "hevc", "mpeg4"}  # AV1 mostly hides pictures, which it would count
KEPT_FAILURES = 4096  # files that failed, remembered
CLASS_FAILURES = 3  # files of a class that fail without one that is decoded: from then on the class is refused
BATCH_BYTES = 1 << 30  # of packets and decoded frames, before scaling, in one pipeline run
LARGEST_CUT = (1 << 31) - (1 << 20)  # bytes; it counts them in an int


class Dali:
    """A DALI pipeline in a thread of its own, which is replaced when a piece breaks it or when it does not answer.

    Args:
        device: "cpu", or a CUDA device.
        threads: pieces decoded at the same time.
        timeout_seconds: how long one run of up to 32 pieces may take.
    """

    def __init__(self, device: torch.device, threads: int, timeout_seconds: float) -> None:
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", torch.cuda.current_device())
        self.device, self.threads, self.timeout_seconds = device, threads, timeout_seconds
        self._worker: Worker | None = None
        self._pool = Pool(threads, "gpuaug-cut")
        self._nvdec = nvdec.Capabilities(device) if device.type == "cuda" else None
        self._without = nvdec.missing() if self._nvdec else ""
        self._failed: OrderedDict[tuple[str, int], str] = OrderedDict()
        self._classes = Classes(CLASS_FAILURES)

    def refuses(self, index: FrameIndex) -> str:
        """Why DALI would not give the frames that are wanted of this file; empty if it does.

        A file that failed once is refused from then on: each failure costs the pipeline. So is a class of videos of
        which several failed and none did not.
        """
        if self._without:
            return self._without
        if reason := self._failed.get((index.path, index.bytes)):
            return reason
        if reason := self._classes.refuses(index):
            return reason
        if index.codec not in (GPU_CODECS if self._nvdec else CPU_CODECS):
            return f"DALI has no {index.codec} decoder for {self.device.type}"
        if reason := why_not_cut(index):
            return reason
        if self._nvdec is None:
            if index.full_range and not index.pixel_format.startswith("yuvj"):
                return f"DALI takes {index.pixel_format} for limited range, this is full range"
            return ""
        kind = nvdec.kind_of(index.codec, index.pixel_format)
        if kind.chroma != "4:2:0":
            return f"DALI converts only 4:2:0 pictures to RGB, this is {index.pixel_format}"
        return self._nvdec.refuses_kind(kind, output=nvdec.NV12)

    def decode(self, requests: Sequence[FrameRequest]) -> Iterator[Decoded]:
        """As `Backend.decode`: all windows of a file at once, or none."""
        batches = _batches(requests, own=OWN_FRAMES if self._nvdec else 0)
        return self._results(requests, batches, self._cuts(requests, batches[0] if batches else {}))

    def close(self) -> None:
        """End the thread; a later call starts another."""
        self._pool.shutdown()
        self._stop()

    def _stop(self) -> None:
        if self._worker is not None:
            self._worker.jobs.put(None)
            self._worker = None

    def _cuts(self, requests: Sequence[FrameRequest], batch: dict[int, list[Piece]]) -> dict[int, Future[list[Cut]]]:
        return {n: self._pool.submit(cut, requests[n].index, pieces) for n, pieces in batch.items()}

    def _results(
        self,
        requests: Sequence[FrameRequest],
        batches: list[dict[int, list[Piece]]],
        cuts: dict[int, Future[list[Cut]]],
    ) -> Iterator[Decoded]:
        """The windows of each request. While DALI decodes a batch, the next one is cut."""
        frames: list[list[torch.Tensor]] = [[] for _ in requests]
        reasons: dict[int, str] = {}
        pieces: list[list[Piece]] = [[] for _ in requests]
        for k, batch in enumerate(batches):
            following = self._cuts(requests, batches[k + 1]) if k + 1 < len(batches) else {}
            jobs = self._jobs(requests, batch, cuts, reasons)
            try:
                for job, answer in zip(jobs, self._decoded(jobs)):
                    if isinstance(answer, str):
                        reasons[job.number] = answer
                    else:
                        self._classes.decoded(job.request.index)
                        frames[job.number].append(answer)
                        pieces[job.number].append(job.piece)
            except TimeoutError as error:  # the rest would wait as long
                reasons |= {n: str(error) for later in batches[k:] for n in later if n not in reasons}
                break
            cuts = following
        for number, request in enumerate(requests):
            if number in reasons:
                yield [reasons[number]] * len(request.positions)
            else:
                yield windows_of(request, [p.positions for p in pieces[number]], frames[number])
            frames[number] = []

    def _jobs(
        self,
        requests: Sequence[FrameRequest],
        batch: dict[int, list[Piece]],
        cuts: dict[int, Future[list[Cut]]],
        reasons: dict[int, str],
    ) -> list[Job]:
        """What is to be decoded of a batch; files that cannot be get their reason."""
        jobs: list[Job] = []
        for number, pieces in batch.items():
            index = requests[number].index
            try:
                made = cuts[number].result()
                if number not in reasons and (reason := next(filter(None, map(self._refuses_cut, made)), "")):
                    raise Unusable(reason)
            except Unusable as error:
                reasons[number] = self._remember(index, str(error))
            except Exception as error:  # whatever a file brings about is that file's failure only
                reasons[number] = one_line(error)
            if number not in reasons:
                jobs += [Job(number, requests[number], *pair) for pair in zip(pieces, made)]
        return jobs

    def _refuses_cut(self, made: Cut) -> str:
        """Why DALI would not give the right frames of it."""
        if len(made.data) > LARGEST_CUT:
            return f"DALI is given at most {LARGEST_CUT} bytes at a time, this has {len(made.data)}"
        if self._nvdec is None:
            return ""
        if made.hidden:
            return "DALI counts the pictures that this file does not show"
        if made.fields:
            return "DALI takes the fields of interlaced video for pictures"
        if made.delay >= OWN_FRAMES:
            return f"DALI sorts {OWN_FRAMES} pictures at a time, this needs {made.delay + 1}"
        return self._nvdec.refuses_size(made.kind, made.width, made.height)

    def _decoded(self, jobs: list[Job]) -> Iterator[torch.Tensor | str]:
        """For each job uint8 (T,H,W,3) on the device, or the reason why DALI could not decode it."""
        for run in _runs(jobs, own=OWN_FRAMES if self._nvdec else 0):
            try:
                yield from self._run(run)
            except RuntimeError:  # of which piece is not told
                for job in run:
                    try:
                        yield self._run([job])[0]
                    except RuntimeError as error:
                        yield self._reason(job.request.index, error)

    def _reason(self, index: FrameIndex, error: RuntimeError) -> str:
        """Why a file failed; remembered where that is a matter of the file and not of the moment."""
        cause = error.__cause__
        if isinstance(cause, OSError | MemoryError | torch.OutOfMemoryError):
            return one_line(cause)
        reason = _first_line(error)
        self._classes.failed(index, reason)
        return self._remember(index, reason)

    def _remember(self, index: FrameIndex, reason: str) -> str:
        self._failed[index.path, index.bytes] = reason
        while len(self._failed) > KEPT_FAILURES:
            self._failed.popitem(last=False)
        return reason

    def _run(self, jobs: list[Job]) -> list[torch.Tensor]:
        if self._worker is not None and self._worker.process != os.getpid():
            self._worker = None  # the thread is the parent's
        worker = self._worker = self._worker or Worker(self.device, self.threads)
        answer: queue.SimpleQueue[list[torch.Tensor] | Exception] = queue.SimpleQueue()
        stream = torch.cuda.current_stream(self.device) if self.device.type == "cuda" else None
        worker.jobs.put((jobs, answer, stream))
        try:
            result = answer.get(timeout=self.timeout_seconds)
        except queue.Empty:
            self._stop()
            names = ", ".join(sorted({job.request.index.path for job in jobs})[:3])
            raise TimeoutError(
                f"DALI gave no answer within timeout_seconds={self.timeout_seconds:g} (decoding {names} …)"
            ) from None
        if isinstance(result, Exception):
            self._stop()  # an error leaves the pipeline unusable
            raise RuntimeError(str(result)) from result
        return [upright(recoloured(frames, job.request.index), job.request.index) for frames, job in zip(result, jobs)]


def _batches(requests: Sequence[FrameRequest], *, own: int) -> list[dict[int, list[Piece]]]:
    """Runs of the pipeline: {number of a request: its pieces}. `own`: frames that DALI has beside those of a piece."""
    batches: list[dict[int, list[Piece]]] = []
    size = count = 0
    for number, request in enumerate(requests):
        for piece in pieces_of(request):
            need = _bytes(piece, request.index.width, request.index.height, own)
            if not batches or count == BATCH or size + need > BATCH_BYTES:
                batches.append({})
                size = count = 0
            batches[-1].setdefault(number, []).append(piece)
            size, count = size + need, count + 1
    return batches


def _runs(jobs: list[Job], *, own: int) -> Iterator[list[Job]]:
    """A batch by the sizes that its videos are stored in, which display does not tell where pixels are not square."""
    run: list[Job] = []
    size = 0
    for job in jobs:
        need = _bytes(job.piece, job.cut.width, job.cut.height, own)
        if run and size + need > BATCH_BYTES:
            yield run
            run, size = [], 0
        run.append(job)
        size += need
    if run:
        yield run


def _bytes(piece: Piece, width: int, height: int, own: int) -> int:
    """What a piece takes while it is decoded: its packets, its frames, and those that DALI has beside them."""
    return (len(piece.positions) + own) * width * height * 3 + piece.bytes


def _first_line(error: Exception) -> str:
    """DALI's message without its traceback: the line that follows "encountered:"."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    after = [lines[i + 1] for i, line in enumerate(lines[:-1]) if line.endswith("encountered:")]
    return (after or lines or [type(error).__name__])[0]
