"""Decoding chosen frames with PyAV (FFmpeg's decoders), a file or a part of its windows on one thread.

Legend: T frames of a window, H W output height and width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import cast

import av
import numpy as np
import torch
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ...kernels import host, host_allocator
from ..demux import Unusable, VideoFile, check_memory, one_line, packets, prepare, raise_if_of_the_system
from ..frame_index import FrameIndex
from ..times import MISSING
from . import Decoded, FrameRequest
from .parts import Part, split

# Codecs in which a picture marked as "no reference" can be left out without touching any other. (In HEVC such a picture
# may serve higher temporal layers.)
CAN_SKIP = {"h264", "mpeg1video", "mpeg2video", "mpeg4"}

# Bilinear, which is a triangle filter as wide as the reduction; chroma interpolated where it is sited, and rounding
# that does not depend on the processor. To planar RGB this takes half the time that it takes to packed RGB.
SCALING = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


class PyAV:
    """FFmpeg's decoders on the CPU, several files or parts of them at a time; takes every file.

    `timeout_seconds` is not used: a thread cannot be given up.
    """

    def __init__(self, device: torch.device, threads: int, timeout_seconds: float) -> None:
        self.device, self.threads, self.pinned = device, threads, device.type == "cuda"
        self._pool = ThreadPoolExecutor(threads, "gpuaug-decode")

    def refuses(self, index: FrameIndex) -> str:
        return ""

    def decode(self, requests: Sequence[FrameRequest]) -> Iterator[Decoded]:
        """As `Backend.decode`."""
        parts = split(requests, self.threads)
        running = [(part, self._pool.submit(_decode, requests[part[0]].part(part[1]), self.pinned)) for part in parts]
        return self._collect([len(request.positions) for request in requests], running)

    def close(self) -> None:
        self._pool.shutdown(wait=True)

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
        return decode_windows(request.index, request.positions, request.height, request.width, pinned=pinned)
    except Exception as error:  # whatever a file brings about is that file's failure only
        return [one_line(error)] * len(request.positions)


def read_frames(index: FrameIndex, positions: NDArray[np.int64]) -> Iterator[tuple[int, VideoFrame]]:
    """Pairs (position, native frame) for these positions in display order, each once, as the decoder gives them.

    For each stretch of wanted frames the file is entered at the last key frame before it, and left once the stretch is
    decoded. That stops at the first error. What is then missing, or was marked as damaged, is tried from one key frame
    earlier (a key frame that the container promises need not be one: gradual refresh, bad cuts), and at last from the
    start of the file, on through errors and with whatever pictures come out, as ffmpeg does it.
    A frame that even then does not come out is an error; it is never replaced by another.

    Raises:
        Unusable: some of the frames cannot be decoded; which, after all others have been given.
        OSError: the file cannot be read on, or memory is short.
    """
    wanted = np.unique(positions)
    missing: set[int] = set(wanted.tolist())
    with _File(index) as file:
        for key, stretch in _stretches(index, wanted):
            for start in (key, key - 1, None):
                want = {int(index.decoder_pts_N[i]): i for i in stretch if i in missing}
                if want and start != -1:
                    for position, frame in file.frames(start, want, all_packets=start != key):
                        missing.discard(position)
                        yield position, frame
    if missing:
        check_memory()
        seconds = ", ".join(f"{index.seconds_N[i]:.3f}" for i in sorted(missing)[:3]) + " …" * (len(missing) > 3)
        raise Unusable(f"{len(missing)} of its frames cannot be decoded, at {seconds} s")


def _stretches(index: FrameIndex, wanted: NDArray[np.int64]) -> list[tuple[int, list[int]]]:
    """(key frame to start from, positions) such that no start skips fewer packets than it costs."""
    found: list[tuple[int, list[int]]] = []
    reached = -1  # number of the last packet that must be decoded for what was wanted so far
    for i in wanted.tolist():
        key = int(np.searchsorted(index.first_decodable_K, i, side="right")) - 1
        while key > 0 and index.key_packet_K[key] > index.packet_N[i]:
            key -= 1
        if not found or index.key_packet_K[key] > reached:
            found.append((max(key, 0), []))
        found[-1][1].append(i)
        reached = max(reached, int(index.packet_N[i]))
    return found


class _File:
    """An open file and its decoder."""

    def __init__(self, index: FrameIndex) -> None:
        self.index = index
        self._open()

    def _open(self) -> None:
        self.file = VideoFile(self.index.path)
        self.stream = cast(VideoStream, self.file.container.streams[self.index.stream])
        prepare(self.stream)
        self.touched = False

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def frames(self, key: int | None, want: dict[int, int], *, all_packets: bool) -> Iterator[tuple[int, VideoFrame]]:
        """Decode from a key frame until all wanted frames {pts: position} came out, or cannot any more.

        Without a key frame: from the start, and nothing stops it.
        """
        last = max(want, key=lambda pts: int(self.index.packet_N[want[pts]]))
        skip = self.index.codec in CAN_SKIP and not all_packets
        for packet in chain(self._packets_from(key), [None]):
            if skip and packet:
                self.stream.codec_context.skip_frame = "DEFAULT" if packet.pts in want else "NONREF"
            # After the last packet that is needed, what has not come out is only held back for reordering.
            done = packet is not None and packet.pts == last
            try:
                frames = self.stream.codec_context.decode(packet)
                frames += self.stream.codec_context.decode(None) if done else []
            except av.FFmpegError as error:
                raise_if_of_the_system(error)
                if key is not None:
                    return
                frames = []
            for frame in frames:
                if frame.pts in want and (key is None or not frame.is_corrupt):
                    yield want.pop(frame.pts), frame
            if done or not want:
                return

    def _packets_from(self, key: int | None) -> Iterator[av.Packet]:
        """Packets from a key frame on, with their pts as in decoder_pts_N, for a decoder that has seen nothing."""
        index = self.index
        number = 0 if key is None else int(index.key_packet_K[key])
        if key and not index.pts_unreliable:
            # Containers seek by time, some by decoding time, none exactly: start earlier until the key frame follows.
            self.touched = True
            for earlier in (key, key - 1):
                try:
                    self.file.container.seek(int(index.key_pts_K[earlier]), stream=self.stream)
                except av.FFmpegError as error:
                    self.file.check()
                    raise_if_of_the_system(error)
                    continue
                stored = packets(self.file, self.stream)
                for packet in stored:
                    if packet.pts == index.key_pts_K[key]:
                        yield index.state.remind(number, packet) if index.state else packet
                        yield from stored
                        return
                    if self._number(packet) > number:
                        break
        if self.touched:
            self.file.close()
            self._open()
        self.touched = True
        for i, packet in enumerate(packets(self.file, self.stream)):
            if i >= number:
                if i == number and i and index.state:
                    packet = index.state.remind(number, packet)
                if index.pts_unreliable:
                    packet.pts = i
                yield packet

    def _number(self, packet: av.Packet) -> int:
        """A packet's place in the file, −1 if it is not that of a displayed frame."""
        if packet.pts is None:
            return -1
        i = int(np.searchsorted(self.index.stamp_N, packet.pts))
        known = i < len(self.index.stamp_N) and self.index.stamp_N[i] == packet.pts
        return int(self.index.packet_N[i]) if known else -1


def learn_order(index: FrameIndex) -> FrameIndex:
    """The index of a file whose container does not tell the display order, after decoding all of it once."""
    own = {} if index.own_dts_N is None else dict(zip(index.packet_N.tolist(), index.own_dts_N.tolist()))
    numbers: list[int] = []
    dts: list[int] = []
    with _File(index) as file:
        for packet in chain(file._packets_from(None), [None]):
            if packet:
                time = own.get(packet.pts, MISSING)
                packet.dts = None if time == MISSING else time
            try:
                for frame in file.stream.codec_context.decode(packet):
                    if frame.pts is not None:
                        numbers.append(frame.pts)
                        dts.append(MISSING if frame.dts is None else frame.dts)
            except av.FFmpegError as error:
                raise_if_of_the_system(error)
    check_memory()
    if not numbers:
        raise Unusable("none of its frames can be decoded")
    return index.reordered(numbers, dts)


def decode_windows(
    index: FrameIndex, positions: list[NDArray[np.int64]], height: int, width: int, *, pinned: bool = False
) -> Decoded:
    """For each window's positions (T,): uint8 RGB (T,H,W,3) on the CPU, or the reason why it cannot be decoded.

    All windows are of one file: it is opened once, and a frame that several windows show is decoded once. `height` and
    `width` are those of the picture as displayed.
    """
    shapes = [(len(p), height, width, 3) for p in positions]
    frames_WTHW3 = [_room(shape, pinned) for shape in shapes]
    places: dict[int, list[NDArray[np.uint8]]] = {}
    for frames_THW3, positions_T in zip(frames_WTHW3, positions):
        array_THW3 = frames_THW3.numpy()
        for k, position in enumerate(positions_T.tolist()):
            places.setdefault(position, []).append(array_THW3[k])
    to_rgb = _Converter(index, height, width)
    reason = ""
    try:
        for position, frame in read_frames(index, np.concatenate(positions)):
            to_rgb(frame, places.pop(position))
    except (Unusable, OSError, MemoryError) as error:
        reason = one_line(error)
    left = set(places)
    return [reason if left.intersection(p.tolist()) else f for f, p in zip(frames_WTHW3, positions)]


def _room(shape: tuple[int, ...], pinned: bool) -> torch.Tensor:
    """An uninitialised uint8 tensor on the CPU."""
    if pinned:
        return torch.empty(shape, dtype=torch.uint8, pin_memory=True)
    if math.prod(shape) >= host_allocator.SMALLEST:
        return host_allocator.new(shape, torch.uint8)
    return torch.from_numpy(np.empty(shape, np.uint8))  # in large pages: the first write takes a quarter of the time


class _Converter:
    """Native frames to RGB of the wanted size, turned for display."""

    def __init__(self, index: FrameIndex, height: int, width: int) -> None:
        self.turns, self.mirrored = -index.rotation // 90, index.mirrored
        self.height, self.width = (width, height) if index.rotation % 180 else (height, width)
        self.scale = VideoReformatter()

    def __call__(self, frame: VideoFrame, places: list[NDArray[np.uint8]]) -> None:
        """Write the picture to all `places` (H,W,3)."""
        planar = self.scale.reformat(
            frame, width=self.width, height=self.height, format="gbrp", interpolation=SCALING, threads=1
        )
        green, blue, red = planar.planes
        library = host.library()
        for place_HW3 in places:
            unturned = np.rot90(place_HW3[:, ::-1] if self.mirrored else place_HW3, -self.turns)
            if library:
                host.interleave(library, [(p.buffer_ptr, p.line_size) for p in (red, green, blue)], unturned)
                continue
            for channel, plane in enumerate((red, green, blue)):
                rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
                unturned[..., channel] = rows[: self.height, : self.width]
