"""The sources of the shot detector, and what compares it with others."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.shots import ablations, choose, compare, fetch, sources
from pretrain.evaluation.shots import Range, judge
from pretrain.toy.scenes import SCENES, scene
from pretrain.training.settings import parse

FREE = {"MIT", "CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "GPL-2", "GPL-2+", "public domain"}


def test_every_file_has_a_licence_an_author_and_a_checksum():
    rows = fetch.footage()
    assert len(rows) > 150
    for row in rows:
        assert row["licence"] in FREE, row
        assert row["author"].strip(), row
        assert re.fullmatch(r"[0-9a-f]{64}", row["sha256"])
        assert row["kind"] in ("still", "video")
    assert len({fetch.place(Path("x"), row) for row in rows}) == len(rows)


@pytest.mark.parametrize("name", SCENES)
def test_scenes_repeat_and_views_differ(name):
    def shown(seed, view):
        return np.stack(list(scene(name, seed, view, frames=3, fps=25, size=(36, 64))))

    assert np.array_equal(shown(1, 0), shown(1, 0))
    assert not np.array_equal(shown(1, 0), shown(1, 1))
    assert not np.array_equal(shown(1, 0), shown(2, 0))


def test_the_truth_is_read(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "boundaries.csv").write_text("video,first,last,type\na,3,3,cut\na,9,9,sudden_jump\na,20,25,wipeleft\n")
    (tmp_path / "traps.csv").write_text("video,first,last,what\na,30,40,flash\n")
    truth, traps, files = compare.read_truth(tmp_path)
    assert truth == {"a": [Range(3, 3, "cut"), Range(9, 9, "jump"), Range(20, 25, "wipeleft")]}
    assert traps == {"a": [(30, 40)]}
    assert files == {"a": tmp_path / "a.mp4"}
    told = compare.told({"a": judge([Range(3, 3, "cut")], truth["a"])}, 1.0, traps)
    assert told["found_of_kind"] == {"cut": (1, 1), "jump": (0, 1), "wipeleft": (0, 1)}
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(ValueError, match="there is none of a"):
        compare.read_truth(tmp_path)


def test_an_ablation_differs_by_what_its_name_says():
    def options(flags):
        words = f"{ablations.TASK} {flags} --videos x --out y --steps 3".split()
        settings = parse(words, prog="train")[0]
        return {name: value for name, value in settings.saved().items() if name != "videos"}

    whole = options(ablations.ROWS["all"])
    changed = {row: {k: v for k, v in options(flags).items() if v != whole[k]} for row, flags in ablations.ROWS.items()}
    assert changed == {
        "all": {},
        "dissolves and fades alone": {"families": ["dissolve", "fade"]},
        "no partners of similar look": {"similar": 0.0},
        "no runs of short shots": {"dense": 0.0},
        "no hard negatives": {"traps": 0.0, "fast": 0.0},
        "nothing that deployed video has": {"deployed": 0.0, "conversions": 0.0},
        "no jumps": {"jumps": 0.0},
    }


def animation(path, frames):
    pictures = [Image.fromarray(each) for each in frames]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=33, lossless=True)


def test_animations_become_shots_from_afar_and_from_near(tmp_path):
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8).repeat(16, 1).repeat(16, 2)
    moving = [np.roll(ground[k // 50], k, 1) for k in range(100)]  # a cut at 50
    path = tmp_path / "some-package--abc123-video_a-1.webp"
    animation(path, moving)
    sources._animation(path, tmp_path / "clips", 8)
    (folder,) = (tmp_path / "clips").glob("*/*")
    assert folder.name == "video_a"
    assert sorted(each.name for each in folder.glob("*.mp4")) == [
        f"abc123-{shot}-{view}.mp4" for shot in (0, 1) for view in (0, 1)
    ]
    still = tmp_path / "some-package--abc124-still.webp"
    animation(still, [moving[0]] * 3 + [moving[0] // 2] + [moving[0]] * 60)  # nothing moves but for one frame
    sources._animation(still, tmp_path / "clips", 8)
    assert not list((tmp_path / "clips").glob("*/still/*.mp4"))


def marks(*ranges, frames=60):
    """What a perfect network would say of these ranges, and the ranges."""
    mark, family = np.zeros((frames, 3)), np.zeros((frames, len(choose.FAMILIES)))
    for first, last, kind in ranges:
        mark[(first + last) // 2, 2 if kind == "jump" else 0] = 0.65
        mark[first : last + 1, 1] = 0.9 if last > first else 0
        family[first : last + 1, choose.FAMILIES.index(kind)] = 1
    return (mark, family), [Range(*each) for each in ranges]


def test_thresholds_are_chosen_by_what_they_find():
    one = marks((10, 10, "cut"), (20, 30, "wipe"), (45, 45, "jump"))
    (mark, family), truth = marks((30, 30, "cut"))
    mark[10, 0] = mark[50, 2] = 0.55  # false alarms below what is true
    thresholds, found = choose.choose([one, ((mark, family), truth)])
    assert thresholds.cut == thresholds.jump == 0.6
    assert found["f1"] == found["f1_with_jumps"] == found["gradual_iou"] == found["value"] == 1
    assert choose.score([one], choose.Thresholds(cut=0.7, jump=0.7))["f1"] < 1
