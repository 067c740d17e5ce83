"""What the bytes of a packet tell without decoding: which pictures it shows, and what it tells a decoder for later.

Used by demux's callers; imports nothing of gpuaug.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

import av

# Codecs that may show frames in another order than they store them.
REORDERING = {"h264", "hevc", "vvc", "mpeg1video", "mpeg2video", "mpeg4", "vc1", "wmv3", "cavs", "rv30", "rv40"}
LARGEST_PLACEHOLDER = 19  # bytes; an MPEG-4 picture that says only "as before" is shorter (libav's own limit)


PICTURES = {"mpeg4", "vp8", "vp9"}  # codecs of which pictures() tells more than "?"


def pictures(codec: str, packet: av.Packet) -> str:
    """One letter for each picture that a packet shows; empty if it shows none.

    MPEG-4: its type, I, P, B or S. VP8, VP9: "?" unless the frame is marked as not shown (a reference for later
    frames, VP8: RFC 6386 §9.1, VP9: bitstream specification §6.2). Everything else: "?".
    """
    data = memoryview(packet)
    if codec == "mpeg4":
        return "".join(
            "IPBS"[data[m.end()] >> 6] for m in re.finditer(b"\x00\x00\x01\xb6", data) if m.end() < len(data)
        )
    if codec == "vp8":
        return "?" if data[0] >> 4 & 1 else ""
    if codec == "vp9" and data[-1] & 0xE0 != 0xC0:  # a superframe, known by its last byte, always shows one frame
        bits = f"{data[0]:08b}{data[1] if len(data) > 1 else 0:08b}"[2:]
        bits = bits[3:] if bits[:2] == "11" else bits[2:]  # profile 3 has one more bit
        return "?" if bits[0] == "1" or bits[2] == "1" else ""  # show_existing_frame, frame_type, show_frame
    return "?"


def hides_pictures(codec: str, packet: av.Packet) -> bool:
    """Whether a VP9 packet has pictures that are decoded and not shown (a superframe), or shows one once more."""
    data = memoryview(packet)
    if codec != "vp9" or not len(data):
        return False
    profile_3 = data[0] >> 4 & 3 == 3
    return data[-1] & 0xE0 == 0xC0 or bool(data[0] >> (2 if profile_3 else 3) & 1)


B_PICTURES = {"h264", "mpeg1video", "mpeg2video"}  # codecs of which is_b_picture knows
# A picture's first slice begins with its first_mb_in_slice, 0, and its slice_type, 1 or 6: bits 1 010, or 1 00111.
H264_B = frozenset(byte for byte in range(256) if byte >> 4 == 0b1010 or byte >> 2 == 0b100111)


def is_b_picture(codec: str, packet: av.Packet, prefixed: bool) -> bool:
    """Whether it is certain that a packet's picture is a B-picture, which others stored before it may follow in time.

    H.264: slice_type of its first slice (ITU-T H.264 §7.4.3). MPEG-1 and -2: picture_coding_type (H.262 §6.3.9).
    """
    data = memoryview(packet)
    if codec == "h264":
        if prefixed and len(data) > 5 and data[4] & 31 == 1 and data[5] >= 128:
            return data[5] in H264_B  # as nearly all
        for kind, start in nal_units(codec, data, prefixed):
            if kind in (1, 5):
                return _h264_slice_type(data[start + 1 : start + 12]) in (1, 6)
    elif codec in ("mpeg1video", "mpeg2video"):
        at = bytes(data[:4096]).find(b"\0\0\1\0")
        return 0 <= at < len(data) - 5 and data[at + 5] >> 3 & 7 == 3
    return False


def is_disposable(codec: str, packet: av.Packet, prefixed: bool) -> bool:
    """Whether it is certain that no other picture refers to a packet's picture.

    H.264: nal_ref_idc of all its slices is 0 (ITU-T H.264 §7.4.1). MPEG-1, -2 and -4: it is a B-picture.
    """
    data = memoryview(packet)
    if codec == "h264":
        if prefixed and len(data) > 4 and data[4] & 31 in (1, 5) and data[4] & 0x60:
            return False  # as nearly all
        found = False
        for kind, start in nal_units(codec, data, prefixed):
            if 1 <= kind <= 5:
                if data[start] & 0x60:
                    return False
                found = True
        return found
    if codec == "mpeg4":
        return pictures(codec, packet) == "B"
    return is_b_picture(codec, packet, prefixed)


def only_disposable_slices(packet: av.Packet) -> bool:
    """Whether an H.264 packet, prefixed in four bytes, is certainly nothing but slices that no other picture refers to.

    A decoder that skips those does nothing with it, and finds no error in it.
    """
    view = memoryview(packet)
    at, size = 0, len(view)
    data = view.tobytes() if size > 4 and view[4] == 1 else b""
    while at + 4 < size and data[at + 4 : at + 5] == b"\1":  # nal_ref_idc 0, a slice
        begin, at = at + 4, at + 4 + int.from_bytes(data[at : at + 4], "big")
        if data.find(b"\0\0\1", begin, at) >= 0:  # where decoders would look for another NAL unit
            return False
    return at == size and not packet.has_sidedata("new_extradata")


def _h264_slice_type(head: memoryview) -> int:
    bits = int.from_bytes(head, "big")
    left = 8 * len(head)
    value = -1
    for _ in range(2):  # first_mb_in_slice, slice_type, in Exp-Golomb codes
        zeros = left - bits.bit_length()
        left -= 2 * zeros + 1
        if left < 0:
            return -1
        value = (bits >> left) - 1
        bits &= (1 << left) - 1
    return value


def recovers_later(packet: av.Packet, prefixed: bool) -> bool:
    """Whether an H.264 packet begins a gradual refresh: its recovery point (H.264 §D.2.8) is some frames later."""
    data = memoryview(packet)
    for kind, start in nal_units("h264", data, prefixed):
        if kind in VCL["h264"]:
            return False
        if kind == 6:
            at = start + 1
            while at + 2 < len(data) and data[at] != 0x80:  # messages: type and size, each in bytes that 255 goes on
                of, at = _until_not_255(data, at)
                size, at = _until_not_255(data, at)
                if of == 6:
                    return at < len(data) and data[at] < 0x80  # ue(v): a first bit of 1 is zero frames
                at += size
    return False


def _until_not_255(data: memoryview, at: int) -> tuple[int, int]:
    """(sum, position after it) of bytes up to the first that is not 255."""
    total = 0
    while at < len(data) and data[at] == 255:
        total, at = total + 255, at + 1
    return (total + data[at], at + 1) if at < len(data) else (total, at)


def nal_units(codec: str, data: memoryview, prefixed: bool) -> Iterator[tuple[int, int]]:
    """(type, position of its first byte) of the NAL units of an H.264, HEVC or VVC packet.

    `prefixed`: each comes after its length (in four bytes, as all muxers write it) and not after a start code.
    """
    size = len(data)
    if not prefixed:
        for match in re.finditer(b"\0\0\1", data):
            if match.end() + 1 < size:
                yield _nal_type(codec, data, match.end()), match.end()
        return
    at = 0
    while at + 6 <= size:
        yield _nal_type(codec, data, at + 4), at + 4
        at += 4 + int.from_bytes(data[at : at + 4], "big")


def is_prefixed(codec: str, extradata: bytes | None) -> bool:
    """Whether NAL units come after their lengths, as MP4 and Matroska have them."""
    first = extradata[0] if extradata else 0
    return first == 1 or (codec == "vvc" and first not in (0, 1) and bool(extradata))


def _nal_type(codec: str, data: memoryview, at: int) -> int:
    if codec == "h264":
        return data[at] & 31
    return data[at] >> 1 & 63 if codec == "hevc" else data[at + 1] >> 3


# NAL unit types that hold for later pictures: video, sequence and picture parameter sets.
PARAMETER_SETS = {"h264": {7, 8, 13, 15}, "hevc": {32, 33, 34}, "vvc": {14, 15, 16}}
VCL = {"h264": range(1, 6), "hevc": range(32), "vvc": range(12)}
# MPEG start codes: those that open a sequence, and those at which its header is over.
SEQUENCE = {
    "mpeg1video": (b"\xb3", b"\xb8\x00"),
    "mpeg2video": (b"\xb3", b"\xb8\x00"),
    "mpeg4": (b"\xb0\xb5", b"\xb3\xb6"),
}


EVERY_BYTE = frozenset(range(256))


def may_have_headers(codec: str, prefixed: bool) -> tuple[int, frozenset[int]]:
    """(position, values): only packets that have one of these bytes there have `headers`."""
    if codec in SEQUENCE:
        return 3, frozenset(SEQUENCE[codec][0])
    if codec not in PARAMETER_SETS:
        return 0, frozenset()
    if not prefixed:
        return 0, EVERY_BYTE
    at = 5 if codec == "vvc" else 4
    return at, frozenset(b for b in range(256) if _nal_type(codec, memoryview(bytes([b, b])), 0) not in VCL[codec])


def headers(codec: str, packet: av.Packet, prefixed: bool) -> list[bytes]:
    """What a packet tells a decoder for all that follows: parameter sets, or a sequence's header; mostly nothing."""
    data = memoryview(packet)
    if codec in PARAMETER_SETS:
        if len(data) < 6 or (prefixed and _nal_type(codec, data, 4) in VCL[codec]):
            return []
        starts: list[tuple[int, int]] = []
        for unit in nal_units(codec, data, prefixed):
            starts.append(unit)
            if unit[0] in VCL[codec]:
                break
        found = []
        for (kind, at), (_, end) in pairwise([*starts, (0, len(data) + 4)]):
            if kind in PARAMETER_SETS[codec]:
                found.append(bytes(data[at : end - (4 if prefixed else 3)]).rstrip(b"\0" if not prefixed else b""))
        return found
    if codec in SEQUENCE and len(data) > 4 and data[:3] == b"\0\0\1" and data[3] in SEQUENCE[codec][0]:
        for match in re.finditer(b"\0\0\1(.)", data, re.DOTALL):
            if match[1] in SEQUENCE[codec][1]:
                return [bytes(data[: match.start()])]
    return []


def with_headers(codec: str, packet: av.Packet, units: Iterable[bytes], prefixed: bool) -> av.Packet:
    """The same packet, after these `headers`."""
    if codec in PARAMETER_SETS:
        units = [(len(u).to_bytes(4, "big") if prefixed else b"\0\0\0\1") + u for u in units]
    new = av.Packet(b"".join([*units, bytes(packet)]))
    new.pts, new.dts, new.duration, new.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    new.is_keyframe = packet.is_keyframe
    return new


def stands_alone(codec: str, packet: av.Packet, picture: str) -> bool:
    """False where a packet that its container calls a key frame is certainly none.

    MPEG-4: it does not begin with an I-picture. JPEG: it lacks the tables that one before it had (ISO/IEC 10918-1
    §B.5).
    """
    if codec == "mpeg4":
        return picture[:1] == "I"
    return codec != "mjpeg" or b"\xff\xdb" in bytes(memoryview(packet)[:2048])
