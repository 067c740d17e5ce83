"""Names of videos that cannot be stored as they are: each is stored and found, or costs itself only."""

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrain.commands.extract import main
from pretrain.features.names import flat_name, stored_name
from pretrain.features.store import Features, Store
from support.tiny_extraction import TINY, film, folder_of, install, make_films, shown


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    install(monkeypatch.setattr)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return make_films(tmp_path_factory.mktemp("films"))


LONG = "ü" + "x" * 245  # 247 bytes; with ".mp4" a name that every disk takes, with more behind it one that none does
AWKWARD = [
    "a",
    "a/b",
    ".hidden",
    ".folder/c",
    "..",
    "d.npy/e",
    "d",
    LONG,
    "50%25",
    "50%",
    "x\udcff",
    "line\nbreak",
    "[1-2]",
]


@pytest.fixture(scope="module")
def awkward(tmp_path_factory):
    """A CSV of one short film under names that files may have."""
    folder = tmp_path_factory.mktemp("awkward")
    film(folder / "film.mp4", 20)
    for name in AWKWARD:
        path = folder / "videos" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(folder / "film.mp4", path)
    return [str(folder / "videos" / f"{name}.mp4") for name in AWKWARD]


@pytest.mark.parametrize("out", ["out", "out.h5"])
@pytest.mark.parametrize("first", [["a"], ["a/b"], []])  # what an earlier run has stored
def test_every_name_is_stored_and_found_again(awkward, tmp_path, capsys, out, first):
    if first:
        before = [path for path, name in zip(awkward, AWKWARD) if name in (*first, "d")]
        assert main(["--videos", *before, "--out", str(tmp_path / out), *TINY, "--names", "path"]) == 0
        names = set(Features(tmp_path / out))
        assert len(names) == 2
    capsys.readouterr()
    assert main(["--videos", *awkward, "--out", str(tmp_path / out), *TINY, "--names", "path"]) == 0
    new = len(AWKWARD) - 2 * bool(first)
    assert f"{new} videos extracted" in capsys.readouterr().out
    features = Features(tmp_path / out)
    assert sorted(features) == sorted(AWKWARD)
    assert features.settings["complete"]
    for name in AWKWARD:
        assert shown(features[name])[0].tolist() == [0, 2, 4, 6]
        assert len(features.center_seconds(name)) == len(features[name])
    assert main(["--videos", *awkward, "--out", str(tmp_path / out), *TINY, "--names", "path"]) == 0
    assert f"0 videos extracted, {len(AWKWARD)} were there" in capsys.readouterr().out


PART = st.text("ab.%25npy\udcff\n ", min_size=1, max_size=9) | st.integers(240, 260).map(lambda n: "é" + "x" * (n - 2))
NAMES = st.lists(PART, min_size=1, max_size=3).map("/".join)


@given(st.lists(NAMES, unique=True, max_size=6), st.booleans())
def test_different_names_are_stored_differently(names, utf8):
    keys = [stored_name(name, ".npy", utf8=utf8) for name in names]
    assert len(set(keys)) == len(names)
    if utf8:  # in HDF5
        assert len({*keys, *map(flat_name, keys)}) == 2 * len(names)
    for key in keys:
        assert all(len(os.fsencode(part)) <= 251 for part in key.split("/"))
        assert not any(part.startswith(".") for part in key.split("/"))
        if utf8:
            key.encode()


def test_a_name_that_is_refused_costs_itself_only(films, tmp_path, monkeypatch, capsys):
    def refused(store, path, rows):
        if path.stem == "b":
            raise OSError(errno.ENAMETOOLONG, "File name too long")
        return write(store, path, rows)

    write = Store._write
    monkeypatch.setattr(Store, "_write", refused)
    assert main(["--videos", folder_of(films), "--out", str(tmp_path / "out"), *TINY]) == 0
    printed = capsys.readouterr()
    assert "3 videos extracted, 1 failed" in printed.out
    assert "its features cannot be stored under the name 'b' (File name too long)" in printed.err
    assert sorted(Features(tmp_path / "out")) == ["a", "c", "long"]


def test_a_full_disk_is_not_a_name(films, tmp_path, monkeypatch, capsys):
    def full(store, path, rows):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Store, "_write", full)
    assert main(["--videos", folder_of(films), "--out", str(tmp_path / "out"), *TINY]) == 1
    assert "No space left on device" in capsys.readouterr().err


def test_a_part_that_cannot_be_read_is_named_and_made_again(films, tmp_path, capsys):
    out = ["--videos", folder_of(films), "--out", str(tmp_path / "all.h5"), *TINY]
    assert main(out) == 0
    whole = dict(Features(tmp_path / "all.h5"))
    (tmp_path / "all.h5").unlink()
    (tmp_path / "all.h5.parts").mkdir()
    (tmp_path / "all.h5.parts" / "b.npy").write_bytes(b"\x93NUMPY")  # as a failing disk leaves it
    capsys.readouterr()
    assert main(out) == 0
    printed = capsys.readouterr()
    assert "3 videos extracted, 1 failed" in printed.out
    assert "its features could not be read again" in printed.err
    assert list(Features(tmp_path / "all.h5").settings["failed"]) == [str(films["b"][0])]
    assert main(out) == 0
    assert "1 videos extracted, 3 were there" in capsys.readouterr().out
    assert {name: rows.tolist() for name, rows in Features(tmp_path / "all.h5").items()} == {
        name: rows.tolist() for name, rows in whole.items()
    }


def test_another_video_of_the_same_name_is_not_taken_for_extracted(films, tmp_path, capsys):
    assert main(["--videos", str(films["a"][0]), "--out", str(tmp_path / "out"), *TINY]) == 0
    (tmp_path / "other").mkdir()
    os.symlink(films["b"][0], tmp_path / "other" / "a.mp4")
    assert main(["--videos", str(tmp_path / "other"), "--out", str(tmp_path / "out"), *TINY]) == 1
    assert "out must hold features of the same videos, got" in capsys.readouterr().err


def test_a_video_given_twice_is_one(films, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(films["a"][0].parent)
    assert main(["--videos", "a.mp4", "./a.mp4", "--out", str(tmp_path / "out"), *TINY]) == 0
    assert "1 videos extracted" in capsys.readouterr().out
