"""Which frames a video file shows, when, and from which key frames they can be decoded.

Legend: N displayed frames in display order, K key frames, T frames of a window.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

import av
import numpy as np
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from .demux import (
    LARGEST_PLACEHOLDER,
    Unusable,
    VideoFile,
    check_memory,
    codec_name,
    first_frame,
    orientation,
    packets,
    pictures,
    videos,
)

# Codecs that may show frames in another order than they store them.
REORDERING = {"h264", "hevc", "vvc", "mpeg1video", "mpeg2video", "mpeg4", "vc1", "wmv3", "cavs", "rv30", "rv40"}


@dataclass(frozen=True, eq=False)
class FrameIndex:
    """The time table of a file's first video stream.

    Args:
        stamp_N: int64, ascending; time stamps of the displayed frames in ticks of `tick_seconds`.
        end: tick at which the last frame's time is over. Seconds, everywhere else, count from stamp_N[0].
        decoder_pts_N: int64; what a decoded frame carries as its time stamp: stamp_N where the container has reliable
            display times. Elsewhere (`pts_unreliable`) packets are numbered before decoding, and it is packet_N.
        packet_N: int64; place of each frame's packet in the file.
        key_pts_K, key_packet_K: int64, ascending; each key frame's time stamp, as in decoder_pts_N, and its packet.
        first_decodable_K: int64, ascending; the position from which on all frames can be decoded from each key frame.
            (An edit list may hide the key frame itself.)
        display_order_unknown: it must be learnt from the decoder (see `reordered`); until then: as stored.
        frame_numbers_agree: each packet is a displayed frame, and there is one video stream, so that the frame numbers
            of other decoders agree with positions here.
        matrix: the frames' YUV matrix, as in ISO/IEC 23091-2 (1 BT.709, 2 not told, 5 and 6 BT.601, 9 BT.2020).
        width, height: display size in pixels, after pixel aspect and rotation.
        rotation: degrees clockwise by which the stored picture is turned. mirrored: then flipped left to right.
    """

    path: str
    tick_seconds: float
    stamp_N: NDArray[np.int64]
    end: int
    decoder_pts_N: NDArray[np.int64]
    packet_N: NDArray[np.int64]
    key_pts_K: NDArray[np.int64]
    key_packet_K: NDArray[np.int64]
    first_decodable_K: NDArray[np.int64]
    pts_unreliable: bool
    display_order_unknown: bool
    frame_numbers_agree: bool
    codec: str
    pixel_format: str
    matrix: int
    full_range: bool
    width: int
    height: int
    rotation: int
    mirrored: bool

    @cached_property
    def seconds_N(self) -> NDArray[np.float64]:
        """Display times in seconds; the first is 0."""
        return (self.stamp_N - self.stamp_N[0]) * self.tick_seconds

    @property
    def duration_seconds(self) -> float:
        """From the first frame's time to the last frame's end."""
        return float(self.end - self.stamp_N[0]) * self.tick_seconds

    @property
    def variable_rate(self) -> bool:
        """Whether intervals differ by more than rounding one rate to ticks explains (one tick, and a quarter)."""
        step = np.diff(self.stamp_N)
        return bool(len(step)) and bool(step.max() - step.min() > 1 or step.max() > 1.25 * step.min())

    def frames_at(self, start_seconds: float, fps: float, frames: int, edge: str = "error") -> NDArray[np.int64]:
        """Positions (T,) of the frames shown at start_seconds + k/fps.

        That is the last frame whose time is not later. Times count as equal within one tick, which is what rounding
        both of them to ticks can change their difference by, but at most within an eighth of a frame, so that a coarse
        tick (AVI: one frame) does not turn "shown at" into "nearest to".

        Raises:
            Unusable: the window passes the end of the video, and `edge` is not "repeat".
        """
        seconds_N = self.seconds_N
        frame = float(np.median(np.diff(seconds_N))) if len(seconds_N) > 1 else self.duration_seconds
        at_T = start_seconds + np.arange(frames) / fps + min(self.tick_seconds, frame / 8)
        if edge != "repeat" and at_T[-1] >= self.duration_seconds:
            last = start_seconds + (frames - 1) / fps
            raise Unusable(
                f"the window's last frame, at {last:.3f} s, is past the video's end, {self.duration_seconds:.3f} s"
            )
        return np.maximum(np.searchsorted(seconds_N, at_T, side="right") - 1, 0)

    def reordered(self, numbers: list[int]) -> FrameIndex:
        """The same file, with its frames' packet numbers in display order (frames that are not in it are not shown)."""
        place = {int(number): i for i, number in enumerate(self.packet_N)}
        shown_N = np.array([place[number] for number in numbers if number in place])
        packet_N = self.packet_N[shown_N]
        where = {int(number): i for i, number in enumerate(packet_N)}
        first_decodable_K = np.array([where.get(int(number), 0) for number in self.key_packet_K])
        return replace(
            self,
            stamp_N=np.sort(self.stamp_N[shown_N]),
            decoder_pts_N=packet_N,
            packet_N=packet_N,
            first_decodable_K=np.maximum.accumulate(first_decodable_K),
            display_order_unknown=False,
        )


MISSING = -(2**63)


class _Packet(NamedTuple):
    number: int
    pts: int
    dts: int
    duration: int
    key: bool
    picture: str
    size: int
    hidden: bool


def read_index(path: str) -> FrameIndex:
    """The time table of a file. All packets are read; nothing is decoded but one key frame.

    That frame gives what libav tells of frames only: display matrix, size after cropping, colour. Not counted as
    frames: packets that an edit list hides, pictures that are not shown (VP8, VP9), placeholders (MPEG-4 in AVI),
    packets the container marks as incomplete, and what is shown before the first key frame.

    Raises:
        Unusable: there is nothing to decode, with the reason. OSError: the file may not or cannot be read, or memory
            is short.
    """
    try:
        return _read_index(path)
    finally:
        check_memory()


def _read_index(path: str) -> FrameIndex:
    with VideoFile(path) as file:
        container = file.container
        streams = videos(container)
        stream, codec = streams[0], codec_name(streams[0])
        total = 0
        table: list[_Packet] = []
        heads: list[av.Packet] = []
        for packet in packets(file, stream):
            shown = "" if packet.is_corrupt else pictures(codec, packet)
            if shown:
                pts = MISSING if packet.pts is None else packet.pts
                dts = MISSING if packet.dts is None else packet.dts
                flags = packet.is_keyframe, shown, packet.size, packet.is_discard
                table.append(_Packet(total, pts, dts, packet.duration or 0, *flags))
                if len(heads) < 4 and (packet.is_keyframe or not heads):
                    heads.append(packet)
            total += 1
        if not table:
            raise Unusable("the video stream has no frames")
        frame = first_frame(stream, heads)
        rotation, mirrored = orientation(frame)
        aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1
        width, height = max(1, round(frame.width * aspect)), frame.height
        if rotation % 180:
            width, height = height, width
        tick = stream.time_base or Fraction(1, 1000)
        rate = stream.average_rate or stream.guessed_rate or 25
        times = _times(table, codec, container.format.name, max(1, round(1 / (rate * tick))))
        return FrameIndex(
            path=path,
            tick_seconds=float(tick),
            **times,
            frame_numbers_agree=not times["pts_unreliable"] and total == len(times["stamp_N"]) and len(streams) == 1,
            codec=codec,
            pixel_format=frame.format.name,
            matrix=int(frame.colorspace),
            full_range=frame.color_range == ColorRange.JPEG,
            width=width,
            height=height,
            rotation=rotation,
            mirrored=mirrored,
        )


def _times(table: list[_Packet], codec: str, container: str, step: int) -> dict[str, Any]:
    """The columns of FrameIndex that come from the packets; `step`: the nominal interval in ticks."""
    first = next((p for p in table if p.key), table[0])
    table = [p for p in table if p.number >= first.number]
    stamps = [p.pts for p in table]
    stored = codec not in REORDERING or all(p.key for p in table)
    # AVI has no display times: libav guesses them, wrongly for packed B-frames and for H.264. A container that gives
    # none, or the same twice, is no better.
    pts_unreliable = (container == "avi" and not stored) or MISSING in stamps or len(set(stamps)) < len(stamps)
    display_order_unknown = False
    if not pts_unreliable:
        shown = sorted((p for p in table if not p.hidden and p.pts >= first.pts), key=lambda p: p.pts)
        stamp = [p.pts for p in shown]
    elif codec == "mpeg4" and all(p.size > LARGEST_PLACEHOLDER for p in table):
        shown, stamp = _mpeg4_order(table, step)
    else:
        shown, display_order_unknown = [p for p in table if not p.hidden], not stored
        stamp = sorted(_coded_time(p, step) if container == "avi" or p.pts == MISSING else p.pts for p in shown)
    if not shown:
        raise Unusable("the video stream has no frames")
    last = shown[-1].duration or (round(float(np.median(np.diff(stamp)))) if len(stamp) > 1 else step)
    packet_N, stamp_N = np.array([p.number for p in shown], np.int64), np.array(stamp, np.int64)
    keys = [p for p in table if p.key] or [first]
    key_packet_K = np.array([p.number for p in keys], np.int64)
    if pts_unreliable:
        place = {p.number: i for i, p in enumerate(shown)}
        first_decodable_K = np.array([place.get(p.number, 0) for p in keys], np.int64)
    else:
        first_decodable_K = np.searchsorted(stamp_N, [p.pts for p in keys])
    return {
        "stamp_N": stamp_N,
        "end": int(stamp_N[-1]) + last,
        "decoder_pts_N": packet_N if pts_unreliable else stamp_N,
        "packet_N": packet_N,
        "key_pts_K": key_packet_K if pts_unreliable else np.array([p.pts for p in keys], np.int64),
        "key_packet_K": key_packet_K,
        "first_decodable_K": np.maximum.accumulate(first_decodable_K),
        "pts_unreliable": pts_unreliable,
        "display_order_unknown": display_order_unknown,
    }


def _mpeg4_order(table: list[_Packet], step: int) -> tuple[list[_Packet], list[int]]:
    """(packets in display order, their times) of MPEG-4 part 2 from its picture types.

    A picture that others refer to is shown when the next such one is decoded, B-pictures at once. Times are therefore
    one decoding time late where there are B-pictures, as with ffmpeg.
    """
    shown: list[_Packet] = []
    held = table[0]
    for packet in table[1:]:
        if packet.picture[0] == "B":
            if shown:  # else its first reference is missing
                shown.append(packet)
        else:
            shown.append(held)
            held = packet
    shown.append(held)
    stamp = sorted(_coded_time(p, step) for p in shown)
    if any(p.picture[0] == "B" for p in table):
        stamp = [*stamp[1:], stamp[-1] + step]
    return shown, stamp


def _coded_time(packet: _Packet, step: int) -> int:
    return packet.dts if packet.dts != MISSING else packet.number * step
