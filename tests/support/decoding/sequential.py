"""The reference for pictures: PyAV's decoder, from the first packet to the last, on one thread."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.bitstream
import numpy as np

from gpuaug.video.backends.pyav import learn_order, read_frames
from gpuaug.video.frame_index import FrameIndex, read_index


def digest(frame: av.VideoFrame) -> str:
    """MD5 of the picture as decoded, without what fills up its rows."""
    found = hashlib.md5(f"{frame.width}x{frame.height} {frame.format.name}".encode())
    for plane, part in zip(frame.planes, frame.format.components):
        packed = len(frame.planes) == 1 and len(frame.format.components) > 1
        size = max(1, frame.format.bits_per_pixel // 8) if packed else -(-part.bits // 8)
        rows = np.frombuffer(plane, np.uint8)[: plane.line_size * plane.height].reshape(plane.height, plane.line_size)
        found.update(rows[:, : plane.width * size].tobytes())
    if frame.format.name == "pal8":
        found.update(bytes(frame.planes[1]))
    return found.hexdigest()


def sequential(path: Path) -> list[str]:
    """The digests of all frames in the order in which they come out."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        stream.codec_context.thread_type, stream.codec_context.thread_count = "NONE", 1
        return [digest(frame) for frame in file.decode(stream)]


def _packets(demuxed: Iterator[Any], unpack: Any) -> Iterator[Any]:
    """Packets with something in them, to the first error (an empty one would tell a decoder that the file is over)."""
    try:
        for packet in demuxed:
            if unpack is not None:
                yield from unpack.filter(packet if packet.size else None)
            elif packet.size:
                yield packet
    except (av.FFmpegError, IndexError):
        return


def by_packet(
    path: Path, stream_index: int, options: dict[str, str] | None = None, *, keep: bool = False
) -> dict[int, str]:
    """The sequential decode: {number of the packet: digest of its picture}, on through errors.

    Packets of MPEG-4 are numbered as they are when two pictures in one are taken apart.
    keep: all pictures stay in memory, so that none is decoded over an earlier one.
    """
    kept = []
    found: dict[int, str] = {}
    with av.open(str(path), metadata_errors="ignore") as file:
        stream: Any = file.streams[stream_index]
        stream.codec_context.thread_type, stream.codec_context.thread_count = "NONE", 1
        stream.codec_context.options = options or {}
        number = 0
        unpack = None
        if stream.codec_context.codec.canonical_name == "mpeg4" and "mp4" not in file.format.name:
            unpack = av.bitstream.BitStreamFilterContext("mpeg4_unpack_bframes", stream)
        stored = _packets(file.demux(stream), unpack)
        while True:
            packet = next(stored, None)
            if packet is not None:
                packet.pts, number = number, number + 1
            try:
                for frame in stream.codec_context.decode(packet):
                    kept += [frame] if keep else []
                    if frame.pts is not None:
                        found.setdefault(frame.pts, digest(frame))
            except av.FFmpegError:
                pass
            if packet is None:
                return found


def index_of(path: Path) -> FrameIndex:
    """The time table, with the order learnt where it must be."""
    index = read_index(str(path))
    return learn_order(index) if index.display_order_unknown else index


def wrong_windows(path: Path, starts: list[int], length: int) -> list[str]:
    """What is not as in `sequential`: the number of frames, all frames in one go, and windows alone."""
    expected, index = sequential(path), index_of(path)
    count = len(index.stamp_N)
    found = [] if count == len(expected) else [f"{count} frames, not {len(expected)}"]
    for positions in (np.arange(count), *(np.arange(start, min(start + length, count)) for start in starts)):
        for i, frame in read_frames(index, positions):
            if i >= len(expected) or digest(frame) != expected[i]:
                found.append(f"frame {i} of {positions[0]} to {positions[-1]}")
    return found
