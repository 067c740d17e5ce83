"""The decoders behind `gpuaug.Decoder`: what each of them must do, and which there are.

A new one is a file beside this one, a line in BACKENDS and its name in BackendName. Used by decoder.py and by the
commands that offer a choice. A backend imports frame_index, demux and the kernels; DALI is imported in
dali_pipeline.py only, torchcodec in torchcodec.py.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ..frame_index import FrameIndex

BackendName = Literal["auto", "dali", "torchcodec", "pyav"]
Decoded = list[torch.Tensor | str]  # of each window uint8 RGB (T,H,W,3) on the device, or why it cannot be decoded


@dataclass(frozen=True, eq=False)
class FrameRequest:
    """Windows of one file: of each the positions (T,) of its frames, to be shown `height` by `width`.

    damaged: takes the positions of frames that a backend hands on although the decoder found errors in them.
    """

    index: FrameIndex
    positions: list[NDArray[np.int64]]
    height: int
    width: int
    damaged: set[int] = field(default_factory=set)

    @cached_property
    def union(self) -> NDArray[np.int64]:
        """The positions of all its windows, ascending, each once."""
        return np.unique(np.concatenate(self.positions))

    def part(self, windows: Sequence[int]) -> FrameRequest:
        """The same of these windows only."""
        return replace(self, positions=[self.positions[k] for k in windows])


class Backend(Protocol):
    """A decoder. Called by one thread at a time.

    Args:
        device: where frames are put. threads: how many to use at most.
        timeout_seconds: after which work that gives no answer is given up, where that is possible.
    """

    def __init__(self, device: torch.device, threads: int, timeout_seconds: float) -> None: ...

    def refuses(self, index: FrameIndex) -> str:
        """Why it would not give the frames that are wanted of this file; empty if it does."""

    def decode(self, requests: Sequence[FrameRequest]) -> Iterable[Decoded]:
        """The windows of each request, in order; ready for the current stream.

        Work in the background begins with the call, so that several backends run at the same time; what the calling
        thread does itself is done when the result is iterated over. Whatever a file brings about is that file's
        failure only: nothing is raised.
        """

    def close(self) -> None:
        """Wait for running work, and let go of threads; not used afterwards."""


class Entry(NamedTuple):
    """Where a backend is: class `name` of `module`, imported late. "auto" uses it for `devices` (empty: all).

    extras: with one of which gpuaug brings its library along; empty: always.
    """

    module: str
    name: str
    library: str
    devices: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()

    def open(self, device: torch.device, threads: int, timeout_seconds: float) -> Backend:
        """A new backend. ImportError where its library is missing."""
        made: Backend = getattr(importlib.import_module(self.module, __name__), self.name)(
            device, threads, timeout_seconds
        )
        return made


BACKENDS = {  # in order of preference
    "dali": Entry(".dali", "Dali", "NVIDIA DALI", ("cuda",), ("cuda12", "cuda13")),
    "torchcodec": Entry(".torchcodec", "Torchcodec", "torchcodec", ("cuda",), ("torchcodec",)),
    "pyav": Entry(".pyav_pool", "PyAV", "PyAV"),
}


def open_backends(choice: str, device: torch.device, threads: int, timeout_seconds: float) -> dict[str, Backend]:
    """The backends that `choice` stands for, by name, in order of preference.

    Raises:
        ValueError: there is no such choice. RuntimeError: the library of the one chosen cannot be imported.
    """
    if choice not in ("auto", *BACKENDS):
        *most, last = (f'"{name}"' for name in ("auto", *BACKENDS))
        raise ValueError(f"backend must be {', '.join(most)} or {last}, got backend={choice!r}")
    opened = {}
    for name, entry in BACKENDS.items():
        if name == choice or (choice == "auto" and device.type in (entry.devices or (device.type,))):
            try:
                opened[name] = entry.open(device, threads, timeout_seconds)
            except ImportError as error:
                if choice != "auto":
                    needs = f"needs {entry.library}, which cannot be imported: {error}"
                    install = "; pip install " * bool(entry.extras)
                    install += " or ".join(f"'gpuaug[{extra}]'" for extra in entry.extras)
                    raise RuntimeError(f'backend="{name}" {needs}{install}') from None
    return opened
