"""Extraction: the right frames in every row, files that others' loaders read, and what happens when things go wrong."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import av
import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from assets import FINE, encode
from small import small
from tiny import film, shown, tiny
from torchvision.transforms.functional import center_crop, normalize

import gpuaug
import pretrain.extractor
from pretrain import checkpoint
from pretrain.clips import Job, sliding
from pretrain.encoders import encoder as load
from pretrain.extract import main
from pretrain.extractor import untrained
from pretrain.features import Features, Grid, rescale
from pretrain.worklist import Work

TINY = ["--encoder", "tiny", "--init", "none", "--threads", "2"]


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setattr(pretrain.extractor, "encoder", tiny)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """{name: (path, frames, rate)} of four videos with numbered frames; one is tall, one is long."""
    folder = tmp_path_factory.mktemp("films")
    made = {"a": (100, 20, (32, 48)), "b": (55, 30, (48, 32)), "c": (41, 25, (32, 48)), "long": (1500, 20, (16, 24))}
    return {name: (film(folder / f"{name}.mp4", n, fps, size=size), n, fps) for name, (n, fps, size) in made.items()}


def folder_of(films):
    return str(films["a"][0].parent)


@pytest.mark.parametrize(("fps", "clip", "stride"), [(10, 4, 4), (10, 4, 1), (15, 8, 3), (10, 4, 9), (20, 16, 16)])
def test_rows_show_the_right_frames(films, tmp_path, monkeypatch, fps, clip, stride):
    """In chunks much shorter than the videos, with clips that overlap, touch, or leave gaps."""
    monkeypatch.setattr("pretrain.clips.LONGEST", 48)
    monkeypatch.setattr("pretrain.clips.PIECE", 20)
    grid = ["--fps", str(fps), "--clip", str(clip), "--stride", str(stride), "--batch", "7"]
    assert main(["--videos", folder_of(films), "--out", str(tmp_path), *TINY, *grid]) == 0
    features = Features(tmp_path)
    for name, (_, frames, rate) in films.items():
        sampled = [k * rate // fps for k in range(10_000) if k * rate // fps < frames]  # the frame shown at k/fps
        rows = (len(sampled) - clip) // stride + 1
        expected = [[sampled[i * stride + k] for k in range(clip)] for i in range(rows)]
        assert features[name].dtype == np.float32
        assert shown(features[name]).tolist() == expected
        center = [(i * stride + clip / 2) / fps for i in range(rows)]
        np.testing.assert_allclose(features.center_seconds(name), center)
        assert features.settings["videos"][name]["rows"] == rows
    assert features.settings["complete"]


def test_native_rate(films, tmp_path):
    """BSP's snippets: consecutive frames of each video."""
    rate = ["--fps", "native", "--clip", "8", "--stride", "8"]
    assert main(["--videos", folder_of(films), "--out", str(tmp_path), *TINY, *rate]) == 0
    features = Features(tmp_path)
    for name, (_, frames, fps) in films.items():
        assert shown(features[name]).ravel().tolist() == list(range(frames // 8 * 8))
        np.testing.assert_allclose(features.center_seconds(name), (np.arange(frames // 8) * 8 + 4) / fps)


def test_agrees_with_a_clip_made_by_hand(tmp_path):
    """PyAV's own conversion, torchvision's crop and normalisation, one clip at a time, another encoder object."""
    ticks = [k * 3000 for k in range(60)]  # 30 a second
    path = encode(tmp_path / "v.mp4", ticks, FINE, size=(96, 128), pixel_format="yuv444p", options={"qp": "8"})
    torch.manual_seed(3)
    net = load("tsm_resnet18", size=84).eval()
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    options = ["--encoder", "tsm_resnet18", "--init", str(tmp_path / "weights.pt"), "--size", "84", "--fps", "15"]
    assert main(["--videos", str(path), "--out", str(tmp_path / "out"), *options]) == 0
    features_TF = Features(tmp_path / "out")[path.stem]
    with av.open(str(path)) as container:
        pictures = [torch.from_numpy(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]

    def by_hand(first):
        clip = torch.stack([pictures[first + 2 * k] for k in range(8)]).permute(0, 3, 1, 2) / 255
        clip = normalize(center_crop(clip, [84, 84]), list(net.mean), list(net.std))
        with torch.inference_mode():
            return net(clip.transpose(0, 1)[None])[0].numpy()

    def error(row, first):
        other = by_hand(first)
        return np.linalg.norm(features_TF[row] - other) / np.linalg.norm(other)

    assert len(features_TF) == -(-len(pictures) // 2) // 8
    assert max(error(0, 0), error(2, 32)) < 1e-5
    assert min(error(2, 31), error(2, 33)) > 1e-3  # one frame off is not the same
    assert json.loads((tmp_path / "out/features.json").read_text())["models"][0]["sha256"] is not None


def test_three_crops_are_averaged(tmp_path):
    """A wide frame whose thirds have the levels 0, 60, 240: their squares' mean is 100."""
    with av.open(str(tmp_path / "wide.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 32, "bgr0"
        pixels = np.repeat(np.uint8([0, 60, 240]), 32)[None, :, None].repeat(32, 0).repeat(3, 2)
        for _ in range(8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    for crops, level in ((1, 60), (3, 100)):
        out = tmp_path / f"out{crops}"
        view = ["--crops", str(crops), "--crop-share", "1", "--size", "32"]
        assert main(["--videos", str(tmp_path / "wide.mkv"), "--out", str(out), *TINY, *view]) == 0
        assert np.abs(Features(out)["wide"] - level).max() < 1


@pytest.mark.parametrize("grid", [Grid(10, 8, 3), Grid(10, 8, 8), Grid(10, 8, 20)])
def test_every_frame_is_decoded_once_in_bounded_memory(grid):
    alive, peak, asked = 0, 0, []

    def gone(size):
        nonlocal alive
        alive -= size

    def decode(windows):
        nonlocal alive, peak
        frames = []
        for window in windows:
            tensor = torch.zeros(window.frames, 4, 5, 3, dtype=torch.uint8)
            asked.extend((window.path, round(window.start_seconds * 10) + k) for k in range(window.frames))
            alive += tensor.numel()
            weakref.finalize(tensor.untyped_storage(), gone, tensor.numel())
            frames.append(tensor)
        peak = max(peak, alive)
        return frames, []

    videos = [gpuaug.Video(f"{i}", duration_seconds=s, fps=25) for i, s in enumerate((900, 3, 300, 0.3, 40))]
    jobs = [Job(video.path, video, grid, 60) for video in videos]
    rows = {job.name: [] for job in jobs}
    limit = 60 * 3 * 500  # bytes
    for chunks in sliding(jobs, decode, memory_bytes=limit):
        for chunk in chunks:
            assert chunk.frames_LHWC is not None
            assert max(chunk.starts, default=0) + grid.clip <= len(chunk.frames_LHWC)
            rows[chunk.job.name] += range(chunk.first, chunk.first + len(chunk.starts))
        del chunks, chunk
    for job in jobs:
        assert rows[job.name] == list(range(job.rows))
    assert len(set(asked)) == len(asked)
    used = {(job.name, i * grid.stride + k) for job in jobs for i in range(job.rows) for k in range(grid.clip)}
    assert used == set(asked)
    assert 0 < peak <= limit < 60 * 9000


# ---- files, as other projects' loaders take them; each reader does what theirs do, and nothing else -----------------


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


# ---- models --------------------------------------------------------------------------------------------------------


def test_two_checkpoints_side_by_side(films, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "encoder", small)
    paths, settings = [], {"task": "bsp", "fps": 10.0, "flags": {"fit": "stretch"}}
    for seed in (0, 1):
        net = small("small", frames=8)
        with torch.no_grad():
            net.net.stem.weight.mul_(seed + 1).add_(seed)
        state = {"config": {**settings, "encoder": {"name": "small", "frames": 8, "size": 32, "features": 16}}}
        state["model"] = {f"encoder.{k}": v for k, v in net.state_dict().items()}
        paths.append(str(checkpoint.save(tmp_path / f"run{seed}", state)))
    video = ["--videos", str(films["c"][0])]
    for name, given in (("one", paths[:1]), ("two", paths[1:]), ("both", paths)):
        flags = [word for path in given for word in ("--checkpoint", path)]
        assert main([*video, "--out", str(tmp_path / name), *flags]) == 0
    one, two, both = (Features(tmp_path / name) for name in ("one", "two", "both"))
    np.testing.assert_allclose(both["c"], np.concatenate([one["c"], two["c"]], 1), rtol=1e-5, atol=1e-6)
    assert not np.allclose(one["c"], two["c"], rtol=0.01)
    assert both.settings["features"] == 32
    assert (both.settings["fps"], both.settings["clip_frames"], both.settings["fit"]) == (10, 8, "stretch")
    hashes = [model["sha256"] for model in both.settings["models"]]
    assert len(set(hashes)) == 2
    assert main([*video, "--out", str(tmp_path / "one"), "--checkpoint", paths[1]]) == 1  # not the same model


def test_random_weights_follow_the_seed():
    """And nothing else, nor do they change torch's own random numbers."""
    before = torch.random.get_rng_state()
    nets = [untrained("tsm_resnet18", None, frames=4, size=32, seed=seed)[0] for seed in (5, 5, 6)]
    assert torch.equal(before, torch.random.get_rng_state())
    one, same, other = (net.state_dict()["net.net.layer1.0.conv1.weight"] for net in nets)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


# ---- what can go wrong ---------------------------------------------------------------------------------------------


@pytest.fixture
def mixed(films, tmp_path):
    """Two good videos among bad ones: cut off, garbage, empty, text, and one that is shorter than a clip."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.mp4").symlink_to(films[name][0])
    whole = films["long"][0].read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    middle = bytearray(whole)
    at = whole.index(b"mdat") + 4
    middle[at + 2000 : at + 12000] = np.random.default_rng(0).bytes(10000)
    (folder / "damaged.mp4").write_bytes(middle)
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("not a video\n")
    film(folder / "short.mp4", 5)
    return folder


def test_bad_videos_are_named_and_the_run_goes_on(mixed, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["--videos", str(mixed), "--out", str(out), *TINY]) == 0
    printed = capsys.readouterr()
    assert "3 videos extracted, 1 padded, 4 failed" in printed.out
    about = json.loads((out / "features.json").read_text())
    for name in ("cut", "damaged", "empty", "text"):
        (path,) = [path for path in about["failed"] if Path(path).stem == name]
        assert f"failed: {path}: {about['failed'][path]}" in printed.err
    assert sorted(p.stem for p in out.glob("*.npy")) == ["a", "b", "short"]
    assert about["padded"] == ["short"]
    assert shown(np.load(out / "short.npy")).tolist() == [[0, 2, 4, 4]]  # at 10 of 20 a second, the last one repeated


def test_too_short_videos_can_be_skipped(mixed, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["--videos", str(mixed), "--out", str(out), *TINY, "--too-short", "skip"]) == 0
    assert "1 too short and skipped" in capsys.readouterr().out
    about = json.loads((out / "features.json").read_text())
    assert about["skipped"] == {str(mixed / "short.mp4"): "3 frames at 10 per second, a clip has 4"}
    assert not (out / "short.npy").exists()


def test_nothing_could_be_done(mixed, tmp_path, capsys):
    videos = [str(mixed / f"{name}.mp4") for name in ("text", "damaged")]
    assert main(["--videos", *videos, "--out", str(tmp_path / "out"), *TINY]) == 1
    err = capsys.readouterr().err
    assert all(path in err for path in videos)
    assert "Traceback" not in err


def test_wrong_usage(films, tmp_path, capsys):
    video = ["--videos", str(films["a"][0]), "--out", str(tmp_path / "x")]
    for flags in ([], ["--encoder", "tiny"], [*TINY, "--stride", "0"], [*TINY, "--pool", "max", "--rescale", "9"]):
        assert main([*video, *flags]) == 2
    assert main(["--videos", str(tmp_path / "none"), "--out", str(tmp_path / "x"), *TINY]) == 1
    assert main([*video, "--checkpoint", str(films["a"][0])]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-2].startswith("extract: no such file")
    assert lines[-1].startswith(f"extract: {films['a'][0]} is damaged or no checkpoint")


def test_features_of_other_settings_are_not_mixed(films, tmp_path, capsys):
    run = ["--videos", folder_of(films), "--out", str(tmp_path), *TINY]
    assert main(run) == 0
    assert main([*run, "--stride", "2"]) == 1
    assert re.search(r"same stride_frames, got .* with 4 there and 2 asked for", capsys.readouterr().err)
    (tmp_path / "features.json").unlink()
    assert main(run) == 1


def test_equal_names(films, tmp_path, capsys):
    for folder in ("x", "y"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        (tmp_path / "in" / folder / "v.mp4").symlink_to(films["a"][0])
    run = ["--videos", str(tmp_path / "in"), *TINY]
    assert main([*run, "--out", str(tmp_path / "out")]) == 1
    assert "names must differ" in capsys.readouterr().err
    assert main([*run, "--out", str(tmp_path / "out2"), "--names", "path"]) == 0
    assert sorted(Features(tmp_path / "out2")) == ["x/v", "y/v"]
    assert main([*run, "--out", str(tmp_path / "out.h5"), "--names", "path"]) == 0
    assert sorted(Features(tmp_path / "out.h5")) == ["x/v", "y/v"]
    (tmp_path / "in/x/v.mkv").symlink_to(films["b"][0])
    assert main([*run, "--out", str(tmp_path / "out3"), "--names", "path"]) == 1
    assert main([*run, "--out", str(tmp_path / "out3"), "--names", "file"]) == 0
    assert sorted(Features(tmp_path / "out3")) == ["x/v.mkv", "x/v.mp4", "y/v.mp4"]


def test_an_hdf5_file_grows(films, tmp_path, capsys):
    out = ["--out", str(tmp_path / "all.h5"), *TINY]
    assert main(["--videos", str(films["a"][0]), *out]) == 0
    first = Features(tmp_path / "all.h5")["a"]
    assert main(["--videos", folder_of(films), *out]) == 0
    assert "3 videos extracted, 1 were there" in capsys.readouterr().out
    features = Features(tmp_path / "all.h5")
    assert sorted(features) == sorted(films)
    np.testing.assert_array_equal(features["a"], first)
    assert sorted(features.settings["videos"]) == sorted(films)


def program(*arguments, **environment):
    """The command as a process of its own."""
    command = [sys.executable, str(Path(__file__).parent / "tiny.py"), *map(str, arguments)]
    root = str(Path(__file__).parent.parent)
    env = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_killed_run_goes_on(films, tmp_path):
    folder, out = tmp_path / "many", tmp_path / "out"
    folder.mkdir()
    source = film(tmp_path / "source.mp4", 30, size=(16, 24))
    names = [f"{i:03d}" for i in range(300)]
    for name in names:
        (folder / f"{name}.mp4").symlink_to(source)
    run = ["--videos", folder, "--out", out, *TINY, "--memory", "1"]
    killed = program(*run)
    deadline = time.monotonic() + 140
    while len(list(out.glob("*.npy"))) < 20 and killed.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("[!.]*.npy")}
    assert 20 <= len(before) < 300, "the run must be killed in its middle"
    assert not json.loads((out / "features.json").read_text())["complete"]
    (out / ".299.npy.1.part").write_bytes(b"half")  # a kill in the middle of writing leaves this
    again = program(*run)
    printed, errors = again.communicate(timeout=140)
    assert again.returncode == 0, errors
    assert f"{300 - len(before)} videos extracted, {len(before)} were there" in printed
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("*.npy") if path.name in before} == before
    assert sorted(path.name for path in out.iterdir()) == sorted([*(f"{n}.npy" for n in names), "features.json"])
    for name in names:
        assert shown(np.load(out / f"{name}.npy")).shape == (3, 4)


def test_two_processes_share_the_videos(films, tmp_path):
    alone, out = tmp_path / "alone", tmp_path / "out.h5"
    assert main(["--videos", folder_of(films), "--out", str(alone), *TINY]) == 0
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(29500 + os.getpid() % 2000)}
    flags = ["--videos", folder_of(films), "--out", out, *TINY]
    pair = [program(*flags, RANK=str(rank), LOCAL_RANK=str(rank), **world) for rank in (0, 1)]
    texts = [process.communicate(timeout=140) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], texts
    assert "4 videos extracted" in texts[0][0]
    features = Features(out)
    assert sorted(features) == sorted(films)
    assert features.settings["last_run"]["processes"] == 2
    for name in films:
        np.testing.assert_allclose(features[name], Features(alone)[name], atol=1e-4)


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_shares_are_disjoint_and_complete(world):
    rng = np.random.default_rng(world)
    videos = [
        gpuaug.Video(f"{i}", duration_seconds=float(s), width=4, height=3)
        for i, s in enumerate(rng.exponential(60, 40))
    ]
    work = Work([Job(v.path, v, Grid(15, 16, 16), 1) for v in videos], there={"3", "9"})
    shares = work.deal(world)
    names = [job.name for share in shares for job in share]
    assert sorted(names) == sorted(str(i) for i in range(40) if i not in (3, 9))
    loads = [sum(job.wanted for job in share) for share in shares]
    assert max(loads) - min(loads) <= max(job.wanted for job in work.jobs)
