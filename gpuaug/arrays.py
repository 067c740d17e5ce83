"""Arrays of any library as memory that kernels read: what is refused or copied, and which axis is time."""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .kernels.kernel_args import StridedClips

CPU = torch.device("cpu")
PLAIN = (Tensor, np.ndarray, torch.nn.Parameter, np.memmap)  # types that are nothing but their values
NUMPY = {np.dtype(name): getattr(torch, name) for name in ("uint8", "float16", "float32")}
PICTURE = {"Video": 3, "Image": 3, "Mask": 2}  # torchvision's types: how many of their last axes are a picture's
CHANNELS = (1, 3, 4)  # of a picture

Array = Tensor | NDArray[Any]


def accept(name: str, array: Any) -> Array:
    """The array as one of NumPy or torch; refused where it is more than its values."""
    if type(array) is np.ndarray:
        return array
    if not isinstance(array, (np.ndarray, Tensor)):
        if not (hasattr(array, "__dlpack__") and hasattr(array, "__dlpack_device__")):  # JAX's tracers have the first
            raise ValueError(f"{name} must be a torch, NumPy, CuPy or DLPack array, got {type(array).__name__}")
        array = torch.from_dlpack(array)
    if not isinstance(array, np.ndarray):
        accept_tensor(name, array)
    elif type(array) not in PLAIN:
        lost = "whose mask would be lost" if isinstance(array, np.ma.MaskedArray) else "which the result would not be"
        raise ValueError(f"{name} must be a plain NumPy array, got a {type(array).__name__}, {lost}")
    return array


def accept_tensor(name: str, tensor: Tensor) -> None:
    """What can be checked without reading memory, also while torch.compile traces, with types of its own."""
    if type(tensor) not in PLAIN and not torch.compiler.is_compiling() and picture(tensor) is None:
        kind = type(tensor).__name__
        raise ValueError(f"{name} must be a plain tensor or one of torchvision's {', '.join(PICTURE)}, got {kind}")
    if tensor.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"{name} must not require gradients, which would be lost; detach() first")


def view(clips: Tensor, name: str = "frames") -> StridedClips:
    """The memory of a tensor (S, L, …); of a copy where torch negates values only when it reads them."""
    if clips.is_neg():
        clips = clips.resolve_neg()
    try:
        address = clips.data_ptr()
    except RuntimeError:  # sparse, or inside torch.vmap
        address = 0
    if address == 0:
        raise ValueError(f"{name} must have memory of its own, got {clips.layout} on {clips.device} without")
    return StridedClips(address, tuple(clips.shape), clips.stride(), clips.element_size(), clips)


def check_axis(name: str, shape: tuple[int, ...], axis: int) -> None:
    """Refuse a time axis that is none, and arrays without an element."""
    if not (1 <= axis < len(shape) or 1 - len(shape) <= axis < 0):
        raise ValueError(
            f"time_dim must be an axis of {name} behind the batch axis, got time_dim={axis}, ndim={len(shape)}"
        )
    if 0 in shape:
        raise ValueError(f"{name} must not be empty, got shape {tuple(shape)}")


def look(name: str, array: Array, axis: int) -> tuple[StridedClips, torch.dtype, torch.device]:
    """The array's memory as (N, T, …), its dtype and device. NumPy is read as it is, also read-only or reversed."""
    check_axis(name, array.shape, axis)
    if isinstance(array, np.ndarray):
        return _look_numpy(name, array, axis)
    if not (array.is_cpu or array.is_cuda):
        raise ValueError(f"{name} must be on the CPU or a GPU, got device {array.device}")
    return view(array if axis == 1 else array.movedim(axis, 1), name), array.dtype, array.device


def _look_numpy(name: str, array: NDArray[Any], axis: int) -> tuple[StridedClips, torch.dtype, torch.device]:
    dtype = NUMPY.get(array.dtype)
    if dtype is None or not array.flags.aligned:  # of another byte order, or not at multiples of its elements
        native = array.dtype.newbyteorder("=")
        dtype = NUMPY.get(native)
        if dtype is None:
            raise ValueError(f"{name} must be uint8, float16 or float32, got {array.dtype}")
        array = array.astype(native)
    moved = array if axis == 1 else np.moveaxis(array, axis, 1)
    size = moved.itemsize
    strides = tuple([step // size for step in moved.strides])
    return StridedClips(moved.__array_interface__["data"][0], moved.shape, strides, size, moved), dtype, CPU


# ---- the time axis ---------------------------------------------------------------------------------------------------


def picture(array: Any) -> str | None:
    """Which of torchvision's types it is, those in PICTURE."""
    library = sys.modules.get("torchvision.tv_tensors")  # whoever has such a tensor has imported it
    return next((kind for kind in PICTURE if library and isinstance(array, getattr(library, kind))), None)


def time_range(shape: tuple[int, ...], kind: str) -> tuple[int, int]:
    """The first and the last axis that may be time in a tensor of torchvision's; a Video is (…, T, C, H, W)."""
    last = len(shape) - PICTURE[kind] - 1
    return (last if kind == "Video" else 0), last


def check_time(name: str, tensor: Tensor, axis: int) -> None:
    """Refuse a tensor of torchvision's that is to be read with another time axis than it has."""
    kind = picture(tensor)
    if kind is None:
        return
    first, last = time_range(tensor.shape, kind)
    if not first <= axis <= last:
        what = f"a tv_tensors.{kind} of shape {tuple(tensor.shape)}"
        raise ValueError(f"{name} must have time at axis {axis}, got {what}, whose pictures take {PICTURE[kind]} axes")


def time_axis(arrays: Mapping[str, Array], time_dim: int | None) -> int:
    """`time_dim`; where it is None what torchvision's types say, else 1, unless that can only be channels."""
    if time_dim is not None and type(time_dim) is not int:
        if isinstance(time_dim, bool) or not hasattr(time_dim, "__index__"):
            raise ValueError(f"time_dim must be a whole number or None, got time_dim={time_dim!r}")
        time_dim = operator.index(time_dim)
    for array in arrays.values():
        if type(array) not in PLAIN and picture(array):
            return _axis_of_pictures(arrays, time_dim)
    if time_dim is not None:
        return time_dim
    if _only_channels(next(iter(arrays.values())).shape):
        _refuse_channels(arrays)
    return 1


def _axis_of_pictures(arrays: Mapping[str, Any], axis: int | None) -> int:
    """`time_axis` of arrays some of which are torchvision's."""
    kinds = {name: str(picture(array)) for name, array in arrays.items() if picture(array)}
    if len(set(kinds.values())) > 1:
        raise ValueError(f"{' and '.join(kinds)} must be of one type, got {' and '.join(kinds.values())}")
    for name, kind in kinds.items():
        shape = tuple(arrays[name].shape)
        what = f"a tv_tensors.{kind} of shape {shape}"
        first, last = time_range(shape, kind)
        if last < 1:
            raise ValueError(f"{name} must have a batch axis and a time axis before its pictures', got {what}")
        axis = max(first, 1) if axis is None else axis
        if not max(first, 1) <= axis % len(shape) <= last:
            limit = f"{last}" if first == last else f"at most {last}"
            raise ValueError(f"time_dim must be {limit} for {name}, {what}, got time_dim={axis}")
    assert axis is not None
    return axis


def _only_channels(shape: tuple[int, ...]) -> bool:
    """Whether axis 1 of pictures has a size of channels, and no axis where channels are behind time has.

    Four axes of which axis 1 has one value may as well be a batch of single grey frames.
    """
    if len(shape) == 4:
        return shape[1] > 1 and shape[1] in CHANNELS and shape[3] not in CHANNELS
    return len(shape) == 5 and shape[1] in CHANNELS and shape[2] not in CHANNELS and shape[4] not in CHANNELS


def _refuse_channels(arrays: Mapping[str, Array]) -> None:
    shape, *others = [tuple(array.shape) for array in arrays.values()]
    if all(_only_channels(other) and other[1] == shape[1] for other in others):
        rest = "2 for (N, C, T, H, W)" if len(shape) == 5 else "one clip lacks the batch axis, clip[None]"
        what = f"{next(iter(arrays))} of shape {shape}"
        raise ValueError(f"time_dim must be given where axis 1 may be channels, got {what}: 1 if it is time; {rest}")


def which_axis(error: Exception, arrays: Mapping[str, Array], axis: int) -> str:
    """The message of a clip that is too short, with the axis that was taken as time."""
    shapes = " and ".join(f"{name} {tuple(array.shape)}" for name, array in arrays.items())
    return f"{error}; axis {axis} of {shapes} was taken as time, time_dim names another"


# ---- the axes of pictures -------------------------------------------------------------------------------------------


def picture_axes(name: str, array: Any, axis: int, given: tuple[int, int] | None) -> tuple[int, int]:
    """Which axes of an array, whose time is `axis`, are rows and columns, counted from its begin.

    None given: the last two of torchvision's types; of other arrays those beside the one axis with a size of channels,
    the first or the last that is neither batch nor time. Refused where both or none of them has such a size.
    """
    shape = tuple(array.shape)
    count = len(shape)
    if given is not None:
        if len(given) != 2 or not all(isinstance(d, int) and -count <= d < count for d in given):
            raise ValueError(f"spatial_dims must be two axes of {name}, rows and columns, got spatial_dims={given}")
        y, x = (d % count for d in given)
        if len({0, axis % count, y, x}) < 4:
            raise ValueError(f"spatial_dims must be other axes than batch and time, got spatial_dims={given}")
        return y, x
    free = [d for d in range(1, count) if d != axis % count]
    if len(free) not in (2, 3):
        rule = "(N, T, H, W), with or without an axis of channels, for masks, places and colours"
        raise ValueError(f"{name} must be {rule}, got shape {shape}")
    if len(free) == 2 or (type(array) not in PLAIN and picture(array)):
        return free[-2], free[-1]
    first, last = shape[free[0]] in CHANNELS, shape[free[2]] in CHANNELS
    if first == last:
        what = "either of two axes may be the channels" if last else "no axis has a size of channels"
        raise ValueError(f"spatial_dims must be given where {what}, got {name} of shape {shape}")
    return (free[0], free[1]) if last else (free[1], free[2])


def pictures(name: str, clips: StridedClips, y: int, x: int) -> StridedClips:
    """Clips (S, L, …) as (S, L, H, W, C), where y and x are their axes of rows and columns."""
    rest = [d for d in range(2, len(clips.shape)) if d not in (y, x)]
    if len(rest) > 1:
        raise ValueError(f"{name} must have one axis of channels at most, got shape {clips.shape} of clips")
    order = [0, 1, y, x, *rest]
    array = clips.array.permute(order) if isinstance(clips.array, Tensor) else clips.array.transpose(order)
    shape, strides = ([values[d] for d in order] for values in (clips.shape, clips.strides))
    if not rest:
        array, shape, strides = array[..., None], [*shape, 1], [*strides, 1]
    return StridedClips(clips.address, tuple(shape), tuple(strides), clips.itemsize, array)


def as_pictures(out: Tensor, y: int, x: int) -> Tensor:
    """(N, T, …) as (N, T, H, W, C)."""
    rest = [d for d in range(2, out.ndim) if d not in (y, x)]
    moved = out.permute(0, 1, y, x, *rest)
    return moved if rest else moved.unsqueeze(-1)


def numpy_clips(views: list[StridedClips]) -> list[NDArray]:
    """Every clip as a NumPy array, for the reference."""
    arrays: list[NDArray] = []
    for v in views:
        array = v.array
        if isinstance(array, Tensor):
            array = (array.float() if array.dtype == torch.bfloat16 else array).numpy()
        arrays.extend(array)
    return arrays


# ---- more than one array ---------------------------------------------------------------------------------------------


def check_alike(arrays: Mapping[str, Any], looks: list[tuple[StridedClips, torch.dtype, torch.device]]) -> None:
    """Refuse arrays that no edit can join."""
    for name, values in (
        ("library", [library(array) for array in arrays.values()]),
        ("dtype", [dtype for _, dtype, _ in looks]),
        ("device", [device for _, _, device in looks]),
        ("shape but for the frames", [(v.shape[:1], v.shape[2:]) for v, _, _ in looks]),
    ):
        if any(value != values[0] for value in values):
            shown = (getattr(value, "__name__", str(value)) for value in values)  # of libraries no path
            raise ValueError(f"{' and '.join(arrays)} must have one {name}, got {' and '.join(shown)}")


def alike(out: Tensor, arrays: Iterable[Any]) -> Any:
    """The result as an array of the library of `arrays`, and of torchvision's type where one of them is."""
    first = None
    for array in arrays:
        if type(array) not in PLAIN and picture(array):
            return sys.modules["torchvision.tv_tensors"].wrap(out, like=array)
        first = array if first is None else first
    if isinstance(first, Tensor):
        return out
    return out.numpy() if isinstance(first, np.ndarray) else library(first).from_dlpack(out)


def library(array: Any) -> Any:
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
