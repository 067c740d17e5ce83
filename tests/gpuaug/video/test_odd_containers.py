"""What single containers and codecs do to frames and times, against ffmpeg. Pictures carry their number."""

from __future__ import annotations

from fractions import Fraction

import av
import av.bitstream
import numpy as np
import pytest

import gpuaug
from gpuaug.video import frame_index, manifest, times
from gpuaug.video.backends.pyav import read_frames
from gpuaug.video.bitstream import pictures
from gpuaug.video.formats import _boxes
from gpuaug.video.frame_index import read_index
from support.assets import EVEN_MS, MS, encode, ffmpeg, ffmpeg_rgb, ffmpeg_seconds, number_of
from support.decoding.odd_files import avi, avi_chunks, shown, without_first
from support.decoding.sequential import digest, sequential
from support.decoding.tables import table

COUNT = 40


def test_avi_with_odd_lengths_and_dropped_frames(tmp_path):
    """Chunks of odd length without the byte that fills them up, and empty chunks, which are frames shown again."""
    for codec, options in (("mjpeg", {}), ("mpeg4", {}), ("mpeg4", {"bf": "2"})):
        form = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        plain = encode(
            tmp_path / "plain.avi",
            range(COUNT),
            Fraction(1, 25),
            codec,
            size=(64, 160),
            options=options,
            pixel_format=form,
        )
        chunks = avi_chunks(plain)
        odd = [data if len(data) % 2 else data + b"\0" for data in chunks]
        variants = {
            "odd": avi(plain, odd),
            "unfilled": avi(plain, odd, fill=False),
            "without_index": avi(plain, odd, fill=False, index=False),
            "dropped": avi(plain, [b"" if k % 7 == 3 else data for k, data in enumerate(chunks)]),
        }
        for name, data in variants.items():
            if name == "dropped" and options:
                continue  # what refers to a dropped picture is damaged
            path = tmp_path / f"{name}.avi"
            path.write_bytes(data)
            numbers, seconds, _ = shown(path)
            assert numbers == [number_of(frame) for frame in ffmpeg_rgb(path, 64, 160)], (codec, name)
            np.testing.assert_allclose(seconds, ffmpeg_seconds(path), atol=1e-3)


def test_pictures_before_the_first_key_frame(tmp_path):
    """Stored after it and shown before it: what can be decoded alone is a frame, the first at time 0."""
    for more, leading in (("radl=2:open-gop=0", 2), ("open-gop=1", 0)):
        params = f"log-level=none:keyint=12:min-keyint=12:scenecut=0:bframes=3:b-adapt=0:{more}"
        whole = encode(
            tmp_path / "w.mkv", EVEN_MS[:COUNT], MS, "libx265", size=(64, 160), options={"x265-params": params}
        )
        with av.open(str(whole)) as file:
            keys = [k for k, p in enumerate(p for p in file.demux(video=0) if p.size) if p.is_keyframe]
        path = without_first(whole, tmp_path / f"cut{leading}.mkv", keys[1])
        numbers, seconds, _ = shown(path)
        expected = [number_of(frame) for frame in ffmpeg_rgb(path, 64, 160)]
        assert numbers == expected == list(range(COUNT - len(expected), COUNT))
        np.testing.assert_allclose(seconds, ffmpeg_seconds(path), atol=2e-3)
        index = read_index(str(path))
        assert index.first_decodable_K[0] == leading, "negative control: there are pictures before the key frame"


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


def test_a_learnt_order_names_packets_by_their_place():
    index = table([0, 1, 2, 3, 4], pts_unreliable=True, display_order_unknown=True, keys=(0, 3))
    learnt = index.reordered([0, 2, 1, 4], [times.MISSING] * 4)
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


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_hidden_pictures_in_packets_of_their_own(codec, tmp_path):
    """They may have the stamp of the frame that comes next, which is wanted alone, or as the last one."""
    whole, path = tmp_path / "whole.webm", tmp_path / "split.webm"
    for step in (1, 2):  # libvpx makes them in two passes only
        how = ["-c:v", codec, "-b:v", "150k", "-auto-alt-ref", 1, "-lag-in-frames", 25, "-cpu-used", 5, "-pass", step]
        source = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=2"]
        ffmpeg(*source, *how, "-passlogfile", tmp_path / "log", whole)
    hidden = 0
    with av.open(str(whole)) as read, av.open(str(path), "w") as write:
        stream = read.streams.video[0]
        copy = write.add_stream_from_template(stream)
        split = av.bitstream.BitStreamFilterContext("vp9_superframe_split", stream) if "9" in codec else None
        for packet in (p for p in read.demux(stream) if p.size):
            pts = packet.pts
            for part in split.filter(packet) if split else [packet]:
                hidden += not pictures(stream.codec_context.codec.canonical_name, part)
                part.pts = part.dts = pts
                part.stream = copy
                write.mux(part)
    assert hidden >= 2
    index, expected = read_index(str(path)), sequential(path)
    assert len(index.stamp_N) == len(expected) == 50
    for i, picture in enumerate(expected):
        assert [(k, digest(frame)) for k, frame in read_frames(index, np.array([i]))] == [(i, picture)]


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
    video, *_ = manifest._read("x")
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
