"""Decoded frames to features: the encoders, and the crops.

Legend: N clips, L frames in a chunk, H W decoded picture, C channels, T frames of a clip, Y X crop, F features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import gpuaug
from gpuaug.crop import View

from ..models.checkpoint import load_encoder, locate
from ..models.encoders import Encoder, encoder
from ..models.hub import WEIGHTS, is_folder
from .sliding import DecodedChunk


class Extractor:
    """Clips to features with one encoder, or several whose features are put side by side (BSP's two-stream [P]).

    Args:
        encoders: each with its own size, mean and std.
        places: across the free space, 0 left or top … 1 right or bottom: one crop each, whose features are averaged.
        scale: side of the square crop as a share of the decoded frame's short side, in (0, 1].
        precision: of autocast; None: float32.
    """

    def __init__(
        self,
        encoders: Sequence[Encoder],
        *,
        device: torch.device,
        places: tuple[float, ...] = (0.5,),
        scale: float = 0.875,
        precision: torch.dtype | None = None,
    ) -> None:
        self.encoders = [net.to(device).eval() for net in encoders]
        self.device, self.places, self.scale, self.precision = device, places, scale, precision
        self.features = sum(net.features for net in encoders)

    @torch.inference_mode()
    def __call__(
        self, frames: list[torch.Tensor], source: NDArray[np.int64], start: NDArray[np.int64], length: int
    ) -> NDArray[np.float32]:
        """float32 (N, F): the clips of `length` frames from start[n] on of frames[source[n]], uint8 (L, H, W, 3)."""
        plan = gpuaug.Plan.take(source, start[:, None] + np.arange(length))
        height, width = (np.array([picture.shape[d] for picture in frames])[source] for d in (1, 2))
        values = []
        for net in self.encoders:
            crops = []
            for place in self.places:
                clips_NCTYX = gpuaug.render(
                    frames,
                    plan,
                    size=(net.size, net.size),
                    box=self.box(place, height, width),
                    mean=net.mean,
                    std=net.std,
                    allow_aliasing=True,  # only where two encoders of different size share the decoded frames
                )
                with torch.autocast(self.device.type, self.precision, enabled=self.precision is not None):
                    crops.append(net(clips_NCTYX).float())
            values.append(torch.stack(crops).mean(0))
        return torch.cat(values, 1).cpu().numpy()

    def box(self, place: float, height: NDArray[np.int64], width: NDArray[np.int64]) -> NDArray[np.float64]:
        """float64 (N, 4): the crops, in whole pixels, so that frames decoded at the right size are not resampled."""
        full, at = np.full(len(height), self.scale), np.full(len(height), place)
        return np.rint(View("short", full, full, at, at, np.zeros(len(height), bool)).box(height, width))

    def encode(self, chunks: list[DecodedChunk], batch: int) -> list[NDArray[np.float32]]:
        """The features (n, F) of each chunk's clips; batches go across chunks."""
        counts = [len(chunk.starts) for chunk in chunks]
        source = np.repeat(np.arange(len(chunks)), counts)
        start = np.concatenate([np.zeros(0, np.int64), *(np.array(chunk.starts, np.int64) for chunk in chunks)])
        values = np.empty((len(source), self.features), np.float32)
        for i in range(0, len(source), batch):
            used, local = np.unique(source[i : i + batch], return_inverse=True)
            frames = [chunks[k].frames_LHWC for k in used]
            values[i : i + batch] = self(frames, local, start[i : i + batch], chunks[0].clips.grid.clip)
        return np.split(values, np.cumsum(counts)[:-1]) if chunks else []


STRETCHED = ("r3d_18", "r2plus1d_18", "r2plus1d_34")  # 128 × 171, as TSP's code takes them, for the GVF too
Loaded = tuple[Encoder, dict[str, Any], dict[str, Any]]


def trained(path: str | Path) -> Loaded:
    """The encoder of a checkpoint, what to state of it, and `fps` and `fit` of the frames it was trained on.

    A folder of weights is stated by their file, model.safetensors.
    """
    net = load_encoder(path)
    path = Path(path) / WEIGHTS if is_folder(path) else locate(path)
    about = _about(net) | {"task": net.about.get("task"), "file": str(path), "sha256": sha256(path)}
    stretch = net.about.get("fit") == "stretch"
    return net, about, {"fps": net.about.get("fps") or net.fps, "fit": "stretch" if stretch else "inside"}


def untrained(name: str, init: str | Path | None, *, frames: int | None, size: int | None, seed: int) -> Loaded:
    """The same for an encoder with other people's weights, or random ones, which depend on `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = encoder(name, init=init, frames=frames, size=size)
    weights = {"sha256": None, "seed": seed} if init is None else {"file": str(init), "sha256": sha256(init)}
    return net, _about(net) | weights, {"fps": net.fps, "fit": "stretch" if name in STRETCHED else "inside"}


def sha256(path: str | Path) -> str:
    """The file's SHA-256, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _about(net: Encoder) -> dict[str, Any]:
    mean, std = list(net.mean), list(net.std)
    return {"encoder": net.name, "features": net.features, "size": net.size, "mean": mean, "std": std}
