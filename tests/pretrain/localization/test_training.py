"""How long the localiser trains, and what it is shown."""

import numpy as np
import pytest
import torch

from pretrain.data.segments import Segments
from pretrain.localization import bmn, inputs, localizer
from pretrain.localization.settings import LocalizerSettings


class Enough(Exception):
    pass


def subset(videos, rows=12):
    found, rng = inputs.Subset(), np.random.default_rng(0)
    for k in range(videos):
        sequence = inputs.FeatureSequence.of(rng.normal(size=(rows, 3)).astype(np.float32), np.arange(rows) + 0.5)
        found.add(f"v{k}", sequence, float(rows), Segments.of([(f"v{k}", 2, 6, "a")]))
    return found


@pytest.mark.parametrize(
    ("videos", "batch", "asked", "epochs"),
    [(8, 4, None, 100), (9, 4, None, 67), (40, 4, None, 20), (1, 4, None, 200), (48, 4, None, 20), (8, 4, 3, 3)],
)
def test_a_small_set_is_passed_through_more_often(videos, batch, asked, epochs, monkeypatch):
    """200 steps at least, and 20 passes."""

    def fit(model, count, examples, **options):
        assert count == videos
        assert (options["batch"], options["seed"], options["device"]) == (batch, 5, "cpu")
        assert options["epochs"] == epochs
        raise Enough

    monkeypatch.setattr(localizer, "fit", fit)
    named = {
        "batch": batch,
        "epochs": asked,
        "seed": 5,
        "device": "cpu",
    }
    with pytest.raises(Enough):
        localizer.localize(subset(videos), subset(1), LocalizerSettings(**named, length=10))


@pytest.mark.parametrize("memory", [0, 1 << 20])
def test_what_fills_up_a_short_window_stays_zero(memory):
    """Rows without features are neither standardised nor counted."""
    found = inputs.sliding("v", inputs.FeatureSequence.of(np.float32([[1, 5], [3, 5]]), np.arange(2) + 0.5), length=4)
    values = inputs.WindowValues(found, memory)
    assert values.mean_F.tolist() == [2, 5]
    assert values[0][:2].tolist() == [[-1, 0], [1, 0]]
    assert values[0][2:].tolist() == [[0, 0], [0, 0]]
    assert values.of(found[0]).tolist() == values[0].tolist()


def test_the_rate_falls_to_a_tenth_after_seven_tenths_of_the_steps(monkeypatch):
    """7 windows in batches of about 3: three steps an epoch; 12 in all, so the first 8 at the whole rate."""
    rates, sizes = [], []

    class Adam(torch.optim.Adam):
        def step(self, *more):
            rates.append(self.param_groups[0]["lr"])
            assert self.param_groups[0]["weight_decay"] == 1e-4
            return super().step(*more)

    monkeypatch.setattr(bmn.torch.optim, "Adam", Adam)
    torch.manual_seed(0)
    model = bmn.BoundaryMatching(2, length=4, durations=2, samples=2, width=2).eval()
    maps, seen = bmn.targets(np.array([[1.0, 3.0]]), 4, 2), []

    def examples(numbers):
        sizes.append(len(numbers))
        seen.extend(numbers)
        assert model.training
        return torch.zeros(len(numbers), 2, 4), bmn.Maps(*(torch.stack([each] * len(numbers)) for each in maps))

    bmn.fit(model, 7, examples, epochs=4, batch=3, lr=0.5, seed=3, device="cpu")
    assert rates == [0.5] * 8 + [pytest.approx(0.05)] * 4
    assert sizes == [3, 2, 2] * 4
    rng = np.random.default_rng(3)
    assert seen == [n for _ in range(4) for n in rng.permutation(7).tolist()]


def test_the_loss_of_a_training_is_the_mean_of_its_last_epoch(monkeypatch):
    told = iter([9.0, 9.0, 1.0, 4.0])
    monkeypatch.setattr(bmn, "loss", lambda logits, target, valid: logits.boundary.sum() * 0 + next(told))
    model = bmn.BoundaryMatching(2, length=4, durations=2, samples=2, width=2)
    maps = bmn.Maps(torch.zeros(1, 2, 4), torch.zeros(1, 1, 2, 4))
    options = {"epochs": 2, "batch": 1, "lr": 0.1, "seed": 0, "device": "cpu"}
    assert bmn.fit(model, 2, lambda numbers: (torch.zeros(1, 2, 4), maps), **options) == 2.5


def test_the_loss_by_hand():
    """Logits of 0: every cross-entropy is log 2, every error (½ − wanted)²; the regression counts ten times.

    Wanted 1.0, 0.75 (high), 0.5 (between), 0.3 and 0 (low); the sixth proposal leaves the window.
    """
    valid = torch.tensor([[True] * 3, [True, True, False]])
    confidence = torch.tensor([[[[1.0, 0.75, 0.5], [0.3, 0.0, 0.0]]]])
    boundary = torch.tensor([[[1.0, 0.5, 0.0], [0.0, 0.0, 0.6]]])
    value = bmn.loss(bmn.Maps(torch.zeros(1, 2, 3), torch.zeros(1, 2, 2, 3)), bmn.Maps(boundary, confidence), valid)
    high, between, low = (0.25 + 0.0625) / 2, 0.0, (0.04 + 0.25) / 2
    assert value.item() == pytest.approx(3 * np.log(2) + 10 * (high + between + low) / 3)
    logits = bmn.Maps(torch.tensor([[[5.0, -5.0, -5.0], [-5.0, -5.0, 5.0]]]), torch.zeros(1, 2, 2, 3))
    logits.confidence[0, 0] = torch.tensor([[5.0, -5.0, -5.0], [-5.0, -5.0, 9.0]])
    right = np.log1p(np.exp(-5))  # of each; a target of a half is no boundary, one of 0.75 no hit
    value = bmn.loss(logits, bmn.Maps(boundary, confidence), valid)
    assert value.item() == pytest.approx(3 * right + 10 * (high + between + low) / 3, rel=1e-4)
