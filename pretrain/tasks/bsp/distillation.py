"""BSP's distillation: one network that imitates an action network and a boundary network (Figure 3c)."""

from __future__ import annotations

import torch
from torch import nn

from ...models.checkpoint import load_encoder
from ...models.encoders import at_least_float32


class Teachers(nn.Module):
    """‖f_v − h1(f_s)‖² + ‖f_b − h2(f_s)‖² per sample, with frozen teachers f_v, f_b and pointwise layers h1, h2.

    The teachers are not part of the state: they are read again from their checkpoints, and see the student's clips.

    Args:
        features: F of the student.
        action, boundary: checkpoints of runs with mode action and mode boundary.
    """

    def __init__(self, features: int, action: str, boundary: str) -> None:
        super().__init__()
        for name, path in (("teacher_action", action), ("teacher_boundary", boundary)):
            if not path:
                raise ValueError(f"{name} must be the checkpoint of a trained run for mode distill, got nothing")
        self._teachers = [load_encoder(path).eval().requires_grad_(False) for path in (action, boundary)]
        self.project = nn.ModuleList(nn.Linear(features, teacher.features) for teacher in self._teachers)

    def forward(self, feature_NF: torch.Tensor, clip_NCTYX: torch.Tensor) -> torch.Tensor:
        """Squared distances (N,): sums over the F numbers of a teacher's feature, not means [P]."""
        total = feature_NF.new_zeros(len(feature_NF), dtype=torch.float32)
        for teacher, layer in zip(self._teachers, self.project):
            with torch.no_grad():
                wanted = teacher.to(clip_NCTYX.device)(clip_NCTYX)
            total = total + at_least_float32(layer(feature_NF) - wanted).square().sum(1)
        return total
