"""Rules of the time table by themselves, on tables and files written by hand."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

import gpuaug
from gpuaug.video import frame_index, manifest
from gpuaug.video.backends import FrameRequest, parts, pyav
from gpuaug.video.bitstream import pictures
from gpuaug.video.formats import _boxes
from gpuaug.video.frame_index import FrameIndex, read_index
from support.assets import encode


def table(stamps, packets=None, keys=(0,), **other):
    """The index of a file with these stamps, each frame's packet, and the packets that are key frames."""
    stamp_N = np.array(stamps, np.int64)
    packet_N = np.arange(len(stamps)) if packets is None else np.array(packets)
    place = {int(number): i for i, number in enumerate(packet_N)}
    key_K = np.array(keys)
    fields = {
        "path": "x", "tick_seconds": 0.1, "stamp_N": stamp_N, "end": int(stamp_N[-1]) + 1, "decoder_pts_N": stamp_N,
        "packet_N": packet_N, "key_pts_K": stamp_N[[place[k] for k in keys]], "key_packet_K": key_K,
        "first_decodable_K": np.maximum.accumulate([place[k] for k in keys]), "pts_unreliable": False,
        "display_order_unknown": False, "frame_numbers_agree": True, "codec": "h264", "pixel_format": "yuv420p",
        "matrix": 1, "full_range": False, "width": 8, "height": 8, "rotation": 0, "mirrored": False,
        "size_P": np.zeros(len(stamps), np.int32), "bytes": 0,
    }  # fmt: skip
    return FrameIndex(**{**fields, **other})


@pytest.mark.parametrize(
    ("stamps", "variable"),
    [
        ([0, 1, 3, 4, 6], True),  # steps of one and two ticks: a quarter more is no rounding
        ([0, 4, 9, 13, 18], False),  # of four and five
        ([0, 4, 8, 14], True),
        ([0, 100, 225], True),
        ([0, 2, 4, 6], False),
        ([0], False),
    ],
)
def test_variable_rate(stamps, variable):
    assert table(stamps).variable_rate is variable
    assert not table(stamps, interval=1.5).variable_rate


def test_a_key_frame_stored_after_the_frame_wanted_is_none_to_start_from():
    """Its frame is shown before the wanted one, and stored after it."""
    index = table(range(6), packets=[0, 1, 2, 4, 3, 5], keys=(0, 4))
    assert parts.stretches_of(index, np.array([4])) == [(0, [4])]
    assert parts.stretches_of(index, np.array([3])) == [(1, [3])]
    assert parts.stretches_of(index, np.array([5])) == [(1, [5])]
    assert parts.stretches_of(index, np.array([1, 5])) == [(0, [1]), (1, [5])]


def test_stretches_join_where_a_new_start_saves_nothing():
    index = table(range(9), keys=(0, 3, 6))
    assert parts.stretches_of(index, np.array([2, 3, 5, 8])) == [(0, [2]), (1, [3, 5]), (2, [8])]
    assert parts.stretches_of(index, np.array([0, 1, 2])) == [(0, [0, 1, 2])]


@pytest.mark.parametrize(
    ("windows", "threads", "counts"),
    [([5], 1, [5]), ([5], 2, [2, 3]), ([5], 4, [1, 1, 1, 2]), ([1, 4], 3, [1, 2, 2]), ([1, 1], 8, [1, 1]), ([], 3, [])],
)
def test_every_window_goes_to_one_thread(windows, threads, counts):
    positions = [[np.array([(7 * k + 3) % 11]) for k in range(count)] for count in windows]
    found = parts.split([FrameRequest(table(range(12)), each, 8, 8) for each in positions], threads)
    assert sorted(len(own) for _, own in found) == counts
    every = sorted((number, k) for number, own in found for k in own)
    assert every == [(number, k) for number, count in enumerate(windows) for k in range(count)]


@pytest.mark.parametrize(
    ("fit", "size", "picture", "expected"),
    [
        ("inside", (100, 100), (4, 1000), (1, 100)),
        ("inside", (100, 100), (1000, 4), (100, 1)),
        ("inside", (100, 100), (50, 60), (50, 60)),
        ("inside", (100, 200), (200, 200), (100, 100)),
        ("stretch", (100, 100), (4, 1000), (100, 100)),
        ("short", 100, (200, 400), (100, 200)),
        ("short", 100, (400, 200), (200, 100)),
        ("short", 100, (200, 2000), (40, 400)),
        ("short", 100, (50, 60), (50, 60)),
        ("stretch", None, (4, 7), (4, 7)),
    ],
)
def test_the_size_of_a_picture(fit, size, picture, expected):
    with gpuaug.Decoder("cpu", size, backend="pyav", fit=fit, threads=1) as decoder:
        assert decoder.output_size(*picture) == expected


def test_a_learnt_order_names_packets_by_their_place():
    index = table([0, 1, 2, 3, 4], pts_unreliable=True, display_order_unknown=True, keys=(0, 3))
    learnt = index.reordered([0, 2, 1, 4], [frame_index.MISSING] * 4)
    assert learnt.packet_N.tolist() == learnt.decoder_pts_N.tolist() == [0, 2, 1, 4]
    assert learnt.stamp_N.tolist() == [0, 1, 2, 4]
    assert learnt.first_decodable_K.tolist() == [0, 0], "3 was not shown"
    assert [learnt.position(number) for number in (0, 2, 1, 4, 3)] == [0, 1, 2, 3, -1]
    assert not learnt.display_order_unknown


def header(*bits):
    """A VP9 packet that begins with these bits."""
    text = "".join(bits).ljust(24, "0")
    return av.Packet(bytes(int(text[i : i + 8], 2) for i in range(0, 24, 8)))


@pytest.mark.parametrize("profile", ["00", "10", "01", "110"])
def test_vp9_frames_that_are_shown(profile):
    """Frame marker, profile (the third has a reserved bit), show_existing_frame, frame_type, show_frame."""
    assert pictures("vp9", header("10", profile, "0", "0", "1")) == "?"
    assert pictures("vp9", header("10", profile, "0", "1", "1")) == "?"
    assert pictures("vp9", header("10", profile, "0", "0", "0")) == ""
    assert pictures("vp9", header("10", profile, "0", "1", "0")) == ""
    assert pictures("vp9", header("10", profile, "1")) == "?"
    superframe = av.Packet(bytes(header("10", profile, "0", "0", "0")) + b"\xc0")
    assert pictures("vp9", superframe) == "?"


def box(name, content, wide=False):
    size = len(content) + (16 if wide else 8)
    head = (1).to_bytes(4, "big") + name + size.to_bytes(8, "big") if wide else size.to_bytes(4, "big") + name
    return head + content


@pytest.mark.parametrize("wide", [False, True])
def test_boxes_with_sizes_of_32_and_of_64_bits(wide, tmp_path):
    content = box(b"ftyp", b"isom") + box(b"mdat", b"\7" * 5000, wide) + box(b"moov", b"")
    for text, expected in (
        (content, ([b"ftyp", b"mdat", b"moov"], True)),
        (content[:-8], ([b"ftyp", b"mdat"], True)),
        (content[:-9], ([b"ftyp", b"mdat"], False)),
        (content[:-8] + b"\0\0\0\3moov", ([b"ftyp", b"mdat", b"moov"], False)),
        (content[:-8] + b"\0\0\0\0moov", ([b"ftyp", b"mdat", b"moov"], True)),
    ):
        (tmp_path / "file").write_bytes(text)
        with open(tmp_path / "file", "rb") as file:
            assert _boxes(file) == expected


def test_a_video_without_duration_has_no_rate(monkeypatch):
    monkeypatch.setattr(manifest, "read_index", lambda _: table([5], end=5))
    video, _ = manifest._read("x")
    assert (video.duration_seconds, video.fps, video.frames) == (0.0, 0.0, 1)
    assert not gpuaug.Video("x").variable_rate


def test_few_packets_are_kept_while_a_file_is_read(tmp_path, monkeypatch):
    """Of a file of key frames only, too."""
    kept = []
    real = frame_index.first_frame
    monkeypatch.setattr(
        frame_index, "first_frame", lambda stream, heads: kept.append(len(heads)) or real(stream, heads)
    )
    path = encode(tmp_path / "keys.mkv", range(12), Fraction(1, 25), "libx264", size=(64, 160), options={"g": "1"})
    assert len(read_index(str(path)).stamp_N) == 12
    assert kept == [4]


@pytest.mark.parametrize("wanted", [[30], [13, 35]])
def test_where_seeking_fails_the_frames_are_the_same(tmp_path, monkeypatch, wanted):
    path = encode(tmp_path / "a.mp4", range(40), Fraction(1, 25), "libx264", size=(64, 160), options={"g": "10"})
    index = read_index(str(path))
    assert len(index.key_packet_K) == 4
    expected = {i: frame.to_ndarray(format="rgb24") for i, frame in pyav.read_frames(index, np.array(wanted))}
    real, tried = pyav._File._open, []

    class Refusing:
        def __init__(self, container):
            self._container = container

        def __getattr__(self, name):
            return getattr(self._container, name)

        def seek(self, *place, **how):
            tried.append(place)
            for _ in range(3):  # the file is not where it was
                next(self._container.demux(video=0))
            raise av.error.ArgumentError(22, "no seeking here")

    def opened(self):
        real(self)
        self.file.container = Refusing(self.file.container)

    monkeypatch.setattr(pyav._File, "_open", opened)
    found = {i: frame.to_ndarray(format="rgb24") for i, frame in pyav.read_frames(index, np.array(wanted))}
    assert len(tried) >= 2
    assert sorted(found) == sorted(expected) == wanted
    assert all(np.array_equal(found[i], expected[i]) for i in wanted)
