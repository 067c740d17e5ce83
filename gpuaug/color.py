"""Colour changes that are linear in the pixels: one 3 × 4 matrix per sample, applied by `render` at no extra pass.

A matrix M acts on RGB scaled to 0…1: out = M[:, :3] · rgb + M[:, 3]. Legend: N samples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Rec. 601 luma, as torchvision's and Pillow's greyscale
LUMA = np.array([0.299, 0.587, 0.114])
# NTSC's YIQ: a hue shift is a rotation of (I, Q)
YIQ = np.array([LUMA, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])


def jitter(
    rng: np.random.Generator,
    n: int,
    *,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.1,
    probability: float = 0.8,
    grayscale: float = 0.2,
) -> NDArray[np.float64]:
    """float64 (N, 3, 4) random colour matrices; the default strengths are MoCo v2's.

    Brightness multiplies by a factor of 1 ± brightness; contrast stretches about mid-grey 0.5 (torchvision: about the
    picture's mean, which is not linear); saturation mixes with the luma; hue rotates in the YIQ plane (torchvision:
    in HSV) by at most ± hue of a full turn. They are applied in this order.

    Args:
        brightness, contrast, saturation: in [0, 1].
        hue: in [0, 0.5].
        probability: share of samples that are jittered; grayscale: share turned grey. Each in [0, 1].

    >>> jitter(np.random.default_rng(0), 1, probability=0, grayscale=0)[0].tolist() == np.eye(3, 4).tolist()
    True
    """
    for name, value, most in (
        ("brightness", brightness, 1.0),
        ("contrast", contrast, 1.0),
        ("saturation", saturation, 1.0),
        ("hue", hue, 0.5),
        ("probability", probability, 1.0),
        ("grayscale", grayscale, 1.0),
    ):
        if not 0 <= value <= most:
            raise ValueError(f"{name} must be in [0, {most}], got {name}={value}")

    def factor(strength: float) -> NDArray[np.float64]:
        return 1 + strength * rng.uniform(-1, 1, n)

    bright, stretch, mix, turn = factor(brightness), factor(contrast), factor(saturation), hue * rng.uniform(-1, 1, n)
    chosen, grey = rng.random(n) < probability, rng.random(n) < grayscale
    to_grey = np.tile(LUMA, (3, 1))
    saturate = mix[:, None, None] * np.eye(3) + (1 - mix)[:, None, None] * to_grey
    cos, sin = np.cos(2 * np.pi * turn), np.sin(2 * np.pi * turn)
    rotate = np.tile(np.eye(3), (n, 1, 1))
    rotate[:, 1, 1], rotate[:, 1, 2], rotate[:, 2, 1], rotate[:, 2, 2] = cos, -sin, sin, cos
    linear = np.linalg.inv(YIQ) @ rotate @ YIQ @ saturate
    # saturation and hue keep greys, so the contrast's offset passes through them unchanged
    matrix = np.empty((n, 3, 4))
    matrix[:, :, :3] = linear * (bright * stretch)[:, None, None]
    matrix[:, :, 3] = (0.5 * (1 - stretch))[:, None]
    matrix[~chosen] = np.eye(3, 4)
    matrix[grey] = to_grey @ matrix[grey]
    return matrix
