"""Segments of whatever tells of videos: labels, numbers of videos, fingerprints, refusals."""

from dataclasses import replace

import pytest

from gpuaug import Manifest, Segment, Video
from gpuaug.supply.segment import Segments, segments_of

USABLE = Video("a/x.mp4", "b", duration_seconds=4.0, fps=25.0, frames=100)
MANIFEST = Manifest(
    [
        USABLE,
        Video("broken.mp4", "a", error="no video"),
        replace(USABLE, path="y.mp4", label="a", duration_seconds=2.5),
        replace(USABLE, path="z.mp4", label=None),
    ]
)


def test_a_manifest_s_usable_videos_are_whole_segments():
    found = segments_of(MANIFEST)
    assert found.segments == [
        Segment("a/x.mp4", 0.0, 4.0, 1, 0),
        Segment("y.mp4", 0.0, 2.5, 0, 1),
        Segment("z.mp4", 0.0, 4.0, -1, 2),
    ]
    assert found.classes == ["a", "b"]
    assert found.skipped == [("broken.mp4", "no video")]
    assert found.videos == ["a/x.mp4", "y.mp4", "z.mp4"]


def test_nothing_usable_is_an_error_that_names_a_reason():
    with pytest.raises(ValueError, match=r": 1 unusable, for example broken.mp4: no video$"):
        segments_of(Manifest(MANIFEST.failed))
    with pytest.raises(ValueError, match=r"videos must include at least one usable file, got .*: 0 unusable$"):
        segments_of(Manifest([]))


def test_paths_are_probed_with_what_is_passed_on(monkeypatch):
    asked = []

    def probe(videos, **how):
        asked.append((videos, how))
        return MANIFEST

    monkeypatch.setattr("gpuaug.supply.segment.probe", probe)
    for videos, given in ((["a", "b"], ["a", "b"]), ("folder", "folder"), (iter(["a"]), ["a"]), ([], [])):
        assert len(segments_of(videos, cache="file", progress=False).segments) == 3
        assert asked.pop() == (given, {"cache": "file", "progress": False})


def test_segments_are_taken_as_they_are():
    given = [Segment("a", 0, 1, 2, 5), Segment("b", 0.5, 9, -1, 3)]
    assert segments_of(given).segments == given
    assert segments_of(tuple(given)).segments == given
    assert segments_of(given).videos == ["", "", "", "b", "", "a"]
    assert segments_of(given).classes == segments_of(given).skipped == []


def test_videos_without_a_number_are_told_apart_by_path():
    given = [Segment("b", 0, 1), Segment("a", 0, 1, video=7), Segment("b", 1, 2)]
    assert [segment.video for segment in segments_of(given).segments] == [0, 1, 0]


@pytest.mark.parametrize(
    ("start", "end", "right"),
    [
        (0, 1e-9, True),
        (2, 3, True),
        (0, 0, False),
        (1, 0.5, False),
        (-1e-9, 1, False),
        (0, float("inf"), False),
        (float("nan"), 1, False),
        (0, float("nan"), False),
    ],
)
def test_a_segment_has_a_length(start, end, right):
    given = [Segment("a", 0, 1, video=0), Segment("a", start, end, video=0)]
    if right:
        assert segments_of(given).segments == given
    else:
        with pytest.raises(ValueError, match="videos must have 0 ≤ start < end, got segment 1: "):
            segments_of(given)


def test_a_fingerprint_changes_with_what_is_shown_and_not_with_folders():
    one = [Segment("x/a.mp4", 0.0, 1.0, 0, 0), Segment("x/b.mp4", 0.5, 2.0, 1, 1)]
    same = Segment.fingerprint(one)
    assert len(same) == 8
    assert int(same, 16) >= 0
    assert Segment.fingerprint([replace(s, path=s.path.replace("x/", "elsewhere/")) for s in one]) == same
    for near in ({"end_seconds": 1.0004}, {"start_seconds": 0.0004}):
        assert Segment.fingerprint([replace(one[0], **near), one[1]]) == same, "to the millisecond"
    changes = {"path": "x/c.mp4", "start_seconds": 0.001, "end_seconds": 1.001, "label": 5, "video": 9}
    others = [Segment.fingerprint([replace(one[0], **{name: value}), one[1]]) for name, value in changes.items()]
    assert len({same, *others, Segment.fingerprint(one[::-1]), Segment.fingerprint(one[:1])}) == 8


def test_by_default_a_segment_has_no_label():
    assert (Segment("a", 0, 1).label, Segment("a", 0, 1).video) == (-1, -1)
    assert Segments([Segment("a", 0, 1, video=0)]).videos == ["a"]
