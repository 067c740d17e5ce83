"""How a stored picture is turned, by its display matrix, and which of several streams is shown."""

from __future__ import annotations

import math

import numpy as np
import pytest
from av.stream import Disposition

from gpuaug.video.demux import Unusable, _rank, videos
from gpuaug.video.first_pictures import orientation


class Frame:
    def __init__(self, matrix=None, rotation=0, unknown=False):
        self.rotation, self._matrix, self._unknown = rotation, matrix, unknown

    @property
    def side_data(self):
        if self._unknown:
            raise KeyError("kind")
        return {} if self._matrix is None else {"DISPLAYMATRIX": np.array(self._matrix, np.int32).tobytes()}


ONE = 1 << 16


def turned(degrees, mirrored=False):
    """What shows a stored picture turned clockwise, then flipped left to right; y goes downwards."""
    cos, sin = round(math.cos(math.radians(degrees)) * ONE), round(math.sin(math.radians(degrees)) * ONE)
    a, b, c, d = cos, sin, -sin, cos
    if mirrored:
        a, c = -a, -c
    return [a, b, 0, c, d, 0, 0, 0, 1 << 30]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(
    ("degrees", "shown"),
    [
        (0, 0),
        (90, 90),
        (180, 180),
        (270, 270),
        (44, 0),
        (46, 90),
        (134, 90),
        (136, 180),
        (314, 270),
        (316, 0),
        (-90, 270),
    ],
)
def test_a_display_matrix(degrees, shown, mirrored):
    assert orientation(Frame(turned(degrees, mirrored))) == (shown, mirrored)


def test_without_a_matrix_nothing_is_turned():
    assert orientation(Frame()) == (0, False)
    for rotation, shown in ((0, 0), (-90, 90), (90, 270), (180, 180), (-180, 180), (-100, 90)):
        assert orientation(Frame(unknown=True, rotation=rotation)) == (shown, False)


class Context:
    def __init__(self, width, height):
        self.width, self.height = width, height


class Stream:
    type = "video"

    def __init__(self, name, size=(64, 48), disposition=Disposition(0)):  # noqa: B008
        self.name, self.disposition = name, disposition
        self.codec_context = Context(*size) if size else None


class Streams(list):
    @property
    def video(self):
        return [stream for stream in self if stream.type == "video"]


class Container:
    def __init__(self, *streams):
        self.streams = Streams(streams)


@pytest.mark.parametrize(
    ("streams", "order"),
    [
        ([("a", (64, 48)), ("b", (640, 480))], "ba"),
        ([("a", (640, 480)), ("b", (64, 48), Disposition.default)], "ba"),
        ([("a", (4096, 2160)), ("b", (1920, 1080), Disposition.default)], "ab"),  # by more than five million pixels
        ([("a", (0, 0), Disposition.default), ("b", (64, 48))], "ba"),  # the file shows nothing of it
        ([("a", None), ("b", (64, 48))], "ba"),
        ([("a", (64, 48)), ("b", (64, 48))], "ab"),
        ([("a", (640, 480), Disposition.attached_pic), ("b", (64, 48))], "b"),
        ([("a", (640, 480), Disposition.timed_thumbnails), ("b", (64, 48))], "b"),
    ],
)
def test_the_stream_that_ffmpeg_chooses(streams, order):
    found = videos(Container(*(Stream(*each) for each in streams)))
    assert "".join(stream.name for stream in found) == order


def test_the_rank_of_a_stream():
    assert _rank(Stream("a", (100, 50))) == 100_005_000
    assert _rank(Stream("a", (100, 50), Disposition.default)) == 105_005_000
    assert _rank(Stream("a", None)) == 0


def test_files_without_a_video():
    audio = Stream("a")
    audio.type = "audio"
    cover = Stream("c", (9, 9), Disposition.attached_pic)
    for streams, rule in (
        ([], "no video stream$"),
        ([cover, audio], r"no video stream \(only a cover picture, audio\)$"),
    ):
        with pytest.raises(Unusable, match=rule):
            videos(Container(*streams))
