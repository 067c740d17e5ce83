"""Feature files as other projects' loaders take them; each reader here does what theirs does, and nothing else."""

import json
import os
import pickle

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pretrain.commands.extract import main
from pretrain.features.grid import rescale
from pretrain.features.store import Features
from support.tiny_extraction import TINY, folder_of, install, make_films, shown


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
    return ["--videos", str(folder), *TINY, "--fps", "15", "--clip", "16", "--stride", "16"]


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
    dense = ["--fps", "20", "--clip", "9", "--stride", "1"]
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


# ---- files that somebody sent ----------------------------------------------------------------------------------------


def test_numbers_in_other_files_are_refused(tmp_path):
    (tmp_path / "secret").write_bytes(np.arange(8, dtype=np.float32).tobytes())
    with h5py.File(tmp_path / "sent.h5", "w") as file:
        file.create_dataset("ours", data=np.ones((2, 4), np.float32))
        file.create_dataset("theirs", (2, 4), np.float32, external=str(tmp_path / "secret"))
        file["link"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/x")
    features = Features(tmp_path / "sent.h5")
    assert list(features) == ["ours", "theirs"]
    assert features["ours"].tolist() == np.ones((2, 4)).tolist()
    with pytest.raises(ValueError, match="'theirs': must hold its numbers itself"):
        features["theirs"]


def test_features_that_claim_more_than_they_hold(tmp_path):
    """A few bytes that would fill the memory."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (100000000000, 2048), }"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header + b"\n")
    with pytest.raises(ValueError, match="mmap length is greater than file size"):
        Features(tmp_path)["a"]
    with h5py.File(tmp_path / "sent.h5", "w") as file:
        file.create_dataset("a", (10**9, 2048), np.float32, chunks=(1024, 2048), compression="gzip")
    with pytest.raises(ValueError, match="'a': must not unpack to more than 100 times what is stored"):
        Features(tmp_path / "sent.h5")["a"]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("[1]", "must be a JSON object"),
        ("{", "must be JSON"),
        ('{"videos": 3}', "must be a JSON object"),
        ('{"videos": {"a": 3}}', "a: must be a JSON object"),
        ('{"videos": {"a": {"stored_as": ["x"]}}}', "'a': path and stored_as must be text"),
        ('{"videos": {"a": {"path": 7}}}', "'a': path and stored_as must be text"),
        ('{"trained_on": [3]}', "trained_on: must be ids of videos"),
        ("[" * 100_000, "must be JSON of moderate depth"),
    ],
)
def test_broken_settings_are_named(tmp_path, text, rule):
    np.save(tmp_path / "a.npy", np.ones((2, 3), np.float32))
    (tmp_path / "features.json").write_text(text)
    with pytest.raises(ValueError, match=rf"features\.json.*{rule}"):
        Features(tmp_path)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"fps": "ten", "clip_frames": 8, "stride_frames": 8}, "fps must be a number, got 'ten'"),
        ({"fps": 10, "clip_frames": [8], "stride_frames": 8}, "clip_frames must be a number"),
        ({"fps": 10, "clip_frames": 8}, "must state 'stride_frames'"),
        ({"fps": 10, "clip_frames": 8, "stride_frames": 0}, "stride must be ≥ 1"),
        ({"fps": 0, "clip_frames": 8, "stride_frames": 8}, "fps must be above 0"),
        ({"fps": "native", "clip_frames": 8, "stride_frames": 8}, "must state 'fps' to place the rows of a"),
        ({"rescaled_rows": 100}, "must state 'duration_seconds' to place the rows of a"),
        ({"rescaled_rows": 100, "videos": {"a": {"duration_seconds": True}}}, "duration_seconds must be a number"),
    ],
)
def test_settings_that_do_not_place_rows(tmp_path, settings, rule):
    np.save(tmp_path / "a.npy", np.ones((2, 3), np.float32))
    (tmp_path / "features.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=rule):
        Features(tmp_path).center_seconds("a")
