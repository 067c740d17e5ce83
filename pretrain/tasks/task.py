"""What a pretext task offers to the loop, the feed and the flags, and the tasks there are (docs/tasks.md).

Used by training and the commands; imports the tasks.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import MISSING
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

import gpuaug

from ..common.settings import Default, Recipe, flags_of
from ..feed.loaders import Draws
from .card import Card

if TYPE_CHECKING:
    from .bsp import task as bsp
    from .pal import task as pal
    from .shots import task as shots
    from .tsp import task as tsp

    _checked: tuple[Task, ...] = (bsp, pal, shots, tsp)  # by mypy

TASKS = {name: f"pretrain.tasks.{name}.task" for name in ("bsp", "pal", "shots", "tsp")}


class Task(Protocol):
    """A module of `TASKS`. One whose samples need labels also has `needs`, of its settings: `data.needs.Needs`.

    Attributes:
        RECIPE: defaults of flags for this task, and where they come from. Needed: encoder, size, fps, window_frames,
            batch, epochs, optimizer.
    """

    @property
    def RECIPE(self) -> Recipe: ...

    @property
    def Settings(self) -> type[Any]:
        """A frozen dataclass: the task's own options, each a flag."""

    @property
    def Head(self) -> type[nn.Module]:
        """Made of (features, classes, settings); see `Head`."""

    def window_frames(self, settings: Any, /) -> int:
        """How many frames of a window `sample` needs."""

    def draws(self, settings: Any, windows: int, /) -> Draws:
        """How `sample` draws from a bank with so many windows per segment."""

    def sample(
        self,
        rng: np.random.Generator,
        bank: gpuaug.ClipBank,
        n: int,
        settings: Any,
        *,
        first: NDArray[np.int64] | None = None,
    ) -> tuple[gpuaug.Plan, dict[str, NDArray]]:
        """The plan of `n` samples, and targets read from it; `first`: slots of the windows that they are to be of."""


def load(name: str) -> Task:
    """The task of that name."""
    return cast(Task, importlib.import_module(TASKS[name]))


def load_cards(name: str) -> Callable[..., list[Card]]:
    """What `preview` tells of that task's samples: `cards` of its card.py."""
    return importlib.import_module(TASKS[name].removesuffix("task") + "card").cards


def meanings(name: str) -> dict[str, str]:
    """What the short names of a task's kinds of sample stand for; of another task, or one without such names, none."""
    if name not in TASKS:
        return {}
    return getattr(importlib.import_module(TASKS[name].removesuffix("task") + "card"), "MEANING", {})


def recipe(task: Task) -> dict[str, Default]:
    """All defaults of a task: those of its own options, and its recipe."""
    own = {each.name: Default(each.default) for each in flags_of(task.Settings) if each.default is not MISSING}
    return {**own, **task.RECIPE}
