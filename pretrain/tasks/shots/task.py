"""Shots: windows of several shots joined by cuts, jumps and transitions; what every frame is, is what has to be told.

The idea is TransNet V2's (arXiv 2008.04838) and OmniShotCut's (2604.24762): detectors learn from synthesised edits
alone. What is learnt from here is the plan itself. [T] is TransNet V2, [O] OmniShotCut, [ours] this project.

Legend: N samples, C = 3 channels, T frames, Y X picture, S shots.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

import gpuaug

from ...common.settings import BadSetting, Default, Recipe, check, setting
from ...data.needs import Needs
from ...feed.loaders import Draws
from ...shots.boundaries import FAMILIES
from ...shots.network import MEAN, SIZE, STD, Outputs
from . import looks, timeline
from .timeline import targets

__all__ = ["RECIPE", "Head", "Settings", "draws", "sample", "targets", "window_frames"]
MARGIN = 24  # frames before and after a window, so that transitions reach over its ends
LEAST_CHANGE = 0.008  # mean difference of neighbouring pictures, of 1, below which a jump is not there to be seen


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Options of `sample` and of `Head`. Errors: ValueError for those out of range."""

    frames: int = setting(100, "output frames [T: 100]", least=8)
    shots: int = setting(12, "the most shots of a sample", least=1)
    dense: float = setting(0.7, "probability of runs of short shots [O: they matter]", least=0, most=1)
    similar: float = setting(0.5, "probability of a partner of like looks, of the same class [O]", least=0, most=1)
    gradual: float = setting(0.35, "probability that a boundary is gradual [ours]", least=0, most=1)
    jumps: float = setting(0.2, "probability that it is a jump: time left out of one clip [ours]", least=0, most=1)
    deployed: float = setting(1.0, "how much happens to the pictures, as to deployed video [ours]", least=0, most=1)
    traps: float = setting(0.15, "probability of each kind of hard negative [ours]", least=0, most=1)
    fast: float = setting(0.3, "share of shots in which things move much faster [ours]", least=0, most=1)
    families: tuple[str, ...] = setting((), "of gradual transitions, such as dissolve wipe; without it all [ours]")
    conversions: float = setting(0.2, "share of samples with repeated or left-out frames [ours]", least=0, most=1)

    def __post_init__(self) -> None:
        check(self)
        for name in self.families:
            if name not in timeline.WEIGHTS:
                raise BadSetting("families", f"of {', '.join(sorted(timeline.WEIGHTS))}", name)


RECIPE: Recipe = {
    "encoder": Default("shots", "[ours]"),
    "size": Default(SIZE, "[ours] as many pixels as [T]"),
    "bank_size": Default((40, 40), "[ours]", "size"),
    "fit": Default("stretch", "[T]"),
    "crop": Default("multiscale", "[ours]"),
    "fps": Default(30.0, "[ours]"),
    "window_frames": Default(120, "[ours]"),
    "batch": Default(16, "[T]"),
    "epochs": Default(50.0, "[ours]"),
    "optimizer": Default("adamw", "[ours]"),
    "lr": Default(2e-3, "[ours]"),
    "weight_decay": Default(0.01, "[ours]"),
    "schedule": Default("cosine", "[ours]"),
    "precision": Default("fp32", "[ours] small convolutions gain nothing"),
    "grad_clip": Default(5.0, "[ours]"),
}


def window_frames(settings: Settings) -> int:
    """Windows of a second serve; in a shot that lasts longer they go back and forth.

    >>> window_frames(Settings())
    30
    """
    return 30


def needs(settings: Settings) -> Needs:
    """Nothing; classes only say which windows look alike, and may be others on the two sides of a split."""
    return Needs(any_held_out=True)


def draws(settings: Settings, windows: int) -> Draws:
    """Up to `shots` windows a sample."""
    mean = settings.dense * (3 + settings.shots) / 2 + (1 - settings.dense) * 2
    return Draws(pairs=False, windows_per_sample=settings.shots, uses_per_sample=min(mean, settings.shots))


def sample(
    rng: np.random.Generator,
    bank: gpuaug.ClipBank,
    n: int,
    settings: Settings,
    *,
    first: NDArray[np.int64] | None = None,
) -> tuple[gpuaug.Plan, dict[str, NDArray]]:
    """The plan of `n` samples, what their frames are, and what happens to their pictures (`looks`).

    Args:
        first: int64, slots of the windows that samples begin with, where they are given.

    Errors: gpuaug.Starved where the bank lacks windows.
    """
    n, length = len(first) if first is not None else n, settings.frames * 6 // 5 + 2 * MARGIN
    line = timeline.draw(
        rng, n, length=length, shots=settings.shots, dense=settings.dense, gradual=settings.gradual,
        jumps=settings.jumps,
        weights={name: timeline.WEIGHTS[name] for name in settings.families or timeline.WEIGHTS},
    )  # fmt: skip
    slot = _slots(rng, bank, line, settings, first)
    plan = timeline.compose(rng, line, bank.info["frames"][slot], fast=settings.fast)
    plan = timeline.converted(rng, plan, length=settings.frames, share=settings.conversions)
    drawn = looks.draw(rng, n, settings.frames, deployed=settings.deployed, traps=settings.traps)
    found = {**targets(plan, line.jump), **drawn}
    of_shot = np.take_along_axis(slot[:, None], np.maximum(plan.clip, 0), 2)
    return replace(plan, clip=np.where(plan.clip < 0, plan.clip, of_shot)), found


def _slots(
    rng: np.random.Generator,
    bank: gpuaug.ClipBank,
    line: timeline.Timeline,
    settings: Settings,
    first: NDArray[np.int64] | None,
) -> NDArray[np.int64]:
    """(N, S): the clips of the shots; partners of like looks are of the same class, if it has others."""
    n, shots = line.begin.shape
    wanted = line.used & ~line.jump
    among = bank.info["frames"] >= window_frames(settings)
    order = bank.draw(rng, int(wanted.sum()), among=among)
    slot = np.zeros((n, shots), np.int64)
    slot[wanted] = order[: int(wanted.sum())]
    if first is not None:
        slot[:, 0] = first
    label, left = bank.info["label"], bank.info["uses"]
    limit = np.iinfo(np.int64).max if bank.reuse_max is None else bank.reuse_max
    members: dict[int, NDArray[np.int64]] = {}
    count = np.bincount(slot[wanted], minlength=len(label))
    for i, s in zip(*np.nonzero(line.used & (np.arange(shots) > 0))):
        before = int(slot[i, s - 1])
        if line.jump[i, s]:
            slot[i, s] = before
            continue
        kind = int(label[before])
        if kind >= 0 and rng.random() < settings.similar:
            if kind not in members:
                members[kind] = np.flatnonzero(bank.info["ready"] & among & (label == kind))
            able = members[kind][(members[kind] != before) & (left + count < limit)[members[kind]]]
            if len(able):
                count[slot[i, s]] -= 1
                slot[i, s] = able[rng.integers(len(able))]
                count[slot[i, s]] += 1
        if slot[i, s] == before:  # a cut to the same clip would be a jump
            able = np.flatnonzero(bank.info["ready"] & among & (left + count < limit))
            able = able[able != before]
            if len(able):
                slot[i, s] = able[rng.integers(len(able))]
    for s in range(1, shots):
        slot[:, s] = np.where(line.used[:, s], slot[:, s], slot[:, s - 1])
    return slot


class Head(nn.Module):
    """What frames are, from the encoder's features of every frame."""

    noise: torch.Tensor
    weight: torch.Tensor

    def __init__(self, features: int, classes: list[str], settings: Settings) -> None:
        super().__init__()
        self.outputs = Outputs(features, FAMILIES)
        self.register_buffer("noise", looks.noise(SIZE), persistent=False)
        self.register_buffer("weight", torch.tensor([6.0, 1.5, 6.0]), persistent=False)  # of rare frames

    def loss(
        self, encoder: nn.Module, clip_NCTYX: torch.Tensor, target: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """Cross-entropies of the marks and of the family; per sample: F1 of new shots, IoU inside, jumps found."""
        with torch.no_grad():
            seen_NT = seen(clip_NCTYX, target["jump"])
            clip_NCTYX = (looks.apply(clip_NCTYX.float() * STD + MEAN, target, self.noise) - MEAN) / STD
        mark_NTM, family_NTK = self.outputs(encoder(clip_NCTYX))
        truth_NTM = torch.stack([target[name] for name in ("new", "inside", "jump")], 2)
        known_NTM = torch.stack([target["known"], torch.ones_like(seen_NT), seen_NT], 2)
        marks = F.binary_cross_entropy_with_logits(mark_NTM, truth_NTM, pos_weight=self.weight, reduction="none")
        family_NT = F.cross_entropy(family_NTK.transpose(1, 2), target["family"], ignore_index=-1, reduction="none")
        counted = (target["family"] >= 0).sum().clamp(min=1)
        loss = (marks * known_NTM).mean((0, 1)).sum() + 0.1 * family_NT.sum() / counted
        found = mark_NTM.detach() > 0
        inside, true = found[..., 1], truth_NTM[..., 1] > 0
        overlap = (inside & true).sum(1), (inside | true).sum(1)
        return loss, {
            "new": _f1(mark_NTM[..., 0].detach(), truth_NTM[..., 0], 2),
            "jump": _f1(mark_NTM[..., 2].detach(), truth_NTM[..., 2], 0),
            "inside": torch.where(overlap[1] > 0, overlap[0] / overlap[1].clamp(min=1), 1.0),
        }


def seen(clip_NCTYX: torch.Tensor, jump_NT: torch.Tensor) -> torch.Tensor:
    """(N, T): 0 at jumps that cannot be seen, since the picture stands, or changes no more than it does anyway."""
    change = F.pad((clip_NCTYX[:, :, 1:] - clip_NCTYX[:, :, :-1]).abs().float().mean((1, 3, 4)) * STD, (1, 0))
    usual = torch.maximum(F.pad(change[:, :-1], (1, 0)), F.pad(change[:, 1:], (0, 1)))
    return 1 - jump_NT * ((change < LEAST_CHANGE) | (change < usual)).float()


def _f1(logit_NT: torch.Tensor, truth_NT: torch.Tensor, slack: int) -> torch.Tensor:
    """(N,) of peaks above one half, within `slack` frames; 1 where there is nothing and nothing was found."""
    peak = (logit_NT > 0) & (logit_NT >= F.max_pool1d(logit_NT[:, None], 5, 1, 2)[:, 0])

    def near(mask_NT: torch.Tensor) -> torch.Tensor:
        return F.max_pool1d(mask_NT[:, None].float(), 2 * slack + 1, 1, slack)[:, 0] > 0

    true = truth_NT > 0
    hits, missed = (true & near(peak)).sum(1), (true & ~near(peak)).sum(1)
    false = (peak & ~near(true)).sum(1)
    total = 2 * hits + missed + false
    return torch.where(total > 0, 2 * hits / total.clamp(min=1), 1.0)
