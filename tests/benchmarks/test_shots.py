"""The sources of the shot detector, and what compares it with others."""

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.shots import compare, fetch
from pretrain.evaluation.shots import Range, judge
from pretrain.toy.scenes import SCENES, scene

FREE = {"CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "GPL-2", "GPL-2+", "public domain"}


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
