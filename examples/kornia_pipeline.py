"""gpuaug's temporal edits next to kornia's AugmentationSequential, in one module.

Time comes first, on uint8, which is a quarter of the bytes; kornia then changes the pixels of the floats, all frames of
a clip alike. The target is the middle of the fade.

    python examples/kornia_pipeline.py      # needs kornia
"""

from __future__ import annotations

import kornia.augmentation as K
import torch
from torch import Tensor, nn

import gpuaug


class CrossFadeThenPixels(nn.Module):
    """Two uint8 batches (N, T, C, H, W) → float32 (N, T, C, H, W) in 0…1, and int64 (N,): the middle of the fade."""

    def __init__(self, pixels: nn.Module, overlap: int = 4) -> None:
        super().__init__()
        self.pixels, self.overlap = pixels, overlap

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        n, length = first.shape[:2]
        half = self.overlap // 2
        center = torch.randint(half, length - half + 1, (n,))
        mixed = gpuaug.crossfade(first, second, length=length, center=center, overlap=self.overlap)
        return self.pixels(mixed / 255), center


def pixels() -> nn.Module:
    """Mirror and colours, drawn once per clip."""
    video = K.VideoSequential(
        K.RandomHorizontalFlip(p=0.5),
        K.ColorJiggle(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05, p=1.0),
        data_format="BTCHW",
        same_on_frame=True,
    )
    return K.AugmentationSequential(video, data_keys=["input"])


def main() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    first, second = torch.randint(0, 256, (2, 4, 8, 3, 64, 64), dtype=torch.uint8, device=device)
    clips, center = CrossFadeThenPixels(pixels())(first, second)
    print(f"{tuple(clips.shape)} {clips.dtype} in [{clips.min():.2f}, {clips.max():.2f}], middles {center.tolist()}")


if __name__ == "__main__":
    main()
