"""What single packets tell, by hand-made bytes: pictures, types, references, parameter sets."""

from __future__ import annotations

from fractions import Fraction

import av
import pytest

from gpuaug.video import bitstream as bits

SLICE, IDR, SEI, SPS, PPS, AUD = 1, 5, 6, 7, 8, 9
REFERRED = 0x60


def unit(kind, *content, reference=REFERRED):
    """An H.264 NAL unit of at least the six bytes of a real one."""
    return bytes([kind | reference, *content]) + b"\x77" * max(0, 5 - len(content))


def h264(*units, prefixed=True):
    return av.Packet(b"".join((len(u).to_bytes(4, "big") if prefixed else b"\0\0\1") + u for u in units))


def exp_golomb(*numbers):
    """Their codes one after the other, filled up with ones, as bytes."""
    text = "".join(f"{n + 1:b}".rjust(2 * (n + 1).bit_length() - 1, "0") for n in numbers)
    text += "1" * (-len(text) % 8)
    return [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]


# ---- pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\0\0\1\xb6\x10", "I"),
        (b"\0\0\1\xb6\x7f", "P"),
        (b"\0\0\1\xb6\x80", "B"),
        (b"\0\0\1\xb6\xc1", "S"),
        (b"\0\0\1\xb3\0\0\1\xb6\x40\0\0\1\xb6\x90", "PB"),
        (b"\0\0\1\xb6", ""),
        (b"\0\0\1\xb0\x40", ""),
    ],
)
def test_mpeg4_picture_types(data, expected):
    packet = av.Packet(data)
    assert bits.pictures("mpeg4", packet) == expected
    assert bits.is_disposable("mpeg4", packet, False) == (expected == "B")
    assert bits.stands_alone("mpeg4", packet, expected) == (expected == "I")


def test_vp8_frames_that_are_shown():
    """show_frame is the fifth bit of the first byte."""
    for byte in range(256):
        assert bits.pictures("vp8", av.Packet(bytes([byte, 0, 0]))) == ("?" if byte & 16 else "")
    assert bits.pictures("h264", av.Packet(b"\0")) == "?"


@pytest.mark.parametrize(("first", "superframe"), [("10000001", 0xC0), ("10000001", 0xDF)])
def test_vp9_superframes_hide_pictures(first, superframe):
    plain = bytes([int(first, 2), 5, 5])
    assert not bits.hides_pictures("vp9", av.Packet(plain))
    assert bits.hides_pictures("vp9", av.Packet(plain + bytes([superframe])))
    assert not bits.hides_pictures("vp9", av.Packet(plain + b"\xe0"))
    assert not bits.hides_pictures("vp8", av.Packet(plain + bytes([superframe])))
    for profile, bit in (("00", 3), ("10", 3), ("01", 3), ("11", 2)):  # show_existing_frame, after a reserved bit
        head = int("10" + profile + "0000", 2)
        assert bits.hides_pictures("vp9", av.Packet(bytes([head | 1 << bit, 5])))
        assert not bits.hides_pictures("vp9", av.Packet(bytes([head, 5])))


# ---- B-pictures and references ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("slice_type", range(10))
@pytest.mark.parametrize("first_mb", [0, 1, 40, 3000])
def test_h264_slice_types(first_mb, slice_type):
    """B is 1 and 6 (H.264 table 7-6), in whatever macroblock the slice begins."""
    content = exp_golomb(first_mb, slice_type)
    assert bits._h264_slice_type(memoryview(bytes(content))) == slice_type
    for prefixed in (True, False):
        for before in ((), (unit(AUD, 1),), (unit(SEI, 1, 1, 1, 0x80),)):
            packet = h264(*before, unit(SLICE, *content), prefixed=prefixed)
            assert bits.is_b_picture("h264", packet, prefixed) == (slice_type in (1, 6))
    assert not bits.is_b_picture("hevc", h264(unit(SLICE, *content)), True)


def test_of_a_slice_that_is_cut_the_type_is_not_known():
    assert bits._h264_slice_type(memoryview(b"\0\0")) == -1
    assert bits._h264_slice_type(memoryview(b"\x80")) == -1
    assert bits._h264_slice_type(memoryview(b"")) == -1
    assert not bits.is_b_picture("h264", h264(unit(SPS, 1)), True)


@pytest.mark.parametrize("codec", ["mpeg1video", "mpeg2video"])
def test_mpeg_picture_types(codec):
    """picture_coding_type: three bits after ten of temporal_reference; 3 is B."""
    for kind in range(8):
        for before in (b"", b"\0\0\1\xb8\1\2\3\4"):
            data = before + b"\0\0\1\0" + bytes([0x55, 0xC0 | kind << 3 | 7]) + b"\7\7"
            assert bits.is_b_picture(codec, av.Packet(data), False) == (kind == 3)
            assert bits.is_disposable(codec, av.Packet(data), False) == (kind == 3)
    assert not bits.is_b_picture(codec, av.Packet(b"\0\0\1\0\x55"), False)
    assert not bits.is_b_picture(codec, av.Packet(b"\0\0\1\xb3\x55\x1f\7\7"), False)
    late = b"\7" * 4096 + b"\0\0\1\0\x55\x1f\7\7"
    assert not bits.is_b_picture(codec, av.Packet(late), False), "nobody looks so far"


@pytest.mark.parametrize("prefixed", [True, False])
@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ([(SLICE, 0)], True),
        ([(SLICE, 0x20)], False),
        ([(SLICE, 0x40)], False),
        ([(IDR, REFERRED)], False),
        ([(SLICE, 0), (SLICE, 0)], True),
        ([(SLICE, 0), (SLICE, REFERRED)], False),
        ([(SEI, 0), (SLICE, 0)], True),
        ([(AUD, REFERRED), (SLICE, 0)], True),
        ([(2, 0)], True),
        ([(2, REFERRED)], False),
        ([(SEI, 0)], False),  # there is no picture
        ([(PPS, REFERRED)], False),
    ],
)
def test_h264_pictures_that_none_refers_to(units, expected, prefixed):
    packet = h264(*(unit(kind, 0x88, reference=reference) for kind, reference in units), prefixed=prefixed)
    assert bits.is_disposable("h264", packet, prefixed) == expected


def test_packets_of_nothing_but_disposable_slices():
    plain, referred = unit(SLICE, 0x88, reference=0), unit(SLICE, 0x88)
    assert bits.only_disposable_slices(h264(plain))
    assert bits.only_disposable_slices(h264(plain, plain))
    for other in (referred, unit(SEI, 1, reference=0), unit(IDR, 1, reference=0), unit(2, 1, reference=0)):
        assert not bits.only_disposable_slices(h264(other))
        assert not bits.only_disposable_slices(h264(plain, other))
    assert not bits.only_disposable_slices(h264(plain, prefixed=False))
    assert not bits.only_disposable_slices(h264(unit(SLICE, 0x88, 0, 0, 1, 9, reference=0))), "a start code inside"
    assert not bits.only_disposable_slices(av.Packet(bytes(h264(plain)) + b"\0")), "bytes beyond the last unit"
    assert not bits.only_disposable_slices(av.Packet(bytes(h264(plain))[:-1]))
    assert not bits.only_disposable_slices(av.Packet(b"\0\0\0\1"))


def sei(*messages):
    """(type, content) each; a type or size of 255 and more is told in several bytes."""
    content = []
    for kind, data in messages:
        for number in (kind, len(data)):
            content += [255] * (number // 255) + [number % 255]
        content += list(data)
    return unit(SEI, *content, 0x80)


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ([sei((6, b"\x80")), unit(SLICE, 0x88)], False),  # recovery_frame_cnt 0: at once
        ([sei((6, b"\x40")), unit(SLICE, 0x88)], True),  # 1
        ([sei((6, b"\x09")), unit(SLICE, 0x88)], True),
        ([sei((5, b"\x11" * 20), (6, b"\x40")), unit(SLICE, 0x88)], True),
        ([sei((5, b"\x11" * 300), (6, b"\x40")), unit(SLICE, 0x88)], True),
        ([sei((300, b"\x11" * 3), (6, b"\x40")), unit(SLICE, 0x88)], True),
        ([sei((5, b"\x11" * 300), (6, b"\x80")), unit(SLICE, 0x88)], False),
        ([sei((5, b"\6\1\x40\x40")), unit(SLICE, 0x88)], False),  # inside of another message
        ([unit(AUD, 1), sei((6, b"\x40"))], True),
        ([sei((5, b"\x11")), sei((6, b"\x40"))], True),
        ([unit(SLICE, 0x88), sei((6, b"\x40"))], False),  # of the next picture
        ([unit(SLICE, 0x88)], False),
        ([unit(SPS, 6, 1, 0x40)], False),
    ],
)
def test_recovery_points(units, expected):
    for prefixed in (True, False):
        assert bits.recovers_later(h264(*units, prefixed=prefixed), prefixed) == expected


# ---- NAL units and headers -------------------------------------------------------------------------------------------


def test_nal_units_by_length_and_by_start_code():
    units = [unit(SPS, 1, 2), unit(PPS, 3), unit(IDR, 4)]
    found = list(bits.nal_units("h264", memoryview(h264(*units)), True))
    assert found == [(SPS, 4), (PPS, 14), (IDR, 24)]
    found = list(bits.nal_units("h264", memoryview(h264(*units, prefixed=False)), False))
    assert found == [(SPS, 3), (PPS, 12), (IDR, 21)]
    assert list(bits.nal_units("h264", memoryview(b"\0\0\0\1\x65"), True)) == [], "too short for one"
    assert list(bits.nal_units("h264", memoryview(b"\0\0\1\x65"), False)) == []
    for codec, first, kind in (("hevc", bytes([33 << 1, 1]), 33), ("vvc", bytes([0, 15 << 3]), 15)):
        data = first + b"\7" * 4
        assert list(bits.nal_units(codec, memoryview(len(data).to_bytes(4, "big") + data), True)) == [(kind, 4)]


@pytest.mark.parametrize(
    ("codec", "extradata", "expected"),
    [
        ("h264", b"\1\x64", True),
        ("h264", b"\0\0\1\x67", False),
        ("h264", b"", False),
        ("h264", None, False),
        ("hevc", b"\1", True),
        ("vvc", b"\xff\0", True),
        ("vvc", b"\0\0\1", False),
        ("vvc", None, False),
        ("h264", b"\xff", False),
    ],
)
def test_whether_units_come_after_their_lengths(codec, extradata, expected):
    assert bits.is_prefixed(codec, extradata) == expected


@pytest.mark.parametrize("prefixed", [True, False])
def test_parameter_sets_before_a_picture(prefixed):
    sps, pps, picture = unit(SPS, 1, 2), unit(PPS, 3), unit(IDR, 4)
    packet = h264(unit(AUD, 9), sps, pps, picture, unit(SPS, 7), prefixed=prefixed)
    assert bits.headers("h264", packet, prefixed) == [sps, pps], "and none behind it"
    assert bits.headers("h264", h264(sps, pps, prefixed=prefixed), prefixed) == [sps, pps]
    assert bits.headers("h264", h264(picture, sps, prefixed=prefixed), prefixed) == []
    assert bits.headers("h264", av.Packet(b"\0\0\0\1\x67"), prefixed) == []
    assert bits.headers("vp9", packet, prefixed) == []
    packet.pts, packet.dts, packet.duration, packet.time_base = 7, 5, 3, Fraction(1, 25)
    packet.is_keyframe = True
    again = bits.with_headers("h264", packet, [sps, pps], prefixed)
    head = b"".join((len(u).to_bytes(4, "big") if prefixed else b"\0\0\0\1") + u for u in (sps, pps))
    assert bytes(again) == head + bytes(packet)
    assert (again.pts, again.dts, again.duration, again.time_base) == (7, 5, 3, Fraction(1, 25))
    assert again.is_keyframe


def test_headers_of_mpeg_sequences():
    sequence, group, picture = b"\0\0\1\xb3\1\2\3", b"\0\0\1\xb8\4", b"\0\0\1\0\5"
    for codec in ("mpeg1video", "mpeg2video"):
        assert bits.headers(codec, av.Packet(sequence + group + picture), False) == [sequence]
        assert bits.headers(codec, av.Packet(sequence + picture), False) == [sequence]
        assert bits.headers(codec, av.Packet(picture + sequence), False) == []
    header = b"\0\0\1\xb0\1\0\0\1\xb5\2"
    for after in (b"\0\0\1\xb3\4", b"\0\0\1\xb6\4"):
        assert bits.headers("mpeg4", av.Packet(header + after), False) == [header]
    packet = av.Packet(picture)
    packet.time_base = Fraction(1, 25)
    assert bytes(bits.with_headers("mpeg2video", packet, [sequence], False)) == sequence + picture


def test_jpegs_without_tables_do_not_stand_alone():
    assert bits.stands_alone("mjpeg", av.Packet(b"\xff\xd8\xff\xdb\0"), "?")
    assert not bits.stands_alone("mjpeg", av.Packet(b"\xff\xd8\xff\xda\0"), "?")
    assert not bits.stands_alone("mjpeg", av.Packet(b"\xff\xd8" + b"\7" * 2048 + b"\xff\xdb"), "?")
    assert bits.stands_alone("h264", av.Packet(b"\0"), "?")
