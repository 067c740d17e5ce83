"""Only videos are opened, and nothing beside them; what is refused is refused for the true reason.

Of several video streams the one is read that ffmpeg chooses; sizes tell them apart.
"""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from gpuaug import Decoder, Window, probe
from gpuaug.video import formats
from support.assets import encode, ffmpeg, number_of

ROOT = Path(__file__).parents[3]
COUNT, RATE = 10, Fraction(1, 25)
SMALL, MIDDLE, LARGE = (48, 80), (96, 160), (144, 240)
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
LISTS = {
    "concat.mp4": "ffconcat version 1.0\nfile 'near.mp4'\n",
    "plain_concat.mkv": "ffconcat version 1.0\nfile near.mp4\nduration 1\nfile near.mp4\n",
    "hls.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nnear.ts\n#EXT-X-ENDLIST\n",
    "hls.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nnear.mp4\n#EXT-X-ENDLIST\n",
    "dash.mp4": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="dash"><Period>'
    '<AdaptationSet><Representation id="1"><BaseURL>near.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "session.mp4": SDP,
    "subtitles.mp4": "1\n00:00:00,000 --> 00:00:01,000\nHello\n\n",
    "art.mp4": "\x1b[31mred\x1b[0m\n" * 40,
    "metadata.mov": ";FFMETADATA1\ntitle=x\n",
}


@pytest.fixture
def folder(assets, tmp_path):
    (tmp_path / "near.mp4").write_bytes(assets["cfr"].read_bytes())
    (tmp_path / "near.ts").write_bytes(assets["ts"].read_bytes())
    return tmp_path


@pytest.mark.parametrize("name", LISTS)
def test_lists_open_nothing_else(name, folder):
    path = folder / name
    path.write_text(LISTS[name])
    (video,) = probe(path, cache=False).videos
    assert video.error is not None
    assert video.error.startswith("not a video: ")
    with Decoder(threads=1) as decoder:
        _, failures = decoder.decode([Window(str(path), 0, 25, 1)])
    assert failures[0].reason == video.error


@pytest.mark.end_to_end
def test_the_other_file_is_not_even_opened(tmp_path):
    """It is a pipe: whoever opened it would wait for ever."""
    os.mkfifo(tmp_path / "near.mp4")
    os.mkfifo(tmp_path / "near.ts")
    for name, text in LISTS.items():
        (tmp_path / name).write_text(text)
    names = [str(tmp_path / name) for name in LISTS]
    code = f"import gpuaug; print(len(gpuaug.probe({names!r}, cache=False).failed))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.split() == [str(len(LISTS))]


def test_without_the_whitelist_one_would_be_a_video(folder):
    """Negative control: FFmpeg by itself follows the list."""
    (folder / "l.mp4").write_text(LISTS["concat.mp4"])
    with av.open(str(folder / "l.mp4")) as file:
        assert file.streams.video


@pytest.mark.parametrize(("kind", "says"), [("png", "piped png"), ("bmp", "piped bmp"), ("jpg", "piped jpeg")])
def test_single_pictures_are_named(kind, says, tmp_path):
    ffmpeg("-f", "lavfi", "-i", "color=size=64x64", "-frames:v", "1", tmp_path / f"a.{kind}")
    (tmp_path / f"a.{kind}").rename(tmp_path / "a.mp4")
    assert probe(tmp_path / "a.mp4", cache=False).videos[0].error.startswith(f"not a video: {says}")


def test_every_known_format_is_ffmpegs():
    """But for a few that this FFmpeg may lack; names of none would allow nothing, and names with commas neither."""
    known = {name for entry in av.formats_available for name in entry.split(",")}
    assert len(set(formats.KNOWN) - known) <= 8, sorted(set(formats.KNOWN) - known)
    assert not set(formats.KNOWN) & {"concat", "hls", "dash", "sdp", "image2", "tty", "lavfi", "rtsp", "rtp", "v4l2"}


def changed(path, target, change):
    data = bytearray(path.read_bytes())
    change(data)
    target.write_bytes(data)
    return probe(target, cache=False).videos[0].error


def test_reasons_for_mp4_files_are_true(assets, tmp_path):
    source, target = assets["cfr"], tmp_path / "a.mp4"
    size = source.stat().st_size

    def cut(data):
        del data[size // 2 :]

    def broken_size(data):
        at = data.index(b"mdat") - 4
        data[at : at + 4] = (0x7FFFFFFF).to_bytes(4, "big")

    def small_size(data):
        at = data.index(b"mdat") - 4
        data[at : at + 4] = (3).to_bytes(4, "big")

    def renamed(data):
        at = data.index(b"moov")
        data[at : at + 4] = b"junk"

    truncated = "truncated: its header (moov box), which stands at the end of the file, is missing"
    assert changed(source, target, cut) == truncated
    for change in (broken_size, small_size):
        error = changed(source, target, change)
        assert error is None or "the sizes of its boxes are not right" in error
    assert changed(source, target, renamed) == "its header (moov box) is missing"


def test_no_file_is_mapped(assets, monkeypatch):
    """A file that is cut while it is mapped ends the process."""
    dali = pytest.importorskip("gpuaug.video.backends.dali")
    monkeypatch.setattr(np, "memmap", None)
    with Decoder(backend="dali", threads=1) as decoder:
        (clip,), failures = decoder.decode([Window(str(assets["vp9"]), 0.2, 25, 3)])
        assert not failures
        assert clip.shape[0] == 3
        monkeypatch.setattr(dali, "LARGEST_CUT", 100)
        _, failures = decoder.decode([Window(str(assets["vp9"]), 0.2, 25, 3)])
        assert "DALI is given at most 100 bytes at a time" in failures[0].reason


def test_a_file_that_is_cut_while_it_is_decoded(assets, monkeypatch, tmp_path):
    """It is refused, or its first frames are given."""
    path = tmp_path / "a.mp4"
    path.write_bytes(assets["cfr"].read_bytes())
    with Decoder(threads=1) as decoder:
        window = Window(str(path), 1.6, 25, 5)
        assert not decoder.decode([window])[1]
        index = decoder._index(str(path))
        os.truncate(path, path.stat().st_size // 2)
        monkeypatch.setattr(decoder, "_index", lambda _: index)
        assert decoder.decode([window])[1]


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Files of one stream: {size: path}, and a cover picture."""
    folder = tmp_path_factory.mktemp("streams")
    made = {size: encode(folder / f"{size[0]}.mp4", range(COUNT), RATE, size=size) for size in (SMALL, MIDDLE, LARGE)}
    made["cover"] = encode(folder / "cover.mkv", [0], RATE, "mjpeg", size=(480, 640), pixel_format="yuvj420p")
    return made


def chosen_by_ffmpeg(path):
    """(height, width) of the stream that it takes when it is not told which."""
    text = ffmpeg("-i", path, "-f", "framemd5", "-").decode()
    width, height = next(line for line in text.splitlines() if line.startswith("#dimensions 0")).split()[-1].split("x")
    return int(height), int(width)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "nut", "ts"])
@pytest.mark.parametrize(
    ("order", "flags"),
    [
        ([SMALL, LARGE], []),
        ([LARGE, SMALL, MIDDLE], []),
        ([SMALL, LARGE], ["-disposition:0", "default", "-disposition:1", "0"]),
        ([LARGE, SMALL], ["-disposition:0", "0", "-disposition:1", "default"]),
        ([MIDDLE, SMALL, LARGE], ["-disposition:0", "0", "-disposition:1", "0", "-disposition:2", "0"]),
        (["cover", SMALL, MIDDLE], ["-disposition:0", "attached_pic"]),
        ([SMALL, "cover"], ["-disposition:1", "attached_pic"]),
        ([SMALL, "cover"], ["-disposition:1", "attached_pic+timed_thumbnails"]),
    ],
)
def test_the_stream_is_ffmpegs(order, flags, suffix, parts, tmp_path):
    if "cover" in order and suffix in ("ts", "nut"):
        pytest.skip("it has no cover pictures")
    path = tmp_path / f"a.{suffix}"
    inputs = [word for part in order for word in ("-i", parts[part])]
    maps = [word for k in range(len(order)) for word in ("-map", str(k))]
    ffmpeg(*inputs, *maps, "-c", "copy", *flags, path)
    (video,) = probe(path, cache=False).videos
    assert (video.height, video.width, video.frames) == (*chosen_by_ffmpeg(path), COUNT)
    with Decoder(threads=1) as decoder:
        (clip, late), failures = decoder.decode([Window(str(path), 0, 25, COUNT), Window(str(path), 0.28, 25, 3)])
    assert not failures
    assert [number_of(frame) for frame in clip.numpy()] == list(range(COUNT))
    np.testing.assert_array_equal(late.numpy(), clip[7:].numpy())


def test_a_stream_without_frames_is_passed_over(parts, tmp_path):
    """The header tells of a larger stream, of which nothing is stored."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as file, av.open(str(parts[LARGE])) as large, av.open(str(parts[SMALL])) as small:
        file.add_stream_from_template(large.streams.video[0])
        copy = file.add_stream_from_template(small.streams.video[0])
        for packet in small.demux(video=0):
            if packet.size:
                packet.stream = copy
                file.mux(packet)
    (video,) = probe(path, cache=False).videos
    assert (video.error, video.height, video.width) == (None, *SMALL)
    assert chosen_by_ffmpeg(path) == SMALL
    with Decoder(threads=1) as decoder:
        (clip,), _ = decoder.decode([Window(str(path), 0, 25, COUNT)])
    assert [number_of(frame) for frame in clip.numpy()] == list(range(COUNT))


def test_only_a_cover_is_no_video(parts, tmp_path):
    path = tmp_path / "a.mp4"
    sine = ["-f", "lavfi", "-i", "sine=duration=1"]
    how = ["-map", "0", "-map", "1", "-c:v", "copy", "-disposition:v:0", "attached_pic"]
    ffmpeg(*sine, "-i", parts["cover"], *how, path)
    (video,) = probe(path, cache=False).videos
    assert video.error == "no video stream (only a cover picture, audio)"
