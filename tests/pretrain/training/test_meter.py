"""Losses that are no number are noticed at their step; the mean of the others is told."""

from types import SimpleNamespace

import pytest
import torch

from pretrain.training.meter import FiniteLossCheck, NotFinite

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
