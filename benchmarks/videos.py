"""Videos for the benchmarks: a camera that moves over a textured picture, with a smaller one moving in front of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import gpuaug
from pretrain.data.dataset import Dataset, read_videos

READY = "GPUAUG_BENCHMARK_VIDEOS"  # environment variable: folder of videos made before, and kept; without it, made anew
HEIGHT, WIDTH, FPS, FRAMES = 256, 340, 30, 300
USUAL = {"crf": "23"}
FAST = {  # options by encoder, for large or many files
    "libx264": {"preset": "veryfast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=error"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}


def write(
    path: Path,
    gop: int,
    *,
    seed: int = 0,
    codec: str = "libx264",
    options: Mapping[str, str] = USUAL,
    height: int = HEIGHT,
    width: int = WIDTH,
    frames: int = FRAMES,
) -> str:
    """The path, of a video with key frames `gop` apart, made unless it is there. The same content in any size."""
    if not path.exists():
        pictures = _pictures(seed, height, width, frames)
        part = path.with_stem(f"{path.stem}.part")
        gpuaug.write_video(part, pictures, FPS, codec, options={"g": str(gop), **options})
        part.replace(path)  # whole whenever it exists: the next run takes it
    return str(path)


@contextmanager
def folder(name: str) -> Iterator[Path]:
    """A folder for the videos that `name` describes: in $GPUAUG_BENCHMARK_VIDEOS, where they stay, or a passing one."""
    if root := os.environ.get(READY):
        place = Path(root) / name
        place.mkdir(parents=True, exist_ok=True)
        yield place
    else:
        with tempfile.TemporaryDirectory() as passing:
            yield Path(passing)


def _pictures(seed: int, height: int, width: int, frames: int) -> Iterator[NDArray[np.uint8]]:
    rng, down, right = np.random.default_rng(seed), height / HEIGHT, width / WIDTH
    scene = texture(rng, height + int(200 * down), width + int(320 * right))
    thing = texture(rng, int(90 * down), int(70 * right))
    for k in range(frames):
        top, left = int(down * (100 + 90 * np.sin(k / 40))), int(right * (150 + 140 * np.sin(k / 55)))
        image = scene[top : top + height, left : left + width].copy()
        y, x = int(down * (80 + 70 * np.sin(k / 13))), int(right * (130 + 120 * np.cos(k / 17)))
        image[y : y + len(thing), x : x + thing.shape[1]] = thing
        yield image


@contextmanager
def dataset(files: int, frames: int = FRAMES) -> Iterator[Dataset]:
    """Such videos, key frames 250 apart, in folders of four classes."""
    with folder(f"{files} of {frames} frames") as place:
        paths = [place / f"class{i % 4}" / f"{i}.mp4" for i in range(files)]
        for path in paths:
            path.parent.mkdir(exist_ok=True)
        with ThreadPoolExecutor() as pool:  # x264 leaves Python alone meanwhile
            list(pool.map(lambda i: write(paths[i], 250, seed=i, frames=frames), range(files)))
        yield read_videos(place, cache=False, progress=False)


def texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """uint8 (height, width, 3): smooth patches of several scales, the fine ones grey."""
    image = np.zeros((height, width, 3))
    for scale in (2, 8, 32, 128):
        coarse = rng.normal(size=(height // scale + 2, width // scale + 2, 1 if scale < 32 else 3))
        patches = np.repeat(np.repeat(coarse, scale, 0), scale, 1)[:height, :width]
        image += patches * scale**0.5
    return np.clip(128 + 5 * image, 0, 255).astype(np.uint8)
