"""The kinds of boundary that BSP tells apart, and how to read them from a plan.

Used by BSP's `sample` and Head; imports gpuaug. (How features change at annotated boundaries: reports/feature_change.)
Legend: N samples, T output frames, S slots of the bank.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

import gpuaug

from ...data.needs import Needs

KINDS = ("dc", "sc", "ds", "ss")  # different class, same class, different speed, same speed; the order is [ours]
DC, SC, DS, SS = range(4)
Mode = Literal["boundary", "regression", "action", "two_head", "distill"]


def targets(plan: gpuaug.Plan, label: NDArray[np.int64], tau: float | None = None) -> dict[str, NDArray]:
    """What a plan says about itself.

    Args:
        plan: N samples of T frames.
        label: (S,) class of every clip that the plan may show; −1: none.
        tau: of the heat map; None: T.

    Returns:
        kind: int64 (N,), position in `KINDS`: do the first and last frame come from two clips, and of one class; or
            does the time step change.
        boundary: int64 (N,), the first frame that belongs to something new; −1: none.
        second: int64 (N, T), 1 where the dominant source is not that of the first frame.
        action: int64 (N,), the class of everything shown; −1 if there are two, or none is known.
        heatmap: float32 (N, T), exp(−(t − boundary)²/2τ) [P, 3.3]; 0 without a boundary.

    >>> plan = gpuaug.Plan.take(0, [0.0, 2.0, 4.0, 5.0])
    >>> target = targets(plan, label=np.array([7]))
    >>> [target[name].tolist() for name in ("kind", "boundary", "action")]
    [[2], [3], [7]]
    >>> [f"{value:.2f}" for value in target["heatmap"][0]]
    ['0.32', '0.61', '0.88', '1.00']
    """
    clip_NT, time_NT = plan.source()
    frames = clip_NT.shape[1]
    second_NT = clip_NT != clip_NT[:, :1]
    step_NT = time_NT[:, 1:] - time_NT[:, :-1]  # up to frame t = 1 …
    new_NT = second_NT[:, 1:] | (np.abs(step_NT - step_NT[:, :1]) > 1e-6)
    boundary = np.where(new_NT.any(1), new_NT.argmax(1) + 1, -1)  # as Plan.boundary
    first, last = label[clip_NT[:, 0]], label[clip_NT[:, -1]]
    kind = np.where(second_NT[:, -1], np.where(first == last, SC, DC), np.where(boundary >= 0, DS, SS))
    gap_NT = np.arange(frames) - boundary[:, None]
    heatmap = np.exp(-(gap_NT**2) / (2 * (tau or frames))) * (boundary >= 0)[:, None]
    return {
        "kind": kind,
        "boundary": boundary,
        "second": second_NT.astype(np.int64),
        "action": np.where(first == last, first, -1),
        "heatmap": heatmap.astype(np.float32),
    }


def kinds_of(mode: Mode, boundaries: tuple[str, ...] | None) -> NDArray[np.int64]:
    """Positions in `KINDS`, ascending, of the kinds that a mode draws."""
    usual: dict[str, tuple[str, ...]] = {"regression": ("ds",), "action": ("ss",)}
    names = boundaries or usual.get(mode, KINDS)
    unknown = [name for name in names if name not in KINDS]
    if unknown or len(set(names)) != len(names):
        raise ValueError(f"boundaries must be different ones of {', '.join(KINDS)}, got boundaries={tuple(names)}")
    if mode == "regression" and "ss" in names:
        raise ValueError(f"boundaries for regression must be of dc, sc, ds, got boundaries={tuple(names)}")
    if mode == "action" and "dc" in names:
        raise ValueError("boundaries for mode action cannot have dc, which shows two actions")
    if mode in ("boundary", "two_head", "distill") and len(names) < 2:
        raise ValueError(f"boundaries must be at least 2 to tell apart, got boundaries={tuple(names)}")
    return np.array(sorted(KINDS.index(name) for name in names))


def needs_of(mode: Mode, boundaries: tuple[str, ...] | None) -> Needs:
    """dc shows two classes, sc two videos of one, and a head of actions learns classes.

    >>> found = needs_of("boundary", ("sc", "ss"))
    >>> found.label, found.same_class, found.otherwise
    ('', 'sc', 'give --boundaries ds ss')
    """
    kinds = kinds_of(mode, boundaries)
    without = {"boundary": "give --boundaries ds ss", "regression": "give --boundaries ds"}
    return Needs(
        label=f"--mode {mode}" if mode in ("action", "two_head", "distill") else "",
        two_classes="dc" if DC in kinds else "",
        same_class="sc" if SC in kinds else "",
        otherwise=without.get(mode, "give --mode boundary --boundaries ds ss"),
    )
