"""What a decoder has been told by the packets before a key frame, so that it can be told again when it starts there.

Used by frame_index.py, which collects it, and backends/pyav.py. Imports bitstream.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import av
from av.packet import PacketSideData

from .bitstream import (
    EVERY_BYTE,
    PARAMETER_SETS,
    SEQUENCE,
    headers,
    is_prefixed,
    may_have_headers,
    with_headers,
)

SIDE_DATA: tuple[Literal["palette"], Literal["new_extradata"]] = ("palette", "new_extradata")


class Told(NamedTuple):
    """What packet `number` says for later ones: headers, as in bitstream.headers, or side data of some kind."""

    number: int
    headers: tuple[bytes, ...] = ()
    kind: str = ""
    side: PacketSideData | None = None


class State:
    """Collects that, packet by packet.

    Only key frames, and packets that have one of the bytes `speaking` at position `at`, can tell anything: few.

    Args:
        extradata: what the container tells a decoder before the first packet.
        paletted: pictures are indices into a palette, which may change anywhere; other side data does at key frames.
    """

    def __init__(self, codec: str, extradata: bytes | None, *, paletted: bool = False) -> None:
        self.paletted = paletted
        self.codec, self.extradata = codec, extradata or b""
        self.prefixed = is_prefixed(codec, extradata)
        self.told: list[Told] = []
        self._in_band = codec in PARAMETER_SETS or codec in SEQUENCE
        self.at, self.speaking = (0, EVERY_BYTE) if paletted else may_have_headers(codec, self.prefixed)
        self._headers: tuple[bytes, ...] = ()
        self._side: dict[str, bytes] = {}

    def see(self, number: int, packet: av.Packet) -> None:
        """Take the packet of this number."""
        if self._in_band:
            found = tuple(headers(self.codec, packet, self.prefixed))
            if (
                found
                and found != self._headers
                and (self._headers or any(unit not in self.extradata for unit in found))
            ):
                self._headers = found
                self.told.append(Told(number, found))
        if packet.is_keyframe or self.paletted:
            for side in packet.iter_sidedata():
                kind = _kind(side)
                if kind and self._side.get(kind) != bytes(side):
                    self._side[kind] = bytes(side)
                    self.told.append(Told(number, (), kind, side))

    def remind(self, number: int, packet: av.Packet) -> av.Packet:
        """Packet `number` with all that those before it have said, for a decoder that has seen none of them."""
        units: dict[bytes, None] = {}
        sides: dict[str, PacketSideData | None] = {}
        for one in self.told:
            if one.number > number:
                break
            for unit in one.headers if one.number < number else ():
                units.pop(unit, None)  # of those with the same purpose the last one holds
                units[unit] = None
            if one.kind:
                sides[one.kind] = one.side  # its own, too, which is not told again after a seek
        new = with_headers(self.codec, packet, units, self.prefixed) if units else packet
        for kind in SIDE_DATA:
            side = packet.get_sidedata(kind) if packet.has_sidedata(kind) else sides.get(kind)
            if side is not None and not new.has_sidedata(kind):
                new.set_sidedata(side)
        return new


def _kind(side: PacketSideData) -> str:
    """Which of SIDE_DATA it is, if any."""
    try:
        return side.data_type if side.data_type in SIDE_DATA else ""
    except IndexError:  # of a kind that PyAV does not know
        return ""
