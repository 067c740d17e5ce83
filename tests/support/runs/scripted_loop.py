"""A training loop whose batches and validations are given beforehand: a linear model, no videos, known answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

import gpuaug
from pretrain.common.distributed import Group
from pretrain.models import checkpoint
from pretrain.training.loop import Loop, Model
from pretrain.training.optimizer import Optimizer, OptimSettings
from pretrain.training.run_folder import RunFolder
from pretrain.training.settings import RunSettings


class Pixel(nn.Module):
    """(N, 1): what the clips show at their first pixel."""

    def forward(self, clip_NCTYX: torch.Tensor) -> torch.Tensor:
        return clip_NCTYX[:, 0, 0, 0, :1]


class Line(nn.Module):
    """A weight that begins at 1 and the mean squared error; without a target y there is no number to learn from."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, 1))

    def loss(self, encoder: nn.Module, clip_NCTYX: torch.Tensor, target: dict[str, torch.Tensor]) -> Any:
        said = encoder(clip_NCTYX) @ self.weight
        return (said[:, 0] - target["y"]).square().mean(), {"sign": (said[:, 0] > 0) == (target["y"] > 0)}


def batch(x: list[float], y: list[float], wait: float = 0.0) -> gpuaug.Batch:
    """Clips of one pixel, `x`, and what the model has to say of them."""
    clips = torch.tensor(x)[:, None, None, None, None].expand(-1, 3, 1, 1, 1).contiguous()
    plan = gpuaug.Plan.take(np.arange(len(x)), [0.0])
    return gpuaug.Batch(clips, {"y": torch.tensor(y)}, plan, wait)


ONE = batch([1.0, 1.0], [3.0, 3.0], wait=0.25)  # the loss of the first weight is 4, its gradient −4


class ScriptedLoader:
    """Gives `batches` in turn, again and again; each is said to be of twelve windows, shown twice."""

    pass_windows = 24

    def __init__(self, *batches: gpuaug.Batch) -> None:
        self.batches, self.asked = batches, list[int]()
        self.failures: list[gpuaug.Failure] = []
        self.changed: dict[str, str] = {}

    def batch(self, number: int) -> gpuaug.Batch:
        self.asked.append(number)
        return self.batches[number % len(self.batches)]

    def report(self) -> dict[str, Any]:
        failures = [{"path": each.path, "reason": each.reason} for each in self.failures]
        told = {"decoded_windows": 12 * len(self.asked), "rendered_windows": 24 * len(self.asked)}
        return {**told, "failures": failures, "changed_files": self.changed}

    def state_dict(self) -> dict[str, Any]:
        return {"supply": {}, "asked": list(self.asked)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.asked = list(state["asked"])


class ScriptedValidation:
    """Gives these results in turn; None for one that is left out."""

    def __init__(self, *results: dict[str, Any] | None) -> None:
        self.results, self.steps = list(results), list[int]()
        self.failures: list[gpuaug.Failure] = []
        self.left_out = ""

    def run(self, model: nn.Module, autocast: Any) -> tuple[dict[str, Any] | None, None]:
        return self.results.pop(0), None


def loop(
    folder: Any,
    loader: Any,
    validation: Any = None,
    *,
    epoch_steps: float = 4,
    group: Group | None = None,
    optim: dict[str, Any] | None = None,
    dtype: torch.dtype = torch.float32,
    **run: Any,
) -> Loop:
    """A loop over `loader` in the folder, with plain SGD of rate 0.1; more settings of the run by name."""
    chosen = OptimSettings(**{"batch": 2, "optimizer": "sgd", "lr": 0.1, **(optim or {})})
    model = Model(Pixel(), Line())
    optimizer = Optimizer(model, "", chosen, scale=False, device="cpu")
    for part in optimizer.torch.param_groups:
        part["momentum"] = 0.0
    settings: Any = RunSettings(**{"out": str(folder), "epochs": 1.0, "steps": 3, "quiet": True, "log_every": 1, **run})
    group = group or Group()
    record = RunFolder(folder, writes=group.main, quiet=settings.quiet)
    about = {"mean": [0.0] * 3, "std": [1.0] * 3, "encoder": {"name": "pixel"}}
    how: dict[str, Any] = {
        "group": group,
        "record": record,
        "config": about,
        "epoch_steps": epoch_steps,
        "dtype": dtype,
    }
    return Loop(settings, chosen, model, optimizer, loader, validation, **how)


def saved(it: Loop, name: str = checkpoint.NAME) -> dict[str, Any]:
    """What a checkpoint of the loop has."""
    return checkpoint.read(it.record.folder / name)
