"""The edits of `gpuaug.edits` on arrays: torch, NumPy, CuPy, or anything else with DLPack, such as JAX.

Batch first: arrays are (N, T, …), or have their time axis anywhere behind the batch (`time_dim`); any strides. The
result is a new array of the same library, device and dtype: uint8 (rounded to the nearest, halves upwards), float16,
bfloat16 or float32. Parameters are scalars or one value per sample; what they mean, and their limits, stand in
`gpuaug.edits`. The inputs are read where they are: nothing is copied or joined before the one kernel runs. Inside
`torch.compile` each is one operator of the graph, also with `fullgraph=True`.

`time_dim` may be any axis but the batch's, also counted from the end. None is axis 1, or the axis of time of a
`torchvision.tv_tensors.Video`, (…, T, C, H, W). It is refused where axis 1 can only be the channels of pictures: where
its size is 3 or 4, or 1 of five axes, and neither the last axis nor axis 2 of five has one of these sizes.

A Video, Image or Mask of torchvision stays one. Whatever else is more than its values is refused: tensors that require
gradients, masked arrays, other subclasses. NumPy arrays of another byte order, or not at multiples of their elements'
size, are copied before they are read; a result has the machine's byte order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from . import compile
from .arrays import accept_tensor, alike, check_axis, time_axis
from .execute import edit_arrays, transition_arrays


class _DLPack(Protocol):
    def __dlpack_device__(self) -> Any: ...


Array = TypeVar("Array", bound=_DLPack)  # the result is of the library of the argument


def crossfade(
    first: Array, second: Array, *, length: int, center: ArrayLike, overlap: ArrayLike, time_dim: int | None = None
) -> Array:
    """`first`, then `overlap` blended frames, then `second` (BSP Eq. (1): length = 2τ, center = τ, overlap = 2ε).

    Args:
        first, second: arrays of one shape but for their numbers of frames; see `gpuaug.edits.crossfade`.
        time_dim: the axis of time; None is explained above, for all edits.

    Raises:
        ValueError: naming the argument, its value and the rule; where a clip is too short, also its axis of time.

    >>> import numpy as np
    >>> dark, light = np.zeros((1, 6), np.float32), np.ones((1, 6), np.float32)
    >>> crossfade(dark, light, length=8, center=4, overlap=4).tolist()
    [[0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0]]
    """
    clips = {"first": first, "second": second}
    return _apply("crossfade", clips, time_dim, length=length, center=center, overlap=overlap)


def concatenate(first: Array, second: Array, *, length: int, center: ArrayLike, time_dim: int | None = None) -> Array:
    """`center` frames of `first`, then `second` (BSP Eq. (2)): the cross-fade whose overlap is 0.

    >>> import numpy as np
    >>> concatenate(np.array([[1, 2, 3]], np.uint8), np.array([[7, 8, 9]], np.uint8), length=4, center=1).tolist()
    [[1, 7, 8, 9]]
    """
    return crossfade(first, second, length=length, center=center, overlap=0, time_dim=time_dim)


def resample_speed(
    clip: Array, *, length: int, change_point: ArrayLike, rate: ArrayLike, time_dim: int | None = None
) -> Array:
    """`clip` at its own speed for `change_point` frames, then at `rate` times that (BSP Eq. (3); nearest frame).

    >>> import numpy as np
    >>> resample_speed(np.arange(9, dtype=np.uint8)[None], length=6, change_point=3, rate=2).tolist()
    [[0, 1, 2, 4, 6, 8]]
    """
    return _apply("resample_speed", {"clip": clip}, time_dim, length=length, change_point=change_point, rate=rate)


def paste(
    background: Array,
    region: Array,
    *,
    start: ArrayLike,
    stop: ArrayLike,
    opacity: ArrayLike,
    time_dim: int | None = None,
) -> Array:
    """`background` whose frames start…stop−1 show opacity·region[i−start] + (1−opacity)·background[i] (PAL).

    >>> import numpy as np
    >>> paste(np.zeros((1, 4), np.float32), np.ones((1, 2), np.float32), start=1, stop=3, opacity=0.75).tolist()
    [[0.0, 0.75, 0.75, 0.0]]
    """
    clips = {"background": background, "region": region}
    return _apply("paste", clips, time_dim, start=start, stop=stop, opacity=opacity)


def take(clip: Array, frames: ArrayLike, *, time_dim: int | None = None) -> Array:
    """The frames of `clip` in the given order, (T',) or (N, T'): reverse, freeze, drop, repeat, shuffle.

    >>> import numpy as np
    >>> take(np.array([[5, 6, 7]], np.uint8), [2, 2, 0]).tolist()
    [[7, 7, 5]]
    """
    return _apply("take", {"clip": clip}, time_dim, frames=frames)


def freeze(clip: Array, *, length: int, start: ArrayLike, duration: ArrayLike, time_dim: int | None = None) -> Array:
    """`clip`, whose frame `start` stays for `duration` output frames; then it goes on.

    >>> import numpy as np
    >>> freeze(np.array([[5, 6, 7]], np.uint8), length=5, start=1, duration=3).tolist()
    [[5, 6, 6, 6, 7]]
    """
    return _apply("freeze", {"clip": clip}, time_dim, length=length, start=start, duration=duration)


def transition(
    first: Array,
    second: Array,
    kind: str | Sequence[str],
    *,
    length: int,
    start: ArrayLike,
    duration: ArrayLike,
    time_dim: int | None = None,
    spatial_dims: tuple[int, int] | None = None,
    **parameters: Any,
) -> Array:
    """`first`, then a transition of `duration` frames from output frame `start` on, then `second`.

    Args:
        first, second: arrays of one shape but for their numbers of frames, (N, T, H, W) with or without an axis of
            channels; for cuts and dissolves any.
        kind: names of `gpuaug.transitions.NAMES`.
        spatial_dims: the axes of rows and columns; None: the last two of a torchvision Video, elsewhere those beside
            the axis of 1, 3 or 4 channels, which must be one.
        parameters: easing, softness, angle, … as in `gpuaug.edits.transition`. Colours are in parts of 255 for uint8.

    Raises:
        ValueError: naming the argument, its value and the rule.

    >>> import numpy as np
    >>> dark, light = np.zeros((1, 5, 1, 4), np.uint8), np.full((1, 5, 1, 4), 100, np.uint8)
    >>> transition(dark, light, "push_left", length=5, start=1, duration=4)[0, :, 0].tolist()
    [[0, 0, 0, 0], [0, 0, 0, 100], [0, 0, 100, 100], [0, 100, 100, 100], [100, 100, 100, 100]]
    """
    clips = {"first": first, "second": second}
    given = {"kind": kind, "length": length, "start": start, "duration": duration, **parameters}
    if not torch.compiler.is_compiling():
        return transition_arrays(clips, time_dim, spatial_dims, given)
    axis, words = _axis(clips, time_dim), []
    for name in ("kind", "easing", "edge"):
        if name in given:
            word = given.pop(name)
            words.append(" ".join([name, word] if isinstance(word, str) else [name, *word]))
    tensors = [torch.as_tensor(value, device="cpu") for value in given.values() if value is not None]
    names = " ".join(name for name, value in given.items() if value is not None)
    out = compile.transition([first, second], "\n".join(words), tensors, names, axis, list(spatial_dims or ()), length)
    return alike(out, clips.values())


def _apply(rule: str, clips: dict[str, Any], time_dim: int | None, **parameters: ArrayLike) -> Any:
    """A rule of `gpuaug.edits` on arrays; inside torch.compile as one operator of the graph."""
    if not torch.compiler.is_compiling():
        return edit_arrays(rule, clips, time_dim, parameters)
    axis = _axis(clips, time_dim)
    tensors = {name: torch.as_tensor(value, device="cpu") for name, value in parameters.items()}
    if "length" in parameters:
        frames = parameters["length"]
    else:
        frames = tensors["frames"].shape[-1] if rule == "take" else next(iter(clips.values())).shape[axis]
    names, given = " ".join(clips), " ".join(parameters)
    out = compile.edit(rule, list(clips.values()), names, list(tensors.values()), given, axis, frames)
    return alike(out, clips.values())


def _axis(clips: dict[str, Any], time_dim: int | None) -> int:
    """The axis of time of tensors inside torch.compile, checked as they are outside."""
    for name, array in clips.items():
        if not isinstance(array, Tensor):
            raise ValueError(f"{name} must be a torch tensor inside torch.compile, got {type(array).__name__}")
        accept_tensor(name, array)
    axis = time_axis(clips, time_dim)
    for name, array in clips.items():
        check_axis(name, array.shape, axis)
    return axis
