"""What a step of training will take of memory and time, known before the first one.

Used by training; imports encoders. Legend: N clips, C = 3 channels, T frames, Y X picture.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call

from .encoders import Encoder

CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Cost:
    """Of an encoder and one clip.

    Attributes:
        saved_bytes: what the forward pass keeps for the backward pass, in float32.
        seconds: the forward pass, on the encoder's device.
    """

    saved_bytes: int
    seconds: float

    def step_bytes(self, clips: int, parameters: int, *, states: int) -> int:
        """At least so much for a step of so many clips with gradients, beside weights, bank and batch.

        Args:
            parameters: bytes of those that learn. states: copies of them that the optimiser keeps.
        """
        return clips * self.saved_bytes + (1 + states) * parameters

    def step_seconds(self, clips: float, others: float) -> float:
        """A step of so many clips with gradients, and `others` without; going back takes twice a forward pass."""
        return (3 * clips + others) * self.seconds


def measure(encoder: Encoder) -> Cost:
    """The cost of one clip, by trying. Weights, statistics and random numbers stay as they are."""
    device = next(encoder.parameters()).device
    # two: batch norm refuses statistics of one value, which one small clip may come down to
    clips_NCTYX = torch.zeros(2, 3, encoder.frames, encoder.size, encoder.size, device=device)
    buffers = {name: value.clone() for name, value in encoder.named_buffers()}
    own = {value.untyped_storage().data_ptr() for value in (*encoder.parameters(), *buffers.values())}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage  # held, so that no other comes to lie there
        return tensor

    training, times = encoder.training, list[float]()
    try:
        encoder.train()
        while len(times) < 2 or (len(times) < 4 and sum(times) < 2):  # the first one also prepares
            kept.clear()
            begun = time.perf_counter()
            with torch.random.fork_rng(devices=[]), saved_tensors_hooks(keep, lambda tensor: tensor):
                functional_call(encoder, buffers, (clips_NCTYX,))
            times.append(time.perf_counter() - begun)
    finally:
        encoder.train(training)
    return Cost(sum(storage.nbytes() for storage in kept.values()) // 2, min(times) / 2)


def free_bytes(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = CGROUP) -> int | None:
    """Memory that a process can still have: what the system has free, and its container allows; None: not known."""
    found = []
    try:
        rows = dict(line.split(":", 1) for line in meminfo.read_text(encoding="utf-8").splitlines() if ":" in line)
        found.append(1024 * int(rows["MemAvailable"].split()[0]))
    except (OSError, ValueError, KeyError, IndexError):
        if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
            found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    try:
        limit, used = ((cgroup / name).read_text(encoding="utf-8").strip() for name in ("memory.max", "memory.current"))
        rows = dict(line.split() for line in (cgroup / "memory.stat").read_text(encoding="utf-8").splitlines())
        if limit.isdecimal():  # the files that it has cached can be dropped
            found.append(int(limit) - int(used) + int(rows.get("inactive_file", 0)))
    except (OSError, ValueError):
        pass
    return min(found) if found else None
