"""What a file's first pictures tell of all: how it is turned, and which packets can be decoded without others.

Used by frame_index.py.
"""

from __future__ import annotations

import math
from typing import cast

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from .demux import frames_of
from .times import Packet


def undecodable(stream: VideoStream, opening: list[av.Packet], early: list[Packet]) -> set[int]:
    """Numbers of those that a decoder does not give, undamaged, of pictures stored after a key frame and shown before.

    opening: the file's first packets from that key frame on.
    """
    given = {f.pts for f in frames_of(stream, opening) if not f.is_corrupt} if early else set()
    return {p.number for p in early if p.pts not in given}


# Codecs whose decoders give no picture for what refers to pictures that they have not seen, and those in which pictures
# are drawn over those before, also over what was called a key frame.
REFUSING = {"ffv1", "vp8", "vp9", "av1", "hevc", "vvc", "png"}
CANVAS = {"gif", "apng", "webp"}


def keys_lie(stream: VideoStream, codec: str, opening: list[av.Packet], *, all_keys: bool) -> bool:
    """Whether packets are called key frames that are none; `opening`: the first ones, all_keys: all are called so."""
    alone = stream.codec_context.codec.intra_only or codec in REFUSING
    return codec in CANVAS or (all_keys and not alone and not all_stand_alone(stream, opening))


def all_stand_alone(stream: VideoStream, opening: list[av.Packet]) -> bool:
    """Whether some of a file's first packets, alone, give the pictures that they give after those before them."""
    for i, packet in enumerate(opening):
        packet.pts = i
    after = {frame.pts: frame for frame in frames_of(stream, opening)}
    for i in (1, 2, 3, 5, 8, 13, 21, 32):
        if i < len(opening):
            alone = next(iter(frames_of(stream, [opening[i]])), None)
            if alone is None or i not in after or not _same_picture(alone, after[i]):
                return False
    return True


def _same_picture(a: VideoFrame, b: VideoFrame) -> bool:
    return np.array_equal(a.reformat(format="rgb24").to_ndarray(), b.reformat(format="rgb24").to_ndarray())


def orientation(frame: VideoFrame) -> tuple[int, bool]:
    """How the stored picture is shown: (degrees clockwise to the nearest quarter turn, then flipped left to right).

    From the display matrix (a, b, u, c, d, v, x, y, w): a stored point (p, q) is shown at (a·p + c·q, b·p + d·q).
    """
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except (KeyError, ValueError):  # some other side data is of a kind that PyAV does not know
        return -frame.rotation % 360 // 90 * 90, False
    if matrix is None:
        return 0, False
    a, b, _, c, d = np.frombuffer(cast(bytes, matrix), np.int32)[:5].astype(float)
    mirrored = bool(a * d - b * c < 0)
    angle = math.degrees(math.atan2(b, -a if mirrored else a))
    return round(angle / 90) % 4 * 90, mirrored
