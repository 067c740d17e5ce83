"""Frames decoded by torchcodec into gpuaug: two files of any size and rate, cross-faded and rendered in one launch.

torchcodec's tensors (T, H, W, C) are read where they are, so that nothing is copied between decoding and the batch. The
labels come from the plan: how much of the sample each clip makes up, and the frame at which the second one takes over.

    python examples/torchcodec_frames.py    # torchcodec needs FFmpeg's libraries: apt install ffmpeg

Where these are missing, the frames are gpuaug.Decoder's, which brings its own; everything after that is the same.
"""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import gpuaug
from pretrain.toy.dataset import make_actions

LENGTH, FPS = 8, 10.0


def decode(path: Path, device: str) -> Tensor:
    """uint8 (LENGTH, H, W, C): what the file shows in the middle of each 1/FPS second."""
    try:
        from torchcodec.decoders import VideoDecoder

        decoder = VideoDecoder(path, dimension_order="NHWC", device=device)
    except (ImportError, OSError, RuntimeError) as error:
        if not isinstance(error, ImportError) and "libtorchcodec" not in str(error):
            raise
        return decode_without_torchcodec(path, device)
    return decoder.get_frames_played_at(((np.arange(LENGTH) + 0.5) / FPS).tolist()).data


def decode_without_torchcodec(path: Path, device: str) -> Tensor:
    """The same, where torchcodec or FFmpeg's libraries are missing."""
    with gpuaug.Decoder(device) as decoder:
        (frames,), failures = decoder.decode([gpuaug.Window(str(path), 0.5 / FPS, FPS, LENGTH)])
    if frames is None:
        raise SystemExit(f"{path}: {failures[0].reason}")
    return frames


def crossfade(paths: list[Path], center: int, overlap: int, device: str) -> tuple[Tensor, gpuaug.Plan]:
    """float32 (1, C, LENGTH, 112, 112) of the first file fading into the second, and the plan it was made by."""
    first, second = (gpuaug.Plan.take(i, np.arange(LENGTH)) for i in range(2))
    plan = gpuaug.edits.crossfade(first, second, length=LENGTH, center=center, overlap=overlap)
    clips = [decode(path, device) for path in paths]
    return gpuaug.render(clips, plan, size=(112, 112), mean=(0.45,) * 3, std=(0.225,) * 3), plan


def toy(folder: str, name: str, size: tuple[int, int], rate: Fraction) -> Path:
    """An H.264 file of a sprite that moves in the way that is its class."""
    out_dir = Path(folder, name)
    return make_actions(out_dir, classes=[name], clips_per_class=1, codecs=["h264"], sizes=[size], rates=[rate])[0]


def main() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with tempfile.TemporaryDirectory() as folder:
        paths = [toy(folder, "up", (96, 128), Fraction(15)), toy(folder, "down", (120, 160), Fraction(30000, 1001))]
        batch, plan = crossfade(paths, center=5, overlap=2, device=device)
    labels = dict(zip(("up", "down"), plan.share(2)[0].tolist()))
    print(f"{tuple(batch.shape)} {batch.dtype}, labels {labels}, cut at frame {plan.boundary()[0]}")


if __name__ == "__main__":
    main()
