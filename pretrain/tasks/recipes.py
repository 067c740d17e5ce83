"""The published recipes as data: `train --recipe NAME`, one for each row of the papers' tables that trains a network;
and presets, `train --preset NAME`, for other purposes than theirs.

Each says what it changes of its task's own recipe, and where every value comes from; what the user has to bring, such
as weights, stands in `needs`. docs/fidelity.md is made from this. Used by training; imports common.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..common.settings import Default, Recipe

IMAGENET = "ImageNet weights of torchvision [C]"
KINETICS = "weights pre-trained on Kinetics-400 [P, C]"
GVF = "the element-wise maximum of each video's features of the untrained encoder, extract --pool max [P]"


@dataclass(frozen=True)
class Published:
    """A row of a paper.

    Attributes:
        task: its name. row: where it stands in the paper, and its result there.
        flags: what differs from the task's RECIPE. needs: flags that the user has to give → what is published.
        grid: flag → values of which the best is taken.
    """

    task: str
    row: str
    flags: Recipe
    needs: Mapping[str, str] = field(default_factory=dict)
    grid: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


def _bsp(row: str, encoder: str = "tsm_resnet18", needs: Mapping[str, str] | None = None, **flags: Any) -> Published:
    source = "[P] main tables" if encoder == "tsm_resnet50" else "[P] 4.4, ablations"
    common = {
        "encoder": Default(encoder, source),
        "window_placement": Default("whole", "[P] 3.2, frames are sampled uniformly from each video"),
        "window_frames": Default(104, "[ours] four for each of the 26 steps that a sample reaches over"),
        "reuse_min": Default(1, "[P, C] every video once in an epoch"),
        "reuse_max": Default(1, "[P, C]"),
        "bank_size": Default((331, 1324), "[C] pictures are stored 331 high; here their short side is", "size"),
        "val_every": Default(1.0, "[C] epoch"),
    }
    own = {name: Default(value, "[P]") for name, value in flags.items()}
    return Published("bsp", row, {**common, **own}, {"init": IMAGENET, **(needs or {})})


TEACHERS = {"teacher_action": "a run of bsp-vanilla [P]", "teacher_boundary": "a run of bsp-r18 [P]"}


def _pal(row: str, **flags: Any) -> Published:
    """100 epochs in ablations, 200 in the main tables."""
    own = {name: Default(value, "[P]") for name, value in {"epochs": 100.0, **flags}.items()}
    common = {
        "reuse_min": Default(1, "[P] every video once"),
        "reuse_max": Default(1, "[P]"),
        "batch_statistics": Default(True, "[P] SyncBN in both networks"),
        "batch_keys": Default(False, "[P] the queue alone"),
        "same_video": Default(True, "[P] all queued keys are negatives"),
        "val_every": Default(1.0, "[D] epoch, of which five without progress divide the rate"),
    }
    return Published("pal", row, {**common, **own})


def _tsp(row: str, needs: Mapping[str, str] | None = None, **flags: tuple[Any, str]) -> Published:
    common = {
        "encoder": Default("r2plus1d_34", "[P, C] main tables"),
        "background": Default("file", "[C] the published rows"),
    }
    own = {name: Default(*value) for name, value in flags.items()}
    grid = {"lr_head": (0.002, 0.004, 0.006, 0.008, 0.01)}
    return Published("tsp", row, {**common, **own}, {"init": KINETICS, **(needs or {})}, grid)


_NO_REGION = (0.0, "[P, C] one head")
RECIPES: dict[str, Published] = {
    "bsp": _bsp("BSP Tables 1, 2, 3: the boundary stream", "tsm_resnet50"),
    "bsp-vanilla-r50": _bsp("BSP Tables 1, 2, 3: the action stream", "tsm_resnet50", mode="action"),
    "bsp-r18": _bsp("BSP Table 4, S cls: 29.97"),
    "bsp-reg-dc": _bsp("BSP Table 4, {dc} reg: 26.56", mode="regression", boundaries=("dc",)),
    "bsp-reg-sc": _bsp("BSP Table 4, {sc} reg: 27.75", mode="regression", boundaries=("sc",)),
    "bsp-reg-ds": _bsp("BSP Table 4, {ds} reg: 28.77", mode="regression", boundaries=("ds",)),
    "bsp-dc-ss": _bsp("BSP Table 4, {dc, ss} cls: 29.17", boundaries=("dc", "ss")),
    "bsp-sc-ss": _bsp("BSP Table 4, {sc, ss} cls: 29.09", boundaries=("sc", "ss")),
    "bsp-ds-ss": _bsp("BSP Table 4, {ds, ss} cls: 29.75", boundaries=("ds", "ss")),
    "bsp-vanilla": _bsp("BSP Tables 4 and 5, vanilla: 33.59", mode="action"),
    "bsp-two-head": _bsp("BSP Table 5, 2-head: 33.54", mode="two_head"),
    "bsp-distill": _bsp("BSP Table 5, feat dist: 33.74", mode="distill", needs=TEACHERS),
    "pal": _pal("PAL main tables", epochs=200.0),
    "pal-baseline": _pal("PAL Table 3, MoCo baseline: 29.6", paste="none", contrast="video", stride_max=1),
    "pal-dense": _pal("PAL Table 3, dense: 30.1", paste="none", stride_max=1),
    "pal-scale": _pal("PAL Table 3, dense and scale: 30.7", paste="none"),
    "pal-same-background": _pal("PAL Table 3, pasted on the same background: 32.1", paste="same"),
    "pal-different-backgrounds": _pal("PAL Table 3, on different backgrounds: 32.8"),
    "pal-beta-1": _pal("PAL Table 5, β = 1: 32.2", opacity=(1.0, 1.0)),
    "pal-beta-0-0.4": _pal("PAL Table 5, β in [0, .4]", opacity=(0.0, 0.4)),
    "pal-beta-0.4-0.6": _pal("PAL Table 5, β in [.4, .6]", opacity=(0.4, 0.6)),
    "pal-beta-0-1": _pal("PAL Table 5, β in [0, 1]", opacity=(0.0, 1.0)),
    "pal-beta-0.6-1": _pal("PAL Table 5, β in [.6, 1]: 32.8"),
    "pal-layers-0": _pal("PAL, no layer of F_t: 30.8", temporal_layers=0),
    "pal-layers-1": _pal("PAL, 1 layer of F_t: 32.1", temporal_layers=1),
    "pal-layers-3": _pal("PAL, 3 layers of F_t: 32.5", temporal_layers=3),
    "pal-clips-4": _pal("PAL, J = 4: 31.2", windows_per_segment=4),
    "pal-clips-6": _pal("PAL, J = 6: 32.2", windows_per_segment=6),
    "pal-clips-10": _pal("PAL, J = 10: 33.0", windows_per_segment=10),
    "pal-clips-12": _pal("PAL, J = 12: 33.1", windows_per_segment=12),
    "tsp-anet": _tsp("TSP on ActivityNet: 35.81", {"gvf": GVF}),
    "tsp-anet-no-gvf": _tsp("TSP on ActivityNet without GVF: 35.75"),
    "tsp-anet-r2plus1d-18": _tsp("TSP on ActivityNet, R(2+1)D-18", {"gvf": GVF}, encoder=("r2plus1d_18", "[P, C]")),
    "tsp-anet-r3d-18": _tsp("TSP on ActivityNet, R3D-18", {"gvf": GVF}, encoder=("r3d_18", "[P, C]")),
    "tsp-thumos": _tsp("TSP on THUMOS14: 43.2 at .5", {"gvf": GVF}, lr_head=(0.004, "[C]")),
    "tac-anet": _tsp(
        "TAC on ActivityNet: 34.08",
        region_weight=_NO_REGION,
        background=("none", "[P] actions alone; [C] leaves background in the batch, without a loss"),
    ),
    "tac-thumos": _tsp(
        "TAC on THUMOS14",
        region_weight=_NO_REGION,
        background=("none", "[P]"),
        lr=(1e-5, "[C] at batch 32, times the number of GPUs"),
    ),
}


def _small(**flags: Any) -> Recipe:
    """What is small for every task; the networks learn from scratch, so by AdamW."""
    common: dict[str, Any] = {"encoder": "tsm_resnet18", "size": 64, "epochs": 20.0}
    common |= {"optimizer": "adamw", "weight_decay": 0.01, "schedule": "cosine", "milestones": (), "warmup": 1.0}
    follows = {"bank_size": "size"}
    return {name: Default(value, "[small]", follows.get(name, "")) for name, value in {**common, **flags}.items()}


# For a CPU, or a first look at data of one's own: minutes instead of days, and no result of a paper [ours].
PRESETS: dict[str, dict[str, Recipe]] = {
    "small": {
        # from N(0, 0.001) an untrained encoder begins to learn a hundred steps later or more (docs/study.md)
        "bsp": _small(batch=16, lr=5e-4, lr_head=None, head_std=0.025, dropout=0.0, decay="all", bias_factor=1.0),
        "pal": _small(batch=4, size=48, lr=2e-4, queue=512, momentum=0.99, batch_statistics=True),
        "tsp": _small(
            **{"batch": 16, "lr": 5e-4, "lr_head": None, "lr_stem": None, "epochs": 8.0},
            **{"frames": 8, "fps": 7.5, "window_frames": 8, "bank_size": (73, 98)},
        ),
        "shots": _small(encoder="shots", size=36, bank_size=(40, 40), batch=8, lr=2e-3),
    }
}
