"""A DALI pipeline with a gpuaug edit between its decoder and its normalisation, through `fn.python_function`.

DALI hands over one sample at a time, (T, H, W, C) without a batch axis: a NumPy array on the CPU, a CuPy array on the
GPU, and wants the same back; gpuaug gives back what it gets. `fn.torch_python_function` of nvidia.dali.plugin.pytorch
hands over torch tensors, whole batches as lists unless batch_processing=False, and needs a GPU even for the CPU; the
function stays the same.

    python examples/dali_python_function.py              # needs nvidia-dali; CPU: VP8, VP9 and MJPEG files
    python examples/dali_python_function.py --device gpu # also needs CuPy
"""

from __future__ import annotations

import argparse
import tempfile
from typing import Any

import numpy as np
from nvidia.dali import fn, pipeline_def

import gpuaug
from pretrain.toy.dataset import make_actions

LENGTH, CENTER, OVERLAP = 8, 4, 4


def crossfade(first: Any, second: Any) -> Any:
    return gpuaug.crossfade(first[None], second[None], length=LENGTH, center=CENTER, overlap=OVERLAP)[0]


@pipeline_def(num_threads=2)
def pipeline(first: list[str], second: list[str], device: str) -> Any:
    """Both clips and their cross-fade, uint8 (T, H, W, C), and the cross-fade normalised, float32 (C, T, H, W)."""
    clips = []
    for files in (first, second):
        encoded, _ = fn.readers.file(files=files)
        video = fn.decoders.video(encoded, device="mixed" if device == "gpu" else "cpu", sequence_length=LENGTH)
        clips.append(video)
    mixed = fn.python_function(*clips, function=crossfade, device=device, output_layouts="FHWC")
    normal = fn.crop_mirror_normalize(mixed, mean=[114.75], std=[57.375], output_layout="CFHW")
    return *clips, mixed, normal


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    device = parser.parse_args(argv).device
    with tempfile.TemporaryDirectory() as folder:
        videos = make_actions(folder, classes=4, clips_per_class=1, codecs=["mjpeg"], sizes=[(96, 128)], progress=False)
        files = [str(path) for path in videos]
        run = pipeline(files[:2], files[2:], device, batch_size=2, device_id=0 if device == "gpu" else None)
        first, second, mixed, normal = (output.as_cpu().as_array() for output in run.run())
    expected = (first[:, 3].astype(int) + second[:, 1] + 1) // 2  # frame 3 is the second of the four blended ones
    print(f"{normal.shape} {normal.dtype}, halfway frame as NumPy makes it: {np.array_equal(mixed[:, 3], expected)}")


if __name__ == "__main__":
    main()
