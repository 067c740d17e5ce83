"""The network of the shot detector: a small picture network, similarities to the frames around, convolutions over time.

Legend: N samples, C = 3 channels, T frames, Y X picture, M = N·T frames, D numbers of a frame, W reach of similarities,
F features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import nn

SIZE = 36  # rows and columns of the pictures, whatever the video's shape: as many pixels as 48 × 27
FEATURES = 160
REACH = 16  # frames before and after that a frame is compared with
DILATIONS = (1, 2, 4, 8, 16, 1)
CONTEXT = 1 + REACH + sum(DILATIONS)  # frames on either side that an output depends on
MEAN, STD = 0.45, 0.225  # of the pictures, on 0…1
MARKS = ("new", "inside", "jump")  # what the outputs say of a frame, each by itself
BINS, COARSE = 16, 12  # of colour histograms; side of the pictures that they and raw differences are of


class ShotNetwork(nn.Module):
    """Normalised clips (N, C, T, Y, X) to features of every frame (N, T, F)."""

    def __init__(self) -> None:
        super().__init__()

        def layer(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
            conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]

        self.picture = nn.Sequential(*layer(6, 16, 2), *layer(16, 32, 2), *layer(32, 64, 2), *layer(64, 96, 1))
        self.picture.to(memory_format=torch.channels_last)
        self.spread = nn.Conv2d(96, 12, 1)
        places = -(-SIZE // 8)
        self.frame = nn.Linear(96 + 12 * places**2, 128)
        self.embed = nn.Linear(96 + 12 * places**2, 64)
        self.compare = nn.Linear(3 * 2 * REACH, 96)
        self.enter = nn.Sequential(nn.Conv1d(128 + 96, FEATURES, 1), nn.BatchNorm1d(FEATURES), nn.ReLU(inplace=True))
        self.over_time = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(FEATURES, FEATURES, 3, padding=step, dilation=step, bias=False),
                nn.BatchNorm1d(FEATURES),
                nn.ReLU(inplace=True),
            )
            for step in DILATIONS
        )

    def forward(self, clip_NCTYX: torch.Tensor) -> torch.Tensor:
        n, _, t, height, width = clip_NCTYX.shape
        if (height, width) != (SIZE, SIZE):
            raise ValueError(f"clips must have pictures of {SIZE} × {SIZE}, got {height} × {width}")
        before = torch.cat([clip_NCTYX[:, :, :1], clip_NCTYX[:, :, :-1]], 2)
        both = torch.cat([clip_NCTYX, clip_NCTYX - before], 1).transpose(1, 2).flatten(0, 1)
        map_MDYX = self.picture(both.contiguous(memory_format=torch.channels_last))
        whole_MD = torch.cat([map_MDYX.mean((2, 3)), self.spread(map_MDYX).flatten(1)], 1)
        histogram_NTD, coarse_NTD = _raw(clip_NCTYX)
        alike_NTD = torch.cat(
            [
                _around(_cosine, F.normalize(self.embed(whole_MD), dim=1).unflatten(0, (n, t))),
                _around(_cosine, histogram_NTD),
                _around(_difference, coarse_NTD),
            ],
            2,
        )
        alike = self.compare(alike_NTD)
        x_NDT = torch.cat([self.frame(whole_MD).relu().unflatten(0, (n, t)), alike.relu()], 2).transpose(1, 2)
        x_NDT = self.enter(x_NDT)
        for block in self.over_time:
            x_NDT = x_NDT + block(x_NDT)
        return x_NDT.transpose(1, 2)


def _raw(clip_NCTYX: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, T, D) twice, without anything learnt: the roots of colour histograms, and coarse pictures."""
    n, _, t = clip_NCTYX.shape[:3]
    coarse = F.adaptive_avg_pool2d(clip_NCTYX.transpose(1, 2).flatten(0, 1), COARSE).flatten(2).float()  # (M, C, Y·X)
    center = torch.linspace(0, 1, BINS, device=coarse.device)
    shown = (coarse * STD + MEAN).clamp(0, 1)
    weight = (1 - (shown[..., None] - center).abs() * (BINS - 1)).clamp(min=0)
    histogram = weight.mean(2).flatten(1).clamp(min=1e-6).sqrt()
    return histogram.unflatten(0, (n, t)), coarse.flatten(1).unflatten(0, (n, t))


def _cosine(a_NTD: torch.Tensor, b_NTD: torch.Tensor) -> torch.Tensor:
    return (a_NTD * b_NTD).sum(2)


def _difference(a_NTD: torch.Tensor, b_NTD: torch.Tensor) -> torch.Tensor:
    return (a_NTD - b_NTD).abs().mean(2)


def _around(compare: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], x_NTD: torch.Tensor) -> torch.Tensor:
    """(N, T, 2·W): every frame compared with those 1 … W before it, then after it; 0 beyond the ends."""
    t = x_NTD.shape[1]
    before, after = [], []
    for step in range(1, REACH + 1):
        value = compare(x_NTD[:, step:], x_NTD[:, :-step]) if step < t else x_NTD.new_zeros(len(x_NTD), 0)
        before.append(F.pad(value, (min(step, t), 0)))
        after.append(F.pad(value, (0, min(step, t))))
    return torch.stack(before + after, 2)


class Outputs(nn.Module):
    """Features (N, T, F) to what a frame is, as logits.

    Attributes:
        families: names of the kinds of boundary.
    """

    def __init__(self, features: int, families: Sequence[str]) -> None:
        super().__init__()
        self.families = tuple(families)
        self.linear = nn.Linear(features, len(MARKS) + len(families))
        nn.init.constant_(self.linear.bias[: len(MARKS)], -3.0)  # all of them are rare

    def forward(self, feature_NTF: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, T, 3), one per MARKS, and (N, T, families)."""
        logit = self.linear(feature_NTF).float()
        return logit[..., : len(MARKS)], logit[..., len(MARKS) :]
