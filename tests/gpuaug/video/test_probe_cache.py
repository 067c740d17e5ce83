"""What probe remembers of files between runs."""

import contextlib
import dataclasses
import json
import os
import sqlite3
import warnings
from pathlib import Path

import pytest

from gpuaug import Video, probe
from gpuaug.video import manifest, probe_cache
from support.assets import EVEN, FINE, encode


@pytest.fixture
def folder(assets, tmp_path):
    """Five files: {a,b}/{1,2}.mp4, top.mkv."""
    root = tmp_path / "videos"
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
        for name in ("1.mp4", "2.mp4"):
            os.link(assets["cfr"], root / label / name)
    os.link(assets["mkv"], root / "top.mkv")
    return root


@pytest.fixture
def reads(monkeypatch):
    """Paths that were read and not remembered."""
    read = []
    original = manifest._read
    monkeypatch.setattr(manifest, "_read", lambda path: read.append(Path(path).name) or original(path))
    return read


def test_only_what_changed_is_read_again(folder, tmp_path, reads, assets):
    (folder / "bad.mp4").write_text("no video")
    first = probe(folder, cache=tmp_path / "cache")
    assert len(reads) == 6
    reads.clear()
    assert probe(folder, cache=tmp_path / "cache") == first
    assert reads == []
    encode(folder / "new.mp4", EVEN[:5], FINE)
    os.replace(folder / "new.mp4", folder / "a" / "1.mp4")  # another size
    os.utime(folder / "bad.mp4", ns=(0, 1))  # another time
    changed = probe(folder, cache=tmp_path / "cache")
    assert sorted(reads) == ["1.mp4", "bad.mp4"]
    assert [v.frames for v in changed.videos if v.path.endswith("a/1.mp4")] == [5]


def test_labels_are_not_remembered(folder, tmp_path, reads):
    probe(folder, cache=tmp_path / "cache")
    os.rename(folder / "a", folder / "z")
    assert {v.label for v in probe(folder / "b", cache=tmp_path / "cache").videos} == {None}
    reads.clear()
    assert "z" in {v.label for v in probe(folder, cache=tmp_path / "cache").videos}


def test_another_version_reads_again(folder, tmp_path, reads, monkeypatch):
    probe(folder, cache=tmp_path / "cache")
    monkeypatch.setattr(probe_cache, "VERSION", "0")
    reads.clear()
    probe(folder, cache=tmp_path / "cache")
    assert len(reads) == 5


def test_none_and_the_users(folder, reads):
    probe(folder, cache=False)
    probe(folder, cache=False)
    assert len(reads) == 10
    probe(folder)
    reads.clear()
    probe(folder)
    assert reads == []


def test_what_is_no_cache_is_done_without(folder, tmp_path):
    (tmp_path / "cache").write_text("this is not SQLite " * 100)
    with pytest.warns(RuntimeWarning, match="going on without the cache"):
        assert len(probe(folder, cache=tmp_path / "cache").usable) == 5


@pytest.mark.parametrize("columns", ["[1]", '{"evil": 7}', "7", "null", "truth", "columns with a NaN", "a type"])
def test_rows_of_another_program_are_read_again(columns, folder, tmp_path, reads):
    found = probe(folder, cache=tmp_path / "cache")
    with contextlib.closing(sqlite3.connect(tmp_path / "cache")) as rows, rows:
        path, there = rows.execute("SELECT path, columns FROM files ORDER BY path").fetchone()
        if columns == "columns with a NaN":
            columns = json.dumps(json.loads(there) | {"fps": float("nan")})
        elif columns == "a type":
            columns = json.dumps(json.loads(there) | {"frames": "12"})
        rows.execute("UPDATE files SET columns = ? WHERE path = ?", (columns, path))
    reads.clear()
    with warnings.catch_warnings(record=True) as told:
        assert probe(folder, cache=tmp_path / "cache") == found
    assert reads == [Path(path).name]
    assert not told


def test_an_interrupted_run_goes_on(folder, tmp_path, reads, monkeypatch):
    monkeypatch.setattr(probe_cache, "COMMIT_EVERY", 1)
    original = manifest._read

    def interrupted(path):
        if path.endswith("b/2.mp4"):
            raise KeyboardInterrupt
        return original(path)

    monkeypatch.setattr(manifest, "_read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        probe(folder, cache=tmp_path / "cache", workers=1)
    monkeypatch.setattr(manifest, "_read", original)
    reads.clear()
    assert len(probe(folder, cache=tmp_path / "cache").usable) == 5
    assert reads == ["2.mp4"]


def test_none_of_ten_thousand_unchanged_files_is_read(tmp_path, reads):
    root = tmp_path / "many"
    root.mkdir()
    (root / "0.mp4").touch()
    for i in range(1, 10_000):
        (root / f"{i}.mp4").write_bytes(b"%d" % i)
    with probe_cache.Cache(tmp_path / "cache") as cache:
        columns = dataclasses.asdict(Video("", frames=7, duration_seconds=1.0))
        del columns["path"], columns["label"]
        for i in range(1, 10_000):
            cache.remember(str(root / f"{i}.mp4"), os.stat(root / f"{i}.mp4"), columns)
    found = probe(root, cache=tmp_path / "cache")
    assert len(found.usable) == 9_999
    assert reads == []  # 0.mp4 is empty: that is not read either


def test_two_names_of_one_path(folder, tmp_path, reads):
    """The cache has the absolute one."""
    paths = [str(folder / "top.mkv"), str(folder / "a" / ".." / "top.mkv")]
    first = probe(paths, cache=tmp_path / "cache")
    reads.clear()
    assert probe(paths, cache=tmp_path / "cache") == first
    assert reads == []
