"""torch.compile(fullgraph=True) of a module that edits, renders and encodes: one graph, equal to eager.

An edit on arrays and `render` are operators of the graph. Plans and per-sample parameters are inputs: new ones need no
new compilation. Gradients flow to the encoder's weights; pixels have none.

    python examples/compiled_module.py      # torch.compile needs a C++ compiler on the CPU, Triton on a GPU
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import gpuaug


class SpeedThenFade(nn.Module):
    """uint8 (S, L, H, W, C) and what to show of it → class scores (N, classes) of a small 3-D encoder."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv3d(3, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten())
        self.head = nn.Linear(8, classes)

    def forward(self, bank: Tensor, change_point: NDArray[np.int64], plan: gpuaug.Plan) -> Tensor:
        slowed = gpuaug.resample_speed(bank, length=8, change_point=change_point, rate=0.5)
        clips = gpuaug.render(slowed, plan, size=(32, 32), mean=(0.45,) * 3, std=(0.225,) * 3)
        return self.head(self.encoder(clips))


def inputs(seed: int, device: str) -> tuple[Tensor, NDArray[np.int64], gpuaug.Plan]:
    """A bank of four clips, where each slows down, and a plan of two samples that fade from clip to clip."""
    rng = np.random.default_rng(seed)
    bank = torch.from_numpy(rng.integers(0, 256, (4, 8, 48, 64, 3), dtype=np.uint8)).to(device)
    first, second = (gpuaug.Plan.take(rng.integers(0, 4, 2), np.arange(8)) for _ in range(2))
    plan = gpuaug.edits.crossfade(first, second, length=8, center=rng.integers(2, 7, 2), overlap=4)
    return bank, rng.integers(1, 9, 4), plan


def main() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = SpeedThenFade().to(device)
    compiled = torch.compile(model, fullgraph=True)
    for seed in range(3):
        with torch.compiler.set_stance("fail_on_recompile" if seed else "default"):
            scores, expected = compiled(*inputs(seed, device)), model(*inputs(seed, device))
        print(f"batch {seed}: {tuple(scores.shape)}, off by {(scores - expected).abs().max():.1e} from eager")


if __name__ == "__main__":
    main()
