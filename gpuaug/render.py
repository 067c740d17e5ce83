"""blend and render: check the arguments, then run one kernel on the device that the frames are on.

Legend: N samples, T output frames, K taps, S clips, L frames of a clip, H W source, Y X output, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from . import arguments, compile
from .arrays import PLAIN, accept_tensor, alike, check_time, picture, picture_axes
from .execute import DTYPES, blend_plan, new, render_into
from .plan import Plan

Layout = Literal["NCTHW", "NTCHW", "NTHWC"]
LAYOUTS = ("NCTHW", "NTCHW", "NTHWC")


def blend(frames: Tensor | Sequence[Tensor], plan: Plan, *, spatial_dims: tuple[int, int] | None = None) -> Tensor:
    """Tensor (N, T, …) of the frames' dtype and device: Σ_k weight · frames[clip][frame], summed in float32.

    Args:
        frames: bank (S, L, …), or a list of clips (L_i, …) of one trailing shape; uint8 (the result is rounded to the
            nearest, halves upwards), float16, bfloat16 or float32; on the CPU or a GPU, with any strides. A bank or
            clips of torchvision's Video, (S, L, C, H, W) or (L_i, C, H, W), give a Video.
        plan: which frames to show. On a GPU it is copied there without waiting.
        spatial_dims: for plans with layers, the axes of rows and columns of a bank (S, L, …), or of clips (L, …) as if
            they had S; None: as in `gpuaug.transition`.

    Raises:
        ValueError: for a clip or frame that `frames` does not have, and for other unfit arguments.

    >>> blend(torch.tensor([[10, 20], [30, 41]], dtype=torch.uint8), Plan.take([0, 1], [[1, 0]])).tolist()
    [[20, 10], [41, 30]]
    """
    banks = _banks(frames, DTYPES, plan)
    shapes = {tuple(bank.shape[2:]) for bank in banks}
    if len(shapes) > 1:
        raise ValueError(f"frames must be clips (L_i, …) of one trailing shape, got {sorted(shapes)}")
    out = new(banks[0].device, (*plan.clip.shape[:2], *banks[0].shape[2:]), banks[0].dtype)
    axes = () if plan.layers is None else picture_axes("frames", banks[0], 1, spatial_dims)
    if torch.compiler.is_compiling():
        compile.blend(banks, *compile.tensors(plan), list(axes), out)
    else:
        blend_plan(banks, plan, axes, out)
    return alike(out, [frames] if isinstance(frames, Tensor) else frames)


def render(
    frames: Tensor | Sequence[Tensor],
    plan: Plan,
    *,
    size: tuple[int, int],
    box: ArrayLike | None = None,
    color: ArrayLike | None = None,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    dtype: torch.dtype = torch.float32,
    layout: Layout = "NCTHW",
    out: Tensor | None = None,
    allow_aliasing: bool = False,
) -> Tensor:
    """Tensor of the plan's samples, its dimensions named by `layout`: blended, cropped, resized, coloured, normalised.

    value = (color · pixel − mean) / std, on pixels scaled from 0…255 to 0…1. Resizing is bilinear without antialias:
    output pixel i is at (i + 0.5)/size of the box, clamped to the centres of the box's outermost pixels, so that an
    integer box equals a crop followed by torch's `interpolate(mode="bilinear", align_corners=False)`.

    Args:
        frames: uint8 bank (S, L, H, W, C), or a list of clips (L_i, H_i, W_i, C) of different sizes, or of banks,
            whose clips are counted through; C = 3 or 1; on the CPU or a GPU; the pixels of a row must lie side by side.
        plan: which frames to show. On a GPU it is copied there without waiting.
        size: (Y, X), output rows and columns, ≥ 1.
        box: (N, 4), (N, T, 4) or (N, T, K, 4): y0, x0, y1, x1 in source pixels, float, inside the frame; x1 < x0
            mirrors left to right, y1 < y0 top to bottom. None: the whole frame (of a bank: the whole slot).
        color: (C, C+1), for all samples, or (N, C, C+1), on values 0…1; None: no change.
        mean, std: one number or one per channel, on values 0…1; std > 0.
        dtype: float32, float16, bfloat16, or uint8: round(255 · value) clamped to 0…255.
        out: tensor to fill and return; its dtype, shape and device must be those of the result.
        allow_aliasing: render boxes of more than twice the output's rows or columns too.

    Raises:
        ValueError: for a clip or frame that `frames` does not have, a box outside its frame or more than twice as
            large as `size`, and for other unfit arguments.

    >>> row = torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 1, 2, 1)
    >>> render(row, Plan.take(0, [0]), size=(1, 4), dtype=torch.uint8).flatten().tolist()
    [0, 64, 191, 255]
    """
    banks = _banks(frames, (torch.uint8,), plan, dims=5)
    channels = banks[0].shape[-1]
    if any(bank.ndim != 5 or bank.shape[4] != channels for bank in banks) or channels not in (1, 3):
        shapes = [tuple(bank.shape) for bank in banks]
        raise ValueError(
            f"frames must be (S, L, H, W, C), or clips (L, H, W, C), all of C = 3 or all of C = 1, got {shapes}"
        )
    for clip in [frames] if isinstance(frames, Tensor) else frames:
        if type(clip) not in PLAIN and picture(clip):
            raise ValueError("frames must have channels last, got a tv_tensor, which has them first: permute it")
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {LAYOUTS}, got layout={layout!r}")
    if not isinstance(size, Sequence) or len(size) != 2 or min(size) < 1:
        raise ValueError(f"size must be (rows, columns), both ≥ 1, got size={size}")
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be uint8, float16, bfloat16 or float32, got dtype={dtype}")
    n, t, _ = plan.clip.shape
    extent = {"N": n, "C": channels, "T": t, "H": size[0], "W": size[1]}
    shape = tuple(extent[name] for name in layout)
    if out is None:
        out = new(banks[0].device, shape, dtype)
    elif tuple(out.shape) != shape or out.dtype != dtype or out.device != banks[0].device:
        wanted, got = f"{dtype} {shape} on {banks[0].device}", f"{out.dtype} {tuple(out.shape)} on {out.device}"
        raise ValueError(f"out must be {wanted}, got {got}")
    elif any(step == 0 and count > 1 for step, count in zip(out.stride(), out.shape)):
        raise ValueError(f"out must have a place of its own for every value, got strides {out.stride()}")
    means, stds = arguments.per_channel("mean", mean, channels), arguments.per_channel("std", std, channels)
    if torch.compiler.is_compiling():
        boxes, colors = (
            None if v is None else torch.as_tensor(v, dtype=torch.float64, device="cpu") for v in (box, color)
        )
        compile.render(banks, *compile.tensors(plan), boxes, colors, means, stds, layout, allow_aliasing, out)
    else:
        render_into(banks, plan, box, color, means, stds, layout, allow_aliasing, out)
    return out


def _banks(
    frames: Tensor | Sequence[Tensor], dtypes: tuple[torch.dtype, ...], plan: Plan, dims: int | None = None
) -> list[Tensor]:
    """Tensors (S_i, L_i, …) of one dtype and device: the bank, or every clip as a bank of one.

    Args:
        dims: of a bank; a list may then hold banks too.
    """
    if not isinstance(plan, Plan):
        raise ValueError(f"plan must be a gpuaug.Plan, got {type(plan).__name__}")
    clips = [frames] if isinstance(frames, Tensor) else list(frames)
    if not clips or not all(isinstance(clip, Tensor) for clip in clips):
        raise ValueError(f"frames must be a torch tensor or a non-empty list of them, got {type(frames).__name__}")
    for clip in clips:
        accept_tensor("frames", clip)
        if type(clip) not in PLAIN:
            check_time("frames", clip, 1 if isinstance(frames, Tensor) else 0)
    banks = clips if isinstance(frames, Tensor) else [c if c.ndim == dims else c.unsqueeze(0) for c in clips]
    first = banks[0]
    if first.dtype not in dtypes or any(bank.dtype != first.dtype for bank in banks):
        names = ", ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
        raise ValueError(f"frames must have one dtype of {names}, got {sorted({str(bank.dtype) for bank in banks})}")
    if first.device.type not in ("cpu", "cuda") or any(bank.device != first.device for bank in banks):
        raise ValueError(f"frames must be on the CPU or on one GPU, got {sorted({str(bank.device) for bank in banks})}")
    if any(bank.ndim < 2 or 0 in bank.shape for bank in banks):
        raise ValueError(f"frames must be (S, L, …) or clips (L, …), not empty, got {[tuple(b.shape) for b in banks]}")
    return banks
