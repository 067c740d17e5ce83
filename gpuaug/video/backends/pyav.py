"""Decoding chosen frames of one file with PyAV (FFmpeg's decoders), on the calling thread.

Legend: T frames of a window, H W output height and width.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import cast

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ...kernels import host
from ..bitstream import recovers_later
from ..demux import Unusable, VideoFile, check_memory, one_line, packets, prepare, raise_if_of_the_system
from ..frame_index import FrameIndex
from ..times import MISSING
from . import Decoded
from .parts import room, stretches_of

# Codecs in which a picture marked as "no reference" can be left out without touching any other. (In HEVC such a picture
# may serve higher temporal layers.)
CAN_SKIP = {"h264", "mpeg1video", "mpeg2video", "mpeg4"}
# What FFmpeg's decoders look for at their strictest; at the first error they stop.
STRICT = "crccheck+bitstream+buffer+careful+explode"
NEVER = 1 << 62  # the number of no packet

# Bilinear, which is a triangle filter as wide as the reduction; chroma interpolated where it is sited, and rounding
# that does not depend on the processor. To planar RGB this takes half the time that it takes to packed RGB.
SCALING = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def read_frames(
    index: FrameIndex, positions: NDArray[np.int64], damaged: set[int] | None = None
) -> Iterator[tuple[int, VideoFrame]]:
    """Pairs (position, native frame) for these positions, each once, as the decoder gives them.

    For each stretch of wanted frames the file is entered at the last key frame before it, and left once the stretch is
    decoded. That stops at the first error. What is then missing, or was marked as damaged, is tried from one key frame
    earlier (a key frame that the container promises need not be one: gradual refresh, bad cuts), then from the start of
    the file, and at last from there on through errors and with whatever pictures come out, as ffmpeg does it: these are
    `damaged`, or depend on what is, and the same from wherever they are asked for.
    A frame that even then does not come out is an error; it is never replaced by another.

    Raises:
        Unusable: some of the frames cannot be decoded; which, after all others have been given.
        OSError: the file cannot be read on, or memory is short.
    """
    wanted = np.unique(positions)
    missing: set[int] = set(wanted.tolist())
    with _File(index) as file:
        keyed = stretches_of(index, wanted)
        attempts = [(stretch, start, start == key) for key, stretch in keyed for start in (key, key - 1)]
        for stretch, start, first in [*attempts, (wanted.tolist(), None, False)]:
            want = {int(index.decoder_pts_N[i]): i for i in stretch if i in missing}
            if want and start != -1:
                for position, frame in file.frames(start, want, all_packets=not first):
                    missing.discard(position)
                    yield position, frame
    if missing:
        with _File(index, lenient=True) as file:
            for position, frame in file.frames(
                None, {int(index.decoder_pts_N[i]): i for i in missing}, all_packets=True
            ):
                missing.discard(position)
                if damaged is not None:
                    damaged.add(position)
                yield position, frame
    if missing:
        check_memory()
        seconds = ", ".join(f"{index.seconds_N[i]:.3f}" for i in sorted(missing)[:3]) + " …" * (len(missing) > 3)
        raise Unusable(f"{len(missing)} of its frames cannot be decoded, at {seconds} s")


class _File:
    """An open file and its decoder, which stops at errors unless it is `lenient` with them."""

    def __init__(self, index: FrameIndex, *, lenient: bool = False) -> None:
        self.index, self.lenient = index, lenient
        self._open()

    def _open(self) -> None:
        self.file = VideoFile(self.index.path)
        self.stream = cast(VideoStream, self.file.container.streams[self.index.stream])
        prepare(self.stream)
        if not self.lenient:
            self.stream.codec_context.options = {"err_detect": STRICT}
        self.touched = False

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def frames(self, key: int | None, want: dict[int, int], *, all_packets: bool) -> Iterator[tuple[int, VideoFrame]]:
        """Decode from a key frame until all wanted frames {pts: position} came out, or cannot any more.

        Without a key frame: from the start. Unless it is lenient, nothing is given that was decoded after a damaged
        picture, which comes out only after what is shown before it: frames are held back for as long.
        """
        last = max(want, key=lambda pts: int(self.index.packet_N[want[pts]]))
        skip = self.index.codec in CAN_SKIP and not all_packets
        index, context = self.index, self.stream.codec_context
        held: list[tuple[int, VideoFrame]] = []  # positions, and frames that may turn out to depend on a damaged one
        clean = refreshing = False
        entry: int | None = None  # position of the first packet's frame
        first = 0
        for packet in chain(self._packets_from(key), [None]):
            if skip and packet:
                context.skip_frame = "DEFAULT" if packet.pts in want else "NONREF"
            if entry is None and packet:
                entry, first = index.position(packet.pts), self._time(packet.pts)
                refreshing = index.codec == "h264" and recovers_later(packet, index.prefixed)
            # After the last packet that is needed, what has not come out is only held back for reordering.
            done = packet is None or packet.pts == last
            # What is shown before the first picture, and stored after it, may need others, and nothing else needs it.
            leads = packet is not None and self._time(packet.pts) < first
            frames, until = self._decode(packet, flush=done and packet is not None, forgive=leads or self.lenient)
            out = -1
            for frame in frames:
                out = max(out, index.position(frame.pts))
                if (
                    not clean
                    and not refreshing
                    and not self.lenient
                    and entry is not None
                    and entry < out
                    and entry >= 0
                ):
                    until = min(until, int(index.packet_N[entry]))  # the first picture was dropped
                if frame.is_corrupt and not self.lenient:
                    if self._time(frame.pts) >= first and (not refreshing or clean):
                        until = min(until, self._number(frame.pts))
                    continue
                clean = True
                if frame.pts in want:
                    held.append((want[frame.pts], frame))
            done = done or until < NEVER
            while held and (done or self.lenient or index.waits_N[held[0][0]] <= out):
                position, frame = held.pop(0)
                if index.packet_N[position] < until:
                    want.pop(cast(int, frame.pts))
                    yield position, frame
            if done or not want:
                return

    def _decode(self, packet: av.Packet | None, *, flush: bool, forgive: bool) -> tuple[list[VideoFrame], int]:
        """What comes out, and the number of the packet from which on nothing is right (NEVER: none).

        flush: also what is held back; after an error, too, for the decoder is then given up. forgive: errors are none.
        """
        context = self.stream.codec_context
        frames, until = list[VideoFrame](), NEVER
        for given in [packet, None] if flush else [packet]:
            try:
                frames += context.decode(given)
            except av.FFmpegError as error:
                raise_if_of_the_system(error)
                if not forgive and until == NEVER:
                    until = self._number(packet.pts) if packet else -1
        if until < NEVER and not flush and packet:
            frames += self._decode(None, flush=False, forgive=True)[0]
        return frames, until

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
                        for size, packet in zip(index.size_P[number + 1 :].tolist(), stored):
                            if packet.size != size:
                                return  # damage has led to another place than on the way from the start
                            yield packet
                        return
                    if self._number(packet.pts) > number:
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

    def _time(self, pts: int | None) -> int:
        """Something that ascends in display order."""
        return self.index.position(pts) if self.index.pts_unreliable or pts is None else pts

    def _number(self, pts: int | None) -> int:
        """A packet's place in the file by its stamp, −1 if it is not that of a displayed frame."""
        position = self.index.position(pts)
        return int(self.index.packet_N[position]) if position >= 0 else -1


def learn_order(index: FrameIndex) -> FrameIndex:
    """The index of a file whose container does not tell the display order, after decoding all of it once."""
    own = {} if index.own_dts_N is None else dict(zip(index.packet_N.tolist(), index.own_dts_N.tolist()))
    numbers: list[int] = []
    dts: list[int] = []
    with _File(index, lenient=True) as file:
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
    index: FrameIndex,
    positions: list[NDArray[np.int64]],
    height: int,
    width: int,
    *,
    pinned: bool = False,
    damaged: set[int] | None = None,
) -> Decoded:
    """For each window's positions (T,): uint8 RGB (T,H,W,3) on the CPU, or the reason why it cannot be decoded.

    All windows are of one file: it is opened once, and a frame that several windows show is decoded once. `height` and
    `width` are those of the picture as displayed. `damaged`: takes the positions of frames with errors.
    """
    shapes = [(len(p), height, width, 3) for p in positions]
    frames_WTHW3 = [room(shape, pinned) for shape in shapes]
    places: dict[int, list[NDArray[np.uint8]]] = {}
    for frames_THW3, positions_T in zip(frames_WTHW3, positions):
        array_THW3 = frames_THW3.numpy()
        for k, position in enumerate(positions_T.tolist()):
            places.setdefault(position, []).append(array_THW3[k])
    to_rgb = _Converter(index, height, width)
    reason = ""
    try:
        for position, frame in read_frames(index, np.concatenate(positions), damaged):
            to_rgb(frame, places.pop(position))
    except (Unusable, OSError, MemoryError) as error:
        reason = one_line(error)
    left = set(places)
    return [reason if left.intersection(p.tolist()) else f for f, p in zip(frames_WTHW3, positions)]


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
