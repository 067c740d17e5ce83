"""The edits of `gpuaug.edits` on arrays: torch, NumPy, CuPy, or anything else with DLPack, such as JAX.

Batch first: arrays are (N, T, …), or have their time axis anywhere behind the batch (`time_dim`); any strides. The
result is a new array of the same library, device and dtype: uint8 (rounded to the nearest, halves upwards), float16,
bfloat16 or float32. Parameters are scalars or one value per sample; what they mean, and their limits, stand in
`gpuaug.edits`. The inputs are read where they are: nothing is copied or joined before the one kernel runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from . import edits
from .kernels.job import View
from .plan import Plan
from .render import DTYPES, blend_into, new, view


def crossfade(first: Any, second: Any, *, length: int, center: ArrayLike, overlap: ArrayLike, time_dim: int = 1) -> Any:
    """`first`, then `overlap` blended frames, then `second` (BSP Eq. (1): length = 2τ, center = τ, overlap = 2ε).

    Args:
        first, second: arrays of one shape but for their numbers of frames; see `gpuaug.edits.crossfade`.

    >>> dark, light = np.zeros((1, 6), np.float32), np.ones((1, 6), np.float32)
    >>> crossfade(dark, light, length=8, center=4, overlap=4).tolist()
    [[0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0]]
    """
    edit = partial(edits.crossfade, length=length, center=center, overlap=overlap)
    return _apply(edit, time_dim, first=first, second=second)


def concatenate(first: Any, second: Any, *, length: int, center: ArrayLike, time_dim: int = 1) -> Any:
    """`center` frames of `first`, then `second` (BSP Eq. (2)): the cross-fade whose overlap is 0.

    >>> concatenate(np.array([[1, 2, 3]], np.uint8), np.array([[7, 8, 9]], np.uint8), length=4, center=1).tolist()
    [[1, 7, 8, 9]]
    """
    edit = partial(edits.concatenate, length=length, center=center)
    return _apply(edit, time_dim, first=first, second=second)


def resample_speed(clip: Any, *, length: int, change_point: ArrayLike, rate: ArrayLike, time_dim: int = 1) -> Any:
    """`clip` at its own speed for `change_point` frames, then at `rate` times that (BSP Eq. (3); nearest frame).

    >>> resample_speed(np.arange(9, dtype=np.uint8)[None], length=6, change_point=3, rate=2).tolist()
    [[0, 1, 2, 4, 6, 8]]
    """
    edit = partial(edits.resample_speed, length=length, change_point=change_point, rate=rate)
    return _apply(edit, time_dim, clip=clip)


def paste(
    background: Any, region: Any, *, start: ArrayLike, stop: ArrayLike, opacity: ArrayLike, time_dim: int = 1
) -> Any:
    """`background` whose frames start…stop−1 show opacity·region[i−start] + (1−opacity)·background[i] (PAL).

    >>> paste(np.zeros((1, 4), np.float32), np.ones((1, 2), np.float32), start=1, stop=3, opacity=0.75).tolist()
    [[0.0, 0.75, 0.75, 0.0]]
    """
    edit = partial(edits.paste, start=start, stop=stop, opacity=opacity)
    return _apply(edit, time_dim, background=background, region=region)


def take(clip: Any, frames: ArrayLike, *, time_dim: int = 1) -> Any:
    """The frames of `clip` in the given order, (T',) or (N, T'): reverse, freeze, drop, repeat, shuffle.

    >>> take(np.array([[5, 6, 7]], np.uint8), [2, 2, 0]).tolist()
    [[7, 7, 5]]
    """
    return _apply(partial(edits.take, frames=frames), time_dim, clip=clip)


def _apply(edit: Callable[..., Plan], time_dim: int, **arrays: Any) -> Any:
    """The result of a plan edit on arrays: their samples become the clips 0…N−1, N…2N−1 of a plan."""
    subject = next(iter(arrays.values()))
    views, dtypes, devices = zip(*(_look(name, array, time_dim) for name, array in arrays.items()))
    for name, values in (
        ("library", [_library(array) for array in arrays.values()]),
        ("dtype", dtypes),
        ("device", devices),
        ("shape but for the frames", [(v.shape[:1], v.shape[2:]) for v in views]),
    ):
        if any(value != values[0] for value in values):
            raise ValueError(f"{' and '.join(arrays)} must have one {name}, got {' and '.join(map(str, values))}")
    if dtypes[0] not in DTYPES:
        raise ValueError(f"{next(iter(arrays))} must be uint8, float16, bfloat16 or float32, got {dtypes[0]}")
    samples = views[0].shape[0]
    plans = [Plan.take(i * samples + np.arange(samples), np.arange(v.shape[1])) for i, v in enumerate(views)]
    plan = edit(*plans)
    if plan.shape[0] != samples:
        raise ValueError(f"parameters must be scalars or one value per sample ({samples}), got {plan.shape[0]} values")
    shape = [samples, *views[0].shape[2:]]
    shape.insert(time_dim % (len(shape) + 1), plan.shape[1])
    if isinstance(subject, np.ndarray):
        result: Any = np.empty(shape, subject.dtype)
        blend_into(list(views), plan, torch.from_numpy(result).movedim(time_dim, 1))
        return result
    out = new(devices[0], tuple(shape), dtypes[0])
    blend_into(list(views), plan, out.movedim(time_dim, 1))
    return out if isinstance(subject, torch.Tensor) else _library(subject).from_dlpack(out)


def _look(name: str, array: Any, time_dim: int) -> tuple[View, torch.dtype, torch.device]:
    """The array's memory as (N, T, …), its dtype and device. NumPy is read as it is, also read-only or reversed."""
    if not isinstance(array, (np.ndarray, torch.Tensor)):
        if not hasattr(array, "__dlpack__"):
            raise ValueError(f"{name} must be a torch, NumPy, CuPy or DLPack array, got {type(array).__name__}")
        array = torch.from_dlpack(array)
    if isinstance(array, torch.Tensor) and array.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"{name} must not require gradients, which would be lost; detach() first")
    if array.ndim < 2 or not (1 <= time_dim < array.ndim or 1 - array.ndim <= time_dim < 0):
        raise ValueError(
            f"time_dim must be an axis of {name} behind the batch axis, got time_dim={time_dim}, ndim={array.ndim}"
        )
    if 0 in array.shape:
        raise ValueError(f"{name} must not be empty, got shape {tuple(array.shape)}")
    if isinstance(array, torch.Tensor):
        return view(array.movedim(time_dim, 1)), array.dtype, array.device
    if array.dtype.name not in ("uint8", "float16", "float32"):
        raise ValueError(f"{name} must be uint8, float16 or float32, got {array.dtype}")
    moved = np.moveaxis(array, time_dim, 1)
    if any(step % moved.itemsize for step in moved.strides):
        raise ValueError(f"{name} must have strides of whole elements, got {array.strides} bytes")
    strides = tuple(step // moved.itemsize for step in moved.strides)
    memory = View(moved.ctypes.data, moved.shape, strides, moved.itemsize, moved)
    return memory, getattr(torch, array.dtype.name), torch.device("cpu")


def _library(array: Any) -> Any:
    """The module that an array comes from; it must have `from_dlpack`."""
    if isinstance(array, torch.Tensor):
        return torch
    if isinstance(array, np.ndarray):
        return np
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    package = sys.modules.get(type(array).__module__.partition(".")[0])
    if not hasattr(package, "from_dlpack"):
        raise ValueError(f"arrays must belong to a library with from_dlpack, got {type(array).__name__}")
    return package
