"""The operators that torch.compile sees in place of blend, render and the edits of arrays.

A plan, and the parameters of an edit, go in as CPU tensors, and everything that looks at their values happens inside.
Used by render and functional; imports execute.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .execute import blend_plan, edit_arrays, render_into, transition_arrays
from .layers.columns import TAPS, Layers
from .plan import Plan, columns_of


def tensors(plan: Plan) -> tuple[list[Tensor], list[Tensor]]:
    """A plan's columns, and the tables of its layers: of maps, and users' pictures."""
    tables = [] if plan.layers is None else [plan.layers.maps, *plan.layers.pictures]
    columns, others = ([torch.as_tensor(part, device="cpu") for part in parts] for parts in (columns_of(plan), tables))
    return columns, others


def _plan(columns: list[Tensor], tables: list[Tensor]) -> Plan:
    """The plan of `tensors`."""
    clip, time, weight, *more = (column.numpy() for column in columns)
    if not tables:
        return Plan(clip, time, weight)
    maps, *pictures = (table.numpy() for table in tables)
    named: dict[str, Any] = dict(zip(TAPS, more))
    return Plan(clip, time, weight, Layers(**named, maps=maps, pictures=tuple(pictures)))


# A CUDA graph would replay the plan of one call, which kernels.cuda refuses: torch.compile leaves operators with this
# tag out of its graphs. Versions of torch without it take no `tags`.
TAGS: dict[str, Any] = {"tags": (torch.Tag.cudagraph_unsafe,)} if hasattr(torch.Tag, "cudagraph_unsafe") else {}


@torch.library.custom_op("gpuaug::blend", mutates_args={"out"}, **TAGS)
def blend(banks: list[Tensor], columns: list[Tensor], tables: list[Tensor], axes: list[int], out: Tensor) -> None:
    blend_plan(banks, _plan(columns, tables), axes, out)


@torch.library.custom_op("gpuaug::render", mutates_args={"out"}, **TAGS)
def render(
    banks: list[Tensor],
    columns: list[Tensor],
    tables: list[Tensor],
    box: Tensor | None,
    color: Tensor | None,
    mean: list[float],
    std: list[float],
    layout: str,
    allow_aliasing: bool,
    out: Tensor,
) -> None:
    boxes, colors = (None if v is None else v.numpy() for v in (box, color))
    render_into(banks, _plan(columns, tables), boxes, colors, mean, std, layout, allow_aliasing, out)


@blend.register_fake
def _(banks: Any, columns: Any, tables: Any, axes: Any, out: Any) -> None:
    return None


@render.register_fake
def _(banks: Any, columns: Any, tables: Any, box: Any, color: Any, *rest: Any) -> None:
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


@torch.library.custom_op("gpuaug::transition", mutates_args=(), **TAGS)
def transition(
    clips: list[Tensor],
    words: str,
    values: list[Tensor],
    parameters: str,
    time_dim: int,
    spatial_dims: list[int],
    frames: int,
) -> Tensor:
    """`clips`: first and second; `words`: lines of a name and its values, with blanks between; else as `edit`."""
    given: dict[str, Any] = {name: value.numpy() for name, value in zip(parameters.split(), values)}
    given["length"] = frames
    for each in words.splitlines():
        name, *chosen = each.split(" ")
        given[name] = chosen[0] if len(chosen) == 1 else chosen
    y_x = (spatial_dims[0], spatial_dims[1]) if spatial_dims else None
    return transition_arrays(dict(zip(("first", "second"), clips)), time_dim, y_x, given)


@transition.register_fake
def _(clips: Any, words: Any, values: Any, parameters: Any, time_dim: int, dims: Any, frames: int) -> Tensor:
    shape = list(clips[0].shape)
    shape[time_dim] = frames
    return clips[0].new_empty(shape)
