"""The networks under `pretrain.models.encoders`: torchvision's, timm's and Hugging Face's, without their heads.

Ours are only the temporal shift and the inflation of a 2-D ResNet, which none of them has.
Legend: N samples, C = 3 channels, T frames, Y X picture, M = N·T pictures, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision.models as tv
from torch import nn
from torchvision.models.video import resnet as tv_resnet

from .convolution import QuickConv2d
from .inception import FEATURES, InceptionI3D
from .weights import read_state

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
KINETICS = ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))  # [C of TSP; torchvision's video models]
HALF = ((0.45,) * 3, (0.225,) * 3)


@dataclass(frozen=True)
class Default:
    frames: int
    size: int
    fps: float
    colors: tuple[tuple[float, ...], tuple[float, ...]] = IMAGENET
    stem: str = ""


class ShiftConv2d(QuickConv2d):
    """A convolution that first exchanges channels between neighbouring frames (TSM, "residual shift").

    Of the channels of frame t, the first 1/8 come from frame t + 1, the next 1/8 from t − 1; zeros beyond the ends.
    """

    frames = 8

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        shifted: torch.Tensor = _Shift.apply(input, self.frames, False)
        return super().forward(shifted)


class _Shift(torch.autograd.Function):
    """Every number is read and written once; its gradient is the shift the other way."""

    @staticmethod
    def forward(ctx: Any, x_MCYX: torch.Tensor, frames: int, back: bool) -> torch.Tensor:
        ctx.frames, ctx.back = frames, back
        moved = torch.empty_like(x_MCYX)
        fold = x_MCYX.shape[1] // 8
        old_NTCYX, new_NTCYX = x_MCYX.unflatten(0, (-1, frames)), moved.unflatten(0, (-1, frames))
        earlier, later = slice(fold), slice(fold, 2 * fold)
        if back:
            earlier, later = later, earlier
        new_NTCYX[:, :-1, earlier], new_NTCYX[:, -1, earlier] = old_NTCYX[:, 1:, earlier], 0
        new_NTCYX[:, 1:, later], new_NTCYX[:, 0, later] = old_NTCYX[:, :-1, later], 0
        new_NTCYX[:, :, 2 * fold :] = old_NTCYX[:, :, 2 * fold :]
        return moved

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return _Shift.apply(gradients[0], ctx.frames, not ctx.back), None, None


class PerFrame(nn.Module):
    """An image network applied to every frame; the features are averaged over time (TSN's and TSM's consensus)."""

    def __init__(self, net: nn.Module, frames: int | None = None) -> None:
        super().__init__()
        self.net, self.frames = net.to(memory_format=torch.channels_last), frames

    def forward(self, clip_NCTYX: torch.Tensor) -> torch.Tensor:
        n, _, t = clip_NCTYX.shape[:3]
        if self.frames is not None and t != self.frames:
            raise ValueError(f"clips must have {self.frames} frames, which this encoder was made for, got {t}")
        frame_MCYX = clip_NCTYX.transpose(1, 2).flatten(0, 1)
        feature = self.net(frame_MCYX.contiguous(memory_format=torch.channels_last))
        return feature.unflatten(0, (n, t)).mean(1)


class TokenMean(nn.Module):
    """A Hugging Face video transformer: the mean of its last layer's tokens."""

    def __init__(self, net: Any, argument: str) -> None:
        super().__init__()
        self.net, self.argument = net, argument

    def forward(self, clip_NCTYX: torch.Tensor) -> torch.Tensor:
        return self.net(**{self.argument: clip_NCTYX.transpose(1, 2)}).last_hidden_state.mean(1)


def own(name: str, init: str | Path | None, frames: int, size: int) -> tuple[nn.Module, int]:
    """The networks of `NAMES` without their heads, and F."""
    net: Any
    if name.startswith("tsm_"):
        net = tv.get_model(name.removeprefix("tsm_"))
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            for block in stage:
                block.conv1 = _shifted(block.conv1, frames)
        features = _behead(net, "fc")
        return PerFrame(net, frames), features
    if name == "i3d":
        return InceptionI3D(), FEATURES
    if name == "i3d_resnet50":
        net = _inflated(tv.resnet50())
    elif name == "r2plus1d_34":
        net = _r2plus1d_34(init)
    elif name.startswith("mvit"):
        if (frames, size) != (16, 224):
            raise ValueError(f"{name} takes clips of 16 frames of 224², got frames={frames}, size={size}")
        net = tv.get_model(name)
    else:
        net = tv.get_model(name)
    return net, _behead(net, next(head for head in ("fc", "head", "classifier") if hasattr(net, head)))


def _behead(net: nn.Module, head: str) -> int:
    """Replace the classifier by nothing; its number of inputs, F."""
    last = [m for m in getattr(net, head).modules() if isinstance(m, nn.Linear | nn.Conv3d)][-1]
    setattr(net, head, nn.Identity())
    return last.in_features if isinstance(last, nn.Linear) else last.in_channels


def _shifted(conv: nn.Conv2d, frames: int) -> ShiftConv2d:
    new = ShiftConv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        bias=conv.bias is not None,
    )
    new.weight, new.frames = conv.weight, frames
    return new


def _inflated(net: Any) -> nn.Module:
    """A 2-D ResNet as an I3D: temporal kernel 5 in the first layer, 3 in conv1 of every other block (all of layer1).

    The pattern is that of Wang et al., "Non-local neural networks", 2018, with their temporal max-pooling after layer1.
    """
    temporal = {"conv1": 5}
    for stage, kernels in (("layer1", (3, 3)), ("layer2", (3, 1)), ("layer3", (3, 1)), ("layer4", (1, 3))):
        for i in range(len(getattr(net, stage))):
            temporal[f"{stage}.{i}.conv1"] = kernels[i % 2]
    for path, module in list(net.named_modules()):
        new: nn.Module
        if isinstance(module, nn.Conv2d):
            k = temporal.get(path, 1)
            kernel, stride, padding = (k, *module.kernel_size), (1, *module.stride), (k // 2, *module.padding)
            new = nn.Conv3d(module.in_channels, module.out_channels, kernel, stride, padding, bias=False)  # type: ignore[arg-type]
            nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            new = nn.BatchNorm3d(module.num_features)
        elif isinstance(module, nn.MaxPool2d):
            new = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
        elif isinstance(module, nn.AdaptiveAvgPool2d):
            new = nn.AdaptiveAvgPool3d(1)
        else:
            continue
        net.set_submodule(path, new)
    net.layer1.append(nn.MaxPool3d((2, 1, 1), ceil_mode=True))
    return net


def _r2plus1d_34(init: str | Path | None) -> nn.Module:
    """R(2+1)D-34 with Caffe2's batch norm, as the weights in circulation: ε 1e-3, momentum 0.9 [C of TSP].

    Those converted from Caffe2 count the middle planes of a stage's first conv2 from its own width, torchvision from
    the block's input; the file says which it is.
    """
    parts = ([tv_resnet.Conv2Plus1D] * 4, [3, 4, 6, 3], tv_resnet.R2Plus1dStem)
    net: Any = tv_resnet.VideoResNet(tv_resnet.BasicBlock, *parts)
    state = read_state(init) if init is not None else {}
    if any(key.endswith("layer2.0.conv2.0.0.weight") and len(value) == 288 for key, value in state.items()):
        for stage, planes in ((net.layer2, 128), (net.layer3, 256), (net.layer4, 512)):
            middle = planes * 9 // 4
            stage[0].conv2[0] = tv_resnet.Conv2Plus1D(planes, planes, middle)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.eps, module.momentum = 1e-3, 0.9
    return net


def from_timm(name: str) -> tuple[nn.Module, int, Default]:
    try:
        import timm
    except ImportError:
        raise ValueError(f"encoder timm:{name} needs the package timm (pip install timm)") from None
    if not timm.is_model(name):
        raise ValueError(f"encoder must be a model of timm {timm.__version__}, got timm:{name}")
    net: Any = timm.create_model(name, pretrained=False, num_classes=0)
    about = net.default_cfg
    default = Default(8, about["input_size"][-1], 3.75, (tuple(about["mean"]), tuple(about["std"])))
    return PerFrame(net), getattr(net, "head_hidden_size", None) or net.num_features, default


def from_hugging_face(name: str, frames: int | None, size: int | None) -> tuple[nn.Module, int, Default]:
    try:
        from transformers import AutoConfig, AutoModel
    except ImportError:
        raise ValueError(f"encoder hf:{name} needs the package transformers (pip install transformers)") from None
    local = Path(name).is_dir()
    try:
        config = AutoConfig.from_pretrained(name, local_files_only=True) if local else AutoConfig.for_model(name)
    except (ValueError, OSError) as error:
        raise ValueError(f"encoder hf:NAME must be a folder or a model type, got hf:{name} ({error})") from None
    names = [
        next((k for k in keys if hasattr(config, k)), None)
        for keys in (("num_frames", "frames_per_clip"), ("image_size", "crop_size"))
    ]
    if None in names:
        raise ValueError(f"encoder hf:{name} must be a video model (its configuration has no number of frames or size)")
    for key, value in zip(names, (frames, size)):
        if value is not None:
            setattr(config, str(key), value)
    weights = local and any(p.suffix in (".safetensors", ".bin") for p in Path(name).iterdir())
    net = (
        AutoModel.from_pretrained(name, config=config, local_files_only=True)
        if weights
        else AutoModel.from_config(config)
    )
    argument = "pixel_values_videos" if net.main_input_name == "pixel_values_videos" else "pixel_values"
    frames, size = (getattr(config, str(key)) for key in names)
    return TokenMean(net, argument), config.hidden_size, Default(frames, size, 7.5)
