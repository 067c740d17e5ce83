"""What deployed video looks like, and what looks like a boundary and is none: drawn by NumPy, applied by torch.

Used by the task; imports motion and torch. Legend: N samples, C = 3 channels, T frames, Y X picture, B pictures of
noise.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from . import motion

NOISE = 64  # pictures of noise that are kept
Drawn = dict[str, NDArray]


def draw(rng: np.random.Generator, n: int, t: int, *, deployed: float, traps: float) -> Drawn:
    """Arrays of N samples, each a target of the batch.

    Args:
        deployed: probability of each thing that happens to video on its way: rates of bits, bars, captions, logos,
            grain, flicker, gamma, shake, combs, rates of frames made by blending.
        traps: probability of each hard negative: flashes, insets that appear, and those of motion.
    """
    frame = np.arange(t)

    def some(share: float) -> NDArray[np.bool_]:
        return rng.random(n) < share

    gain, lift = np.ones((n, t)), np.zeros((n, t))
    flicker = some(deployed * 0.3)
    gain[flicker] += rng.normal(0, rng.uniform(0.01, 0.08, (int(flicker.sum()), 1)), (int(flicker.sum()), t))
    for i in np.flatnonzero(some(traps)):  # flashes, lightning, strobes, dips: they come back to the same picture
        period, height = int(rng.integers(3, 30)), rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 1.0)
        times = int(rng.integers(1, 8))
        opening = int(rng.integers(0, t))
        for begin in range(opening, opening + period * times, period):
            width, fall = int(rng.integers(1, 4)), rng.uniform(0.5, 4)
            age = frame - begin
            lift[i] += height * np.where(age < 0, 0, np.exp(-np.maximum(0, age - width + 1) / fall))
    slow = some(traps * 0.5)  # darker and lighter on the beat
    phase = rng.uniform(0, 2 * np.pi, (n, 1))
    gain[slow] *= (1 + 0.4 * np.sin(2 * np.pi * frame / rng.uniform(8, 60, (n, 1)) + phase))[slow]
    moved = motion.draw(rng, n, t, shake=deployed * 0.4, traps=traps)
    boxes = np.zeros((n, 3, 4))  # logo, caption, inset: y0, x0, y1, x1 in parts of the picture
    shown = np.zeros((n, 3, t))
    y, x = rng.uniform(0.02, 0.85, (n, 2)).T
    boxes[:, 0] = np.stack([y, x, y + rng.uniform(0.05, 0.15, n), x + rng.uniform(0.05, 0.2, n)], 1)
    y = rng.uniform(0.6, 0.88, n)
    boxes[:, 1] = np.stack([y, rng.uniform(0.02, 0.3, n), y + rng.uniform(0.06, 0.2, n), rng.uniform(0.6, 0.98, n)], 1)
    y, x = rng.uniform(0.02, 0.55, (n, 2)).T
    boxes[:, 2] = np.stack([y, x, y + rng.uniform(0.25, 0.45, n), x + rng.uniform(0.25, 0.45, n)], 1)
    shown[some(deployed * 0.3), 0] = 1
    for k, share in ((1, deployed * 0.4), (2, traps)):
        for i in np.flatnonzero(some(share)):
            begin, width = int(rng.integers(-20, t)), int(rng.integers(10, 90))
            soft = rng.choice([1e-3, 4.0, 10.0])
            shown[i, k] = np.clip((frame - begin) / soft, 0, 1) * np.clip((begin + width - frame) / soft, 0, 1)
    bars = np.zeros((n, 2))  # of the height above and below, of the width left and right
    bars[np.arange(n), rng.integers(0, 2, n)] = np.where(some(deployed * 0.3), rng.uniform(0.04, 0.2, n), 0)
    keys = rng.integers(8, 60, n)  # frames from one key frame to the next
    loss = np.where(some(deployed * 0.6), rng.uniform(0, 0.7, n), 0)[:, None]  # detail that a low rate costs
    since = (frame[None] + rng.integers(0, 60, (n, 1))) % keys[:, None]
    part = rng.choice([0.2, 0.25, 0.5, 0.8], n)[:, None] * (frame + rng.integers(0, 60, (n, 1)))
    ghost = np.where(some(deployed * 0.1)[:, None], part % 1, 0)  # of the frame before in this one
    return {
        **moved,
        "ghost": ghost.astype(np.float32),
        "gain": gain.astype(np.float32),
        "lift": lift.astype(np.float32),
        "gamma": np.where(some(deployed * 0.6), np.exp(rng.normal(0, 0.3, n)), 1).astype(np.float32),
        "grain": np.where(some(deployed * 0.4), rng.uniform(0.005, 0.05, n), 0).astype(np.float32),
        "comb": np.where(some(deployed * 0.1), rng.uniform(0.3, 0.9, n), 0).astype(np.float32),
        "boxes": boxes.astype(np.float32),
        "shown": shown.astype(np.float32),
        "color": rng.random((n, 3, 3)).astype(np.float32),
        "bars": bars.astype(np.float32),
        "coarse": (loss * np.minimum(1, 0.4 + since / keys[:, None])).astype(np.float32),
        "noise": rng.integers(0, NOISE, (n, t)),
    }


def noise(size: int) -> torch.Tensor:
    """(B, 3, size, size), always the same."""
    return torch.randn(NOISE, 3, size, size, generator=torch.Generator().manual_seed(0))


def apply(clip_NCTYX: torch.Tensor, drawn: dict[str, torch.Tensor], noise_BCYX: torch.Tensor) -> torch.Tensor:
    """Clips in 0…1, changed as was drawn."""
    n, _, t, height, width = clip_NCTYX.shape
    x = clip_NCTYX.transpose(1, 2)  # N, T, C, Y, X
    down = torch.linspace(-1, 1, height, device=x.device)
    right = torch.linspace(-1, 1, width, device=x.device)
    x = motion.apply(x, drawn)
    before = torch.cat([x[:, :1], x[:, :-1]], 1)
    comb = drawn["comb"][:, None, None, None, None] * (torch.arange(height, device=x.device) % 2)[:, None]
    x = x + (comb + (1 - comb) * drawn["ghost"][..., None, None, None]) * (before - x)
    small = F.interpolate(F.avg_pool2d(x.flatten(0, 1), 3), (height, width), mode="bilinear").unflatten(0, (n, t))
    x = x + drawn["coarse"][..., None, None, None] * (small - x)
    x = x * drawn["gain"][..., None, None, None] + drawn["lift"][..., None, None, None]
    x = x.clamp(0, 1).clamp(min=1e-4) ** drawn["gamma"][:, None, None, None, None]
    grainy = noise_BCYX[drawn["noise"]]
    x = x + drawn["grain"][:, None, None, None, None] * grainy
    rows, columns = (down + 1) / 2, (right + 1) / 2
    others = torch.roll(x, 1, 0)
    for k in (2, 1, 0):
        y0, x0, y1, x1 = (drawn["boxes"][:, k, i, None, None, None] for i in range(4))
        area = ((rows[:, None] >= y0) & (rows[:, None] < y1) & (columns >= x0) & (columns < x1)).float()
        area = (area * drawn["shown"][:, k, :, None, None])[:, :, None]
        over: torch.Tensor = drawn["color"][:, k, None, :, None, None]
        if k == 1:  # letters
            over = over * (noise_BCYX[drawn["noise"][:, :1]][:, :, :1] > 0.3)
        x = x + area * ((others if k == 2 else over) - x)
    bars = drawn["bars"]
    open_ = (
        (down[:, None].abs() <= 1 - 2 * bars[:, 0, None, None]) & (right.abs() <= 1 - 2 * bars[:, 1, None, None])
    ).float()
    return (x * open_[:, None, None]).clamp(0, 1).transpose(1, 2)
