"""What the parts of an extraction are given, and what is written of it, by hand; nothing is decoded."""

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import gpuaug
from gpuaug.video.manifest import Video
from pretrain.common.distributed import Group
from pretrain.features import extract, extractor
from pretrain.features.extraction_plan import ExtractionPlan
from pretrain.features.extractor import Extractor, trained, untrained
from pretrain.features.grid import Grid
from pretrain.features.settings import ExtractSettings
from pretrain.features.sliding import DecodedChunk, VideoClips


def network(name="net", frames=8, size=64, fps=12.0, features=5):
    return SimpleNamespace(name=name, frames=frames, size=size, features=features, fps=fps, mean=(0.5,) * 3,
                           std=(0.25,) * 3)  # fmt: skip


# ---------------------------------------------------------------- what is passed on


@pytest.fixture
def given(monkeypatch, tmp_path):
    """A function of settings that extracts nothing: what each part was given."""
    seen = {}

    class Decoder:
        Backend = gpuaug.Decoder.Backend

        def __init__(self, device, size, **options):
            seen["decoder"] = (device, size, options)
            self.decode, self.damaged_frames = "decode", {}

        def output_size(self, height, width):
            return height // 2, width // 2

        def __enter__(self):
            return self

        def __exit__(self, *_):
            seen["closed"] = True

    def plan(videos, store, settings, *, frame_bytes, names, too_short):
        seen["plan"] = (videos, store.out, store.form, frame_bytes(Video("a", width=40, height=20)), names, too_short)
        seen["settings"] = settings
        return ExtractionPlan()

    def run(videos, extractor, decode, store, args, *, quiet):
        seen["run"] = (videos, extractor, decode, quiet)
        return extract.Tally(seconds=2.0, clips=6, wait_seconds=0.5)

    def made(name, init, *, frames, size, seed):
        seen["untrained"] = (name, init, frames, size, seed)
        return network(), {"features": 5}, {"fps": 12.0, "fit": "inside"}

    monkeypatch.setattr(extract, "untrained", made)
    monkeypatch.setattr(extract.gpuaug, "Decoder", Decoder)
    monkeypatch.setattr(extract, "Extractor", lambda nets, **options: seen.update(extractor=(nets, options)) or "it")
    monkeypatch.setattr(extract, "plan_extraction", plan)
    monkeypatch.setattr(extract, "run", run)

    def of(nets=(), **options):
        queue = list(nets)
        monkeypatch.setattr(extract, "trained", lambda path: queue.pop(0))
        source = {"checkpoint": ("x",) * len(nets)} if nets else {"encoder": "e", "init": "none"}
        extract.extract(ExtractSettings(videos=("v",), out=str(tmp_path / "out"), **source, **options), Group())
        return seen

    return of


def test_the_usual_extraction(given, tmp_path, capsys):
    seen = given()
    assert seen["untrained"] == ("e", None, None, None, 0)
    device, size, options = seen["decoder"]
    assert (device.type, size) == ("cpu", 73), "64 / 0.875"
    assert options == {"fit": "short", "backend": "auto", "threads": None, "cache": None}
    assert seen["extractor"][1] == {"device": device, "places": (0.5,), "scale": 0.875, "precision": None}
    assert seen["plan"] == (("v",), tmp_path / "out", "npy", 3 * 10 * 20, "stem", "pad")
    assert seen["run"] == ([], "it", "decode", False)
    about = seen["settings"]
    wanted = {"fps": 12.0, "clip_frames": 8, "stride_frames": 8, "pool": None, "rescaled_rows": None, "crops": 1}
    wanted |= {"crop_share": 0.875, "fit": "inside", "short_side": 73, "precision": "fp32"}
    wanted |= {"too_short": "pad", "names": "stem"}
    assert {name: about[name] for name in wanted} == wanted
    assert seen["closed"]


def test_an_extraction_of_ones_own(given, tmp_path):
    seen = given(
        format="pickle", names="path", too_short="skip", fps=5.0, frames=4, stride=3, crops=3, crop_share=0.5,
        short_side=40, fit="stretch", backend="pyav", threads=3, precision="bf16", size=32, seed=7,
    )  # fmt: skip
    assert seen["untrained"] == ("e", None, 4, 32, 7)
    assert seen["decoder"][1:] == ((40, 53), {"fit": "stretch", "backend": "pyav", "threads": 3, "cache": None})
    options = seen["extractor"][1]
    assert (options["places"], options["scale"], options["precision"]) == ((0.0, 0.5, 1.0), 0.5, torch.bfloat16)
    assert seen["plan"][2:] == ("pickle", 600, "path", "skip")
    about = seen["settings"]
    assert (about["fps"], about["clip_frames"], about["stride_frames"], about["crops"]) == (5.0, 4, 3, 3)
    assert (about["short_side"], about["fit"], about["precision"]) == (40, "stretch", "bf16")
    assert given(precision="fp16", rescale=9)["extractor"][1]["precision"] is torch.float16
    assert given(fps="native", pool="mean")["settings"]["fps"] == "native"
    assert given(rescale=9)["settings"]["rescaled_rows"] == 9


def test_checkpoints_have_their_own_rates_and_views(given):
    one = network(frames=8, size=64), {"features": 5}, {"fps": 10.0, "fit": "stretch"}
    two = network(frames=8, size=112), {"features": 7}, {"fps": 10.0, "fit": "stretch"}
    seen = given([one, two])
    assert seen["extractor"][0] == (one[0], two[0])
    assert seen["decoder"][1:][0] == (128, 171), "the larger one's, 112 / 0.875"
    assert (seen["settings"]["fps"], seen["settings"]["features"], seen["settings"]["clip_frames"]) == (10.0, 12, 8)
    other = network(frames=4), {"features": 7}, {"fps": 5.0, "fit": "inside"}
    for flags, name in (({}, "frames"), ({"frames": 6}, "fit"), ({"frames": 6, "fit": "inside"}, "fps")):
        with pytest.raises(ValueError, match=f"^{name} must be given where the checkpoints' differ, they have "):
            given([one, other], **flags)
    assert given([one, other], frames=6, fit="inside", fps=3.0)["settings"]["clip_frames"] == 6
    with pytest.raises(ValueError, match="fps must be given for encoder net, which has no usual rate"):
        given([(network(), {"features": 5}, {"fps": None, "fit": "inside"})])


def test_how_fast_it_was_and_what_limited_it():
    tallies = [extract.Tally(["a"], clips=30, seconds=10.0, wait_seconds=5.0),
               extract.Tally(["b", "c"], clips=50, seconds=8.0, wait_seconds=1.0)]  # fmt: skip
    assert extract.speed(tallies, torch.device("cpu")) == {
        "device": "cpu", "processes": 2, "videos": 3, "clips": 80, "seconds": 10.0, "clips_per_second": 8.0,
        "waiting_share": 0.5, "limited_by": "the encoder",
    }  # fmt: skip
    tallies[1].wait_seconds = 5.1
    assert extract.speed(tallies, torch.device("cpu"))["limited_by"] == "decoding"
    assert extract.speed([extract.Tally()], torch.device("cpu"))["clips_per_second"] == 0


def test_what_is_stored_of_a_videos_rows():
    clips = VideoClips("a", Video("a.mp4", duration_seconds=0.8), Grid(10, 4, 4), 1)
    rows = np.float32([[1, 8], [3, 2]])
    assert extract.finish(clips, rows, "max", None).tolist() == [3, 8]
    assert extract.finish(clips, rows, "mean", None).tolist() == [2, 5]
    assert extract.finish(clips, rows, "mean", None).dtype == np.float32
    assert extract.finish(clips, rows, None, None) is rows
    assert extract.finish(clips, rows, None, 4)[:, 0].tolist() == [1, 1.5, 2.5, 3], "at 0.1, 0.3 … of 0.2 and 0.6"


# ---------------------------------------------------------------- networks and crops


def test_networks_state_themselves(monkeypatch, tmp_path):
    monkeypatch.setattr(extractor, "encoder", lambda name, **options: network(name))
    for name, fit in (("r3d_18", "stretch"), ("r2plus1d_18", "stretch"), ("r2plus1d_34", "stretch"), ("i3d", "inside")):
        net, about, usual = untrained(name, None, frames=None, size=None, seed=4)
        assert usual == {"fps": 12.0, "fit": fit}
        assert about == {"encoder": name, "features": 5, "size": 64, "mean": [0.5] * 3, "std": [0.25] * 3,
                         "sha256": None, "seed": 4}  # fmt: skip
    weights = tmp_path / "checkpoint.pt"
    weights.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    about = untrained("i3d", weights, frames=None, size=None, seed=4)[1]
    assert (about["file"], about["sha256"], "seed" in about) == (str(weights), digest, False)
    for own, usual in (({}, (12.0, "inside")), ({"fps": 5.0, "fit": "stretch", "task": "bsp"}, (5.0, "stretch")),
                       ({"fit": "short"}, (12.0, "inside"))):  # fmt: skip
        net = network()
        net.about = own
        monkeypatch.setattr(extractor, "load_encoder", lambda path, net=net: net)
        _, about, found = trained(tmp_path)
        assert (found["fps"], found["fit"]) == usual
        assert (about["task"], about["file"], about["sha256"]) == (own.get("task"), str(weights), digest)


class Corner(torch.nn.Module):
    """The first pixel of each clip, and the number of frames."""

    features, size, mean, std = 2, 4, (0.0,) * 3, (1 / 255,) * 3

    def forward(self, clip_NCTYX):
        assert torch.is_inference_mode_enabled()
        assert not self.training
        n, _, frames, height, width = clip_NCTYX.shape
        assert (height, width) == (self.size, self.size)
        return torch.stack([clip_NCTYX[:, 0, 0, 0, 0], torch.full((n,), float(frames))], 1)


def frames(begin, count, height=8, width=12):
    """Frame k is at level begin + k, + 20 for every column from the left."""
    level = begin + np.arange(count)[:, None, None] + 20 * np.arange(width)
    return torch.from_numpy(np.broadcast_to(level[..., None], (count, height, width, 3)).astype(np.uint8).copy())


def test_crops_are_where_they_are_asked_for():
    """Squares of a half of 8 rows: 4 × 4, whole pixels, at the left, in the middle and at the right of 12 columns."""
    made = Extractor([Corner()], device=torch.device("cpu"), places=(0.0, 0.5, 1.0), scale=0.5)
    boxes = [made.box(place, np.array([8]), np.array([12]))[0].tolist() for place in (0.0, 0.5, 1.0)]
    assert boxes == [[0, 0, 4, 4], [2, 4, 6, 8], [4, 8, 8, 12]]
    assert made.box(0.5, np.array([9]), np.array([9]))[0].tolist() == [2, 2, 7, 7], "in whole pixels"
    found = made([frames(0, 4)], np.array([0, 0]), np.array([1, 2]), 2)
    assert found.tolist() == [[1 + 20 * 4, 2], [2 + 20 * 4, 2]], "the mean of columns 0, 4 and 8"
    assert found.dtype == np.float32


def test_batches_go_across_chunks_and_networks_stand_side_by_side(monkeypatch):
    made = Extractor([Corner(), Corner()], device=torch.device("cpu"), scale=0.5)
    assert made.features == 4
    clips = VideoClips("a", Video("a.mp4", duration_seconds=1.0), Grid(10, 3, 2), 1)
    chunks = [DecodedChunk(clips, frames(0, 5), 0, range(0, 4, 2)), DecodedChunk(clips, frames(50, 4), 2, range(0)),
              DecodedChunk(clips, frames(100, 8), 2, range(1, 7, 2))]  # fmt: skip
    sizes, call = [], Extractor.__call__
    monkeypatch.setattr(
        Extractor, "__call__", lambda self, f, s, *more: sizes.append((len(f), len(s))) or call(self, f, s, *more)
    )
    found = made.encode(chunks, 3)
    assert sizes == [(2, 3), (1, 2)]
    at = 20 * 4  # the middle crop's first column
    assert [part[:, 0].tolist() for part in found] == [[at, at + 2], [], [at + 101, at + 103, at + 105]]
    assert [part.shape for part in found] == [(2, 4), (0, 4), (3, 4)]
    assert (np.concatenate(found)[:, 1::2] == 3).all()
    assert made.encode([], 3) == []
