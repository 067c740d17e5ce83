"""What all modules do: draw a plan of the clips, show it, and tell what the frames then are.

Legend: N samples, T frames.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .. import values
from ..plan import Plan, where
from ..render import blend
from . import given
from .frames import KEY, Frames


class ClipTransform(nn.Module):
    """An edit of clips (…, T, C, H, W), drawn anew for every clip at every call.

    Args:
        p: probability that a clip is edited.
        generator: of torch, on any device; None: torch's own one.
    """

    keeps_shares = False  # whether every frame that was shown still is, once

    def __init__(self, p: float, generator: torch.Generator | None, **shown: Any) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p must be in [0, 1], got p={p}")
        if generator is not None and not isinstance(generator, torch.Generator):
            raise ValueError(f"generator must be a torch.Generator or None, got {type(generator).__name__}")
        self.p, self.generator = float(p), generator
        self._shown = {**shown, "p": p}

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self._shown.items())

    def draw(self, rng: np.random.Generator, clips: Plan) -> tuple[Plan, Plan]:
        """The plans of N clips edited, and as they are where they are not; of one length."""
        raise NotImplementedError

    def forward(self, *inputs: Any) -> Any:
        """The input with other clips, and a target that follows them."""
        came = given.accept(inputs)
        n, t = came.clips.shape[:2]
        frames = Frames.of(came.told, n, t)
        if came.label is not None and came.told is not None and frames.mixed and not self.keeps_shares:
            name = type(self).__name__
            raise ValueError(f"{name} must come before what mixes clips: the mixed classes would not follow it")
        rng = given.random(self.generator)
        edited, plain = self.draw(rng, frames.plan(np.arange(n)))
        plan = _chosen(rng, self.p, edited, plain)
        return self.result(came, frames, plan, came.label)

    def result(self, came: given.Given, frames: Frames, plan: Plan, label: Tensor | None) -> Any:
        """What the module gives back for this plan of the clips."""
        out = blend(came.clips, plan, spatial_dims=(3, 4))
        told = came.told
        if told is not None:
            told = {**told, KEY: frames.after(plan).tensors(came.lead, came.clips.device)}
        return came.back(out, told or {}, label)


class PairTransform(ClipTransform):
    """An edit of every clip of a batch (N, T, C, H, W) with another one of it.

    Args:
        num_classes: of labels that are whole numbers (N,); not needed for labels (N, classes).
        pairs: "roll": a clip meets the one before it, as in torchvision's MixUp; "permutation": one at random.
    """

    def __init__(
        self, p: float, num_classes: int | None, pairs: str, generator: torch.Generator | None, **shown: Any
    ) -> None:
        super().__init__(p, generator, **shown, num_classes=num_classes, pairs=pairs)
        if pairs not in ("roll", "permutation"):
            raise ValueError(f"pairs must be 'roll' or 'permutation', got pairs={pairs!r}")
        self.num_classes = None if num_classes is None else values.positive("num_classes", num_classes)
        self.pairs = pairs

    def mix(self, rng: np.random.Generator, own: Plan, other: Plan) -> Plan:
        """The plan of N clips `own` with `other` ones."""
        raise NotImplementedError

    def forward(self, *inputs: Any) -> Any:
        """The input with other clips, and a target that follows them."""
        came = given.accept(inputs)
        n, t = came.clips.shape[:2]
        if len(came.lead) != 1:
            shape = (*came.lead, *came.clips.shape[1:])
            name = type(self).__name__
            raise ValueError(f"{name} needs a batch of clips (N, T, C, H, W) to pair, got shape {shape}")
        one_hot = None if came.label is None else self._classes(came.label, n)
        frames = Frames.of(came.told, n, t)
        rng = given.random(self.generator)
        own = np.arange(n)
        partner = np.roll(own, 1) if self.pairs == "roll" else rng.permutation(n)
        plain = frames.plan(own)
        plan = _chosen(rng, self.p, self.mix(rng, plain, frames.plan(partner)), plain)
        label = None
        if one_hot is not None:
            label = torch.from_numpy(plan.share(n)).to(one_hot.device) @ one_hot
        return self.result(came, frames, plan, label)

    def _classes(self, label: Any, n: int) -> Tensor:
        """float32 (N, classes)."""
        if not isinstance(label, Tensor) or label.ndim not in (1, 2) or len(label) != n:
            got = f"shape {tuple(label.shape)}" if isinstance(label, Tensor) else type(label).__name__
            raise ValueError(f"labels must be a tensor (N,) or (N, classes) of the batch's N = {n}, got {got}")
        classes = self.num_classes
        if label.ndim == 2:
            if classes is not None and label.shape[1] != classes:
                raise ValueError(f"labels must have num_classes={classes} columns, got shape {tuple(label.shape)}")
            return label.float()
        if classes is None or label.is_floating_point():
            raise ValueError(f"labels (N,) must be whole numbers, with num_classes given, got {label.dtype}")
        if label.is_cpu and not bool(((label >= 0) & (label < classes)).all()):
            raise ValueError(f"labels must be in [0, num_classes={classes}), got {label.tolist()}")
        return nn.functional.one_hot(label.long(), classes).float()


def whole_range(name: str, given: tuple[int, int], least: int) -> tuple[int, int]:
    """Two whole numbers that rise, from `least` on."""
    low, high = given
    if int(low) != low or int(high) != high or not least <= low <= high:
        raise ValueError(f"{name} must be two whole numbers, {least} ≤ least ≤ greatest, got {name}={given}")
    return int(low), int(high)


def real_range(name: str, given: tuple[float, float], low: float, high: float, rule: str) -> tuple[float, float]:
    """Two numbers that rise, in [low, high]."""
    if not low <= given[0] <= given[1] <= high:
        raise ValueError(f"{name} must be two numbers, {rule}, the lesser one first, got {name}={given}")
    return float(given[0]), float(given[1])


def _chosen(rng: np.random.Generator, p: float, edited: Plan, plain: Plan) -> Plan:
    chosen: NDArray[np.bool_] = rng.random(edited.shape[0]) < p
    return edited if chosen.all() else where(chosen[:, None], edited, plain)
