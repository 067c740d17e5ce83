"""The optimizer of a run: parameter groups, mixed precision, accumulation, clipping."""

from __future__ import annotations

import argparse
from typing import Any

import torch
from torch import nn

# Peak rates where neither the flags nor the task's recipe say one [ours]
USUAL_LR = {"sgd": 0.02, "adamw": 5e-4, "adam": 1e-4}


class Optimizer:
    """Updates the trainable parameters of `model`, whose parts are `encoder` and `head`.

    Args:
        model: with parameters named encoder.… and head.…
        stem: prefix of the encoder's first layers, which take `args.lr_stem`; "" if it has none.
        args: optimizer, lr, lr_head, lr_stem, weight_decay, clip.
        scale: learn with float16 gradients scaled to stay in range.
    """

    def __init__(self, model: nn.Module, stem: str, args: argparse.Namespace, *, scale: bool, device: str) -> None:
        rates = {
            "head": args.lr if args.lr_head is None else args.lr_head,
            "stem": args.lr if args.lr_stem is None else args.lr_stem,
            "encoder": args.lr,
        }
        groups: dict[str, list[nn.Parameter]] = {name: [] for name in rates}
        for name, parameter in model.named_parameters():
            part = "head" if name.startswith("head.") else "encoder"
            if stem and name.startswith(f"encoder.{stem}"):
                part = "stem"
            if rates[part] == 0:
                parameter.requires_grad_(False)
            if parameter.requires_grad:
                groups[part].append(parameter)
        self.parameters = [parameter for group in groups.values() for parameter in group]
        if not self.parameters:
            raise ValueError("lr must be > 0 for a part of the model, got 0 for all")
        listed = [{"params": group, "lr": rates[name], "peak": rates[name]} for name, group in groups.items() if group]
        self.torch: torch.optim.Optimizer
        if args.optimizer == "sgd":
            self.torch = torch.optim.SGD(listed, momentum=0.9, weight_decay=args.weight_decay)
        elif args.optimizer == "adamw":
            self.torch = torch.optim.AdamW(listed, weight_decay=args.weight_decay)
        else:
            self.torch = torch.optim.Adam(listed, weight_decay=args.weight_decay)
        self.clip = args.clip
        self.scaler = torch.amp.GradScaler(device, enabled=scale)

    @property
    def rate(self) -> float:
        """The learning rate of the last group, the encoder's unless that is frozen."""
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


def peak_rates(args: argparse.Namespace, recipe: dict[str, Any], whole_batch: int) -> None:
    """Fill in the rates that no flag gave: the recipe's, SGD's in proportion to the whole batch, or the usual ones."""
    scale = None
    if args.optimizer == recipe["optimizer"]:
        scale = whole_batch / recipe["batch"] if args.optimizer == "sgd" else 1.0
    for name in ("lr", "lr_head", "lr_stem"):
        if getattr(args, name) is None and scale is not None and name in recipe:
            setattr(args, name, recipe[name] * scale)
    if args.lr is None:
        args.lr = USUAL_LR[args.optimizer]
