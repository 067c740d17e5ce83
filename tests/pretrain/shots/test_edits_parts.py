"""How an edited video is drawn, part by part: times of retimed shots by plain loops, rules of sources and of shots."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from gpuaug.transitions import FAMILIES, WEIGHTS
from gpuaug.video.manifest import Manifest, Video
from pretrain.shots import edits
from pretrain.shots.edits import Clip, EditSettings, Source

SETTINGS = EditSettings(size=(18, 32), fps=10.0, seconds=(20.0, 20.0))


def source(name, label="a", frames=60):
    return Source(f"/{name}", name, label, frames, (9, 16))


def test_shares_of_families_are_those_of_the_prior_but_for_cuts():
    found = edits._weights(0.25)
    assert set(found) == set(FAMILIES)
    assert found["cut"] == 0.75
    assert sum(found.values()) == pytest.approx(1)
    gradual = {name: weight for name, weight in WEIGHTS.items() if name != "cut"}
    for name, weight in gradual.items():
        assert found[name] == pytest.approx(0.25 * weight / sum(gradual.values()))
    assert edits._weights(0.0) == {"cut": 1, **dict.fromkeys(gradual, 0)}
    assert edits._weights(1.0)["cut"] == 0


def times_of(told, count):
    """Positions in the source, frame by frame."""
    found, at = [], 0.0
    for j in range(count):
        kind = told["kind"]
        if kind == "reverse":
            at = count - 1 - j
        elif kind == "freeze":  # shown `frames` times
            at = j if j <= told["start"] else max(told["start"], j - (told["frames"] - 1))
        elif kind == "speed":
            at = told["rate"] * j
        else:
            at = j if j < told["start"] else (told["start"] - 1) + told["rate"] * (j - told["start"] + 1)
        found.append(at)
    return found


@pytest.mark.parametrize(("count", "frames"), [(20, 200), (20, 24), (40, 40), (2, 12)])
def test_the_time_of_a_shot_is_what_is_told_and_inside_its_source(count, frames):
    seen, rates, starts = Counter(), [], []
    for seed in range(160):
        told, times = edits._retimed(np.random.default_rng(seed), count, frames)
        seen[told["kind"]] += 1
        assert len(times) == count
        assert times == pytest.approx(times_of(told, count), abs=1e-9)
        assert 0 <= min(times) <= max(times) <= frames - 1 + 1e-9
        if told["kind"] == "freeze":
            assert 0 <= told["start"] < count
            assert 4 <= told["frames"] <= 30
            starts.append(told["start"])
        elif told["kind"] in ("speed", "ramp"):
            assert round(told["rate"], 4) == told["rate"]
            assert 0 < told["rate"] <= 2.5
            rates.append(told["rate"])
        if told["kind"] == "ramp":
            assert 1 <= told["start"] < max(2, count)
    assert set(seen) == {"speed", "ramp", "reverse", "freeze"}
    assert min(seen.values()) > 20
    if frames == 200:
        assert 0.4 <= min(rates) < 0.55
        assert 1.9 < max(rates) <= 2.5
        assert np.median(rates) == pytest.approx(1.0, abs=0.25), "as often slower as faster"
        assert min(starts) < 3
        assert max(starts) > 16


def test_the_next_source_fits_and_is_another_one():
    able = [source("a"), source("b"), source("c", "x"), source("short", frames=10)]
    rng, usual = np.random.default_rng(0), replace(SETTINGS, similar=0.0)

    def chosen(frames, before, settings=usual, count=300, among=able):
        clips = [Clip(source(before, label), 0.0, 1, 0, 0, {}) for before, label in [before]] if before else []
        return Counter(edits._choose(rng, among, frames, clips, settings).name for _ in range(count))

    assert set(chosen(10, None)) == {"a", "b", "c", "short"}
    assert set(chosen(11, None)) == {"a", "b", "c"}
    assert set(chosen(11, ("a", "a"))) == {"b", "c"}
    assert min(chosen(11, ("a", "a")).values()) > 110, "alike"
    alike = replace(SETTINGS, similar=1.0)
    assert set(chosen(11, ("a", "a"), alike)) == {"b"}
    assert set(chosen(11, ("c", "x"), alike)) == {"a", "b"}, "where there is no other of its folder"
    assert set(chosen(11, ("a", "a"), alike, among=able[:1])) == {"a"}, "where there is no other at all"
    half = chosen(11, ("a", "a"), replace(SETTINGS, similar=0.5), count=1000)
    assert half["b"] / 1000 == pytest.approx(0.75, abs=0.06)


def timelines(count=30, length=200, longest=90, **settings):
    settings = replace(SETTINGS, **settings)
    return [edits._timeline(np.random.default_rng(seed), length, longest, settings) for seed in range(count)]


def test_shots_follow_each_other_within_their_sources():
    """No clip takes more of its source than there is, whatever jumps it makes and transitions it begins and ends in."""
    jumps = boundaries = 0
    for cuts in timelines(25, jumps=0.5, dense=0.0):
        assert cuts[0] == (0, 0, 0, {})
        taken = 0
        for before, cut in pairwise(cuts):
            hold = cut.begin - before.begin - before.duration
            assert 2 <= hold <= 30, "a third of the longest source"
            boundaries += 1
            if cut.gap:
                assert (cut.duration, cut.drawn) == (0, {})
                assert 8 <= cut.gap <= 48
                jumps += 1
                taken += hold + before.duration + cut.gap
                assert taken + 60 <= 90 + before.duration
            else:
                assert set(cut.drawn) >= {"kind"}
                taken = 0
            assert cut.begin + cut.duration <= 198
    assert 0 < jumps < boundaries / 2
    assert not any(cut.gap for cuts in timelines(5, jumps=0.0) for cut in cuts)


def test_dense_videos_have_many_short_shots_and_transitions_as_many_as_asked():
    def mean(cuts):
        return float(np.mean(np.diff([cut.begin for cut in cuts]))) if len(cuts) > 1 else 200.0

    dense, usual = (timelines(12, jumps=0.0, gradual=0.0, dense=share, longest=900) for share in (1.0, 0.0))
    assert 3 < np.median([mean(cuts) for cuts in dense]) < 8, "0.15 to 0.8 s, at 10 frames a second"
    assert 20 < np.median([mean(cuts) for cuts in usual]) < 60, "1.5 to 5 s"
    for share in (0.0, 0.4, 1.0):
        kinds = [cut.drawn["kind"] for cuts in timelines(6, jumps=0.0, gradual=share, dense=1.0) for cut in cuts[1:]]
        assert np.mean([kind != "cut" for kind in kinds]) == pytest.approx(share, abs=0.12)
    drawn = [cut for cuts in timelines(10, jumps=0.0, gradual=1.0, longest=900) for cut in cuts[1:]]
    assert 40 < max(cut.duration for cut in drawn) <= 72
    assert min(cut.duration for cut in drawn) >= 1
    assert all(cut.duration <= 4 for cuts in timelines(5, gradual=1.0, longest=12) for cut in cuts)


def test_parameters_are_those_of_the_kind():
    drawn = {"kind": np.array(["cut", "wipe_left"]), "easing": ["linear", "in"], "softness": np.array([0.5, 0.25]),
             "angle": np.array([1.0, 2.0])}  # fmt: skip
    assert edits._one(drawn, 0) == {"kind": "cut"}
    assert edits._one(drawn, 1) == {"kind": "wipe_left", "softness": 0.25, "easing": "in"}
    told = edits._told({"kind": "x", "a": np.float64(0.5), "b": np.array([1, 2]), "c": "in"})
    assert told == {"a": 0.5, "b": [1, 2], "c": "in"}
    assert type(told["a"]) is float


@pytest.mark.parametrize(
    ("given", "message"),
    [({"size": (18, 33)}, "size must be even, rows and columns, got size=18 33"),
     ({"seconds": (9.0, 8.0)}, "seconds must be the lesser number first, got seconds=9 8"),
     ({"seconds": (1.1, 8.0)}, "seconds must be at least 12 frames, got seconds=1.1 at 10 frames/s")],
)  # fmt: skip
def test_settings_that_are_none(given, message):
    with pytest.raises(ValueError, match=message):
        replace(SETTINGS, **given)
    assert replace(SETTINGS, seconds=(1.2, 1.2)).seconds == (1.2, 1.2)
    assert replace(SETTINGS, fps=29.97).rate == edits.Fraction(2997, 100)
    usual = EditSettings()
    assert (usual.size, usual.fps, usual.seconds) == ((360, 640), 30.0, (8.0, 16.0))
    assert (usual.gradual, usual.jumps, usual.dense, usual.similar, usual.speeds) == (0.4, 0.15, 0.3, 0.5, 0.2)


def test_videos_long_enough_are_sources_in_the_order_of_their_names(monkeypatch):
    def video(path, seconds, label=None, error=None):
        return Video(path, label=label, duration_seconds=seconds, height=9, width=16, error=error)

    videos = [video("/v/b/y.mp4", 2.0, "b"), video("/v/a/x.mp4", 1.3), video("/v/a/s.mp4", 1.29)]
    videos.append(video("/v/no.mp4", 0, error="cut"))
    asked = []

    def probe(paths, progress):
        asked.append((paths, progress))
        return Manifest(videos)

    monkeypatch.setattr(edits.gpuaug, "probe", probe)
    sources, left = edits.read_sources(["/v"], SETTINGS, progress=False)
    assert asked == [(["/v"], False)]
    one, other = Source("/v/a/x.mp4", "a/x.mp4", None, 12, (9, 16)), Source("/v/b/y.mp4", "b/y.mp4", "b", 19, (9, 16))
    assert sources == [one, other]
    assert left == [("/v/no.mp4", "cut"), ("/v/a/s.mp4", "1.29 s are less than 13 frames")]
    videos[:] = [video("/v/a/x.mp4", 2.0)]
    assert edits.read_sources(["/v"], SETTINGS)[0][0].name == "x.mp4"
    videos.clear()
    with pytest.raises(ValueError, match="VIDEOS must be files, or folders with videos, found none in /v, w"):
        edits.read_sources(["/v", "w"], SETTINGS)
