"""Temporal mixing in a torch DataLoader, in the form of torchvision v2's MixUp and CutMix.

Every clip fades into the one before it in the batch, as torchvision pairs them; a class weighs what its clips weigh in
the plan. It serves as collate function (in the workers, on the CPU) and as batch transform in the loop (on any device).

    python examples/dataloader_mixing.py
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, default_collate

import gpuaug


class ClipCrossFade(nn.Module):
    """Clips (N, T, …), uint8 or float, and labels int64 (N,) → clips alike, labels float32 (N, num_classes).

    `overlap` frames are blended, an even number of at most T; 0 is a hard cut.
    """

    def __init__(self, *, num_classes: int, overlap: int = 4) -> None:
        super().__init__()
        self.num_classes, self.overlap = num_classes, overlap

    def forward(self, clips: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        n, length = clips.shape[:2]
        half = self.overlap // 2
        center = torch.randint(half, length - half + 1, (n,))  # torch's generator: workers have seeds of their own
        own = gpuaug.Plan.take(np.arange(n), np.arange(length))
        previous = gpuaug.Plan.take(np.roll(np.arange(n), 1), np.arange(length))
        plan = gpuaug.edits.crossfade(own, previous, length=length, center=center, overlap=self.overlap)
        one_hot = nn.functional.one_hot(labels, self.num_classes).float()
        return gpuaug.blend(clips, plan), torch.from_numpy(plan.share(n)).to(labels.device) @ one_hot


mix = ClipCrossFade(num_classes=5)


def collate(samples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    return mix(*default_collate(samples))


def main() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    labels = torch.arange(20) % 5
    clips = (labels * 50).to(torch.uint8).view(-1, 1, 1, 1, 1).repeat(1, 8, 3, 32, 32)  # class c has brightness 50 c
    dataset = TensorDataset(clips, labels)
    for name, function in (("collate_fn", collate), ("batch transform", default_collate)):
        for x, y in DataLoader(dataset, batch_size=10, shuffle=True, num_workers=2, collate_fn=function):
            mixed, soft = (x, y) if function is collate else mix(x.to(device), y.to(device))
            off = mixed.float().mean((1, 2, 3, 4)) - soft @ torch.arange(0.0, 250, 50, device=soft.device)
            print(f"{name}: {tuple(mixed.shape)}, labels {soft[0].tolist()}, off by {off.abs().max():.2f} of 255")


if __name__ == "__main__":
    main()
