"""Pieces of files in memory: decoded from their start they give the frames of the time table, by their numbers."""

import io

import av
import numpy as np
import pytest

from gpuaug.video.backends import FrameRequest
from gpuaug.video.backends import cut as cut_module
from gpuaug.video.backends.cut import cut, pieces_of, why_not_cut
from gpuaug.video.backends.pyav import read_frames
from gpuaug.video.demux import Unusable
from support.assets import ENCODED, ffmpeg, remux
from support.decoding.odd_files import joined
from support.decoding.sequential import digest, index_of

DERIVED = ["turned_90", "mirrored", "edit_list", "packed_avi", "h264_avi", "raw_h264"]
WANTED = [[45, 46], [14, 15, 16, 17], [1, 2, 3], [5, 30, 31, 44], [3, 29, 11]]


def request_of(path, *windows):
    index = index_of(path)
    last = len(index.stamp_N) - 1
    return FrameRequest(index, [np.minimum(w, last) for w in windows], index.height, index.width)


def decoded(made):
    """What libav makes of all of it, without threads."""
    with av.open(io.BytesIO(made.data.tobytes())) as file:
        stream = file.streams.video[0]
        stream.codec_context.thread_type = "NONE"
        return [digest(frame) for frame in file.decode(stream)]


def packets_in(made):
    with av.open(io.BytesIO(made.data.tobytes())) as file:
        return sum(packet.size > 0 for packet in file.demux(video=0))


@pytest.mark.parametrize("name", [*(n for n in ENCODED if n != "refresh"), *DERIVED])
def test_it_decodes_as_the_file_does(name, assets):
    """All containers and codecs of the test videos, also with B-pictures, edit lists, and stamps that are useless."""
    for wanted in WANTED:
        request = request_of(assets[name], wanted)
        pieces = pieces_of(request)
        assert [i for piece in pieces for i in piece.positions] == request.union.tolist()
        expected = {i: digest(frame) for i, frame in read_frames(request.index, request.union)}
        for piece, made in zip(pieces, cut(request.index, pieces), strict=True):
            pictures = decoded(made)
            assert [pictures[k] for k in made.number_T] == [expected[i] for i in piece.positions]
            assert (np.diff(made.number_T) > 0).all()


def test_a_window_costs_the_same_wherever_it_is(assets):
    """As many packets and bytes are read and decoded at the start, in the middle and at the end (key frames: 12)."""
    request = request_of(assets["vp9"])
    counts = []
    for key in (0, 24, 36):
        (piece,) = pieces_of(request_of(assets["vp9"], np.arange(key + 3, key + 8)))
        (made,) = cut(request.index, [piece])
        counts.append(packets_in(made))
        assert made.number_T.tolist() == [3, 4, 5, 6, 7]
        assert piece.bytes == request.index.size_P[key : key + 8].sum()
        assert len(made.data) < piece.bytes + 2000
    assert counts == [8, 8, 8]


def test_pieces_that_follow_one_another_are_one(assets):
    assert len(pieces_of(request_of(assets["mjpeg"], np.arange(5, 20)))) == 1
    assert len(pieces_of(request_of(assets["cfr"], [10, 11], [12, 13]))) == 1
    assert [p.positions for p in pieces_of(request_of(assets["cfr"], [40, 41], [2, 3]))] == [[2, 3], [40, 41]]
    assert pieces_of(request_of(assets["cfr"], [], [])) == []


def test_pictures_before_the_key_frame_are_left_out(assets):
    """Open groups: what is shown before a key frame and stored after it refers to what is not there."""
    request = request_of(assets["open_gop"])
    index, key = request.index, 2
    first = int(index.first_decodable_K[key])
    stored = int(index.packet_N[first])
    later = index.packet_N[first - 3 : first]
    assert (later > stored).any(), "the file has none"
    (piece,) = pieces_of(request_of(assets["open_gop"], first + np.arange(5)))
    (made,) = cut(index, [piece])
    assert made.number_T.tolist() == [0, 1, 2, 3, 4]
    assert packets_in(made) == index.packet_N[first : first + 5].max() - stored + 1 - (later > stored).sum()


@pytest.mark.parametrize("name", ["turned_90", "mirrored"])
def test_it_does_not_say_how_it_is_turned(name, assets):
    """Else decoders that know of it would turn it, and others would not."""
    request = request_of(assets[name], [3])
    (made,) = cut(request.index, pieces_of(request))
    with av.open(io.BytesIO(made.data.tobytes())) as file:
        frame = next(file.decode(video=0))
        assert frame.rotation == 0
        assert (frame.height, frame.width) == (160, 96) if name == "turned_90" else True
        assert "DISPLAYMATRIX" not in [side.type.name for side in frame.side_data]


@pytest.fixture(scope="module")
def hiding(assets, tmp_path_factory):
    """VP9 with pictures that are decoded and not shown, in two passes, as libvpx makes it by default."""
    folder = tmp_path_factory.mktemp("hiding")
    for number in (1, 2):
        how = ["-pass", str(number), "-passlogfile", folder / "log", "-auto-alt-ref", "1", "-lag-in-frames", "25"]
        ffmpeg("-i", assets["cfr"], "-c:v", "libvpx-vp9", "-b:v", "100k", "-g", "25", *how, folder / "hiding.webm")
    return folder / "hiding.webm"


def test_hidden_pictures_are_told(hiding, assets):
    request = request_of(hiding, np.arange(20))
    (made,) = cut(request.index, pieces_of(request))
    assert made.hidden
    expected = [digest(frame) for _, frame in read_frames(request.index, request.union)]
    assert [decoded(made)[k] for k in made.number_T] == expected
    request = request_of(assets["vp9"], np.arange(20))
    assert not cut(request.index, pieces_of(request))[0].hidden


def test_time_stamps_are_small_whatever_the_files_are(assets, tmp_path):
    """DALI keeps them in 32 bits, and takes −1 for none."""
    ffmpeg("-i", assets["ts"], "-c", "copy", "-output_ts_offset", "30000", tmp_path / "late.ts")
    request = request_of(tmp_path / "late.ts", [40, 41])
    assert request.index.stamp_N[0] > 2**31
    (made,) = cut(request.index, pieces_of(request))
    with av.open(io.BytesIO(made.data.tobytes())) as file:
        stamps = sorted(packet.pts for packet in file.demux(video=0) if packet.size)
    assert stamps[0] >= 0
    assert stamps == [*range(stamps[0], stamps[0] + len(stamps))]
    assert stamps[-1] < len(stamps) + 4


def test_what_a_decoder_must_be_able_to_do_is_told(assets, tmp_path):
    request = request_of(assets["mkv"], np.arange(9))
    (made,) = cut(request.index, pieces_of(request))
    assert (str(made.kind), made.width, made.height) == ("h264 of 8 bits, 4:2:0", 160, 96)
    assert (made.delay, made.fields) == (2, False)
    request = request_of(assets["ten_bit"], [0])
    assert str(cut(request.index, pieces_of(request))[0].kind) == "h264 of 10 bits, 4:2:0"
    fields = tmp_path / "fields.mp4"
    ffmpeg("-i", assets["cfr"], "-c:v", "libx264", "-x264-params", "tff=1:log-level=none", fields)
    request = request_of(fields, [0])
    assert cut(request.index, pieces_of(request))[0].fields


def test_a_gradual_refresh_is_refused(assets):
    request = request_of(assets["refresh"], [14, 15])
    with pytest.raises(Unusable, match="refreshed gradually"):
        cut(request.index, pieces_of(request))


@pytest.mark.slow
def test_packets_without_a_picture_of_their_own_are_refused(assets, tmp_path):
    """VP8's hidden references are packets of their own, which decoders count differently."""
    for number in (1, 2):
        how = ["-pass", str(number), "-passlogfile", tmp_path / "log", "-auto-alt-ref", "1", "-lag-in-frames", "16"]
        ffmpeg("-i", assets["cfr"], "-c:v", "libvpx", "-b:v", "100k", "-g", "25", *how, tmp_path / "vp8.webm")
    request = request_of(tmp_path / "vp8.webm", np.arange(len(index_of(tmp_path / "vp8.webm").stamp_N)))
    assert len(request.index.size_P) > len(request.index.stamp_N), "the file has none"
    with pytest.raises(Unusable, match="packets that show no picture of their own"):
        cut(request.index, pieces_of(request))


def test_headers_that_change_on_the_way_are_refused(assets, tmp_path):
    """Decoders are made for the first ones: other sizes would be wrong pictures."""
    ffmpeg("-i", assets["cfr"], "-vf", "scale=128:96", "-c:v", "libx264", "-f", "mpegts", tmp_path / "b.ts")
    ffmpeg("-i", assets["cfr"], "-c", "copy", "-f", "mpegts", tmp_path / "a.ts")
    path = joined(tmp_path / "both.ts", tmp_path / "a.ts", tmp_path / "b.ts")
    assert why_not_cut(index_of(path)) == "its headers or its palette change on the way"
    assert why_not_cut(index_of(tmp_path / "a.ts")) == ""


def test_a_file_that_changed_is_refused(assets, tmp_path):
    path = remux(assets["vp9"], tmp_path / "a.webm")
    request = request_of(path, [40, 41])
    remux(assets["vp9"], path, lambda k, data: data + b"\0" if k == 38 else data)
    with pytest.raises(Unusable, match="its packets are not where they were"):
        cut(request.index, pieces_of(request))


def test_packets_that_the_container_calls_incomplete_are_refused(assets, monkeypatch):
    class Incomplete:
        def __init__(self, packet):
            self.packet, self.is_corrupt = packet, True

        def __getattr__(self, name):
            return getattr(self.packet, name)

    def packets_from(file, key):
        yield from map(Incomplete, original(file, key))

    original = cut_module._File._packets_from
    monkeypatch.setattr(cut_module._File, "_packets_from", packets_from)
    request = request_of(assets["vp9"], [4])
    with pytest.raises(Unusable, match="marks packets as incomplete"):
        cut(request.index, pieces_of(request))
