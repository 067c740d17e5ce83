"""The loaders of training and of held-out batches, as settings and a task want them.

Used by training, preview and the cards of the tasks; imports settings and gpuaug.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from numpy.typing import NDArray

import gpuaug

from .settings import AugmentSettings, FeedSettings

VALIDATION_SEED = 1_000_003  # added to the seed: held-out samples differ from the training ones in every draw


@dataclass(frozen=True)
class Draws:
    """How a task draws windows for its samples.

    Attributes:
        pairs: it joins clips of one class, or of two.
        balance: labelled segments and background in equal parts, whatever the data have.
        windows_per_sample: windows that one sample takes at most, each as often as it is drawn for.
        uses_per_sample: uses of windows that one sample counts, on average.
        samples_per_visit: held-out samples that the windows of one visit to a segment make; None: one each.
        rows_per_sample: rows of the plan that a sample is; 2 where it is a pair.
        whole_visits: a sample takes all windows of the visits that it draws.
        held_out_placement: of held-out windows in their segment, unless those are whole segments.
    """

    pairs: bool = False
    balance: bool = False
    windows_per_sample: int = 1
    uses_per_sample: float = 1.0
    samples_per_visit: int | None = None
    rows_per_sample: int = 1
    whole_visits: bool = False
    held_out_placement: Literal["spread", "ends"] = "spread"


@dataclass(frozen=True)
class EncoderInput:
    """What an encoder takes: normalised by `mean` and `std`, of this dtype, on this device."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    dtype: torch.dtype
    device: torch.device


Sample = Callable[..., tuple[gpuaug.Plan, dict[str, NDArray[Any]]]]


def training_loader(
    segments: list[gpuaug.Segment],
    sample: Sample,
    draws: Draws,
    feed: FeedSettings,
    augment: AugmentSettings,
    pictures: EncoderInput,
    *,
    rank: int = 0,
    world: int = 1,
    cache: str | None = None,
) -> gpuaug.Loader:
    """Batches without an end.

    Errors (ValueError): a bank that cannot serve a batch, with the flag that mends it.
    """
    reuse_min = feed.reuse_min if feed.reuse_max is None else min(feed.reuse_min, feed.reuse_max)
    try:
        return gpuaug.Loader(
            segments,
            sample,
            **_common(feed, draws, pictures),
            augment=gpuaug.Augment(**asdict(augment)),
            placement=feed.window_placement,
            balance=draws.balance,
            windows_per_sample=draws.windows_per_sample,
            slots=feed.slots,
            bank_bytes=None if feed.bank_gib is None else int(feed.bank_gib * 2**30),
            reuse_min=reuse_min,
            reuse_max=feed.reuse_max,
            deterministic=feed.deterministic,
            lag=feed.lag,
            seed=feed.seed,
            rank=rank,
            world=world,
            cache=cache,
        )
    except ValueError as error:
        if not str(error).startswith("slots must be"):
            raise
        flags = "--bank-gib and --reuse-max up, or --batch, --size, --bank-size and --window-frames down"
        raise ValueError(f"the bank of decoded windows is too small: {error} ({flags})") from None


def held_out_loader(
    segments: list[gpuaug.Segment],
    sample: Sample,
    draws: Draws,
    feed: FeedSettings,
    pictures: EncoderInput,
    *,
    rank: int = 0,
    world: int = 1,
    cache: str | None = None,
) -> gpuaug.Loader:
    """Every window of every segment once, evenly spaced, the centre of the picture, unchanged.

    Of whole segments only the frames shown are decoded.
    """
    return gpuaug.Loader(
        segments,
        sample,
        **_common(feed, draws, pictures),
        placement="whole" if feed.window_placement == "whole" else draws.held_out_placement,
        shuffle=False,
        windows_per_sample=draws.windows_per_sample,
        samples_per_visit=draws.samples_per_visit,
        seed=feed.seed + VALIDATION_SEED,
        rank=rank,
        world=world,
        cache=cache,
    )


def _common(feed: FeedSettings, draws: Draws, pictures: EncoderInput) -> dict[str, Any]:
    return {
        "batch": feed.batch,
        "frames": feed.window_frames,
        "fps": feed.fps,
        "size": feed.size,
        "bank_size": feed.bank_size,
        "fit": feed.fit,
        "windows": feed.windows_per_segment,
        "pairs": draws.pairs,
        "rows_per_sample": draws.rows_per_sample,
        "whole_visits": draws.whole_visits,
        "backend": feed.backend,
        "threads": feed.threads,
        **asdict(pictures),
    }


def passes(
    draws: Draws, feed: FeedSettings, samples_per_segment: float, *, resident: bool, filling: float = 0.0
) -> str:
    """How often the data are decoded while so many samples of each segment are shown.

    Args:
        resident: the bank keeps all of the data.
        filling: passes that fill the bank, however little of it is shown.

    >>> feed = FeedSettings(batch=32, size=112, fps=15.0, window_frames=16, windows_per_segment=5, reuse_max=1)
    >>> passes(Draws(), feed, 40, resident=False)
    '8 passes'
    >>> feed = FeedSettings(batch=32, size=112, fps=15.0, window_frames=16, windows_per_segment=5)
    >>> [passes(Draws(), feed, 40, resident=False, filling=each) for each in (0.5, 3.0)]
    ['0.5 to 1.5 passes at reuse 8 to 32', 'at least 3 passes, which fill the bank,']
    """
    if resident:
        return "one pass, decoded once and kept,"  # of segments that are no longer than a window
    most, low = feed.reuse_max, feed.reuse_min
    if most is None:
        return "passes at any reuse"
    shown = samples_per_segment * draws.uses_per_sample / feed.windows_per_segment
    if most == 1 and draws.whole_visits:
        shown = samples_per_segment * draws.windows_per_sample / draws.rows_per_sample / feed.windows_per_segment
    if most == 1:
        return f"{shown:.3g} passes"
    once = feed.deterministic or low >= most
    if filling > shown / (most if once else low):
        fewer = " (fewer with a smaller --bank-gib)" if feed.bank_gib else ""
        return f"at least {filling:.3g} passes, which fill the bank{fewer},"
    if once:
        return f"{shown / most + filling / 2:.3g} passes at reuse {most}"  # the bank's are half used up
    return f"{max(filling, shown / most):.3g} to {shown / low + filling:.3g} passes at reuse {low} to {most}"
