"""Which frame is shown when, and where it stands, of time tables written by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gpuaug.video.demux import Unusable
from gpuaug.video.frame_index import FrameIndex
from gpuaug.video.times import MISSING
from support.decoding.tables import table

EVEN = table(range(10))  # ticks of 0.1 s, and a frame in each: times count as equal within an eighth, 0.0125 s
ROUNDED = table([0, 2, 5, 7, 10], interval=2.5, end=13)  # of 0.25 s
COARSE = table([0, 8, 17, 25, 34], interval=8.5, end=43)  # where a tick is less than an eighth
ODD = table([3, 4, 7, 20], end=22)


@pytest.mark.parametrize(
    ("index", "start", "fps", "expected"),
    [
        (EVEN, 0, 10, [0, 1, 2]),
        (EVEN, 0.0874, 10, [0, 1, 2]),
        (EVEN, 0.0876, 10, [1, 2, 3]),
        (EVEN, 0.3, 20, [3, 3, 4]),
        (EVEN, 0.3, 5, [3, 5, 7]),
        (EVEN, 0.787, 10, [7, 8, 9]),
        (ROUNDED, 0.2187, 4, [0, 1, 2]),  # 0.25 less an eighth of it
        (ROUNDED, 0.2188, 4, [1, 2, 3]),
        (ROUNDED, 0.5, 4, [2, 3, 4]),
        (COARSE, 0.6999, 1 / 0.85, [0, 1, 2]),  # 0.8 less a tick
        (COARSE, 0.7001, 1 / 0.85, [1, 1, 3]),  # of 0.8001, 1.6501 and 2.5001 the second is before 1.7
        (ODD, 0, 10, [0, 1, 1]),  # from the first stamp on: 0, 0.1, 0.4, 1.7 s
        (ODD, 0.3, 10, [1, 2, 2]),
        (ODD, 1.6, 10, [2, 3, 3]),
    ],
)
def test_the_frames_at_times(index, start, fps, expected):
    assert index.frames_at(start, fps, 3).tolist() == expected
    assert index.frames_at(start, fps, 3, "repeat").tolist() == expected


def test_the_end_of_a_video():
    assert EVEN.frames_at(0.987, 10, 1).tolist() == [9]
    with pytest.raises(Unusable, match=r"the window's last frame, at 0.988 s, is past the video's end, 1.000 s"):
        EVEN.frames_at(0.988, 10, 1)
    with pytest.raises(Unusable, match=r"last frame, at 1.100 s, is past"):
        EVEN.frames_at(0.8, 10, 4)
    assert EVEN.frames_at(0.8, 10, 4, "repeat").tolist() == [8, 9, 9, 9]
    assert EVEN.frames_at(50, 10, 2, "repeat").tolist() == [9, 9]
    single = table([5], end=8)  # 0.3 s, of which an eighth counts as equal
    assert single.frames_at(0.26, 10, 1).tolist() == [0]
    with pytest.raises(Unusable):
        single.frames_at(0.27, 10, 1)


@pytest.mark.parametrize(
    ("index", "seconds"),
    [
        (EVEN, 1.0),
        (ODD, 1.9),
        (ROUNDED, 1.25),  # a last frame of 3 ticks is one of 2.5, rounded
        (table([0, 2, 5, 7, 10], interval=2.5, end=14), 1.4),  # of 4 it is none
        (COARSE, 5 * 0.85),
        (table([5], end=8), 0.3),
    ],
)
def test_durations(index, seconds):
    assert index.duration_seconds == pytest.approx(seconds, abs=1e-12)


def test_seconds_count_from_the_first_frame():
    np.testing.assert_allclose(ODD.seconds_N, [0, 0.1, 0.4, 1.7])


def test_where_a_stamp_is():
    assert [ODD.position(pts) for pts in (3, 4, 7, 20)] == [0, 1, 2, 3]
    assert [ODD.position(pts) for pts in (2, 5, 21, -7, None)] == [-1] * 5
    numbered = table([3, 4, 7, 20], packets=[6, 8, 7, 9], keys=(6,), pts_unreliable=True)
    assert [numbered.position(number) for number in (6, 8, 7, 9)] == [0, 1, 2, 3]
    assert [numbered.position(number) for number in (3, 5, 10, None)] == [-1] * 4


def test_how_far_a_decoder_has_to_come():
    """Stored 0, 3, 1, 2: the first one after the key frame comes out once the last has been stored."""
    assert table(range(5), packets=[0, 2, 3, 1, 4]).waits_N.tolist() == [0, 3, 3, 3, 4]
    assert table(range(3)).waits_N.tolist() == [0, 1, 2]


def test_an_order_that_was_learnt():
    index = table([0, 2, 4, 6], packets=[0, 1, 2, 3], keys=(0, 2), end=9, pts_unreliable=True)
    learnt = index.reordered([0, 2, 1, 9, 3], [MISSING] * 5)  # a packet that is none is left out
    assert learnt.packet_N.tolist() == learnt.decoder_pts_N.tolist() == [0, 2, 1, 3]
    assert learnt.stamp_N.tolist() == [0, 2, 4, 6], "times stay in order"
    assert learnt.end == 9, "the last one lasts as long as before"
    assert learnt.first_decodable_K.tolist() == [0, 1]
    own = table([0, 2, 4, 6], own_pts_N=np.array([0, 4, 2, 6]), own_dts_N=np.array([0, 2, 4, 6]), end=8)
    stamped = own.reordered([0, 2, 1, 3], [0, 2, 4, 6])
    assert stamped.stamp_N.tolist() == [0, 2, 4, 6]
    assert (stamped.end, stamped.own_pts_N, stamped.own_dts_N, stamped.display_order_unknown) == (8, None, None, False)
    late = table([0, 2, 4], own_pts_N=np.array([MISSING] * 3), own_dts_N=np.array([0, 2, 4]), end=6)
    assert late.reordered([0, 1, 2], [1, 3, 5]).stamp_N.tolist() == [1, 3, 5], "by decoding, as they came out"
    shown = index.reordered([3], [MISSING])
    assert (shown.stamp_N.tolist(), shown.first_decodable_K.tolist()) == ([6], [0, 0])


def test_what_is_kept_of_an_index_is_all_of_it():
    index = table([0, 3, 4], keys=(0, 2), notes=("cut",), interval=1.5, marked=2, size_P=np.arange(3, dtype=np.int32))
    again = FrameIndex.restored("elsewhere", index.saved())
    assert again.path == "elsewhere"
    for name, value in index.saved().items():
        kept = again.saved()[name]
        assert np.array_equal(kept, value) if isinstance(value, np.ndarray) else kept == value, name
    assert again.decoder_pts_N is again.stamp_N
    for name in ("stamp_N", "packet_N", "notes", "codec", "decoder_pts_N"):
        found = index.saved()
        del found[name]
        assert FrameIndex.restored("x", found) is None, name
    for name, wrong in (("stamp_N", np.arange(2)), ("size_P", np.zeros(2, np.int32)), ("packet_N", np.arange(3) + 1)):
        assert FrameIndex.restored("x", {**index.saved(), name: wrong}) is None, name
    assert FrameIndex.restored("x", None) is None
