"""What `render_cuda` compares with, on the device of the bank: by name, functions without arguments."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

import gpuaug

from . import common

Peers = dict[str, Callable[[], Any]]


def blends(bank: Tensor, plan: gpuaug.Plan, compiled: bool) -> Peers:
    """The weighted sum of frames of a bank (S, T, …), rounded to uint8."""
    clip, frame = (torch.from_numpy(v).to(bank.device) for v in (plan.clip, plan.frame))
    weight = torch.from_numpy(plan.weight).to(bank.device).view(*plan.weight.shape, 1, 1, 1)
    if plan.clip.shape[2] == 1:
        flat, index = bank.flatten(0, 1), (clip * bank.shape[1] + frame).flatten()
        return {"torch, index_select": lambda: flat.index_select(0, index).view(*clip.shape[:2], *bank.shape[2:])}

    def lerp() -> Tensor:
        first, second = (bank[clip[:, :, k], frame[:, :, k]].float() for k in range(2))
        return torch.lerp(first, second, weight[:, :, 1]).add_(0.5).to(torch.uint8)

    return {"torch": lerp, **({"torch.compile": torch.compile(lerp)} if compiled else {})}


def renders(
    bank: Tensor,
    plan: gpuaug.Plan,
    box: NDArray[np.int64],
    size: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    compiled: bool,
    absent: dict[str, str],
) -> Peers:
    """One crop per sample of one frame, or of two blended ones, resized and normalised, bfloat16 (N, C, T, Y, X)."""
    from .render_cuda import sampled

    device = bank.device
    n, t, taps = plan.clip.shape
    clip, frame = (torch.from_numpy(v).to(device) for v in (plan.clip, plan.frame))
    weight = torch.from_numpy(plan.weight).to(device)
    box_M4 = torch.from_numpy(box).float().to(device).repeat_interleave(t, 0)
    center, scale = (torch.tensor(v, device=device).view(3, 1, 1) for v in (mean, std))
    rows = box.tolist()

    def shown(sample: Any, k: int) -> Tensor:
        return bank[clip[sample, :, k], frame[sample, :, k]]

    def at_once() -> Tensor:
        every = slice(None)
        value = shown(every, 0).float()
        if taps == 2:
            value = torch.lerp(value, shown(every, 1).float(), weight[:, :, 1].view(n, t, 1, 1, 1))
        pictures = sampled(value.flatten(0, 1).permute(0, 3, 1, 2), box_M4, size)
        result = (pictures / 255 - center) / scale
        return result.view(n, t, 3, size, size).permute(0, 2, 1, 3, 4).to(torch.bfloat16)

    def one_by_one(resize: Callable[[Tensor, list[int]], Tensor], early: bool) -> Tensor:
        """`early`: the whole clip is converted before it is cropped, as pytorchvideo's transforms do it."""
        samples = []
        for i, (y0, x0, y1, x1) in enumerate(rows):
            parts = []
            for k in range(taps):
                part = shown(i, k).permute(0, 3, 1, 2)
                parts.append(part.float() if early else part[:, :, y0:y1, x0:x1].float())
            value = parts[0] if taps == 1 else torch.lerp(parts[0], parts[1], weight[i, :, 1].view(t, 1, 1, 1))
            value = (value / 255 - center) / scale if early else value
            value = resize(value[:, :, y0:y1, x0:x1] if early else value, [size, size])
            samples.append((value if early else (value / 255 - center) / scale).transpose(0, 1))
        return torch.stack(samples).to(torch.bfloat16)

    def interpolate(value: Tensor, to: list[int]) -> Tensor:
        return F.interpolate(value, to, mode="bilinear")

    peers: Peers = {
        "torch": at_once,
        "torch, sample by sample": lambda: one_by_one(interpolate, False),
        "pytorchvideo-style": lambda: one_by_one(interpolate, True),
    }
    if compiled:
        peers["torch.compile"] = torch.compile(at_once)
    if tv := common.peer("torchvision.transforms.v2.functional", absent):
        peers["torchvision v2"] = lambda: one_by_one(lambda v, to: tv.resize(v, to, antialias=False), False)
    if kornia := common.peer("kornia", absent):
        peers["kornia"] = lambda: one_by_one(lambda v, to: kornia.geometry.resize(v, tuple(to)), False)
    if common.peer("nvidia.dali", absent):
        try:
            peers["DALI"] = dali(bank, plan, box, size, mean, std)
        except Exception as error:
            absent["DALI"] = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return peers


def dali(
    bank: Tensor, plan: gpuaug.Plan, box: NDArray, size: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> Callable[[], Tensor]:
    """A DALI pipeline over views of the bank, which are handed to it without a copy."""
    from nvidia.dali import Pipeline

    fn, types = (importlib.import_module(f"nvidia.dali.{name}") for name in ("fn", "types"))
    n, t, taps = plan.clip.shape
    gpu = bank.is_cuda
    clips: list[list[Any]] = [[bank[plan.clip[i, 0, k]] for i in range(n)] for k in range(taps)]
    if not gpu:
        clips = [[clip.numpy() for clip in each] for each in clips]
    alpha = [np.ascontiguousarray(plan.weight[i, :, -1].reshape(t, 1, 1, 1)) for i in range(n)]
    low, high = ([np.float32(row) for row in box[:, part]] for part in ([0, 1], [2, 3]))
    pipeline = Pipeline(n, 4, bank.device.index or 0 if gpu else None, prefetch_queue_depth=1)
    with pipeline:

        def source(values: list[Any], device: str, **how: Any) -> Any:
            return fn.external_source(source=itertools.repeat(values), device=device, **how)

        where = "gpu" if gpu else "cpu"
        nodes = [source(each, where, layout="FHWC", no_copy=True) for each in clips]
        value = nodes[0]
        if taps == 2:
            share = source(alpha, "cpu")
            share = share.gpu() if gpu else share
            value = nodes[0] * (1 - share) + nodes[1] * share
        start, end = source(low, "cpu"), source(high, "cpu")
        value = fn.resize(
            value, roi_start=start, roi_end=end, size=[size, size], dtype=types.FLOAT,
            interp_type=types.INTERP_LINEAR, antialias=False,
        )  # fmt: skip
        value = (value / 255 - np.array(mean, np.float32)) / np.array(std, np.float32)
        pipeline.set_outputs(fn.transpose(value, perm=[3, 0, 1, 2]))
    pipeline.build()

    def run() -> Tensor:
        (output,) = pipeline.run()
        dense = output.as_tensor()
        tensor = torch.from_dlpack(dense) if gpu else torch.from_numpy(np.asarray(dense))
        return tensor.to(torch.bfloat16)

    run()
    return run
