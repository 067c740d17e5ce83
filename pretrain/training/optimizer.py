"""The optimizer of a run: parameter groups, mixed precision, accumulation, clipping."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from ..common.settings import Recipe, check, required, setting
from .schedule import Kind

NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)
KINDS = ("norm", "bias", "weight")  # of parameters, where groups of them differ; the weights come last
# Peak rates where neither the flags nor the task's recipe say one [ours]
USUAL_LR = {"sgd": 0.02, "adamw": 5e-4, "adam": 1e-4}


@dataclass(frozen=True, kw_only=True)
class OptimSettings:
    """Batches, rates and their schedule (schedule.py)."""

    batch: int = required("samples per step and process", least=1)
    accumulate: int = setting(1, "batches whose gradients are summed per step", least=1)
    optimizer: Literal["sgd", "adamw", "adam"] = required("sgd has momentum 0.9")
    lr: float | None = setting(
        None, "peak rate of learning; a recipe's of sgd is in proportion to the whole batch", above=0, later=True
    )
    lr_head: float | None = setting(None, "of the head, if it differs", least=0, later=True)
    lr_stem: float | None = setting(None, "of the encoder's first layers, if it differs", least=0, later=True)
    bias_factor: float = setting(1.0, "times its part's rate: that of a bias outside of batch norm", above=0)
    weight_decay: float = setting(0.0, "of the parameters that --decay names", least=0)
    decay: Literal["all", "weights"] = setting("all", "which decay; weights: neither biases nor batch norm")
    schedule: Kind = setting("constant", "of the rate")
    milestones: tuple[float, ...] = setting((), "of step", metavar="EPOCH")
    gamma: float = setting(0.1, "factor at milestones and plateaus", above=0)
    patience: int = setting(5, "validations without progress, for plateau", least=0)
    warmup: float = setting(0.0, "of a linear rise", least=0, metavar="EPOCHS")
    grad_clip: float = setting(0.0, "largest norm of the gradient, 0: any", least=0, metavar="NORM", old="clip")
    sync_bn: bool = setting(False, "batch statistics over all processes, not per process")

    def __post_init__(self) -> None:
        check(self)


class Optimizer:
    """Updates the trainable parameters of `model`, whose parts are `encoder` and `head`.

    Args:
        model: with parameters named encoder.… and head.…
        stem: prefix of the encoder's first layers, which take `lr_stem`; "" if it has none.
        settings: as `peak_rates` returns them.
        scale: learn with float16 gradients scaled to stay in range.
    """

    def __init__(self, model: nn.Module, stem: str, settings: OptimSettings, *, scale: bool, device: str) -> None:
        if settings.lr is None:
            raise ValueError("lr must be given, got none")
        rates = {
            "head": settings.lr if settings.lr_head is None else settings.lr_head,
            "stem": settings.lr if settings.lr_stem is None else settings.lr_stem,
            "encoder": settings.lr,
        }
        apart = settings.bias_factor != 1 or settings.decay != "all"
        of_norm = {id(own) for module in model.modules() if isinstance(module, NORMS) for own in module.parameters()}
        groups: dict[tuple[str, str], list[nn.Parameter]] = {(part, kind): [] for part in rates for kind in KINDS}
        for name, parameter in model.named_parameters():
            part = "head" if name.startswith("head.") else "encoder"
            if stem and name.startswith(f"encoder.{stem}"):
                part = "stem"
            if rates[part] == 0:
                parameter.requires_grad_(False)
            kind = "norm" if id(parameter) in of_norm else "bias" if name.rpartition(".")[2] == "bias" else "weight"
            if parameter.requires_grad:
                groups[part, kind if apart else "weight"].append(parameter)
        self.parameters = [parameter for group in groups.values() for parameter in group]
        if not self.parameters:
            raise ValueError("lr must be > 0 for a part of the model, got 0 for all")
        listed = []
        for (part, kind), group in groups.items():
            peak = rates[part] * (settings.bias_factor if kind == "bias" else 1)
            decay = settings.weight_decay if kind == "weight" or settings.decay == "all" else 0.0
            listed += [{"params": group, "lr": peak, "peak": peak, "weight_decay": decay}] * bool(group)
        self.torch: torch.optim.Optimizer
        if settings.optimizer == "sgd":
            self.torch = torch.optim.SGD(listed, momentum=0.9, weight_decay=settings.weight_decay, fused=True)
        elif settings.optimizer == "adamw":
            self.torch = torch.optim.AdamW(listed, weight_decay=settings.weight_decay, fused=True)
        else:
            self.torch = torch.optim.Adam(listed, weight_decay=settings.weight_decay, fused=True)
        self.clip = settings.grad_clip
        self.scaler = torch.amp.GradScaler(device, enabled=scale)

    @property
    def rate(self) -> float:
        """The learning rate of the last group, of the encoder's weights unless those are frozen."""
        return self.torch.param_groups[-1]["lr"]

    def backward(self, loss: torch.Tensor) -> None:
        """Add the loss's gradients."""
        self.scaler.scale(loss).backward()

    def step(self, factor: float) -> torch.Tensor:
        """Update by the summed gradients at `factor` times the peak rates, and clear them; their norm, not yet read."""
        for group in self.torch.param_groups:
            group["lr"] = group["peak"] * factor
        self.scaler.unscale_(self.torch)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.clip or float("inf"))
        self.scaler.step(self.torch)
        self.scaler.update()
        self.torch.zero_grad(set_to_none=True)
        return norm

    def state_dict(self) -> dict[str, Any]:
        return {"torch": self.torch.state_dict(), "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        peaks = [group["peak"] for group in self.torch.param_groups]  # a resumed run may ask for another rate
        self.torch.load_state_dict(state["torch"])
        for group, peak in zip(self.torch.param_groups, peaks):
            group["peak"] = peak
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])


def peak_rates(settings: OptimSettings, recipe: Recipe, whole_batch: int) -> OptimSettings:
    """With the rates that were not given: the recipe's, SGD's in proportion to the whole batch, or the usual ones.

    Where `lr` alone is given, those of head and stem keep the ratio to it that they have in the recipe.
    """
    scale = whole_batch / recipe["batch"].value if settings.optimizer == "sgd" else 1.0

    def peak(name: str) -> float | None:
        given = getattr(settings, name)
        if given is not None or settings.optimizer != recipe["optimizer"].value or name not in recipe:
            return given
        if settings.lr is not None and name != "lr" and "lr" in recipe:
            return None if recipe[name].value is None else recipe[name].value / recipe["lr"].value * settings.lr
        return None if recipe[name].value is None else recipe[name].value * scale

    lr = peak("lr")
    usual = USUAL_LR[settings.optimizer] if lr is None else lr
    return replace(settings, lr=usual, lr_head=peak("lr_head"), lr_stem=peak("lr_stem"))
