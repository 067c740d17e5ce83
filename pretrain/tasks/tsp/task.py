"""TSP, temporally-sensitive pre-training (ICCVW 2021): which action a clip shows, and whether it shows one at all.

Clips of untrimmed videos, as many of actions as of background. A second head sees, beside the clip's feature, one fixed
vector of its whole video, the GVF (`python -m pretrain extract --pool max --out gvf.h5`, once, before training).

Legend: N samples, T frames, S slots of the bank, F features, V videos of the GVF file.
In the options' notes, [P] is the paper, [C] its authors' code, [D] a default of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

import gpuaug

from ...features.store import Features


def sample(
    rng: np.random.Generator,
    bank: gpuaug.ClipBank,
    n: int,
    *,
    frames: int = 16,
    balance: bool = True,
    gvf: str = "",
) -> tuple[gpuaug.Plan, dict[str, NDArray]]:
    """The plan of `n` clips, and their targets, which are read back from the plan (see `targets`).

    Args:
        frames: frames of a clip [P, C: 16].
        balance: as many clips of actions as of background [P; by sampling D]; else as they come.
        gvf: file of the videos' fixed vectors, made by extract --pool; empty for no GVF [P, Table 1].

    Errors: ValueError naming the videos that the GVF file lacks; gpuaug.Starved where the bank holds too few clips.
    """
    if balance:
        actions = n // 2 + n % 2 * int(rng.integers(2))
        action = bank.info["label"] >= 0
        for side, wanted, name in ((action, actions, "action"), (~action, n - actions, "background")):
            if wanted and bank.info["ready"].any() and not (side & bank.info["ready"]).any():
                cure = f"--annotations of videos with {name} of {frames} frames or more, or --no-balance"
                raise gpuaug.Starved(f"clips of {name} are wanted for balance, the bank holds none: give {cure}")
        drawn = [bank.draw(rng, actions, action)[:actions], bank.draw(rng, n - actions, ~action)[: n - actions]]
        slot = rng.permutation(np.concatenate(drawn))
    else:
        slot = bank.draw(rng, n)[:n]
    plan = gpuaug.Plan.take(slot, np.arange(frames), frames=bank.info["frames"], edge="repeat")
    target = targets(plan, bank.info)
    if gvf:
        target["gvf"] = _rows(gvf, tuple(bank.videos))[target["video"]]
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
    """Two linear classifiers: the action, on clips of actions only, and the temporal region, on clip and GVF.

    Args:
        gvf: as in `sample`.
        action_weight: α of the action loss [P, C: 1]; 0 leaves the head out of the loss.
        region_weight: α of the temporal region loss [P, C: 1].
    """

    recipe: dict[str, Any] = {  # noqa: RUF012 — the loop's defaults, read only
        "encoder": "r2plus1d_18",  # [P] also r3d_18 and, in the main tables, r2plus1d_34
        "frames": 16,  # [P, C]
        "size": 112,  # [P, C]
        "fps": 15.0,  # [C]; [P] every second frame of 30 per second
        "window": 16,
        "windows": 5,  # [P]
        "clips_per_segment": 5,  # [P]
        "place": "random",  # [P]; evenly spaced in validation
        "bank_size": (128, 171),  # [C]; [P] keeps the aspect ratio: --fit inside --bank-size 228 228
        "fit": "stretch",  # [C]
        "crop": "random",  # [P, C] 112² and flip
        "batch": 32,  # [P, C] per GPU
        "epochs": 8,  # [P, C]
        "optimizer": "sgd",  # [P, C]
        "lr": 1e-4,  # [P, C] of the encoder's layers, times the number of GPUs
        "lr_stem": 0.0,  # [C]
        "lr_head": 0.002,  # [C] on ActivityNet; .004 on THUMOS14
        "weight_decay": 0.005,  # [C]
        "schedule": "step",  # [P, C]
        "milestones": (4, 6),  # [P, C] epochs
        "gamma": 0.01,  # [P, C]
        "warmup": 2.0,  # [P, C] epochs
    }

    def __init__(
        self,
        features: int,
        classes: list[str],
        *,
        gvf: str = "",
        action_weight: float = 1.0,
        region_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if not classes:
            raise ValueError("TSP needs videos with annotated actions, got no class")
        if min(action_weight, region_weight) < 0 or action_weight + region_weight == 0:
            raise ValueError(f"weights must be ≥ 0 and not both 0, got {action_weight} and {region_weight}")
        self.action_weight, self.region_weight = action_weight, region_weight
        self.names = {"action": list(classes), "region": ["background", "action"]}
        self._gvf_VF = _table(gvf) if gvf else None
        extra = 0 if self._gvf_VF is None else self._gvf_VF.shape[1]
        self.action = nn.Linear(features, len(classes))
        self.region = nn.Linear(features + extra, 2)

    @staticmethod
    def least_frames(*, frames: int = 16) -> int:
        """How many frames a window needs: a clip's [C]."""
        return frames

    def loss(
        self, encoder: nn.Module, clip_NCTYX: torch.Tensor, target: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """α_c · cross-entropy of the action, 0 without any clip of one, + α_r · cross-entropy of the region [P, Eq. 1].

        The scores are (truth, prediction) of "action", with truth −1 for background, and of "region".
        """
        feature_NF = encoder(clip_NCTYX)
        action_N, region_N = target["action"], target["region"]
        action_NC = self.action(feature_NF).float()
        if self._gvf_VF is not None:
            self._gvf_VF = self._gvf_VF.to(feature_NF.device)
            feature_NF = torch.cat([feature_NF, self._gvf_VF[target["gvf"]].to(feature_NF.dtype)], 1)
        region_N2 = self.region(feature_NF).float()
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


@lru_cache
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
