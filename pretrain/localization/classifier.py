"""A linear classifier of features: labels of proposals, and actionness of single features.

Legend: N samples, F features, C classes, T cells, G segments.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from .inputs import Window

PENALTIES = (10.0, 1.0, 0.1, 0.01, 0.001)  # the first ones forget what tells training videos apart
FOLDS, ITERATIONS = 3, 40


class Linear:
    """Softmax regression of features (N, F), standardised by their mean and deviation, trained on construction.

    The mean cross-entropy plus penalty/2 times the squared weights is minimised by L-BFGS. The penalty is the one of
    `PENALTIES` with the least cross-entropy on videos left out, by cross-validation over `group_N`: features of one
    video resemble each other, so that a penalty chosen on samples would let the classifier learn the videos by heart.

    >>> x_NF, y_N = np.array([[0.0], [1.0], [0.1], [0.9]]), np.array([0, 1, 0, 1])
    >>> classifier = Linear(x_NF, y_N, 2, group_N=np.array([0, 0, 1, 1]))
    >>> classifier.probability(np.array([[0.2], [0.8]])).argmax(1).tolist()
    [0, 1]
    """

    def __init__(self, x_NF: np.ndarray, y_N: np.ndarray, classes: int, *, group_N: np.ndarray) -> None:
        self.mean_F, self.spread_F = x_NF.mean(0), np.maximum(x_NF.std(0), 1e-6)
        x, y = self._standardised(x_NF), torch.from_numpy(np.asarray(y_N, np.int64))
        fold_N = torch.from_numpy(np.unique(group_N, return_inverse=True)[1] % FOLDS)
        folds = int(fold_N.max()) + 1
        loss = np.zeros(len(PENALTIES))
        for fold in tqdm(range(folds if folds > 1 else 0), desc="linear classifier", leave=False, disable=None):
            held = fold_N == fold
            for i, weight in enumerate(_fit(x[~held], y[~held], classes, PENALTIES)):
                loss[i] += float(functional.cross_entropy(_logits(x[held], weight), y[held], reduction="sum"))
        self.penalty = PENALTIES[int(loss.argmin())]
        self._weight = _fit(x, y, classes, (self.penalty,))[0]

    def _standardised(self, x_NF: np.ndarray) -> Tensor:
        return torch.from_numpy(((x_NF - self.mean_F) / self.spread_F).astype(np.float32))

    def probability(self, x_NF: np.ndarray) -> np.ndarray:
        """(N, C) float32, rows sum to 1."""
        return _logits(self._standardised(x_NF), self._weight).softmax(1).numpy()


def _logits(x: Tensor, weight: Tensor) -> Tensor:
    return functional.linear(x, weight[:, :-1], weight[:, -1])


def _fit(x: Tensor, y: Tensor, classes: int, penalties: tuple[float, ...]) -> list[Tensor]:
    """Weights (C, F + 1), the last column the bias, for each penalty; each fit begins where the one before ended."""
    weight = torch.zeros(classes, x.shape[1] + 1, requires_grad=True)
    found = []
    for penalty in penalties:
        optimizer = torch.optim.LBFGS([weight], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

        def objective(optimizer: torch.optim.LBFGS = optimizer, penalty: float = penalty) -> Tensor:
            optimizer.zero_grad()
            total = functional.cross_entropy(_logits(x, weight), y) + penalty / 2 * weight[:, :-1].square().sum()
            total.backward()
            return total

        optimizer.step(objective)
        found.append(weight.detach().clone())
    return found


def mean_features(window: Window, segments_G2: np.ndarray) -> np.ndarray:
    """Mean of the window's cells over each segment (in cells, rounded, at least one cell): (G, F) float64."""
    total = np.cumsum(np.pad(window.values_TF, ((1, 0), (0, 0))), 0, dtype=np.float64)
    start = np.clip(np.rint(segments_G2[:, 0]).astype(np.int64), 0, window.cells - 1)
    end = np.clip(np.rint(segments_G2[:, 1]).astype(np.int64), start + 1, window.cells)
    return (total[end] - total[start]) / (end - start)[:, None]
