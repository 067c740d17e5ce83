"""Plans: what every output frame is made of.

Legend: N samples, T output frames, K taps (weighted source frames per output frame).
NumPy only; nothing here touches a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import values
from .layers import columns, cover, taps
from .layers.columns import COLOR, Layers, Marks

Edge = Literal["error", "repeat"]


@dataclass(frozen=True, eq=False)
class Plan:
    """For every output frame, up to K weighted source frames: out[n, t] = Σ_k weight · clips[clip][frame].

    Attributes:
        clip: int64 (N, T, K), index of the source clip (a bank slot, or the position in a list of clips).
        time: float64 (N, T, K), position in source frames. Rounded to the nearest frame once, when read as `frame`.
        weight: float32 (N, T, K). Taps of weight 0 come last and repeat the clip and time of the first tap.
        layers: None, or how taps lie over each other instead of being added up, with masks, places and colours
            (`gpuaug.layers.columns.Layers`); weights are opacities then, and a clip of −1 is a colour.
        marks: None, or which frames belong to a transition (`Marks`); `gpuaug.transitions.labels` reads them.

    Build one with `Plan.take`, then compose with `at`, `where`, `fade` and `gpuaug.edits`.

    >>> plan = Plan.take(clip=[0, 3], time=[[0, 1, 2], [4, 5, 6]])
    >>> plan.at([2, 1, 0]).frame[:, :, 0].tolist()
    [[2, 1, 0], [6, 5, 4]]
    """

    clip: NDArray[np.int64]
    time: NDArray[np.float64]
    weight: NDArray[np.float32]
    layers: Layers | None = None
    marks: Marks | None = None

    def __post_init__(self) -> None:
        for name, dtype in (("clip", np.int64), ("time", np.float64), ("weight", np.float32)):
            array = getattr(self, name)
            right = isinstance(array, np.ndarray) and not isinstance(array, np.ma.MaskedArray)
            if not right or array.dtype != dtype or array.ndim != 3:
                kind = f"{array.dtype} {array.shape}" if right else type(array).__name__
                raise ValueError(f"{name} must be a {np.dtype(dtype)} array of shape (N, T, K), got {kind}")
        if not self.clip.shape == self.time.shape == self.weight.shape:
            shapes = f"{self.clip.shape}, {self.time.shape} and {self.weight.shape}"
            raise ValueError(f"clip, time and weight must have one shape, got {shapes}")
        if 0 in self.clip.shape[1:]:
            raise ValueError(f"a plan needs at least one output frame and one tap, got shape {self.clip.shape}")
        if self.layers is not None:
            self.layers.check(self.clip.shape)

    @staticmethod
    def take(clip: ArrayLike, time: ArrayLike, *, frames: ArrayLike | None = None, edge: Edge = "error") -> Plan:
        """The plan that shows clip `clip` at times `time`.

        Args:
            clip: int (N,) or (N, T), or a scalar; ids ≥ 0.
            time: float (N, T), or (T,) for all samples; in source frames, 0 is the first. The nearest frame is
                floor(time + 0.5).
            frames: number of frames of the source clips, a scalar or an array indexed by clip id; None leaves the
                check against the clips' ends to `blend` and `render`.
            edge: "error" refuses times outside the clip, "repeat" shows its first or last frame instead.

        >>> Plan.take(2, [0.0, 0.5, 1.4], frames=2).frame[0, :, 0].tolist()
        [0, 1, 1]
        """
        clip, time = values.clips_and_times(clip, time)
        if edge not in ("error", "repeat"):
            raise ValueError(f"edge must be 'error' or 'repeat', got edge={edge!r}")
        last = np.inf if frames is None else values.last_frame(frames, clip)
        if edge == "repeat":
            time = np.clip(time, 0.0, last)
        else:
            values.check_range("time", time, last)
        return Plan(clip[:, :, None], time[:, :, None], np.ones((*clip.shape, 1), np.float32))

    @staticmethod
    def concat(plans: list[Plan]) -> Plan:
        """The samples of all `plans` (equal T) one after another; K is the largest K among them."""
        lengths = {plan.clip.shape[1] for plan in plans}
        if len(lengths) != 1:
            raise ValueError(f"plans must have one number of output frames, got {sorted(lengths)}")
        parts = alike(plans)
        marks = _marks(plans)
        shown = taps.stack([columns_of(part) for part in parts])
        return with_columns(
            parts[0], shown, None if marks is None else Marks(*map(np.concatenate, zip(*map(_both, marks))))
        )

    @staticmethod
    def color(color: ArrayLike, *, frames: int) -> Plan:
        """The plan of `frames` output frames that shows a colour: red, green, blue in [0, 1], (3,) or (N, 3).

        >>> Plan.color([0, 0, 0], frames=4).shape
        (1, 4, 1)
        """
        given = values.reals("color", color)
        if given.ndim not in (1, 2) or given.shape[-1] != 3 or not ((given >= 0) & (given <= 1)).all():
            raise ValueError(f"color must be (3,) or (N, 3) in [0, 1], got {np.shape(color)}: color={given.tolist()}")
        given = given.reshape(-1, 3)
        shape = (len(given), values.positive("frames", frames), 1)
        layers = Layers.none(shape)
        layers.color[:] = given[:, None, None]
        return Plan(np.full(shape, COLOR), np.zeros(shape), np.ones(shape, np.float32), layers)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(N, T, K)"""
        return self.clip.shape

    def repeat(self, n: int) -> Plan:
        """The plan of `n` samples, of a plan of one sample; one of `n` samples is itself."""
        if self.shape[0] == n:
            return self
        one = with_columns(self, [np.repeat(column, n, 0) for column in columns_of(self)])
        return replace(one, marks=self.marks and self.marks.each(lambda column: np.repeat(column, n, 0)))

    @property
    def frame(self) -> NDArray[np.int64]:
        """int64 (N, T, K): the source frame nearest to `time`, floor(time + 0.5)."""
        return np.floor(self.time + 0.5).astype(np.int64)

    @property
    def dominant(self) -> NDArray[np.int64]:
        """int64 (N, T): the tap of greatest weight, of layers of greatest area; the earlier one of two equal ones."""
        return np.argmax(self.weight if self.layers is None else self.area(), axis=2)

    def area(self, size: tuple[int, int] = (32, 32)) -> NDArray[np.float32]:
        """float32 (N, T, K): how much of every output frame a tap makes up; the weights of a plan without layers.

        Masks and places are measured on `size`, rows and columns; a picture of this size has just these areas.
        """
        return self.weight if self.layers is None else cover.areas(self.weight, self.layers, size).astype(np.float32)

    def source(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Clip id (N, T) and time (N, T) of every output frame's dominant tap."""
        if self.clip.shape[2] == 1:
            return self.clip[:, :, 0], self.time[:, :, 0]
        n, t = np.ogrid[: self.clip.shape[0], : self.clip.shape[1]]
        return self.clip[n, t, self.dominant], self.time[n, t, self.dominant]

    def share(self, clips: int, size: tuple[int, int] = (32, 32)) -> NDArray[np.float32]:
        """float32 (N, clips): how much of each sample clip c makes up, its `area` averaged over the output frames.

        Colours have none. Soft labels of a mix are `plan.share(clips) @ one_hot`, with one_hot (clips, classes).

        >>> fade(Plan.take(0, [0, 1]), Plan.take(1, [5, 6]), [[0.0, 0.5]]).share(3).tolist()
        [[0.75, 0.25, 0.0]]
        """
        if self.clip.size and not ((self.layers and COLOR) or 0) <= self.clip.min() <= self.clip.max() < clips:
            raise ValueError(f"clips must be above every clip id of the plan ({self.clip.max()}), got clips={clips}")
        n, length, _ = self.clip.shape
        share = np.zeros((n, clips + 1))  # the last one of the colours, −1
        np.add.at(share, (np.arange(n)[:, None, None], self.clip), self.area(size))
        return (share[:, :clips] / length).astype(np.float32)

    def boundary(self, tolerance: float = 1e-6) -> NDArray[np.int64]:
        """int64 (N,): the first output frame (from 0) that belongs to something new; −1 where nothing changes.

        New is another dominant clip than in the frame before or, within one clip, a time step that differs from the
        first step by more than `tolerance` source frames (a change of speed).

        >>> Plan.take(0, [0, 1, 2, 4, 6]).boundary().tolist()
        [3]
        """
        clip, time = self.source()
        if clip.shape[1] < 2:
            return np.full(len(clip), -1)
        step = time[:, 1:] - time[:, :-1]
        new = (clip[:, 1:] != clip[:, :-1]) | (np.abs(step - step[:, :1]) > tolerance)
        return np.where(new.any(1), new.argmax(1) + 1, -1)

    def at(self, order: ArrayLike, *, edge: Edge = "error") -> Plan:
        """The plan whose output frame i is this plan's frame `order[i]`: reverse, freeze, drop, repeat, speed change.

        A fractional position composes times: it lies between two frames, and its time is interpolated between theirs
        where both show the same clips; elsewhere the nearer frame is shown. Nothing is rounded to source frames yet.

        Args:
            order: (T',) for all samples or (N, T'), positions in output frames of this plan.
            edge: "error" refuses positions outside [0, T−1] (after rounding to nearest), "repeat" clamps them.

        >>> Plan.take(0, [10.0, 12.0, 14.0]).at([0, 0.5, 1, 2]).time[0, :, 0].tolist()
        [10.0, 11.0, 12.0, 14.0]
        """
        n, length, _ = self.clip.shape
        position = values.positions("order", order, n, None if edge == "repeat" else length - 1)
        position = np.broadcast_to(np.clip(position, 0, length - 1), (n, position.shape[1]))
        row, low = np.arange(n)[:, None], np.floor(position).astype(np.int64)
        part = position - low
        high = np.minimum(low + 1, length - 1)
        near = np.where(part < 0.5, low, high)
        marks = self.marks and self.marks.each(lambda column: column[row, near])
        if not part.any():
            return _compact([column[row, low] for column in columns_of(self)], self, marks)
        return _compact(taps.between(columns_of(self), row, low, high, part), self, marks)


def where(mask: ArrayLike, a: Plan, b: Plan) -> Plan:
    """The plan that shows `a` where `mask` is true and `b` elsewhere.

    Args:
        mask: bool (N, T), or anything that broadcasts to it ((N, 1): per sample).
        a, b: plans of one N and T.
    """
    _same_frames(a, b)
    mask = values.frames("mask", values.truths("mask", mask), a.clip.shape[:2])
    marks = _marks([a, b])
    a, b = alike([a, b])
    shown = taps.where(mask, columns_of(a), columns_of(b))
    return _compact(shown, a, None if marks is None else Marks(*taps.where(mask, *map(_both, marks))))


def fade(a: Plan, b: Plan, alpha: ArrayLike) -> Plan:
    """The blend (1 − alpha)·a + alpha·b. The only operation that adds taps, and only where both sides are visible.

    Args:
        a, b: plans of one N and T.
        alpha: float (N, T) in [0, 1], or anything that broadcasts to it: the weight of `b`.

    >>> fade(Plan.take(0, [0, 1]), Plan.take(1, [5, 6]), [[0.0, 0.25]]).weight[0].tolist()
    [[1.0, 0.0], [0.75, 0.25]]
    """
    _same_frames(a, b)
    alpha = values.reals("alpha", alpha, "biuf").astype(np.float32)
    alpha = values.frames("alpha", alpha, a.clip.shape[:2])[:, :, None]
    if not ((alpha >= 0) & (alpha <= 1)).all():
        raise ValueError(f"alpha must be in [0, 1], got values in [{alpha.min()}, {alpha.max()}]")
    both = _marks([a, b])
    marks = None if both is None else Marks(*taps.where(alpha[:, :, 0] < 0.5, *map(_both, both)))
    if a.layers is None and b.layers is None:
        weight = [a.weight * (1 - alpha), b.weight * alpha]
        shown = [np.concatenate(each, 2) for each in ([a.clip, b.clip], [a.time, b.time], weight)]
        return _compact(shown, a, marks)
    a, b = alike([a, b])
    return _compact(taps.faded(columns_of(a), columns_of(b), alpha), a, marks)


def over(plan: Plan) -> Plan:
    """The same plan with layers; its weights, which must sum to 1, become opacities."""
    if plan.layers is not None:
        return plan
    return replace(plan, weight=taps.opacities(plan.weight), layers=Layers.none(plan.shape))


def columns_of(plan: Plan) -> list[NDArray]:
    """Everything that a plan says of its taps: clip, time, weight, and the columns of its layers."""
    more = [getattr(plan.layers, name) for name in columns.TAPS] if plan.layers is not None else []
    return [plan.clip, plan.time, plan.weight, *more]


def with_columns(like: Plan, shown: list[NDArray], marks: Marks | None = None) -> Plan:
    """A plan of other taps, given as `columns_of` does, with the tables of `like`."""
    more: dict[str, Any] = dict(zip(columns.TAPS, shown[3:]))
    layers = like.layers and replace(like.layers, **more)
    return Plan(shown[0], shown[1], shown[2], layers, marks)


def alike(plans: Sequence[Plan]) -> list[Plan]:
    """The plans with one table of time maps, where one of them has layers."""
    if all(plan.layers is None for plan in plans):
        return list(plans)
    laid = [over(plan) for plan in plans]
    layers = columns.together([plan.layers for plan in laid if plan.layers is not None])
    return [replace(plan, layers=each) for plan, each in zip(laid, layers)]


def _marks(plans: Sequence[Plan]) -> list[Marks] | None:
    """The marks of plans of which one has some."""
    if all(plan.marks is None for plan in plans):
        return None
    return [plan.marks or Marks.none(*plan.shape[:2]) for plan in plans]


def _both(marks: Marks) -> list[NDArray]:
    return [marks.kind, marks.shot]


def _compact(shown: list[NDArray], like: Plan, marks: Marks | None) -> Plan:
    return with_columns(like, taps.compact(shown), marks)


def _same_frames(a: Plan, b: Plan) -> None:
    if a.clip.shape[:2] != b.clip.shape[:2]:
        raise ValueError(f"both plans must have one (N, T), got {a.clip.shape[:2]} and {b.clip.shape[:2]}")
