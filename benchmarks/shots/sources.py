"""Clips without cuts, a folder per scene, that the task shots is trained on: OUT/train/SCENE/…, OUT/held/SCENE/….

Of every picture some camera paths, of every drawn scene some views, the shots of the films, and those of animations
from afar and from near, all 128 × 72, encoded at rates from good to poor. Scenes are held out whole. What is there
already is kept.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

import gpuaug
from pretrain.common.cli import command
from pretrain.common.files import atomic
from pretrain.toy.scenes import SCENES, Camera, scene

SIZE, FPS = (72, 128), 30
CHANGE, LEAST, TRIM = (
    12.0,
    36,
    2,
)  # difference that ends a film's shot (levels); frames of a shot; frames left at its ends
STILL = 0.15  # mean change from frame to frame, levels: what changes less is a picture
FILM_END = {"bbb.mp4": 11750}  # frames; what follows are credits
Frames = Iterator[NDArray[np.uint8]]


@command("sources")
def main(argv: Sequence[str] | None = None) -> None:
    """0 done, 1 failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shots.sources", description=__doc__)
    add = parser.add_argument
    add("--footage", type=Path, required=True, help="what fetch wrote")
    add("--out", type=Path, required=True)
    add("--paths", type=int, default=3, help="camera paths over a picture (default %(default)s)")
    add("--scenes", type=int, default=12, help="drawn scenes of each kind (default %(default)s)")
    add("--views", type=int, default=3, help="of a drawn scene (default %(default)s)")
    add("--held", type=int, default=8, help="one of so many scenes is held out (default %(default)s)")
    add("--workers", type=int, default=2)
    args = parser.parse_args(argv)
    jobs: list[tuple[str, str, Callable[[], Frames]]] = []  # scene, name of the clip, its frames
    for path in sorted((args.footage / "still").glob("*")):
        seed = int.from_bytes(path.stem.split("--")[1][:6].encode())
        jobs += [(path.stem, f"{k}", partial(_over, path, seed, k)) for k in range(args.paths)]
    for number, name in enumerate(SCENES):
        for i in range(args.scenes):
            seed = 1000 * number + i
            jobs += [(f"{name}{i:03d}", f"{k}", partial(_drawn, name, seed, k)) for k in range(args.views)]
    groups: dict[str, list[tuple[str, Callable[[], Frames]]]] = {}
    for name, clip, frames in jobs:
        groups.setdefault(name, []).append((clip, frames))
    films = [path for path in sorted((args.footage / "video").glob("*")) if path.suffix in (".mp4", ".mpg", ".mov")]
    animations = sorted((args.footage / "video").glob("*.webp"))
    with ThreadPoolExecutor(args.workers) as pool:
        every = [pool.submit(_film, path, args.out, args.held) for path in films]
        every += [pool.submit(_animation, path, args.out, args.held) for path in animations]
        for k, (name, clips) in enumerate(sorted(groups.items())):
            side = "held" if k % args.held == 0 else "train"
            every += [pool.submit(_write, args.out / side / name / f"{clip}.mp4", make) for clip, make in clips]
        for each in tqdm(every, "clips", unit="clip"):
            each.result()
    for side in ("train", "held"):
        print(f"{len(list((args.out / side).glob('*/*.mp4')))} clips in {args.out / side}")


def _write(path: Path, frames: Callable[[], Frames]) -> None:
    if path.exists():
        return
    rng = np.random.default_rng(list(path.as_posix().encode()[-40:]))
    options = {"preset": "veryfast", "crf": str(int(rng.integers(16, 40))), "g": str(int(rng.integers(12, 120)))}
    with atomic(path) as part:
        gpuaug.write_video(part, frames(), FPS, options=options, container="mp4", reproducible=True)


def _over(path: Path, seed: int, number: int) -> Frames:
    rng = np.random.default_rng((seed, number))
    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGBA")
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path} is no picture: {error}") from None
    picture.thumbnail((960, 960))
    ground = Image.new("RGBA", picture.size, (*np.random.default_rng(seed).integers(0, 256, 3).tolist(), 255))
    flat = Image.alpha_composite(ground, picture).convert("RGB")
    seconds = rng.uniform(4, 6)
    camera = Camera(rng, flat.width / flat.height, seconds)
    for k in range(round(seconds * FPS)):
        yield camera.look(flat, k / FPS, SIZE)


def _drawn(name: str, seed: int, view: int) -> Frames:
    return scene(name, seed, view, frames=150, fps=FPS, size=SIZE)


def _film(path: Path, out: Path, held: int) -> None:
    """The shots of a film: stretches without a sudden change, a few frames short of it; some minutes are held out."""
    name = path.stem.split("-")[-1]
    pictures: list[NDArray[np.uint8]] = []
    number, shot, before = 0, 0, None
    with av.open(str(path)) as file:
        rate = float(file.streams.video[0].average_rate or 25)
        for frame in file.decode(video=0):
            picture: Any = frame.reformat(
                width=SIZE[1], height=SIZE[0], format="rgb24", interpolation="AREA"
            ).to_ndarray()
            changed = before is not None and np.abs(picture.astype(np.int16) - before).mean() > CHANGE
            if changed or number >= FILM_END.get(path.name.split("-")[-1], 1 << 60) or len(pictures) == 600:
                _shot(pictures, out, name, shot, number / rate, held)
                pictures, shot = [], shot + 1
            if number >= FILM_END.get(path.name.split("-")[-1], 1 << 60):
                break
            pictures.append(picture)
            before, number = picture.astype(np.int16), number + 1
        else:
            _shot(pictures, out, name, shot, number / rate, held)


def _shot(pictures: list[Any], out: Path, name: str, shot: int, seconds: float, held: int) -> None:
    kept = pictures[TRIM : len(pictures) - TRIM]
    if len(kept) >= LEAST:
        side, group = ("held" if int(seconds / 60) % held == held - 1 else "train"), f"{name}{int(seconds / 20):03d}"
        _write(out / side / group / f"{shot:04d}.mp4", lambda: iter(kept))


def _animation(path: Path, out: Path, held: int) -> None:
    """The shots of an animated picture, each from two distances; variants of one name are one scene."""
    group = re.sub(r"(-\d+)?\.webp$", "", path.name.split("--", 1)[1][7:])
    seed = int(hashlib.sha256(group.encode()).hexdigest()[:8], 16)
    folder = out / ("held" if seed % held == 0 else "train") / group
    number = path.name.split("--", 1)[1][:6]
    if (folder / f"{number}-done").exists():
        return
    with Image.open(path) as opened:
        pictures = []
        for k in range(getattr(opened, "n_frames", 1)):
            opened.seek(k)
            pictures.append(opened.convert("RGB"))
    small = np.stack([np.asarray(each.resize(SIZE[::-1], Image.Resampling.BOX)) for each in pictures]).astype(np.int16)
    change = np.abs(np.diff(small, axis=0)).mean((1, 2, 3))
    usual = np.median(change)
    ends = [0, *(np.flatnonzero(change > max(CHANGE, 3 * usual)) + 1).tolist(), len(pictures)]
    for shot, (a, b) in enumerate(pairwise(ends)):
        kept = pictures[a + TRIM * (a > 0) : b - TRIM * (b < len(pictures))]
        if len(kept) < LEAST or change[a : b - 1].mean() < STILL:
            continue
        for view in range(2):
            _write(folder / f"{number}-{shot}-{view}.mp4", partial(_cropped, kept, (seed, view)))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number}-done").touch()


def _cropped(pictures: list[Image.Image], seed: tuple[int, int]) -> Frames:
    """All of the pictures, or from near."""
    rng = np.random.default_rng(seed)
    near = rng.uniform(0.5, 0.75) if seed[1] else 1.0
    width, height = pictures[0].size
    tall = min(height, width * SIZE[0] / SIZE[1]) * near if seed[1] else float(height)
    wide = tall * SIZE[1] / SIZE[0] if seed[1] else float(width)
    x, y = rng.uniform(0, 1) * (width - wide), rng.uniform(0, 1) * (height - tall)
    for picture in pictures:
        box = (x, y, x + wide, y + tall)
        yield np.asarray(picture.resize(SIZE[::-1], Image.Resampling.BILINEAR, box, reducing_gap=2.0))


if __name__ == "__main__":
    sys.exit(main(None))
