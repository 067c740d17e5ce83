"""One process per device under torchrun, or just one: who am I, which device is mine, and batch norm over all.

Legend: N samples, C channels.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

PATIENCE = timedelta(days=30)  # a process that ends is noticed all the same, at once
DEVICES = "auto, cpu, cuda or cuda:1 …; auto is a GPU if there is one, for every process of torchrun its own"


@dataclass(frozen=True)
class Group:
    """This process's place: rank in 0 … world − 1, device index `local` among the `beside` processes of its machine."""

    rank: int = 0
    world: int = 1
    local: int = 0
    beside: int = 1
    patient: Any = None  # torch's group for waits that have no time-out worth the name

    @property
    def main(self) -> bool:
        return self.rank == 0

    def gather(self, value: Any) -> list[Any]:
        """`value` of every rank, on every rank, in order."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def any(self, flag: bool) -> bool:
        """Is the flag set on any rank?"""
        return any(self.gather(flag))

    @contextmanager
    def one_per_node(self) -> Iterator[None]:
        """The body runs in the first process of every machine, and in the others once it is done there.

        However long that takes: what these wait for is no collective of the devices, whose time-out ends a run.
        """
        if self.local:
            self._wait()
        yield
        if not self.local:
            self._wait()

    def _wait(self) -> None:
        if self.world > 1:
            dist.barrier(group=self.patient)

    def close(self) -> None:
        if self.world > 1 and dist.is_initialized():
            dist.destroy_process_group()


def pick_device(name: str) -> torch.device:
    """The device that a flag --device names (see DEVICES), made the current one.

    Errors (ValueError): a name that means none, a GPU where torch can use none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"--device must be {DEVICES.split(';')[0]}, got {name}") from None
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise ValueError(f"--device {name}: there is no GPU that torch can use")
        if device.index is None:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        torch.cuda.set_device(device)
    return device


def start(device: str, timeout: timedelta | None = None) -> Group:
    """Join the other processes if torchrun started us (NCCL on GPUs, gloo elsewhere); else a group of one.

    Args:
        timeout: how long a process waits for another; None: torch's choice.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Group()
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=timeout)
    patient = dist.new_group(backend="gloo", timeout=PATIENCE)
    local, beside = (
        int(os.environ.get(name, usual)) for name, usual in (("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", "1"))
    )
    return Group(int(os.environ["RANK"]), world, local, beside, patient)


def sync_batch_norm(model: nn.Module, device: torch.device) -> nn.Module:
    """The model with batch statistics over all processes' samples; torch has that on GPUs only."""
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for path, module in list(model.named_modules()):
        if isinstance(module, _BatchNorm) and path:
            module.__class__ = HostSyncBatchNorm
    return model


class HostSyncBatchNorm(_BatchNorm):
    """Batch norm over the samples of all processes, on the CPU; in evaluation the same as any other."""

    def _check_input_dim(self, input: torch.Tensor) -> None:
        pass

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(input)
        x = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
        axes, shape = [0, *range(2, x.ndim)], (1, -1) + (1,) * (x.ndim - 2)
        total = _Sum.apply(torch.cat([x.sum(axes), x.new_full((1,), x.numel() / x.shape[1])]))
        mean_C, count = total[:-1] / total[-1], total[-1]
        var_C = _Sum.apply((x - mean_C.view(shape)).square().sum(axes)) / count
        if self.track_running_stats:
            with torch.no_grad():
                self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
                self.running_mean.lerp_(mean_C, self.momentum)  # type: ignore[union-attr, arg-type]
                self.running_var.lerp_(var_C * count / (count - 1), self.momentum)  # type: ignore[union-attr, arg-type]
        scale_C = self.weight * (var_C + self.eps).rsqrt()
        return ((x - mean_C.view(shape)) * scale_C.view(shape) + self.bias.view(shape)).to(input.dtype)


class _Sum(torch.autograd.Function):
    """The sum over all processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor) -> torch.Tensor:
        value = value.clone()
        dist.all_reduce(value)
        return value

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        gradient = gradients[0].contiguous().clone()
        dist.all_reduce(gradient)
        return gradient
