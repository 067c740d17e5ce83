"""Frames of arrays and of files, some at a time: their averages, times and rates, and what is refused, by hand."""

from fractions import Fraction

import av
import numpy as np
import pytest

import gpuaug
from pretrain.shots import frames
from pretrain.shots.frames import THUMB, Source, VideoError, small
from pretrain.shots.network import SIZE


def test_the_network_sees_averages_rounded_to_the_nearest_and_halves_up():
    """Sums of six pixels 0 … 6, then 1530: 0, 0.17, 0.33, 0.5, 0.67, 0.83, 1 and 255."""
    thumbs = np.zeros((2, *THUMB, 3), np.uint8)
    for column in range(7):
        block = np.zeros(6, np.uint8)
        block[:column] = 1
        thumbs[1, 2:4, 3 * column : 3 * column + 3, 1] = block.reshape(2, 3)
    thumbs[1, -2:, -3:, 2] = 255
    found = small(thumbs)
    assert found.dtype == np.uint8
    assert found.shape == (2, SIZE, SIZE, 3)
    assert found[1, 1, :8, 1].tolist() == [0, 0, 0, 1, 1, 1, 1, 0]
    assert found[1, -1, -1].tolist() == [0, 0, 255]
    assert found.astype(int).sum() == 4 + 255


@pytest.mark.parametrize(("count", "sizes"), [(1, [1] * 6), (4, [4, 2]), (3, [3, 3]), (6, [6]), (7, [6])])
def test_frames_come_some_at_a_time(count, sizes):
    video = np.arange(6, dtype=np.uint8)[:, None, None, None] * 40 + np.zeros((1, 8, 12, 3), np.uint8)
    parts = list(Source(video, rate=10).read(count))
    assert [len(part.small) for part in parts] == sizes
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.joined(part)
    assert whole.small[:, 0, 0, 0].tolist() == whole.thumbs[:, 5, 5, 2].tolist() == [0, 40, 80, 120, 160, 200]
    np.testing.assert_allclose(whole.seconds, np.arange(6) / 10)


@pytest.mark.parametrize(
    ("given", "rate"),
    [(None, Fraction(25)), (30, Fraction(30)), (29.97, Fraction(2997, 100)), (30000 / 1001, Fraction(30000, 1001))],
)
def test_the_rate_of_an_array(given, rate):
    source = Source(np.zeros((3, 4, 4, 3), np.uint8), rate=given)
    assert (source.rate, source.expected) == (rate, 3)
    (part,) = source.read(9)
    np.testing.assert_allclose(part.seconds, [0, float(1 / rate), float(2 / rate)])


@pytest.mark.parametrize(
    "video",
    [
        np.zeros((3, 4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((3, 4, 4, 4), np.uint8),
        np.zeros((0, 4, 4, 3), np.uint8),
        np.zeros((3, 4, 0, 3), np.uint8),
    ],
    ids=["floats", "a picture", "with alpha", "no frame", "no column"],
)
def test_arrays_that_are_no_video(video):
    with pytest.raises(ValueError, match=r"^video must be uint8 \(T, height, width, 3\), got \w+ \(\d"):
        Source(video)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_what_a_file_says_of_itself(suffix, tmp_path):
    """Matroska tells no number of frames, so that it is reckoned of its duration."""
    path = tmp_path / f"a.{suffix}"
    gpuaug.write_video(path, np.zeros((24, 16, 16, 3), np.uint8), 12, "mpeg4")
    source = Source(path)
    assert source.rate == 12
    assert source.expected in ((24,) if suffix == "mp4" else (23, 24, None))
    parts = list(source.read(10))
    assert [len(part.seconds) for part in parts] == [10, 10, 4]
    np.testing.assert_allclose(np.concatenate([part.seconds for part in parts]), np.arange(24) / 12, atol=2e-3)


class File:
    """In the place of an open file: a stream of these numbers, and frames of these times."""

    def __init__(self, times=(), broken=False, **stream):
        self.times, self.broken = times, broken
        usual = {"average_rate": Fraction(10), "guessed_rate": None, "duration": None, "time_base": None, "frames": 0}
        stream = type("Stream", (), {**usual, **stream, "thread_type": "SLICE"})()
        self.streams = type("Streams", (), {"video": [stream] if stream.frames is not None else []})()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def decode(self, stream):
        assert stream is self.streams.video[0]
        assert stream.thread_type == "AUTO"
        for time in self.times:
            frame = av.VideoFrame.from_ndarray(np.zeros((4, 4, 3), np.uint8), format="rgb24")
            yield type("Frame", (), {"time": time, "reformat": staticmethod(frame.reformat)})()
        if self.broken:
            raise av.InvalidDataError(1, "Invalid  data\nfound")


@pytest.mark.parametrize(
    ("stream", "rate", "expected"),
    [
        ({"frames": 7, "duration": 900, "time_base": Fraction(1, 90)}, 10, 7),
        ({"duration": 905, "time_base": Fraction(1, 90)}, 10, 100),
        ({"average_rate": None, "guessed_rate": Fraction(30), "duration": 90, "time_base": Fraction(1, 90)}, 30, 30),
        ({"average_rate": None}, 25, None),
        ({"duration": 905}, 10, None),
        ({"time_base": Fraction(1, 90)}, 10, None),
    ],
)
def test_rate_and_number_of_frames_as_far_as_they_are_told(stream, rate, expected, monkeypatch):
    monkeypatch.setattr(av, "open", lambda path: File(**stream))
    source = Source("a.mp4")
    assert (source.rate, source.expected) == (rate, expected)


def test_times_begin_at_0_and_are_reckoned_where_there_are_none(monkeypatch):
    for times, expected in (([2.0, 2.5, 4.0], [0.0, 0.5, 2.0]), ([None, None, 0.4], [0.0, 0.1, 0.4])):
        monkeypatch.setattr(av, "open", lambda path, times=times: File(times))
        (part,) = Source("a.mp4").read(5)
        np.testing.assert_allclose(part.seconds, expected)


def test_what_cannot_be_read_says_why(monkeypatch):
    def refuse(path):
        raise av.InvalidDataError(1, "Invalid  data\nfound")

    for made, message in (
        (lambda path: File(frames=None), "^it has no video stream$"),
        (refuse, "^.*Invalid data found.*$"),
        (lambda path: File([]), "^it has no frame that can be decoded$"),
        (lambda path: File([0.0, 0.1], broken=True), "^after frame 2: .*Invalid data found"),
    ):
        monkeypatch.setattr(av, "open", made)
        with pytest.raises(VideoError, match=message):
            list(Source("a.mp4").read(1))
    assert frames._line(ValueError()) == "ValueError"
