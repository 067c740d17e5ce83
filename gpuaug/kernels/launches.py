"""How a GPU runs a job: what its kernel is compiled for, the grid of its blocks, and what they take by value.

Legend: N samples, T output frames, K taps, Y X output. NumPy only.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .kernel_args import BLEND, COLUMNS, COMPOSE, ITEMS, ITEMSIZE, RENDER, THREADS, struct_fields

KERNELS = ("Blend", "Render", "Compose")
BLEND_SOURCE, RENDER_SOURCE, COMPOSE_SOURCE = (tuple(struct_fields(f"{name}Source")) for name in KERNELS)
FULL = int(np.float32(2.0**23).view(np.int32))
BLEND_LAUNCH, RENDER_LAUNCH, COMPOSE_LAUNCH = (tuple(struct_fields(f"{name}Launch")) for name in KERNELS)
HEADERS = {"blend": (BLEND, BLEND_SOURCE), "render": (RENDER, RENDER_SOURCE), "compose": (COMPOSE, COMPOSE_SOURCE)}
LAUNCHES = {"blend": BLEND_LAUNCH, "render": RENDER_LAUNCH, "compose": COMPOSE_LAUNCH}
MOST_BLOCKS = 65535  # of a grid along y and z


class Variant(NamedTuple):
    """What a GPU's kernel is compiled for: numbers in its source, and the type of the values (of the output)."""

    kernel: str
    dtype: str
    channels: int  # 1 or 3; 1 for blend, and for compose where channels are planes
    taps: int  # K, 0: any number, as for compose
    layout: int  # place in LAYOUTS; 0 for blend and compose
    one: int  # 1: one tensor holds all clips
    same: int = 0  # of compose: 1: the sources have the type of the values; 0: bytes


class Launch(NamedTuple):
    """A run of a variant: blocks along (x, y, z), and the bytes that the kernel takes by value."""

    grid: tuple[int, int, int]
    parameters: NDArray[np.uint8]


def launches(
    kernel: str, work: NDArray[np.uint8], dtype: str, address: int, most: int = MOST_BLOCKS
) -> tuple[Variant, list[Launch]]:
    """How a GPU runs a job of `blend`, `render` or `compose` that lies at `address` of its memory.

    Args:
        most: blocks along y and z, T and N; what is more takes further launches.
    """
    field, rows = header(kernel, work)
    names = LAUNCHES[kernel]
    n, t, taps = field["n"], field["t"], field["k"]
    more = {"bytes": address, "full": FULL}
    channels, layout, one = 1, 0, int(field["row_step"] == 0)
    if kernel == "compose":
        channels = 3 if field["packed"] else 1
        threads = field["y"] * field["x"] * (1 if field["packed"] else field["c"])
    elif kernel == "render":
        channels, layout = field["c"], _layout(field)
        found, threads = _render_threads(field, rows, layout, ITEMSIZE[dtype])
        more |= found
    else:
        threads = -(-field["per_frame"] * ITEMSIZE[dtype] // (16 * ITEMS))
    blocks = -(-threads // THREADS)
    if max(n * t * taps, blocks * THREADS if kernel != "blend" else blocks) >= 2**31:
        raise ValueError(
            f"a plan must be below 2³¹ taps, and a frame below 2³¹ threads, got {n * t * taps} and {threads}"
        )
    common = [*field.values(), *rows[0]]
    runs = []
    for more["first_n"], more["first_t"] in itertools.product(range(0, n, most), range(0, t, most)):
        values = np.array([*common, *(more[name] for name in names[len(common) :])], np.int64)
        grid = blocks, min(most, t - more["first_t"]), min(most, n - more["first_n"])
        runs.append(Launch(grid, values.view(np.uint8)))
    counted = taps if taps <= 2 and kernel != "compose" else 0
    return Variant(kernel, dtype, channels, counted, layout, one, field.get("same", 0)), runs


def header(kernel: str, work: NDArray[np.uint8]) -> tuple[dict[str, int], list[list[int]]]:
    """The fields of a job, and the rows of its sources."""
    names, source = HEADERS[kernel]
    field = dict(zip(names, work[: 8 * len(names)].view(np.int64).tolist()))
    size, begin = 8 * len(source), field["sources"]
    rows = work[begin : begin + size * (field["clips"] if field["row_step"] else 1)]
    return field, np.frombuffer(rows.tobytes(), np.int64).reshape(-1, len(source)).tolist()


def _layout(field: dict[str, int]) -> int:
    """The place in LAYOUTS of a render's output; a dimension of size 1 has any stride."""
    for number, step in ((1, 1), (2, field["c"])):
        if (field["x"] == 1 or field["out_x"] == step) and (number == 1 or field["out_c"] == 1):
            return number
    return 0


def _render_threads(
    field: dict[str, int], rows: list[list[int]], layout: int, itemsize: int
) -> tuple[dict[str, int], int]:
    """Fields of RenderLaunch that say what threads may do, and how many there are for a frame."""
    columns = max(2, -(-field["x"] // COLUMNS))  # no division by 1 is needed
    shift = (columns - 1).bit_length() - 1
    threads = columns * -(-field["y"] // ITEMS)
    words = field["c"] == 3 and field["clip_stride"] % 4 == 0 and all(map(_has_words, rows))
    strides = [field[f"out_{name}"] for name in ("n", "t", "y", *("c" if layout == 1 else ""))]
    pairs = field["x"] % COLUMNS == 0 and field["out"] % (COLUMNS * itemsize) == 0
    pairs = pairs and not any(stride % COLUMNS for stride in strides)
    pairs = pairs and field["out_y"] >= 0 and (field["out_y"] * field["y"] + 3 * field["x"]) * itemsize < 2**32
    found = {"columns": columns, "shift": shift, "multiplier": (1 << 32 + shift) // columns + 1}
    return found | {"words": int(words), "pairs": int(pairs)}, threads


def _has_words(source: list[int]) -> bool:
    """Whether the rows of a RenderSource begin on multiples of 4 bytes, each in its own memory, two pixels wide."""
    address, _, height, width, frame_stride, row_stride = source
    own = height == 1 or 3 * width <= row_stride < 2**32
    return own and width >= 2 and (address | frame_stride | row_stride) % 4 == 0
