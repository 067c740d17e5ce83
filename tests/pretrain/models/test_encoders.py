"""Encoders: the interface of every one, the temporal shift, inflation, and weights of other people's files."""

import argparse
import sys

import numpy as np
import pytest
import torch
from torch import nn

from pretrain.models.encoders import NAMES, Encoder, encoder
from pretrain.models.networks import ShiftConv2d
from pretrain.models.weights import load_weights
from pretrain.shots import network as shots


def clips(net: Encoder, n: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, 3, net.frames, net.size, net.size, generator=generator)


USUAL = {  # frames, size, frames per second, red's mean, first layers
    **dict.fromkeys(("tsm_resnet18", "tsm_resnet50"), (8, 224, 3.75, 0.485, "net.net.conv1.")),
    **dict.fromkeys(("r3d_18", "mc3_18", "r2plus1d_18", "r2plus1d_34"), (16, 112, 15.0, 0.43216, "net.stem.")),
    "i3d": (64, 224, 25.0, 0.5, "net.Conv3d_1a_7x7."),
    "i3d_resnet50": (8, 224, 3.75, 0.485, "net.conv1."),
    "s3d": (16, 224, 15.0, 0.43216, ""),
    **dict.fromkeys(("mvit_v1_b", "mvit_v2_s"), (16, 224, 7.5, 0.45, "")),
    **dict.fromkeys(("swin3d_t", "swin3d_s", "swin3d_b"), (32, 224, 15.0, 0.485, "")),
    "shots": (100, 36, 30.0, shots.MEAN, ""),
}


@pytest.mark.parametrize("name", NAMES)
def test_every_encoder_turns_clips_into_features(name):
    with torch.device("meta"):  # shapes only, so that the usual sizes cost nothing
        net = encoder(name)
        feature = net(torch.empty(2, 3, net.frames, net.size, net.size))
    assert feature.shape == ((2, net.frames, net.features) if name == "shots" else (2, net.features))
    assert len(net.mean) == len(net.std) == 3
    assert not net.stem or any(key.startswith(net.stem) for key in net.state_dict())
    assert (net.frames, net.size, net.fps, net.mean[0], net.stem) == USUAL[name]


def test_usual_sizes():
    with torch.device("meta"):
        assert (encoder("tsm_resnet18").features, encoder("tsm_resnet50").features) == (512, 2048)
        net = encoder("r2plus1d_34")
    assert net.state_dict()["net.layer2.0.conv2.0.0.weight"].shape[0] == 230  # torchvision's count of middle planes
    assert (net.frames, net.size, net.fps, net.features) == (16, 112, 15.0, 512)
    assert [len(getattr(net.net, f"layer{i}")) for i in (1, 2, 3, 4)] == [3, 4, 6, 3]


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="encoder must be one of tsm_resnet18"):
        encoder("resnet1")
    with pytest.raises(ValueError, match="frames must be ≥ 1, got frames=0"):
        encoder("r3d_18", frames=0)
    with pytest.raises(ValueError, match="mvit_v2_s takes clips of 16 frames of 224², got frames=8"):
        encoder("mvit_v2_s", frames=8)


def test_missing_libraries_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match="needs the package timm"):
        encoder("timm:resnet10t")
    with pytest.raises(ValueError, match="needs the package transformers"):
        encoder("hf:videomae")


def test_timm_image_model_per_frame():
    pytest.importorskip("timm")
    net = encoder("timm:resnet10t", frames=4, size=32).eval()
    clip = clips(net)
    assert net(clip).shape == (1, net.features)
    torch.testing.assert_close(net(clip.flip(2)), net(clip))  # an average of frames knows no order


@pytest.mark.slow
def test_video_mae(tmp_path):
    transformers = pytest.importorskip("transformers")
    options = {"num_hidden_layers": 1, "hidden_size": 48, "num_attention_heads": 3, "intermediate_size": 48}
    config = transformers.VideoMAEConfig(image_size=32, num_frames=4, **options)
    transformers.VideoMAEModel(config).save_pretrained(tmp_path)
    net = encoder(f"hf:{tmp_path}").eval()
    assert (net.frames, net.size, net.features) == (4, 32, 48)
    assert net(clips(net, 2)).shape == (2, 48)


def test_shift_moves_an_eighth_of_the_channels_each_way():
    conv = ShiftConv2d(16, 16, 1, bias=False)
    conv.frames = 3
    nn.init.dirac_(conv.weight)  # the convolution itself changes nothing
    frame_T = torch.tensor([1.0, 2.0, 3.0])
    out = conv(frame_T[:, None, None, None].expand(3, 16, 2, 2))[:, :, 0, 0].detach()
    assert out[:, 0].tolist() == out[:, 1].tolist() == [2, 3, 0]
    assert out[:, 2].tolist() == out[:, 3].tolist() == [0, 1, 2]
    assert out[:, 4].tolist() == out[:, 15].tolist() == [1, 2, 3]


def test_tsm_sees_order_and_refuses_other_lengths():
    net = encoder("tsm_resnet18", frames=4, size=32).eval()
    clip = clips(net)
    assert not torch.allclose(net(clip.flip(2)), net(clip), atol=1e-4)
    with pytest.raises(ValueError, match="clips must have 4 frames"):
        net(clip[:, :, :2])


def test_samples_do_not_mix():
    net = encoder("tsm_resnet18", frames=4, size=32).eval()
    clip = clips(net, 2)
    torch.testing.assert_close(net(clip)[1:], net(clip[1:]), rtol=1e-4, atol=1e-5)


def test_tsm_loads_image_weights_and_drops_the_head(tmp_path):
    import torchvision

    image = torchvision.models.resnet18()
    torch.save(image.state_dict(), tmp_path / "resnet18.pth")
    net = encoder("tsm_resnet18", init=tmp_path / "resnet18.pth", frames=4, size=32)
    assert net.loaded is not None
    assert set(net.loaded.skipped) == {"fc.weight", "fc.bias"}
    assert net.loaded.missing == []
    assert net.loaded.matched == len(net.state_dict())
    torch.testing.assert_close(net.net.net.layer4[1].conv1.weight, image.layer4[1].conv1.weight)


def test_tsm_loads_the_authors_form(tmp_path):
    net = encoder("tsm_resnet50", frames=8, size=32)
    theirs = {}
    for key, value in net.state_dict().items():
        key = key.removeprefix("net.net.")
        if key.startswith("layer") and ".conv1." in key:
            key = key.replace(".conv1.", ".conv1.net.")
        theirs[f"module.base_model.{key}"] = value + 1
    theirs["module.new_fc.weight"] = torch.zeros(400, 2048)
    content = {"epoch": 1, "arch": "resnet50", "state_dict": theirs, "best_prec1": np.float64(74.1)}
    torch.save(content, tmp_path / "tsm.pth.tar")
    before = {key: value.clone() for key, value in net.state_dict().items()}
    loaded = load_weights(net, tmp_path / "tsm.pth.tar")
    assert (list(loaded.skipped), loaded.missing) == (["module.new_fc.weight"], [])
    assert all(torch.equal(value, before[key] + 1) for key, value in net.state_dict().items())


@pytest.mark.slow
def test_r2plus1d_34_loads_the_form_of_tsp(tmp_path):
    import torchvision.models.video.resnet as tv_resnet

    parts = ([tv_resnet.Conv2Plus1D] * 4, [3, 4, 6, 3], tv_resnet.R2Plus1dStem)
    theirs = tv_resnet.VideoResNet(tv_resnet.BasicBlock, *parts)
    for stage, planes in ((theirs.layer2, 128), (theirs.layer3, 256), (theirs.layer4, 512)):
        stage[0].conv2[0] = tv_resnet.Conv2Plus1D(planes, planes, planes * 9 // 4)  # as converted from Caffe2
    theirs.fc = nn.Identity()
    state = {f"features.{key}": value for key, value in theirs.state_dict().items()}
    heads = {"fc1.weight": torch.zeros(200, 512), "fc2.weight": torch.zeros(2, 1024)}
    torch.save({"model": state | heads, "args": argparse.Namespace(lr=1), "epoch": 5}, tmp_path / "tsp.pth")
    net = encoder("r2plus1d_34", init=tmp_path / "tsp.pth", frames=4, size=32)
    assert net.loaded is not None
    assert (set(net.loaded.skipped), net.loaded.missing) == (set(heads), [])
    own = net.state_dict()
    assert all(torch.equal(own[f"net.{key}"], value) for key, value in theirs.state_dict().items())


def test_i3d_is_an_inflated_image_network(tmp_path):
    """On a still video, away from the ends of time, an inflated network gives what the 2-D one gives."""
    import torchvision

    image = torchvision.models.resnet50().eval()
    torch.save(image.state_dict(), tmp_path / "resnet50.pth")
    net = encoder("i3d_resnet50", init=tmp_path / "resnet50.pth", size=32).eval()
    assert net.loaded is not None
    assert (set(net.loaded.skipped), net.loaded.missing) == ({"fc.weight", "fc.bias"}, [])
    assert net.loaded.inflated == sum(isinstance(m, nn.Conv2d) for m in image.modules())
    still = torch.randn(1, 3, 1, 32, 32).expand(1, 3, 9, 32, 32)
    with torch.no_grad():
        first = net.net.conv1(still)[:, :, 4]
        torch.testing.assert_close(first, image.conv1(still[:, :, 0]), rtol=1e-4, atol=1e-5)
    assert net.net.layer1[0].conv1.kernel_size == (3, 1, 1)


def test_partial_and_foreign_files_are_reported(tmp_path):
    net = encoder("r3d_18", frames=4, size=32)
    state = net.state_dict()
    part = {"net.stem.0.weight": state["net.stem.0.weight"], "net.stem.1.weight": torch.zeros(3)}
    torch.save(part, tmp_path / "part.pt")
    loaded = load_weights(net, tmp_path / "part.pt")
    assert (loaded.matched, len(loaded.missing)) == (1, len(state) - 1)
    assert loaded.skipped == {"net.stem.1.weight": "shape (3,), the encoder has (64,)"}
    assert len(loaded.lines()) == 1 + 1 + len(state) - 1
    torch.save({"other": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="nothing fits"):
        load_weights(net, tmp_path / "other.pt")


class Evil:
    def __reduce__(self):
        return (sys.exit, (3,))


def test_unreadable_files_are_refused_without_running_them(tmp_path):
    net = nn.Linear(1, 1)
    (tmp_path / "text.pt").write_text("not weights")
    torch.save({"weight": torch.zeros(1), "x": Evil()}, tmp_path / "evil.pt")
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save([1, 2], tmp_path / "list.pt")
    for name in ("text.pt", "evil.pt", "empty.pt", "list.pt", "absent.pt"):
        with pytest.raises(ValueError, match="init must be a file"):
            load_weights(net, tmp_path / name)
