"""Inception I3D (Carreira and Zisserman, "Quo vadis, action recognition?", 2017), without its classifier.

Entries are named as in the PyTorch port whose weights are in circulation (Conv3d_1a_7x7.conv3d.weight, Mixed_3b.b1a.bn
…), so that files of it load as they are. Used by networks.
Legend: N samples, C channels, T frames, Y X picture.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

FEATURES = 1024
# channels of the four branches: 1×1; 1×1 before 3×3, 3×3; 1×1 before 3×3, 3×3; 1×1 after the pool
MIXED = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}


class Unit(nn.Module):
    """Convolution with TensorFlow's SAME padding, batch norm, ReLU."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(channels, out, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(out, eps=1e-3, momentum=0.01)

    def forward(self, x_NCTYX: torch.Tensor) -> torch.Tensor:
        return F.relu(self.bn(self.conv3d(same(x_NCTYX, self.conv3d.kernel_size, self.conv3d.stride))))


class Mixed(nn.Module):
    """The four branches of an Inception block, side by side."""

    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.b0 = Unit(channels, widths[0], 1)
        self.b1a, self.b1b = Unit(channels, widths[1], 1), Unit(widths[1], widths[2], 3)
        self.b2a, self.b2b = Unit(channels, widths[3], 1), Unit(widths[3], widths[4], 3)
        self.b3b = Unit(channels, widths[5], 1)

    def forward(self, x_NCTYX: torch.Tensor) -> torch.Tensor:
        pooled = pool(x_NCTYX, (3, 3, 3), (1, 1, 1))
        parts = [self.b0(x_NCTYX), self.b1b(self.b1a(x_NCTYX)), self.b2b(self.b2a(x_NCTYX)), self.b3b(pooled)]
        return torch.cat(parts, 1)


class InceptionI3D(nn.Module):
    """Clips (N, 3, T, Y, X) of any length and size to features (N, 1024), averaged over time and place."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, 2)
        self.Conv3d_2b_1x1, self.Conv3d_2c_3x3 = Unit(64, 64, 1), Unit(64, 192, 3)
        channels = 192
        for name, widths in MIXED.items():
            self.add_module(f"Mixed_{name}", Mixed(channels, widths))
            channels = widths[0] + widths[2] + widths[4] + widths[5]

    def forward(self, clip_NCTYX: torch.Tensor) -> torch.Tensor:
        x = pool(self.Conv3d_1a_7x7(clip_NCTYX), (1, 3, 3), (1, 2, 2))
        x = pool(self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x)), (1, 3, 3), (1, 2, 2))
        for name in MIXED:
            if name == "4b":
                x = pool(x, (3, 3, 3), (2, 2, 2))
            elif name == "5b":
                x = pool(x, (2, 2, 2), (2, 2, 2))
            x = self.get_submodule(f"Mixed_{name}")(x)
        return x.mean((2, 3, 4))


def pool(x_NCTYX: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> torch.Tensor:
    """The maximum over SAME-padded windows; what is pooled is never negative, so that padding with 0 adds nothing."""
    return F.max_pool3d(same(x_NCTYX, kernel, stride), kernel, stride)


def same(x_NCTYX: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> torch.Tensor:
    """Zeros around, so that ceil(size / stride) outputs come of every dimension; an odd one goes behind."""
    pads: list[int] = []
    for size, k, s in zip(x_NCTYX.shape[:1:-1], kernel[::-1], stride[::-1]):
        total = max(0, k - (s if size % s == 0 else size % s))
        pads += [total // 2, total - total // 2]
    return F.pad(x_NCTYX, pads) if any(pads) else x_NCTYX
