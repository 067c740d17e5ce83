"""Movement that looks like a boundary and is none: a camera that turns, nears and rolls, things that come before it.

Used by looks; imports torch. Legend: N samples, T frames, K things, Y X picture; places are in [−1, 1], as
F.grid_sample has them.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

THINGS = 2  # that come before the camera in one sample
FARTHEST = np.array([2.5, 1.0, 0.9, 0.8])  # to the right, down, logarithm of the distance, roll in radians
Drawn = dict[str, NDArray]


def draw(rng: np.random.Generator, n: int, t: int, *, shake: float, traps: float) -> Drawn:
    """Arrays of N samples: "camera" (N, T, 4), "thing" (N, K, T, 5), "surface" (N, K, 6).

    Args:
        shake: probability of a hand that is not steady.
        traps: probability of each of a fast pan, zoom and roll, and of each thing.
    """
    frame = np.arange(t)
    camera = np.zeros((n, t, 4))  # as FARTHEST
    for i in np.flatnonzero(rng.random(n) < shake):
        walk = np.cumsum(rng.normal(0, rng.uniform(0.002, 0.03), (t, 2)), 0)
        camera[i, :, :2] += walk - np.linspace(0, 1, t)[:, None] * walk[-1]
    for columns in (slice(0, 2), slice(2, 3), slice(3, 4)):
        for i in np.flatnonzero(rng.random(n) < traps):
            begin, width = int(rng.integers(-10, t)), float(np.exp(rng.uniform(np.log(3), np.log(60))))
            since = (frame - begin).astype(np.float64)
            part = _eased(since / width)
            if rng.random() < 0.3:  # and back
                part -= _eased((since - width - int(rng.integers(0, 20))) / width)
            camera[i, :, columns] += part[:, None] * rng.uniform(-1, 1, 4)[columns] * FARTHEST[columns]
    thing, surface = np.zeros((n, THINGS, t, 5)), rng.random((n, THINGS, 6))
    for i, k in np.argwhere(rng.random((n, THINGS)) < traps):
        thing[i, k] = _thing(rng, frame)
    return {
        "camera": camera.astype(np.float32),
        "thing": thing.astype(np.float32),
        "surface": surface.astype(np.float32),
    }


def apply(x_NTCYX: torch.Tensor, drawn: dict[str, torch.Tensor]) -> torch.Tensor:
    """Clips as the camera sees them, with the things before it."""
    height, width = x_NTCYX.shape[3:]
    axes = (torch.linspace(-1, 1, side, device=x_NTCYX.device) for side in (height, width))
    place_YX = torch.stack(torch.meshgrid(*axes, indexing="ij"))  # (2, Y, X)
    camera, thing, surface = drawn["camera"], drawn["thing"], drawn["surface"]
    x, others = x_NTCYX, torch.roll(x_NTCYX, 1, 0)
    moved = camera.abs().amax((1, 2)) > 0
    if bool(moved.any()):
        to_x, to_y, far, roll = (part[..., None, None] for part in camera[moved].unbind(-1))
        down, right = place_YX[0] * far.exp(), place_YX[1] * far.exp()
        turned = right * roll.cos() - down * roll.sin(), right * roll.sin() + down * roll.cos()
        grid = torch.stack([turned[0] + to_x, turned[1] + to_y], -1)
        x = x.clone()
        x[moved] = _taken(x[moved], grid)
    for k in range(thing.shape[1]):
        there = thing[:, k, :, 4].amax(1) > 0
        if bool(there.any()):
            x = x.clone() if x is x_NTCYX else x
            x[there] = _before(x[there], others[there], thing[there, k], surface[there, k], place_YX)
    return x


def _eased(part: NDArray[np.float64]) -> NDArray[np.float64]:
    part = np.clip(part, 0, 1)
    return part * part * (3 - 2 * part)


def _thing(rng: np.random.Generator, frame: NDArray[np.int64]) -> NDArray[np.float64]:
    """(T, 5): where the middle is, down and to the right, half the height and width, and 1 while it is there.

    It comes in from beyond the edge, maybe stays, and leaves; some are there from the beginning, or do not leave."""
    coming, leaving = np.exp(rng.uniform(np.log(2), np.log(30), 2))
    staying = rng.choice([0.0, rng.uniform(0, 60)])
    begin = rng.uniform(-20, len(frame))
    radius = np.exp(rng.uniform(np.log(0.15), np.log(0.9))) * np.exp(rng.normal(0, 0.25, 2))
    middle = rng.uniform(-0.7, 0.7, 2)
    turn = rng.uniform(0, 2 * np.pi)
    after = turn + (np.pi + rng.normal(0, 0.6) if rng.random() < 0.6 else rng.normal(0, 0.3))  # on, or back
    ways = [(1.5 + radius) * (np.sin(angle), np.cos(angle)) for angle in (turn, after)]
    inward = _eased((frame - begin) / coming)[:, None]
    outward = _eased((frame - begin - coming - staying) / leaving)[:, None]
    place = middle + (1 - inward) * ways[0] + outward * ways[1]
    place = place + rng.uniform(0, 0.1) * np.sin(frame[:, None] / rng.uniform(2, 10, 2) + rng.uniform(0, 6, 2))
    growth = np.exp(rng.normal(0, 0.5) * (inward - 1) + rng.normal(0, 0.5) * outward)
    there = ((frame > begin) & (frame < begin + coming + staying + leaving)).astype(float)
    return np.concatenate([place, radius * growth, there[:, None]], 1)


def _before(
    x_NTCYX: torch.Tensor,
    others_NTCYX: torch.Tensor,
    thing_NT5: torch.Tensor,
    surface_N6: torch.Tensor,
    place_YX: torch.Tensor,
) -> torch.Tensor:
    """A thing with a colour of its own or the looks of another clip, which move with it; its edge may be soft."""
    y, x, high, wide, there = (part[..., None, None] for part in thing_NT5.unbind(-1))
    shape, edge, plain = surface_N6[:, 3:].unbind(1)
    power, soft = (part[:, None, None, None] for part in (1.5 + 6 * shape**2, 0.03 + 0.4 * edge**2))
    from_y, from_x = (place_YX[0] - y) / high, (place_YX[1] - x) / wide
    away = from_y.abs() ** power + from_x.abs() ** power
    area = (there * ((1 - away) / soft).clamp(0, 1))[:, :, None]
    colour = surface_N6[:, None, :3, None, None]
    taken = _taken(others_NTCYX, torch.stack([from_x, from_y], -1))
    return x_NTCYX + area * (torch.where((plain < 0.3)[:, None, None, None, None], colour, taken) - x_NTCYX)


def _taken(x_NTCYX: torch.Tensor, grid_NTYX2: torch.Tensor) -> torch.Tensor:
    n_t = x_NTCYX.shape[:2]
    taken = F.grid_sample(
        x_NTCYX.flatten(0, 1), grid_NTYX2.flatten(0, 1), padding_mode="reflection", align_corners=True
    )
    return taken.unflatten(0, n_t)
