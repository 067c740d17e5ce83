"""The edits of `gpuaug.edits` on arrays: torch, NumPy, CuPy, or anything else with DLPack, such as JAX.

Batch first: arrays are (N, T, …), or have their time axis anywhere behind the batch (`time_dim`); any strides. The
result is a new array of the same library, device and dtype: uint8 (rounded to the nearest, halves upwards), float16,
bfloat16 or float32. Parameters are scalars or one value per sample; what they mean, and their limits, stand in
`gpuaug.edits`. The inputs are read where they are: nothing is copied or joined before the one kernel runs. Inside
`torch.compile` each is one operator of the graph, also with `fullgraph=True`.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from . import edits
from .kernels import host
from .kernels.kernel_args import Shown, View
from .render import CPU, DTYPES, blend_into, new, view


def crossfade(first: Any, second: Any, *, length: int, center: ArrayLike, overlap: ArrayLike, time_dim: int = 1) -> Any:
    """`first`, then `overlap` blended frames, then `second` (BSP Eq. (1): length = 2τ, center = τ, overlap = 2ε).

    Args:
        first, second: arrays of one shape but for their numbers of frames; see `gpuaug.edits.crossfade`.

    >>> dark, light = np.zeros((1, 6), np.float32), np.ones((1, 6), np.float32)
    >>> crossfade(dark, light, length=8, center=4, overlap=4).tolist()
    [[0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0]]
    """
    arrays = {"first": first, "second": second}
    return _apply("crossfade", arrays, time_dim, length, center=center, overlap=overlap)


def concatenate(first: Any, second: Any, *, length: int, center: ArrayLike, time_dim: int = 1) -> Any:
    """`center` frames of `first`, then `second` (BSP Eq. (2)): the cross-fade whose overlap is 0.

    >>> concatenate(np.array([[1, 2, 3]], np.uint8), np.array([[7, 8, 9]], np.uint8), length=4, center=1).tolist()
    [[1, 7, 8, 9]]
    """
    return _apply("concatenate", {"first": first, "second": second}, time_dim, length, center=center)


def resample_speed(clip: Any, *, length: int, change_point: ArrayLike, rate: ArrayLike, time_dim: int = 1) -> Any:
    """`clip` at its own speed for `change_point` frames, then at `rate` times that (BSP Eq. (3); nearest frame).

    >>> resample_speed(np.arange(9, dtype=np.uint8)[None], length=6, change_point=3, rate=2).tolist()
    [[0, 1, 2, 4, 6, 8]]
    """
    return _apply("resample_speed", {"clip": clip}, time_dim, length, change_point=change_point, rate=rate)


def paste(
    background: Any, region: Any, *, start: ArrayLike, stop: ArrayLike, opacity: ArrayLike, time_dim: int = 1
) -> Any:
    """`background` whose frames start…stop−1 show opacity·region[i−start] + (1−opacity)·background[i] (PAL).

    >>> paste(np.zeros((1, 4), np.float32), np.ones((1, 2), np.float32), start=1, stop=3, opacity=0.75).tolist()
    [[0.0, 0.75, 0.75, 0.0]]
    """
    arrays = {"background": background, "region": region}
    return _apply("paste", arrays, time_dim, start=start, stop=stop, opacity=opacity)


def take(clip: Any, frames: ArrayLike, *, time_dim: int = 1) -> Any:
    """The frames of `clip` in the given order, (T',) or (N, T'): reverse, freeze, drop, repeat, shuffle.

    >>> take(np.array([[5, 6, 7]], np.uint8), [2, 2, 0]).tolist()
    [[7, 7, 5]]
    """
    return _apply("take", {"clip": clip}, time_dim, frames=frames)


def _apply(edit: str, arrays: dict[str, Any], time_dim: int, length: int | None = None, **parameters: ArrayLike) -> Any:
    """The result of a plan edit on arrays: their samples become the clips 0…N−1, N…2N−1 of a plan."""
    if torch.compiler.is_compiling():
        return _trace(edit, arrays, time_dim, length, parameters)
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
    library = host.library() if time_dim == 1 and device == CPU and all(map(_is_dense, views)) else None
    frames = _frames(edit, views, length, parameters) if library else 0
    if library and frames:
        out = new(device, (samples, frames, *rest), dtype)
        threads, code = torch.get_num_threads(), DTYPES.index(dtype)
        if host.edit(library, edit, views, out.data_ptr(), frames, parameters, code, threads):
            return _as_given(out, subject)
    if length is not None:
        parameters["length"] = length
    shown = edits.frames(edit, [v.shape[1] for v in views], samples, **parameters)
    got, frames = (max(part.shape[axis] for part in shown) for axis in (0, 1))
    if got not in (1, samples):
        raise ValueError(f"parameters must be scalars or one value per sample ({samples}), got {got} values")
    rest.insert(time_dim % (len(rest) + 2) - 1, frames)
    out = new(device, (samples, *rest), dtype)
    blend_into(views, _taps(shown, samples, frames), out if time_dim == 1 else out.movedim(time_dim, 1))
    return _as_given(out, subject)


def _frames(edit: str, views: list[View], length: int | None, parameters: dict[str, ArrayLike]) -> int:
    """Frames of the result; 0 where the parameters do not tell."""
    if edit == "paste":
        return views[0].shape[1]
    if edit == "take":
        order = parameters["frames"]
        if isinstance(order, (range, list)) and len(order) and isinstance(order[0], int):
            return len(order)
        order = parameters["frames"] = np.asarray(order)
        return order.shape[-1] if order.ndim else 0
    return length if isinstance(length, int) and 0 < length < 1 << 20 else 0  # a wrong one must not take all memory


def _as_given(out: Tensor, subject: Any) -> Any:
    """The result as an array of the library of `subject`."""
    if isinstance(subject, Tensor):
        return out
    return out.numpy() if isinstance(subject, np.ndarray) else _library(subject).from_dlpack(out)


def _check_alike(arrays: dict[str, Any], looks: list[tuple[View, torch.dtype, torch.device]]) -> None:
    for name, values in (
        ("library", [_library(array) for array in arrays.values()]),
        ("dtype", [dtype for _, dtype, _ in looks]),
        ("device", [device for _, _, device in looks]),
        ("shape but for the frames", [(v.shape[:1], v.shape[2:]) for v, _, _ in looks]),
    ):
        if any(value != values[0] for value in values):
            raise ValueError(f"{' and '.join(arrays)} must have one {name}, got {' and '.join(map(str, values))}")


def _taps(shown: edits.Frames, samples: int, frames: int) -> Shown:
    """The frames as the kernel takes them: the samples of the second array are the clips from `samples` on."""
    first, second, alpha = shown
    clip = np.arange(samples)[:, None]
    taps: list[tuple[Any, Any, Any]] = [(clip + samples * alpha, np.where(alpha, second, first), 1)]
    if alpha.dtype != bool:
        weight = alpha.astype(np.float32)
        taps = [(clip, first, 1 - weight), (clip + samples, second, weight)]
    size = (samples, frames, len(taps))
    found = Shown(np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.float32))
    for k, tap in enumerate(taps):
        found.clip[:, :, k], found.frame[:, :, k], found.weight[:, :, k] = tap
    return found


def _is_dense(view: View) -> bool:
    """Whether the elements of a frame lie in memory as in its shape."""
    step = 1
    for size, stride in zip(view.shape[:1:-1], view.strides[:1:-1]):
        if size > 1 and stride != step:
            return False
        step *= size
    return True


def _look(name: str, array: Any, time_dim: int) -> tuple[View, torch.dtype, torch.device]:
    """The array's memory as (N, T, …), its dtype and device. NumPy is read as it is, also read-only or reversed."""
    if not isinstance(array, (np.ndarray, Tensor)):
        if not (hasattr(array, "__dlpack__") and hasattr(array, "__dlpack_device__")):  # JAX's tracers have the first
            raise ValueError(f"{name} must be a torch, NumPy, CuPy or DLPack array, got {type(array).__name__}")
        array = torch.from_dlpack(array)
    _check(name, array, time_dim)
    if isinstance(array, Tensor):
        return view(array if time_dim == 1 else array.movedim(time_dim, 1)), array.dtype, array.device
    if array.dtype.name not in ("uint8", "float16", "float32"):
        raise ValueError(f"{name} must be uint8, float16 or float32, got {array.dtype}")
    moved = np.moveaxis(array, time_dim, 1)
    if any(step % moved.itemsize for step in moved.strides):
        raise ValueError(f"{name} must have strides of whole elements, got {array.strides} bytes")
    strides = tuple(step // moved.itemsize for step in moved.strides)
    memory = View(moved.ctypes.data, moved.shape, strides, moved.itemsize, moved)
    return memory, getattr(torch, array.dtype.name), CPU


def _check(name: str, array: Any, time_dim: int) -> None:
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


# ---- torch.compile: parameters go in as CPU tensors, and everything that looks at their values happens inside --------


def _trace(
    edit: str, arrays: dict[str, Any], time_dim: int, length: int | None, parameters: dict[str, ArrayLike]
) -> Tensor:
    for name, array in arrays.items():
        if not isinstance(array, Tensor):
            raise ValueError(f"{name} must be a torch tensor inside torch.compile, got {type(array).__name__}")
        _check(name, array, time_dim)
    values = [torch.as_tensor(value, device="cpu") for value in parameters.values()]
    if length is not None:
        frames = length
    elif edit == "take":
        frames = values[0].shape[-1]
    else:
        frames = next(iter(arrays.values())).shape[time_dim]
    return _edit_op(edit, list(arrays.values()), " ".join(arrays), values, " ".join(parameters), time_dim, frames)


@torch.library.custom_op("gpuaug::edit", mutates_args=())
def _edit_op(
    edit: str, arrays: list[Tensor], names: str, values: list[Tensor], parameters: str, time_dim: int, frames: int
) -> Tensor:
    """`names` and `parameters` are the words that `arrays` and `values` belong to; `frames` is T of the result."""
    length = None if edit in ("paste", "take") else frames
    named = {name: value.numpy() for name, value in zip(parameters.split(), values)}
    return _apply(edit, dict(zip(names.split(), arrays)), time_dim, length, **named)


@_edit_op.register_fake
def _(edit: Any, arrays: Any, names: Any, values: Any, parameters: Any, time_dim: int, frames: int) -> Tensor:
    shape = list(arrays[0].shape)
    shape[time_dim] = frames
    return arrays[0].new_empty(shape)
