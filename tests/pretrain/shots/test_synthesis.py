"""A folder of edited videos: which of them are made, by whom, and what its lists say. Encoding is a stand-in."""

import csv
import errno
import json
import os
from types import SimpleNamespace

import av
import pytest

import gpuaug
from pretrain.common.cli import Failed
from pretrain.shots import synthesis
from pretrain.shots.edits import EditSettings, Source
from pretrain.shots.footage import Unreadable
from pretrain.shots.synthesis import CODECS, Collection, Progress, has_codec, usual_codec

SETTINGS = EditSettings(seconds=(6.0, 9.0), size=(8, 12), fps=10)
SOURCES = [Source(f"/clips/{k}.mp4", f"{k}.mp4", "ab"[k % 2], 80, (36, 48)) for k in range(6)]


@pytest.fixture
def written(monkeypatch):
    """Videos of no pictures: what `write_video` was asked for; `broken` sources fail, `damaged` ones are told of."""
    asked = SimpleNamespace(videos=[], broken=set(), damaged={})

    class Footage:
        def __init__(self, settings):
            self.damaged = asked.damaged

        def frames(self, edit):
            for clip in edit.clips:
                if clip.source.name in asked.broken:
                    raise Unreadable(clip.source.name, clip.source.path, "cut off")
            return edit

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    def write_video(part, frames, *given, **how):
        asked.videos.append((frames, given, how))
        part.write_bytes(b"video")

    monkeypatch.setattr(synthesis, "Footage", Footage)
    monkeypatch.setattr(gpuaug, "write_video", write_video)
    return asked


@pytest.fixture
def collection(tmp_path, written):
    """A function of what differs: a folder of edited videos, with `said`."""
    made = []

    def begun(**other):
        said = []
        how = {"seed": 3, "codec": "libx264", "quality": (18, 20), "sources": SOURCES, "settings": SETTINGS, **other}
        made.append(Collection(tmp_path / "out", how.pop("sources"), how.pop("settings"), say=said.append, **how))
        made[-1].said = said
        return made[-1]

    yield begun
    for each in made:
        each.close()


def read(path):
    return json.loads(path.read_text())


def test_a_video_with_its_labels(collection, written, tmp_path):
    it = collection()
    seen = []
    assert it.make([7, 1002], progress=lambda: seen.append(1)) == Progress(made=2)
    assert len(seen) == 2
    out = tmp_path / "out"
    assert it.marker(7) == out / "000/000007.json"
    assert it.marker(1002) == out / "001/001002.json"
    told = read(it.marker(7))
    edit, given, how = written.videos[0]
    assert given == (SETTINGS.rate, "libx264")
    crf = told["quality"]
    assert how == {"options": {"crf": str(crf), "preset": "veryfast"}, "container": "mp4", "reproducible": True}
    assert (out / told["video"]).read_bytes() == b"video"
    assert (told["video"], told["seed"], told["number"], told["fps"], told["size"]) == (
        "000/000007.mp4",
        3,
        7,
        10,
        [8, 12],
    )
    assert told["frames"] == edit.plan.shape[1]
    assert len(told["boundaries"]) == len(edit.boundaries()) > 0
    for row, wanted in zip(told["boundaries"], edit.boundaries()):
        assert {name: row[name] for name in ("first", "last", "kind", "new")} == {
            name: wanted[name] for name in ("first", "last", "kind", "new")
        }
        assert (row["first_seconds"], row["last_seconds"]) == (row["first"] / 10, row["last"] / 10)
    clip = edit.clips[0]
    assert told["shots"][0] == {
        "source": clip.source.name, "label": clip.source.label, "start_seconds": round(clip.start_seconds, 6),
        "source_frames": clip.frames, "first": clip.first, "last": clip.last, "time": clip.edit,
    }  # fmt: skip
    with open(out / "000/000007.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows] == [row["kind"] for row in told["boundaries"]]
    assert list(rows[0]) == ["first", "last", "kind", "family", "new", "first_seconds", "last_seconds"]


def test_qualities_are_between_both_ends_and_each_videos_own(collection, tmp_path):
    it = collection()
    it.make(range(20))
    found = [read(it.marker(k))["quality"] for k in range(20)]
    assert set(found) == {18, 19, 20}
    for k in (0, 1):
        it.marker(k).unlink()
    it.make([1, 0])
    assert [read(it.marker(k))["quality"] for k in range(20)] == found, "whenever it is made"


def test_what_is_there_or_in_hand_is_left(collection, written):
    it = collection()
    assert it.make([1, 2]) == Progress(made=2)
    assert it.make([1, 2, 3]) == Progress(made=1, there=2)
    it._lock = lambda number, wait=False: number != 5
    assert it.make([4, 5, 1]) == Progress(made=1, there=1, others=1)
    it._lock = lambda number, wait=False: it.marker(number).write_text("{}") or True
    assert it.make([6]) == Progress(there=1), "made by another process just before"
    assert len(written.videos) == 4


def test_sources_that_fail_are_said_once_and_others_taken(collection, written):
    written.broken = {"1.mp4", "3.mp4"}
    it = collection()
    it.make(range(6))
    shown = {shot["source"] for k in range(6) for shot in read(it.marker(k))["shots"]}
    assert shown == {"0.mp4", "2.mp4", "4.mp4", "5.mp4"}
    assert it.unreadable == {"/clips/1.mp4": "cut off", "/clips/3.mp4": "cut off"}
    assert sorted(it.said) == ["/clips/1.mp4: cut off; left out", "/clips/3.mp4: cut off; left out"]


def test_damaged_frames_are_told(collection, written):
    written.damaged = {"/clips/0.mp4": 4}
    it = collection()
    it.make([0])
    assert it.said == ["/clips/0.mp4: 4 of its frames are shown although they are damaged"]


def test_lists_of_all_that_is_done(collection, tmp_path):
    it = collection()
    it.make([1001, 0])
    out = tmp_path / "out"
    (out / "notes").mkdir()
    (out / "000/word.json").write_text("[]")
    told = [read(it.marker(k)) for k in (0, 1001)]
    told[0]["boundaries"] = [
        {"first": 10, "last": 10, "new": 10, "kind": "cut"}, {"first": 20, "last": 24, "new": 25, "kind": "dissolve"},
        {"first": 40, "last": 40, "new": 40, "kind": "jump"},
    ]  # fmt: skip
    it.marker(0).write_text(json.dumps(told[0]))
    assert it.write_lists() == 2
    shots = read(out / "clipshots.json")
    assert shots["000/000000.mp4"] == {
        "transitions": [[9, 10], [19, 25]], "jumps": [[39, 40]], "frame_num": told[0]["frames"]
    }  # fmt: skip
    with open(out / "boundaries.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[:4] == [
        ["video", "first", "last", "type"], ["000/000000", "10", "10", "cut"], ["000/000000", "20", "24", "dissolve"],
        ["000/000000", "40", "40", "jump"],
    ]  # fmt: skip
    assert len(rows) == 4 + len(told[1]["boundaries"])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"seed": 4}, "was begun with seed 3, not 4"),
        ({"codec": "mpeg4"}, "was begun with codec libx264, not mpeg4"),
        ({"quality": (18, 21)}, r"was begun with quality \[18, 20\], not \[18, 21\]"),
        ({"sources": SOURCES[:5]}, "was begun with sources 6, not 5"),
        ({"sources": [*SOURCES[:5], SOURCES[5]._replace(frames=81)]}, "was begun with other sources"),
        ({"sources": [*SOURCES[:5], SOURCES[5]._replace(size=(48, 36))]}, "was begun with other sources"),
        ({"sources": [*SOURCES[:5], SOURCES[5]._replace(label="c")]}, "was begun with other sources"),
        (
            {"settings": EditSettings(seconds=(6.0, 9.0), size=(8, 12), fps=11)},
            "was begun with fps 10",
        ),
    ],
)
def test_a_folder_is_of_one_seed_and_one_set_of_sources(collection, tmp_path, other, message):
    collection()
    collection(sources=[s._replace(path="/elsewhere") for s in SOURCES])  # wherever they lie
    with pytest.raises(
        ValueError, match=f"^{tmp_path}/out {message}.*: give another folder, or the same flags and videos$"
    ):
        collection(**other)


def test_a_disk_without_locks_is_told_once(collection, monkeypatch):
    it = collection()

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(synthesis.fcntl, "lockf", refuse)
    assert it.make([0, 1]) == Progress(made=2)
    assert it.said == [f"{it.out} has no locks (No locks available): let every process have a --shard of its own"]


def test_locks_are_of_one_byte_and_waited_for_only_where_all_share(collection, monkeypatch):
    it, asked = collection(), []
    monkeypatch.setattr(
        synthesis.fcntl, "lockf", lambda file, how, length, start: asked.append((file, how, length, start))
    )
    it.make([9])
    it.write_lists()
    take, wait, free = (
        synthesis.fcntl.LOCK_EX | synthesis.fcntl.LOCK_NB,
        synthesis.fcntl.LOCK_EX,
        synthesis.fcntl.LOCK_UN,
    )
    assert [each[1:] for each in asked] == [(take, 1, 9), (free, 1, 9), (wait, 1, 1 << 40), (free, 1, 1 << 40)]
    assert {each[0] for each in asked} == {it._claims}
    for error in (BlockingIOError, PermissionError):

        def busy(*_, error=error):
            raise error

        monkeypatch.setattr(synthesis.fcntl, "lockf", busy)
        assert not it._lock(1)


def test_the_usual_encoder_is_the_first_that_there_is(monkeypatch):
    assert has_codec("mpeg4")
    assert not has_codec("none")
    assert not has_codec("vp9_qsv_none")

    def only(*there):
        def codec(name, mode):
            assert mode == "w"
            if name not in there:
                raise ValueError(name)

        monkeypatch.setattr(av, "Codec", codec)

    only("mpeg4", "libsvtav1")
    assert usual_codec() == "libsvtav1"
    only("mpeg4", "libx264")
    assert usual_codec() == "libx264"
    only()
    with pytest.raises(
        Failed, match=r"^this FFmpeg has none of the encoders libx264, libopenh264, libvpx-vp9, libsvtav1, mpeg4$"
    ):
        usual_codec()


def test_every_encoder_takes_the_quality():
    assert {name: options(30) for name, options in CODECS.items()} == {
        "libx264": {"crf": "30", "preset": "veryfast"},
        "libopenh264": {"rc_mode": "quality", "qmin": "30", "qmax": "30"},
        "libvpx-vp9": {"crf": "30", "b": "0", "deadline": "realtime", "cpu-used": "6"},
        "libsvtav1": {"crf": "30", "preset": "10"},
        "mpeg4": {"flags": "+qscale", "global_quality": "1180"},
    }
    assert CODECS["mpeg4"](0)["global_quality"] == "236"


def test_what_killed_processes_have_left_is_deleted(collection, tmp_path):
    """Of the folder when it is begun, of a video when it is made, of the lists when they are written."""
    it, gone = collection(), 2**30  # no process has this number
    files = {
        "begin": ["made_of.json"],
        "make": ["000/000004.mp4", "000/000004.csv", "000/000004.json"],
        "write": ["boundaries.csv", "clipshots.json"],
    }
    left = {when: [tmp_path / "out" / f"{name}.{gone}.part" for name in names] for when, names in files.items()}
    left = {when: [path.with_name(f".{path.name}") for path in paths] for when, paths in left.items()}
    for path in (each for paths in left.values() for each in paths):
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
    for when, work in (("begin", collection), ("make", lambda: it.make([4])), ("write", it.write_lists)):
        assert all(path.exists() for path in left[when])
        work()
        assert not any(path.exists() for path in left[when]), when
