"""Which frames a video file shows, when, and from which key frames they can be decoded.

Legend: N displayed frames in display order, K key frames, T frames of a window.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from .decoder_state import State, Told
from .demux import (
    NO_FRAMES,
    NoFrames,
    Unusable,
    VideoFile,
    check_memory,
    codec_name,
    first_frame,
    prepare,
    videos,
)
from .first_pictures import keys_lie, orientation, undecodable
from .time_table import damage_notes, leading, read_packets, since_first_key, time_table
from .times import constant_interval, display_times


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
        size_P: bytes of every packet P of the stream, also of those that are no frames. bytes: of the file.
        stream: its index in the container.
        prefixed: NAL units come after their lengths, not after start codes.
        marked: how many packets the container says are incomplete.
        notes: what is implausible about the file, in words for users.
        interval: ticks from frame to frame where the rate is constant and stamps are rounded to ticks; else 0.
        state: what packets tell a decoder for later ones, where a key frame does not repeat it.
        own_pts_N, own_dts_N: where the order must be learnt, the stored packets' stamps, MISSING where unknown.
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
    size_P: NDArray[np.int32]
    bytes: int
    stream: int = 0
    prefixed: bool = False
    marked: int = 0
    notes: tuple[str, ...] = ()
    interval: float = 0.0
    state: State | None = None
    own_pts_N: NDArray[np.int64] | None = None
    own_dts_N: NDArray[np.int64] | None = None

    @cached_property
    def seconds_N(self) -> NDArray[np.float64]:
        """Display times in seconds; the first is 0."""
        return (self.stamp_N - self.stamp_N[0]) * self.tick_seconds

    @cached_property
    def waits_N(self) -> NDArray[np.int64]:
        """For each frame the last position among those stored no later: when that has come out, all of them have."""
        stored_N = np.argsort(self.packet_N)
        waits_N = np.empty_like(stored_N)
        waits_N[stored_N] = np.maximum.accumulate(stored_N)
        return waits_N

    @cached_property
    def _place(self) -> dict[int, int]:
        return {int(number): i for i, number in enumerate(self.packet_N)}

    def position(self, pts: int | None) -> int:
        """Of the frame that a decoder gives this time stamp (as in decoder_pts_N); −1 where there is none."""
        if pts is None:
            return -1
        if self.pts_unreliable:
            return self._place.get(pts, -1)
        i = int(np.searchsorted(self.stamp_N, pts))
        return i if i < len(self.stamp_N) and self.stamp_N[i] == pts else -1

    @property
    def duration_seconds(self) -> float:
        """From the first frame's time to the last frame's end."""
        if self._even:
            return len(self.stamp_N) * self.interval * self.tick_seconds
        return float(self.end - self.stamp_N[0]) * self.tick_seconds

    @property
    def _even(self) -> bool:
        """Whether the last frame lasts no longer than the others of a constant rate, as far as ticks tell."""
        return self.interval > 0 and self.end - int(self.stamp_N[-1]) <= self.interval + 1

    @property
    def variable_rate(self) -> bool:
        """Whether intervals differ by more than rounding one rate to ticks explains (one tick, and a quarter)."""
        step = np.diff(self.stamp_N)
        if self.interval or not len(step):
            return False
        return bool(step.max() - step.min() > 1 or step.max() > 1.25 * step.min())

    def frames_at(self, start_seconds: float, fps: float, frames: int, edge: str = "error") -> NDArray[np.int64]:
        """Positions (T,) of the frames shown at start_seconds + k/fps.

        That is the last frame whose time is not later. Times count as equal within one tick, which is what rounding
        both of them to ticks can change their difference by, but at most within an eighth of a frame, so that a coarse
        tick (AVI: one frame) does not turn "shown at" into "nearest to". Where that is less than a tick and the rate is
        constant (milliseconds at 240 frames a second), times are those before they were rounded.

        Raises:
            Unusable: the window passes the end of the video, and `edge` is not "repeat".
        """
        seconds_N = self.seconds_N
        if 0 < self.interval < 8:
            seconds_N = np.arange(len(seconds_N), dtype=np.float64) * (self.interval * self.tick_seconds)
        frame = float(np.median(np.diff(seconds_N))) if len(seconds_N) > 1 else self.duration_seconds
        at_T = start_seconds + np.arange(frames) / fps + min(self.tick_seconds, frame / 8)
        if edge != "repeat" and at_T[-1] >= self.duration_seconds:
            last = start_seconds + (frames - 1) / fps
            raise Unusable(
                f"the window's last frame, at {last:.3f} s, is past the video's end, {self.duration_seconds:.3f} s"
            )
        return np.maximum(np.searchsorted(seconds_N, at_T, side="right") - 1, 0)

    def saved(self) -> dict[str, Any] | None:
        """All but the path, as plain values and arrays; None where there is side data of packets."""
        found = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("path", "state")}
        if self.state is not None:
            if any(told.side is not None for told in self.state.told):
                return None
            told = [[one.number, [unit.hex() for unit in one.headers]] for one in self.state.told]
            found["state"] = [self.state.extradata.hex(), self.state.paletted, told]
        same = [name for name in ("stamp_N", "packet_N") if self.decoder_pts_N is getattr(self, name)]
        return found | {"notes": list(self.notes), "decoder_pts_N": same[0] if same else self.decoder_pts_N}

    @classmethod
    def restored(cls, path: str, found: dict[str, Any] | None) -> FrameIndex | None:
        """What was `saved`; None where it was not."""
        try:
            values = dict(found or {})
            if isinstance(same := values["decoder_pts_N"], str):
                values["decoder_pts_N"] = values[same]
            if "state" in values:
                extradata, paletted, told = values["state"]
                values["state"] = State(values["codec"], bytes.fromhex(extradata), paletted=paletted)
                values["state"].told += [Told(n, tuple(bytes.fromhex(unit) for unit in units)) for n, units in told]
            index = cls(path=path, **values | {"notes": tuple(values["notes"])})
            counts = {len(index.stamp_N), len(index.packet_N), len(index.decoder_pts_N)}
            return index if len(counts) == 1 and len(index.size_P) > index.packet_N.max() else None
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def reordered(self, numbers: list[int], dts: list[int]) -> FrameIndex:
        """The same file, with its frames as a decoder gives them (what is not among them is not shown).

        Args:
            numbers: of each frame, that of its packet. dts: the decoding time of the packet after which it came out, or
                MISSING.
        """
        found = [(self._place[number], time) for number, time in zip(numbers, dts) if number in self._place]
        shown_N = np.array([i for i, _ in found])
        packet_N = self.packet_N[shown_N]
        step = max(1, self.end - int(self.stamp_N[-1]))
        if self.own_pts_N is None:
            stamp_N = np.sort(self.stamp_N[shown_N])
        else:
            stamp_N = display_times(self.own_pts_N[shown_N].tolist(), [time for _, time in found], step)
        where = {int(number): i for i, number in enumerate(packet_N)}
        first_decodable_K = np.array([where.get(int(number), 0) for number in self.key_packet_K])
        return replace(
            self,
            stamp_N=stamp_N,
            end=int(stamp_N[-1]) + step,
            decoder_pts_N=packet_N,
            packet_N=packet_N,
            first_decodable_K=np.maximum.accumulate(first_decodable_K),
            display_order_unknown=False,
            own_pts_N=None,
            own_dts_N=None,
            interval=constant_interval(stamp_N, [], Fraction(self.tick_seconds).limit_denominator(10_000_000)),
        )


STREAMS = 8  # of one file, of which one with frames is looked for


def read_index(path: str) -> FrameIndex:
    """The time table of a file. All packets are read; nothing is decoded but one key frame.

    That frame gives what libav tells of frames only: display matrix, size after cropping, colour. No frames: packets
    that an edit list hides, pictures that are not shown (VP8, VP9), placeholders (MPEG-4 in AVI), what is shown before
    the first key frame.

    Raises:
        Unusable: there is nothing to decode, with the reason. OSError: the file cannot be read, or memory is short.
    """
    try:
        for rank in range(STREAMS):
            try:
                return _read_index(path, rank)
            except NoFrames:
                continue
        raise NoFrames(NO_FRAMES)
    finally:
        check_memory()


def _read_index(path: str, rank: int) -> FrameIndex:
    """The time table of the stream that ffmpeg would choose if there were not the `rank` before it."""
    with VideoFile(path) as file:
        container = file.container
        streams = videos(container)
        if rank >= len(streams):
            raise Unusable(NO_FRAMES)
        stream = streams[rank]
        prepare(stream)
        codec = codec_name(stream)
        state = State(codec, stream.codec_context.extradata, paletted=stream.codec_context.pix_fmt == "pal8")
        table, size_P, heads, opening, damaged = read_packets(file, stream, codec, state)
        if not table:
            raise NoFrames(NO_FRAMES)
        frame = first_frame(stream, heads)
        rotation, mirrored = orientation(frame)
        aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1
        width, height = max(1, round(frame.width * aspect)), frame.height
        width, height = (height, width) if rotation % 180 else (width, height)
        tick, rates = (
            stream.time_base or Fraction(1, 1000),
            (stream.average_rate, stream.base_rate, stream.guessed_rate),
        )
        step = max(1, round(1 / ((rates[0] or rates[2] or 25) * tick)))
        table = since_first_key(table)
        dropped = undecodable(stream, opening, leading(table))
        depth = stream.codec_context.reorder_depth
        if keys_lie(stream, codec, opening, all_keys=all(p.key for p in table)):
            table = [p._replace(key=not i) for i, p in enumerate(table)]
        columns = time_table(table, codec, container.format.name, float(tick), step, depth, dropped)
        expected = stream.frames if container.format.name.startswith("mov") else 0
        columns["notes"] += damage_notes(len(size_P), damaged, expected, ended_early=file.damaged)
        return FrameIndex(
            path=path,
            tick_seconds=float(tick),
            **columns,
            frame_numbers_agree=not columns["pts_unreliable"]
            and len(size_P) == len(columns["stamp_N"])
            and len(streams) == 1,
            codec=codec,
            pixel_format=frame.format.name,
            matrix=int(frame.colorspace),
            full_range=frame.color_range == ColorRange.JPEG,
            width=width,
            height=height,
            rotation=rotation,
            mirrored=mirrored,
            size_P=np.array(size_P, np.int32),
            bytes=file.reader.size,
            stream=stream.index,
            prefixed=state.prefixed,
            marked=damaged,
            state=state if state.told else None,
            interval=constant_interval(columns["stamp_N"], rates, tick),
        )
