"""Every software encoder of PyAV's FFmpeg in its usual containers, with and without B-frames; windows here and there.

The reference is the sequential decode on one thread. What cannot be muxed, or read back by FFmpeg itself, is listed.
"""

from __future__ import annotations

import functools
from fractions import Fraction

import av
import numpy as np
import pytest

from support.assets import picture
from support.decoding.sequential import sequential, wrong_windows

COUNT = 40
CONTAINERS = ["mp4", "mov", "3gp", "mkv", "webm", "avi", "ts", "mpg", "flv", "asf", "wtv", "ogv", "mxf", "nut"]
CONTAINERS += ["gif", "apng", "webp", "ivf", "y4m", "h264", "hevc", "m2v", "mjpeg", "swf", "dv"]
HARDWARE = (
    "_vaapi",
    "_nvenc",
    "_qsv",
    "_v4l2m2m",
    "_amf",
    "_vulkan",
    "_videotoolbox",
    "_mf",
    "_omx",
    "_d3d12va",
    "_mediacodec",
)
SIZES = [(96, 160), (144, 176), (576, 720), (1080, 1920)]  # some encoders know a few sizes only
FORMATS = ("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "rgb24")
QUICK = {
    "dnxhd": {"b": "120M"},
    "libaom-av1": {"cpu-used": "8", "usage": "realtime"},
    "libsvtav1": {"preset": "12"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}
WITH_B = {"libx264", "libx264rgb", "libx265", "mpeg1video", "mpeg2video", "mpeg4", "libxvid", "libsvtav1", "libaom-av1"}
FORMS = {"mjpeg": "yuvj420p", "ljpeg": "yuvj420p", "dnxhd": "yuv422p"}  # of those that refuse the first one they name
NOT_VIDEO = {"a64multi", "a64multi5", "wrapped_avframe", "vnull"}  # other machines' pictures, pointers, nothing


def encoders():
    """Names of the software encoders; where one has two names, both."""
    found = []
    for name in sorted(av.codecs_available):
        try:
            codec = av.Codec(name, "w")
        except (ValueError, av.FFmpegError):
            continue
        if codec.type == "video" and not name.endswith(HARDWARE) and name not in NOT_VIDEO:
            found.append(codec.name)
    return sorted(set(found))


@functools.lru_cache(1)
def frames(size, form):
    """Those that every file of an encoder has: making them takes as long as encoding them."""
    made = []
    for k in range(COUNT):
        frame = av.VideoFrame.from_ndarray(picture(k, *size), format="rgb24")
        if form == "pal8":
            level, ones = np.arange(256), np.full(256, 255)
            indices = np.tile(((np.arange(size[1]) // 8 * 3 + k) % 256).astype(np.uint8), (size[0], 1))
            palette = np.stack([ones, level * 7, level, level * 3], -1).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray((indices, palette), format="pal8")
        made.append(frame.reformat(format=form))
    return made


def write(path, name, size, b_frames, count=COUNT):
    """A file of so many frames; raises what FFmpeg says where the encoder or the container cannot do that."""
    formats = [form.name for form in av.Codec(name, "w").video_formats or []]
    form = next((one for one in FORMATS if one in formats), formats[0] if formats else "yuv420p")
    form = FORMS.get(name, form)
    options = {"g": "12", **QUICK.get(name, {}), **({"bf": "2"} if b_frames else {})}
    if name == "libx265":
        options = {"x265-params": f"log-level=none:keyint=12:bframes={2 * b_frames}"}
    with av.open(str(path), "w") as file:
        stream = file.add_stream(name, rate=25, options=options)
        stream.height, stream.width = size
        stream.pix_fmt, stream.codec_context.thread_count = form, 1
        for k, frame in enumerate(frames(size, form)[:count]):
            frame.pts, frame.time_base = k, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


# What FFmpeg writes, or refuses to, and does not read back as video: of each container why.
UNREADABLE = (ValueError, OSError, IndexError, AttributeError, TypeError, OverflowError, av.FFmpegError)


@pytest.mark.slow
@pytest.mark.parametrize("name", encoders())
def test_encoder(name, tmp_path, record_property):
    """Frames alone, in threes and all at once are those of the sequential decode, wherever it can be muxed."""
    tried, listed = [], []
    size = next((size for size in SIZES if _fits(tmp_path, name, size)), None)
    for suffix in CONTAINERS if size else ():
        for b_frames in (False, True) if name in WITH_B else (False,):
            label = f"{suffix}{' with B-frames' * b_frames}"
            try:
                path = write(tmp_path / f"a.{suffix}", name, size, b_frames)
                assert sequential(path)
            except (*UNREADABLE, AssertionError) as error:
                listed.append(f"{label}: {type(error).__name__}")
                continue
            assert wrong_windows(path, [0, 9, 13, 20, 25, 31, 36, 39], 3) == [], label
            tried.append(label)
    record_property("containers", tried)
    record_property("cannot be muxed or read back", listed)
    print(f"{name} {size}: {', '.join(tried) or 'none'}; cannot be muxed or read back: {', '.join(listed)}")


def _fits(folder, name, size):
    for suffix in ("nut", "mov", "avi", "mkv", "apng", "webp", "mp4"):
        try:
            write(folder / f"fits.{suffix}", name, size, False, 3)
        except UNREADABLE:
            continue
        return True
    return False


@pytest.mark.slow
def test_the_sweep_is_not_empty():
    names = encoders()
    assert {"libx264", "libx265", "libvpx", "libvpx-vp9", "libsvtav1", "mpeg2video", "mpeg4", "h263", "qtrle"} <= {
        *names
    }
    assert len(names) > 50
