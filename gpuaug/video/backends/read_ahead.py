"""A file's packets, some at a time, with what is to become of each.

While a picture is decoded, all other code leaves the processor's caches: packets read and looked at one by one take
several times as long as some in a row. Used by stretch.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice

import av

from ..bitstream import is_disposable, only_disposable_slices
from ..frame_index import FrameIndex

AT_ONCE, BYTES_AT_ONCE = 16, 1 << 18  # packets that are read before the first of them is decoded, and about their size


Read = tuple[int, av.Packet | None, int | None, bool]
"""A packet's number in the file, the packet, its time stamp, and whether its picture may be skipped. None: the end."""


def in_groups(
    index: FrameIndex, stored: Iterator[av.Packet], first: int, last: int, keep: Collection[int] | None
) -> Iterator[Read]:
    """These packets, the first of which has number `first`, and at last the end. None after `last` is read ahead.

    An H.264 packet with which a decoder that skips does nothing at all is left out. An error comes after what could be
    read before it.

    Args:
        keep: stamps of pictures that are not skipped; None: of all.
    """
    codec, prefixed = index.codec, index.prefixed
    sliced = codec == "h264" and prefixed and not index.marked  # what is marked as damaged has to be seen
    number = first
    error: Exception | None = None
    while error is None:
        begin, room, group = number, BYTES_AT_ONCE, list[Read]()
        try:
            for packet in islice(stored, max(1, min(AT_ONCE, last + 1 - number))):
                pts = packet.pts
                skipped = keep is not None and pts not in keep
                if not (skipped and sliced and number != last and only_disposable_slices(packet)):
                    group.append((number, packet, pts, skipped and is_disposable(codec, packet, prefixed)))
                number += 1
                room -= packet.size
                if room < 0:
                    break
        except Exception as found:
            error = found
        yield from group
        if number == begin:
            break
    if error is not None:
        try:
            raise error
        finally:
            del error  # which holds this frame
    yield number, None, None, False
