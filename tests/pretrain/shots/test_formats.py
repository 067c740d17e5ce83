"""Lists of boundaries in every form, against ones written by hand."""

import json
from fractions import Fraction

import numpy as np
import pytest

from pretrain.shots import formats
from pretrain.shots.boundaries import Boundary
from pretrain.shots.detect import Shots


def shots(*boundaries, rate=Fraction(25), frames=100):
    return Shots(rate, frames, list(boundaries), np.arange(frames) / float(rate), None, None)


CUT, WIPE, JUMP = Boundary(20, 20, "cut", 0.98765), Boundary(40, 49, "wipe", 0.8), Boundary(70, 70, "jump", 0.75)
EDL = """\
TITLE: my film
FCM: NON-DROP FRAME

001  AX       V     C        00:00:00:00 00:00:00:20 00:00:00:00 00:00:00:20
* FROM CLIP NAME: my film.mp4
002  AX       V     C        00:00:00:20 00:00:02:00 00:00:00:20 00:00:02:00
* FROM CLIP NAME: my film.mp4
* CUT 20 20 SCORE 0.988
003  AX       V     W001 010 00:00:02:00 00:00:02:20 00:00:02:00 00:00:02:20
* FROM CLIP NAME: my film.mp4
* WIPE 40 49 SCORE 0.800
004  AX       V     C        00:00:02:20 00:00:04:00 00:00:02:20 00:00:04:00
* FROM CLIP NAME: my film.mp4
* JUMP 70 70 SCORE 0.750
"""


def test_an_edl_by_hand():
    assert formats.edl("folder/my  film.mp4", shots(CUT, WIPE, JUMP)) == EDL
    dissolve = formats.edl("a.mp4", shots(Boundary(5, 7, "dissolve", 1.0)))
    assert "002  AX       V     D    003 00:00:00:08" in dissolve


@pytest.mark.parametrize(
    ("rate", "whole"),
    [(Fraction(30000, 1001), 30), (Fraction(24000, 1001), 24), (Fraction(25, 2), 13), (Fraction(1, 5), 1)],
)
def test_timecodes_count_at_the_next_whole_rate(rate, whole):
    line = formats.edl("a.mp4", shots(rate=rate)).splitlines()[3]
    assert line.endswith(formats.timecode(100, whole))


@pytest.mark.parametrize(
    ("frame", "rate", "text"),
    [(0, 25, "00:00:00:00"), (25 * 3599 + 24, 25, "00:59:59:24"), (30 * 36000, 30, "10:00:00:00")],
)
def test_timecodes(frame, rate, text):
    assert formats.timecode(frame, rate) == text


def test_events_are_the_whole_video_whatever_lies_at_its_ends():
    first, last = Boundary(0, 4, "dissolve", 0.5), Boundary(95, 99, "fade", 0.5)
    found = formats._events(shots(first, CUT, last))
    assert found == [(0, 5, None), (5, 20, first), (20, 100, CUT)], "the last one ends in no new shot"
    assert formats._events(shots()) == [(0, 100, None)]
    assert formats._events(shots(Boundary(0, 0, "cut", 0.5))) == [(0, 100, None)]


def test_rows_and_files(tmp_path):
    expected = [
        {"first": 20, "last": 20, "kind": "cut", "score": 0.9877, "first_seconds": 0.8, "last_seconds": 0.8},
        {"first": 40, "last": 49, "kind": "wipe", "score": 0.8, "first_seconds": 1.6, "last_seconds": 1.96},
    ]
    assert formats.rows(shots(CUT, WIPE)) == expected
    formats.write(tmp_path / "a.json", "folder/a.mp4", shots(CUT, WIPE))
    content = json.loads((tmp_path / "a.json").read_text())
    assert content == {"video": "folder/a.mp4", "frames": 100, "rate": 25.0, "boundaries": expected}
    formats.write(tmp_path / "a.csv", "a.mp4", shots(CUT))
    assert (tmp_path / "a.csv").read_text() == (
        "first,last,kind,score,first_seconds,last_seconds\n20,20,cut,0.9877,0.8,0.8\n"
    )
    formats.write(tmp_path / "a.edl", "folder/my  film.mp4", shots(CUT, WIPE, JUMP))
    assert (tmp_path / "a.edl").read_text() == EDL
    with pytest.raises(ValueError, match=r"^path must end in json, csv, edl, otio, got .*a\.txt$"):
        formats.write(tmp_path / "a.txt", "a.mp4", shots())
    assert formats.rows(shots(Boundary(1, 1, "cut", 1.0), rate=Fraction(3)))[0]["first_seconds"] == 0.333333


def test_segments_of_another_rate_end_when_their_last_frame_does():
    rows = formats.clean("a.mp4", "x", shots(CUT, rate=Fraction(3), frames=22), least=2)
    assert rows == [("a.mp4", 0.0, pytest.approx(20 / 3), "x"), ("a.mp4", 6.666667, pytest.approx(22 / 3), "x")]


def test_a_timeline_by_hand():
    library = pytest.importorskip("opentimelineio")
    given = shots(CUT, WIPE, Boundary(52, 58, "dissolve", 0.5), rate=Fraction(50))
    timeline = library.adapters.read_from_string(formats.otio("folder/a.mp4", given), "otio_json")
    assert timeline.name == "a.mp4"
    (track,) = timeline.tracks
    assert (track.name, track.kind) == ("shots", library.schema.TrackKind.Video)
    clips = [each for each in track if isinstance(each, library.schema.Clip)]
    assert [clip.name for clip in clips] == ["shot 1", "shot 2", "shot 3", "shot 4"]
    assert [(c.source_range.start_time.value, c.source_range.duration.value) for c in clips] == [
        (0, 20), (20, 30), (50, 9), (59, 41)
    ]  # fmt: skip
    assert {c.source_range.start_time.rate for c in clips} == {50.0}
    assert {(c.media_reference.target_url, c.media_reference.available_range.duration.value) for c in clips} == {
        ("folder/a.mp4", 100)
    }
    assert "gpuaug" not in clips[0].metadata
    assert dict(clips[1].metadata["gpuaug"]) == CUT._asdict()
    between = [each for each in track if isinstance(each, library.schema.Transition)]
    assert [(t.name, t.transition_type, t.in_offset.value, t.out_offset.value, t.in_offset.rate) for t in between] == [
        ("wipe", "Custom_Transition", 10, 0, 50.0),
        ("dissolve", library.schema.TransitionTypes.SMPTE_Dissolve, 7, 0, 50.0),
    ]
    assert [type(each).__name__ for each in track] == ["Clip", "Clip", "Transition", "Clip", "Transition", "Clip"]
    short = formats.otio("a.mp4", shots(CUT, Boundary(21, 30, "wipe", 0.5)))
    track = library.adapters.read_from_string(short, "otio_json").tracks[0]
    assert [t.in_offset.value for t in track if isinstance(t, library.schema.Transition)] == [10]
