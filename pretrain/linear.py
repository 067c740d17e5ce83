"""A linear classifier of features: labels of proposals, and actionness of single features.

Legend: N samples, F features, C classes, T cells, G segments.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from .windows import Window


class Linear:
    """Softmax classifier of features (N, F), standardised by their mean and deviation, trained on construction.

    AdamW on batches of at most 1,024 samples drawn from `seed`, 500 steps, from zero weights; C classes 0…C − 1.

    >>> classifier = Linear(np.array([[0.0], [1.0], [0.1], [0.9]]), np.array([0, 1, 0, 1]), 2, seed=0)
    >>> classifier.probability(np.array([[0.2], [0.8]])).argmax(1).tolist()
    [0, 1]
    """

    def __init__(self, x_NF: np.ndarray, y_N: np.ndarray, classes: int, *, seed: int, steps: int = 500) -> None:
        self.mean_F, self.spread_F = x_NF.mean(0), np.maximum(x_NF.std(0), 1e-6)
        weight = nn.Parameter(torch.zeros(classes, x_NF.shape[1]))
        self.weight_CF, self.bias_C = weight, nn.Parameter(torch.zeros(classes))
        optimizer = torch.optim.AdamW([self.weight_CF, self.bias_C], lr=1e-2, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        rng = np.random.default_rng(seed)
        for _ in tqdm(range(steps), desc="linear classifier", leave=False, disable=None):
            rows = rng.choice(len(x_NF), min(len(x_NF), 1024), replace=False)
            truth = torch.from_numpy(np.asarray(y_N[rows], np.int64))
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(self._logits(x_NF[rows]), truth).backward()
            optimizer.step()
            schedule.step()

    def _logits(self, x_NF: np.ndarray) -> Tensor:
        x = torch.from_numpy(((x_NF - self.mean_F) / self.spread_F).astype(np.float32))
        return nn.functional.linear(x, self.weight_CF, self.bias_C)

    def probability(self, x_NF: np.ndarray) -> np.ndarray:
        """(N, C) float32, rows sum to 1."""
        with torch.no_grad():
            return self._logits(x_NF).softmax(1).numpy()


def mean_features(window: Window, segments_G2: np.ndarray) -> np.ndarray:
    """Mean of the window's cells over each segment (in cells, rounded, at least one cell): (G, F) float64."""
    total = np.cumsum(np.pad(window.values_TF, ((1, 0), (0, 0))), 0, dtype=np.float64)
    start = np.clip(np.rint(segments_G2[:, 0]).astype(np.int64), 0, window.cells - 1)
    end = np.clip(np.rint(segments_G2[:, 1]).astype(np.int64), start + 1, window.cells)
    return (total[end] - total[start]) / (end - start)[:, None]
