"""The proposal network's constant matrix, targets, losses and the decoding of its maps, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pretrain.localization import bmn, postprocess
from pretrain.localization.bmn import BoundaryMatching, Maps

QUICK = settings(max_examples=60, deadline=None)


@QUICK
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5))
def test_sampling_is_interpolation_at_the_points(length, durations, samples):
    durations = min(durations, length)
    values = np.random.default_rng(length).normal(size=length)
    matrix = bmn.sampling_matrix(length, durations, samples).to_dense().numpy()
    matrix = matrix.reshape(durations, length, samples, length)
    for d in range(1, durations + 1):
        for s in range(length):
            for k in range(samples):
                x = s - d / 4 + (k + 0.5) / samples * 1.5 * d
                expected = np.interp(x - 0.5, np.arange(length), values) if 0 <= x <= length else 0.0
                expected *= s + d <= length
                assert matrix[d - 1, s, k] @ values == pytest.approx(expected, abs=1e-5)


def test_network_mixes_the_sampled_points():
    """With identity weights each channel of the map is the sum over the points of the interpolated base features."""
    torch.manual_seed(0)
    model = BoundaryMatching(3, length=6, durations=4, samples=2, width=8)
    with torch.no_grad():
        model.points.weight.zero_()
        model.points.bias.zero_()
        for k in range(2):
            for c in range(8):
                model.points.weight[k * 8 + c, c, 0] = 1
    seen = {}
    model.confidence.register_forward_hook(lambda module, inputs, output: seen.update(map=inputs[0]))
    features = torch.randn(2, 3, 6)
    with torch.no_grad():
        maps = model(features)
        base = model.base(features)[:, :8]
    dense = model.sampling.to_dense().reshape(4, 6, 2, 6).sum(2)  # over the points
    torch.testing.assert_close(seen["map"], torch.einsum("dst,nct->ncds", dense, base), atol=1e-5, rtol=1e-5)
    assert maps.boundary.shape == (2, 2, 6)
    assert maps.confidence.shape == (2, 2, 4, 6)
    assert model.valid_DT.sum() == 6 + 5 + 4 + 3
    assert not seen["map"][:, :, 3, 3:].any()  # duration 4 from snippet 3 on leaves the window


@QUICK
@given(st.lists(st.tuples(st.floats(-2, 11), st.floats(0.1, 8)), max_size=3))
def test_targets(actions):
    segments = np.array([(s, s + n) for s, n in actions]).reshape(-1, 2)
    maps = bmn.targets(segments, 10, 6)
    assert maps.boundary.shape == (2, 10)
    assert maps.confidence.shape == (1, 6, 10)
    for side, shift in ((0, 0), (1, 1)):
        for k in range(10):
            low, high = k + shift - 0.5, k + shift + 0.5
            fraction = [max(0.0, min(high, g[side] + 1.5) - max(low, g[side] - 1.5)) for g in segments]
            assert maps.boundary[side, k] == pytest.approx(max(fraction, default=0.0), abs=1e-6)
    for d in range(1, 7):
        for s in range(10):
            best = 0.0
            for a, b in segments if s + d <= 10 else []:
                common = max(0.0, min(s + d, b) - max(s, a))
                best = max(best, common / (max(s + d, b) - min(s, a)) if common else 0.0)
            assert maps.confidence[0, d - 1, s] == pytest.approx(best, abs=1e-6)


def test_loss_is_lowest_at_the_target_and_ignores_invalid_proposals():
    model = BoundaryMatching(3, length=8, durations=8, samples=2, width=4)
    target = Maps(*(m[None] for m in bmn.targets(np.array([[2.0, 6.0]]), 8, 8)))
    good = Maps(
        20 * (target.boundary > 0.5).float() - 10, torch.cat([20 * (target.confidence > 0.9).float() - 10] * 2, 1)
    )
    good.confidence[:, 1] = torch.logit(target.confidence[:, 0].clamp(1e-4, 1 - 1e-4))
    lowest = bmn.loss(good, target, model.valid_DT)
    assert lowest < 0.01
    for part in (0, 1):
        worse = Maps(good.boundary.clone(), good.confidence.clone())
        worse[part].neg_()
        assert bmn.loss(worse, target, model.valid_DT) > 1
    outside = good.confidence.clone()
    outside[:, :, ~model.valid_DT] = 9.0
    assert bmn.loss(Maps(good.boundary, outside), target, model.valid_DT) == lowest
    empty = Maps(torch.zeros(1, 2, 8), torch.zeros(1, 1, 8, 8))
    assert torch.isfinite(bmn.loss(good, empty, model.valid_DT))  # a window without any action


def test_balanced_halves():
    """One positive among 1,000 weighs as much as all the negatives: cross-entropy of logit 0 is log 2 either way."""
    positive = torch.zeros(1000, dtype=torch.bool)
    positive[3] = True
    logit = torch.full((1000,), -50.0)
    assert bmn._balanced(logit, positive) == pytest.approx(25.0)
    assert bmn._balanced(logit, ~positive) == pytest.approx(25.0)


def test_durations_must_fit():
    with pytest.raises(ValueError, match=r"durations must be in \[1, length=4\], got durations=5"):
        BoundaryMatching(3, length=4, durations=5)


@pytest.mark.slow
def test_fit_is_reproducible_and_learns():
    rng = np.random.default_rng(0)
    values, maps = [], []
    for _ in range(12):
        start = rng.integers(1, 8)
        x = rng.normal(size=(4, 16)).astype(np.float32) * 0.1
        x[0, start : start + 5] += 1
        values.append(torch.from_numpy(x))
        maps.append(bmn.targets(np.array([[start, start + 5.0]]), 16, 8))

    def examples(numbers):
        return torch.stack(values)[numbers], bmn.Maps(*(torch.stack([maps[n][k] for n in numbers]) for k in (0, 1)))

    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(0)
        model = BoundaryMatching(4, length=16, durations=8, samples=4, width=8)
        options = {"batch": 4, "lr": 3e-3, "seed": seed, "device": "cpu"}
        first = bmn.fit(model, 12, examples, epochs=1, **options)
        results.append((first, bmn.fit(model, 12, examples, epochs=30, **options)))
    assert results[0] == results[1] != results[2]
    assert results[0][1] < 0.5 * results[0][0]


# ---------------------------------------------------------------- decoding


def test_decode_scores_and_limits():
    boundary = np.zeros((2, 6))
    boundary[0, [1, 3]] = 0.8, 0.5
    boundary[1, [2, 5]] = 0.9, 0.6  # ends at edges 3 and 6
    confidence = np.zeros((2, 4, 6))
    confidence[0], confidence[1] = 0.64, 0.25
    segments, scores = postprocess.decode(boundary, confidence, snippets=6)
    assert dict(zip(map(tuple, segments.tolist()), scores.round(6).tolist())) == {
        (1, 3): pytest.approx(0.8 * 0.9 * 0.4),
        (3, 6): pytest.approx(0.5 * 0.6 * 0.4),  # (1, 6) is longer than the map, (3, 3) empty
    }
    assert postprocess.decode(boundary, confidence, snippets=5)[0].tolist() == [[1, 3]]


def test_decode_reads_the_right_entry_of_the_map():
    boundary, confidence = np.full((2, 5), 0.9), np.zeros((2, 5, 5))
    confidence[:, 2, 1] = 1.0  # duration 3 from snippet 1
    segments, scores = postprocess.decode(boundary, confidence, snippets=5)
    assert segments[scores > 0].tolist() == [[1, 4]]


@QUICK
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9), st.floats(0.01, 1)), max_size=12), st.integers(1, 8))
def test_soft_nms_against_a_loop(rows, keep):
    segments = np.array([(s, s + n) for s, n, _ in rows], float).reshape(-1, 2)
    scores = np.array([score for *_, score in rows])
    taken, lowered = postprocess.soft_nms(segments, scores, keep=keep, sigma=0.5, threshold=0.3)
    left = {k: float(score) for k, score in enumerate(scores)}
    for row, score in zip(taken.tolist(), lowered.tolist()):
        assert score == pytest.approx(max(left.values()))
        assert score == pytest.approx(left.pop(row))
        for k in left:
            common = max(0.0, min(segments[k, 1], segments[row, 1]) - max(segments[k, 0], segments[row, 0]))
            iou = common / (np.ptp(segments[k]) + np.ptp(segments[row]) - common)
            left[k] *= np.exp(-(iou**2) / 0.5) if iou > 0.3 else 1.0
    assert len(taken) == min(keep, len(rows))


def test_candidates_of_a_flat_curve_are_all():
    assert postprocess.candidates(np.full(4, 0.3)).tolist() == [0, 1, 2, 3]
