"""Feature files as other projects' loaders take them; each reader here does what theirs does, and nothing else."""

import errno
import json
import os
import pickle

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from pretrain.commands.extract import main
from pretrain.features.grid import rescale
from pretrain.features.names import flat_name, stored_name
from pretrain.features.store import Features, Store
from support.tiny_extraction import TINY, film, folder_of, install, make_films, shown


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    install(monkeypatch.setattr)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return make_films(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def tsp(films, tmp_path_factory):
    """TSP's clips on ActivityNet: 16 frames at 15 a second, every 16; video "long", named as ActivityNet's are."""
    folder = tmp_path_factory.mktemp("anet")
    (folder / "v_abcdefghijk.mp4").symlink_to(films["long"][0])
    return ["--videos", str(folder), *TINY, "--fps", "15", "--frames", "16", "--stride", "16"]


def second_shown(features_CT, grid_position, clip=16):
    """The time, by the numbers in the pictures, of the middle of the clip at a position on a loader's feature grid."""
    numbers = shown(np.asarray(features_CT.T, np.float32))
    middle = (numbers[:, 0] + numbers[:, -1] + 20 / 15) / 2 / 20
    return np.interp(grid_position, np.arange(len(middle)), middle)


def test_actionformer(tsp, tmp_path):
    assert main([*tsp, "--out", str(tmp_path)]) == 0
    about = json.loads((tmp_path / "features.json").read_text())["actionformer"]
    feats = np.load(os.path.join(tmp_path, "v_" + "abcdefghijk" + ".npy")).astype(np.float32)
    feats = torch.from_numpy(np.ascontiguousarray(feats.transpose()))  # T x C → C x T
    assert feats.shape == (32, (75 * 15 - 16) // 16 + 1)
    segment = np.array([10.0, 60.0])  # seconds → feature grid
    grid = (segment * about["default_fps"] - 0.5 * about["num_frames"]) / about["feat_stride"]
    np.testing.assert_allclose(second_shown(feats, grid), segment, atol=0.05)


def test_opentad(tsp, tmp_path):
    assert main([*tsp, "--out", str(tmp_path)]) == 0
    about = json.loads((tmp_path / "features.json").read_text())["opentad"]
    assert about == {"fps": 15, "feature_stride": 16, "offset_frames": 8}
    feats = np.load(f"{tmp_path}/{'v_'}{'abcdefghijk'}.{'npy'}").astype(np.float32)  # (T, C)
    segment = np.array([10.0, 60.0])
    grid = (segment * about["fps"] - about["offset_frames"]) / about["feature_stride"]
    np.testing.assert_allclose(second_shown(feats.T, grid), segment, atol=0.05)
    resized = F.interpolate(torch.from_numpy(feats).T[None], size=192, mode="linear", align_corners=False)
    assert resized.shape == (1, 32, 192)


def test_tsp_pickles_become_the_hdf5(tsp, tmp_path):
    assert main([*tsp, "--out", str(tmp_path / "pkl"), "--format", "pickle"]) == 0
    assert main([*tsp, "--out", str(tmp_path / "all.h5")]) == 0
    with open(tmp_path / "pkl/v_abcdefghijk.pkl", "rb") as file:
        data = pickle.load(file)
    with h5py.File(tmp_path / "all.h5") as file:
        assert sorted(file) == ["v_abcdefghijk"]
        stored = np.asarray(file["v_abcdefghijk"][()], dtype=np.float32)
        assert json.loads(file.attrs["settings"])["clip_frames"] == 16
    assert type(data) is np.ndarray
    assert data.dtype == np.float32
    np.testing.assert_array_equal(data, stored)


def test_gtad_on_thumos(films, tmp_path):
    """One HDF5 file, a row per frame; the loader takes every fifth, and windows of 256 that overlap by half."""
    dense = ["--fps", "20", "--frames", "9", "--stride", "1"]
    assert main(["--videos", str(films["long"][0]), "--out", str(tmp_path / "rgb_val.h5"), *TINY, *dense]) == 0
    with h5py.File(tmp_path / "rgb_val.h5", "r") as file:
        df_data = file["long"][::5, ...]
    assert df_data.shape == (-(-(1500 - 8) // 5), 18)
    assert shown(df_data)[:, 0].tolist() == [5 * i for i in range(len(df_data))]


def test_bmn_and_gtad_on_activitynet(tsp, tmp_path):
    """100 rows as CSV with a header; row k belongs to share (k + 0.5)/100 of the video."""
    assert main([*tsp, "--out", str(tmp_path / "csv_mean_100"), "--format", "csv", "--rescale", "100"]) == 0
    path = tmp_path / "csv_mean_100/v_abcdefghijk.csv"
    values = np.loadtxt(path, dtype=np.float32, delimiter=",", skiprows=1)  # as MMAction2; pandas takes the header too
    assert values.shape == (100, 32)
    video = torch.transpose(torch.Tensor(values), 0, 1)
    assert video.shape == (32, 100)
    assert main([*tsp, "--out", str(tmp_path / "rows")]) == 0
    rows = Features(tmp_path / "rows")
    center = rows.center_seconds("v_abcdefghijk")
    at = (np.arange(100) + 0.5) / 100 * 75
    expected = [np.interp(at, center, rows["v_abcdefghijk"][:, c]) for c in range(32)]
    np.testing.assert_allclose(video, expected, atol=1e-3)
    np.testing.assert_allclose(Features(tmp_path / "csv_mean_100").center_seconds("v_abcdefghijk"), at)


def test_rescaling_is_linear_interpolation_where_clips_tile_the_video():
    rows_TF = np.random.default_rng(0).normal(size=(37, 5)).astype(np.float32)
    theirs = F.interpolate(torch.from_numpy(rows_TF).T[None], size=100, mode="linear", align_corners=False)[0].T
    np.testing.assert_allclose(rescale(rows_TF, np.arange(37) + 0.5, 37.0, 100), theirs, atol=1e-5)
    assert rescale(rows_TF[:1], [0.5], 1.0, 4).shape == (4, 5)


@pytest.mark.parametrize("pool", ["max", "mean"])
def test_gvf(films, tmp_path, pool):
    assert main(["--videos", folder_of(films), "--out", str(tmp_path / "rows"), *TINY]) == 0
    assert main(["--videos", folder_of(films), "--out", str(tmp_path / "gvf.h5"), *TINY, "--pool", pool]) == 0
    rows = Features(tmp_path / "rows")
    with h5py.File(tmp_path / "gvf.h5") as file:
        assert set(file) == set(films)
        for name in films:
            gvf = file[os.path.basename(films[name][0]).split(".")[0]][()]  # as TSP's data set asks for it
            assert gvf.dtype == np.float32
            np.testing.assert_allclose(gvf, getattr(np, pool)(rows[name], axis=0), rtol=1e-5)
    assert not (tmp_path / "gvf.h5.parts").exists()


# ---- names that cannot be stored as they are -------------------------------------------------------------------------

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
