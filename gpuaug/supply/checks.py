"""What users give a loader: options, what their plan function returns, states to go on from. Errors are one line.

Used by loader and draw; imports bank and plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..bank import ClipBank, shows
from ..layers.columns import COLOR
from ..plan import Plan
from ..video.window import Failure
from .augment import Augment


def whole(name: str, value: Any, least: int) -> None:
    """ValueError unless `value` is a whole number ≥ `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be a whole number ≥ {least}, got {name}={value!r}")


def check_options(counts: Mapping[str, Any], places: Mapping[str, Any], others: Mapping[str, Any], *, fps: Any) -> None:
    """ValueError unless counts are whole numbers ≥ 1 or None, places ≥ 0, and the rest is what it has to be."""
    for name, value in counts.items():
        if value is not None:
            whole(name, value, 1)
    for name, value in places.items():
        whole(name, value, 0)
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps < float("inf"):
        raise ValueError(f"fps must be a number > 0, got fps={fps!r}")
    if not callable(others["plan"]):
        raise ValueError(f"plan must be a function of (rng, bank, n), got plan={others['plan']!r:.60}")
    if not isinstance(others["augment"], Augment | None):
        raise ValueError(f"augment must be a gpuaug.Augment or None, got augment={others['augment']!r:.60}")
    if not isinstance(others["dtype"], torch.dtype) or not others["dtype"].is_floating_point:
        raise ValueError(f"dtype must be a floating point dtype of torch, got dtype={others['dtype']!r:.60}")
    if (size := others["bank_size"]) is not None:
        if not isinstance(size, Sequence) or len(size) != 2:
            raise ValueError(f"bank_size must be (height, width) or None, got bank_size={size!r:.60}")
        for name, value in zip(("bank_size's height", "bank_size's width"), size):
            whole(name, value, 1)
    rank, world, low, high = places["rank"], counts["world"], counts["reuse_min"], counts["reuse_max"]
    if rank >= world:
        raise ValueError(f"rank must be in [0, world), got rank={rank}, world={world}")
    if high is not None and high < low:
        raise ValueError(f"reuse must be 1 ≤ min ≤ max, got reuse_min={low}, reuse_max={high}")


def planned(
    made: Any, bank: ClipBank, samples: int, *, rows: int, chosen: bool
) -> tuple[Plan, dict[str, NDArray[Any]]]:
    """What a plan function returned, as a plan and arrays.

    Args:
        samples: wanted. rows: of the plan per sample.
        chosen: the windows were given: samples may be left out where the target "slot" names those of the others, and
            no limit holds.

    Errors: ValueError for anything else than a plan of so many rows that shows slots that are ready, frames inside
    their windows and no window beyond the bank's reuse limit, with targets of as many rows.
    """
    plan, target = made if isinstance(made, tuple) and len(made) == 2 else (made, {})
    if not isinstance(plan, Plan) or not isinstance(target, Mapping):
        got = f"a tuple of {len(made)}" if isinstance(made, tuple) else type(made).__name__
        raise ValueError(f"the plan function must return a gpuaug.Plan, or one and a dict of arrays, got {got}")
    arrays = {name: np.asarray(value) for name, value in target.items()}
    n = plan.shape[0]
    for name, value in arrays.items():
        if value.dtype.kind not in "biuf" or value.ndim == 0 or (n and len(value) != n):
            got = f"{value.dtype} {value.shape}"
            raise ValueError(f"target {name!r} must be numbers with a first axis of {n}, as the plan has, got {got}")
    if n != samples * rows and not (chosen and "slot" in arrays):
        raise ValueError(
            f"the plan must have {samples * rows} samples, got {n} (bank.draw gives at least what is asked: [:n])"
        )
    if n:
        _shown(plan, bank, limited=not chosen)
    return plan, arrays


def _shown(plan: Plan, bank: ClipBank, *, limited: bool) -> None:
    info, used = bank.info, plan.weight != 0
    if plan.layers is not None:
        used &= plan.clip != COLOR
    clip, frame = plan.clip[used], plan.frame[used]
    if not len(clip) or clip.min() < 0 or clip.max() >= len(info):
        got = "colours alone" if not len(clip) else f"slot {clip.min() if clip.min() < 0 else clip.max()}"
        raise ValueError(f"the plan must show slots 0 … {len(info) - 1} of the bank, got {got}")
    if not info["ready"][clip].all():
        slot = clip[~info["ready"][clip]][0]
        raise ValueError(
            f"the plan must show slots that are ready, got slot {slot} (bank.draw and bank.slots() give them)"
        )
    beyond = (frame < 0) | (frame >= info["frames"][clip])
    if beyond.any():
        slot, wrong = clip[beyond][0], frame[beyond][0]
        rule = "the plan must show frames inside its windows"
        cure = "Plan.take(…, frames=bank.info['frames']) tells sooner, with edge='repeat' it repeats the last"
        raise ValueError(f"{rule}, got frame {wrong} of slot {slot}, which has {info['frames'][slot]} ({cure})")
    if limited and bank.reuse_max is not None:
        slots, uses = shows(np.where(used, plan.clip, -1), len(info))
        over = info["uses"][slots] + uses > bank.reuse_max
        if over.any():
            limit = f"reuse_max={bank.reuse_max}"
            raise ValueError(
                f"the plan shows slot {slots[over][0]} more often than {limit} allows (draw with bank.draw)"
            )


def same_options(state: Any, options: Mapping[str, Any]) -> None:
    """ValueError unless a state is of a loader with these options."""
    if not isinstance(state, Mapping) or not isinstance(state.get("options"), Mapping):
        raise ValueError("state must be what Loader.state_dict returned, got something else")
    for name, value in options.items():
        if state["options"].get(name) != value:
            had = state["options"].get(name)
            raise ValueError(f"{name} must be as in the state, {name}={had!r}, got {name}={value!r}")


def nothing(what: str, failures: list[Failure]) -> str:
    """That it cannot be shown, with the first reason."""
    first = f", for example {failures[0].path}: {failures[0].reason}" if failures else ""
    return f"{what} can be shown{first}"
