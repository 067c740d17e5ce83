"""How many frames a second does one thread decode from 340 × 256 H.264? `python -m benchmarks.decode_cpu`

The same windows of the same files by gpuaug's PyAV backend and by torchcodec with one thread, in the same process and
round. Counted are the frames that are returned; what must be decoded on the way to them depends on the distance of key
frames. torchcodec's way of asking is the fastest that gives these frames: by time, all frames of a window in one call.
"opened": with the file's time table made or scanned in each call; "known": made before, the file opened in each call
(torchcodec: the decoder is kept). Where the system has no FFmpeg that torchcodec can use, it gets the one in PyAV's
wheel, which is the same for both.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

import gpuaug
from pretrain.data.dataset import Dataset, read_videos

from . import common

HEIGHT, WIDTH, FPS, FRAMES, FILES = 256, 340, 30, 300, 3


def main(argv: list[str] | None = None) -> int:
    """Make the files, check that both return the same frames, measure, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decode_cpu", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="default: 9")
    parser.add_argument("--no-save", action="store_true", help="only print")
    args = parser.parse_args(argv)
    if not can_load_torchcodec():
        return run_with_pyavs_libraries("decode_cpu", sys.argv[1:] if argv is None else argv)
    torch.set_num_threads(1)
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for gop, lengths in ((30, (16, FRAMES)), (250, (16,))):
            paths = [write(Path(folder) / f"{gop}_{i}.mp4", gop, seed=i) for i in range(FILES)]
            for length in lengths:
                for size in (None, (128, 171)):
                    results += compare(paths, gop, length, size, args.rounds)
    common.show(results)
    if not args.no_save:
        work = f"{FILES} files of {FRAMES} frames {HEIGHT}×{WIDTH}, {FPS} frames/s, H.264 (x264, medium, CRF 23)"
        print(common.save("decode_cpu", results, work=work, baseline=" ".join(__doc__.split("\n\n")[1].split())))
    return 0


def compare(paths: list[str], gop: int, length: int, size: tuple[int, int] | None, rounds: int) -> list[dict[str, Any]]:
    """Rows for one kind of window: frames a second of each candidate, and their ratio."""
    from torchcodec import transforms
    from torchcodec.decoders import VideoDecoder

    rng = np.random.default_rng(0)
    starts = [int(rng.integers(FRAMES - length + 1)) / FPS for _ in paths]
    windows = [gpuaug.Window(path, start, FPS, length) for path, start in zip(paths, starts)]
    # torchcodec shows the frame whose interval contains a time; a quarter of a frame inside is that of any rounding.
    times = [[start + (k + 0.25) / FPS for k in range(length)] for start in starts]
    how: dict[str, Any] = {"dimension_order": "NHWC", "num_ffmpeg_threads": 1}
    if size:
        how["transforms"] = [transforms.Resize(size)]
    known = gpuaug.Decoder(size=size, backend="pyav", threads=1)
    kept = [VideoDecoder(path, seek_mode="exact", **how) for path in paths]

    def ours_opened() -> list[torch.Tensor | None]:
        with gpuaug.Decoder(size=size, backend="pyav", threads=1) as decoder:
            return decoder.decode(windows)[0]

    def torchcodec(decoders: list[VideoDecoder]) -> list[torch.Tensor]:
        return [d.get_frames_played_at(seconds=t).data for d, t in zip(decoders, times)]

    candidates: dict[str, Callable[[], object]] = {
        "gpuaug, opened": ours_opened,
        "gpuaug, known": lambda: known.decode(windows)[0],
        "torchcodec exact, opened": lambda: torchcodec([VideoDecoder(p, seek_mode="exact", **how) for p in paths]),
        "torchcodec approximate, opened": lambda: torchcodec(
            [VideoDecoder(p, seek_mode="approximate", **how) for p in paths]
        ),
        "torchcodec, known": lambda: torchcodec(kept),
    }
    for a, b in zip(known.decode(windows)[0], torchcodec(kept)):
        assert a is not None
        difference = (a.float() - b.float()).abs().mean()
        if difference > 4:  # a neighbouring frame: more than 10; other interpolation of chroma: 2
            raise AssertionError(f"the candidates return different frames: mean difference {difference}")
    seconds = common.measure(candidates, rounds=rounds, warmup=1)
    known.close()
    frames = length * len(paths)
    case = f"GOP {gop}, {length} frames, {'native' if size is None else '×'.join(map(str, size))}"
    rows = [{"name": f"{case}: {n}", "unit": "frames/s", **common.summary(frames / s)} for n, s in seconds.items()]
    for ours, theirs in (("gpuaug, opened", "torchcodec exact, opened"), ("gpuaug, known", "torchcodec, known")):
        row = common.ratio(seconds[theirs], seconds[ours])
        rows.append({"name": f"{case}: {ours} against {theirs}", "unit": "×", **row})
    return rows


def can_load_torchcodec() -> bool:
    """Whether torchcodec finds FFmpeg."""
    try:
        from torchcodec.decoders import VideoDecoder

        VideoDecoder(b"not a video")
    except RuntimeError as error:
        return "libtorchcodec" not in str(error)
    except ValueError:
        pass
    return True


def run_with_pyavs_libraries(benchmark: str, argv: list[str]) -> int:
    """Run a benchmark again with the FFmpeg libraries in PyAV's wheel."""
    if os.environ.get("GPUAUG_PYAV_LIBRARIES"):
        raise SystemExit("error: torchcodec can load neither the system's FFmpeg nor PyAV's")
    with pyavs_libraries() as environment:
        return subprocess.run([sys.executable, "-m", f"benchmarks.{benchmark}", *argv], env=environment).returncode


@contextmanager
def pyavs_libraries() -> Iterator[dict[str, str]]:
    """The environment of a process in which torchcodec finds PyAV's FFmpeg libraries, under the names it looks for."""
    wheel = Path(av.__file__).parent.parent / "av.libs"
    with tempfile.TemporaryDirectory() as folder:
        for library in wheel.glob("lib*.so.*"):
            name = re.sub(r"-[0-9a-f]+\.so\.(\d+).*", r".so.\1", library.name)
            (Path(folder) / name).symlink_to(library)
        path = os.pathsep.join([folder, str(wheel), os.environ.get("LD_LIBRARY_PATH", "")])
        yield {**os.environ, "LD_LIBRARY_PATH": path, "GPUAUG_PYAV_LIBRARIES": "1"}


def write(path: Path, gop: int, seed: int) -> str:
    """A video of a camera moving over a textured picture, with a smaller one moving in front of it."""
    rng = np.random.default_rng(seed)
    scene = texture(rng, HEIGHT + 200, WIDTH + 320)
    thing = texture(rng, 90, 70)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(FPS), options={"g": str(gop), "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for k in range(FRAMES):
            top, left = int(100 + 90 * np.sin(k / 40)), int(150 + 140 * np.sin(k / 55))
            image = scene[top : top + HEIGHT, left : left + WIDTH].copy()
            y, x = int(80 + 70 * np.sin(k / 13)), int(130 + 120 * np.cos(k / 17))
            image[y : y + 90, x : x + 70] = thing
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return str(path)


def dataset(folder: str | Path, files: int) -> Dataset:
    """Such videos, key frames 250 apart, in folders of four classes."""
    for i in range(files):
        path = Path(folder) / f"class{i % 4}" / f"{i}.mp4"
        path.parent.mkdir(exist_ok=True)
        write(path, 250, seed=i)
    return read_videos(folder, cache=False, progress=False)


def texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """uint8 (height, width, 3): smooth patches of several scales, the fine ones grey."""
    image = np.zeros((height, width, 3))
    for scale in (2, 8, 32, 128):
        coarse = rng.normal(size=(height // scale + 2, width // scale + 2, 1 if scale < 32 else 3))
        patches = np.repeat(np.repeat(coarse, scale, 0), scale, 1)[:height, :width]
        image += patches * scale**0.5
    return np.clip(128 + 5 * image, 0, 255).astype(np.uint8)


if __name__ == "__main__":
    raise SystemExit(main())
