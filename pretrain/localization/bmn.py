"""Boundary-matching network in the manner of BMN (Lin et al., ICCV 2019), small enough for a CPU and a small set.

A window has T snippets. A proposal (d, s) covers snippets s … s + d − 1, that is [s, s + d) in units of snippets. The
network gives the probability that an action starts at edge s (s = 0 … T−1) or ends at edge e (e = 1 … T, stored at
e − 1), and for every proposal two confidences. From BMN: the sampling of S points per proposal and a quarter of its
length around it as one product with a constant matrix (here sparse), targets, losses, and the product of the four
numbers as score. Ours: fewer channels and points, exact means in place of the random balancing in the loss.

Legend of the shape suffixes: N samples, F features, C channels, T snippets (or edges), D durations, S points per
proposal, P proposals inside the window (s + d <= T), G ground truths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

CONTEXT = 0.25  # of the duration, sampled on each side of a proposal [BMN]
BOUNDARY_SNIPPETS = 3.0  # width of the region around a boundary whose edges count as boundary [BMN's code]


def proposals(length: int, durations: int) -> tuple[np.ndarray, np.ndarray]:
    """Start and duration, int64 (P,) each, of all proposals inside a window, ordered by duration, then start.

    >>> [column.tolist() for column in proposals(3, 2)]
    [[0, 1, 2, 0, 1], [1, 1, 1, 2, 2]]
    """
    d, s = np.meshgrid(np.arange(1, durations + 1), np.arange(length), indexing="ij")
    inside = s + d <= length
    return s[inside], d[inside]


def sampling_matrix(length: int, durations: int, samples: int) -> Tensor:
    """Sparse float32 (D·T, S·T): row d·T + s picks, from values at every (point, snippet), each point's at its place.

    The points of a proposal are the middles of S equal parts of [s − d/4, s + d + d/4), each interpolated between the
    two nearest snippet centres; points outside the window and proposals that leave it get 0.

    >>> matrix = sampling_matrix(4, 2, 2).to_dense()    # proposal [0, 1): points at 0.125 and 0.875
    >>> matrix[0].reshape(2, 4).tolist()
    [[1.0, 0.0, 0.0, 0.0], [0.625, 0.375, 0.0, 0.0]]
    """
    s_P, d_P = proposals(length, durations)
    part_S = (np.arange(samples) + 0.5) / samples * (1 + 2 * CONTEXT) - CONTEXT
    x_SP = s_P + d_P * part_S[:, None]
    centre_SP = np.clip(x_SP - 0.5, 0, length - 1)
    low_SP = np.minimum(np.floor(centre_SP).astype(np.int64), max(length - 2, 0))
    inside_SP = (x_SP >= 0) & (x_SP <= length)
    row_SP = np.broadcast_to((d_P - 1) * length + s_P, x_SP.shape)
    column_SP = np.arange(samples)[:, None] * length + low_SP
    high_SP = centre_SP - low_SP
    weight = np.concatenate([(1 - high_SP)[inside_SP], high_SP[inside_SP]])
    row = np.tile(row_SP[inside_SP], 2)
    column = np.concatenate([column_SP[inside_SP], column_SP[inside_SP] + 1])
    nonzero = weight > 0
    index = torch.from_numpy(np.stack([row, column])[:, nonzero])
    value = torch.from_numpy(weight[nonzero].astype(np.float32))
    shape = (durations * length, samples * length)
    return torch.sparse_coo_tensor(index, value, shape, check_invariants=True).coalesce()


class Maps(NamedTuple):
    """Targets in 0…1, or the network's logits: boundary (N, 2, T) start and end; confidence (N, 2 or 1, D, T)."""

    boundary: Tensor
    confidence: Tensor


class BoundaryMatching(nn.Module):
    """Features (N, F, T) float32 -> Maps of logits; confidence: classification and regression of the overlap.

    Args:
        features: F. length: T. durations: D, the longest proposal in snippets, at most T.
        samples: S. BMN has 32; ours 16. width: C, channels of the map of proposals; the temporal part has 4·C. BMN
            has 128 for both, and 512 where the points are mixed.
        dropout: fraction of the features, each over the whole window, that are left out in training. BMN has none.
    """

    valid_DT: Tensor
    sampling: Tensor

    def __init__(
        self, features: int, *, length: int, durations: int, samples: int = 16, width: int = 32, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if not 1 <= durations <= length:
            raise ValueError(f"durations must be in [1, length={length}], got durations={durations}")
        s_P, d_P = proposals(length, durations)
        valid = torch.zeros(durations, length, dtype=torch.bool)
        valid[d_P - 1, s_P] = True
        self.samples, self.map_shape = samples, (durations, length)
        self.register_buffer("valid_DT", valid, persistent=False)
        self.register_buffer("sampling", sampling_matrix(length, durations, samples), persistent=False)
        wide = 4 * width
        self.base = nn.Sequential(
            *(nn.Dropout1d(dropout), nn.Conv1d(features, wide, 3, padding=1), nn.ReLU()),
            *(nn.Dropout1d(dropout / 2), nn.Conv1d(wide, wide, 3, padding=1), nn.ReLU()),
        )
        self.boundary = nn.Sequential(nn.Conv1d(wide, wide, 3, padding=1), nn.ReLU(), nn.Conv1d(wide, 2, 1))
        self.points = nn.Conv1d(wide, samples * width, 1)  # each point has its own weights: BMN's convolution over S
        self.confidence = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 2, 1))

    def forward(self, features_NFT: Tensor) -> Maps:
        base_NCT = self.base(features_NFT)
        (n, _, length), samples = base_NCT.shape, self.samples
        points = self.points(base_NCT).view(n, samples, -1, length).permute(1, 3, 0, 2)  # (S, T, N, C)
        mixed = torch.sparse.mm(self.sampling, points.reshape(samples * length, -1))  # (D·T, N·C)
        map_NCDT = mixed.view(*self.map_shape, n, -1).permute(2, 3, 0, 1).relu()
        return Maps(self.boundary(base_NCT), self.confidence(map_NCDT))


def targets(segments_G2: np.ndarray, length: int, durations: int) -> Maps:
    """Targets for one window: boundary (2, T), confidence (1, D, T), float32 0…1.

    Args:
        segments_G2: start and end of the window's actions in units of snippets; G may be 0.

    Boundary: the fraction of an edge's own unit interval [k − ½, k + ½) that lies within 1.5 snippets of a start (end).
    Confidence: the greatest overlap (tIoU) of the proposal with any action.

    >>> maps = targets(np.array([[2.0, 4.0]]), 6, 3)
    >>> maps.boundary.tolist()
    [[0.0, 1.0, 1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0, 1.0, 0.0]]
    >>> maps.confidence[0, 1].tolist()      # duration 2 from each start; the last start does not fit
    [0.0, 0.3333333432674408, 1.0, 0.3333333432674408, 0.0, 0.0]
    """
    segments_G2 = np.asarray(segments_G2, np.float64).reshape(-1, 2)
    edges_T = np.stack([np.arange(length), np.arange(1, length + 1)])  # of starts, of ends
    distance_2GT = np.abs(edges_T[:, None] - segments_G2.T[:, :, None])
    fraction_2GT = np.clip((BOUNDARY_SNIPPETS + 1) / 2 - distance_2GT, 0, 1)
    s_P, d_P = proposals(length, durations)
    low_PG, high_PG = np.maximum(s_P[:, None], segments_G2[:, 0]), np.minimum((s_P + d_P)[:, None], segments_G2[:, 1])
    common_PG = np.clip(high_PG - low_PG, 0, None)
    union_PG = d_P[:, None] + segments_G2[:, 1] - segments_G2[:, 0] - common_PG
    confidence = np.zeros((1, durations, length), np.float32)
    confidence[0, d_P - 1, s_P] = (common_PG / union_PG).max(1, initial=0)
    return Maps(torch.from_numpy(fraction_2GT.max(1, initial=0).astype(np.float32)), torch.from_numpy(confidence))


def loss(logits: Maps, target: Maps, valid_DT: Tensor) -> Tensor:
    """Scalar: boundaries + classification of the overlap + 10 · its regression (weights as BMN, λ = 1 and 10)."""
    wanted_NDT = target.confidence[:, 0]
    valid_NDT = valid_DT.expand_as(wanted_NDT)
    boundary = sum(_balanced(logits.boundary[:, k], target.boundary[:, k] > 0.5) for k in (0, 1))
    classified = _balanced(logits.confidence[:, 0], wanted_NDT > 0.9, valid_NDT)
    error_NDT = (logits.confidence[:, 1].sigmoid() - wanted_NDT).square()
    high, low = wanted_NDT > 0.7, wanted_NDT <= 0.3
    return boundary + classified + 10 * _group_mean(error_NDT, [high, ~high & ~low, low & valid_NDT])


def fit(
    model: BoundaryMatching,
    windows: int,
    examples: Callable[[Sequence[int]], tuple[Tensor, Maps]],
    *,
    epochs: int,
    batch: int,
    lr: float,
    seed: int,
    device: str,
) -> float:
    """Train in place with Adam, a tenth of `lr` for the last 30 % of the steps; the mean loss of the last epoch.

    Args:
        windows: how many there are.
        examples: function of the numbers of N windows: their features (N, F, T) float32 and `targets`, on the host.
        batch: windows per step, about: an epoch is ⌈N/batch⌉ equal parts of a random order drawn from `seed`.
    """
    optimizer = torch.optim.Adam(model.to(device).train().parameters(), lr=lr, weight_decay=1e-4)
    parts = -(-windows // batch)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [int(0.7 * epochs * parts)], gamma=0.1)
    rng = np.random.default_rng(seed)
    losses: list[Tensor] = []
    with tqdm(total=epochs * parts, desc="train", leave=False, disable=None) as progress:
        for _ in range(epochs):
            losses.clear()
            for numbers in np.array_split(rng.permutation(windows), parts):
                values_NFT, maps = examples(numbers.tolist())
                target = Maps(*(each.to(device) for each in maps))
                value = loss(model(values_NFT.to(device)), target, model.valid_DT)
                optimizer.zero_grad(set_to_none=True)
                value.backward()
                optimizer.step()
                schedule.step()
                losses.append(value.detach())
                progress.update()
    return float(torch.stack(losses).mean())


def _balanced(logit: Tensor, positive: Tensor, valid: Tensor | None = None) -> Tensor:
    """Binary cross-entropy with half the weight on all positives together and half on all (valid) negatives."""
    entropy = functional.binary_cross_entropy_with_logits(logit, positive.float(), reduction="none")
    return _group_mean(entropy, [positive, ~positive if valid is None else ~positive & valid])


def _group_mean(value: Tensor, groups: list[Tensor]) -> Tensor:
    """Mean over the groups (masks) that have any element, of the mean within each."""
    count = torch.stack([group.sum() for group in groups])
    total = torch.stack([(value * group).sum() for group in groups])
    return (total / count.clamp(min=1)).sum() / (count > 0).sum()
