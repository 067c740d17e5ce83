"""The columns of a time table from packets written by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gpuaug.video.demux import Unusable
from gpuaug.video.time_table import damage_notes, leading, since_first_key, time_table
from gpuaug.video.times import MISSING, Packet


def packets(pts, dts=None, *, keys=(0,), pictures="", durations=(), hidden=(), size=100):
    """Packets in stored order; without decoding times they are those of the display."""
    dts = pts if dts is None else dts
    return [
        Packet(i, p, d, durations[i] if durations else 40, i in keys, pictures[i : i + 1] or "?", size, i in hidden)
        for i, (p, d) in enumerate(zip(pts, dts))
    ]


def columns(table, codec="h264", container="mov,mp4", *, depth=2, dropped=(), step=40):
    return time_table(table, codec, container, 1e-3, step, depth, dropped)


def some(found, *names):
    return [value.tolist() if isinstance(value := found[name], np.ndarray) else value for name in names]


REORDERED = [0, 120, 40, 80, 160]  # I P B B P, as stored
DECODED = [-80, -40, 0, 40, 80]


def test_pictures_that_are_shown_in_another_order():
    found = columns(packets(REORDERED, DECODED))
    assert some(found, "stamp_N", "packet_N", "end") == [[0, 40, 80, 120, 160], [0, 2, 3, 1, 4], 200]
    assert some(found, "decoder_pts_N", "key_pts_K", "key_packet_K", "first_decodable_K") == [
        [0, 40, 80, 120, 160],
        [0],
        [0],
        [0],
    ]
    assert some(found, "pts_unreliable", "display_order_unknown", "notes") == [False, False, ()]


def test_key_frames_and_what_can_be_decoded_from_them():
    """The second one is shown after two pictures that are stored behind it, and need what came before."""
    found = columns(packets([0, 40, 160, 80, 120, 200], [-80, -40, 0, 40, 80, 120], keys=(0, 2)))
    assert some(found, "packet_N", "key_pts_K", "key_packet_K") == [[0, 1, 3, 4, 2, 5], [0, 160], [0, 2]]
    assert some(found, "first_decodable_K") == [[0, 4]]
    none = columns(packets([0, 40, 80], keys=()))
    assert some(none, "key_packet_K", "key_pts_K", "first_decodable_K") == [[0], [0], [0]]


def test_hidden_and_dropped_pictures_are_no_frames():
    found = columns(packets(REORDERED, DECODED, hidden=(0,)))
    assert some(found, "stamp_N", "packet_N") == [[40, 80, 120, 160], [2, 3, 1, 4]]
    assert some(found, "first_decodable_K", "key_pts_K") == [[0], [0]], "from the hidden key frame on"
    found = columns(packets(REORDERED, DECODED), dropped={2})
    assert some(found, "stamp_N", "packet_N") == [[0, 80, 120, 160], [0, 3, 1, 4]]
    with pytest.raises(Unusable, match="the video stream has no frames"):
        columns(packets([0, 40], hidden=(0, 1)))


@pytest.mark.parametrize(
    ("pts", "durations", "end"),
    [
        ([0, 40, 80], [40, 40, 25], 105),
        ([0, 40, 80], [40, 40, 0], 120),
        ([0, 40, 130], [0, 0, 0], 130 + 65),  # the median of 40 and 90
        ([7], [0], 47),  # the nominal interval
    ],
)
def test_how_long_the_last_frame_lasts(pts, durations, end):
    assert columns(packets(pts, durations=durations), "mjpeg")["end"] == end


def test_stamps_that_are_equal_are_spread_and_packets_numbered():
    found = columns(packets([0, 40, 40, 120]), "mjpeg")
    assert some(found, "stamp_N", "decoder_pts_N", "pts_unreliable") == [[0, 20, 40, 120], [0, 1, 2, 3], True]
    assert some(found, "key_pts_K", "first_decodable_K", "display_order_unknown") == [[0], [0], False]
    missing = columns(packets([0, MISSING, 80], [0, 40, 80]), "mjpeg")
    assert some(missing, "stamp_N", "pts_unreliable") == [[0, 40, 80], True]


def test_an_order_that_stamps_do_not_tell_is_learnt():
    """B-pictures are never the latest so far where times are those of the display."""
    found = columns(packets([0, 40, 80, 120], [0, 40, 80, 120], pictures="IPBP"))
    assert some(found, "display_order_unknown", "pts_unreliable") == [True, True]
    assert some(found, "stamp_N", "packet_N", "own_pts_N") == [[0, 40, 80, 120], [0, 1, 2, 3], [0, 40, 80, 120]]
    assert some(found, "own_dts_N", "key_pts_K") == [[0, 40, 80, 120], [0]]


def test_mpeg4_in_avi_is_ordered_by_its_pictures():
    """A picture that others refer to is shown when the next such one is decoded: a frame late where there are any B."""
    times, none = [0, 1, 2, 3, 4], [MISSING] * 5
    found = columns(packets(none, times, pictures="IPBBP"), "mpeg4", "avi", step=1)
    assert some(found, "packet_N", "stamp_N") == [[0, 2, 3, 1, 4], [1, 2, 3, 4, 5]]
    assert some(found, "display_order_unknown", "pts_unreliable") == [False, True]
    plain = columns(packets(none, times, pictures="IPPPP"), "mpeg4", "avi", step=1)
    assert some(plain, "packet_N", "stamp_N") == [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
    early = columns(packets(none, times, pictures="IBPBP"), "mpeg4", "avi", step=1)
    assert some(early, "packet_N") == [[0, 3, 2, 4]], "a B-picture without its first reference is not shown"
    untimed = columns(packets(none, none, pictures="IPBBP"), "mpeg4", "avi", step=7)
    assert some(untimed, "stamp_N") == [[7, 14, 21, 28, 35]]
    placeholders = columns(packets(none, times, pictures="IPBBP", size=19), "mpeg4", "avi", step=1)
    assert placeholders["display_order_unknown"], "which say 'as before'"
    assert not columns(packets(none, times, pictures="IPBBP", size=20), "mpeg4", "avi", step=1)["display_order_unknown"]
    assert "own_pts_N" not in placeholders
    h264 = columns(packets(times, times), "h264", "avi", step=1)
    assert h264["display_order_unknown"], "whatever AVI's times are"
    assert not columns(packets(times, keys=range(5)), "h264", "avi", step=1)["display_order_unknown"]


def test_packets_before_the_first_key_frame():
    table = packets([0, 40, 80], keys=(1, 2))
    assert [p.number for p in since_first_key(table)] == [1, 2]
    assert len(since_first_key(packets([0, 40], keys=()))) == 2


def test_pictures_stored_after_the_first_key_frame_and_shown_before_it():
    table = packets([80, 0, 40, 120, 60, MISSING, 200, 10], keys=(0, 6), hidden=(2,))
    assert [p.number for p in leading(table)] == [1, 4], "up to the next key frame, not hidden, and with a time"
    assert [p.number for p in leading(packets([80, 0, 40]))] == [1, 2]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((10, 0, 0, False), ()),
        ((10, 0, 10, False), ()),
        ((10, 0, 9, False), ()),
        ((10, 3, 0, False), ("3 of its packets are incomplete",)),
        ((10, 0, 11, False), ("10 of its 11 frames can be read",)),
        ((10, 0, 0, True), ("it is damaged and cannot be read to its end",)),
        (
            (1, 1, 2, True),
            (
                "1 of its packets are incomplete",
                "1 of its 2 frames can be read",
                "it is damaged and cannot be read to its end",
            ),
        ),
    ],
)
def test_what_is_told_of_damage(given, expected):
    total, marked, promised, early = given
    assert damage_notes(total, marked, promised, ended_early=early) == expected
