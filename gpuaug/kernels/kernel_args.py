"""Jobs: one block of bytes that tells a kernel everything, the same for either device, laid out as pixel.cuh says.

Legend: N samples, T output frames, K taps, S clips, L frames of a clip, H W source, Y X output, C channels.
NumPy only: tensors come as addresses and strides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LAYOUTS = ("strided", "planar", "packed")  # of an output frame; their places are LAYOUT in render.cu
THREADS = 256  # of a block of a GPU's kernel
ITEMS = 4  # words of 16 bytes that a thread of blend makes, rows of one of render
COLUMNS = 2  # columns of a thread of render
ITEMSIZE = {"uint8": 1, "float16": 2, "bfloat16": 2, "float32": 4}
LEAST = 1e-6  # part of the output that a place has at least, for the step of what it shows
DIMENSIONS = 6  # of a frame, at most, in a blend


def struct_fields(struct: str) -> list[str]:
    """The 64-bit integers of a struct of pixel.cuh or layers.cuh, in order; those of an array are numbered."""
    here = Path(__file__).parent
    source = "".join((here / f"{name}.cuh").read_text(encoding="utf-8") for name in ("pixel", "layers"))
    body = re.search(rf"^struct {struct} {{(.*?)^}};", source, re.S | re.M)
    assert body, struct
    found: list[str] = []
    for kind, names in re.findall(r"(\w+) ([^;]+);", re.sub(r"//.*", "", body[1])):
        for name, count in re.findall(r"(\w+)(?:\[(\d)\])?", names):
            own = [f"{name}{i}" for i in range(int(count))] if count else [name]
            found += own if kind == "i64" else struct_fields(kind)
    return found


BLEND, RENDER, MIX, COMPOSE = (tuple(struct_fields(f"{name}Job")) for name in ("Blend", "Render", "Mix", "Compose"))


class StridedClips(NamedTuple):
    """Clips in memory: address in bytes, shape (S, L, …), strides in elements, bytes per element, and their owner."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    itemsize: int
    array: Any


@dataclass(frozen=True)
class FrameTaps:
    """The plan as the kernels take it: clip int, frame int and weight float32, all (N,T,K)."""

    clip: NDArray
    frame: NDArray
    weight: NDArray


def lengths(views: list[StridedClips]) -> NDArray[np.int64]:
    """int64 (S,): frames of every clip, the clips of all views counted through."""
    return np.repeat([v.shape[1] for v in views], [v.shape[0] for v in views])


def blend(plan: FrameTaps, clips: list[StridedClips], out: StridedClips) -> NDArray[np.uint8]:
    """The job that blends `clips`, views of one trailing shape, into `out` of shape (N, T, …)."""
    order = sorted((d for d in range(2, len(out.shape)) if out.shape[d] > 1), key=lambda d: -abs(out.strides[d]))
    sizes: list[int] = []
    strides: list[list[int]] = [[] for _ in (out, *clips)]  # one list per view
    for d in order:
        steps = [v.strides[d] for v in (out, *clips)]
        if sizes and all(have[-1] == step * out.shape[d] for have, step in zip(strides, steps)):
            sizes[-1] *= out.shape[d]  # one run in every view
            for have, step in zip(strides, steps):
                have[-1] = step
        else:
            sizes.append(out.shape[d])
            for have, step in zip(strides, steps):
                have.append(step)
    if len(sizes) > DIMENSIONS:
        raise ValueError(
            f"a frame must have at most {DIMENSIONS} dimensions that do not lie in one run, got {len(sizes)}"
        )
    unused = DIMENSIONS - len(sizes)
    sizes = [1] * unused + sizes
    strides = [[1] * unused + have for have in strides]
    rows = [[v.address, v.shape[1], v.strides[1], *have] for v, have in zip(clips, strides[1:])]
    fields, arrays = _taps(plan, clips, rows)
    fields.update(out=out.address, out_n=out.strides[0], out_t=out.strides[1])
    fields.update(per_frame=int(np.prod(sizes)), flat=int(len(order) == 0 or sizes[-1] == np.prod(sizes)))
    fields.update({f"sizes{d}": size for d, size in enumerate(sizes)})
    fields.update({f"out_strides{d}": step for d, step in enumerate(strides[0])})
    return _pack(BLEND, fields, arrays)


def render(
    plan: FrameTaps,
    clips: list[StridedClips],
    out: StridedClips,
    *,
    layout: str,
    box_NTK4: NDArray[np.float64],
    matrix: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """The job that renders `clips`, uint8 (S, L, H, W, C) and dense in W and C, into `out`.

    `layout` names the dimensions of `out`; `box_NTK4` has size 1 where it is shared; `matrix` (N or 1, C, C+1) acts on
    pixels in 0…255.
    """
    size = dict(zip(layout, out.shape))
    rows = [[v.address, v.shape[1], v.shape[2], v.shape[3], v.strides[1], v.strides[2]] for v in clips]
    fields, arrays = _taps(plan, clips, rows)
    fields.update(_picture(out, layout, matrix), widest=max(v.shape[3] for v in clips))
    n, t, k, _ = box_NTK4.shape
    fields.update(axes_n=t * k * (n > 1), axes_t=k * (t > 1), axes_k=int(k > 1))
    arrays.update(axes=axes(box_NTK4, (size["H"], size["W"])), colors=matrix)
    return _pack(RENDER, fields, arrays)


def compose(
    plan: FrameTaps,
    layers: NDArray[np.float32],
    planes: NDArray[np.uint16],
    clips: list[StridedClips],
    out: StridedClips,
    layout: str,
    *,
    axes_NTK26: NDArray[np.float32],
    matrix: NDArray[np.float32],
    same: bool,
) -> NDArray[np.uint8]:
    """The job of a plan whose taps lie over each other: of `clips` (S, L, H, W, C), of any strides, into `out`.

    `layers` (N, T, K, 16) are those of layers.cuh, `planes` (M, Y, X) their time maps; `same`: the clips have the type
    of the output, else they are bytes.
    """
    rows = [[v.address, v.shape[1], v.shape[2], v.shape[3], *v.strides[1:]] for v in clips]
    fields, arrays = _taps(plan, clips, rows)
    packed = not same and all(v.shape[4] == 3 and v.strides[3:] == (3, 1) for v in clips)
    fields.update(_picture(out, layout, matrix), widest=max(v.shape[3] for v in clips))
    fields.update(same=int(same), packed=int(packed))
    arrays.update(axes=axes_NTK26, layers=layers, planes=planes, colors=matrix)
    return _pack(COMPOSE, fields, arrays)


def _picture(out: StridedClips, layout: str, matrix: NDArray[np.float32]) -> dict[str, int]:
    """Header fields of an output whose dimensions `layout` names, and of its colour matrices."""
    size = dict(zip(layout, out.shape))
    names = layout.replace("H", "Y").replace("W", "X").lower()
    found = {"y": size["H"], "x": size["W"], "c": size["C"], "out": out.address}
    found |= {f"out_{name}": step for name, step in zip(names, out.strides)}
    channels = matrix.shape[1]
    diagonal = all(not matrix[:, i, j].any() for i, j in np.ndindex(channels, channels) if i != j)
    return found | {"colors_n": int(len(matrix) > 1), "diagonal": int(diagonal)}


def axes(
    box: NDArray[np.float64], size: tuple[int, int], place: NDArray[np.float64] | None = None
) -> NDArray[np.float32]:
    """float32 (…, 2, 6), Axis pairs (y, x) of pixel.cuh for boxes (…, 4) and output size (Y, X).

    `place` (…, 4) is where in the output the boxes are put, in parts of it: y0, x0, y1, x1; None: all of it.
    Output pixel i lies at (i + 0.5)/outputs of the box, source pixel j at j + 0.5, and positions are clamped to the
    centres of the box's outermost pixels (to its middle where it is below one pixel).

    >>> axes(np.array([2.0, 0.0, 6.0, 8.0]), (4, 4))[0].tolist()
    [2.0, 0.0, 1.0, 0.0, 3.0, 8388608.0]
    """
    begin, end = box[..., :2], box[..., 2:]
    low, high = np.minimum(begin, end), np.maximum(begin, end)
    outputs = np.array(size)
    base = np.floor(low)
    inset = np.minimum(0.5, (high - low) / 2)
    step = (high - low) / outputs
    offset: float | NDArray = 0.0
    if place is not None:
        first, last = place[..., :2], place[..., 2:]
        step = step / np.maximum(last - first, LEAST)
        offset = (
            np.where(end < begin, 1 - last, first) * outputs
        )  # mirrored, output pixels are counted from the other end
    start = low - base + step / 2 - 0.5 - offset * step
    signed = np.where(end < begin, -step, step)
    least, most = (np.maximum(end - 0.5, 0) - base for end in (low + inset, high - inset))
    # not below 0: a box of less than a pixel at the edge shows the outermost pixel alone
    found = np.broadcast_arrays(base, start, signed, least, most, np.float64(2.0**23))
    return np.stack(found, -1).astype(np.float32)


def _taps(
    plan: FrameTaps, clips: list[StridedClips], rows: list[list[int]]
) -> tuple[dict[str, int], dict[str, NDArray]]:
    """Header fields and arrays of the plan and its sources. `rows` has a row per view; a single view needs no more."""
    counts = [v.shape[0] for v in clips]
    table = np.array(rows, np.int64)
    clip_stride = 0
    if len(clips) == 1:
        clip_stride = clips[0].strides[0] * clips[0].itemsize
    else:
        steps = np.repeat([v.strides[0] * v.itemsize for v in clips], counts)
        inner = np.concatenate([np.arange(count) for count in counts])
        table = np.repeat(table, counts, 0)
        table[:, 0] += steps * inner
    n, t, k = plan.clip.shape
    fields = {"n": n, "t": t, "k": k, "clips": sum(counts), "clip_stride": clip_stride, "row_step": int(len(clips) > 1)}
    arrays = {"clip": plan.clip.astype(np.int32), "frame": plan.frame.astype(np.int32)}
    return fields, {**arrays, "weight": plan.weight.astype(np.float32, copy=False), "sources": table}


def _pack(names: tuple[str, ...], fields: dict[str, int], arrays: dict[str, NDArray]) -> NDArray[np.uint8]:
    """uint8 (bytes,): the header in the order of `names`, then the arrays, each on a multiple of 16."""
    header = end = 8 * len(names)
    offsets = {}
    for name, array in arrays.items():
        offsets[name] = -(-end // 16) * 16
        end = offsets[name] + array.nbytes
    job = np.zeros(end, np.uint8)
    values = {**fields, **offsets}
    job[:header].view(np.int64)[:] = [values[name] for name in names]
    for name, array in arrays.items():
        job[offsets[name] : offsets[name] + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return job
