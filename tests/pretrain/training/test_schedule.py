"""Schedules against tables of factors, and those of TSP's and TSM's code, written out."""

import math
from bisect import bisect_right

import pytest

from pretrain.training.schedule import Plateau, factor


@pytest.mark.parametrize(
    ("kind", "position", "options", "expected"),
    [
        ("constant", (0, 0.0), {}, 1.0),
        ("constant", (3, 0.5), {"plateau": 0.1, "milestones": (1,)}, 1.0),
        ("constant", (1, 0.5), {"warmup": 4}, 0.25 + 0.75e-5),
        ("constant", (4, 0.5), {"warmup": 4}, 1.0),
        ("constant", (6, 0.5), {"warmup": 4}, 1.0),
        ("step", (19.9, 0.5), {"milestones": (20, 40)}, 1.0),
        ("step", (20, 0.5), {"milestones": (20, 40)}, 0.1),
        ("step", (40, 0.5), {"milestones": (20, 40), "gamma": 0.5}, 0.25),
        ("step", (1, 0.5), {"milestones": (1,), "warmup": 2, "gamma": 0.5}, 0.25 + 0.25e-5),
        ("cosine", (9, 0.0), {}, 1.0),
        ("cosine", (9, 0.25), {}, 0.5 + 0.5**1.5),
        ("cosine", (9, 1.0), {}, 0.0),
        ("cosine", (9, 1.5), {}, 0.0),
        ("cosine", (1, 0.5), {"warmup": 4}, 0.125 + 0.375e-5),
        ("plateau", (9, 0.5), {"plateau": 0.01}, 0.01),
        ("plateau", (1, 0.5), {"plateau": 0.1, "warmup": 2}, 0.05 + 0.05e-5),
        ("plateau", (9, 0.5), {}, 1.0),
    ],
)
def test_factors(kind, position, options, expected):
    epoch, progress = position
    assert factor(kind, epoch=epoch, progress=progress, **options) == pytest.approx(expected, abs=1e-12)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind must be constant, step, cosine or plateau, got kind='no'"):
        factor("no", epoch=0, progress=0)


# after a new minimum `patience` validations may pass without another one; the next one lowers the rate
TABLE = [
    (2, [5, 4, 4, 4, 4, 3, 3, 3, 3], [1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01]),
    (2, [5, 6, 6, 4, 5, 5, 5], [1, 1, 1, 1, 1, 1, 0.1]),
    (0, [5, 5, 4, 4], [1, 0.1, 0.1, 0.01]),
    (1, [5, 5, 5, 5, 5], [1, 1, 0.1, 0.1, 0.01]),
    (2, [math.nan, 1, 1, 1, 1], [1, 1, 1, 1, 0.1]),
]


@pytest.mark.parametrize(("patience", "losses", "factors"), TABLE)
def test_a_plateau(patience, losses, factors):
    plateau, found = Plateau(patience=patience), []
    assert plateau.factor == 1
    for loss in losses:
        plateau.update(loss)
        found.append(plateau.factor)
    assert found == pytest.approx(factors)


def test_a_plateaus_defaults():
    plateau = Plateau()
    assert (plateau.patience, plateau.gamma, plateau.factor, plateau.waited) == (5, 0.1, 1.0, 0)
    for _ in range(6):
        plateau.update(1.0)
    assert plateau.factor == 1.0
    plateau.update(1.0)
    assert plateau.factor == 0.1


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
