"""The columns of a FrameIndex that come from a file's packets: which are frames, when they are shown, what is a key.

Used by frame_index.py.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice, takewhile
from typing import Any

import numpy as np

from .bitstream import LARGEST_PLACEHOLDER, REORDERING
from .demux import Unusable
from .times import MISSING, Clock, Packet, count_on, display_times, order


def since_first_key(table: list[Packet]) -> list[Packet]:
    """Without what is stored before the first key frame; all where there is none."""
    first = next((i for i, p in enumerate(table) if p.key), 0)
    return table[first:]


def leading(table: list[Packet]) -> list[Packet]:
    """The packets stored after the first key frame and shown before it; `table` as from since_first_key."""
    first = table[0].pts
    group = takewhile(lambda p: not p.key, islice(table, 1, None))
    return [p for p in group if MISSING != p.pts < first and not p.hidden]


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
    decodable: Collection[int],
) -> dict[str, Any]:
    """The columns of FrameIndex that come from the packets.

    Args:
        table: from the first key frame on. tick: seconds. step: the nominal interval in ticks.
        reorder_depth: how many pictures the stream says it holds back.
        decodable: stamps of `leading` pictures that a decoder gives.
    """
    first = table[0]
    stored = codec not in REORDERING or all(p.key for p in table)
    own: dict[str, Any] = {}
    places: list[int] = []
    if container == "avi" and not stored:
        # AVI has no display times: libav guesses them, wrongly for packed B-frames and for H.264.
        clock, numbered, unknown = Clock(table, [], [_coded_time(p, step) for p in table], []), True, True
    else:
        clock = count_on(table, codec, container, tick, step)
        known = order(clock, codec, reorder_depth)
        numbered, unknown, places = bool(clock.notes) or known is None, known is None, known or []
    untimed = container == "avi" or all(p.pts == MISSING for p in table)
    if unknown and untimed and codec == "mpeg4" and all(p.size > LARGEST_PLACEHOLDER for p in table):
        shown, stamp = _mpeg4_order(clock.packets, step)
        unknown = False
    elif unknown:
        visible = [i for i, p in enumerate(table) if not p.hidden]
        shown, stamp = [clock.packets[i] for i in visible], sorted(clock.due_P[i] for i in visible)
        if container != "avi":
            own = {"own_pts_N": np.array([p.pts for p in shown]), "own_dts_N": np.array([p.dts for p in shown])}
    else:
        dropped = {p.number for p in leading(table) if p.pts not in decodable}
        shown = [p for p in (clock.packets[i] for i in places) if not p.hidden and p.number not in dropped]
        stamp = [p.pts for p in shown]
        if MISSING in stamp or np.any(np.diff(stamp) <= 0):
            numbered, stamp = True, display_times(stamp, [p.dts for p in shown], step).tolist()
    if not shown:
        raise Unusable("the video stream has no frames")
    last = shown[-1].duration or (round(float(np.median(np.diff(stamp)))) if len(stamp) > 1 else step)
    packet_N, stamp_N = np.array([p.number for p in shown], np.int64), np.array(stamp, np.int64)
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


def _coded_time(packet: Packet, step: int) -> int:
    return packet.dts if packet.dts != MISSING else packet.number * step
