"""The rules for time stamps on either side of their bounds, by hand: 40 ms a frame in ticks of a millisecond."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from gpuaug.video import times
from gpuaug.video.times import DEEPEST, MISSING, Packet, constant_interval, count_on, display_times, order

MS = Fraction(1, 1000)


def counted(pts, dts=None, *, codec="mjpeg", container="flv", keys=None, tick=1e-3):
    """(stamps, decoding times, notes) after counting on."""
    dts = pts if dts is None else dts
    table = [Packet(i, p, d, 40, keys is None or i in keys, "?", 9, False) for i, (p, d) in enumerate(zip(pts, dts))]
    clock = count_on(table, codec, container, tick, 40)
    assert clock.pts_P.tolist() == [p.pts for p in clock.packets]
    return [p.pts for p in clock.packets], [p.dts for p in clock.packets], clock.notes


def test_limits_are_ffmpegs():
    assert (times.BACK, times.AHEAD, times.NEVER, times.SOON) == (0.1, 10.0, 108_000.0, 1.0)
    assert {"mpegts", "mpeg"} == times.BREAKING
    assert {"matroska,webm", "avi"} == times.WITHOUT_DTS
    assert DEEPEST == 33


@pytest.mark.parametrize("container", ["flv", "mpegts", "matroska,webm"])
@pytest.mark.parametrize(("back", "broken"), [(40, False), (140, False), (141, True), (4000, True)])
def test_stamps_that_go_back_by_more_than_a_tenth(container, back, broken):
    """The frame after 8000 was due at 8040; 100 ms before 8000 it is taken as it is."""
    first = [40 * k for k in range(201)]
    second = [8040 - back, 8080 - back]
    for keys in (None, (0,)):  # of codecs that store pictures as they are shown any may be the first of another part
        pts, dts, notes = counted(first + second, container=container, keys=keys)
        assert pts == dts == first + ([8040, 8080] if broken else second)
        assert notes == (["its time stamps break off and start again: 1 times, counted on"] if broken else [])


@pytest.mark.parametrize(("ahead", "broken"), [(9_900, False), (10_000, False), (10_001, True), (10**6, True)])
def test_a_broadcast_that_jumps_ahead_by_more_than_ten_seconds(ahead, broken):
    pts, _, notes = counted([0, 40, 80 + ahead, 120 + ahead], container="mpegts")
    assert pts == ([0, 40, 80, 120] if broken else [0, 40, 80 + ahead, 120 + ahead])
    assert len(notes) == (ahead >= 10_000)
    kept, _, told = counted([0, 40, 80 + ahead, 120 + ahead], container="flv")
    assert kept == [0, 40, 80 + ahead, 120 + ahead]
    assert told == ["its time stamps jump ahead by more than 10 s: 1 times, kept"] * (ahead >= 10_000)


def test_several_breaks_are_counted():
    pts, _, notes = counted([5000, 5040, 0, 40, 0, 40, 80])
    assert pts == [5000, 5040, 5080, 5120, 5080, 5120, 5160]  # the last one goes back by less than a tenth
    assert "1 times" in notes[0]
    pts, _, notes = counted([5000, 5040, 0, 400, 0, 40])
    assert pts == [5000, 5040, 5080, 5480, 5520, 5560]
    assert "2 times" in notes[0]


def test_stamps_that_are_missing_are_due_after_the_one_before():
    pts, dts, notes = counted([0, MISSING, 80], [0, MISSING, 80])
    assert (pts, dts, notes) == ([0, MISSING, 80], [0, MISSING, 80], [])
    pts, dts, notes = counted([8000, MISSING, 0, 40], [8000, MISSING, 0, 40])
    assert (pts, dts) == ([8000, MISSING, 8080, 8120],) * 2


def test_display_times_far_from_decoding_are_not_used():
    """More than ten seconds before their own decoding, or after that of all that may be held back."""
    even = [40 * k for k in range(60)]
    for at, pts in ((20, 800 - 10_001), (20, 800 + 33 * 40 + 10_001), (40, 59 * 40 + 10_001), (59, 59 * 40 + 10_001)):
        given = [*even[:at], pts, *even[at + 1 :]]
        found, dts, notes = counted(given, even)
        assert (found, dts) == ([*even[:at], MISSING, *even[at + 1 :]], even)
        assert notes == ["1 of its time stamps are implausible and not used"]
    for at, pts in ((20, 800 - 10_000), (20, 800 + 33 * 40 + 10_000), (40, 59 * 40 + 10_000), (59, 59 * 40 + 10_000)):
        given = [*even[:at], pts, *even[at + 1 :]]
        assert counted(given, even)[0] == given


def ordered(pts, codec="h264", *, depth=0, pictures="", parts=()):
    table = [Packet(i, p, p, 40, i == 0, pictures[i : i + 1] or "?", 9, False) for i, p in enumerate(pts)]
    found = order(times.Clock(table, np.array(pts, np.int64), list(parts), [], []), codec, depth)
    return None if found is None else found.tolist()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"pts": [0, 120, 40, 80]}, [0, 2, 3, 1]),
        ({"pts": [0, 120, 40, 80], "codec": "vp9"}, [0, 1, 2, 3]),  # which stores them in their order
        ({"pts": [0, 40, 40, 80]}, None),
        ({"pts": [0, MISSING, 40, 80]}, None),
        ({"pts": [0, 120, 40, 80], "pictures": "IPBB"}, [0, 2, 3, 1]),
        ({"pts": [0, 40, 80, 120], "pictures": "IPBB"}, None),  # those are decoding times
        ({"pts": [0, 120, 40, 160], "pictures": "IPBB"}, None),
        ({"pts": [0, 40, 80, 120], "codec": "hevc"}, [0, 1, 2, 3]),
        ({"pts": [0, 40, 80, 120], "codec": "hevc", "depth": 2}, None),  # nothing is reordered where it must be
        ({"pts": [0, 40, 80, 120], "codec": "vvc", "depth": 3}, None),
        ({"pts": [0, 40, 80, 120], "codec": "hevc", "depth": 4}, [0, 1, 2, 3]),  # too few to tell
        ({"pts": [0, 120, 40, 80], "codec": "hevc", "depth": 2}, [0, 2, 3, 1]),
        ({"pts": [0, 40, 80, 120], "codec": "h264", "depth": 2}, [0, 1, 2, 3]),
        ({"pts": [0, 80, 40, 120, 200, 160], "parts": [0, 0, 0, 1, 1, 1]}, [0, 2, 1, 3, 5, 4]),
        ({"pts": [40, 80, 120, 0, 80, 40], "parts": [0, 0, 0, 1, 1, 1]}, [0, 1, 2, 3, 5, 4]),  # part after part
        ({"pts": [0, 80, 40, 0, 40, 80], "parts": [0, 0, 0, 1, 1, 1], "pictures": "IPBIBP"}, None),
    ],
)
def test_the_order_that_stamps_tell(given, expected):
    assert ordered(**given) == expected


def test_no_decoder_holds_back_more_than_33_packets():
    for late, known in ((33, True), (34, False)):
        pts = [40 * k for k in range(60)]
        pts.insert(5, pts.pop(5 + late))  # stored so many places before it is shown
        assert (ordered(pts) is not None) == known


@pytest.mark.parametrize(
    ("pts", "dts", "expected"),
    [
        ([], [], []),
        ([MISSING, MISSING], [MISSING, MISSING], [0, 40]),
        ([80, MISSING], [MISSING, MISSING], [80, 120]),
        ([MISSING, MISSING, MISSING], [10, 50, 90], [10, 50, 90]),
        ([0, 80, 40, 120], [0, 40, 80, 120], [0, 40, 80, 120]),  # once back: the decoding times from there on
        ([0, 40, 80], [0, 0, 0], [0, 40, 80]),
        ([5, MISSING, 85], [0, 40, 80], [5, 40, 85]),
        ([0, MISSING, 80], [MISSING, MISSING, MISSING], [0, 40, 80]),
    ],
)
def test_guessed_times(pts, dts, expected):
    found = display_times(pts, dts, 40)
    assert found.dtype == np.int64
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("stamps", "rates", "expected"),
    [
        ([0, 2, 5, 7, 10, 12], [Fraction(400)], 2.5),
        ([0, 2], [], 0),
        ([0, 2, 4, 6], [], 0),  # nothing was rounded
        ([0, 1, 3, 4, 6], [], 0),  # of less than two ticks rounding cannot be told
        ([0, 4, 9, 16], [], 0),
        ([0, 3, 6, 11], [], 0),  # steps that differ by two, but no rate has them
        ([0, 33, 67, 100, 133, 167], [Fraction(30000, 1001)], 1001 / 30),
        ([0, 33, 67, 100, 133, 167], [Fraction(30)], 1000 / 30),
        ([0, 33, 67, 100, 133, 167], [None, Fraction(50)], 1000 / 30),
    ],
)
def test_intervals_of_a_constant_rate(stamps, rates, expected):
    assert constant_interval(np.array(stamps, np.int64), rates, MS) == pytest.approx(expected)


@pytest.mark.parametrize("stamps", [[0, 2, 5, 7, 10], [0, 3, 5, 8], [0, 2, 4, 7, 9, 11], [0, 100, 201, 301, 402]])
def test_an_interval_that_no_rate_tells_fits_the_stamps(stamps):
    """They are multiples of it, all rounded alike."""
    found = constant_interval(np.array(stamps, np.int64), [], MS)
    assert found > 0
    assert np.ptp(np.array(stamps) - np.arange(len(stamps)) * found) <= 1 + 1e-6
