"""Contrastive learning with a slow copy of the network and a queue of its keys (MoCo), as PAL uses it.

Legend: P pairs of query and key, Q queued keys, D dimensions of the embedding.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from ...models.encoders import at_least_float32


class MomentumEncoder:
    """A copy of networks that follows them: slow = momentum · slow + (1 − momentum) · fast, parameter by parameter.

    It is made when the networks are first seen. (In torch AveragedModel treats buffers otherwise, in both of its ways.)

    Args:
        momentum: in [0, 1].
        batch_statistics: what batch norm does in the copy during training. False: it uses running statistics, which
            follow those of the networks like the parameters do, though faster at first (EMAN, Cai et al. 2021). True:
            it uses those of the batch, as in the networks, and keeps running ones of its own.

    >>> slow, fast = MomentumEncoder(0.75), nn.Linear(1, 1, bias=False)
    >>> for weight in (0.0, 1.0, 1.0):
    ...     _ = nn.init.constant_(fast.weight, weight)
    ...     (copy,) = slow.follow(fast, update=True)
    >>> copy.weight.item()
    0.4375
    """

    def __init__(self, momentum: float, *, batch_statistics: bool = False) -> None:
        self.momentum, self.batch_statistics = momentum, batch_statistics
        self._nets: nn.ModuleList | None = None
        self._updates = 0
        self._restored: dict[str, Any] | None = None

    def follow(self, *nets: nn.Module, update: bool) -> tuple[nn.Module, ...]:
        """The slow networks, moved one step if `update`."""
        if self._nets is None:
            with torch.inference_mode(False):
                self._nets = copy.deepcopy(nn.ModuleList(nets)).requires_grad_(False)
            if self._restored is None:
                update = False
            else:
                self._nets.load_state_dict(self._restored)
                self._restored = None
        if update:
            self._updates += 1
            self._move(nets)
        for slow, net in zip(self._nets, nets):
            slow.train(net.training and self.batch_statistics)
        return tuple(self._nets)

    @torch.no_grad()
    def _move(self, nets: tuple[nn.Module, ...]) -> None:
        assert self._nets is not None
        fast = [parameter.detach() for net in nets for parameter in net.parameters()]
        torch._foreach_lerp_(list(self._nets.parameters()), fast, 1 - self.momentum)
        if not self.batch_statistics:
            share = max(1 - self.momentum, 1 / self._updates)
            for slow, value in zip(self._nets.buffers(), (buffer for net in nets for buffer in net.buffers())):
                slow.lerp_(value, share) if slow.is_floating_point() else slow.copy_(value)
        floats = [buffer for buffer in self._nets.buffers() if buffer.is_floating_point()]
        if floats and dist.is_available() and dist.is_initialized():
            same = torch.cat([buffer.flatten() for buffer in floats])
            dist.broadcast(same, 0)  # as DDP does with the networks' own, which differ where batch norm is not over all
            for buffer, value in zip(floats, same.split([buffer.numel() for buffer in floats])):
                buffer.copy_(value.view_as(buffer))

    def state_dict(self) -> dict[str, Any]:
        nets = self._nets.state_dict() if self._nets is not None else self._restored
        return {"nets": nets, "updates": self._updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state; if the networks are not known yet, as soon as they are."""
        self._nets, self._restored, self._updates = None, state["nets"], state["updates"]


class KeyQueue:
    """The last `size` keys, each with the video it belongs to; a ring on the keys' device.

    >>> keys = KeyQueue(3, dim=1)
    >>> for first in (0.0, 2.0):
    ...     keys.push(torch.tensor([[first], [first + 1]]), torch.tensor([7, 8]))
    >>> key, video = keys.content(torch.zeros(1))
    >>> key[:, 0].tolist(), video.tolist()
    ([3.0, 1.0, 2.0], [8, 8, 7])
    """

    def __init__(self, size: int, dim: int) -> None:
        if size < 1:
            raise ValueError(f"queue must be ≥ 1, got queue={size}")
        self._key, self._video, self._pushed = torch.zeros(size, dim), torch.full((size,), -1), 0

    def content(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Copies (Q, D) and (Q,) on the device of `like`; Q grows up to `size`."""
        filled = min(self._pushed, len(self._key))
        self._key, self._video = self._key.to(like.device), self._video.to(like.device)
        return self._key[:filled].clone(), self._video[:filled].clone()

    def push(self, key_PD: torch.Tensor, video_P: torch.Tensor) -> None:
        """Write keys over the oldest ones."""
        size = len(self._key)
        at = (self._pushed + torch.arange(len(key_PD), device=key_PD.device)) % size
        self._key, self._video = self._key.to(key_PD.device), self._video.to(key_PD.device)
        self._key[at[-size:]], self._video[at[-size:]] = key_PD[-size:].float(), video_P[-size:]
        self._pushed += len(key_PD)

    def state_dict(self) -> dict[str, Any]:
        return {"key": self._key, "video": self._video, "pushed": self._pushed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state["key"].shape != self._key.shape:
            have, want = tuple(self._key.shape), tuple(state["key"].shape)
            raise ValueError(f"queue and dim must be as in the checkpoint, {want}, got {have}")
        self._key, self._video, self._pushed = state["key"].clone(), state["video"].clone(), state["pushed"]


def gathered(value: torch.Tensor) -> tuple[torch.Tensor, int]:
    """The rows of all processes, equally many on each, rank after rank; and where ours begin. No gradient flows."""
    if not (dist.is_available() and dist.is_initialized()):
        return value, 0
    parts = [torch.empty_like(value) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, value.contiguous())
    return torch.cat(parts), dist.get_rank() * len(value)


def similarity(query_PD: torch.Tensor, key_QD: torch.Tensor) -> torch.Tensor:
    """Cosines (…, P, Q) of unit vectors in float32, also under autocast: bfloat16 has 1/256 between 0.5 and 1, where
    those of an untrained network lie, so that all keys would be equally near.
    """
    query_PD = at_least_float32(query_PD)
    with torch.autocast(query_PD.device.type, enabled=False):
        return query_PD @ key_QD.to(query_PD.dtype).transpose(-1, -2)


def info_nce(
    query_PD: torch.Tensor, key_PD: torch.Tensor, other_QD: torch.Tensor, hidden_PQ: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss per pair, and whether the query is strictly nearer to its own key than to every other one (bool).

    loss = −log(exp(q·k/τ) / (exp(q·k/τ) + Σ exp(q·other/τ))); all vectors have length 1.

    Args:
        other_QD: keys that may be negatives. hidden_PQ: bool, those that are none for a query.
    """
    own_P1 = (query_PD * key_PD).sum(1, keepdim=True)
    other_PQ = similarity(query_PD, other_QD).masked_fill(hidden_PQ, -torch.inf)
    score = torch.cat([own_P1, other_PQ], 1) / temperature
    loss_P = F.cross_entropy(score, score.new_zeros(len(score), dtype=torch.long), reduction="none")
    return loss_P, (other_PQ < own_P1).all(1)


def among_candidates(
    query_VD: torch.Tensor, key_VD: torch.Tensor, video_V: torch.Tensor, candidates: int, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of each query, and whether it is strictly nearest to its own of a fixed set of keys: bool (V,).

    The set of a query are its own key and those of the next pairs, in their order and from the last one on to the
    first; of these, the ones of its own video do not count.

    >>> one_hot = torch.eye(3)
    >>> among_candidates(one_hot, one_hot[[0, 2, 1]], torch.arange(3), candidates=2, temperature=1.0)[1].tolist()
    [True, False, False]
    """
    count = len(query_VD)
    losses, hits = [], []
    step = torch.arange(1, min(candidates, count), device=query_VD.device)
    for rows in torch.arange(count, device=query_VD.device).split(1024):
        other_RK = (rows[:, None] + step) % count
        own_R1 = (query_VD[rows] * key_VD[rows]).sum(1, keepdim=True)
        score_RK = torch.einsum("rd,rkd->rk", query_VD[rows], key_VD[other_RK])
        score_RK = score_RK.masked_fill(video_V[other_RK] == video_V[rows, None], -torch.inf)
        score = torch.cat([own_R1, score_RK], 1) / temperature
        losses.append(F.cross_entropy(score, score.new_zeros(len(rows), dtype=torch.long), reduction="none"))
        hits.append((score_RK < own_R1).all(1))
    return torch.cat(losses), torch.cat(hits)
