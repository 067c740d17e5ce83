"""Training with an encoder of a few numbers on a few tiny videos; also as a program, to be killed or run twice."""

from __future__ import annotations

import json
import os
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import nn

import gpuaug
import pretrain.commands.train
import pretrain.models.checkpoint
import pretrain.training.session
from pretrain.models.encoders import Encoder, encoder
from pretrain.models.networks import Default
from pretrain.toy.dataset import make_actions, make_untrimmed

THREADS = torch.get_num_threads()  # before `install`
FLAGS = ["--task", "bsp", "--encoder", "small", "--size", "32", "--frames", "8", "--fps", "15", "--window-frames", "32"]
FLAGS += ["--batch", "8", "--optimizer", "adamw", "--lr", "0.003", "--val-batches", "2", "--precision", "fp32"]
FLAGS += ["--device", "cpu", "--threads", "1", "--quiet", "--log-every", "1", "--deterministic"]

UNTRIMMED_FLAGS = {
    "pal": "--task pal --frames 6 --window-frames 13 --batch 3 --queue 64 --dim 16 --reuse-max 6 --bank-gib 0.0088",
    "tsp": "--task tsp --frames 8 --window-frames 8 --bank-size 37 49 --batch 8 --reuse-max 2 --bank-gib 0.0015",
}


class Small(nn.Module):
    """(N, 16): convolutions of frame differences, batch norm between; mean over space, maximum over time."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv3d(3, 8, (3, 5, 5), (1, 4, 4), bias=False)
        self.norm = nn.BatchNorm3d(8)
        self.last = nn.Conv3d(8, 16, (3, 3, 3), (1, 2, 2))

    def forward(self, clip_NCTYX: torch.Tensor) -> torch.Tensor:
        change = clip_NCTYX.diff(dim=2).abs()
        return self.last(self.norm(self.stem(change)).relu()).mean((3, 4)).amax(2)


class Changes(nn.Module):
    """(N, T−1): how much the picture changes from each frame to the next, relative to the whole clip's changes."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, clip_NCTYX: torch.Tensor) -> torch.Tensor:
        change_NT = clip_NCTYX.diff(dim=2).abs().mean((1, 3, 4))
        return self.scale * change_NT / change_NT.mean(1, keepdim=True)


def small(name: str, *, init: Any = None, frames: int | None = None, size: int | None = None) -> Encoder:
    """The encoders "small" and "changes"; any other as usual."""
    if name == "changes":
        return Encoder(name, Changes(), 7, Default(8, 32, 15.0), frames or 8, size or 32)
    if name != "small":
        return encoder(name, init=init, frames=frames, size=size)
    return Encoder(name, Small(), 16, Default(8, 32, 15.0, stem="net.stem."), frames or 8, size or 32)


def train(*flags: object) -> int:
    """The exit status of `train` with the flags that make it small, and these."""
    return pretrain.commands.train.main([*FLAGS, *map(str, flags)])


def make_videos(folder: Path, classes: int = 3) -> Path:
    """The folder, with eight tiny videos of 2 to 2.5 s per class."""
    style: dict[str, Any] = {"sizes": [(36, 48)], "rates": [Fraction(15)], "codecs": ["mjpeg"], "seconds": (2.0, 2.5)}
    make_actions(folder, classes=classes, clips_per_class=8, progress=False, **style)
    return folder


def make_long_videos(folder: Path) -> Path:
    """The folder, with 16 untrimmed videos of 5 to 6 s with actions of two classes, and three files that are none."""
    style: dict[str, Any] = {"sizes": [(36, 48)], "rates": [Fraction(15)], "codecs": ["mjpeg"]}
    bounds: dict[str, Any] = {"seconds": (5.0, 6.0), "action_seconds": (1.2, 2.0), "gap_seconds": (1.2, 2.0)}
    make_untrimmed(folder, classes=2, videos=16, progress=False, **style, **bounds)
    film = sorted(folder.glob("*.avi"))[0].read_bytes()
    (folder / "cut.avi").write_bytes(film[: len(film) // 2])
    (folder / "text.mp4").write_text("not a video")
    (folder / "empty.mp4").write_bytes(b"")
    return folder


def untrimmed_flags(task: str, videos: Path) -> list[str]:
    """Flags that train PAL or TSP on the videos of `make_long_videos`."""
    annotated = ["--annotations", videos / "annotations.json"] if task == "tsp" else []
    return list(map(str, ["--videos", videos, *UNTRIMMED_FLAGS[task].split(), *annotated]))


def install(patch: Any) -> None:
    """Put "small" in the place of the other encoders, on one thread: the runs compared must add in one order."""
    torch.set_num_threads(1)
    patch(pretrain.training.session, "encoder", small)
    patch(pretrain.models.checkpoint, "encoder", small)


def check_equal(a: dict[str, Any], b: dict[str, Any]) -> None:
    """Are two states of a model equal, the slow network and the queue included?"""
    assert a.keys() == b.keys()
    for key, value in a.items():
        if isinstance(value, dict):
            check_equal(value, b[key])
        elif torch.is_tensor(value):
            assert torch.equal(value, b[key]), key
        else:
            assert value == b[key], key


def lines(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's log."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def record_segments(patch: Any, found: list[Any]) -> None:
    """Have the segments written down that every batch shows: (for training?, their numbers, where clips start)."""
    original = gpuaug.Loader._batch

    def batch(self: gpuaug.Loader, step: int) -> gpuaug.Batch | None:
        made = original(self, step)
        if made is not None:
            rows = zip(*(made.target[name].tolist() for name in ("video", "start_seconds", "end_seconds")))
            numbers = [
                next(
                    k for k, s in enumerate(self.segments)
                    if s.video == video and s.start_seconds - 1e-6 <= start and end <= s.end_seconds + 1e-6
                )
                for video, start, end in rows
            ]  # fmt: skip
            found.append((self._shuffle, numbers, made.target["start_seconds"].tolist()))
        return made

    patch(gpuaug.Loader, "_batch", batch)


if __name__ == "__main__":
    install(setattr)
    words, found, file = sys.argv[1:], list[Any](), ""
    if words[0] == "--record":
        record_segments(setattr, found)
        file, words = f"{words[1]}.{os.environ['RANK']}.json", words[2:]
    status = train(*words)
    if found:
        Path(file).write_text(json.dumps(found))
    sys.exit(status)
