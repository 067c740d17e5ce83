"""Windows in the middle of files whose beginning, or a change on the way, tells the decoder what it needs."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction

import av
import numpy as np
import pytest

from gpuaug import Decoder, Window
from gpuaug.video import decoder_state
from gpuaug.video.bitstream import SEQUENCE, _h264_slice_type, headers, is_b_picture, may_have_headers
from gpuaug.video.first_pictures import orientation
from gpuaug.video.frame_index import read_index
from support.assets import encode, number_of, remux
from support.decoding.odd_files import joined
from support.decoding.sequential import index_of, wrong_windows

COUNT, RATE = 30, Fraction(1, 25)
STARTS = [0, 4, 13, 25, 29, 31, 38, 47, 55]
H264 = {"x264-params": "bframes=2:keyint=6:scenecut=0"}
HEVC = {"x265-params": "log-level=none:keyint=6:bframes=2"}


def told_once(path, sizes):
    """H.264 streams of these sizes in one raw file; only the first key frame of each has parameter sets."""
    data = b""
    for size in sizes:
        whole = encode(path.with_suffix(".ts"), range(COUNT), RATE, size=size, options=H264)
        with av.open(str(whole)) as file:
            for k, packet in enumerate(p for p in file.demux(video=0) if p.size):
                units = [unit for unit in re.split(b"\0\0\0?\1", bytes(packet)) if unit]
                data += b"".join(b"\0\0\0\1" + u for u in units if not k or u[0] & 31 not in (7, 8))
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("sizes", [((96, 160), (90, 160)), ((90, 160), (96, 160)), ((96, 160), (48, 80))])
def test_parameter_sets_that_are_told_once(sizes, tmp_path):
    """The first two pairs have one coded size."""
    path = told_once(tmp_path / "both.h264", sizes)
    assert wrong_windows(path, STARTS, 2) == []
    with Decoder(threads=1) as decoder:  # all in the size of the first
        (clip,), failures = decoder.decode([Window(str(path), 0, 25, 2 * COUNT)])
    assert not failures
    assert [number_of(frame) for frame in clip.numpy()] == [*range(COUNT)] * 2


def test_without_being_told_again_they_would_be_wrong(tmp_path, monkeypatch):
    monkeypatch.setattr(decoder_state.State, "remind", lambda self, number, packet: packet)
    assert wrong_windows(told_once(tmp_path / "both.h264", ((96, 160), (90, 160))), STARTS, 2) != []


@pytest.mark.parametrize(
    ("codec", "suffix", "options"),
    [
        ("libx265", "ts", HEVC),
        ("libvpx-vp9", "webm", {"g": "6"}),
        ("libsvtav1", "webm", {"g": "6"}),
        ("mjpeg", "mkv", {}),
    ],
)
def test_streams_that_change_their_size(codec, suffix, options, tmp_path):
    form = {"pixel_format": "yuvj420p"} if codec == "mjpeg" else {}
    parts = [
        encode(tmp_path / f"{k}.{suffix}", range(COUNT), RATE, codec, size=size, options=options, **form)
        for k, size in enumerate([(96, 160), (80, 128)])
    ]
    assert wrong_windows(joined(tmp_path / f"both.{suffix}", *parts), STARTS, 2) == []


def with_palette(path, codec, changes):
    """30 frames of indices into a palette, which changes twice or not at all."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25, options={"g": "6"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "pal8"
        for k in range(COUNT):
            indices = np.tile(((np.arange(64) // 8 * 3 + k) % 256).astype(np.uint8), (48, 1))
            level = np.arange(256)
            shift = 40 * (k // 10) if changes else 0
            palette = np.stack([level * 0 + 255, level * 7 + shift, level, level * 3], -1).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray((indices, palette), format="pal8")
            frame.pts, frame.time_base = k, RATE
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("codec", "suffix", "changes"),
    [
        ("rawvideo", "avi", False),
        ("rawvideo", "avi", True),
        ("rawvideo", "mov", False),
        ("msrle", "avi", False),
        ("msrle", "avi", True),
        ("msrle", "mov", False),
        ("smc", "mov", False),
        ("png", "avi", True),
        ("gif", "mov", True),
    ],
)
def test_palettes(codec, suffix, changes, tmp_path):
    assert wrong_windows(with_palette(tmp_path / f"p.{suffix}", codec, changes), STARTS, 2) == []


def test_palettes_are_told_once(tmp_path, monkeypatch):
    """Negative control."""
    path = with_palette(tmp_path / "p.avi", "rawvideo", True)
    monkeypatch.setattr(decoder_state.State, "remind", lambda self, number, packet: packet)
    assert wrong_windows(path, STARTS, 2) != []


@pytest.mark.parametrize(
    ("codec", "suffix", "size"),
    [("h261", "avi", (144, 176)), ("h263", "avi", (144, 176)), ("h263p", "mpg", (96, 160)), ("rpza", "mov", (96, 160))],
)
def test_containers_that_call_everything_a_key_frame(codec, suffix, size, tmp_path):
    form = {"pixel_format": "rgb555le"} if codec == "rpza" else {}
    path = encode(tmp_path / f"a.{suffix}", range(COUNT), RATE, codec, size=size, rate=25, **form)
    assert wrong_windows(path, STARTS[:5], 2) == []
    assert len(index_of(path).key_packet_K) == 1


def test_pictures_that_stand_alone_stay_key_frames(tmp_path):
    for codec, suffix, form in (
        ("mjpeg", "avi", "yuvj420p"),
        ("ffv1", "mkv", "yuv420p"),
        ("libx264", "mp4", "yuv420p"),
    ):
        path = encode(tmp_path / f"a.{suffix}", range(9), RATE, codec, pixel_format=form, options={"g": "1"}, rate=25)
        assert len(index_of(path).key_packet_K) == 9


def test_jpeg_tables_that_are_told_once(tmp_path):
    """Quantisation and Huffman tables of the first picture serve all others (ISO/IEC 10918-1 §B.5)."""
    whole = encode(tmp_path / "a.avi", range(12), RATE, "mjpeg", pixel_format="yuvj420p", rate=25)

    def without_tables(k, data):
        out, at = data[:2], 2
        while k and data[at + 1] != 0xDA:
            size = 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            out += b"" if data[at + 1] in (0xDB, 0xC4) else data[at : at + size]
            at += size
        return out + data[at:] if k else data

    path = remux(whole, tmp_path / "once.avi", without_tables)
    assert wrong_windows(path, [0, 3, 7, 11], 2) == []
    assert len(index_of(path).key_packet_K) == 1


def test_side_data_that_pyav_does_not_know(assets, monkeypatch):
    """As the views of multiview HEVC: it says nothing of the display matrix."""

    class Frame:
        def __init__(self, rotation):
            self.rotation = rotation

        @property
        def side_data(self):
            raise ValueError("37 is not a valid Type")

    for name in ("cfr", "turned_90", "turned_180", "turned_270"):
        index = read_index(str(assets[name]))
        with av.open(str(assets[name])) as file:
            frame = next(file.decode(video=0))
        assert orientation(Frame(frame.rotation)) == (index.rotation, False) == orientation(frame)


@pytest.mark.parametrize("codec", ["h264", "hevc", "vvc", "mpeg1video", "mpeg2video", "mpeg4", "vp9"])
@pytest.mark.parametrize("prefixed", [True, False])
def test_packets_that_are_not_looked_at_tell_nothing(codec, prefixed):
    """Of all first bytes of a packet, in front of another unit, and alone."""
    at, speaking = may_have_headers(codec, prefixed)
    told = 0
    for first, second in itertools.product(range(256), (0, 1, 38, 66, 101, 128)):
        unit = bytes([first, second, 7, 7, 7, 7])
        head = len(unit).to_bytes(4, "big") if prefixed and codec not in SEQUENCE else b"\0\0\1"
        for tail in (b"", head + b"\x65\x88\x77\x66\x55\x44", b"\0\0\1\xb8\0\0\1\x00\0\0\1\xb6\x10\x10"):
            packet = av.Packet(head + unit + tail)
            found = bool(headers(codec, packet, prefixed))
            told += found
            assert not found or bytes(packet)[at] in speaking, (first, second)
    assert bool(told) == (codec != "vp9")


def test_a_slice_type_is_told_by_its_first_byte():
    for first in range(256):
        unit = bytes([0x41, first, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])
        packet = av.Packet(len(unit).to_bytes(4, "big") + unit)
        assert is_b_picture("h264", packet, True) == (_h264_slice_type(memoryview(unit)[1:]) in (1, 6)), first
