"""Whole videos: the same in parts as at once, frames by number, lists of every kind, bad files by name."""

import csv
import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import gpuaug
from pretrain.__main__ import main
from pretrain.data.annotations import read_published
from pretrain.data.dataset import read_annotations
from pretrain.reports.contact_sheet import section
from pretrain.shots import detect, formats, frames
from pretrain.shots.boundaries import FAMILIES, Boundary
from pretrain.shots.network import CONTEXT, FEATURES, SIZE, Outputs, ShotNetwork


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    network, outputs = ShotNetwork(), Outputs(FEATURES, FAMILIES)
    path = tmp_path_factory.mktemp("weights") / "weights.pt"
    state = {"network": network.state_dict(), "outputs": outputs.state_dict(), "families": list(FAMILIES)}
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def clip():
    """Noise whose colour changes every 40 frames."""
    rng = np.random.default_rng(0)
    color = np.repeat(rng.integers(0, 200, (8, 1, 1, 3)), 40, 0)
    return (color + rng.integers(0, 56, (320, 48, 64, 3))).astype(np.uint8)


def test_the_weights_are_few(weights):
    network, outputs = ShotNetwork(), Outputs(FEATURES, FAMILIES)
    assert sum(each.numel() * 4 for module in (network, outputs) for each in module.state_dict().values()) < 5e6


def test_outputs_depend_on_the_context_and_on_no_more(weights):
    detector = detect.Detector(weights)
    small = np.random.default_rng(1).integers(0, 256, (160, SIZE, SIZE, 3), dtype=np.uint8)
    other = small.copy()
    other[80] = 255 - other[80]
    changed = np.flatnonzero(np.abs(detector.look(small)[0] - detector.look(other)[0]).max(1) > 0)
    assert changed.min() >= 80 - CONTEXT
    assert changed.max() <= 80 + CONTEXT


@pytest.mark.parametrize("chunk", [1, 60, 100, 319, 320, 512])
def test_a_video_in_parts_is_the_video_at_once(weights, clip, chunk, monkeypatch):
    detector = detect.Detector(weights)
    small = frames.small(np.stack([each for part in frames.Source(clip).read(100) for each in part.thumbs]))
    whole = detector.look(small)[0]
    monkeypatch.setattr(detect, "CHUNK", chunk + CONTEXT)
    found = detector(clip)
    assert found.frames == len(found.seconds_T) == 320
    np.testing.assert_allclose(found.mark_TM, whole, atol=1e-5)


def test_memory_is_bounded(weights, clip, monkeypatch):
    monkeypatch.setattr(detect, "CHUNK", 64)
    detector, seen = detect.Detector(weights), []
    look = detector.look
    monkeypatch.setattr(detector, "look", lambda small: (seen.append(len(small)), look(small))[1])
    detector(clip)
    assert max(seen) <= 64 + 3 * CONTEXT
    assert len(seen) > 3


def test_an_array_and_its_file_have_the_same_frames(clip, tmp_path):
    gpuaug.write_video(tmp_path / "v.mkv", clip[:50], 25, "ffv1", pixel_format="bgr0")
    a, b = (np.concatenate([p.small for p in frames.Source(v).read(20)]) for v in (clip[:50], tmp_path / "v.mkv"))
    assert len(a) == len(b) == 50
    assert np.abs(a.astype(int) - b).max() <= 2
    seconds = np.concatenate([p.seconds for p in frames.Source(tmp_path / "v.mkv").read(20)])
    np.testing.assert_allclose(seconds, np.arange(50) / 25, atol=1e-3)


def test_small_pictures_are_averages():
    thumbs = np.random.default_rng(0).integers(0, 256, (2, *frames.THUMB, 3), dtype=np.uint8)
    wanted = thumbs.reshape(2, SIZE, 2, SIZE, 3, 3).mean((2, 4))
    assert np.abs(frames.small(thumbs) - wanted).max() <= 0.5


def shots(**more):
    return detect.Shots(
        frames.Fraction(25), 100,
        [Boundary(20, 20, "cut", 0.9), Boundary(40, 49, "dissolve", 0.8), Boundary(70, 70, "jump", 0.7)],
        np.arange(100) / 25, np.zeros((100, 3), np.float32), np.zeros((100, 8), np.float32), **more,
    )  # fmt: skip


def test_shots_are_what_lies_between():
    assert shots().shots() == [(0, 19), (20, 39), (50, 69), (70, 99)]


def test_lists(tmp_path):
    for suffix in ("json", "csv", "edl"):
        formats.write(tmp_path / f"v.{suffix}", "folder/v.mp4", shots())
    content = json.loads((tmp_path / "v.json").read_text())
    assert [b["first"] for b in content["boundaries"]] == [20, 40, 70]
    assert content["boundaries"][1]["last_seconds"] == 49 / 25
    with open(tmp_path / "v.csv", newline="") as file:
        assert [row["kind"] for row in csv.DictReader(file)] == ["cut", "dissolve", "jump"]
    lines = (tmp_path / "v.edl").read_text().splitlines()
    events = [line.split() for line in lines if line[:3].isdecimal()]
    assert events[0][3:] == ["C", "00:00:00:00", "00:00:00:20", "00:00:00:00", "00:00:00:20"]
    assert events[2][3:5] == ["D", "010"]
    assert [event[-1] for event in events[:-1]] == [event[-2] for event in events[1:]]  # without a gap
    assert events[-1][-1] == "00:00:04:00"


def test_segments_without_a_boundary_within():
    assert formats.clean("x/v.mp4", "x", shots(), least=20) == [
        ("x/v.mp4", 0.0, 0.8, "x"),
        ("x/v.mp4", 0.8, 1.6, "x"),
        ("x/v.mp4", 2.0, 2.8, "x"),
        ("x/v.mp4", 2.8, 4.0, "x"),
    ]
    assert [row[1] for row in formats.clean("v.mp4", "", shots(), least=21)] == [2.8]


def test_opentimelineio_reads_its_timeline(tmp_path):
    library = pytest.importorskip("opentimelineio")
    formats.write(tmp_path / "v.otio", "folder/v.mp4", shots())
    timeline = library.adapters.read_from_file(str(tmp_path / "v.otio"))
    (track,) = timeline.tracks
    clips = [each for each in track if isinstance(each, library.schema.Clip)]
    assert [c.source_range.start_time.value for c in clips] == [0, 20, 50, 70]
    assert sum(c.source_range.duration.value for c in clips) == 100
    assert track.duration().value == 100


def test_the_command_names_bad_files_and_goes_on(weights, clip, tmp_path, capsys):
    folder = tmp_path / "videos"
    folder.mkdir()
    gpuaug.write_video(folder / "a.mkv", clip[:60], 25, "ffv1", pixel_format="bgr0")
    (folder / "bad.mp4").write_bytes(b"nothing")
    words = ["shots", str(folder), "--weights", str(weights), "--out", str(tmp_path / "out")]
    assert main([*words, "--formats", "json", "csv", "edl"]) == 1
    assert "bad.mp4 cannot be read" in capsys.readouterr().err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.json", "a.csv", "a.edl", "shots.html"}
    assert "a.mkv" in (tmp_path / "out" / "shots.html").read_text()
    table = tmp_path / "clean.csv"
    assert (
        main([*words, "--formats", "json", "--no-page", "--shard", "0/2", "--clean", str(table), "--least", "1"]) == 0
    )
    assert main([*words, "--least", "0"]) == 2
    found = read_published(table)
    assert set(found.videos) == {"a.mkv"}, "by its place in the folder, as train --videos takes it"
    assert found.segments.label.tolist() == ["videos"] * len(found.segments)
    assert found.segments.segment.min() == 0
    assert found.segments.segment.max() == pytest.approx(60 / 25)
    assert f"{table}: {len(found.segments)} shots; " in capsys.readouterr().out
    assert main([*words, "--shard", "2/2"]) == 2


@pytest.mark.parametrize("form", ["folder", "files"])
def test_clean_segments_are_found_by_train(form, weights, clip, tmp_path, capsys, monkeypatch):
    """As docs/shots.md has it: both commands in one folder, with the videos' folder named from there."""
    monkeypatch.chdir(tmp_path)
    for name in ("run", "swim"):
        Path("videos", name).mkdir(parents=True)
        gpuaug.write_video(f"videos/{name}/a.mkv", clip[:60], 25, "ffv1", pixel_format="bgr0")
    given = ["videos"] if form == "folder" else ["videos/run/a.mkv", "videos/swim/a.mkv"]
    words = ["--weights", str(weights), "--out", "lists", "--formats", "json", "--no-page", "--clean", "clean.csv"]
    assert main(["shots", *given, *words, "--least", "1"]) == 0
    where = "videos" if form == "folder" else "VIDEOS"
    assert f"--videos {where} --annotations clean.csv --background none" in capsys.readouterr().err
    found = read_annotations("clean.csv", "videos", clip_seconds=0.0, background="none", cache=False)
    assert [(Path(video.path).parts[-2], segment.label) for video, segment in zip(found.videos, found.segments)] == [
        ("run", 0),
        ("swim", 1),
    ]
    assert not found.skipped


def test_a_page_is_made_of_what_was_read_and_no_other_is_replaced_by_none(weights, clip, tmp_path, capsys):
    gpuaug.write_video(
        tmp_path / "a.mkv", np.concatenate([clip[:40], 255 - clip[:40]]), 25, "ffv1", pixel_format="bgr0"
    )
    words = ["--weights", str(weights), "--out", str(tmp_path / "out"), "--formats", "json"]
    table = tmp_path / "clean.csv"
    assert main(["shots", str(tmp_path / "a.mkv"), *words, "--clean", str(table)]) == 0
    told = capsys.readouterr()
    assert f"train --task TASK --videos VIDEOS --annotations {table} --background none" in told.err
    assert set(read_published(table).videos) == {str(tmp_path / "a.mkv")}
    assert "1 video done, 0 cannot be read" in told.out
    page = (tmp_path / "out" / "shots.html").read_text()
    assert main(["shots", str(tmp_path / "none.mkv"), *words]) == 1
    told = capsys.readouterr()
    assert told.err == f"shots: {tmp_path / 'none.mkv'} cannot be read: there is no such file\n"
    assert told.out == f"0 videos done, 1 cannot be read: {tmp_path / 'out'}\n"
    assert (tmp_path / "out" / "shots.html").read_text() == page
    assert main(["shots", "https://localhost/a.mp4", *words]) == 1
    assert "there is no such file; only local files are read" in capsys.readouterr().err


def test_the_page_says_what_its_pictures_and_numbers_are():
    pictures = dict.fromkeys(range(18, 72), np.zeros((4, 4, 3), np.uint8))
    made = section("a.mkv", dataclasses.replace(shots(), pictures=pictures))
    assert made["note"] == "3 boundaries in 100 frames, 25 per second"
    cut, dissolve, _ = made["strips"]
    assert re.fullmatch(r"cut 20, 0\.80 s, score 0\.\d\d", cut["text"])
    assert [(frame, role) for frame, _, role in cut["pictures"]] == [
        (19, ", the last before the cut"),
        (20, ", the first after the cut"),
        (21, ", the one after that"),
    ]
    assert [role for *_, role in dissolve["pictures"]][1:4] == [
        ", the first mixed one",
        ", its middle",
        ", the last mixed one",
    ]
    assert section("b", dataclasses.replace(shots(), boundaries=[]))["note"].startswith("no boundary in 100")
    other = section("a", dataclasses.replace(shots(), pictures={22: pictures[22]}))  # close by, in place of 19 to 21
    assert [(frame, role) for frame, _, role in other["strips"][0]["pictures"]] == [(22, "")]


def test_weights_that_are_none(tmp_path, weights):
    with pytest.raises(ValueError, match="there is no"):
        detect.Detector(tmp_path / "none.pt")
    torch.save({"model": {}}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="are of another network"):
        detect.Detector(tmp_path / "other.pt")
    (tmp_path / "text.pt").write_text("no")
    with pytest.raises(ValueError, match="cannot be read"):
        detect.Detector(tmp_path / "text.pt")


def test_saved_weights_say_nearly_the_same(tmp_path, weights, clip):
    detector = detect.Detector(weights)
    found = detector(clip[:80]).mark_TM
    detector.save(tmp_path / "half.pt")
    assert (tmp_path / "half.pt").stat().st_size < 2e6
    np.testing.assert_allclose(detect.Detector(tmp_path / "half.pt")(clip[:80]).mark_TM, found, atol=2e-3)
