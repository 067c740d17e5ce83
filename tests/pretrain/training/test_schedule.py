"""Rates step by step against the schedules of TSP's and TSM's code, written out."""

from bisect import bisect_right

import pytest

from pretrain.training.schedule import factor


def test_tsps_warm_up_and_milestones_step_by_step():
    """Every step of 8 epochs: linear from 1e-5 over two, × .01 from the first steps of the epochs 4 and 6 on."""
    epoch_steps = 2436
    milestones = [4 * epoch_steps, 6 * epoch_steps]
    for step in range(8 * epoch_steps):
        alpha = min(1.0, step / (2 * epoch_steps))
        wanted = (1e-5 * (1 - alpha) + alpha) * 0.01 ** bisect_right(milestones, step)
        found = factor("step", epoch=step / epoch_steps, progress=0, warmup=2, milestones=(4.0, 6.0), gamma=0.01)
        assert found == pytest.approx(wanted, rel=1e-9), step


def test_tsms_milestones():
    """÷ 10 from the first step of epoch 20, not before, where an epoch is no whole number of steps."""
    steps = {0.1: None, 1.0: 0}
    for step in range(1000):
        found = round(factor("step", epoch=step / 11.7, progress=0, milestones=(20.0, 40.0)), 9)
        steps.setdefault(found, step)
        if found == 0.1 and steps[0.1] is None:
            steps[0.1] = step
    assert steps[0.1] == 234
    assert steps[0.01] == 468
