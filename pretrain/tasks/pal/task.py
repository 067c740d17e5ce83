"""PAL, pseudo action localisation (UP-TAL, CVPR 2022): one action on two backgrounds, found in both.

A video is J clips (the windows of a group of slots). Two regions of consecutive clips of one video are pasted on two
other videos, softly and at their own speeds; the two regions' features are to agree, and to differ from all others.

Legend: N rows of a batch, first all queries, then their keys in the same order; P = N/2 pairs; J clips of a video,
T = J · frames output frames; F features, D of the embedding.
In the options' notes, [P] is the paper, [D] a default of ours where the paper leaves it open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import gpuaug

from ...common.settings import BadSetting, Default, Recipe, check, setting
from ...feed.loaders import Draws
from .embedding import Embedding, Relu, region_mean
from .moco import KeyQueue, MomentumEncoder, among_candidates, gathered, info_nce
from .triplets import draw_backgrounds, draw_triples, whole_groups

CANDIDATES = 64  # keys among which a held-out query has to find its own


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Options of `sample` and of `Head`. Errors: ValueError for those out of range."""

    frames: int = setting(8, "frames of a clip [P: 8; the supplement says 4]", least=1)
    length_min: int = setting(1, "least number of clips of a region [D]", least=1)
    length_max: int | None = setting(
        None, "greatest number, at most J − 2, which leaves a background clip on each side; without it J − 2 [P]"
    )
    stride_max: int = setting(
        4,
        "a clip takes every 1st … --stride-max-th frame of its window; one stride per region [P; D] and one per "
        "background [D]; windows too short for it get smaller ones, those shorter than a clip repeat their end",
        least=1,
    )
    opacity: tuple[float, float] = setting(
        (0.6, 1.0),
        "lowest and highest weight β of the region over its background; one per region [P; D]",
        least=0,
        most=1,
    )
    paste: Literal["different", "same", "none"] = setting(
        "different",
        "where the regions of a pair are pasted: on two videos, on one, or nowhere, so that both are shown in "
        "their own video [P, Table 3; what is shown without a background D]",
    )
    contrast: Literal["region", "video"] = setting(
        "region", "what is compared: the aligned clips, or the mean of all clips, the MoCo baseline [P, Table 3; D]"
    )
    dim: int = setting(128, "length D of the embedding [P]", least=1)
    layers: int = setting(2, "of the MLP F_n from F to D, batch norm and ReLU between them [D]", least=1)
    temporal_layers: int = setting(
        2, "temporal convolutions F_t over the J clips, kernel 3 [P: 2, Table of 0 … 3]", least=0
    )
    temporal_relu: Relu = setting("each", "ReLU after each of them [P], or only between them")
    queue: int = setting(16384, "keys of earlier composites that serve as negatives [P]", least=1)
    temperature: float = setting(0.07, "of InfoNCE [P]", above=0)
    momentum: float = setting(
        0.999, "share of its old weights that the slow network keeps per step [D: MoCo's]", least=0, most=1
    )
    batch_statistics: bool = setting(
        False,
        "batch norm of the slow network uses the batch's statistics, over all processes [P]; without, running ones, "
        "since those of a small batch tell which keys belong to it, and nothing else is learnt [D]",
    )
    batch_keys: bool = setting(
        True,
        "the other keys of the batch are negatives beside the queue; without, the drift of the slow network is all "
        "that has to be learnt, since it tells the newest keys from the queued ones [D]",
    )
    same_video: bool = setting(
        False,
        "keep queued keys of the query's own video as negatives; without, they are left out, since reuse brings a "
        "video back while its keys are queued [D]",
    )

    def __post_init__(self) -> None:
        check(self)
        if self.opacity[0] > self.opacity[1]:
            raise BadSetting("opacity", "0 ≤ low ≤ high ≤ 1", self.opacity)


RECIPE: Recipe = {
    "encoder": Default("i3d", "[P] Carreira's, by its operations"),
    "size": Default(112, "[P]"),
    "fps": Default(30.0, "[D] strides are in frames of this rate"),
    "window_frames": Default(29, "[D] (8 − 1) · 4 + 1 hold a clip at stride 4"),
    "windows_per_segment": Default(8, "[P] J"),
    "window_placement": Default("spread", "[P] uniformly"),
    "batch": Default(8, "[P] 512 on 64 GPUs"),
    "epochs": Default(200.0, "[P]"),
    "optimizer": Default("adam", "[P]"),
    "lr": Default(1e-4, "[P]"),
    "weight_decay": Default(1e-5, "[P]"),
    "schedule": Default("plateau", "[P] ÷ 10 when the validation loss stops falling"),
    "gamma": Default(0.1, "[P]"),
    "crop": Default("resized", "[P] random crop and flip; the strengths of MoCo v2 [D]"),
    "jitter": Default(0.8, "[P; D]"),
    "grayscale": Default(0.2, "[D]"),
    "blur": Default(0.5, "[P; D]"),
    "sync_bn": Default(True, "[P] instead of shuffled BN"),
}


def window_frames(settings: Settings) -> int:
    """How many frames a window needs: one, since shorter windows repeat their end."""
    return 1


def draws(settings: Settings, windows: int) -> Draws:
    """Three videos a pair, each drawn to be shown twice, though only the action is."""
    return Draws(
        windows_per_sample=6 * windows,
        uses_per_sample=4.0 * windows,
        samples_per_visit=1,
        rows_per_sample=2,
        whole_visits=True,
    )


def sample(
    rng: np.random.Generator,
    bank: gpuaug.ClipBank,
    n: int,
    settings: Settings,
    *,
    first: NDArray[np.int64] | None = None,
) -> tuple[gpuaug.Plan, dict[str, NDArray]]:
    """The plan of `n` pairs, 2n rows: the queries, then their keys; and the targets read from it (see `targets`).

    Args:
        first: int64 (n · J,), the slots of the pairs' actions, where they are given.

    Errors: ValueError for a bank that cannot make them; gpuaug.Starved where the reuse limits leave too few videos.
    """
    frames, stride_max, (low, high) = settings.frames, settings.stride_max, settings.opacity
    length_min, length_max = settings.length_min, settings.length_max
    if bank.reuse_max == 1:
        raise ValueError("reuse_max must be ≥ 2 for PAL, whose query and key show one video, got reuse_max=1")
    slot_GJ = whole_groups(bank)
    clips = slot_GJ.shape[1]
    longest = clips - 2 if length_max is None else length_max
    if not 1 <= length_min <= longest <= clips - 2:
        bounds = f"length_min={length_min}, length_max={longest}"
        raise ValueError(f"lengths must be 1 ≤ min ≤ max ≤ windows − 2 = {clips - 2}, got {bounds}")
    if first is None:  # backgrounds are drawn in any case: all rows of an ablation see as many videos in an epoch
        group_3P = draw_triples(rng, bank, slot_GJ, n)
    else:
        row_S = np.full(len(bank.info), -1)
        row_S[slot_GJ[:, 0]] = np.arange(len(slot_GJ))
        group_3P = draw_backgrounds(rng, bank, slot_GJ, row_S[first.reshape(n, -1)[:, 0]])
    if settings.paste == "same":
        group_3P[2] = group_3P[1]
    action_N, background_N = np.tile(group_3P[0], 2), group_3P[1:].reshape(-1)

    length = rng.integers(length_min, longest + 1, 2 * n)
    begin = rng.integers(0, clips - length + 1)  # s: the region's first clip in its own video
    place = rng.integers(1, clips - length)  # and in the composite, between two background clips
    action = _clips(rng, bank, slot_GJ[action_N], frames, stride_max)
    if settings.paste == "none":
        return action, targets(action, bank.info, frames, begin, begin + length)
    region = action.at(begin[:, None] * frames + np.arange(longest * frames), edge="repeat")
    background = _clips(rng, bank, slot_GJ[background_N], frames, stride_max)
    beta = rng.uniform(low, high, 2 * n)
    stop = place + length
    plan = gpuaug.edits.paste(background, region, start=place * frames, stop=stop * frames, opacity=beta)
    return plan, targets(plan, bank.info, frames, place, stop)


def targets(
    plan: gpuaug.Plan, info: NDArray, frames: int, start: NDArray[np.int64], stop: NDArray[np.int64]
) -> dict[str, NDArray]:
    """What a plan of composites says about itself; where its region is, which no plan says of a faint one, is given.

    Args:
        plan: N samples of T = J · frames output frames; the first clip is background, or of the region's video.
        info: the bank's table. frames: of a clip.
        start, stop: int64 (N,), the clips start … stop−1 show the region.

    Returns:
        start, stop: as given.
        opacity: float32 (N,), the weight β of the region.
        video: int64 (N, J), the video that each clip is to be taken for: in the region that of the region.
        source: int64 (N, J), which clip of that video it is: source[start] and source[stop−1] are the ends of the
            region in its own video.
    """
    slot_NJK, weight_NJK = plan.clip[:, ::frames], plan.weight[:, ::frames]
    slot_NT, _ = plan.source()
    ground_N1 = info["video"][slot_NT[:, :1]]
    j = np.arange(slot_NJK.shape[1])
    inside_NJ = (j >= start[:, None]) & (j < stop[:, None])
    other_NJK = (info["video"][slot_NJK] != ground_N1[:, :, None]) & (weight_NJK > 0)
    tap_NJ = np.where(inside_NJ & other_NJK.any(2), other_NJK.argmax(2), plan.dominant[:, ::frames])
    slot_NJ, shown_NJ = (np.take_along_axis(each, tap_NJ[:, :, None], 2)[:, :, 0] for each in (slot_NJK, weight_NJK))
    return {
        "start": start,
        "stop": stop,
        "opacity": shown_NJ[np.arange(len(start)), start].astype(np.float32),
        "video": info["video"][slot_NJ],
        "source": info["position"][slot_NJ],
    }


class Head(nn.Module):
    """PAL's loss: the aligned regions of query and key agree (InfoNCE with a slow copy of the network and a queue)."""

    def __init__(self, features: int, classes: list[str], settings: Settings) -> None:
        super().__init__()
        self.temperature, self.same_video = settings.temperature, settings.same_video
        self.batch_keys = settings.batch_keys
        self.of_region = settings.contrast == "region"
        self.embed = Embedding(
            features, settings.dim, settings.layers, settings.temporal_layers, settings.temporal_relu
        )
        self._slow = MomentumEncoder(settings.momentum, batch_statistics=settings.batch_statistics)
        self._keys = KeyQueue(settings.queue, settings.dim)
        self.constant = {"retrieval": 1 / CANDIDATES}

    def loss(
        self, encoder: nn.Module, clip_NCTYX: torch.Tensor, target: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """The mean loss, and per pair: "contrast", whether the query is nearer to its own key than to all negatives.

        Negatives are the queue and the other keys of the batch, of all processes.
        Of held-out pairs there is no loss before all of them are known (see `held_out`): the scores are their "query",
        "key" and "video".
        """
        start_N, stop_N, video_NJ = target["start"], target["stop"], target["video"]
        pairs = len(start_N) // 2
        video_P = video_NJ.gather(1, start_N[:, None])[:pairs, 0]
        if not self.of_region:
            start_N, stop_N = torch.zeros_like(start_N), torch.full_like(stop_N, video_NJ.shape[1])
        query_PD = region_mean(
            self.embed(encoder, clip_NCTYX[:pairs], video_NJ.shape[1]), start_N[:pairs], stop_N[:pairs]
        )
        with torch.no_grad():
            slow_encoder, slow_embed = self._slow.follow(encoder, self.embed, update=self.training)
            key_NJD = slow_embed(slow_encoder, clip_NCTYX[pairs:], video_NJ.shape[1])
            key_PD = region_mean(key_NJD, start_N[pairs:], stop_N[pairs:])
            if not self.training:
                return query_PD.new_zeros(()), {"query": query_PD, "key": key_PD, "video": video_P}
            (key_QD, first), (video_Q, _) = gathered(key_PD), gathered(video_P)
            queued_QD, queued_video_Q = self._keys.content(key_PD)
            other_QD, other_video_Q = torch.cat([key_QD, queued_QD]), torch.cat([video_Q, queued_video_Q])
            own_P = first + torch.arange(pairs, device=key_PD.device)
            hidden_PQ = own_P[:, None] == torch.arange(len(other_QD), device=key_PD.device)
            if not self.batch_keys:
                hidden_PQ[:, : len(key_QD)] = True
            if not self.same_video:
                hidden_PQ |= video_P[:, None] == other_video_Q
        loss_P, hit_P = info_nce(query_PD, key_PD, other_QD, hidden_PQ, self.temperature)
        self._keys.push(key_QD, video_Q)
        return loss_P.mean(), {"contrast": hit_P}

    def held_out(self, scores: dict[str, NDArray]) -> tuple[float, dict[str, NDArray]]:
        """The mean loss of all held-out pairs, and "retrieval", whether each query finds its key: among 64, or fewer if
        there are not so many; always the same ones, so that the numbers follow the networks and not the queue [D].
        """
        query_VD, key_VD, video_V = (torch.from_numpy(scores[name]) for name in ("query", "key", "video"))
        self.constant = {"retrieval": 1 / min(CANDIDATES, len(video_V))}
        loss_V, hit_V = among_candidates(query_VD, key_VD, video_V, CANDIDATES, self.temperature)
        return float(loss_V.mean()), {"retrieval": hit_V.numpy()}

    def get_extra_state(self) -> dict[str, Any]:
        """The slow network and the queue, which are no parameters of this module."""
        return {"slow": self._slow.state_dict(), "keys": self._keys.state_dict()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self._slow.load_state_dict(state["slow"])
        self._keys.load_state_dict(state["keys"])


def _clips(
    rng: np.random.Generator, bank: gpuaug.ClipBank, slot_NJ: NDArray[np.int64], frames: int, stride_max: int
) -> gpuaug.Plan:
    """The J clips of every row one after another, all with one stride and one offset in their windows."""
    clips = slot_NJ.shape[1]
    shortest = bank.info["frames"][slot_NJ].min(1)
    highest = np.clip((shortest - 1) // max(1, frames - 1), 1, stride_max)
    stride = rng.integers(1, highest + 1)
    offset = rng.integers(0, np.maximum(shortest - 1 - stride * (frames - 1), 0) + 1)
    time_NF = offset[:, None] + stride[:, None] * np.arange(frames)
    slot_NT, time_NT = np.repeat(slot_NJ, frames, 1), np.tile(time_NF, (1, clips))
    return gpuaug.Plan.take(slot_NT, time_NT, frames=bank.info["frames"], edge="repeat")
