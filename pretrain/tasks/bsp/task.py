"""BSP, boundary-sensitive pre-training (ICCV 2021): clips with four kinds of boundary, and the heads that tell them.

Every kind is one cross-fade of two clips with its own parameters: dc a blend of two classes (Eq. 1), sc a hard cut
between two videos of one class (Eq. 2), ds a change of speed (Eq. 3) without a second clip, ss neither.

Legend: N samples, T = 2τ output frames, S slots of the bank, M slots that can be shown, F features.
In the options' notes, [P] is the paper, [C] the code of TSM that it builds on, [ours] a choice the paper leaves open.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

import gpuaug

from .pairs import draw_clips
from .targets import DC, DS, KINDS, SC, SS, Mode, kinds_of, targets

__all__ = ["DC", "DS", "KINDS", "SC", "SS", "Head", "sample", "targets"]


def sample(
    rng: np.random.Generator,
    bank: gpuaug.ClipBank,
    n: int,
    *,
    mode: Mode = "boundary",
    boundaries: tuple[str, ...] | None = None,
    frames: int = 8,
    epsilon: tuple[int, int] | None = None,
    center: tuple[int, int] | None = None,
    change_point: tuple[int, int] | None = None,
    rates: tuple[float, ...] = (0.25, 0.5, 2.0, 4.0),
    sampling: Literal["uniform", "dense"] = "uniform",
    stride: float = 2.0,
) -> tuple[gpuaug.Plan, dict[str, NDArray]]:
    """The plan of `n` samples and their targets, which are read back from the plan (see `targets`).

    All kinds take their clips' time step and start from one distribution, which depends on the clip and never on the
    kind: a change of speed is drawn for every sample, and leaves its room, whether the sample shows it or not.

    Args:
        mode: boundary tells the kinds apart [P]; regression predicts a heat map of the boundary [P, 3.3]; action is
            plain action classification, the baseline [P]; two_head and distill do both [P, 3.4].
        boundaries: which of dc, sc, ds, ss, equally likely [P, Table 4; equal shares ours]. None: all four; ds for
            regression [P: one of dc, sc, ds]; ss for action.
        frames: output frames 2τ, even, ≥ 4 [P, figures].
        epsilon: lowest and highest ε, half the frames blended in dc [ours]. None: 1 … τ/2.
        center: lowest and highest number of frames before the second clip of dc and sc. None: τ [P, Eq. 1, 2]; for
            regression as change_point, since nothing could be learnt from one place [ours].
        change_point: lowest and highest number of frames t before the speed changes in ds [ours]. None: τ/2 … 3τ/2.
        rates: γ of ds, > 0 and not 1; equally likely [ours].
        sampling: uniform spreads the frames over the whole window, with a random offset; dense takes every `stride`-th
            frame from a random start [C]. One offset per clip, since one per frame would blur the speed [ours].
        stride: time step of dense sampling in frames of the window, ≥ 1 [C: 8 at the video's own rate].

    Errors: ValueError for options out of range; gpuaug.Starved where the bank lacks long enough or matching clips.
    """
    kinds = kinds_of(mode, boundaries)
    tau = _half(frames)
    change_low, change_high = _range("change_point", change_point or (max(2, tau // 2), 3 * tau // 2), 2, frames - 1)
    moving = (change_low, change_high) if mode == "regression" else (tau, tau)
    center_low, center_high = _range("center", center or moving, 1, frames - 1)
    epsilon_low, epsilon_high = _range("epsilon", epsilon or (min(1, tau // 2), max(1, tau // 2)), 0, tau)
    if not rates or any(rate <= 0 or rate == 1 for rate in rates):
        raise ValueError(f"rates must be > 0 and not 1, got rates={rates}")
    if sampling not in ("uniform", "dense") or stride < 1:
        raise ValueError(f"sampling must be 'uniform' or 'dense' with stride ≥ 1, got {sampling!r} and {stride}")
    reach = _reach(kinds, frames, change_low, rates)
    need = Head.least_frames(
        mode=mode,
        boundaries=boundaries,
        frames=frames,
        change_point=change_point,
        rates=rates,
        sampling=sampling,
        stride=stride,
    )

    kind = kinds[rng.integers(len(kinds), size=n)]
    change = rng.integers(change_low, change_high + 1, n)
    rate = np.asarray(rates)[rng.integers(len(rates), size=n)]
    # how far a sample reaches from its start; drawn for every kind, so that no kind has starts of its own
    span = np.maximum(frames, change + rate * (frames - change)) if DS in kinds else np.full(n, frames)
    change = np.where(kind == DS, change, frames)
    two = (kind == DC) | (kind == SC)
    cut = np.where(two, rng.integers(center_low, center_high + 1, n), frames)
    half = rng.integers(epsilon_low, epsilon_high + 1, n)
    overlap = np.where(kind == DC, 2 * np.minimum(half, np.minimum(cut, frames - cut)), 0)
    clip_N2 = draw_clips(rng, bank, two=two, same=kind == SC, need=need)

    length_N2 = bank.info["frames"][clip_N2]
    step_N2 = length_N2 / reach if sampling == "uniform" else np.full((n, 2), float(stride))
    start_N2 = rng.random((n, 2)) * (length_N2 - 1 - step_N2 * (span[:, None] - 1))
    position_NT = gpuaug.edits.speed_times(frames, change, rate)
    first = gpuaug.Plan.take(clip_N2[:, 0], start_N2[:, :1] + step_N2[:, :1] * position_NT)
    if two.any():
        second = gpuaug.Plan.take(clip_N2[:, 1], start_N2[:, 1:] + step_N2[:, 1:] * np.arange(frames))
        first = gpuaug.edits.crossfade(first, second, length=frames, center=cut, overlap=overlap)
    return first, targets(first, bank.info["label"])


class Head(nn.Module):
    """The losses of BSP on the encoder's features.

    Args:
        mode: as in `sample`.
        boundaries: as in `sample`.
        frames: as in `sample`; the length of the regressed heat map.
        dropout: share of the features dropped before the classifiers [C].
        action_weight: weight of the action loss of two_head and distill beside the boundary loss [ours].
        match_weight: weight of the two feature matching losses of distill [P: 1].
        teacher_action: checkpoint of a run with mode action, for distill [P, Figure 3c].
        teacher_boundary: checkpoint of a run with mode boundary, for distill [P, Figure 3c].
    """

    recipe: dict[str, Any] = {  # noqa: RUF012 — the loop's defaults, read only
        "encoder": "tsm_resnet18",  # [P] ablations; the main tables have tsm_resnet50
        "frames": 8,  # [P] figures
        "size": 224,  # [P]
        "fps": 30.0,  # [ours] so that clips of a second are long enough
        "window": 64,  # [C] of dense sampling
        "batch": 128,  # [C]
        "epochs": 50,  # [C]
        "optimizer": "sgd",  # [C]
        "lr": 0.02,  # [C] at batch 128
        "weight_decay": 1e-4,  # [C]
        "schedule": "step",  # [C]
        "milestones": (20, 40),  # [C] epochs
        "gamma": 0.1,  # [C]
        "clip": 20.0,  # [C]
        "crop": "multiscale",  # [C]
    }
    column: torch.Tensor
    mean_map: torch.Tensor
    seen: torch.Tensor

    def __init__(
        self,
        features: int,
        classes: list[str],
        *,
        mode: Mode = "boundary",
        boundaries: tuple[str, ...] | None = None,
        frames: int = 8,
        dropout: float = 0.5,
        action_weight: float = 1.0,
        match_weight: float = 1.0,
        teacher_action: str = "",
        teacher_boundary: str = "",
    ) -> None:
        super().__init__()
        kinds = kinds_of(mode, boundaries)
        self.mode, self.action_weight, self.match_weight = mode, action_weight, match_weight
        self.dropout = nn.Dropout(dropout)
        self.names = {"boundary": [KINDS[kind] for kind in kinds], "action": list(classes)}
        if mode == "regression":
            self.heatmap = nn.Linear(features, frames)
            self.register_buffer("mean_map", torch.zeros(frames))  # of the training targets: the constant predictor
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
        if mode == "distill":
            from .distillation import Teachers

            self.match = Teachers(features, teacher_action, teacher_boundary)

    @staticmethod
    def least_frames(
        *,
        mode: Mode = "boundary",
        boundaries: tuple[str, ...] | None = None,
        frames: int = 8,
        change_point: tuple[int, int] | None = None,
        rates: tuple[float, ...] = (0.25, 0.5, 2.0, 4.0),
        sampling: Literal["uniform", "dense"] = "uniform",
        stride: float = 2.0,
    ) -> int:
        """How many frames a window needs to be shown by `sample` with these options.

        >>> Head.least_frames(), Head.least_frames(boundaries=("dc", "ss")), Head.least_frames(sampling="dense")
        (26, 8, 51)
        """
        change_low = change_point[0] if change_point else max(2, frames // 4)
        reach = _reach(kinds_of(mode, boundaries), frames, change_low, rates)
        return reach if sampling == "uniform" else math.ceil(stride * (reach - 1)) + 1

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
            score = self.boundary(dropped_NF).float()
            loss = loss + F.cross_entropy(score, truth)
            scores["boundary"] = (truth, score.detach().argmax(1))
        if self.mode != "boundary":
            truth = target["action"]  # −1 where two classes are shown: not counted
            score = self.action(dropped_NF).float()
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
        map_NT = self.heatmap(feature_NF).float()
        error_N = F.smooth_l1_loss(map_NT, truth_NT, reduction="none").mean(1)
        if self.training:
            self.seen += 1
            self.mean_map += (truth_NT.mean(0) - self.mean_map) / self.seen
        constant_N = F.smooth_l1_loss(self.mean_map.expand_as(truth_NT), truth_NT, reduction="none").mean(1)
        scores = {"heatmap": error_N.detach(), "gain": (constant_N - error_N).detach()}
        return error_N.mean(), {**scores, "frame": (target["boundary"], map_NT.detach().argmax(1))}


def _reach(kinds: NDArray[np.int64], frames: int, change_low: int, rates: tuple[float, ...]) -> int:
    """The frames of a clip, at its time step, that the widest sample reaches over: Eq. 3 at i = 2τ."""
    return max(frames, math.ceil(change_low + max(rates) * (frames - change_low))) if DS in kinds else frames


def _half(frames: int) -> int:
    if frames < 4 or frames % 2:
        raise ValueError(f"frames must be even and ≥ 4, got frames={frames}")
    return frames // 2


def _range(name: str, value: tuple[int, int], low: int, high: int) -> tuple[int, int]:
    if len(value) != 2 or not low <= value[0] <= value[1] <= high:
        raise ValueError(f"{name} must be a lowest and a highest number in [{low}, {high}], got {name}={value}")
    return value
