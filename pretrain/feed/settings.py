"""Settings of what is decoded, how often it is shown, and how the pictures are changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import gpuaug

from ..common.settings import BadSetting, check, required, setting


@dataclass(frozen=True, kw_only=True)
class FeedSettings:
    """Decoding, the bank of decoded windows, and batches.

    Two are no flags: `slots`, the bank's size in windows in place of `bank_gib`, and `lag`, the steps from asking for a
    window to its use where batches are deterministic.
    """

    batch: int = required("samples per step and process", least=1)
    size: int = required("height and width of clips in pixels", least=1)
    fps: float = required("frames per second at which windows are decoded", above=0)
    window_frames: int = required(
        "frames of a window, of which samples show parts", least=1, metavar="FRAMES", old="window"
    )
    windows_per_segment: int = setting(
        1, "windows of one segment, decoded together", least=1, metavar="WINDOWS", old="windows"
    )
    window_placement: Literal["random", "spread", "whole"] = setting(
        "random",
        "of windows in a segment; spread evenly, as in validation; whole: --window-frames over all of it",
        old="place",
    )
    bank_gib: float | None = setting(
        None,
        "memory for decoded windows, GiB, all of it filled; without it, four batches or half a GiB, within reason",
        above=0,
    )
    bank_size: tuple[int, int] | None = setting(
        None,
        "of its pictures in pixels, with --fit short their short side and longest long one; without it 8/7 of --size, "
        "and 4 times that where windows are shown once, else 16/9",
        least=1,
        metavar=("H", "W"),
    )
    fit: Literal["short", "inside", "stretch"] = setting(
        "short", "of videos in the bank: one short side for wide and tall ones, inside --bank-size, or stretched to it"
    )
    reuse_min: int = setting(8, "samples that show a window before an idle decoder replaces it", least=1)
    reuse_max: int | None = setting(
        32,
        "the most; 1: only the frames shown are decoded; above, data that fit the bank are kept where no segment is "
        "longer than a window",
        least=1,
    )
    deterministic: bool = setting(False, "same seed, same batches: wait for decoding instead of racing it")
    seed: int = setting(0, "of everything random")
    backend: gpuaug.Decoder.Backend = setting("auto", "decoder")
    threads: int | None = setting(None, "for decoding; without it as many as the decoder chooses", least=1)
    slots: int | None = None
    lag: int = 4

    def __post_init__(self) -> None:
        check(self)
        if self.fit == "short" and self.bank_size and self.bank_size[0] > self.bank_size[1]:
            raise BadSetting("bank_size", "a short and a long side for --fit short", self.bank_size)
        if self.window_placement == "whole" and self.windows_per_segment > 1:
            raise BadSetting("windows_per_segment", "1 where --window-placement is whole", self.windows_per_segment)


@dataclass(frozen=True, kw_only=True)
class AugmentSettings:
    """Which view of its clips a sample shows in training (augment.py)."""

    crop: gpuaug.Augment.Crop = setting("multiscale", "in training")
    flip: float = setting(0.5, "probability of a mirror", least=0, most=1)
    jitter: float = setting(0.0, "probability of colour jitter", least=0, most=1)
    grayscale: float = setting(0.0, "probability of grey", least=0, most=1)
    blur: float = setting(0.0, "probability of a Gaussian blur", least=0, most=1)

    def __post_init__(self) -> None:
        check(self)
