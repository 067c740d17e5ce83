"""The columns of a FrameIndex that come from a file's packets: which are frames, when they are shown, what is a key.

Used by frame_index.py.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from .bitstream import (
    B_PICTURES,
    LARGEST_PLACEHOLDER,
    PICTURES,
    REORDERING,
    is_b_picture,
    pictures,
    stands_alone,
)
from .decoder_state import State
from .demux import Unusable, VideoFile, packets
from .times import DEEPEST, MISSING, Clock, Packet, count_on, display_times, order


class Stored(NamedTuple):
    """What has been read of a stream.

    packets: those that show something. size_P: bytes of all packets. heads: at most four, the first of all and the
    first key frames. opening: the first ones from there on. marked: how many are incomplete, says the container.
    """

    packets: list[Packet]
    size_P: list[int]
    heads: list[av.Packet]
    opening: list[av.Packet]
    marked: int


def read_packets(file: VideoFile, stream: VideoStream, codec: str, state: State) -> Stored:
    """Read all packets of a stream; `state` takes what they tell a decoder."""
    table, sizes, heads, opening = list[Packet](), list[int](), list[av.Packet](), list[av.Packet]()
    marked, latest, typed, parsed = 0, MISSING, codec in B_PICTURES, codec in PICTURES
    see, at, speaking, new = (
        state.see,
        state.at,
        state.speaking,
        tuple.__new__,
    )  # (NamedTuple's own takes twice as long)
    for number, packet in enumerate(packets(file, stream)):
        size, keyed = packet.size, packet.is_keyframe
        shown = pictures(codec, packet) if parsed else "?"
        marked += packet.is_corrupt
        if shown:
            pts, dts = packet.pts, packet.dts
            pts, dts = MISSING if pts is None else pts, MISSING if dts is None else dts
            key = keyed and stands_alone(codec, packet, shown)
            if pts >= latest:
                latest = pts
                if typed and not key and is_b_picture(codec, packet, state.prefixed):
                    shown = "B"
            fields = number, pts, dts, packet.duration or 0, key, shown, size, packet.is_discard
            table.append(new(Packet, fields))
            if len(heads) < 4 and (key or not heads):
                heads.append(packet)
            if heads and len(opening) < DEEPEST:
                opening.append(packet)
        if keyed or (speaking and size > at and memoryview(packet)[at] in speaking):
            see(number, packet)
        sizes.append(size)
    return Stored(table, sizes, heads, opening, marked)


def since_first_key(table: list[Packet]) -> list[Packet]:
    """Without what is stored before the first key frame; all where there is none."""
    first = next((i for i, p in enumerate(table) if p.key), 0)
    return table[first:]


def leading(table: list[Packet]) -> list[Packet]:
    """The packets stored after the first key frame and shown before it; `table` as from since_first_key."""
    first = table[0].pts
    end = next((i for i in range(1, len(table)) if table[i].key), len(table))
    return [p for p in table[1:end] if p.pts < first and p.pts != MISSING and not p.hidden]


def damage_notes(total: int, marked: int, expected: int, *, ended_early: bool) -> tuple[str, ...]:
    """What a container tells of damage, for users.

    Args:
        total: packets that could be read. marked: those that the container says are incomplete. expected: how many its
            header promises, 0 where it does not. ended_early: reading ended by an error.
    """
    return (
        *([f"{marked} of its packets are incomplete"] if marked else []),
        *([f"{total} of its {expected} frames can be read"] if total < expected else []),
        *(["it is damaged and cannot be read to its end"] if ended_early else []),
    )


def time_table(
    table: list[Packet],
    codec: str,
    container: str,
    tick: float,
    step: int,
    reorder_depth: int,
    dropped: Collection[int],
) -> dict[str, Any]:
    """The columns of FrameIndex that come from the packets.

    Args:
        table: from the first key frame on. tick: seconds. step: the nominal interval in ticks.
        reorder_depth: how many pictures the stream says it holds back.
        dropped: numbers of `leading` packets whose pictures a decoder does not give.
    """
    first, own = table[0], dict[str, Any]()
    stored = codec not in REORDERING or all(p.key for p in table)
    known: NDArray[np.int64] | None = None
    if container == "avi" and not stored:
        # AVI has no display times: libav guesses them, wrongly for packed B-frames and for H.264.
        clock = Clock(table, np.empty(0, np.int64), [], [_coded_time(p, step) for p in table], [])
    else:
        clock = count_on(table, codec, container, tick, step)
        known = order(clock, codec, reorder_depth)
    unknown, numbered = known is None, known is None or bool(clock.notes)
    untimed = container == "avi" or all(p.pts == MISSING for p in table)
    if known is not None:
        if dropped or True in {p.hidden for p in table}:
            known = known[[not table[i].hidden and table[i].number not in dropped for i in known.tolist()]]
        shown, stamp_N = [table[i] for i in known.tolist()], clock.pts_P[known]
        if MISSING in stamp_N or np.any(np.diff(stamp_N) <= 0):
            numbered, stamp_N = True, display_times(stamp_N.tolist(), [clock.packets[i].dts for i in known], step)
    elif untimed and codec == "mpeg4" and all(p.size > LARGEST_PLACEHOLDER for p in table):
        shown, stamp = _mpeg4_order(clock.packets, step)
        stamp_N, unknown = np.array(stamp, np.int64), False
    else:
        visible = [i for i, p in enumerate(table) if not p.hidden]
        shown, due_P = [clock.packets[i] for i in visible], clock.due_P or [_decoding_time(p) for p in table]
        stamp_N = np.array(sorted(due_P[i] for i in visible), np.int64)
        if container != "avi":
            own = {"own_pts_N": np.array([p.pts for p in shown]), "own_dts_N": np.array([p.dts for p in shown])}
    if not shown:
        raise Unusable("the video stream has no frames")
    last = shown[-1].duration or (round(float(np.median(np.diff(stamp_N)))) if len(stamp_N) > 1 else step)
    packet_N = np.array([p.number for p in shown], np.int64)
    keys = [p for p in table if p.key] or [first]
    key_packet_K = np.array([p.number for p in keys], np.int64)
    if numbered:
        place = {p.number: i for i, p in enumerate(shown)}
        first_decodable_K = np.array([place.get(p.number, 0) for p in keys], np.int64)
    else:
        first_decodable_K = np.searchsorted(stamp_N, [p.pts for p in keys])
    return {
        "stamp_N": stamp_N,
        "end": int(stamp_N[-1]) + last,
        "decoder_pts_N": packet_N if numbered else stamp_N,
        "packet_N": packet_N,
        "key_pts_K": key_packet_K if numbered else np.array([p.pts for p in keys], np.int64),
        "key_packet_K": key_packet_K,
        "first_decodable_K": np.maximum.accumulate(first_decodable_K),
        "pts_unreliable": numbered,
        "display_order_unknown": unknown,
        "notes": tuple(clock.notes),
        **own,
    }


def _mpeg4_order(table: list[Packet], step: int) -> tuple[list[Packet], list[int]]:
    """(packets in display order, their times) of MPEG-4 part 2 from its picture types.

    A picture that others refer to is shown when the next such one is decoded, B-pictures at once. Times are therefore
    one decoding time late where there are B-pictures, as with ffmpeg.
    """
    shown: list[Packet] = []
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


def _decoding_time(packet: Packet) -> int:
    return packet.pts if packet.dts == MISSING else packet.dts


def _coded_time(packet: Packet, step: int) -> int:
    return packet.dts if packet.dts != MISSING else packet.number * step
