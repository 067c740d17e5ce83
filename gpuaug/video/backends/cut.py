"""Windows of a file as small files in memory: what the decoders of other libraries are given. Nothing is decoded.

Such a library would read a file from its start, and count frames in its own way. It is given the packets from the key
frame to the last frame that is wanted, in Matroska, with time stamps that count the pictures in display order from 0.
Used by the backends that are not PyAV; imports the packets of pyav.py.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from ..bitstream import hides_pictures, pictures, recovers_later
from ..demux import Unusable
from ..frame_index import FrameIndex
from . import FrameRequest
from .nvdec import Kind, kind_of
from .parts import stretches_of
from .pyav import _File

CONTAINER = "matroska"  # takes every codec that these libraries decode, and time stamps as they are
TICK = Fraction(1, 1000)  # of it, in seconds; here it is one picture
PROGRESSIVE = {0, 1}  # libav's field orders: not told, and progressive


class Piece(NamedTuple):
    """Wanted frames that are decoded from one key frame: `positions` (T,), ascending; bytes: of the packets."""

    key: int
    positions: list[int]
    bytes: int


class Cut(NamedTuple):
    """A piece as a file of its own.

    Args:
        data: uint8, the file.
        number_T: int32, the number of each wanted frame among its pictures in display order.
        kind: the class of videos that it is of. width, height: of the pictures as coded, in pixels.
        hidden: some of its packets store pictures that are not shown.
        fields: its pictures may be stored as two fields.
        delay: how many pictures are stored, at most, before one that is shown earlier.
    """

    data: NDArray[np.uint8]
    number_T: NDArray[np.int32]
    kind: Kind
    width: int
    height: int
    hidden: bool
    fields: bool
    delay: int


def pieces_of(request: FrameRequest) -> list[Piece]:
    """The frames of all its windows, each once, by the key frames that they are decoded from."""
    index = request.index
    bytes_before = np.concatenate([[0], np.cumsum(index.size_P, dtype=np.int64)])
    found: list[Piece] = []
    reached = -1  # the last packet of the one before
    for key, positions in stretches_of(index, request.union):
        first, last = int(index.key_packet_K[key]), int(index.packet_N[positions].max())
        size = int(bytes_before[last + 1] - bytes_before[first])
        if found and first <= reached + 1:  # goes on where that ends
            found[-1] = Piece(found[-1].key, found[-1].positions + positions, found[-1].bytes + size)
        else:
            found.append(Piece(key, positions, size))
        reached = last
    return found


def why_not_cut(index: FrameIndex) -> str:
    """Why no pieces of this file can be cut that are decoded like it; empty if they can."""
    if index.state and any(told.number > index.key_packet_K[0] for told in index.state.told):
        return "its headers or its palette change on the way"
    if len(index.key_packet_K) == 1 and index.codec in ("gif", "apng", "webp"):
        return f"{index.codec} is no codec of videos elsewhere"
    return ""


def cut(index: FrameIndex, pieces: Sequence[Piece]) -> list[Cut]:
    """The pieces as files.

    Raises:
        Unusable: the frames that a decoder would give for the packets are not those of the time table.
        OSError: the file cannot be read, or memory is short.
    """
    with _File(index) as file:
        return [_cut(file, piece) for piece in pieces]


def _cut(file: _File, piece: Piece) -> Cut:
    index = file.index
    first, last = int(index.key_packet_K[piece.key]), int(index.packet_N[piece.positions].max())
    kept: list[av.Packet] = []
    time_P: list[int] = []
    hidden, reached = False, first - 1
    for reached, packet in enumerate(file._packets_from(piece.key), first):
        time, shown = file._time(packet.pts), index.position(packet.pts) >= 0
        # What is stored after the key frame and shown before it may need others, and nothing else needs it.
        if not kept or time >= time_P[0]:
            if packet.is_corrupt:
                raise Unusable("its container marks packets as incomplete")
            if not pictures(index.codec, packet) or not (shown or packet.is_discard):
                raise Unusable("it has packets that show no picture of their own")
            if not kept and index.codec == "h264" and recovers_later(packet, index.prefixed):
                raise Unusable("its pictures are refreshed gradually, without key frames")
            hidden = hidden or hides_pictures(index.codec, packet)
            kept.append(packet)
            time_P.append(time)
        if reached == last:
            break
    if reached < last:
        raise Unusable("its packets are not where they were")
    rank_P = np.argsort(np.argsort(time_P, kind="stable"))
    if len(set(time_P)) < len(time_P):
        raise Unusable("two of its pictures are shown at the same time")
    places = {time: int(rank) for time, rank in zip(time_P, rank_P)}
    number_T = [places[file._time(int(index.decoder_pts_N[i]))] for i in piece.positions]
    delay = int(np.max(np.arange(len(rank_P)) - rank_P))
    context = file.stream.codec_context
    return Cut(
        np.frombuffer(_written(file, kept, rank_P, delay), np.uint8),
        np.array(number_T, np.int32),
        kind_of(index.codec, index.pixel_format),
        context.coded_width or context.width,
        context.coded_height or context.height,
        hidden,
        context.field_order not in PROGRESSIVE,
        delay,
    )


def _written(file: _File, packets: list[av.Packet], rank_P: NDArray[np.int64], delay: int) -> bytes:
    """A file of these packets, whose time stamps are their ranks, by `delay` later: none is shown before decoding."""
    out = io.BytesIO()
    try:
        with av.open(out, "w", format=CONTAINER) as target:
            stream = target.add_stream_from_template(file.stream, opaque=True)
            stream.set_display_rotation(0)  # some decoders would turn the pictures
            for i, (packet, rank) in enumerate(zip(packets, rank_P.tolist())):
                packet.pts, packet.dts, packet.duration, packet.time_base = rank + delay, i, 1, TICK
                packet.is_keyframe = not i
                packet.stream = stream
                target.mux(packet)
    except (av.FFmpegError, ValueError) as error:
        raise Unusable(f"it cannot be put into {CONTAINER}: {error}") from None
    return out.getvalue()
