"""One of several processes under torchrun: are its gradients those of one process on everybody's samples?"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pretrain.common.distributed import start, sync_batch_norm
from pretrain.tasks.bsp import task as bsp
from pretrain.training.loop import Model
from support import tiny_training


def model() -> Model:
    torch.manual_seed(0)
    return Model(
        tiny_training.small("small"), bsp.Head(16, list("ab"), bsp.Settings(mode="two_head", dropout=0.0))
    ).double()


def gradients(net: nn.Module) -> list[torch.Tensor]:
    return [p.grad for p in net.parameters() if p.grad is not None]


def compare(synchronised: bool) -> float:
    """The greatest difference between gradients, relative to the greatest gradient."""
    rng, n = np.random.default_rng(0), 4 * group.world
    clips = torch.from_numpy(rng.standard_normal((n, 3, 8, 32, 32)))
    clips[n // 2 :] *= 3  # the halves differ, so that statistics of one half alone are wrong
    kind, action = torch.from_numpy(rng.integers(4, size=n)), torch.from_numpy(rng.integers(-1, 2, n))
    one = model()
    one(clips, {"kind": kind, "action": action})[0].backward()
    many = model()
    if synchronised:
        sync_batch_norm(many, torch.device("cpu"))
    wrapped = DistributedDataParallel(many)
    mine = slice(4 * group.rank, 4 * group.rank + 4)
    wrapped(clips[mine], {"kind": kind[mine], "action": action[mine]})[0].backward()
    pairs = list(zip(gradients(one), gradients(many)))
    state = zip(one.state_dict().values(), many.state_dict().values())
    same = all(torch.allclose(a.float(), b.float(), rtol=1e-3, atol=1e-4) for a, b in state)
    assert same == synchronised, "running statistics"
    return max(float((a - b).abs().max()) for a, b in pairs) / max(float(a.abs().max()) for a, _ in pairs)


if __name__ == "__main__":
    torch.set_num_threads(1)
    group = start("cpu")
    assert compare(synchronised=True) < 1e-9  # in float64
    assert compare(synchronised=False) > 1e-2  # the test can fail
    group.close()
    print(f"rank {group.rank} agrees", file=sys.stderr)
