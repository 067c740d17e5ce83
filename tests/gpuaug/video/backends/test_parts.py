"""Where decoding starts, how it is shared out, and how large pictures become."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

import gpuaug
from gpuaug.video.backends import FrameRequest, parts, pyav
from gpuaug.video.frame_index import read_index
from support.assets import encode
from support.decoding.tables import table


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
