"""PAL's networks behind the encoder, and what is taken of them: F_n, F_t, the aligned slice.

Used by PAL's Head. Legend: N samples, C channels, T frames, Y X picture, J clips of a video, D of the embedding.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from ...models.encoders import at_least_float32

Relu = Literal["each", "between"]


class Embedding(nn.Module):
    """Clips of J · frames frames to unit vectors (N, J, D): encoder per clip, MLP F_n, temporal convolutions F_t."""

    def __init__(self, features: int, dim: int, layers: int, temporal_layers: int, relu: Relu = "each") -> None:
        super().__init__()
        if layers < 1 or temporal_layers < 0:
            raise ValueError(f"layers must be ≥ 1 and temporal_layers ≥ 0, got {layers} and {temporal_layers}")
        hidden: list[nn.Module] = []
        for _ in range(layers - 1):
            hidden += [nn.Linear(features, features, bias=False), nn.BatchNorm1d(features), nn.ReLU()]
        self.mlp = nn.Sequential(*hidden, nn.Linear(features, dim))
        blocks = [module for _ in range(temporal_layers) for module in (nn.Conv1d(dim, dim, 3, padding=1), nn.ReLU())]
        self.temporal = nn.Sequential(*(blocks if relu == "each" else blocks[:-1]))

    def forward(self, encoder: nn.Module, clip_NCTYX: torch.Tensor, clips: int) -> torch.Tensor:
        n, c, t, height, width = clip_NCTYX.shape
        each = clip_NCTYX.view(n, c, clips, t // clips, height, width).transpose(1, 2).flatten(0, 1)
        vector_NJD = self.mlp(encoder(each)).view(n, clips, -1)
        return F.normalize(at_least_float32(self.temporal(vector_NJD.transpose(1, 2)).transpose(1, 2)), dim=2)


def region_mean(vector_NJD: torch.Tensor, start_N: torch.Tensor, stop_N: torch.Tensor) -> torch.Tensor:
    """Unit vectors (N, D): the mean of clips start … stop−1, the slice that is aligned with the region [P; norm D].

    >>> vector = torch.eye(3)[None]
    >>> region_mean(vector, torch.tensor([1]), torch.tensor([2])).tolist()
    [[0.0, 1.0, 0.0]]
    """
    j = torch.arange(vector_NJD.shape[1], device=vector_NJD.device)
    inside_NJ1 = ((j >= start_N[:, None]) & (j < stop_N[:, None]))[:, :, None]
    return F.normalize((vector_NJD * inside_NJ1).sum(1), dim=1)
