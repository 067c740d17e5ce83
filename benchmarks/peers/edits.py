"""The edits of arrays with torch, NumPy, kornia, torchvision and DALI: by name, functions without arguments.

Clips are uint8 (N, T, C, H, W); each function returns a new uint8 array. No peer has these edits: what stands here are
the fastest expressions of them that we know. NumPy and DALI are there for clips on the CPU.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import kornia
import numpy as np
import torch
import torchvision.transforms.v2.functional as tv
from numpy.typing import NDArray
from torch import Tensor

from ..common import Candidates

BORROWED = "DALI, in its buffer"


def fade(a: Tensor, b: Tensor, begin: int, overlap: int, threads: int) -> Candidates:
    """One cross-fade for the whole batch: `begin` frames of a, `overlap` blended ones, the rest of b."""
    step = torch.arange(1, overlap + 1, device=a.device).short().view(-1, 1, 1, 1)
    return _blend(a, b[:, : a.shape[1] - begin], begin, begin + overlap, step, overlap, step / overlap, threads)


def paste(a: Tensor, b: Tensor, start: int, stop: int, part: int, whole: int, threads: int) -> Candidates:
    """b over the frames start … stop − 1 of a, at opacity part / whole."""
    return _blend(a, b, start, stop, torch.tensor([part]).short().to(a.device), whole, part / whole, threads)


def fades(a: Tensor, b: Tensor, center: NDArray, overlap: NDArray) -> Candidates:
    """Cross-fades of one place and length per sample."""
    length, device = a.shape[1], a.device
    begin = center - overlap // 2
    start, width = (torch.from_numpy(v).to(device)[:, None] for v in (begin, overlap))

    def per_sample(blend: Callable[[int, int, int], Any]) -> Tensor:
        out = torch.empty_like(a)
        for n in range(len(a)):
            s, v = int(begin[n]), int(overlap[n])
            out[n, :s], out[n, s + v :] = a[n, :s], b[n, v : length - s]
            out[n, s : s + v] = blend(n, s, v)
        return out

    def floats(n: int, s: int, v: int) -> Tensor:
        alpha = torch.arange(1, v + 1, device=device).view(-1, 1, 1, 1) / v
        return torch.lerp(a[n, s : s + v].float(), b[n, :v].float(), alpha).add_(0.5)

    def ints(n: int, s: int, v: int) -> Tensor:
        j = torch.arange(1, v + 1, device=device).short().view(-1, 1, 1, 1)
        return (a[n, s : s + v] * (v - j)).add_(b[n, :v] * j).add_(v // 2).div_(v, rounding_mode="floor")

    def everything() -> Tensor:
        i = torch.arange(length, device=device)
        alpha = ((i - start + 1) / width).clamp(0, 1).view(len(a), length, 1, 1, 1)
        second = b[torch.arange(len(b), device=device)[:, None], (i - start).clamp(min=0)]
        return torch.lerp(a.float(), second.float(), alpha).add_(0.5).to(torch.uint8)

    return {
        "torch float": everything,
        "torch float, sample by sample": lambda: per_sample(floats),
        "torch int16, sample by sample": lambda: per_sample(ints),
    }


def join(a: Tensor, b: Tensor, center: int, threads: int) -> Candidates:
    """`center` frames of a, then b."""
    rest = a.shape[1] - center
    return {
        "torch": lambda: torch.cat([a[:, :center], b[:, :rest]], 1),
        **_numpy(lambda x, y: np.concatenate([x[:, :center], y[:, :rest]], 1), a, b),
        **_dali([a, b], lambda fn, types, p, q: fn.cat(p[:center], q[:rest], axis=0), threads),
    }


def gather(clip: Tensor, frames: NDArray[np.int64], threads: int) -> Candidates:
    """Frames (N, T') of their own for every sample."""
    rows = np.arange(len(clip))[:, None]
    index, torch_rows = (torch.from_numpy(v).to(clip.device) for v in (frames, rows))
    flat, flat_index = clip.flatten(0, 1), (torch_rows * clip.shape[1] + index).flatten()
    lists = [np.asarray(f, np.int32) for f in frames]
    return {
        "torch indexing": lambda: clip[torch_rows, index],
        "torch index_select": lambda: flat.index_select(0, flat_index).view(*index.shape, *clip.shape[2:]),
        **_numpy(lambda x: x[rows, frames], clip),
        **_dali([clip], lambda fn, types, p, order: fn.sequence_rearrange(p, new_order=order), threads, extra=lists),
    }


def subsample(clip: Tensor, frames: NDArray[np.int64], threads: int) -> Candidates:
    """The same frames of every sample."""
    index, order = torch.from_numpy(frames).to(clip.device), frames.tolist()
    return {
        "torch index_select": lambda: clip.index_select(1, index),
        "torchvision": lambda: tv.uniform_temporal_subsample(clip, len(frames)),
        **_numpy(lambda x: x.take(frames, 1), clip),
        **_dali([clip], lambda fn, types, p: fn.sequence_rearrange(p, new_order=order), threads),
    }


def reverse(clip: Tensor, threads: int) -> Candidates:
    """All frames, backwards."""
    order = list(range(clip.shape[1] - 1, -1, -1))
    return {
        "torch flip": lambda: clip.flip(1),
        "torch index_select": lambda: clip.index_select(1, torch.tensor(order, device=clip.device)),
        **_numpy(lambda x: x[:, ::-1].copy(), clip),
        **_dali([clip], lambda fn, types, p: fn.sequence_rearrange(p, new_order=order), threads),
    }


def _blend(
    a: Tensor, b: Tensor, begin: int, end: int, part: Tensor, whole: int, alpha: Tensor | float, threads: int
) -> Candidates:
    """a, its frames begin … end − 1 blended with b's first by alpha = part / whole; then what follows in b, or in a."""
    n = end - begin
    goes_on = b.shape[1] > n
    head, first, second, tail = a[:, :begin], a[:, begin:end], b[:, :n], b[:, n:] if goes_on else a[:, end:]

    def joined(mixed: Tensor) -> Tensor:
        return torch.cat([head, mixed.to(torch.uint8), tail], 1)

    def int16() -> Tensor:
        mixed = (first * (whole - part)).add_(second * part).add_(whole // 2)
        if whole & (whole - 1):
            return joined(mixed.div_(whole, rounding_mode="floor"))
        mixed >>= whole.bit_length() - 1
        return joined(mixed)

    def numpy_int16(x: NDArray, y: NDArray) -> NDArray:
        out, j = np.empty_like(x), part.numpy()
        out[:, :begin], out[:, end:] = x[:, :begin], y[:, n:] if goes_on else x[:, end:]
        mixed = x[:, begin:end] * (whole - j)
        mixed += y[:, :n] * j
        mixed += whole // 2
        out[:, begin:end] = mixed // whole if whole & (whole - 1) else mixed >> (whole.bit_length() - 1)
        return out

    def dali(fn: Any, types: Any, p: Any, q: Any) -> Any:
        weight = types.Constant(alpha.numpy()) if isinstance(alpha, Tensor) else np.float32(alpha)
        mixed = p[begin:end] * (1 - weight) + q[:n] * weight
        return fn.cat(p[:begin], fn.cast_like(mixed, p), q[n:] if goes_on else p[end:], axis=0)

    return {
        "torch float": lambda: joined(torch.lerp(first.float(), second.float(), alpha).add_(0.5)),
        "torch int16": int16,
        "kornia": lambda: joined(kornia.enhance.add_weighted(first.float(), 1 - alpha, second.float(), alpha, 0.5)),
        **_numpy(numpy_int16, a, b, name="NumPy int16"),
        **_dali([a, b], dali, threads),
    }


def _numpy(edit: Callable[..., NDArray], *clips: Tensor, name: str = "NumPy") -> Candidates:
    """An edit of the clips as NumPy arrays."""
    if clips[0].is_cuda:
        return {}
    arrays = [clip.numpy() for clip in clips]
    return {name: lambda: edit(*arrays)}


def _dali(
    clips: list[Tensor], edit: Callable[..., Any], threads: int, extra: list[NDArray] | None = None
) -> Candidates:
    """A DALI pipeline over the samples of the clips; `extra` is one more input, per sample."""
    if clips[0].is_cuda:
        return {}
    from nvidia.dali import fn, pipeline_def, types

    inputs = [list(clip.contiguous().numpy()) for clip in clips] + ([extra] if extra is not None else [])
    layouts = ["FCHW"] * len(clips) + [""] * (extra is not None)
    options: dict[str, Any] = {"batch_size": len(inputs[0]), "num_threads": threads, "device_id": None}

    @pipeline_def(**options, prefetch_queue_depth=1)
    def pipeline() -> Any:
        nodes = [
            fn.external_source(source=itertools.repeat(values), layout=layout, no_copy=True)
            for values, layout in zip(inputs, layouts)
        ]
        return edit(fn, types, *nodes)

    built = pipeline()
    built.build()
    kept: list[Any] = []

    def borrowed() -> NDArray:
        kept[:] = built.run()
        return np.asarray(kept[0].as_tensor())

    def copied() -> NDArray:
        out: Any = built.run()[0]
        return out.as_array()

    return {"DALI": copied, BORROWED: borrowed}
