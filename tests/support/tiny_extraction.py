"""Extraction with an encoder of a few numbers, whose features tell which frames it was shown; also as a program.

Its pictures: frame k is flat, its left half at level 4·(k mod 60), its right half at 4·(k div 60).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import pretrain.features.extractor
from gpuaug.video.write import write_video
from pretrain.commands.extract import main
from pretrain.models.encoders import Encoder, encoder
from pretrain.models.networks import Default

BASE, LEVEL = 60, 4
TINY = ["--encoder", "tiny", "--init", "none", "--threads", "2"]


class Halves(nn.Module):
    """(N, 2·T): for every frame the mean of its left, then of its right third, in levels 0…255."""

    def forward(self, clip_NCTYX: torch.Tensor) -> torch.Tensor:
        level_NTX = clip_NCTYX.mean((1, 3)) * 255
        third = level_NTX.shape[-1] // 3
        return torch.stack([level_NTX[..., :third].mean(-1), level_NTX[..., -third:].mean(-1)], -1).flatten(1)


def tiny(name: str, *, init: Any = None, frames: int | None = None, size: int | None = None) -> Encoder:
    """The encoder "tiny"; any other as usual."""
    if name != "tiny":
        return encoder(name, init=init, frames=frames, size=size)
    default = Default(4, 16, 10.0, ((0.0,) * 3, (1.0,) * 3))
    frames, size = frames or default.frames, size or default.size
    return Encoder(name, Halves(), 2 * frames, default, frames, size)


def shown(features_TF: np.ndarray) -> np.ndarray:
    """int (T, frames): the numbers of the frames that each row was made from."""
    level = np.asarray(features_TF).reshape(len(features_TF), -1, 2) / LEVEL
    whole = np.rint(level)
    assert np.abs(level - whole).max() < 0.45, "features must come from pictures with numbers"
    return (whole @ [1, BASE]).astype(int)


def film(path: Path, frames: int, fps: int = 20, *, size: tuple[int, int] = (32, 48), gop: int = 50) -> Path:
    """A video of numbered frames."""

    def picture(k: int) -> np.ndarray:
        pixels = np.empty((*size, 3), np.uint8)
        pixels[:, : size[1] // 2], pixels[:, size[1] // 2 :] = LEVEL * (k % BASE), LEVEL * (k // BASE)
        return pixels

    options = {"g": str(gop), "qp": "4", "preset": "ultrafast"}
    pictures = map(picture, range(frames))
    write_video(path, pictures, fps, pixel_format="yuv444p", options=options, reproducible=True)
    return path


def make_films(folder: Path) -> dict[str, tuple[Path, int, int]]:
    """{name: (path, frames, rate)} of four videos with numbered frames; one is tall, one is long."""
    made = {"a": (100, 20, (32, 48)), "b": (55, 30, (48, 32)), "c": (41, 25, (32, 48)), "long": (1500, 20, (16, 24))}
    return {name: (film(folder / f"{name}.mp4", n, fps, size=size), n, fps) for name, (n, fps, size) in made.items()}


def folder_of(films: dict[str, tuple[Path, int, int]]) -> str:
    return str(films["a"][0].parent)


def install(patch: Any) -> None:
    """Add "tiny" to the encoders."""
    patch(pretrain.features.extractor, "encoder", tiny)


if __name__ == "__main__":
    torch.set_num_threads(1)
    install(setattr)
    sys.exit(main(sys.argv[1:]))
