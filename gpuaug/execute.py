"""Runs plans and edits on clips in memory: the one kernel of the device, or the NumPy reference.

Used by render, functional and compile; imports arrays, arguments, edits, reference and kernels. Nothing else touches
pixels.

Legend: N samples, T output frames, K taps, S clips, L frames of a clip, H W source, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from . import arguments, edits, reference
from .arrays import (
    CPU,
    accept,
    alike,
    as_pictures,
    check_alike,
    look,
    numpy_clips,
    picture_axes,
    pictures,
    time_axis,
    view,
    which_axis,
)
from .edits import Frames
from .kernels import host, host_allocator, kernel_args, layer_args
from .kernels.kernel_args import FrameTaps, StridedClips
from .layers import fields
from .layers.columns import COLOR, whole
from .plan import Plan

DTYPES = tuple(getattr(torch, name) for name in host.DTYPES)


def new(device: torch.device, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor; large ones on the CPU from the memory of those before."""
    if device == CPU and not torch.compiler.is_compiling():
        return host_allocator.new(shape, dtype)
    return torch.empty(shape, dtype=dtype, device=device)


def blend_into(views: list[StridedClips], shown: FrameTaps, out: Tensor) -> None:
    """`blend` of clips in views of one dtype, device and trailing shape into `out` (N, T, …), of any strides."""
    if out.numel() == 0:
        return
    if out.is_cuda or host.library():
        _launch("blend", kernel_args.blend(shown, views, view(out)), out)
    else:
        clips = numpy_clips(views)
        clip, frame = shown.clip.astype(np.int64), shown.frame.astype(np.float64)
        for n in range(len(out)):  # the reference's float64 takes eight times the memory of bytes
            one = slice(n, n + 1)
            _fill(out[one], reference.blend(clips, Plan(clip[one], frame[one], shown.weight[one])))


def blend_plan(banks: list[Tensor], plan: Plan, axes: Sequence[int], out: Tensor) -> None:
    """`blend` of banks (S, L, …) of one dtype, device and trailing shape; `axes` are rows and columns, for layers."""
    views = [view(bank) for bank in banks]
    if plan.layers is None:
        blend_into(views, arguments.shown(plan, kernel_args.lengths(views)), out)
    else:
        y, x = axes
        layers_into([pictures("frames", v, y, x) for v in views], plan, as_pictures(out, y, x))


def mix_into(views: Sequence[StridedClips], shown: Frames, out: Tensor) -> None:
    """An edit of one or two arrays (N, L, …) of one dtype, device and trailing shape into `out` (N, T, …)."""
    first = np.floor(shown.first + 0.5).astype(np.int64) if shown.first.dtype.kind == "f" else shown.first
    n, t = out.shape[:2]
    library = host.library() if out.device == CPU and out.is_contiguous() and all(map(_is_dense, views)) else None
    if library is None:
        blend_into(list(views), _two_taps(Frames(first, shown.second, shown.alpha), n, t), out)
        return
    weight, dtype = shown.alpha.astype(np.float32), str(out.dtype).removeprefix("torch.")
    threads = torch.get_num_threads()
    host.mix(library, views, first, shown.second, weight, out.data_ptr(), (n, t), dtype, threads)


class _Given(NamedTuple):
    """Arrays of one library, dtype, device and shape but for their frames, as an edit reads them."""

    arrays: dict[str, Any]  # of NumPy or torch
    axis: int  # of time
    views: list[StridedClips]  # (N, T, …)
    dtype: torch.dtype
    device: torch.device


def _accept(arrays: Mapping[str, Any], time_dim: int | None) -> _Given:
    given = {name: accept(name, array) for name, array in arrays.items()}
    axis = time_axis(given, time_dim)
    looks = [look(name, array, axis) for name, array in given.items()]
    _, dtype, device = looks[0]
    if len(looks) > 1:
        kinds = [(type(a), d, at, v.shape[0], v.shape[2:]) for a, (v, d, at) in zip(arrays.values(), looks)]
        if kinds[0] != kinds[1]:
            check_alike(arrays, looks)
    if dtype not in DTYPES:
        raise ValueError(f"{next(iter(arrays))} must be uint8, float16, bfloat16 or float32, got {dtype}")
    return _Given(given, axis, [memory for memory, _, _ in looks], dtype, device)


def _made(given: _Given, arrays: Mapping[str, Any], frames: int, fill: Callable[[Tensor], None]) -> Any:
    """A new array of `frames` frames, which `fill` writes as (N, T, …), as one of the library of `arrays`."""
    samples, *rest = given.views[0].shape[:1] + given.views[0].shape[2:]
    rest.insert(given.axis % (len(rest) + 2) - 1, frames)
    out = new(given.device, (samples, *rest), given.dtype)
    fill(out if given.axis == 1 else out.movedim(given.axis, 1))
    if out.is_cuda and any(given.arrays[name] is not array for name, array in arrays.items()):
        _cuda(out.device).hold(list(given.arrays.values()), out.device)
    return alike(out, arrays.values())


def edit_arrays(rule: str, arrays: Mapping[str, Any], time_dim: int | None, parameters: Mapping[str, ArrayLike]) -> Any:
    """What an edit of `gpuaug.edits` makes of arrays, as an array of the same library.

    Args:
        rule: a name in `edits.RULES`.
        arrays: one or two, by the names that errors give them.
    """
    given = _accept(arrays, time_dim)
    samples = given.views[0].shape[0]
    try:
        shown = edits.RULES[rule]([v.shape[1] for v in given.views], samples, **parameters)
    except edits.TooShort as error:
        raise ValueError(which_axis(error, given.arrays, given.axis)) from None
    got, frames = (max(part.shape[d] for part in shown) for d in (0, 1))
    if got not in (1, samples):
        raise ValueError(f"parameters must be scalars or one value per sample ({samples}), got {got} values")
    return _made(given, arrays, frames, lambda out: mix_into(given.views, shown, out))


def transition_arrays(
    arrays: Mapping[str, Any], time_dim: int | None, spatial_dims: tuple[int, int] | None, parameters: Mapping[str, Any]
) -> Any:
    """What `edits.transition` makes of two arrays, as an array of the same library.

    Args:
        arrays: two, by the names that errors give them.
        spatial_dims: axes of rows and columns; None: as `arrays.picture_axes` finds them, where they matter.
    """
    given = _accept(arrays, time_dim)
    samples = given.views[0].shape[0]
    clips = [Plan.take(k * samples + np.arange(samples), range(v.shape[1])) for k, v in enumerate(given.views)]
    try:
        plan = edits.transition(clips[0], clips[1], **parameters)
    except edits.TooShort as error:
        raise ValueError(which_axis(error, given.arrays, given.axis)) from None
    if plan.shape[0] != samples:
        raise ValueError(f"parameters must be scalars or one value per sample ({samples}), got {plan.shape[0]} values")
    if plan.layers is None:
        shown = arguments.shown(plan, kernel_args.lengths(given.views))
        return _made(given, arrays, plan.shape[1], lambda out: blend_into(given.views, shown, out))
    name, array = next(iter(given.arrays.items()))
    order = [0, given.axis % array.ndim, *(d for d in range(1, array.ndim) if d != given.axis % array.ndim)]
    y, x = (order.index(d) for d in picture_axes(name, array, given.axis, spatial_dims))
    views = [pictures(name, v, y, x) for name, v in zip(given.arrays, given.views)]
    return _made(given, arrays, plan.shape[1], lambda out: layers_into(views, plan, as_pictures(out, y, x)))


def render_into(
    banks: list[Tensor],
    plan: Plan,
    box: ArrayLike | None,
    color: ArrayLike | None,
    mean: list[float],
    std: list[float],
    layout: str,
    allow_aliasing: bool,
    out: Tensor,
) -> None:
    """`render` into `out`, whose dimensions `layout` names. Plan and box are checked here, the rest was by `render`."""
    views = [view(bank) for bank in banks]
    for v in views:
        if (v.shape[4] > 1 and v.strides[4] != 1) or (v.shape[3] > 1 and v.strides[3] != v.shape[4]):
            raise ValueError(f"frames must have the pixels of a row side by side, got strides {v.strides}")
    if out.is_neg():
        raise ValueError("out must hold its values as they are, got one that torch negates on reading (is_neg)")
    shown = arguments.shown(plan, kernel_args.lengths(views))
    size = (out.shape[layout.index("H")], out.shape[layout.index("W")])
    heights, widths = (np.repeat([v.shape[d] for v in views], [v.shape[0] for v in views]) for d in (2, 3))
    box_NTK4 = arguments.boxes(box, shown, heights, widths, size, allow_aliasing)
    matrix = arguments.matrix(color, mean, std, plan.shape[0], 255.0 if out.dtype == torch.uint8 else 1.0)
    if out.numel() == 0:
        return
    if out.is_cuda or host.library():
        if plan.layers is None:
            work = kernel_args.render(shown, views, view(out, "out"), layout=layout, box_NTK4=box_NTK4, matrix=matrix)
            _launch("render", work, out)
        else:
            _compose(plan, shown, views, out, layout, box_NTK4, matrix, False)
    else:
        value = reference.render(
            numpy_clips(views), plan, size=size, box=box, color=color, mean=mean, std=std, layout=layout
        )
        _fill(out, value * 255 if out.dtype == torch.uint8 else value)


def layers_into(views: list[StridedClips], plan: Plan, out: Tensor) -> None:
    """A plan with layers of clips (S, L, H, W, C), in views of one dtype and size, into `out` (N, T, H, W, C)."""
    shown = arguments.shown(plan, kernel_args.lengths(views))
    if out.numel() == 0:
        return
    height, width, channels = out.shape[2:]
    if channels not in (1, 3) and ((plan.clip == COLOR) & (plan.weight != 0)).any():
        raise ValueError(f"pictures must have 1 or 3 channels beside colours, got {channels}")
    if out.is_cuda or host.library():
        box = np.array([0.0, 0.0, height, width]).reshape(1, 1, 1, 4)
        matrix = np.array([[[1, 0]]], np.float32)
        _compose(plan, shown, views, out, "NTHWC", box, matrix, True)
    else:
        clips = numpy_clips(views)
        top = 255.0 if out.dtype == torch.uint8 else 1.0
        _fill(out, reference.compose(clips, plan, size=(height, width), top=top))


def _compose(
    plan: Plan,
    shown: FrameTaps,
    views: list[StridedClips],
    out: Tensor,
    layout: str,
    box: NDArray,
    matrix: NDArray,
    same: bool,
) -> None:
    """The kernel of plans with layers; `same`: the clips have the dtype of `out`, else they are uint8."""
    assert plan.layers is not None
    size = (out.shape[layout.index("H")], out.shape[layout.index("W")])
    top = 1.0 if same and out.dtype != torch.uint8 else 255.0
    box_NTK4 = layer_args.cropped(box, plan.layers.crop)
    place = None if whole(plan.layers.place) else plan.layers.place
    axes = np.broadcast_to(kernel_args.axes(box_NTK4, size, place), (*plan.shape, 2, 6))
    layers = layer_args.layers(plan.clip, plan.weight, plan.layers, box_NTK4, size, top)
    planes = fields.planes(plan.layers.maps, plan.layers.pictures, size)
    to = view(out, "out")
    work = kernel_args.compose(shown, layers, planes, views, to, layout, axes_NTK26=axes, matrix=matrix, same=same)
    _launch("compose", work, out)


def _launch(kernel: str, work: NDArray[np.uint8], out: Tensor) -> None:
    dtype = str(out.dtype).removeprefix("torch.")
    if not out.is_cuda:
        library = host.library()
        assert library is not None
        host.launch(library, kernel, work, dtype, torch.get_num_threads())
        return
    _cuda(out.device).launch(kernel, work, out.device, dtype)


def _cuda(device: torch.device) -> ModuleType:
    try:
        from .kernels import cuda
    except ImportError as error:
        raise RuntimeError(
            f"tensors on {device} need CuPy (pip install 'gpuaug[cuda12]' or [cuda13]): {error}"
        ) from None
    return cuda


def _two_taps(shown: Frames, samples: int, frames: int) -> FrameTaps:
    """The frames as the kernel takes them: the samples of the second array are the clips from `samples` on."""
    first, second, alpha = shown
    clip = np.arange(samples)[:, None]
    taps: list[tuple[Any, Any, Any]] = [(clip + samples * alpha, np.where(alpha, second, first), 1)]
    if alpha.dtype != bool:
        weight = alpha.astype(np.float32)
        taps = [(clip, first, 1 - weight), (clip + samples, second, weight)]
    size = (samples, frames, len(taps))
    found = FrameTaps(np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.float32))
    for k, tap in enumerate(taps):
        found.clip[:, :, k], found.frame[:, :, k], found.weight[:, :, k] = tap
    return found


def _is_dense(view: StridedClips) -> bool:
    """Whether the elements of a frame lie in memory as in its shape."""
    step = 1
    for size, stride in zip(view.shape[:1:-1], view.strides[:1:-1]):
        if size > 1 and stride != step:
            return False
        step *= size
    return True


def _fill(out: Tensor, value: NDArray[np.float64]) -> None:
    if out.dtype == torch.uint8:
        value = np.floor(np.clip(value, 0, 255) + 0.5)
    out.copy_(torch.from_numpy(value))
