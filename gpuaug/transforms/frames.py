"""What every frame of edited clips shows, as tensors that go along with a batch, and as the plan that they tell.

Legend: N samples, T frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..layers.columns import Layers, Marks
from ..plan import Plan

KEY = "frames"
COLUMNS = {"clip": np.int64, "time": np.float64, "kind": np.int64, "shot": np.int64}


class Frames:
    """Columns (N, T) of COLUMNS, and the clips' plan before an edit."""

    def __init__(self, columns: dict[str, NDArray]) -> None:
        self.columns = columns

    @staticmethod
    def of(told: Mapping[str, Any] | None, n: int, t: int) -> Frames:
        """What the target tells, or that clips are as they came. Errors (ValueError): it is not about such clips."""
        given = None if told is None else told.get(KEY)
        if given is None:
            zero, time = np.zeros((n, t), np.int64), np.broadcast_to(np.arange(float(t)), (n, t))
            return Frames({"clip": zero, "time": time, "kind": zero - 1, "shot": zero})
        return Frames(_columns(given, (n, t)))

    @property
    def mixed(self) -> bool:
        """Whether a sample shows several clips."""
        clip = self.columns["clip"]
        return bool((clip != clip[:, :1]).any())

    def plan(self, rows: NDArray[np.int64]) -> Plan:
        """The plan of the clips `rows` as they are, with their marks."""
        t = self.columns["clip"].shape[1]
        shown = Plan.take(rows, np.arange(t))
        marks = Marks(self.columns["kind"][rows], self.columns["shot"][rows])
        return Plan(shown.clip, shown.time, shown.weight, marks=marks)

    def after(self, plan: Plan) -> Frames:
        """What the frames of a plan of these clips show; other clips than a sample's own are numbered anew."""
        row, position = plan.source()
        last = self.columns["clip"].shape[1] - 1
        begin = np.clip(np.floor(position).astype(np.int64), 0, last)
        part, source = position - begin, np.maximum(row, 0)
        low, high = (source, begin), (source, np.minimum(begin + 1, last))
        near = source, np.where(part < 0.5, *(each[1] for each in (low, high)))
        clip, time, shot = (self.columns[name] for name in ("clip", "time", "shot"))
        same = (clip[low] == clip[high]) & (shot[low] == shot[high])
        between = np.where(same, (1 - part) * time[low] + part * time[high], time[near])
        others = np.where(row == np.arange(len(row))[:, None], 0, clip.max(1, keepdims=True) + 1)
        paint = (row < 0) | (clip[near] < 0)
        marks = plan.marks or Marks.none(*row.shape)
        shown = np.where(paint, -1, clip[near] + others), np.where(paint, 0.0, between)
        return Frames(dict(zip(COLUMNS, (*shown, marks.kind, marks.shot))))

    def tensors(self, lead: tuple[int, ...], device: torch.device) -> dict[str, Tensor]:
        """(…, T) each, on the clips' device."""
        return {
            name: torch.from_numpy(np.ascontiguousarray(column, COLUMNS[name])).reshape(*lead, -1).to(device)
            for name, column in self.columns.items()
        }


def plan(target: Mapping[str, Any]) -> Plan:
    """The plan that a target's "frames" tell: of every frame the clip and the time that it mostly shows, and marks.

    Args:
        target: dict that a module gave back, of clips (…, T, C, H, W), or of a batch of them.

    Returns:
        A plan of N samples, the product of the leading axes; clips are numbers within a sample, times those of the
        clips as they first came. `gpuaug.transitions.labels` of it are the transitions, cuts and jumps.

    >>> from gpuaug.transforms import RandomReverse
    >>> clips, target = RandomReverse(p=1)(torch.zeros(2, 3, 1, 4, 4), {})
    >>> plan(target).time[0, :, 0].tolist()
    [2.0, 1.0, 0.0]
    """
    if KEY not in target:
        raise ValueError(f"target must have {KEY!r}, which modules add to a dict, got {list(target)}")
    columns = _columns(target[KEY], None)
    clip, time = (columns[name][:, :, None] for name in ("clip", "time"))
    weight = np.ones(clip.shape, np.float32)
    layers = Layers.none(clip.shape) if (clip < 0).any() else None
    return Plan(clip, time, weight, layers, Marks(columns["kind"], columns["shot"]))


def _columns(given: Any, shape: tuple[int, int] | None) -> dict[str, NDArray]:
    """The tensors as arrays (N, T), checked."""
    if not isinstance(given, Mapping) or set(given) != set(COLUMNS):
        got = sorted(given) if isinstance(given, Mapping) else type(given).__name__
        raise ValueError(f"target[{KEY!r}] must be a dict of {', '.join(COLUMNS)}, got {got}")
    found = {}
    for name, dtype in COLUMNS.items():
        tensor = torch.as_tensor(given[name])
        column = tensor.cpu().numpy().astype(dtype).reshape(-1, tensor.shape[-1] if tensor.ndim else 1)
        shape = shape or column.shape
        if column.shape != shape:
            what = f"(…, {shape[1]}) of {shape[0]} clips"
            raise ValueError(f"target[{KEY!r}][{name!r}] must be {what}, got shape {tuple(tensor.shape)}")
        found[name] = column
    return found
