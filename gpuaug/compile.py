"""The operators that torch.compile sees in place of blend, render and the edits of arrays.

A plan, and the parameters of an edit, go in as CPU tensors, and everything that looks at their values happens inside.
Used by render and functional; imports execute.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import arguments
from .arrays import view
from .execute import blend_into, edit_arrays, render_into
from .kernels import kernel_args
from .plan import Plan


def tensors(plan: Plan) -> tuple[Tensor, Tensor, Tensor]:
    """A plan's clip, time and weight."""
    clip, time, weight = (torch.as_tensor(part, device="cpu") for part in (plan.clip, plan.time, plan.weight))
    return clip, time, weight


# A CUDA graph would replay the plan of one call, which kernels.cuda refuses: torch.compile leaves operators with this
# tag out of its graphs. Versions of torch without it take no `tags`.
TAGS: dict[str, Any] = {"tags": (torch.Tag.cudagraph_unsafe,)} if hasattr(torch.Tag, "cudagraph_unsafe") else {}


@torch.library.custom_op("gpuaug::blend", mutates_args={"out"}, **TAGS)
def blend(banks: list[Tensor], clip: Tensor, time: Tensor, weight: Tensor, out: Tensor) -> None:
    views, plan = [view(bank) for bank in banks], Plan(clip.numpy(), time.numpy(), weight.numpy())
    blend_into(views, arguments.shown(plan, kernel_args.lengths(views)), out)


@torch.library.custom_op("gpuaug::render", mutates_args={"out"}, **TAGS)
def render(
    banks: list[Tensor],
    clip: Tensor,
    time: Tensor,
    weight: Tensor,
    box: Tensor | None,
    color: Tensor | None,
    mean: list[float],
    std: list[float],
    layout: str,
    allow_aliasing: bool,
    out: Tensor,
) -> None:
    plan = Plan(clip.numpy(), time.numpy(), weight.numpy())
    boxes, colors = (None if v is None else v.numpy() for v in (box, color))
    render_into(banks, plan, boxes, colors, mean, std, layout, allow_aliasing, out)


@blend.register_fake
def _(banks: Any, clip: Any, time: Any, weight: Any, out: Any) -> None:
    return None


@render.register_fake
def _(banks: Any, clip: Any, time: Any, weight: Any, box: Any, color: Any, *rest: Any) -> None:
    return None


@torch.library.custom_op("gpuaug::edit", mutates_args=(), **TAGS)
def edit(
    rule: str, clips: list[Tensor], names: str, values: list[Tensor], parameters: str, time_dim: int, frames: int
) -> Tensor:
    """`names` are those of `clips`, `parameters` those of `values`; `frames` is T of the result."""
    named = {name: value.numpy() for name, value in zip(parameters.split(), values)}
    return edit_arrays(rule, dict(zip(names.split(), clips)), time_dim, named)


@edit.register_fake
def _(rule: Any, clips: Any, names: Any, values: Any, parameters: Any, time_dim: int, frames: int) -> Tensor:
    shape = list(clips[0].shape)
    shape[time_dim] = frames
    return clips[0].new_empty(shape)
