"""Shot boundaries of whole videos, in bounded memory.

Used by the command shots, benchmarks and users; imports common and gpuaug. Legend: T frames, M marks, K families.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .boundaries import FAMILIES, Boundary, Thresholds, boundaries, runs
from .frames import Frames, Source
from .network import CONTEXT, FEATURES, MARKS, MEAN, STD, Outputs, ShotNetwork

CHUNK = 512  # frames that the network sees at a time, beside their context
WEIGHTS = Path(__file__).with_name("weights.pt")
SEEN = 0.3  # of a mark: pictures of such frames are kept


@dataclass(frozen=True, eq=False)
class Shots:
    """What was found in a video.

    Attributes:
        rate: frames per second.
        frames: how many the video has.
        boundaries: in order of time.
        seconds_T: float64, when every frame is shown; the first one at 0.
        mark_TM, family_TK: float32, probabilities of `network.MARKS` and of the families.
        pictures: frame → uint8 (72, 108, 3), of the frames around what may be a boundary, where they were asked for.
    """

    rate: Fraction
    frames: int
    boundaries: list[Boundary]
    seconds_T: NDArray[np.float64]
    mark_TM: NDArray[np.float32]
    family_TK: NDArray[np.float32]
    pictures: dict[int, NDArray[np.uint8]] = field(default_factory=dict)

    def shots(self) -> list[tuple[int, int]]:
        """First and last frame of every shot; mixed frames of gradual transitions belong to none."""
        begin, found = 0, []
        for each in self.boundaries:
            instant = each.kind in ("cut", "jump")
            if each.first > begin:
                found.append((begin, each.first - 1))
            begin = each.first if instant else each.last + 1
        return [*found, (begin, self.frames - 1)] if begin < self.frames else found


class Detector:
    """The network with its weights, ready to look at videos.

    Args:
        weights: a file of `save`, or a checkpoint of `train --task shots` (a run's folder stands for its best one), or
            a folder of `save_pretrained`; None: those of the package.
        thresholds: of the rule that makes ranges; None: those of the weights.
        device: that the network runs on.

    Errors (ValueError): no such file, or it holds no weights of this network.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        thresholds: Thresholds | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        state = _read(Path(weights) if weights is not None else WEIGHTS)
        self.families: tuple[str, ...] = tuple(state["families"])
        self.device = torch.device(device)
        self.network, self.outputs = ShotNetwork(), Outputs(FEATURES, self.families)
        try:
            self.network.load_state_dict(state["network"])
            self.outputs.load_state_dict(state["outputs"])
        except RuntimeError as error:
            raise ValueError(f"weights {weights} are of another network: {str(error).splitlines()[0]}") from None
        self.network.to(self.device).eval()
        self.outputs.to(self.device).eval()
        self.thresholds = thresholds or Thresholds(**state.get("thresholds", {}))

    def __call__(
        self,
        video: str | Path | NDArray[np.uint8],
        *,
        rate: float | Fraction | None = None,
        pictures: bool = False,
        progress: Callable[[int], Any] | None = None,
    ) -> Shots:
        """The boundaries of a video.

        Args:
            video: a file, or frames uint8 (T, height, width, 3), RGB.
            rate: frames per second of an array (without it 25); files have their own.
            pictures: keep small pictures of the frames around boundaries.
            progress: called with a number of frames whenever so many more are done.

        Errors: frames.VideoError, a ValueError, for a file that cannot be decoded from its first frame to its last.
        """
        source = Source(video, rate=rate)
        marks: list[NDArray[np.float32]] = []
        families: list[NDArray[np.float32]] = []
        seconds: list[NDArray[np.float64]] = []
        kept: dict[int, NDArray[np.uint8]] = {}
        done = 0
        for window, first, last in _windows(source.read(CHUNK), CHUNK, CONTEXT):
            mark_TM, family_TK = self.look(window.small)
            here = slice(first, last)
            if pictures:
                kept |= _pictures(mark_TM, window.thumbs, first, last, done)
            marks.append(mark_TM[here])
            families.append(family_TK[here])
            seconds.append(window.seconds[here])
            done += last - first
            if progress:
                progress(last - first)
        mark_TM, family_TK = np.concatenate(marks), np.concatenate(families)
        found = boundaries(mark_TM, family_TK, self.families, self.thresholds)
        return Shots(source.rate, done, found, np.concatenate(seconds), mark_TM, family_TK, kept)

    def look(self, small_TYXC: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Probabilities (T, M) and (T, K) of frames uint8 (T, 36, 36, 3) that follow each other."""
        with torch.inference_mode():
            clip = torch.from_numpy(np.ascontiguousarray(small_TYXC)).to(self.device).permute(3, 0, 1, 2)[None]
            mark, family = self.outputs(self.network((clip.float() / 255 - MEAN) / STD))
            return mark[0].sigmoid().cpu().numpy(), family[0].softmax(1).cpu().numpy()

    def save(self, path: str | Path) -> None:
        """Write the weights alone, in 16 bits, with names of families and thresholds; `Detector(path)` reads them."""
        half = {
            name: {k: v.half() if v.is_floating_point() else v for k, v in module.cpu().state_dict().items()}
            for name, module in (("network", self.network), ("outputs", self.outputs))
        }
        torch.save({**half, "families": list(self.families), "thresholds": vars(self.thresholds)}, path)


def detect(
    video: str | Path | NDArray[np.uint8],
    *,
    weights: str | Path | None = None,
    rate: float | Fraction | None = None,
) -> list[Boundary]:
    """The boundaries of a video, in order of time; see `Detector`."""
    return Detector(weights)(video, rate=rate).boundaries


def _windows(parts: Iterator[Frames], chunk: int, context: int) -> Iterator[tuple[Frames, int, int]]:
    """(frames, first, last): what the network sees, and the half-open range of it that its context is complete for.

    The ranges, one after another, are the whole video; so the outputs are those of the video seen at once.
    """
    held: Frames | None = None
    before = 0  # frames of `held` that were given out already
    for part in parts:
        held = part if held is None else held.joined(part)
        last = len(held.small) - context
        if last - before >= chunk - context:
            yield held, before, last
            cut = max(0, last - context)
            held = Frames(held.small[cut:], held.thumbs[cut:], held.seconds[cut:])
            before = last - cut
    if held is not None and before < len(held.small):
        yield held, before, len(held.small)


def _pictures(
    mark_TM: NDArray[np.float32], thumbs: NDArray[np.uint8], first: int, last: int, done: int
) -> dict[int, NDArray[np.uint8]]:
    """By frame of the video: the pictures at and beside the ends of runs of frames that may belong to a boundary."""
    wanted: set[int] = set()
    for begin, end in runs(mark_TM.max(1) >= SEEN, closed=1):
        wanted |= {begin - 1, begin, (begin + end) // 2, end, end + 1}
    inside = [t for t in wanted if max(0, first - 1) <= t < min(len(thumbs), last + 1)]
    return {t - first + done: thumbs[t].copy() for t in inside}


def _read(path: Path) -> dict[str, Any]:
    if (path / "config.json").is_file() and (path / "model.safetensors").is_file():
        return _pretrained(path)
    if path.is_dir():
        path = path / "best.pt" if (path / "best.pt").exists() else path / "checkpoint.pt"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"weights must be a file, there is no {path}") from None
    except (pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, KeyError, OSError) as error:
        raise ValueError(f"weights {path} cannot be read: {str(error).strip().splitlines()[:1]}") from None
    if isinstance(state, dict) and "model" in state:  # a checkpoint of training
        model = state["model"]
        parts = {"network": "encoder.net.", "outputs": "head.outputs."}
        state = {
            name: {k.removeprefix(start): v for k, v in model.items() if k.startswith(start)}
            for name, start in parts.items()
        } | {"families": FAMILIES}
    if not isinstance(state, dict) or not {"network", "outputs", "families"} <= state.keys():
        raise ValueError(f"weights {path} are not of the shot detector")
    return state


def _pretrained(folder: Path) -> dict[str, Any]:
    """The same of a folder that `pretrain.models.hub.ShotModel` has saved."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "model.safetensors")
        found = {name: {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
                 for name in ("network", "outputs")}  # fmt: skip
        return {**found, "families": config["families"], "thresholds": config["thresholds"]}
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ValueError(f"weights {folder} are not of the shot detector: {type(error).__name__}: {error}") from None


__all__ = ["MARKS", "Boundary", "Detector", "Shots", "Thresholds", "detect"]
