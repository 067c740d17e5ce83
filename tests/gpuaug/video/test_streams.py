"""Which of several video streams is read: the one that ffmpeg chooses. Sizes tell them apart."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from gpuaug import Decoder, Window, probe
from support.assets import encode, ffmpeg, number_of

COUNT, RATE = 10, Fraction(1, 25)
SMALL, MIDDLE, LARGE = (48, 80), (96, 160), (144, 240)


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
