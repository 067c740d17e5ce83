"""A linear probe of features: labels of proposals, and actionness of single features.

Used by localizer.py; imports nothing of pretrain.
Legend: N samples, F features, C classes, T snippets, G segments.
"""

from __future__ import annotations

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

PENALTIES = (10.0, 1.0, 0.1, 0.01, 0.001)  # the first ones forget what tells training videos apart
FOLDS, ITERATIONS = 3, 1000
LEAST = 1e-7  # probability of a class that a fold's training videos do not show


class LinearProbe:
    """Logistic regression of standardised features (N, F) in y_N of 0…classes − 1, trained on construction.

    The mean cross-entropy plus penalty/2 times the squared weights is minimised. The penalty is the one of `PENALTIES`
    with the least cross-entropy on videos left out, by cross-validation over `group_N`: features of one video resemble
    each other, so that a penalty chosen on samples would let the probe learn the videos by heart.

    >>> x_NF, y_N = np.array([[0.0], [1.0], [0.1], [0.9]]), np.array([0, 1, 0, 1])
    >>> probe = LinearProbe(x_NF, y_N, 2, group_N=np.array([0, 0, 1, 1]))
    >>> probe.probability(np.array([[0.2], [0.8]])).argmax(1).tolist()
    [0, 1]
    """

    def __init__(self, x_NF: np.ndarray, y_N: np.ndarray, classes: int, *, group_N: np.ndarray) -> None:
        self.classes, y_N, loss = classes, np.asarray(y_N, np.int64), np.zeros(len(PENALTIES))
        folds = min(FOLDS, len(np.unique(group_N)))
        splits = list(GroupKFold(folds).split(x_NF, y_N, group_N)) if folds > 1 else []
        for rows, held in tqdm(splits, desc="linear probe", leave=False, disable=None):
            for i, penalty in enumerate(PENALTIES):
                self._model = _fit(x_NF[rows], y_N[rows], penalty)
                right_H = self.probability(x_NF[held])[np.arange(len(held)), y_N[held]]
                loss[i] -= np.log(np.maximum(right_H, LEAST)).sum()
        self.penalty = PENALTIES[int(loss.argmin())]
        self._model = _fit(x_NF, y_N, self.penalty)

    def probability(self, x_NF: np.ndarray) -> np.ndarray:
        """(N, C) float32, rows sum to 1; 0 for a class that training had not."""
        probability_NC = np.zeros((len(x_NF), self.classes), np.float32)
        probability_NC[:, self._model.classes_] = self._model.predict_proba(x_NF)
        return probability_NC


def _fit(x_NF: np.ndarray, y_N: np.ndarray, penalty: float) -> Pipeline:
    if len(np.unique(y_N)) == 1:
        return make_pipeline(DummyClassifier()).fit(x_NF, y_N)
    regression = LogisticRegression(C=1 / (penalty * len(y_N)), max_iter=ITERATIONS)
    return make_pipeline(StandardScaler(), regression).fit(x_NF, y_N)


def mean_features(values_TF: np.ndarray, segments_G2: np.ndarray, snippets: int) -> np.ndarray:
    """Mean of a window's features over each segment (in snippets, rounded, at least one): (G, F) float64.

    `snippets` of the window hold features.
    """
    total = np.cumsum(np.pad(values_TF, ((1, 0), (0, 0))), 0, dtype=np.float64)
    start = np.clip(np.rint(segments_G2[:, 0]).astype(np.int64), 0, snippets - 1)
    end = np.clip(np.rint(segments_G2[:, 1]).astype(np.int64), start + 1, snippets)
    return (total[end] - total[start]) / (end - start)[:, None]
