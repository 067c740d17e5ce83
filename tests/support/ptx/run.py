"""Runs translated PTX: the memory that a job's kernel may touch, and what it touched else."""

from __future__ import annotations

import ctypes

import numpy as np

from gpuaug.kernels import kernel_args, launches

SIDES = (("frames", "frame"), ("height", "row"), ("width", "pixel"))  # of a source, and their strides


def ranges(kernel: str, work: np.ndarray, dtype: str) -> np.ndarray:
    """uint64 (R, 3): begin, end and whether it may be written, of the memory that a job's kernel may touch.

    Words of which one byte belongs to a source are read whole; what is written has to be the output's.
    """
    fields, rows = launches.header(kernel, work)
    found = [(work.ctypes.data, work.ctypes.data + work.size, 0)]
    size = kernel_args.ITEMSIZE[dtype]
    for row in rows:
        source = dict(zip(launches.HEADERS[kernel][1], row))
        clips = [(fields["clips"] if fields["row_step"] == 0 else 1, fields["clip_stride"])]
        if kernel == "render":
            steps = [*clips, (source["frames"], source["frame_stride"]), (source["height"], source["row_stride"])]
            begin, end = span(source["address"], [*steps, (source["width"] * fields["c"], 1)], 1)
        elif kernel == "compose":
            own = size if fields["same"] else 1
            steps = [(source[name], own * source[f"{step}_stride"]) for name, step in SIDES]
            begin, end = span(source["address"], [*clips, *steps, (fields["c"], own * source["channel_stride"])], own)
        else:
            steps = [(source["frames"], size * source["frame_stride"])]
            steps += [(fields[f"sizes{d}"], size * source[f"strides{d}"]) for d in range(kernel_args.DIMENSIONS)]
            begin, end = span(source["address"], [*clips, *steps], size)
        found.append((begin // 4 * 4, -(-end // 4) * 4, 0))
    steps = [(fields[name], size * fields[f"out_{name}"]) for name in ("nt" if kernel == "blend" else "ntcyx")]
    if kernel == "blend":
        steps += [(fields[f"sizes{d}"], size * fields[f"out_strides{d}"]) for d in range(kernel_args.DIMENSIONS)]
    found.append((*span(fields["out"], steps, size), 1))
    return np.array(found, np.uint64)


def span(address: int, steps: list[tuple[int, int]], size: int) -> tuple[int, int]:
    """First byte, and the one behind the last, of values at so many steps of so many bytes from an address."""
    reach = [(count - 1) * step for count, step in steps]
    return address + sum(r for r in reach if r < 0), address + sum(r for r in reach if r > 0) + size


def run(
    library: ctypes.CDLL, parameters: np.ndarray, grid: tuple[int, int, int], threads: int, allowed: np.ndarray
) -> None:
    """Run a kernel; AssertionError where it read, or wrote, what it may not."""
    library.run.restype = ctypes.c_long
    fault = np.zeros(2, np.uint64)
    blocks = (ctypes.c_uint * 3)(*grid)
    address = ctypes.c_void_p
    faults = library.run(
        address(parameters.ctypes.data),
        blocks,
        threads,
        address(allowed.ctypes.data),
        len(allowed),
        address(fault.ctypes.data),
    )
    kind = ("none", "not on a multiple of its size", "read outside", "written outside")[int(fault[1])]
    assert faults == 0, (
        f"{faults} accesses were wrong, the first at {int(fault[0]):#x}: {kind}; allowed: {allowed.tolist()}"
    )
