"""The linear probe: what it minimises, how it chooses its penalty, and data that say little."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, special

from pretrain.localization.classifier import PENALTIES, LinearProbe


def videos(seed=0, samples=300, features=40, count=12):
    """Samples of a few videos, each with a look of its own that says nothing about the three classes: (x, y, video)."""
    rng = np.random.default_rng(seed)
    video_N = rng.integers(0, count, samples)
    y_N = np.where(rng.random(samples) < 0.7, video_N % 3, rng.integers(0, 3, samples))
    look = 2 * rng.normal(size=(count, features))
    x_NF = 0.5 * rng.normal(size=(3, features))[y_N] + look[video_N] + rng.normal(size=(samples, features))
    return x_NF.astype(np.float32), y_N, video_N


def test_the_penalised_cross_entropy_is_minimal():
    x_NF, y_N, video_N = videos()
    probe = LinearProbe(x_NF, y_N, 3, group_N=video_N)
    standard_NF = (x_NF - x_NF.mean(0)) / x_NF.std(0)

    def logits(parameters):
        weight_CF, bias_C = parameters[:120].reshape(3, 40), parameters[120:]
        return standard_NF @ weight_CF.T + bias_C

    def objective(parameters):
        log_NC = special.log_softmax(logits(parameters), 1)
        return -log_NC[np.arange(300), y_N].mean() + probe.penalty / 2 * (parameters[:120] ** 2).sum()

    expected_NC = special.softmax(logits(optimize.minimize(objective, np.zeros(123), tol=1e-8).x), 1)
    np.testing.assert_allclose(probe.probability(x_NF), expected_NC, atol=2e-3)


def test_the_penalty_is_chosen_on_videos_left_out():
    x_NF, y_N, video_N = videos()
    by_video = LinearProbe(x_NF, y_N, 3, group_N=video_N)
    by_sample = LinearProbe(x_NF, y_N, 3, group_N=np.arange(len(y_N)))
    assert by_video.penalty > by_sample.penalty
    x_NF, y_N = videos(1)[:2]  # other videos
    right = [np.log(probe.probability(x_NF)[np.arange(len(y_N)), y_N]).mean() for probe in (by_video, by_sample)]
    assert right[0] > right[1]


def test_the_same_data_give_the_same_probe():
    x_NF, y_N, video_N = videos()
    first, second = (LinearProbe(x_NF, y_N, 3, group_N=video_N).probability(x_NF) for _ in range(2))
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first.sum(1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("y_N", "group_N"),
    [
        ([0, 0, 1, 1, 2, 2], list("aabbcc")),  # no video left out shows a class of the others
        ([0, 0, 1, 1, 2, 2], list("aaaabb")),  # a fold whose training videos show one class
        ([0, 0, 1, 1, 2, 2], list("aaaaaa")),  # one video: nothing to choose by
        ([1, 1, 1, 1, 1, 1], list("abcabc")),  # one class
    ],
)
def test_few_videos_and_few_classes(y_N, group_N):
    y_N = np.array(y_N)
    x_NF = np.stack([y_N == 0, y_N == 1, y_N == 5], 1).astype(np.float32)  # the last is constant
    probe = LinearProbe(x_NF, y_N, 3, group_N=np.array(group_N))
    assert probe.penalty == PENALTIES[0]
    np.testing.assert_array_equal(probe.probability(x_NF).argmax(1), y_N)


def test_a_class_that_training_lacks_has_probability_0():
    x_NF, y_N = np.array([[0.0], [1.0], [0.1], [0.9]]), np.array([False, True, False, True])
    probability_NC = LinearProbe(x_NF, y_N, 3, group_N=np.arange(4)).probability(x_NF)
    assert (probability_NC[:, 2] == 0).all()
    np.testing.assert_array_equal(probability_NC.argmax(1), y_N)
