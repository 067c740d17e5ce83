"""Decoding with torchcodec, imported only here: NVDEC on a GPU, on the CPU the FFmpeg that the system has.

It is given cuts (cut.py), never a file: which frames are shown when is what our time table says.

Legend: T frames, H W height and width of the output, h w as stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future

import torch
from torchcodec.decoders import VideoDecoder

from ..demux import Unusable, one_line
from ..frame_index import FrameIndex
from . import Decoded, FrameRequest, nvdec
from .cut import Cut, cut, pieces_of, why_not_cut
from .picture import stored_size, upright, windows_of
from .pool import Pool

GPU_CODECS = {"h264", "hevc", "vp8", "vp9", "av1", "mpeg4"}
AT_ONCE = 32  # frames decoded before they are scaled


def _without_ffmpeg() -> str:
    """Why it cannot decode anything here; empty if it can."""
    try:
        VideoDecoder(b"no video")
    except RuntimeError as error:
        if "libtorchcodec" in str(error):
            return "it finds no FFmpeg libraries (Debian, Ubuntu: apt install ffmpeg)"
    except ValueError:
        pass
    return ""


if _reason := _without_ffmpeg():
    raise ImportError(_reason)


class Torchcodec:
    """torchcodec's decoder, several files at a time.

    `timeout_seconds` is not used: a thread cannot be given up.
    """

    def __init__(self, device: torch.device, threads: int, timeout_seconds: float) -> None:
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", torch.cuda.current_device())
        self.device = device
        self._pool = Pool(threads, "gpuaug-torchcodec")
        self._nvdec = nvdec.Capabilities(device) if device.type == "cuda" else None
        self._without = nvdec.missing() if self._nvdec else ""

    def refuses(self, index: FrameIndex) -> str:
        """Why it would not give the frames that are wanted of this file; empty if it does."""
        if self._without or (reason := why_not_cut(index)):
            return self._without or reason
        if self._nvdec is None:
            return ""
        kind = nvdec.kind_of(index.codec, index.pixel_format)
        if index.codec not in GPU_CODECS or kind.chroma != "4:2:0":
            return f"torchcodec decodes {index.codec} of {index.pixel_format} on the CPU"
        return self._nvdec.refuses_kind(kind)

    def decode(self, requests: Sequence[FrameRequest]) -> Iterator[Decoded]:
        """As `Backend.decode`: all windows of a file at once, or none."""
        stream = torch.cuda.current_stream(self.device) if self._nvdec else None
        return self._collect([self._pool.submit(self._decode, request, stream) for request in requests])

    def close(self) -> None:
        """Wait for what runs, and let go of the threads."""
        self._pool.shutdown()

    def _collect(self, running: list[Future[Decoded]]) -> Iterator[Decoded]:
        for future in running:
            yield future.result()

    def _decode(self, request: FrameRequest, stream: torch.cuda.Stream | None) -> Decoded:
        try:
            with torch.cuda.stream(stream):  # the caller's; nothing for None
                pieces = pieces_of(request)
                frames = [self._frames(made, request) for made in cut(request.index, pieces)]
                return windows_of(request, [piece.positions for piece in pieces], frames)
        except Exception as error:  # whatever a file brings about is that file's failure only
            return [one_line(error)] * len(request.positions)

    def _frames(self, made: Cut, request: FrameRequest) -> torch.Tensor:
        """uint8 (T,H,W,3) of one piece."""
        if self._nvdec and (reason := self._nvdec.refuses_size(made.kind, made.width, made.height)):
            raise Unusable(reason)
        decoder = VideoDecoder(
            made.data.tobytes(), dimension_order="NHWC", device=str(self.device), num_ffmpeg_threads=1
        )
        size, parts = stored_size(request), []
        for start in range(0, len(made.number_T), AT_ONCE):
            numbers = made.number_T[start : start + AT_ONCE].tolist()
            parts.append(scaled(decoder.get_frames_at(numbers).data, size))
        if self._nvdec and getattr(decoder, "cpu_fallback", False):
            raise Unusable(f"torchcodec decodes it on the CPU: {decoder.cpu_fallback}")
        return upright(torch.cat(parts) if len(parts) > 1 else parts[0], request.index)


def scaled(frames_Thw3: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """uint8 (T,H,W,3): the frames by PyAV's filter, a triangle as wide as the reduction."""
    if frames_Thw3.shape[1:3] == size:
        return frames_Thw3
    frames_T3hw = frames_Thw3.permute(0, 3, 1, 2)
    floats = frames_T3hw.is_cuda  # where torch scales no bytes
    out_T3HW = torch.nn.functional.interpolate(
        frames_T3hw.float() if floats else frames_T3hw, size, mode="bilinear", antialias=True
    )
    return (out_T3HW.round_().to(torch.uint8) if floats else out_T3HW).permute(0, 2, 3, 1)
