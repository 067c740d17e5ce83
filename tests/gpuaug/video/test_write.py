"""The writer of videos: the frames, times and bytes that were asked for, and what it refuses."""

import re
from fractions import Fraction

import numpy as np
import pytest

from gpuaug import Decoder, Window
from gpuaug.video.frame_index import read_index
from gpuaug.video.write import write_video
from support.assets import number_of, picture


def pictures(count=6, height=48, width=80):
    return [picture(k, height, width) for k in range(count)]


def test_frames_and_times_come_back(tmp_path):
    write_video(tmp_path / "even.mp4", iter(pictures()), Fraction(25, 2))
    write_video(tmp_path / "uneven.mkv", pictures(), 25, ticks=[0, 40, 90, 100, 300, 310], tick=Fraction(1, 1000))
    for name, seconds in (("even.mp4", np.arange(6) * 0.08), ("uneven.mkv", [0, 0.04, 0.09, 0.1, 0.3, 0.31])):
        index = read_index(str(tmp_path / name))
        np.testing.assert_allclose(index.seconds_N, seconds, atol=1e-6)
        with Decoder() as decoder:
            windows = [Window(index.path, float(at), 25, 1) for at in seconds]
            clips, failures = decoder.decode(windows)
        assert not failures
        assert [number_of(clip[0].numpy()) for clip in clips] == list(range(6))
        assert clips[0].shape == (1, 48, 80, 3)


def test_lossless_pixels_are_the_same_whatever_their_strides(tmp_path):
    turned = [np.rot90(one) for one in pictures()]
    write_video(tmp_path / "a.mkv", turned, 10, "ffv1", pixel_format="bgr0")
    with Decoder() as decoder:
        (clip,), _ = decoder.decode([Window(str(tmp_path / "a.mkv"), 0, 10, 6)])
    np.testing.assert_array_equal(clip.numpy(), turned)


def test_reproducible_bytes_in_any_container(tmp_path):
    for name in ("a", "b"):
        write_video(tmp_path / name, pictures(), 10, container="matroska", reproducible=True)
    write_video(tmp_path / "c", pictures(), 10, container="matroska")
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b
    assert b"Lavf" in c, "negative control: otherwise the muxer states its version"
    assert b"Lavf6" not in a


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": []}, "frames must be at least one, got none"),
        ({"frames": [*pictures(2), np.zeros((48, 82, 3), np.uint8)]}, "got uint8 (48, 82, 3) as number 2"),
        ({"frames": [np.zeros((48, 80, 3))]}, "frames must be uint8 (height, width, 3), all of one size, got float64"),
        ({"frames": [np.zeros((48, 80), np.uint8)]}, "got uint8 (48, 80) as number 0"),
        ({"ticks": [0, 1, 2, 3, 4], "tick": Fraction(1, 10)}, "ticks must be one for each frame, got 5 ticks for more"),
        ({"ticks": [*range(7)], "tick": Fraction(1, 10)}, "ticks must be one for each frame, got 7 ticks for 6 frames"),
        ({"ticks": [0, 1]}, "ticks and tick must be given together, got ticks=[0, 1] and tick=None"),
        ({"codec": "libx999"}, "libx999"),
    ],
)
def test_what_is_refused(change, message, tmp_path):
    with pytest.raises(ValueError, match=re.escape(message)):
        write_video(**{"path": tmp_path / "a.mp4", "frames": pictures(), "rate": 10, **change})
