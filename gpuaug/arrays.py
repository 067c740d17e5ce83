"""Arrays of any library as clips in memory, and the rules of `gpuaug.edits` executed on them.

Used by functional and compile; imports edits, execute and kernels. Legend: N samples, T output frames.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from . import edits
from .execute import CPU, DTYPES, mix_into, new, view
from .kernels.kernel_args import StridedClips


def apply(rule: str, arrays: dict[str, Any], time_dim: int, parameters: Mapping[str, ArrayLike]) -> Any:
    """What an edit of `gpuaug.edits` makes of arrays, as an array of the same library.

    Args:
        rule: a name in `edits.RULES`.
        arrays: one or two, by the names that errors give them.
    """
    subject = next(iter(arrays.values()))
    looks = [_look(name, array, time_dim) for name, array in arrays.items()]
    views = [memory for memory, _, _ in looks]
    _, dtype, device = looks[0]
    kinds = [(type(a), d, at, v.shape[:1], v.shape[2:]) for a, (v, d, at) in zip(arrays.values(), looks)]
    if kinds[0] != kinds[-1]:
        _check_alike(arrays, looks)
    if dtype not in DTYPES:
        raise ValueError(f"{next(iter(arrays))} must be uint8, float16, bfloat16 or float32, got {dtype}")
    samples, *rest = views[0].shape[:1] + views[0].shape[2:]
    shown = edits.RULES[rule]([v.shape[1] for v in views], samples, **parameters)
    got, frames = (max(part.shape[axis] for part in shown) for axis in (0, 1))
    if got not in (1, samples):
        raise ValueError(f"parameters must be scalars or one value per sample ({samples}), got {got} values")
    rest.insert(time_dim % (len(rest) + 2) - 1, frames)
    out = new(device, (samples, *rest), dtype)
    mix_into(views, shown, out if time_dim == 1 else out.movedim(time_dim, 1))
    return _as_given(out, subject)


def frames_of(rule: str, subject: Any, time_dim: int, parameters: Mapping[str, ArrayLike]) -> int:
    """How many frames the result has, told without reading values that torch.compile does not know yet."""
    if "length" in parameters:
        return int(parameters["length"])  # type: ignore[arg-type]
    return np.shape(parameters["frames"])[-1] if rule == "take" else subject.shape[time_dim]


def _as_given(out: Tensor, subject: Any) -> Any:
    """The result as an array of the library of `subject`."""
    if isinstance(subject, Tensor):
        return out
    return out.numpy() if isinstance(subject, np.ndarray) else _library(subject).from_dlpack(out)


def _check_alike(arrays: dict[str, Any], looks: list[tuple[StridedClips, torch.dtype, torch.device]]) -> None:
    for name, values in (
        ("library", [_library(array) for array in arrays.values()]),
        ("dtype", [dtype for _, dtype, _ in looks]),
        ("device", [device for _, _, device in looks]),
        ("shape but for the frames", [(v.shape[:1], v.shape[2:]) for v, _, _ in looks]),
    ):
        if any(value != values[0] for value in values):
            raise ValueError(f"{' and '.join(arrays)} must have one {name}, got {' and '.join(map(str, values))}")


def _look(name: str, array: Any, time_dim: int) -> tuple[StridedClips, torch.dtype, torch.device]:
    """The array's memory as (N, T, …), its dtype and device. NumPy is read as it is, also read-only or reversed."""
    if not isinstance(array, (np.ndarray, Tensor)):
        if not (hasattr(array, "__dlpack__") and hasattr(array, "__dlpack_device__")):  # JAX's tracers have the first
            raise ValueError(f"{name} must be a torch, NumPy, CuPy or DLPack array, got {type(array).__name__}")
        array = torch.from_dlpack(array)
    check(name, array, time_dim)
    if isinstance(array, Tensor):
        return view(array if time_dim == 1 else array.movedim(time_dim, 1)), array.dtype, array.device
    if array.dtype.name not in ("uint8", "float16", "float32"):
        raise ValueError(f"{name} must be uint8, float16 or float32, got {array.dtype}")
    moved = np.moveaxis(array, time_dim, 1)
    if any(step % moved.itemsize for step in moved.strides):
        raise ValueError(f"{name} must have strides of whole elements, got {array.strides} bytes")
    strides = tuple(step // moved.itemsize for step in moved.strides)
    memory = StridedClips(moved.ctypes.data, moved.shape, strides, moved.itemsize, moved)
    return memory, getattr(torch, array.dtype.name), CPU


def check(name: str, array: Any, time_dim: int) -> None:
    """What can be checked without reading the array's memory, also while torch.compile traces."""
    if isinstance(array, Tensor) and array.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"{name} must not require gradients, which would be lost; detach() first")
    shape = array.shape
    if not (1 <= time_dim < len(shape) or 1 - len(shape) <= time_dim < 0):
        raise ValueError(
            f"time_dim must be an axis of {name} behind the batch axis, got time_dim={time_dim}, ndim={len(shape)}"
        )
    if 0 in shape:
        raise ValueError(f"{name} must not be empty, got shape {tuple(shape)}")


def _library(array: Any) -> Any:
    """The module that an array comes from; it must have `from_dlpack`."""
    if isinstance(array, Tensor):
        return torch
    if isinstance(array, np.ndarray):
        return np
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    package = sys.modules.get(type(array).__module__.partition(".")[0])
    if not hasattr(package, "from_dlpack"):
        raise ValueError(f"arrays must belong to a library with from_dlpack, got {type(array).__name__}")
    return package
