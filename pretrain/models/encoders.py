"""Video encoders behind one small interface: clips in, one feature vector per clip out.

Legend: N samples, C = 3 channels, T frames, Y X picture, F features.
"""

from __future__ import annotations

import difflib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import nn

from ..common.settings import check, required, setting
from ..shots import network as shots
from .convolution import quickened
from .hub import Shareable
from .networks import HALF, IMAGENET, KINETICS, Default, TokenMean, from_hugging_face, from_timm, own
from .weights import Loaded, load_weights


@dataclass(frozen=True, kw_only=True)
class EncoderSettings:
    """Which encoder is trained, from which weights, and how it computes."""

    encoder: str = required("tsm_resnet18, r2plus1d_18, …, timm:NAME, hf:NAME")
    init: str | None = setting(
        None,
        "weights to start from: torchvision, TSM, TSP, our checkpoints and folders; none: random ones",
        metavar="FILE",
    )
    size: int = required("height and width of its input in pixels", least=1)
    frames: int = required("frames of a clip", least=1)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = setting("auto", "auto: bf16 if it is fast here")
    compile: bool = setting(False, "torch.compile the encoder")

    def __post_init__(self) -> None:
        check(self)


class Encoder(nn.Module, Shareable):
    """A network without its head: float clips (N, C, T, Y, X), normalised by `mean` and `std`, to features (N, F).

    Attributes:
        name: as given to `encoder`.
        features: F.
        frames, size: T and Y = X it is meant for; networks with fixed inputs refuse others.
        fps: rate of its frames per second, where the paper or the weights' authors state one.
        mean, std: 3 numbers each, on RGB in 0…1.
        loaded: what `--init` found and did not find, or None.
        stem: name prefix of the first layers' parameters (TSP keeps them fixed), "" if it has none.
        about: of the run that it comes from, see `hub.Shareable`.
    """

    def __init__(self, name: str, net: nn.Module, features: int, default: Default, frames: int, size: int) -> None:
        super().__init__()
        self.name, self.net, self.features = name, net, features
        self.frames, self.size, self.fps = frames, size, default.fps
        self.mean, self.std, self.stem = *default.colors, default.stem
        self.loaded: Loaded | None = None
        self.about = {}

    def forward(self, clip_NCTYX: torch.Tensor) -> torch.Tensor:
        return self.net(clip_NCTYX)

    def described(self) -> dict[str, Any]:
        """How `from_described` makes the same network, and what its input is."""
        found = {"kind": "encoder", "name": self.name, "frames": self.frames, "size": self.size}
        found |= {"features": self.features, "mean": list(self.mean), "std": list(self.std)}
        if isinstance(self.net, TokenMean):  # whose folder may not be there any more
            found["transformers"] = self.net.net.config.to_dict()
        return found

    @classmethod
    def from_described(cls, config: dict[str, Any], weights: Path) -> Self:
        """The network that `described` tells of; r2plus1d_34's shapes depend on the weights."""
        if config.get("kind") != "encoder":
            raise ValueError(f"weights must be of an encoder, {weights.parent} has a {config.get('kind')}")
        name, clip = config["name"], {"frames": config["frames"], "size": config["size"]}
        if "transformers" not in config:
            return encoder(name, init=weights if name == "r2plus1d_34" else None, **clip)  # type: ignore[return-value]
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "config.json").write_text(json.dumps(config["transformers"]), encoding="utf-8")
            made = encoder(f"hf:{folder}", **clip)
        made.name = f"hf:{config['transformers']['model_type']}"
        return made  # type: ignore[return-value]


def at_least_float32(value: torch.Tensor) -> torch.Tensor:
    """The same in float32 where it has fewer bits, as under autocast; losses are sums of exponentials."""
    return value.to(torch.promote_types(value.dtype, torch.float32))


_RESNET_3D = Default(16, 112, 15.0, KINETICS, "net.stem.")  # [C of TSP]
_SHIFT = Default(8, 224, 3.75, IMAGENET, "net.net.conv1.")  # [C of TSM] 8 frames, every eighth of 30 per second
_DEFAULTS = {
    "tsm_resnet18": _SHIFT,
    "tsm_resnet50": _SHIFT,
    "i3d": Default(64, 224, 25.0, ((0.5,) * 3, (0.5,) * 3), "net.Conv3d_1a_7x7."),  # [C of I3D]
    "i3d_resnet50": Default(8, 224, 3.75, IMAGENET, "net.conv1."),
    "r3d_18": _RESNET_3D,
    "mc3_18": _RESNET_3D,
    "r2plus1d_18": _RESNET_3D,
    "r2plus1d_34": _RESNET_3D,
    "s3d": Default(16, 224, 15.0, KINETICS),
    "mvit_v1_b": Default(16, 224, 7.5, HALF),
    "mvit_v2_s": Default(16, 224, 7.5, HALF),
    "swin3d_t": Default(32, 224, 15.0),
    "swin3d_s": Default(32, 224, 15.0),
    "swin3d_b": Default(32, 224, 15.0),
    "shots": Default(100, shots.SIZE, 30.0, ((shots.MEAN,) * 3, (shots.STD,) * 3)),
}
NAMES = tuple(_DEFAULTS)


def encoder(
    name: str, *, init: str | Path | None = None, frames: int | None = None, size: int | None = None
) -> Encoder:
    """The encoder `name`, with random weights or those of a file; nothing is ever downloaded.

    Args:
        name: one of `NAMES`; "timm:NAME", an image model of timm, applied to every frame and averaged; "hf:TYPE", the
            default configuration of a video model type of Hugging Face (videomae, timesformer, vivit, vjepa2); or
            "hf:FOLDER", a local folder with a configuration and, if there are any, weights.
        init: file of weights for it (torchvision's, TSM's, TSP's, our checkpoints, …); see `weights.load_weights`.
        frames, size: T and Y = X if they differ from the encoder's usual ones.

    Errors (ValueError): an unknown name, a size the network cannot take, a file without any fitting weights.

    >>> net = encoder("tsm_resnet18", size=32)
    >>> net.features, net.frames, tuple(net.eval()(torch.zeros(2, 3, 8, 32, 32)).shape)
    (512, 8, (2, 512))
    """
    for argument, value in (("frames", frames), ("size", size)):
        if value is not None and value < 1:
            raise ValueError(f"{argument} must be ≥ 1, got {argument}={value}")
    library, _, rest = name.partition(":")
    if library == "timm" and rest:
        net, features, default = from_timm(rest)
    elif library == "hf" and rest:
        net, features, default = from_hugging_face(rest, frames, size)
    elif name == "shots":
        net, features, default = shots.ShotNetwork(), shots.FEATURES, _DEFAULTS[name]
    elif name in _DEFAULTS:
        default = _DEFAULTS[name]
        net, features = own(name, init, frames or default.frames, size or default.size)
    else:
        near = difflib.get_close_matches(name, NAMES, n=2)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"encoder must be one of {', '.join(NAMES)}, timm:NAME or hf:NAME, got {name!r}{hint}")
    made = Encoder(name, quickened(net), features, default, frames or default.frames, size or default.size)
    if init is not None:
        made.loaded = load_weights(made, init)
    return made
