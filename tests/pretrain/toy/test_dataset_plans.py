"""What toy sets are going to be: the films and their annotations, before any is drawn."""

import csv
import json
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from pretrain.toy import dataset
from pretrain.toy.video import Style


@pytest.fixture
def planned(monkeypatch, tmp_path):
    """A function that makes a set of nothing: its films, and what `write_all` was told."""
    seen = []
    monkeypatch.setattr(dataset, "write_all", lambda films, **how: seen.append((films, how)))

    def of(make, **arguments):
        folder = tmp_path / str(len(seen))
        return make(folder, **arguments), folder, *seen[-1]

    return of


def test_trimmed_clips_are_of_one_list_of_forms_in_every_class(planned):
    sizes, rates = [(32, 48), (48, 48)], [10, Fraction(30000, 1001)]
    options = {"clips_per_class": 7, "seconds": (2.0, 3.0), "sizes": sizes, "rates": rates, "codecs": ["mjpeg", "vp9"]}
    style = Style(shortcut=0.5)
    paths, folder, films, how = planned(
        dataset.make_actions, classes=["down", "up"], style=style, workers=3, progress=False, **options
    )
    assert how == {"workers": 3, "progress": False}
    names = [f"{name}/{name}_{i:04d}{'.avi' if i % 2 == 0 else '.webm'}" for name in ("down", "up") for i in range(7)]
    assert [str(path.relative_to(folder)) for path in paths] == names
    down, up = films[:7], films[7:]
    forms = [[(film.size, film.rate, film.codec, film.parts[0].frames) for film in part] for part in (down, up)]
    assert forms[0] == forms[1]
    assert [film.codec for film in down] == ["mjpeg", "vp9"] * 3 + ["mjpeg"]
    assert {film.size for film in films} == set(sizes)
    assert {film.rate for film in films} == {Fraction(10), Fraction(30000, 1001)}
    for film, name in zip(films, ["down"] * 7 + ["up"] * 7):
        ((motion, frames, speed),) = film.parts
        assert (motion, speed, film.typical, film.style, list(film.cuts)) == (name, 1.0, name, style, [])
        assert 2.0 - 0.06 <= frames / film.rate <= 3.0 + 0.06
    first, other = down[0].rng.random(4), up[0].rng.random(4)
    assert not np.array_equal(first, other)
    again = planned(dataset.make_actions, classes=["down", "up"], seed=0, **options)[2]
    assert np.array_equal(again[0].rng.random(4), first)
    another = planned(dataset.make_actions, classes=["down", "up"], seed=1, **options)[2]
    assert not np.array_equal(another[0].rng.random(4), first)
    alone = planned(dataset.make_actions, classes=["up"], **options)[2]
    assert np.array_equal(alone[0].rng.random(4), other), "a class is the same in whatever set"


LENGTHS = {"seconds": (10.0, 14.0), "action_seconds": (1.0, 2.0), "gap_seconds": (0.5, 1.5)}
LOOKS = {"sizes": [(32, 48)], "rates": [10], "codecs": ["mjpeg", "h264", "vp9"]}


def untrimmed(planned, **more):
    """Films and {video: annotations} of twelve videos at 10 frames per second."""
    path, folder, films, _ = planned(dataset.make_untrimmed, **{"videos": 12, "classes": 3, **LENGTHS, **LOOKS, **more})
    assert path == folder / "annotations.json"
    truth = json.loads(path.read_text())
    assert (truth["version"], truth["taxonomy"]) == (f"toy videos, seed {more.get('seed', 0)}", [])
    with open(folder / "annotations.csv", newline="") as file:
        head, *rows = list(csv.reader(file))
    assert head == ["path", "start_seconds", "end_seconds", "label"]
    expected = [
        [film.path.name, *map(str, each["segment"]), each["label"]]
        for film in films
        for each in truth["database"][film.path.stem]["annotations"]
    ]
    assert rows == expected
    return films, truth["database"]


def test_untrimmed_videos_are_gaps_and_actions_in_turn(planned):
    films, database = untrimmed(planned, idle=0.25)
    assert [film.path.name for film in films] == [f"video_{i:04d}{('.avi', '.mp4', '.webm')[i % 3]}" for i in range(12)]
    for film in films:
        about = database[film.path.stem]
        frames = sum(part.frames for part in film.parts)
        assert about["duration"] == frames / 10
        assert 10 <= about["duration"] <= 14
        spans, t = [], 0
        for k, (motion, length, speed) in enumerate(film.parts):
            assert (motion == "wander") == (k % 2 == 0)
            assert speed == (0.25 if motion == "wander" else 1.0)
            if motion != "wander":
                assert 10 <= length <= 20
                spans.append({"segment": [t / 10, (t + length) / 10], "label": motion})
            elif k < len(film.parts) - 1:
                assert 5 <= length <= 15
            t += length
        assert about["annotations"] == spans
        assert film.parts[-1].motion == "wander" or spans[-1]["segment"][1] == about["duration"]
        assert film.typical == spans[0]["label"]
        assert list(film.cuts) == []
    assert {frames for film in films for frames in [sum(part.frames for part in film.parts)]} != {100}


def test_first_labels_are_even_and_a_share_is_held_out(planned):
    style = Style(shortcut=0.75, similar=0.5)
    films, database = untrimmed(planned, validation=0.25, style=style, validation_shortcut=0.25)
    assert [k for k, film in enumerate(films) if database[film.path.stem]["subset"] == "validation"] == [3, 7, 11]
    assert {each["subset"] for each in database.values()} == {"training", "validation"}
    assert sorted(Counter(film.typical for film in films).values()) == [4, 4, 4]
    assert [film.style.shortcut for film in films] == [0.25 if k in (3, 7, 11) else 0.75 for k in range(12)]
    assert {film.style.similar for film in films} == {0.5}
    assert {each["subset"] for each in untrimmed(planned, validation=0.0)[1].values()} == {"training"}
    assert {each["subset"] for each in untrimmed(planned, validation=1.0)[1].values()} == {"validation"}


def further(database):
    """For every action after the first of its video: has it the first one's label?"""
    found = []
    for about in database.values():
        first, *rest = [each["label"] for each in about["annotations"]]
        found += [label == first for label in rest]
    return found


def test_further_actions_repeat_the_first_as_often_as_told(planned):
    assert all(further(untrimmed(planned, repeat=1.0)[1]))
    assert not any(further(untrimmed(planned, repeat=0.0)[1]))
    half = further(untrimmed(planned, repeat=0.5, videos=80)[1])
    assert len(half) > 200
    assert np.mean(half) == pytest.approx(0.5, abs=0.1)
    assert all(further(untrimmed(planned, repeat=0.0, classes=1)[1])), "of one class there is no other"
    others = {each["label"] for about in untrimmed(planned, repeat=0.0)[1].values() for each in about["annotations"]}
    assert len(others) == 3


def test_cuts_are_at_boundaries_and_inside_as_often_as_told(planned):
    def starts(film):
        return np.cumsum([0, *(part.frames for part in film.parts)]).tolist()

    for film in untrimmed(planned, boundary_cuts=1.0)[0]:
        assert film.cuts == starts(film)[1:-1], "where an action starts or ends, not at the ends of the video"
    for film in untrimmed(planned, false_cuts=1.0)[0]:
        places = zip(starts(film), film.parts)
        assert film.cuts == [begin + part.frames // 2 for begin, part in places if part.frames > 1]
    some = untrimmed(planned, boundary_cuts=0.5, videos=60)[0]
    share = sum(len(film.cuts) for film in some) / sum(len(film.parts) - 1 for film in some)
    assert share == pytest.approx(0.5, abs=0.12)


def test_usual_sets(planned):
    _, folder, films, how = planned(dataset.make_actions)
    assert (len(films), how) == (160, {"workers": None, "progress": None})
    assert len({film.parts[0].motion for film in films}) == 8
    assert all(3 - 0.05 <= film.parts[0].frames / film.rate <= 4 + 0.05 for film in films)
    assert {film.size for film in films} == {(96, 128), (120, 160), (128, 170)}
    assert {film.rate for film in films} == {Fraction(15), Fraction(24), Fraction(30000, 1001)}
    assert Style() == dataset.EASY
    assert Style(shortcut=0.8, similar=0.7, speed_change=0.5, distractors=1) == dataset.HARD
    _, _, films, _ = planned(dataset.make_untrimmed)
    assert len(films) == 16
    assert all(20 - 0.1 <= sum(part.frames for part in film.parts) / film.rate <= 40 + 0.1 for film in films)
    lengths = [part.frames / film.rate for film in films for part in film.parts if part.motion != "wander"]
    assert min(lengths) >= 1.95
    assert max(lengths) <= 6.05
    assert {part.speed for film in films for part in film.parts if part.motion == "wander"} == {0.6}
    with pytest.raises(ValueError, match="holds toy videos of other arguments"):
        dataset.make_actions(folder, seed=1)
