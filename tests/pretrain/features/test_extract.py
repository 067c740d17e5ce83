"""Extraction: the right frames in every row, the features of the right model, and every video in one share."""

import json
import weakref

import av
import numpy as np
import pytest
import torch
from torchvision.transforms.functional import center_crop, normalize

import gpuaug
from gpuaug.video.write import write_video
from pretrain.commands.extract import main
from pretrain.common.lock import FolderLock
from pretrain.features.extraction_plan import ExtractionPlan
from pretrain.features.extractor import untrained
from pretrain.features.grid import Grid
from pretrain.features.sliding import VideoClips, sliding
from pretrain.features.store import Features
from pretrain.models import checkpoint
from pretrain.models.encoders import encoder as load
from support.assets import FINE, encode
from support.tiny_extraction import TINY, folder_of, install, make_films, shown
from support.tiny_training import small


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    install(monkeypatch.setattr)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return make_films(tmp_path_factory.mktemp("films"))


@pytest.mark.parametrize(("fps", "clip", "stride"), [(10, 4, 4), (10, 4, 1), (15, 8, 3), (10, 4, 9), (20, 16, 16)])
def test_rows_show_the_right_frames(films, tmp_path, monkeypatch, fps, clip, stride):
    """In chunks much shorter than the videos, with clips that overlap, touch, or leave gaps."""
    monkeypatch.setattr("pretrain.features.sliding.LONGEST", 48)
    monkeypatch.setattr("pretrain.features.sliding.PIECE", 20)
    grid = ["--fps", str(fps), "--frames", str(clip), "--stride", str(stride), "--batch", "7"]
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
    rate = ["--fps", "native", "--frames", "8", "--stride", "8"]
    assert main(["--videos", folder_of(films), "--out", str(tmp_path), *TINY, *rate]) == 0
    features = Features(tmp_path)
    for name, (_, frames, fps) in films.items():
        assert shown(features[name]).ravel().tolist() == list(range(frames // 8 * 8))
        np.testing.assert_allclose(features.center_seconds(name), (np.arange(frames // 8) * 8 + 4) / fps)


@pytest.mark.parametrize("out", ["out", "out.h5"])
def test_one_extraction_has_the_folder(films, tmp_path, out, capsys):
    """A second one would sweep away what the first is writing."""
    pytest.importorskip("fcntl")
    (writing := tmp_path / ("out.h5.parts" if out == "out.h5" else "out") / ".a.npy.1.part").parent.mkdir()
    writing.write_bytes(b"of the first")
    flags = [*TINY, "--videos", str(films["a"][0]), "--out", str(tmp_path / out)]
    with FolderLock(writing.parent, "--out", pytest.fail, file=False):
        assert main(flags) == 1
        assert f"--out {tmp_path / out} is in use by another run" in capsys.readouterr().err
        assert writing.exists()
    assert main(flags) == 0
    assert not writing.exists()


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
    pixels = np.repeat(np.uint8([0, 60, 240]), 32)[None, :, None].repeat(32, 0).repeat(3, 2)
    write_video(tmp_path / "wide.mkv", [pixels] * 8, 10, "ffv1", pixel_format="bgr0")
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
    videos = [VideoClips(video.path, video, grid, 60) for video in videos]
    rows = {clips.name: [] for clips in videos}
    limit = 60 * 3 * 500  # bytes
    for chunks in sliding(videos, decode, memory_bytes=limit):
        for chunk in chunks:
            assert chunk.frames_LHWC is not None
            assert max(chunk.starts, default=0) + grid.clip <= len(chunk.frames_LHWC)
            rows[chunk.clips.name] += range(chunk.first, chunk.first + len(chunk.starts))
        del chunks, chunk
    for clips in videos:
        assert rows[clips.name] == list(range(clips.rows))
    assert len(set(asked)) == len(asked)
    used = {(clips.name, i * grid.stride + k) for clips in videos for i in range(clips.rows) for k in range(grid.clip)}
    assert used == set(asked)
    assert 0 < peak <= limit < 60 * 9000


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


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_shares_are_disjoint_and_complete(world):
    rng = np.random.default_rng(world)
    videos = [
        gpuaug.Video(f"{i}", duration_seconds=float(s), width=4, height=3)
        for i, s in enumerate(rng.exponential(60, 40))
    ]
    plan = ExtractionPlan([VideoClips(v.path, v, Grid(15, 16, 16), 1) for v in videos], finished={"3", "9"})
    shares = plan.shard(world)
    names = [clips.name for share in shares for clips in share]
    assert sorted(names) == sorted(str(i) for i in range(40) if i not in (3, 9))
    loads = [sum(clips.wanted for clips in share) for share in shares]
    assert max(loads) - min(loads) <= max(clips.wanted for clips in plan.videos)
