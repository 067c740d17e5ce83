"""Settings of an extraction: which videos, which network, which clips, and with what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import gpuaug

from ..common.distributed import DEVICES
from ..common.settings import check, required, setting
from .store import HDF5


@dataclass(frozen=True, kw_only=True)
class ExtractSettings:
    """What `extract` is told. Errors: ValueError for what is out of range or does not fit together."""

    videos: tuple[str, ...] = required("files, folders, or CSVs with a column path", metavar="PATH")
    out: str = required("folder for one file per video, or one HDF5 file", metavar="DIR|FILE.h5")
    format: Literal["npy", "pickle", "csv"] = setting("npy", "of a folder's files; pickle is TSP's .pkl")
    names: Literal["stem", "path", "file"] = setting("stem", "of videos: stem, with folders, and with suffix")
    pool: Literal["max", "mean"] | None = setting(
        None, "one vector per video over all its clips: TSP's GVF (max [P])", instead_of=("rescale",)
    )
    rescale: int | None = setting(
        None, "as many rows for every video (BMN, G-TAD: 100)", least=1, metavar="ROWS", instead_of=("pool",)
    )
    too_short: Literal["pad", "skip"] = setting("pad", "videos below one clip; pad repeats the last frame")
    checkpoint: tuple[str, ...] | None = setting(
        None,
        "folder or file of `train`; twice: features side by side (two-stream)",
        title="model",
        metavar="RUN",
        repeats=True,
        instead_of=("encoder", "init", "size"),
    )
    encoder: str | None = setting(
        None,
        "without a checkpoint: e.g. r2plus1d_34, tsm_resnet50, hf:videomae",
        metavar="NAME",
        instead_of=("checkpoint",),
    )
    init: str | None = setting(
        None, "weights of --encoder (torchvision, TSM, TSP); none: random, of --seed", metavar="FILE|none"
    )
    seed: int = setting(0, "of random weights")
    size: int | None = setting(None, "of --encoder's clips in pixels; without it its usual size", least=1)
    fps: float | Literal["native"] | None = setting(
        None,
        "frames/s; native: each video's own, as for BSP [P]; without it the model's",
        title="clips",
        above=0,
        metavar="RATE|native",
    )
    frames: int | None = setting(None, "length of a clip; without it the model's", least=1, old="clip")
    stride: int | None = setting(
        None, "from clip to clip; without it --frames; TSP on THUMOS14: 1 [C]", least=1, metavar="FRAMES"
    )
    crops: Literal[1, 3] = setting(1, "1 in the centre, or 3 along the longer side, averaged")
    crop_share: float = setting(0.875, "of the short side: 224 of 256 [C]", above=0, most=1)
    short_side: int | None = setting(None, "of decoded frames; without it SIZE / CROP_SHARE", least=1, metavar="PIXELS")
    fit: Literal["inside", "stretch"] | None = setting(
        None, "keep the aspect, or 3:4 (TSP: 128 x 171 [C]); without it as trained"
    )
    device: str = setting("auto", DEVICES, title="machine (torchrun shares the videos among processes)")
    backend: gpuaug.Decoder.Backend = setting("auto", "of decoding")
    threads: int | None = setting(None, "of decoding; without it one per core", least=1)
    batch: int = setting(32, "of the encoder", least=1, metavar="CLIPS")
    precision: Literal["fp32", "bf16", "fp16"] = setting("fp32", "of the encoder")
    memory: int = setting(512, "for decoded frames", least=1, metavar="MIB")

    def __post_init__(self) -> None:
        check(self)
        if bool(self.checkpoint) == bool(self.encoder):
            raise ValueError("either --checkpoint or --encoder must be given")
        if self.encoder and not self.init:
            raise ValueError("--encoder needs --init FILE, or --init none for random weights")
        if self.checkpoint and (self.init or self.size):
            raise ValueError("--init and --size belong to --encoder; a checkpoint has its own")
        if self.pool and self.rescale:
            raise ValueError("--pool and --rescale cannot be had together")
        if Path(self.out).suffix in HDF5 and self.format != "npy":
            raise ValueError("--format is for a folder; --out names an HDF5 file")
        if self.pool and self.format == "csv":
            raise ValueError("--pool gives one vector per video: use npy, pickle or an HDF5 file")
