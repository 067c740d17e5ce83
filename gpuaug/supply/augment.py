"""Spatial and colour augmentation of whole samples, the same for all their frames. Legend: N samples, Y X output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from .. import color
from .. import crop as crops


@dataclass(frozen=True)
class Augment:
    """Which view of its clips a sample shows.

    Attributes:
        crop: "multiscale" (TSM), "random" (TSP's 112² of 128 × 171), "resized" (MoCo v2, PAL), "center" (testing).
        flip: probability of a mirror; ignored by "center".
        jitter: probability of colour jitter with MoCo v2's strengths; grayscale: of grey.
        blur: probability of a Gaussian blur with σ uniform in [0.1, 2] pixels of a 224² view (MoCo v2), scaled to size.

    Errors (ValueError): another crop, a probability outside [0, 1].
    """

    Crop = Literal["multiscale", "random", "resized", "center"]

    crop: Crop = "multiscale"
    flip: float = 0.5
    jitter: float = 0.0
    grayscale: float = 0.0
    blur: float = 0.0

    def __post_init__(self) -> None:
        if self.crop not in get_args(self.Crop):
            raise ValueError(f"crop must be one of {', '.join(get_args(self.Crop))}, got crop={self.crop!r}")
        for name in ("flip", "jitter", "grayscale", "blur"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be a probability in [0, 1], got {name}={getattr(self, name)!r}")

    def view(self, rng: np.random.Generator, n: int) -> crops.View:
        """The crops of n samples."""
        if self.crop == "multiscale":
            return crops.multiscale_crop(rng, n, flip=self.flip)
        if self.crop == "random":
            return crops.random_crop(rng, n, flip=self.flip)
        if self.crop == "resized":
            return crops.resized_crop(rng, n, flip=self.flip)
        return crops.center_crop(n, scale=112 / 128)

    def matrix(self, rng: np.random.Generator, n: int) -> NDArray[np.float64] | None:
        """Colour matrices (N, 3, 4) of n samples; None where nothing is changed."""
        if self.jitter == 0 and self.grayscale == 0:
            return None
        return color.jitter(rng, n, probability=self.jitter, grayscale=self.grayscale)

    def sigma(self, rng: np.random.Generator, n: int, size: int) -> NDArray[np.float64] | None:
        """Blur of n samples in output pixels (N,), 0 for none; None where no sample is blurred."""
        if self.blur == 0:
            return None
        return np.where(rng.random(n) < self.blur, rng.uniform(0.1, 2.0, n) * size / 224, 0.0)


def gaussian_blur(clip_NCTYX: torch.Tensor, sigma: NDArray[np.float64]) -> torch.Tensor:
    """The clips blurred by a separable Gaussian of one σ per sample; edges are reflected, σ = 0 leaves a sample as is.

    Args:
        clip_NCTYX: float (N, C, T, Y, X).
        sigma: float (N,) in pixels, ≥ 0.
    """
    n, c, t, height, width = clip_NCTYX.shape
    radius = min(int(np.ceil(3 * float(sigma.max(initial=0)))), height - 1, width - 1)
    if radius == 0:
        return clip_NCTYX
    offset = np.arange(-radius, radius + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        kernel = np.exp(-0.5 * (offset / sigma[:, None]) ** 2)
    kernel = np.where(sigma[:, None] > 0, kernel, offset == 0)
    kernel /= kernel.sum(1, keepdims=True)
    host = torch.from_numpy(kernel)
    taps = (host.pin_memory() if clip_NCTYX.is_cuda else host).to(clip_NCTYX, non_blocking=True)
    picture = F.pad(clip_NCTYX.reshape(n, c * t, height, width), (radius,) * 4, mode="reflect").transpose(0, 1)
    picture = F.conv2d(picture, taps[:, None, None, :], groups=n)
    return F.conv2d(picture, taps[:, None, :, None], groups=n).transpose(0, 1).reshape(clip_NCTYX.shape)
