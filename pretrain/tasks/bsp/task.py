"""BSP, boundary-sensitive pre-training (ICCV 2021): clips with four kinds of boundary, and the heads that tell them.

Every kind is one cross-fade of two clips with its own parameters: dc a blend of two classes (Eq. 1), sc a hard cut
between two videos of one class (Eq. 2), ds a change of speed (Eq. 3) without a second clip, ss neither.

Legend: N samples, T = 2τ output frames, S slots of the bank, M slots that can be shown, F features.
In the options' notes, [P] is the paper, [C] the code of TSM that it builds on, [ours] a choice the paper leaves open.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

import gpuaug

from ...common.settings import BadSetting, Default, Recipe, check, setting
from ...data.needs import Needs
from ...feed.loaders import Draws
from ...models.encoders import at_least_float32
from .pairs import draw_clips, in_all_kinds
from .targets import DC, DS, KINDS, SC, SS, Mode, kinds_of, needs_of, targets

__all__ = ["DC", "DS", "KINDS", "RECIPE", "SC", "SS", "Head", "Settings", "draws", "sample", "targets", "window_frames"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Options of `sample` and of `Head`. Errors: ValueError for those out of range."""

    mode: Mode = setting(
        "boundary",
        "boundary tells the kinds apart [P]; regression predicts a heat map of the boundary [P, 3.3]; action is plain "
        "action classification, the baseline [P]; two_head and distill do both [P, 3.4]",
    )
    boundaries: tuple[str, ...] | None = setting(
        None,
        "which of dc, sc, ds, ss, equally likely [P, Table 4; equal shares ours]; without it all four, for regression "
        "ds [P: one of dc, sc, ds], for action ss",
    )
    frames: int = setting(8, "output frames 2τ, even, ≥ 4 [P, figures]", least=4)
    epsilon: tuple[int, int] | None = setting(
        None, "lowest and highest ε, half the frames blended in dc; without it 1 … τ/2 [ours]"
    )
    center: tuple[int, int] | None = setting(
        None,
        "lowest and highest number of frames before the second clip of dc and sc; without it τ [P, Eq. 1, 2], for "
        "regression as --change-point, since nothing could be learnt from one place [ours]",
    )
    change_point: tuple[int, int] | None = setting(
        None, "lowest and highest number of frames t before the speed changes in ds; without it τ/2 … 3τ/2 [ours]"
    )
    rates: tuple[float, ...] = setting((0.25, 0.5, 2.0, 4.0), "γ of ds, not 1; equally likely [ours]", above=0)
    sampling: Literal["uniform", "dense"] = setting(
        "uniform",
        "uniform: the time step is the same share of every window, which --window-placement whole makes the video's "
        "[P, 3.2], with a random start; dense: --stride frames [C]; one offset per clip, since one per frame would "
        "blur the speed, and one step for all kinds and modes [ours]",
    )
    stride: float = setting(
        2.0, "time step of dense sampling in frames of the window [C: 8 at the video's own rate]", least=1
    )
    heatmap_tau: float | None = setting(
        None, "τ of the heat map exp(−(t − μ)²/2τ); without it the frames of a sample [P, ambiguous: 2τ or τ]", above=0
    )
    head_std: float = setting(0.001, "of the normal distribution that classifiers start from [C]", least=0)
    dropout: float = setting(0.5, "share of the features dropped before the classifiers [C]", least=0, most=1)
    action_weight: float = setting(
        1.0, "weight of the action loss of two_head and distill beside the boundary loss [ours]", least=0
    )
    match_weight: float = setting(1.0, "weight of the two feature matching losses of distill [P: 1]", least=0)
    teacher_action: str = setting("", "checkpoint of a run with mode action, for distill [P, Figure 3c]")
    teacher_boundary: str = setting("", "checkpoint of a run with mode boundary, for distill [P, Figure 3c]")

    def __post_init__(self) -> None:
        check(self)
        kinds_of(self.mode, self.boundaries)
        if self.frames % 2:
            raise BadSetting("frames", "even and ≥ 4", self.frames)
        if not self.rates or 1 in self.rates:
            raise BadSetting("rates", "> 0 and not 1", self.rates)
        for name, (low, high) in {"epsilon": (0, self.tau), "center": (1, self.frames - 1)}.items():
            _range(name, getattr(self, name), low, high)
        _range("change_point", self.change_point, 2, self.frames - 1)

    @property
    def tau(self) -> int:
        return self.frames // 2

    @property
    def change(self) -> tuple[int, int]:
        """Lowest and highest t."""
        return self.change_point or (max(2, self.tau // 2), 3 * self.tau // 2)

    @property
    def reach(self) -> int:
        """The frames of a clip, at its time step, that the widest sample reaches over: Eq. 3 at i = 2τ.

        Also where no speed changes: the rows of an ablation have one time step.
        """
        low, _ = self.change
        return max(self.frames, math.ceil(low + max(self.rates) * (self.frames - low)))


RECIPE: Recipe = {
    "encoder": Default("tsm_resnet18", "[P] ablations; the main tables have tsm_resnet50"),
    "size": Default(224, "[P]"),
    "fps": Default(30.0, "[ours] so that clips of a second are long enough"),
    "lr_head": Default(0.1, "[C] five times"),
    "bias_factor": Default(2.0, "[C]"),
    "decay": Default("weights", "[C]"),
    "sync_bn": Default(False, "[C]"),
    "window_frames": Default(64, "[C] of dense sampling"),
    "batch": Default(128, "[C]"),
    "epochs": Default(50.0, "[C]"),
    "optimizer": Default("sgd", "[C]"),
    "lr": Default(0.02, "[C] at batch 128"),
    "weight_decay": Default(1e-4, "[C]"),
    "schedule": Default("step", "[C]"),
    "milestones": Default((20.0, 40.0), "[C] epochs"),
    "gamma": Default(0.1, "[C]"),
    "grad_clip": Default(20.0, "[C]"),
    "crop": Default("multiscale", "[C]"),
}


EXTRACT_FPS = "native"  # features are of 8 consecutive frames of the video [P, 4.1]


def window_frames(settings: Settings) -> int:
    """How many frames a window needs to be shown by `sample`.

    >>> [window_frames(Settings(**each)) for each in ({}, {"rates": (2.0,)}, {"sampling": "dense"})]
    [26, 14, 51]
    """
    reach = settings.reach
    return reach if settings.sampling == "uniform" else math.ceil(settings.stride * (reach - 1)) + 1


def needs(settings: Settings) -> Needs:
    """Labels, for some kinds and modes."""
    return needs_of(settings.mode, settings.boundaries)


def draws(settings: Settings, windows: int) -> Draws:
    """Two kinds show two clips each."""
    kinds = kinds_of(settings.mode, settings.boundaries)
    two = np.isin(kinds, (DC, SC))
    most, mean = 1 + bool(two.any()), 1 + float(two.mean())
    return Draws(pairs=True, windows_per_sample=most, uses_per_sample=mean, samples_per_visit=len(kinds))


def sample(
    rng: np.random.Generator,
    bank: gpuaug.ClipBank,
    n: int,
    settings: Settings,
    *,
    first: NDArray[np.int64] | None = None,
) -> tuple[gpuaug.Plan, dict[str, NDArray]]:
    """The plan of `n` samples and their targets, which are read back from the plan (see `targets`).

    All kinds take their clips' time step and start from one distribution, which depends on the clip and never on the
    kind: a change of speed is drawn for every sample, and leaves its room, whether the sample shows it or not.

    Args:
        first: int64, slots of clips that are each to be shown in all kinds, where they are given. Samples for which the
            bank has no partner are left out; "slot" among the targets says of which clip a sample is.

    Errors: gpuaug.Starved where the bank lacks long enough or matching clips.
    """
    kinds, rates = kinds_of(settings.mode, settings.boundaries), settings.rates
    frames, tau = settings.frames, settings.tau
    change_low, change_high = settings.change
    center_low, center_high = settings.center or (settings.change if settings.mode == "regression" else (tau, tau))
    epsilon_low, epsilon_high = settings.epsilon or (1, max(1, tau // 2))

    need = window_frames(settings)
    if first is None:
        kind = kinds[rng.integers(len(kinds), size=n)]
    else:
        first, kind = in_all_kinds(bank, first, kinds, need)
        if (n := len(first)) == 0:
            return gpuaug.Plan.take(first, np.zeros((0, frames))), {}
    change = rng.integers(change_low, change_high + 1, n)
    rate = np.asarray(rates)[rng.integers(len(rates), size=n)]
    # how far a sample reaches from its start; drawn for every kind, so that no kind has starts of its own
    span = np.maximum(frames, change + rate * (frames - change)) if DS in kinds else np.full(n, frames)
    change = np.where(kind == DS, change, frames)
    two = (kind == DC) | (kind == SC)
    cut = np.where(two, rng.integers(center_low, center_high + 1, n), frames)
    half = rng.integers(epsilon_low, epsilon_high + 1, n)
    overlap = np.where(kind == DC, 2 * np.minimum(half, np.minimum(cut, frames - cut)), 0)
    clip_N2 = draw_clips(rng, bank, two=two, same=kind == SC, need=need, first=first)

    length_N2 = bank.info["frames"][clip_N2]
    uniform = settings.sampling == "uniform"
    step_N2 = length_N2 / settings.reach if uniform else np.full((n, 2), float(settings.stride))
    start_N2 = rng.random((n, 2)) * (length_N2 - 1 - step_N2 * (span[:, None] - 1))
    position_NT = gpuaug.edits.speed_times(frames, change, rate)
    plan = gpuaug.Plan.take(clip_N2[:, 0], start_N2[:, :1] + step_N2[:, :1] * position_NT)
    if two.any():
        second = gpuaug.Plan.take(clip_N2[:, 1], start_N2[:, 1:] + step_N2[:, 1:] * np.arange(frames))
        plan = gpuaug.edits.crossfade(plan, second, length=frames, center=cut, overlap=overlap)
    target = targets(plan, bank.info["label"], settings.heatmap_tau)
    return plan, target if first is None else {**target, "slot": first}


class Head(nn.Module):
    """The losses of BSP on the encoder's features."""

    column: torch.Tensor
    mean_map: torch.Tensor
    seen: torch.Tensor

    def __init__(self, features: int, classes: list[str], settings: Settings) -> None:
        super().__init__()
        mode, kinds = settings.mode, kinds_of(settings.mode, settings.boundaries)
        self.mode, self.action_weight, self.match_weight = mode, settings.action_weight, settings.match_weight
        self.dropout = nn.Dropout(settings.dropout)
        self.names = {"boundary": [KINDS[kind] for kind in kinds], "action": list(classes)}
        if mode == "regression":
            self.heatmap = nn.Linear(features, settings.frames)
            self.register_buffer(
                "mean_map", torch.zeros(settings.frames)
            )  # of the training targets: the constant predictor
            self.register_buffer("seen", torch.zeros(()))
        if mode in ("boundary", "two_head", "distill"):
            self.boundary = nn.Linear(features, len(kinds))
            column = torch.full((len(KINDS),), -1)
            column[torch.from_numpy(kinds)] = torch.arange(len(kinds))
            self.register_buffer("column", column, persistent=False)
        if mode in ("action", "two_head", "distill"):
            if len(classes) < 2:
                raise ValueError(f"mode {mode} needs videos of at least 2 classes, got {len(classes)}")
            self.action = nn.Linear(features, len(classes))
        for layer in (each for each in self.children() if isinstance(each, nn.Linear)):
            nn.init.normal_(layer.weight, 0, settings.head_std)
            nn.init.zeros_(layer.bias)
        if mode == "distill":
            from .distillation import Teachers

            self.match = Teachers(features, settings.teacher_action, settings.teacher_boundary)

    def loss(
        self, encoder: nn.Module, clip_NCTYX: torch.Tensor, target: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """The mean loss, and per sample: (truth, prediction) of "boundary" and "action", errors of the heat map."""
        feature_NF = encoder(clip_NCTYX)
        dropped_NF = self.dropout(feature_NF)
        scores: dict[str, Any] = {}
        if self.mode == "regression":
            return self._heatmap_loss(dropped_NF, target)
        loss = feature_NF.new_zeros((), dtype=torch.float32)
        if self.mode != "action":
            truth = self.column[target["kind"]]
            score = at_least_float32(self.boundary(dropped_NF))
            loss = loss + F.cross_entropy(score, truth)
            scores["boundary"] = (truth, score.detach().argmax(1))
        if self.mode != "boundary":
            truth = target["action"]  # −1 where two classes are shown: not counted
            score = at_least_float32(self.action(dropped_NF))
            each = F.cross_entropy(score, truth, ignore_index=-1, reduction="none")
            loss = loss + each.mean() * (1.0 if self.mode == "action" else self.action_weight)
            scores["action"] = (truth, score.detach().argmax(1))
        if self.mode == "distill":
            match = self.match(feature_NF, clip_NCTYX)
            loss = loss + self.match_weight * match.mean()
            scores["match"] = match.detach()
        return loss, scores

    def _heatmap_loss(
        self, feature_NF: torch.Tensor, target: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """Smooth L1 of the map [P]; "gain" is how much smaller it is than that of the mean training target."""
        truth_NT = target["heatmap"]
        map_NT = at_least_float32(self.heatmap(feature_NF))
        error_N = F.smooth_l1_loss(map_NT, truth_NT, reduction="none").mean(1)
        if self.training:
            self.seen += 1
            self.mean_map += (truth_NT.mean(0) - self.mean_map) / self.seen
        constant_N = F.smooth_l1_loss(self.mean_map.expand_as(truth_NT), truth_NT, reduction="none").mean(1)
        scores = {"heatmap": error_N.detach(), "gain": (constant_N - error_N).detach()}
        return error_N.mean(), {**scores, "frame": (target["boundary"], map_NT.detach().argmax(1))}


def _range(name: str, value: tuple[int, int] | None, low: int, high: int) -> None:
    if value is not None and not low <= value[0] <= value[1] <= high:
        raise BadSetting(name, f"a lowest and a highest number in [{low}, {high}]", value)
