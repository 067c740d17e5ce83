"""A loader whose stand-in decoder paints numbers: every frame tells its video, its place and its window's start."""

import time

import numpy as np
import torch

import gpuaug

LENGTH, FPS = 6, 10.0


class PaintingDecoder:
    """Frames of the colour (video, frame of the window, start in tenths of a second); `broken` paths fail."""

    broken: frozenset[str] = frozenset()
    delay = 0.0
    calls = 0
    painted = 0

    def __init__(self, device, size, **options):
        self.size = size

    def decode(self, windows, frames_needed=None):
        frames, failures = [], []
        for i, window in enumerate(windows):
            time.sleep(type(self).delay)
            type(self).calls += 1
            if window.path in self.broken:
                frames.append(None)
                failures.append(gpuaug.Failure(i, window.path, "broken on purpose"))
                continue
            picture = torch.zeros(window.frames, *self.size, 3, dtype=torch.uint8)
            picture[..., 0] = int(window.path.rpartition("/")[2]) % 256
            picture[..., 1] = torch.arange(window.frames)[:, None, None]
            picture[..., 2] = int(window.start_seconds * 10)
            if frames_needed is not None:
                picture = picture[frames_needed[i]]
            type(self).painted += len(picture)
            frames.append(picture)
        return frames, failures

    damaged_frames: dict[str, int] = {}  # noqa: RUF012
    fallbacks: dict[str, int] = {}  # noqa: RUF012

    def close(self):
        pass


def dataset(videos=12, seconds=2.0, classes=3):
    return [gpuaug.Segment(str(v), 0.0, seconds, v % classes, v) for v in range(videos)]


def sample(rng, bank, n, *, first=None):
    slots = bank.draw(rng, n)[:n] if first is None else first
    target = {"video": bank.info["video"][slots], "start": bank.info["start_seconds"][slots]}
    return gpuaug.Plan.take(slots, np.arange(4.0), frames=bank.info["frames"]), target


def loader(data=None, **options):
    defaults = {"batch": 4, "frames": LENGTH, "fps": FPS, "size": 8, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    defaults |= {"slots": 6, "reuse_max": 3, "deterministic": True, "lag": 2}
    return gpuaug.Loader(data or dataset(), sample, **{**defaults, **options})


def run(source, steps, start=0):
    """Everything that a run of batches shows, as arrays."""
    out = []
    for step in range(start, start + steps):
        batch = source.batch(step)
        out.append((batch.clips.clone(), batch.target["video"].numpy().copy(), batch.target["start"].numpy().copy()))
    return out


def equal(a, b):
    return len(a) == len(b) and all(torch.equal(x[0], y[0]) and (x[1] == y[1]).all() for x, y in zip(a, b))
