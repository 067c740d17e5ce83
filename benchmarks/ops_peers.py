"""The edits of `ops_cpu` with torch, NumPy, kornia, torchvision and DALI: by name, functions without arguments.

Clips are uint8 (N, T, C, H, W); each function returns a new uint8 array. No peer has these edits: what stands here are
the fastest expressions of them that we know.
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

BORROWED = "DALI, in its buffer"
Peers = dict[str, Callable[[], Any]]


def fade(a: Tensor, b: Tensor, begin: int, overlap: int, threads: int) -> Peers:
    """One cross-fade for the whole batch: `begin` frames of a, `overlap` blended ones, the rest of b."""
    length, end = a.shape[1], begin + overlap
    alpha = torch.arange(1, overlap + 1).view(-1, 1, 1, 1) / overlap
    parts = (a[:, :begin], a[:, begin:end], b[:, :overlap], b[:, overlap : length - begin])
    x, y = a.numpy(), b.numpy()

    def numpy_int16() -> NDArray:
        out = np.empty_like(x)
        out[:, :begin], out[:, end:] = x[:, :begin], y[:, overlap : length - begin]
        j = np.arange(1, overlap + 1, dtype=np.int16).reshape(-1, 1, 1, 1)
        mixed = x[:, begin:end] * (overlap - j)
        mixed += y[:, :overlap] * j
        mixed += overlap // 2
        out[:, begin:end] = mixed // overlap if overlap & (overlap - 1) else mixed >> (overlap.bit_length() - 1)
        return out

    def dali(fn: Any, types: Any, first: Any, second: Any) -> Any:
        weight = types.Constant(alpha.numpy())
        mixed = first[begin:end] * (1 - weight) + second[:overlap] * weight
        return fn.cat(first[:begin], fn.cast_like(mixed, first), second[overlap : length - begin], axis=0)

    return {
        "torch float": lambda: _float(*parts, alpha),
        "torch int16": lambda: _int16(*parts, torch.arange(1, overlap + 1).short().view(-1, 1, 1, 1), overlap),
        "NumPy int16": numpy_int16,
        "kornia": lambda: _kornia(*parts, alpha),
        **_dali([a, b], dali, threads),
    }


def fades(a: Tensor, b: Tensor, center: NDArray, overlap: NDArray) -> Peers:
    """Cross-fades of one place and length per sample."""
    length = a.shape[1]
    begin = center - overlap // 2

    def per_sample(blend: Callable[[int, int, int], Any]) -> Tensor:
        out = torch.empty_like(a)
        for n in range(len(a)):
            s, v = int(begin[n]), int(overlap[n])
            out[n, :s], out[n, s + v :] = a[n, :s], b[n, v : length - s]
            out[n, s : s + v] = blend(n, s, v)
        return out

    def floats(n: int, s: int, v: int) -> Tensor:
        alpha = torch.arange(1, v + 1).view(-1, 1, 1, 1) / v
        return torch.lerp(a[n, s : s + v].float(), b[n, :v].float(), alpha).add_(0.5)

    def ints(n: int, s: int, v: int) -> Tensor:
        j = torch.arange(1, v + 1).short().view(-1, 1, 1, 1)
        return (a[n, s : s + v] * (v - j)).add_(b[n, :v] * j).add_(v // 2).div_(v, rounding_mode="floor")

    def everything() -> Tensor:
        i = torch.arange(length)
        start, width = torch.from_numpy(begin)[:, None], torch.from_numpy(overlap)[:, None]
        alpha = ((i - start + 1) / width).clamp(0, 1).view(len(a), length, 1, 1, 1)
        shown = (i - start).clamp(min=0)
        second = b[torch.arange(len(b))[:, None], shown]
        return torch.lerp(a.float(), second.float(), alpha).add_(0.5).to(torch.uint8)

    return {
        "torch float": everything,
        "torch float, sample by sample": lambda: per_sample(floats),
        "torch int16, sample by sample": lambda: per_sample(ints),
    }


def join(a: Tensor, b: Tensor, center: int, threads: int) -> Peers:
    """`center` frames of a, then b."""
    rest = a.shape[1] - center
    x, y = a.numpy(), b.numpy()
    return {
        "torch": lambda: torch.cat([a[:, :center], b[:, :rest]], 1),
        "NumPy": lambda: np.concatenate([x[:, :center], y[:, :rest]], 1),
        **_dali([a, b], lambda fn, types, p, q: fn.cat(p[:center], q[:rest], axis=0), threads),
    }


def gather(clip: Tensor, frames: NDArray[np.int64], threads: int) -> Peers:
    """Frames (N, T') of their own for every sample."""
    x, rows = clip.numpy(), np.arange(len(clip))[:, None]
    index, torch_rows = torch.from_numpy(frames), torch.from_numpy(rows)
    flat, flat_index = clip.flatten(0, 1), (torch_rows * clip.shape[1] + index).flatten()
    lists = [np.asarray(f, np.int32) for f in frames]
    return {
        "torch indexing": lambda: clip[torch_rows, index],
        "torch index_select": lambda: flat.index_select(0, flat_index).view(*index.shape, *clip.shape[2:]),
        "NumPy": lambda: x[rows, frames],
        **_dali([clip], lambda fn, types, p, order: fn.sequence_rearrange(p, new_order=order), threads, extra=lists),
    }


def paste(a: Tensor, b: Tensor, start: int, stop: int, part: int, whole: int, threads: int) -> Peers:
    """b over the frames start … stop − 1 of a, at opacity part / whole."""
    x, y, opacity = a.numpy(), b.numpy(), part / whole
    parts = (a[:, :start], a[:, start:stop], b, a[:, stop:])

    def numpy_int16() -> NDArray:
        out = x.copy()
        mixed = x[:, start:stop] * np.int16(whole - part)
        mixed += y * np.int16(part)
        mixed += whole // 2
        out[:, start:stop] = mixed // whole
        return out

    def dali(fn: Any, types: Any, p: Any, q: Any) -> Any:
        mixed = p[start:stop] * np.float32(1 - opacity) + q * np.float32(opacity)
        return fn.cat(p[:start], fn.cast_like(mixed, p), p[stop:], axis=0)

    return {
        "torch float": lambda: _float(*parts, opacity),
        "torch int16": lambda: _int16(*parts, torch.tensor([part], dtype=torch.int16), whole),
        "NumPy int16": numpy_int16,
        "kornia": lambda: _kornia(*parts, opacity),
        **_dali([a, b], dali, threads),
    }


def subsample(clip: Tensor, frames: NDArray[np.int64], threads: int) -> Peers:
    """The same frames of every sample."""
    x, index = clip.numpy(), torch.from_numpy(frames)
    order = frames.tolist()
    return {
        "torch index_select": lambda: clip.index_select(1, index),
        "NumPy": lambda: x.take(frames, 1),
        "torchvision": lambda: tv.uniform_temporal_subsample(clip, len(frames)),
        **_dali([clip], lambda fn, types, p: fn.sequence_rearrange(p, new_order=order), threads),
    }


def reverse(clip: Tensor, threads: int) -> Peers:
    """All frames, backwards."""
    x, order = clip.numpy(), list(range(clip.shape[1] - 1, -1, -1))
    return {
        "torch flip": lambda: clip.flip(1),
        "torch index_select": lambda: clip.index_select(1, torch.tensor(order)),
        "NumPy": lambda: x[:, ::-1].copy(),
        **_dali([clip], lambda fn, types, p: fn.sequence_rearrange(p, new_order=order), threads),
    }


def _float(head: Tensor, first: Tensor, second: Tensor, tail: Tensor, alpha: Tensor | float) -> Tensor:
    mixed = torch.lerp(first.float(), second.float(), alpha).add_(0.5).to(torch.uint8)
    return torch.cat([head, mixed, tail], 1)


def _int16(head: Tensor, first: Tensor, second: Tensor, tail: Tensor, part: Tensor, whole: int) -> Tensor:
    """Weight part / whole on the second."""
    mixed = (first * (whole - part)).add_(second * part).add_(whole // 2)
    if whole & (whole - 1):
        mixed.div_(whole, rounding_mode="floor")
    else:
        mixed >>= whole.bit_length() - 1
    return torch.cat([head, mixed.to(torch.uint8), tail], 1)


def _kornia(head: Tensor, first: Tensor, second: Tensor, tail: Tensor, alpha: Tensor | float) -> Tensor:
    mixed = kornia.enhance.add_weighted(first.float(), 1 - alpha, second.float(), alpha, 0.5)
    return torch.cat([head, mixed.to(torch.uint8), tail], 1)


def _dali(clips: list[Tensor], edit: Callable[..., Any], threads: int, extra: list[NDArray] | None = None) -> Peers:
    """A DALI pipeline over the samples of the clips; `extra` is one more input, per sample."""
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
