"""What `blend` and `render` are compared with, on the device of the bank: by name, functions without arguments.

Legend: N samples, K taps, C channels, T H W picture in the bank, M = N·T pictures, Y X output.
"""

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
from pretrain.models.networks import KINETICS

from ..common import Candidates, Suite

MEAN, STD = KINETICS


def blends(bank: Tensor, plan: gpuaug.Plan, *, compiled: bool) -> Candidates:
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
    suite: Suite, bank: Tensor, plan: gpuaug.Plan, box: NDArray[np.int64], size: int, *, compiled: bool
) -> Candidates:
    """One crop per sample of one frame, or of two blended ones, resized and normalised, bfloat16 (N, C, T, Y, X)."""
    device = bank.device
    n, t, taps = plan.clip.shape
    clip, frame = (torch.from_numpy(v).to(device) for v in (plan.clip, plan.frame))
    weight = torch.from_numpy(plan.weight).to(device)
    box_M4 = torch.from_numpy(box).float().to(device).repeat_interleave(t, 0)
    center, scale = (torch.tensor(v, device=device).view(3, 1, 1) for v in (MEAN, STD))
    rows = box.tolist()

    def shown(sample: Any, k: int) -> Tensor:
        return bank[clip[sample, :, k], frame[sample, :, k]]

    def at_once() -> Tensor:
        every = slice(None)
        value = shown(every, 0).float()
        if taps == 2:
            value = torch.lerp(value, shown(every, 1).float(), weight[:, :, 1].view(n, t, 1, 1, 1))
        pictures = _sampled(value.flatten(0, 1).permute(0, 3, 1, 2), box_M4, size)
        result = (pictures / 255 - center) / scale
        return result.view(n, t, 3, size, size).permute(0, 2, 1, 3, 4).to(torch.bfloat16)

    def one_by_one(resize: Callable[[Tensor, list[int]], Tensor], early: bool = False) -> Tensor:
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

    peers: Candidates = {
        "torch": at_once,
        "torch, sample by sample": lambda: one_by_one(interpolate),
        "pytorchvideo-style": lambda: one_by_one(interpolate, early=True),
    }
    if compiled:
        peers["torch.compile"] = torch.compile(at_once)
    if tv := suite.peer("torchvision.transforms.v2.functional"):
        peers["torchvision v2"] = lambda: one_by_one(lambda v, to: tv.resize(v, to, antialias=False))
    if kornia := suite.peer("kornia"):
        peers["kornia"] = lambda: one_by_one(lambda v, to: kornia.geometry.resize(v, tuple(to)))
    if suite.peer("nvidia.dali"):
        try:
            peers["DALI"] = _dali(bank, plan, box, size)
        except Exception as error:
            suite.leave_out("DALI", error)
    return peers


class ClipByClip:
    """Crops of cross-faded clips in torch, sample by sample on the CPU, into a float32 or bfloat16 (N, C, T, Y, X).

    Args:
        first, second: (N,) clips of the bank.
        center, overlap: (N,) of the cross-fade, which is one of `gpuaug.edits`; overlap 0 and center T: none.
        box: (N, 4) in pixels.
        out: the result.
    """

    def __init__(
        self,
        bank: Tensor,
        first: NDArray,
        second: NDArray,
        center: NDArray,
        overlap: NDArray,
        box: NDArray,
        out: Tensor,
    ) -> None:
        self.bank, self.first, self.second, self.box, self.out = bank, first, second, box, out
        self.begin, self.end = center - overlap // 2, center + overlap // 2
        self.frames, self.size = out.shape[2], list(out.shape[3:])
        self.scale = torch.tensor([1 / 255 / s for s in STD]).view(3, 1, 1, 1)
        self.shift = torch.tensor([-m / s for m, s in zip(MEAN, STD)]).view(3, 1, 1, 1)
        self.scratch = torch.empty(out.shape[1:])

    def plain(self) -> Tensor:
        """What one writes first: whole clips to float, blend, crop, resize, normalise, stack."""
        mean, std = torch.tensor(MEAN).view(3, 1, 1, 1), torch.tensor(STD).view(3, 1, 1, 1)
        samples = []
        for n, (y0, x0, y1, x1) in enumerate(self.box):
            clip_TCHW = self.bank[self.first[n], : self.frames].permute(0, 3, 1, 2).float() / 255
            if self.end[n] > self.begin[n]:
                second = self.bank[self.second[n], : self.frames].permute(0, 3, 1, 2).float() / 255
                second = torch.cat([second[:1].expand(int(self.begin[n]), -1, -1, -1), second])[: self.frames]
                alpha = self._alpha(n).view(-1, 1, 1, 1)
                clip_TCHW = (1 - alpha) * clip_TCHW + alpha * second
            resized = F.interpolate(clip_TCHW[:, :, y0:y1, x0:x1], size=self.size, mode="bilinear")
            samples.append((resized.permute(1, 0, 2, 3) - mean) / std)
        return self.out.copy_(torch.stack(samples))

    def uint8(self, *, per_frame: bool = False, fresh: bool = False) -> Tensor:
        """The fastest we know: crop, uint8 channels-last interpolation of the frames shown (torch has SIMD code for
        it), then float, straight into the result, or a `fresh` one."""
        out = torch.empty_like(self.out) if fresh else self.out
        for n, (begin, end) in enumerate(zip(self.begin.tolist(), self.end.tolist())):
            fades, out_CTYX = end > begin, out[n]
            first = self._resize(self.first[n], n, end if fades else self.frames, per_frame)
            if not fades:
                self._normalise(out_CTYX, first)
                continue
            second = self._resize(self.second[n], n, self.frames - begin, per_frame)
            self._normalise(out_CTYX[:, :begin], first[:, :begin])
            self._normalise(out_CTYX[:, end:], second[:, end - begin :])
            alpha = self._alpha(n)[begin:end].view(1, -1, 1, 1)
            mixed = torch.lerp(first[:, begin:].float(), second[:, : end - begin].float(), alpha)
            self._normalise(out_CTYX[:, begin:end], mixed)
        return out

    def _alpha(self, n: int) -> Tensor:
        """(T,) weight of the second clip."""
        begin, end = int(self.begin[n]), int(self.end[n])
        return ((torch.arange(self.frames) - begin + 1) / (end - begin)).clamp(0, 1)

    def _resize(self, clip: int, n: int, frames: int, per_frame: bool) -> Tensor:
        """uint8 (C, T, Y, X), channels last in memory."""
        y0, x0, y1, x1 = self.box[n]
        crop_TCHW = self.bank[clip, :frames, y0:y1, x0:x1].permute(0, 3, 1, 2)
        parts = crop_TCHW.split(1) if per_frame else [crop_TCHW]
        done = [F.interpolate(part, size=self.size, mode="bilinear") for part in parts]
        return (torch.cat(done) if per_frame else done[0]).permute(1, 0, 2, 3)

    def _normalise(self, out: Tensor, value: Tensor) -> None:
        if out.dtype == torch.float32:
            torch.add(self.shift / self.scale, value, out=out).mul_(self.scale)
        else:  # bfloat16: rounded once, from float32
            scratch = self.scratch[:, : value.shape[1]]
            out.copy_(torch.add(self.shift / self.scale, value, out=scratch).mul_(self.scale))


def _sampled(frames_MCHW: Tensor, box_M4: Tensor, size: int) -> Tensor:
    """(M, C, size, size): every picture's own box, resized as `render` does it, by one call of grid_sample."""
    height, width = frames_MCHW.shape[2:]
    steps = (torch.arange(size, device=frames_MCHW.device) + 0.5) / size
    axes = []
    for low, high, extent in ((box_M4[:, 0], box_M4[:, 2], height), (box_M4[:, 1], box_M4[:, 3], width)):
        position = low[:, None] + steps * (high - low)[:, None]
        position = torch.minimum(torch.maximum(position, low[:, None] + 0.5), high[:, None] - 0.5)
        axes.append(position * 2 / extent - 1)
    y, x = axes
    grid = torch.stack([x[:, None].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)], -1)
    return F.grid_sample(frames_MCHW, grid, padding_mode="border", align_corners=False)


def _dali(bank: Tensor, plan: gpuaug.Plan, box: NDArray, size: int) -> Callable[[], Tensor]:
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
        value = (value / 255 - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
        pipeline.set_outputs(fn.transpose(value, perm=[3, 0, 1, 2]))
    pipeline.build()

    def run() -> Tensor:
        (output,) = pipeline.run()
        dense = output.as_tensor()
        tensor = torch.from_dlpack(dense) if gpu else torch.from_numpy(np.asarray(dense))
        return tensor.to(torch.bfloat16)

    run()
    return run
