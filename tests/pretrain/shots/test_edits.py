"""Edited videos as data: a number is a video, its plan shows what its clips and boundaries say, rates are as asked."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import gpuaug
from gpuaug.transitions import FAMILIES
from pretrain.shots.edits import LEAST, EditSettings, Source, draw, read_sources
from pretrain.shots.footage import Footage, Unreadable

SETTINGS = EditSettings(size=(18, 32), fps=25.0, seconds=(4.0, 10.0))
LENGTHS = (12, 40, 90, 200, 300, 500)
SOURCES = [Source(f"/there/{k}.mp4", f"{k}.mp4", "ab"[k % 2], n, (90, 160)) for k, n in enumerate(LENGTHS)]


def same(one, two):
    return one.clips == two.clips and all(
        np.array_equal(getattr(one.plan, name), getattr(two.plan, name)) for name in ("clip", "time", "weight")
    )


def test_a_number_of_a_seed_is_one_video():
    for number in range(6):
        edit = draw(3, number, SOURCES, SETTINGS)
        assert same(edit, draw(3, number, SOURCES, SETTINGS))
        assert edit.boundaries() == draw(3, number, SOURCES, SETTINGS).boundaries()
        assert not same(edit, draw(4, number, SOURCES, SETTINGS))
        assert not same(edit, draw(3, number + 1, SOURCES, SETTINGS))


@pytest.mark.parametrize("sources", [SOURCES, SOURCES[:1], SOURCES[1:2]], ids=["many", "shortest", "one"])
def test_the_plan_shows_what_the_clips_say(sources):
    """Within the sources' frames, clip after clip, in the middle of at most one transition at a time."""
    for number in range(12):
        edit = draw(0, number, sources, SETTINGS)
        plan, rows = edit.plan, edit.boundaries()
        length = plan.shape[1]
        assert 100 <= length <= 250
        for k, clip in enumerate(edit.clips):
            seen = np.flatnonzero(((plan.clip == k) & (plan.weight > 0)).any((0, 2)))
            assert (clip.first, clip.last) == (seen[0], seen[-1])
            frames = plan.frame[plan.clip == k]
            assert 0 <= frames.min() <= frames.max() < clip.frames
            assert round(clip.start_seconds * SETTINGS.fps) + clip.frames <= clip.source.frames
        assert edit.clips[0].first == 0
        assert edit.clips[-1].last == length - 1
        assert [row["new"] for row in rows] == sorted({row["new"] for row in rows})
        for row, after in zip(rows, [*rows[1:], {"first": length}]):
            assert 0 < row["first"] <= row["last"] <= row["new"] < after["first"]
            assert (row["first"] < row["new"]) == (row["kind"] not in ("cut", "jump"))
        changes = [clip.last for clip in edit.clips[:-1]]
        assert len(changes) == sum(row["kind"] != "jump" for row in rows)
        for row, before, after in zip([r for r in rows if r["kind"] != "jump"], edit.clips, edit.clips[1:]):
            if row["kind"] == "cut":
                assert (before.last, after.first) == (row["new"] - 1, row["new"])
            else:
                assert before.last <= row["last"]
                assert after.first >= row["first"]


def test_jumps_leave_frames_out_and_nothing_else_does():
    jumps = 0
    for number in range(30):
        edit = draw(1, number, SOURCES, EditSettings(size=(18, 32), fps=25.0, seconds=(4.0, 10.0), jumps=0.5))
        clip, time = edit.plan.source()
        step = np.diff(time[0])
        at = {row["new"] for row in edit.boundaries() if row["kind"] == "jump"}
        for k, own in enumerate(edit.clips):
            inside = np.flatnonzero((clip[0, 1:] == k) & (clip[0, :-1] == k)) + 1
            new = {int(i) for i in inside if i in at}
            jumps += len(new)
            assert all(9 <= step[i - 1] <= 49 for i in new)
            others = [step[i - 1] for i in inside if i not in new]
            if own.edit["kind"] == "none" and others:
                assert set(np.round(others, 6)) <= {0.0, 1.0}  # 0: the clip's end, where it is seen no more
    assert jumps > 20


def test_speeds_are_those_that_are_told():
    every = EditSettings(size=(18, 32), fps=25.0, seconds=(4.0, 10.0), jumps=0.0, speeds=1.0)
    kinds = set()
    for number in range(20):
        edit = draw(2, number, SOURCES, every)
        clip, time = edit.plan.source()
        for k, own in enumerate(edit.clips):
            inside = np.flatnonzero(clip[0] == k)
            step = np.diff(time[0, inside])
            kinds.add(own.edit["kind"])
            if own.edit["kind"] == "speed":
                np.testing.assert_allclose(step, own.edit["rate"], atol=1e-6)
            elif own.edit["kind"] == "reverse":
                assert (step == -1).all()
            elif own.edit["kind"] == "ramp":
                assert set(np.round(step, 6)) <= {1.0, round(own.edit["rate"], 6)}
            else:
                assert set(step) <= {0.0, 1.0}
    assert kinds == {"speed", "reverse", "ramp", "freeze"}


@pytest.mark.slow
def test_shares_are_as_asked():
    def count(**how):
        settings = EditSettings(size=(18, 32), fps=25.0, seconds=(8.0, 8.0), **how)
        rows = [row for number in range(24) for row in draw(5, number, SOURCES[3:], settings).boundaries()]
        return np.array([row["family"] for row in rows]), rows

    families, _ = count(gradual=1.0, jumps=0.0)
    # a transition that finds no room before the end is left out, so that all are gradual
    assert "cut" not in families
    assert set(families) == set(FAMILIES) - {"cut", "time"}
    families, rows = count(gradual=0.0, jumps=0.0)
    assert set(families) == {"cut"}
    assert len(count(gradual=0.0, jumps=0.0, dense=1.0)[0]) > 2 * len(count(gradual=0.0, jumps=0.0, dense=0.0)[0])
    assert all(set(row) == {"kind", "family", "first", "last", "new"} for row in rows)
    _, rows = count(gradual=0.5)
    wipes = [row for row in rows if row["kind"] == "wipe_left"]
    assert all("angle" not in row for row in wipes)


def test_the_next_source_is_another_one_often_of_the_same_class():
    same_class = EditSettings(size=(18, 32), fps=25.0, seconds=(8.0, 8.0), similar=1.0)
    for settings, low, high in ((same_class, 0.7, 1.0), (SETTINGS, 0.4, 0.9)):
        pairs = []
        for number in range(24):
            names = [clip.source for clip in draw(6, number, SOURCES[2:], settings).clips]
            pairs += list(itertools.pairwise(names))
        # the longest may be the only one that fits, as often as not
        assert np.mean([one.name != two.name for one, two in pairs]) > 0.8
        assert low <= np.mean([one.label == two.label for one, two in pairs]) <= high


def test_without_a_source_the_rest_serves():
    edit = draw(0, 1, SOURCES, SETTINGS, without={SOURCES[5].name, SOURCES[4].name})
    assert {clip.source.name for clip in edit.clips} <= {source.name for source in SOURCES[:4]}
    with pytest.raises(ValueError, match="sources must have one that can be read, got none"):
        draw(0, 1, SOURCES, SETTINGS, without={source.name for source in SOURCES})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": (17, 32)}, "size must be even, rows and columns, got size=17 32"),
        ({"seconds": (0.4, 4.0)}, f"seconds must be at least {LEAST} frames, got seconds=0.4 at 25 frames/s"),
        ({"gradual": 1.5}, r"gradual must be in \[0, 1\], got gradual=1.5"),
        ({"fps": 0.0}, "fps must be > 0, got fps=0.0"),
    ],
)
def test_bad_settings_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        EditSettings(**{"size": (18, 32), "fps": 25.0, **given})


def test_names_of_sources_are_the_same_wherever_the_folder_lies(tmp_path):
    found = []
    for place in ("one", "two/deeper"):
        for name in ("a/x.mp4", "b/c/y.mp4"):
            path = tmp_path / place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            gpuaug.write_video(path, (np.zeros((16, 16, 3), np.uint8) for _ in range(30)), 25)
        found.append([source._replace(path="") for source in read_sources([tmp_path / place], SETTINGS)[0]])
    assert found[0] == found[1]
    assert [source.name for source in found[0]] == ["a/x.mp4", "b/c/y.mp4"]
    assert found[0][0].frames == 29


def test_pictures_fill_the_frame_with_the_middle_of_the_source(tmp_path):
    """Wide, tall and small sources: left and right, or above and below, are cut off alike; nothing is squeezed."""
    rng = np.random.default_rng(0)
    for size in ((36, 128), (96, 32), (18, 32)):
        wide = np.zeros((*size, 3), np.uint8)
        wide[size[0] // 2 - 4 : size[0] // 2 + 4, size[1] // 2 - 4 : size[1] // 2 + 4] = 200
        path = tmp_path / f"{size[0]}.mp4"
        gpuaug.write_video(path, (wide for _ in range(150)), 25, options={"qp": "2"})
        sources, _ = read_sources([path], SETTINGS)
        with Footage(SETTINGS) as footage:
            edit = draw(0, int(rng.integers(100)), sources, EditSettings(**{**vars(SETTINGS), "gradual": 0.0}))
            picture = footage.pictures(edit)[0].mean(2)
        scale = max(18 / size[0], 32 / size[1])
        assert abs(picture[9, 15:17].mean() - 200) < 12
        assert abs((picture > 100).sum() - (8 * scale) ** 2) < 16 * scale + 8
        assert abs(np.argwhere(picture > 100).mean(0) - [8.5, 15.5]).max() < 0.6


def test_an_unreadable_source_is_named(tmp_path):
    gpuaug.write_video(tmp_path / "x.mp4", (np.zeros((16, 16, 3), np.uint8) for _ in range(150)), 25)
    sources, _ = read_sources([tmp_path / "x.mp4"], SETTINGS)
    (tmp_path / "x.mp4").write_bytes(b"")
    with Footage(SETTINGS) as footage, pytest.raises(Unreadable, match=r"x\.mp4: ") as found:
        footage.pictures(draw(0, 0, sources, SETTINGS))
    assert found.value.name == "x.mp4"
