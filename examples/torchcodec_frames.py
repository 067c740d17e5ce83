"""torchcodec's tensors (T, H, W, C), read where they are: two files of any size and rate, cross-faded and rendered.

python examples/torchcodec_frames.py    # needs FFmpeg's libraries (apt install ffmpeg), else gpuaug.Decoder decodes
"""

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
        with gpuaug.Decoder(device) as ours:
            (frames,), failures = ours.decode([gpuaug.Window(str(path), 0.5 / FPS, FPS, LENGTH)])
        assert frames is not None, failures
        return frames
    return decoder.get_frames_played_at(((np.arange(LENGTH) + 0.5) / FPS).tolist()).data


def crossfade(paths: list[Path], center: int, overlap: int, device: str) -> tuple[Tensor, gpuaug.Plan]:
    """float32 (1, C, LENGTH, 112, 112) of the first file fading into the second, and the plan it was made by."""
    shown = (gpuaug.Plan.take(i, np.arange(LENGTH)) for i in range(2))
    plan = gpuaug.edits.crossfade(*shown, length=LENGTH, center=center, overlap=overlap)
    clips = [decode(path, device) for path in paths]
    return gpuaug.render(clips, plan, size=(112, 112), mean=(0.45,) * 3, std=(0.225,) * 3), plan


def toy(folder: str, name: str, size: tuple[int, int], rate: Fraction) -> Path:
    """An H.264 file of a sprite that moves in the way that is its class."""
    out_dir = Path(folder, name)
    return make_actions(out_dir, classes=[name], clips_per_class=1, codecs=["h264"], sizes=[size], rates=[rate])[0]


def main(device: str = "cuda" if torch.cuda.is_available() else "cpu") -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = [toy(folder, "up", (96, 128), Fraction(15)), toy(folder, "down", (120, 160), Fraction(30000, 1001))]
        batch, plan = crossfade(paths, center=5, overlap=2, device=device)
    labels = dict(zip(("up", "down"), plan.share(2)[0].tolist()))
    print(f"{tuple(batch.shape)} {batch.dtype}, labels {labels}, cut at frame {plan.boundary()[0]}")


if __name__ == "__main__":
    main()
