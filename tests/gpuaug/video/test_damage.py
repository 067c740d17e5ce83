"""Damaged files: errors are found on the first try, counted, and shown the same from wherever a window begins."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from gpuaug import Decoder, Manifest, Window, probe
from gpuaug.video.backends import pyav, stretch
from support.assets import encode, ffmpeg, remux
from support.decoding import damage
from support.decoding.damage import by_packet, make, run, sources
from support.decoding.sequential import digest, index_of

COUNT = 40
LONG = {"x264-params": "bframes=2:keyint=20:scenecut=0"}


@pytest.fixture
def damaged(tmp_path):
    """H.264 with two key frames, of which packet 24 has wrong bytes that FFmpeg conceals."""
    whole = encode(
        tmp_path / "whole.mkv", [k * 40 for k in range(COUNT)], Fraction(1, 1000), size=(96, 160), options=LONG
    )

    def change(k, data):
        if k != 24:
            return data
        rng = np.random.default_rng(0)
        return data[: len(data) // 3] + rng.bytes(len(data) - len(data) // 3)

    return remux(whole, tmp_path / "damaged.mkv", change)


def given(index, positions, counted):
    return {i: digest(frame) for i, frame in pyav.read_frames(index, np.asarray(positions), counted)}


def test_frames_are_those_of_the_sequential_decode_from_anywhere(damaged):
    index, counted = index_of(damaged), set()
    expected = by_packet(damaged, index.stream)
    everything = given(index, range(COUNT), counted)
    assert everything == {i: expected[int(index.packet_N[i])] for i in range(COUNT)}
    assert counted
    assert min(counted) > 20
    for start in range(0, COUNT, 3):
        alone = given(index, range(start, min(start + 2, COUNT)), set())
        assert alone == {i: everything[i] for i in alone}


def test_what_the_strict_first_try_makes_of_it_is_not_handed_on(damaged):
    """Negative control: it drops what is damaged, and conceals it differently, so that others would differ, too."""
    lenient, strict = by_packet(damaged, 0), by_packet(damaged, 0, {"err_detect": stretch.STRICT})
    assert any(strict.get(number) != picture for number, picture in lenient.items())


def test_damaged_frames_are_counted(damaged, tmp_path):
    path = str(damaged)
    with Decoder(threads=2) as decoder:
        assert decoder.damaged_frames == {}
        _, failures = decoder.decode([Window(path, 0, 25, 10)])
        assert (failures, decoder.damaged_frames) == ([], {})
        _, failures = decoder.decode([Window(path, 0, 25, COUNT)])
        found = decoder.damaged_frames
        decoder.decode([Window(path, 0, 25, COUNT)])
        assert decoder.damaged_frames == found, "each once"
    assert not failures
    assert 0 < found[path] < 20
    cache = tmp_path / "cache"
    assert probe(path, cache=cache).videos[0].damaged_frames is None
    manifest = probe(path, cache=cache, decode=True)
    assert manifest.videos[0].damaged_frames == found[path]
    assert probe(path, cache=cache).videos[0].damaged_frames == found[path], "it is remembered"
    manifest.save(tmp_path / "m.csv")
    assert Manifest.load(tmp_path / "m.csv").videos[0].damaged_frames == found[path]


def test_a_sound_file_has_none(assets):
    for name in ("cfr", "open_gop", "hevc", "vp9", "mpeg2", "mpeg4_b_avi", "refresh", "edit_list"):
        (video,) = probe(assets[name], cache=False, decode=True).videos
        assert (video.damaged_frames, video.note) == (0, None), name


def test_what_a_container_tells_of_damage(assets, tmp_path):
    """Cut files: fewer frames than the header says, packets that are incomplete."""
    for name, says in (("start", "of its 50 frames can be read"), ("ts", "packets are incomplete")):
        source = assets[name]
        path = tmp_path / source.name
        path.write_bytes(source.read_bytes())
        if name == "start":
            fast = tmp_path / "fast.mp4"
            ffmpeg("-i", source, "-c", "copy", "-movflags", "+faststart", fast)
            path = fast
        data = path.read_bytes()
        left = data[: int(len(data) * 0.7)] if name == "start" else data[: 188 * 30] + data[188 * 33 :]
        path.write_bytes(left)
        (video,) = probe(path, cache=False).videos
        assert video.error is None
        assert says in (video.note or ""), (name, video.frames)


def test_a_manifest_of_an_earlier_version_has_no_notes(assets, tmp_path):
    probe(assets["cfr"], cache=False).save(tmp_path / "m.csv")
    rows = [line.split(",") for line in (tmp_path / "m.csv").read_text().splitlines()]
    (tmp_path / "m.csv").write_text("\n".join(",".join(row[:-2]) for row in rows) + "\n")
    (video,) = Manifest.load(tmp_path / "m.csv").videos
    assert (video.frames, video.note, video.damaged_frames) == (50, None, None)


def test_variants_are_the_same_each_time(shared_data, tmp_path):
    files = sources(shared_data / "decode")
    assert len({path.suffix for path in files}) >= 7
    one, two = (make(files[3], 5, 17, tmp_path)[0].read_bytes() for _ in range(2))
    assert one == two != files[3].read_bytes()
    assert make(files[3], 5, 18, tmp_path)[0].read_bytes() != one


def test_a_wrong_picture_would_be_found(shared_data, tmp_path, monkeypatch):
    """Negative control of the generator's judgement: a decoder that gives a neighbour's picture."""
    path = shared_data / "decode" / "torchcodec__h265_video.mp4"
    real = damage.read_frames

    def shifted(index, positions, damaged):
        yield from ((max(i - 1, 0), frame) for i, frame in real(index, positions, damaged))

    assert damage.examine(path, 0)["verdict"] == "equal"
    monkeypatch.setattr(damage, "read_frames", shifted)
    assert damage.examine(path, 0)["verdict"] == "WRONG"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "number"),
    [
        (0, 384),  # something at a key frame's place that does not begin with an I-picture
        (0, 5175),  # the same in H.263, where only the decoded picture tells
        (0, 572),  # a decoder that was used on after an error
        (0, 919),  # a picture that does not come out
        (0, 5422),  # errors in packets that show nothing
        (3, 137),  # a wrong end of an MPEG-4 picture, soon after the key frame
        (0, 7658),  # the same at the key frame
        (0, 436),  # packets that only the container knows to be incomplete
        (0, 7336),
    ],
)
def test_kinds_of_silent_damage(seed, number, shared_data, tmp_path):
    files = sources(shared_data / "decode")
    path, _ = make(files[number % len(files)], seed, number, tmp_path)
    assert damage.examine(path, number)["verdict"] in damage.RIGHT - {"FFmpeg differs from itself"}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_hundred_variants(shared_data):
    """No crash, hang or traceback. What is not the sequential decode's is refused or counted."""
    rows = list(run(shared_data / "decode", 3, list(range(200))))
    assert [row for row in rows if row["verdict"] not in damage.RIGHT] == []
    assert sum(row["verdict"] == "equal" for row in rows) > 60
