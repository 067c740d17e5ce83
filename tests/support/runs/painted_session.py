"""What a session needs to run on painted frames: flags, an encoder of one layer, segments of the stand-in decoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import gpuaug
from gpuaug.video.manifest import Video
from pretrain.data.dataset import Dataset
from pretrain.models.encoders import Encoder
from pretrain.models.networks import Default

FLAGS = "--task tsp --frames 4 --window-frames 4 --windows-per-segment 1 --clips-per-segment 2 --fps 10 --size 8"
FLAGS += " --bank-size 9 9 --batch 4 --reuse-max 2 --deterministic --threads 1 --quiet --log-every 1"
FLAGS += " --precision fp32 --lr 0.01 --videos x --checkpoint-every 2"


class Means(nn.Module):
    """(N, 3): the mean colour; a layer, so that there is something to learn."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, clip_NCTYX: torch.Tensor) -> torch.Tensor:
        return self.layer(clip_NCTYX.mean((2, 3, 4)))


def tiny(name: str, *, init: Any = None, frames: int | None = None, size: int | None = None) -> Encoder:
    return Encoder(name, Means(), 3, Default(4, 8, 10.0), frames or 4, size or 8)


def painted(first: int, count: int, seconds: float = 2.0) -> Dataset:
    """Segments of the stand-in decoder's videos: their paths are numbers."""
    paths = [f"/painted/{k}" for k in range(first, first + count)]
    segments = [gpuaug.Segment(path, 0.0, seconds, k % 2, k) for k, path in enumerate(paths)]
    return Dataset(segments, ["run", "sit"], [Video(path) for path in paths])
