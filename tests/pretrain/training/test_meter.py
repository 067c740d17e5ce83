"""Losses that are no number are noticed at their step; the mean of the others is told."""

from types import SimpleNamespace

import pytest
import torch

from pretrain.training import meter
from pretrain.training.meter import FiniteLossCheck, NotFinite, StepMeter

BATCH = SimpleNamespace(clips=torch.zeros(2, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_mean_is_of_the_losses_since_the_last_call(dtype):
    check = FiniteLossCheck()
    assert check.mean() == 0
    for step, loss in enumerate((1.0, 2.0, 6.0)):
        check.add(step, BATCH, torch.tensor(loss, dtype=dtype), None)
    assert check.mean() == 3
    check.add(3, BATCH, torch.tensor(5.0, dtype=dtype), torch.tensor(0.5))
    assert check.mean() == 5
    assert check.mean() == 0


@pytest.mark.parametrize(("loss", "norm"), [(float("nan"), None), (float("inf"), 1.0), (1.0, float("inf"))])
def test_what_is_not_finite_is_told_with_its_step_and_batch(loss, norm):
    check = FiniteLossCheck()
    check.add(6, BATCH, torch.tensor(2.0), None)
    with pytest.raises(NotFinite, match=f"loss {loss:.4g} and gradient norm {norm or 0:.4g} in step 7") as told:
        check.add(7, BATCH, torch.tensor(loss), None if norm is None else torch.tensor(norm))
    assert (told.value.step, told.value.batch) == (7, BATCH)
    assert check.mean() == 2


def test_times_and_shares_by_hand(monkeypatch):
    """Two steps, then one: means since the last reading, shares of the whole run."""
    ticks = iter([1.0, 1.25, 2.0, 2.75, 5.0, 5.5])
    monkeypatch.setattr(meter.time, "perf_counter", lambda: next(ticks))
    found = StepMeter(torch.device("cpu"))
    for feed, wait, step, norm, hits in ((0.25, 0.125, 0.5, 2.0, [True, False]), (0.5, 0.0, 1.5, 3.0, [True, True])):
        found.feed(feed, wait)
        with found.encoder():
            pass
        found.scores.add({"hit": torch.tensor(hits)})
        found.step(step, torch.tensor(norm))
    assert found.read(8) == {
        "samples_per_second": 8.0, "step_ms": 1000.0, "encoder_ms": 500.0, "feed_ms": 375.0, "wait_ms": 62.5,
        "grad_norm": 3.0, "hit": 0.75,
    }  # fmt: skip
    found.feed(1.0, 0.5)
    found.feed(0.25, 0.25)
    with found.encoder():
        pass
    found.step(2.0, torch.tensor(0.5))
    assert found.read(8) == {
        "samples_per_second": 4.0, "step_ms": 2000.0, "encoder_ms": 500.0, "feed_ms": 1250.0, "wait_ms": 750.0,
        "grad_norm": 0.5,
    }  # fmt: skip
    assert found.seconds == {"step": 4.0, "feed": 2.0, "wait": 0.875}
    assert found.shares() == {"wait": 0.875 / 4, "render": 1.125 / 4}
    assert StepMeter(torch.device("cpu")).shares() == {"wait": 0, "render": 0}
