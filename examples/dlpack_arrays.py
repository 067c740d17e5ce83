"""Arrays of CuPy, JAX and NumPy through the same edits: what goes in comes out, of one library, device and dtype.

Memory is shared by DLPack in both directions; nothing is copied but what the edit writes. gpuaug runs eagerly: inside
`jax.jit` there are no arrays yet, so call it between the jitted steps.

    python examples/dlpack_arrays.py        # with jax, or cupy and a GPU; what is not there is named
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

import gpuaug


def edit(clips: Any, others: Any) -> Any:
    """(N, 8, …) → (N, 6, …): a cross-fade played backwards, from one sample's third frame on frozen."""
    mixed = gpuaug.crossfade(clips, others, length=8, center=4, overlap=4)
    return gpuaug.take(mixed, [[7, 6, 5, 4, 3, 2], [7, 6, 5, 5, 5, 5]])


def main() -> None:
    clips, others = np.random.default_rng(0).integers(0, 256, (2, 2, 8, 32, 32, 3), dtype=np.uint8)
    expected = edit(clips, others)
    for name in ("jax", "cupy"):
        try:
            library = importlib.import_module("jax.numpy" if name == "jax" else name)
            arrays = library.asarray(clips), library.asarray(others)
        except Exception as error:  # not installed, no driver, no GPU
            print(f"{name}: left out, {type(error).__name__}: {str(error).splitlines()[0]}")
            continue
        edited = edit(*arrays)
        same = np.array_equal(edited.get() if name == "cupy" else np.asarray(edited), expected)
        print(f"{name}: {type(edited).__name__} {edited.dtype} {edited.shape} on {edited.device}, as NumPy: {same}")


if __name__ == "__main__":
    main()
