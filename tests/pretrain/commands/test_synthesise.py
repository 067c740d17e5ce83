"""gpuaug synthesise: labels against decoded pixels, its lists, sources that fail, what it refuses, its memory."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

import gpuaug
from pretrain.shots.edits import EditSettings, draw, read_sources
from pretrain.shots.footage import Footage
from support.edited import (
    COLORS,
    HEIGHT,
    RATE,
    WIDTH,
    decoded,
    make_clips,
    picture,
    read,
    run,
    whole,
)

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return make_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def made(clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "out"
    assert run(clips, out, "--quality", "4", "8", "--dense", "0.7", "--jumps", "0.3", count=20) == 0
    return out


def test_labels_are_what_the_videos_show(made):
    """Of the colours: beside gradual transitions every frame is of one source, and a cut is where it changes."""
    kinds = set()
    for marker in sorted(made.glob("000/*.json")):
        told = json.loads(marker.read_text())
        frames = decoded(made / told["video"]).astype(int)
        assert frames.shape == (told["frames"], HEIGHT, WIDTH, 3)
        color = frames[:, 2:12]
        truth = np.full(told["frames"], -1)
        for shot in told["shots"]:
            truth[shot["first"] : shot["last"] + 1] = int(Path(shot["source"]).stem)
        inside = np.zeros(told["frames"], bool)
        for row in told["boundaries"]:
            kinds.add(row["kind"])
            if row["first"] < row["new"]:
                inside[row["first"] : row["last"] + 1] = True
        off = np.abs(color - np.array(COLORS)[truth][:, None, None]).max((1, 2, 3))
        assert off[~inside].max() < 40, (marker, np.flatnonzero((off > 40) & ~inside))
        assert not inside.any() or (off[inside] > 40).mean() > 0.3
        steps = np.abs(np.diff(color.mean((1, 2)), axis=0)).max(1)
        for row in told["boundaries"]:
            if row["kind"] == "cut":
                assert steps[row["new"] - 1] > 40, (marker, row)
    assert {"cut", "jump", "dissolve"} < kinds
    assert len(kinds) > 8


def test_jumps_and_speeds_are_what_the_videos_show(made):
    seen = set()
    for marker in sorted(made.glob("000/*.json")):
        told = json.loads(marker.read_text())
        lower = decoded(made / told["video"])[:, -6:].astype(float).mean((1, 2, 3))
        for row in told["boundaries"]:
            if row["kind"] == "jump":
                assert lower[row["new"]] - lower[row["new"] - 1] > 2 * 6, (marker, row)
                seen.add("jump")
        borders = [row for row in told["boundaries"] if row["kind"] != "jump"]
        for shot, begin, end in zip(told["shots"], [{"new": 0}, *borders], [*borders, {"first": told["frames"]}]):
            steps = np.diff(lower[begin["new"] : end["first"]])
            if shot["time"]["kind"] == "reverse" and len(steps):
                assert steps.max() < 1
                seen.add("reverse")
            if shot["time"]["kind"] == "none" and len(steps) > 3:
                assert np.abs(np.median(steps) - 2) < 1
            if shot["time"]["kind"] == "speed" and len(steps) > 8:
                assert abs(steps.mean() / 2 - shot["time"]["rate"]) < 0.3
                seen.add("speed")
    assert seen == {"jump", "reverse", "speed"}


def test_the_lists_say_the_same(made):
    shots = json.loads((made / "clipshots.json").read_text())
    assert len(shots) == 20
    rows = read(made / "boundaries.csv")
    for name, entry in shots.items():
        told = json.loads((made / name).with_suffix(".json").read_text())
        assert entry["frame_num"] == told["frames"]
        own = read((made / name).with_suffix(".csv"))
        assert [[int(row["first"]), int(row["last"]), row["kind"]] for row in own] == [
            [int(row["first"]), int(row["last"]), row["type"]] for row in rows if f"{row['video']}.mp4" == name
        ]
        gradual = {row["kind"]: row for row in told["boundaries"] if row["first"] < row["new"]}.values()
        for row in told["boundaries"]:
            pair = [row["first"] - 1, row["new"]]
            assert pair in entry["jumps" if row["kind"] == "jump" else "transitions"]
            assert row["first_seconds"] == round(row["first"] / RATE, 6)
        assert all(row["new"] == row["last"] + 1 for row in gradual)
        assert len(told["boundaries"]) == len(entry["jumps"]) + len(entry["transitions"])


def test_sources_that_fail_are_named_counted_and_left_out(clips, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "clips"
    shutil.copytree(clips, folder)
    (folder / "class0" / "broken.mp4").write_bytes(b"no video")
    gpuaug.write_video(folder / "class0" / "short.mp4", (picture(0, i) for i in range(8)), RATE)
    decode = gpuaug.Decoder.decode

    def failing(self, windows):  # one that probe takes for good
        if windows[0].path.endswith("2.mp4"):
            return [None], [gpuaug.Failure(0, windows[0].path, "the disk says no")]
        return decode(self, windows)

    monkeypatch.setattr(gpuaug.Decoder, "decode", failing)
    assert run(folder, tmp_path / "one") == 0
    told = capsys.readouterr()
    assert told.err.count("broken.mp4") == 1
    assert told.err.count("short.mp4: 0.40 s are less than 13 frames; left out") == 1
    assert told.err.count("2.mp4: the disk says no; left out") == 1
    assert "8 videos made of 7 sources, 0 there already; 3 sources left out" in told.out
    for part in "10":
        assert run(folder, tmp_path / "two", "--shard", f"{part}/2") == 0
    assert whole(tmp_path / "one") == whole(tmp_path / "two")
    shown = [s["source"] for p in (tmp_path / "one").glob("0*/*.json") for s in json.loads(p.read_text())["shots"]]
    assert len(shown) > 20
    assert not [name for name in shown if name.endswith("2.mp4")]
    monkeypatch.setattr(gpuaug.Decoder, "decode", lambda self, windows: ([None], [gpuaug.Failure(0, "x", "no disk")]))
    assert run(folder, tmp_path / "none") == 1
    assert "sources must have one that can be read, got none" in capsys.readouterr().err


def test_damaged_frames_are_told_of(clips, tmp_path, capsys, monkeypatch):
    """However many decoders were let go on the way: here one is kept."""
    monkeypatch.setattr("pretrain.shots.footage.DECODERS", 1)
    monkeypatch.setattr(gpuaug.Decoder, "damaged_frames", {"film.mp4": 3})
    assert run(clips, tmp_path / "out", count=1) == 0
    told = re.search(r"film.mp4: (\d+) of its frames are shown although they are damaged", capsys.readouterr().err)
    assert int(told[1]) % 3 == 0
    assert int(told[1]) > 3


def test_it_refuses_at_once(clips, tmp_path, capsys):
    assert run(clips, tmp_path / "out", count=1) == 0
    capsys.readouterr()
    for flags, status, message in (
        (["--seed", "1"], 1, "was begun with seed 0, not 1: give another folder, or the same flags and videos"),
        (["--gradual", "1"], 1, "was begun with gradual 0.4, not 1"),
        (["--shard", "2/2"], 2, "--shard must be I/N with 0 ≤ I < N, got 2/2"),
        (["--codec", "h263"], 2, "--codec must be one of libx264"),
        (["--size", "31", "48"], 2, "--size must be even, rows and columns, got 31 48"),
        (["--seconds", "5", "4"], 2, "--seconds must be the lesser number first, got 5 4"),
        (["--quality", "30", "60"], 2, "--quality must be in [0, 51], got (30, 60)"),
        (["--cuont", "3"], 2, "did you mean --count?"),
    ):
        assert run(clips, tmp_path / "out", *flags) == status, flags
        error = capsys.readouterr().err
        assert message in error, error
        assert len(error.splitlines()) == 1
    assert run(clips / "class1", tmp_path / "out") == 1
    assert "was begun with sources 7, not 3" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty", tmp_path / "new") == 1
    assert "VIDEOS must be files, or folders with videos, found none" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert run(clips, tmp_path / "file") == 1
    assert "--out must be a folder, got the file" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_other_codecs(clips, tmp_path):
    for codec in ("mpeg4", "libvpx-vp9"):
        assert run(clips, tmp_path / codec, "--codec", codec, count=1) == 0
        assert json.loads((tmp_path / codec / "made_of.json").read_text())["codec"] == codec
        with av.open(str(tmp_path / codec / "000" / "000000.mp4")) as file:
            assert file.streams.video[0].codec_context.name in ("mpeg4", "vp9", "libvpx-vp9")


def test_only_the_shots_in_sight_are_in_memory(clips, monkeypatch):
    settings = EditSettings(size=(HEIGHT, WIDTH), fps=float(RATE), seconds=(60.0, 60.0), dense=0.0)
    sources, _ = read_sources([clips], settings)
    edit = draw(0, 3, sources, settings)
    assert len(edit.clips) > 12
    kept, most = [], 0
    original = Footage._decode

    def watched(self, clip):
        nonlocal most
        frames = original(self, clip)
        kept.append(frames.untyped_storage()._weak_ref())
        most = max(most, sum(not type(frames.untyped_storage())._expired(each) for each in kept))
        return frames

    monkeypatch.setattr(Footage, "_decode", watched)
    with Footage(settings) as footage:
        assert sum(1 for _ in footage.frames(edit)) == 1200
    assert len(kept) == len(edit.clips), "a clip is decoded once"
    assert most <= 6
