"""The networks' parts by themselves: kernels of an inflated ResNet, middle planes, frames into image networks, others'
libraries as stand-ins.
"""

import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pretrain.models import networks
from pretrain.models.networks import IMAGENET, KINETICS, PerFrame, TokenMean, own


def test_colours_are_the_published_ones():
    assert IMAGENET == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert KINETICS == ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))
    assert networks.HALF == ((0.45, 0.45, 0.45), (0.225, 0.225, 0.225))


def test_kernels_of_the_inflated_resnet():
    """Wang et al. 2018, Table 1: 5 in conv1; 3 in conv1 of all blocks of layer1, of every other one after it."""
    with torch.device("meta"):
        net, features = own("i3d_resnet50", None, 8, 224)
    assert features == 2048
    kernels = {path: module for path, module in net.named_modules() if isinstance(module, nn.Conv3d)}
    assert (kernels["conv1"].kernel_size, kernels["conv1"].stride, kernels["conv1"].padding) == (
        (5, 7, 7), (1, 2, 2), (2, 3, 3)
    )  # fmt: skip
    blocks = {f"layer{k}": [kernels[f"layer{k}.{i}.conv1"].kernel_size[0] for i in range(n)]
              for k, n in ((1, 3), (2, 4), (3, 6), (4, 3))}  # fmt: skip
    assert blocks == {"layer1": [3, 3, 3], "layer2": [3, 1, 3, 1], "layer3": [3, 1] * 3, "layer4": [1, 3, 1]}
    assert {m.kernel_size[0] for path, m in kernels.items() if path != "conv1" and not path.endswith("conv1")} == {1}
    assert all(m.padding[0] == m.kernel_size[0] // 2 and m.stride[0] == 1 for m in kernels.values())
    assert kernels["layer2.0.conv2"].stride == (1, 2, 2)
    assert (net.maxpool.kernel_size, net.maxpool.stride, net.maxpool.padding) == ((1, 3, 3), (1, 2, 2), (0, 1, 1))
    assert isinstance(net.layer1[3], nn.MaxPool3d)
    assert (net.layer1[3].kernel_size, net.layer1[3].ceil_mode) == ((2, 1, 1), True)
    with torch.device("meta"):
        assert net.layer1(net.maxpool(torch.empty(1, 64, 5, 16, 16))).shape == (1, 256, 3, 8, 8)


@pytest.mark.parametrize(("first", "middle"), [(288, {2: 288, 3: 576, 4: 1152}), (230, {2: 230, 3: 460, 4: 921})])
def test_middle_planes_of_r2plus1d_34_are_those_of_its_file(first, middle, monkeypatch):
    """Caffe2's are 9/4 of the stage's width; torchvision's ⌊27·in·out / (9·in + 3·out)⌋ of the block's input."""
    names = {"features.layer2.0.conv2.0.0.weight": torch.zeros(first, 1), "layer2.0.conv1.0.0.weight": torch.zeros(288)}
    monkeypatch.setattr(networks, "read_state", lambda path: names if path == "file" else pytest.fail("another file"))
    with torch.device("meta"):
        net, features = own("r2plus1d_34", "file", 16, 112)
    assert features == 512
    assert {k: getattr(net, f"layer{k}")[0].conv2[0][0].out_channels for k in (2, 3, 4)} == middle
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm3d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.9)}
    assert isinstance(net.fc, nn.Identity)


def test_an_image_network_sees_every_frame_and_its_features_are_averaged():
    class Look(nn.Module):
        def forward(self, frame_MCYX):
            assert frame_MCYX.shape[1:] == (3, 2, 2)
            return frame_MCYX.mean((2, 3))

    clip = torch.arange(2 * 3 * 4 * 2 * 2, dtype=torch.float32).view(2, 3, 4, 2, 2)
    torch.testing.assert_close(PerFrame(Look())(clip), clip.mean((2, 3, 4)))
    with pytest.raises(ValueError, match="clips must have 5 frames, which this encoder was made for, got 4"):
        PerFrame(Look(), 5)(clip)
    assert PerFrame(Look(), 4)(clip).shape == (2, 3)


class Tokens(nn.Module):
    """As a model of transformers: clips (N, T, C, Y, X) by one name, tokens (N, L, F)."""

    def __init__(self, argument, config=None):
        super().__init__()
        self.main_input_name, self.config = argument, config

    def forward(self, **given):
        ((name, clip_NTCYX),) = given.items()
        assert name == self.main_input_name
        return SimpleNamespace(last_hidden_state=clip_NTCYX.mean((3, 4)))


@pytest.fixture
def transformers(monkeypatch):
    """A stand-in that keeps what it was asked for."""
    asked = SimpleNamespace(config=None, model=None)
    config = SimpleNamespace(num_frames=16, image_size=224, hidden_size=7)
    argument = ["pixel_values"]

    def model(name, config=config, **how):
        asked.model = (name, config, how)
        return Tokens(argument[0], config)

    def named(name, **how):
        asked.config = (name, how)
        if name == "nothing":
            raise ValueError("unknown")
        return config

    stub = SimpleNamespace(
        AutoConfig=SimpleNamespace(from_pretrained=named, for_model=named),
        AutoModel=SimpleNamespace(from_pretrained=model, from_config=lambda config: model("random", config)),
    )
    monkeypatch.setitem(sys.modules, "transformers", stub)
    asked.about, asked.argument = config, argument
    return asked


def test_a_type_of_hugging_face_has_random_weights_and_the_clip_that_is_asked_for(transformers):
    net, features, default = networks.from_hugging_face("videomae", None, None)
    assert (features, default.frames, default.size, default.fps) == (7, 16, 224, 7.5)
    assert transformers.config == ("videomae", {})
    assert transformers.model[0] == "random"
    clip = torch.randn(2, 3, 4, 2, 2)
    torch.testing.assert_close(net(clip), clip.mean((2, 3, 4)))
    default = networks.from_hugging_face("videomae", 8, 96)[2]
    assert (default.frames, default.size) == (8, 96)
    assert (transformers.about.num_frames, transformers.about.image_size) == (8, 96)
    with pytest.raises(ValueError, match=r"hf:NAME must be a folder or a model type, got hf:nothing \(unknown\)"):
        networks.from_hugging_face("nothing", None, None)


def test_other_names_of_frames_sizes_and_clips(transformers):
    about = transformers.about
    del about.num_frames, about.image_size
    about.frames_per_clip, about.crop_size = 64, 256
    transformers.argument[0] = "pixel_values_videos"
    net, _, default = networks.from_hugging_face("vjepa2", None, 128)
    assert (default.frames, default.size, net.argument) == (64, 128, "pixel_values_videos")
    del about.crop_size
    with pytest.raises(ValueError, match=r"^encoder hf:vit must be a video model"):
        networks.from_hugging_face("vit", None, None)


@pytest.mark.parametrize(
    ("file", "weights"), [("model.safetensors", True), ("pytorch_model.bin", True), ("a.txt", False)]
)
def test_a_folder_of_hugging_face_has_weights_or_not(file, weights, transformers, tmp_path):
    (tmp_path / file).write_text("")
    networks.from_hugging_face(str(tmp_path), None, None)
    assert transformers.config == (str(tmp_path), {"local_files_only": True})
    assert transformers.model[0] == (str(tmp_path) if weights else "random")
    if weights:
        assert transformers.model[1:] == (transformers.about, {"local_files_only": True})


def test_tokens_are_averaged():
    tokens = TokenMean(Tokens("x"), "x")(torch.arange(12.0).view(1, 3, 4, 1, 1))
    assert tokens.tolist() == [[1.5, 5.5, 9.5]]


@pytest.mark.parametrize(("hidden", "features"), [(12, 12), (0, 5)])
def test_a_model_of_timm(hidden, features, monkeypatch):
    made = []

    class Net(nn.Module):
        num_features, head_hidden_size = 5, hidden
        default_cfg = {"input_size": (3, 128, 160), "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}  # noqa: RUF012

    def create(name, **how):
        made.append((name, how))
        return Net()

    stub = SimpleNamespace(is_model=lambda name: name == "known", create_model=create, __version__="1.0")
    monkeypatch.setitem(sys.modules, "timm", stub)
    net, count, default = networks.from_timm("known")
    assert made == [("known", {"pretrained": False, "num_classes": 0})]
    assert (count, net.frames) == (features, None)
    assert (default.frames, default.size, default.fps) == (8, 160, 3.75)
    assert default.colors == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    with pytest.raises(ValueError, match=r"^encoder must be a model of timm 1\.0, got timm:other$"):
        networks.from_timm("other")
