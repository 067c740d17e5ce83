"""TSP, temporally-sensitive pre-training (ICCVW 2021): which action a clip shows, and whether it shows one at all.

Clips of untrimmed videos, as many of actions as of background. A second head sees, beside the clip's feature, one fixed
vector of its whole video, the GVF (`python -m pretrain extract --pool max --out gvf.h5`, once, before training).

Legend: N samples, T frames, S slots of the bank, F features, V videos of the GVF file.
In the options' notes, [P] is the paper, [C] its authors' code, [D] a default of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

import gpuaug

from ...common.settings import Default, Recipe, check, setting
from ...data.needs import Needs
from ...features.store import Features
from ...feed.loaders import Draws
from ...models.encoders import at_least_float32


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Options of `sample` and of `Head`. Errors: ValueError for those out of range."""

    frames: int = setting(16, "frames of a clip [P, C]", least=1)
    balance: bool = setting(
        False, "as many clips of actions as of background in every batch [P]; without it each comes as often [C]"
    )
    gvf: str = setting("", "file of the videos' fixed vectors, made by extract --pool; without it no GVF [P, Table 1]")
    head_std: float = setting(0.01, "of the normal distribution that the heads start from [C]", least=0)
    action_weight: float = setting(1.0, "α of the action loss [P, C: 1]; 0 leaves the head out of the loss", least=0)
    region_weight: float = setting(1.0, "α of the temporal region loss [P, C: 1]", least=0)

    def __post_init__(self) -> None:
        check(self)
        weights = self.action_weight, self.region_weight
        if sum(weights) == 0:
            raise ValueError(f"weights must be ≥ 0 and not both 0, got {weights[0]} and {weights[1]}")


RECIPE: Recipe = {
    "encoder": Default("r2plus1d_18", "[P] also r3d_18 and, in the main tables, r2plus1d_34"),
    "size": Default(112, "[P, C]"),
    "fps": Default(15.0, "[C]; [P] every second frame of 30 per second"),
    "window_frames": Default(16, "[P, C] a clip's"),
    "windows_per_segment": Default(5, "[P]"),
    "clips_per_segment": Default(5, "[P]"),
    "window_placement": Default("random", "[P]; evenly spaced in validation"),
    "reuse_min": Default(1, "[P, C]"),
    "reuse_max": Default(1, "[P, C] every clip once"),
    "bank_size": Default((128, 171), "[C]; [P] keeps the aspect ratio: --fit inside --bank-size 228 228", "size"),
    "fit": Default("stretch", "[C]"),
    "crop": Default("random", "[P, C] 112² and flip"),
    "batch": Default(32, "[P, C] per GPU"),
    "epochs": Default(8.0, "[P, C]"),
    "optimizer": Default("sgd", "[P, C]"),
    "lr": Default(1e-4, "[P, C] at batch 32, of the encoder's layers, times the number of GPUs"),
    "lr_stem": Default(0.0, "[C]"),
    "lr_head": Default(0.002, "[C] on ActivityNet; .004 on THUMOS14"),
    "weight_decay": Default(0.005, "[C]"),
    "schedule": Default("step", "[P, C]"),
    "milestones": Default((4.0, 6.0), "[P, C] epochs"),
    "gamma": Default(0.01, "[P, C]"),
    "warmup": Default(2.0, "[P, C] epochs"),
    "val_every": Default(1.0, "[C] epoch"),
}


def window_frames(settings: Settings) -> int:
    """How many frames a window needs: a clip's [C]."""
    return settings.frames


def needs(settings: Settings) -> Needs:
    """Actions to tell apart, and background where batches are to have as much of it."""
    return Needs(
        label="TSP",
        background="--balance" if settings.balance else "",
        otherwise="leave out --balance" if settings.balance else "",
        given_by="--annotations says where actions are",
    )


def draws(settings: Settings, windows: int) -> Draws:
    """One window a clip; held-out ones reach from end to end of a segment [C]."""
    return Draws(balance=settings.balance, held_out_placement="ends")


def sample(
    rng: np.random.Generator,
    bank: gpuaug.ClipBank,
    n: int,
    settings: Settings,
    *,
    first: NDArray[np.int64] | None = None,
) -> tuple[gpuaug.Plan, dict[str, NDArray]]:
    """The plan of `n` clips, and their targets, which are read back from the plan (see `targets`).

    Args:
        first: int64 (n,), the clips' slots, where they are given.

    Errors: ValueError naming the videos that the GVF file lacks; gpuaug.Starved where the bank holds too few clips.
    """
    frames = settings.frames
    if first is not None:
        slot = first
    elif settings.balance:
        actions = n // 2 + n % 2 * int(rng.integers(2))
        action = bank.info["label"] >= 0
        for side, wanted, name in ((action, actions, "action"), (~action, n - actions, "background")):
            if wanted and bank.info["ready"].any() and not (side & bank.info["ready"]).any():
                cure = f"--annotations of videos with {name} of {frames} frames or more, or leave out --balance"
                raise gpuaug.Starved(f"clips of {name} are wanted for balance, the bank holds none: give {cure}")
        drawn = [bank.draw(rng, actions, action)[:actions], bank.draw(rng, n - actions, ~action)[: n - actions]]
        slot = rng.permutation(np.concatenate(drawn))
    else:
        slot = bank.draw(rng, n)[:n]
    plan = gpuaug.Plan.take(slot, np.arange(frames), frames=bank.info["frames"], edge="repeat")
    target = targets(plan, bank.info)
    if settings.gvf:
        target["gvf"] = _rows_of(settings.gvf, bank)[target["video"]]
    return plan, target


def targets(plan: gpuaug.Plan, info: NDArray) -> dict[str, NDArray]:
    """What a plan says about itself.

    Args:
        plan: N samples that show one slot each. info: the bank's table.

    Returns:
        action: int64 (N,), the class of the clip's segment; −1 for background.
        region: int64 (N,), 1 for a clip of an action, 0 for background.
        video, group: int64 (N,), the clip's video and, common to clips of one segment, its group of slots.
        start_seconds, end_seconds: float64 (N,), the part of the video that the clip covers, half-open.
    """
    slot_NT, time_NT = plan.source()
    row = info[slot_NT[:, 0]]
    action = row["label"].copy()
    return {
        "action": action,
        "region": (action >= 0).astype(np.int64),
        "video": row["video"].copy(),
        "group": row["group"].copy(),
        "start_seconds": row["start_seconds"] + time_NT[:, 0] / row["fps"],
        "end_seconds": row["start_seconds"] + (time_NT[:, -1] + 1) / row["fps"],
    }


class Head(nn.Module):
    """Two linear classifiers: the action, on clips of actions only, and the temporal region, on clip and GVF."""

    def __init__(self, features: int, classes: list[str], settings: Settings) -> None:
        super().__init__()
        if not classes:
            raise ValueError("TSP needs videos with annotated actions, got no class")
        self.action_weight, self.region_weight = settings.action_weight, settings.region_weight
        self.names = {"action": list(classes), "region": ["background", "action"]}
        self._gvf_VF = _table(settings.gvf) if settings.gvf else None
        extra = 0 if self._gvf_VF is None else self._gvf_VF.shape[1]
        self.action = nn.Linear(features, len(classes))
        self.region = nn.Linear(features + extra, 2)
        for layer in (self.action, self.region):
            nn.init.normal_(layer.weight, 0, settings.head_std)
            nn.init.zeros_(layer.bias)

    def loss(
        self, encoder: nn.Module, clip_NCTYX: torch.Tensor, target: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """α_c · cross-entropy of the action, 0 without any clip of one, + α_r · cross-entropy of the region [P, Eq. 1].

        The scores are (truth, prediction) of "action", with truth −1 for background, and of "region".
        """
        feature_NF = encoder(clip_NCTYX)
        action_N, region_N = target["action"], target["region"]
        action_NC = at_least_float32(self.action(feature_NF))
        if self._gvf_VF is not None:
            self._gvf_VF = self._gvf_VF.to(feature_NF.device)
            feature_NF = torch.cat([feature_NF, self._gvf_VF[target["gvf"]].to(feature_NF.dtype)], 1)
        region_N2 = at_least_float32(self.region(feature_NF))
        total = F.cross_entropy(action_NC, action_N, ignore_index=-1, reduction="sum")
        loss = self.action_weight * total / region_N.sum().clamp_min(1)
        loss = loss + self.region_weight * F.cross_entropy(region_N2, region_N)
        scores = {"action": (action_N, action_NC.argmax(1)), "region": (region_N, region_N2.argmax(1))}
        return loss, scores


def _table(gvf: str) -> torch.Tensor:
    """float32 (V, F): the vectors of a GVF file in the order of its names."""
    features = Features(gvf)
    shapes = {name: features[name].shape for name in features}
    first = next(iter(shapes.values()))
    for name, shape in shapes.items():
        if len(shape) != 1 or shape != first:
            raise ValueError(f"{gvf} must hold one vector of {first[0]} numbers per video, got {shape} for {name}")
    return torch.from_numpy(np.stack([features[name] for name in features]))


_ROWS: WeakKeyDictionary[gpuaug.ClipBank, dict[str, NDArray[np.int64]]] = WeakKeyDictionary()


def _rows_of(gvf: str, bank: gpuaug.ClipBank) -> NDArray[np.int64]:
    """`_rows` of a bank's videos, looked up once: there may be hundreds of thousands."""
    known = _ROWS.setdefault(bank, {})
    if gvf not in known:
        known[gvf] = _rows(gvf, bank.videos)
    return known[gvf]


def _rows(gvf: str, videos: Sequence[str]) -> NDArray[np.int64]:
    """(V,) where in a GVF file the vectors of `videos` (paths) are; found by stem, or with folders: "folder/stem"."""
    number = {name: k for k, name in enumerate(Features(gvf))}
    parts = [PurePath(video).with_suffix("").parts for video in videos]
    names = [["/".join(part[i:]) for i in range(len(part) - 1, -1, -1)] for part in parts]
    rows = [next((number[name] for name in options if name in number), -1) for options in names]
    missing = [video for video, row in zip(videos, rows) if row < 0]
    if missing:
        more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
        raise ValueError(f"{gvf} must have a vector for every video, it lacks {', '.join(missing[:10])}{more}")
    return np.array(rows)
