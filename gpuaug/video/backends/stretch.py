"""One file while it is decoded: from a key frame on to what is wanted, and only what is certainly right.

Used by pyav.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import cast

import av
import numpy as np
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from ..bitstream import LARGEST_PLACEHOLDER, REORDERING, recovers_later
from ..demux import VideoFile, packets, prepare, raise_if_of_the_system
from ..frame_index import FrameIndex
from ..times import DEEPEST
from .read_ahead import in_groups

# Codecs in which a picture marked as "no reference" can be left out without touching any other. (In HEVC such a picture
# may serve higher temporal layers.)
CAN_SKIP = {"h264", "mpeg1video", "mpeg2video", "mpeg4"}
# What FFmpeg's decoders look for at their strictest; at the first error they stop.
STRICT = "crccheck+bitstream+buffer+careful+explode"
NEVER = 1 << 62  # the number of no packet
FOUR_BYTES = {bytes([byte]) for byte in range(3, 256, 4)}  # of an avcC, where NAL units' lengths have as many
# Codecs in which damage can leave something at a key frame's place that is none, and the decoder says nothing.
TYPED, INTRA = {"mpeg4", "h263", "h263p", "flv1", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2"}, int(PictureType.I)
# FFmpeg's MPEG-4 decoder takes a picture's end for wrong only after some whose end was right: it first has to rule out
# encoders that write it wrong. As many of the file's first packets it sees where decoding begins elsewhere.
WARM_UP = {"mpeg4": 8}


class OpenFile:
    """An open file and its decoder, which stops at errors unless it is `lenient` with them."""

    def __init__(self, index: FrameIndex, *, lenient: bool = False) -> None:
        self.index, self.lenient = index, lenient
        self._open()

    def _open(self) -> None:
        self.file = VideoFile(self.index.path)
        self.stream = cast(VideoStream, self.file.container.streams[self.index.stream])
        prepare(self.stream)
        self.context = self.stream.codec_context
        if not self.lenient:
            self.context.options = {"err_detect": STRICT}
        self.touched = self.spoilt = False
        self.cold = WARM_UP.get(self.index.codec, 0)

    def _reopen(self) -> None:
        self.file.close()
        self._open()

    def _rewind(self) -> None:
        """Open the file again; the decoder stays where it has been warmed up."""
        warm = None if self.cold or self.index.codec not in WARM_UP else self.context
        self._reopen()
        if warm is not None:
            self.context, self.cold = warm, 0
            warm.flush_buffers()

    def __enter__(self) -> OpenFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def all_frames(self, want: dict[int, int]) -> Iterator[tuple[int, VideoFrame]]:
        """Decode from the file's start, whatever happens, until all wanted frames {pts: position} came out."""
        last = self._last(want)
        for number, packet in enumerate(chain(self.packets_from(None), [None])):
            done = packet is None or number == last
            frames = self._decoded(packet) or []
            if packet and done:
                frames += self._decoded(None) or []
            for frame in frames:
                if frame.pts in want:
                    yield want.pop(frame.pts), frame
            if done or not want:
                return

    def frames(self, key: int | None, want: dict[int, int], *, all_packets: bool) -> Iterator[tuple[int, VideoFrame]]:
        """Decode from a key frame until all wanted frames {pts: position} came out, or cannot any more.

        Without a key frame: from the start. Nothing is given that was decoded after an error, a damaged picture, or one
        that does not come out. Some of that shows only when all pictures stored before have come out: frames are held
        back for as long.
        """
        codec, prefixed = self.index.codec, self.index.prefixed
        stored = self.packets_from(key)
        opening = next(stored, None)
        if opening is None:
            return
        context = self.context  # after the first packet, for which the file may have been opened again
        last = self._last(want)
        number_of = self._expected(opening.pts, max(want.values()) + DEEPEST)
        refreshing = codec == "h264" and recovers_later(opening, prefixed)
        marked = 0 < 2 * self.index.marked <= len(self.index.size_P)  # where most are, the muxer wrote wrong sizes
        legible = codec != "h264" or not prefixed or (context.extradata or b"")[4:5] in FOUR_BYTES
        skip, reorders = codec in CAN_SKIP and not all_packets and legible, codec in REORDERING
        coming: dict[int | None, int] = {}  # stamps of pictures that have not come out: the numbers of their packets
        held: list[tuple[int, VideoFrame]] = []  # numbers of packets, and frames that may turn out to be wrong
        clean, until = False, NEVER  # until: number of the packet from which on nothing is right
        skipping, context.skip_frame = False, "DEFAULT"
        if key and self.cold:
            until = self._proved(opening, self.cold // 2)
        first = int(self.index.key_packet_K[key]) if key else 0
        groups = in_groups(self.index, chain((opening,), stored), first, last, set(want) if skip else None)
        for place, packet, pts, skipped in groups:
            if packet and marked and packet.is_corrupt and not self._leads(pts, opening.pts):
                until = min(until, place)
            if skipped is not skipping:
                context.skip_frame, skipping = "NONREF" if skipped else "DEFAULT", skipped
            if pts in number_of and not skipped:
                coming[pts] = number_of[pts]
            try:
                frames = context.decode(packet)
            except av.FFmpegError as error:
                raise_if_of_the_system(error)
                frames = []
                if not self._leads(pts, opening.pts):
                    until = min(until, self._number(pts))
            # After the last packet that is needed, what has not come out is only held back for reordering.
            done = packet is None or place == last or until < NEVER
            if done and packet:
                rest = self._decoded(None)
                if rest is None:
                    until = min(until, self._number(pts))
                frames += rest or []
            for frame in frames:
                stamp = frame.pts
                number = coming.pop(stamp, None)
                if frame.is_corrupt or (key and stamp == opening.pts and codec in TYPED and frame.pict_type != INTRA):
                    if not self._leads(stamp, opening.pts) and (clean or not refreshing):
                        until, done = min(until, self._number(stamp)), True
                    continue
                if refreshing and not clean:  # the decoder kept, or marked, what is shown before
                    coming = {s: n for s, n in coming.items() if self._time(s) > self._time(stamp)}
                clean = True
                if stamp in want:
                    held.append((self._number(stamp) if number is None else number, frame))
            while held:
                number, frame = held[0]
                oldest = next(iter(coming), None)
                if oldest is not None and coming[oldest] < number:
                    if reorders and not done and len(coming) <= DEEPEST:
                        break
                    # It will not come out. (Of two fields in two packets one does; without reordering a codec may have
                    # packets for "as before".)
                    if not frame.interlaced_frame if reorders else oldest == opening.pts:
                        until, done = min(until, coming[oldest]), True
                    del coming[oldest]
                    continue
                del held[0]
                if number < until:
                    yield want.pop(cast(int, frame.pts)), frame
            if done or not want:
                break
        self.spoilt = until < NEVER or bool(want)

    def _leads(self, pts: int | None, opening: int | None) -> bool:
        """Whether it is shown before the first picture, and stored after it: it may need others, and none needs it."""
        index, first = self.index, self._time(opening)
        if not index.pts_unreliable or index.position(pts) >= 0 or pts is None or opening is None:
            return self._time(pts) < first
        later_N = index.packet_N[first + 1 :]  # it is not shown: nothing that is may be stored before it
        return not np.any((later_N > opening) & (later_N < pts))

    def _last(self, want: dict[int, int]) -> int:
        """The number of the packet that is stored last. (Its stamp can be that of a hidden picture, too.)"""
        return int(self.index.packet_N[list(want.values())].max())

    def _expected(self, opening: int | None, last: int) -> dict[int | None, int]:
        """{stamp: number of the packet} of pictures that come out of a decoder that begins with this packet.

        Those are the displayed ones, from the first picture's time on to position `last`, but for those so small that
        they may say only "as before".
        """
        index = self.index
        if index.pts_unreliable or opening is None:
            start = max(index.position(opening), 0)
        else:
            start = int(np.searchsorted(index.stamp_N, opening))
        number_N = index.packet_N[start : last + 1]
        large_N = index.size_P[number_N] > LARGEST_PLACEHOLDER
        return dict(zip(index.decoder_pts_N[start : last + 1][large_N].tolist(), number_N[large_N].tolist()))

    def _warm_up(self) -> None:
        """Let the decoder see the file's first packets, unless there is an error in them."""
        for packet in islice(packets(self.file, self.stream), self.cold):
            packet.pts = None  # so that its pictures are not taken for what is wanted
            if self._decoded(packet) is None:
                return self._reopen()
        self.touched, self.cold = True, 0

    def _proved(self, opening: av.Packet, times: int) -> int:
        """Decode it as often; the number of the packet from which on nothing is right."""
        pts = opening.pts
        opening.pts = None
        failed = any(self._decoded(opening) is None for _ in range(times))
        opening.pts = pts
        return self._number(pts) if failed else NEVER

    def _decoded(self, packet: av.Packet | None) -> list[VideoFrame] | None:
        """What comes out; None where that is an error."""
        try:
            return self.context.decode(packet)
        except av.FFmpegError as error:
            raise_if_of_the_system(error)
            return None

    def packets_from(self, key: int | None) -> Iterator[av.Packet]:
        """Packets from a key frame on, with their pts as in decoder_pts_N, for a decoder that has seen nothing."""
        index = self.index
        number = 0 if key is None else int(index.key_packet_K[key])
        if self.spoilt:  # what a decoder makes of an error can outlast a flush
            self._reopen()
        if key and self.cold:
            if self.touched:
                self._reopen()
            self._warm_up()
        if self.context is not self.stream.codec_context:  # which a seek flushes
            self.context.flush_buffers()
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
                        for size, packet in zip(memoryview(index.size_P.data)[number + 1 :], stored):
                            if packet.size != size:
                                return  # damage has led to another place than on the way from the start
                            yield packet
                        return
                    if self._number(packet.pts) > number:
                        break
        if self.touched:
            self._rewind()
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
        """A packet's place in the file by its stamp, −1 if it is not known: its picture is not displayed."""
        if self.index.pts_unreliable and pts is not None:
            return pts
        position = self.index.position(pts)
        return int(self.index.packet_N[position]) if position >= 0 else -1
