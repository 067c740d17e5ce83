"""Plans: what every output frame is made of.

Legend: N samples, T output frames, K taps (weighted source frames per output frame).
NumPy only; nothing here touches a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import values

Edge = Literal["error", "repeat"]


@dataclass(frozen=True, eq=False)
class Plan:
    """For every output frame, up to K weighted source frames: out[n, t] = Σ_k weight · clips[clip][frame].

    Attributes:
        clip: int64 (N, T, K), index of the source clip (a bank slot, or the position in a list of clips).
        time: float64 (N, T, K), position in source frames. Rounded to the nearest frame once, when read as `frame`.
        weight: float32 (N, T, K). Taps of weight 0 come last and repeat the clip and time of the first tap.

    Build one with `Plan.take`, then compose with `at`, `where`, `fade` and the functions of `gpuaug.edits`.

    >>> plan = Plan.take(clip=[0, 3], time=[[0, 1, 2], [4, 5, 6]])
    >>> plan.at([2, 1, 0]).frame[:, :, 0].tolist()
    [[2, 1, 0], [6, 5, 4]]
    """

    clip: NDArray[np.int64]
    time: NDArray[np.float64]
    weight: NDArray[np.float32]

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
        time = np.array(values.reals("time", time), ndmin=2)  # a copy: the plan outlives changes of the caller's array
        clip = values.integers("clip", clip)
        if clip.ndim == 0:
            clip = clip[None]
        if clip.ndim == 1:
            clip = clip[:, None]
        if time.ndim != 2 or clip.ndim != 2:
            raise ValueError(f"clip and time must have at most 2 dimensions, got {clip.ndim} and {time.ndim}")
        try:
            shape = np.broadcast_shapes(clip.shape, time.shape)
        except ValueError:
            raise ValueError(f"clip {clip.shape} and time {time.shape} do not fit together as (N, T)") from None
        if edge not in ("error", "repeat"):
            raise ValueError(f"edge must be 'error' or 'repeat', got edge={edge!r}")
        if clip.size and clip.min() < 0:
            raise ValueError(f"clip must be ≥ 0, got clip={int(clip.min())}")
        if not np.isfinite(time).all():
            raise ValueError("time must be finite, got nan or inf")
        last = np.inf if frames is None else _last_frame(frames, clip)
        if edge == "repeat":
            time = np.clip(time, 0.0, last)
        else:
            _check_range("time", time, last)
        full_clip = np.ascontiguousarray(np.broadcast_to(clip, shape))[:, :, None]
        full_time = np.ascontiguousarray(np.broadcast_to(time, shape))[:, :, None]
        return Plan(full_clip, full_time, np.ones((*shape, 1), np.float32))

    @staticmethod
    def concat(plans: list[Plan]) -> Plan:
        """The samples of all `plans` (equal T) one after another; K is the largest K among them."""
        lengths = {plan.clip.shape[1] for plan in plans}
        if len(lengths) != 1:
            raise ValueError(f"plans must have one number of output frames, got {sorted(lengths)}")
        taps = max(plan.clip.shape[2] for plan in plans)
        padded = [_pad(plan, taps) for plan in plans]
        return Plan(*(np.concatenate([p[i] for p in padded]) for i in range(3)))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(N, T, K)"""
        return self.clip.shape

    @property
    def frame(self) -> NDArray[np.int64]:
        """int64 (N, T, K): the source frame nearest to `time`, floor(time + 0.5)."""
        return np.floor(self.time + 0.5).astype(np.int64)

    @property
    def dominant(self) -> NDArray[np.int64]:
        """int64 (N, T): the tap of greatest weight; the earlier one of two equal ones."""
        return np.argmax(self.weight, axis=2)

    def source(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Clip id (N, T) and time (N, T) of every output frame's dominant tap."""
        if self.clip.shape[2] == 1:
            return self.clip[:, :, 0], self.time[:, :, 0]
        n, t = np.ogrid[: self.clip.shape[0], : self.clip.shape[1]]
        return self.clip[n, t, self.dominant], self.time[n, t, self.dominant]

    def share(self, clips: int) -> NDArray[np.float32]:
        """float32 (N, clips): how much of each sample clip c makes up, its weight averaged over the output frames.

        Soft labels of a mix are `plan.share(clips) @ one_hot`, with one_hot (clips, classes).

        >>> fade(Plan.take(0, [0, 1]), Plan.take(1, [5, 6]), [[0.0, 0.5]]).share(3).tolist()
        [[0.75, 0.25, 0.0]]
        """
        if self.clip.size and not 0 <= self.clip.min() <= self.clip.max() < clips:
            raise ValueError(f"clips must be above every clip id of the plan ({self.clip.max()}), got clips={clips}")
        n, length, _ = self.clip.shape
        share = np.zeros((n, clips))
        np.add.at(share, (np.arange(n)[:, None, None], self.clip), self.weight)
        return (share / length).astype(np.float32)

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
        position = np.array(values.reals("order", order), ndmin=2)
        n, length, _ = self.clip.shape
        if position.ndim != 2 or position.shape[0] not in (1, n):
            raise ValueError(f"order must have shape (T,) or ({n}, T), got {np.shape(order)}")
        if not np.isfinite(position).all():
            raise ValueError("order must be finite, got nan or inf")
        if edge == "error":
            _check_range("order", position, length - 1)
        position = np.broadcast_to(np.clip(position, 0, length - 1), (n, position.shape[1]))
        row = np.arange(n)[:, None]
        low = np.floor(position).astype(np.int64)
        part = position - low
        if not part.any():
            return _compact(self.clip[row, low], self.time[row, low], self.weight[row, low])
        high = np.minimum(low + 1, length - 1)
        near = np.where(part < 0.5, low, high)
        clip = self.clip[row, near]
        same = (self.clip[row, low] == self.clip[row, high]).all(2, keepdims=True)
        mix = part[:, :, None]
        time = np.where(same, (1 - mix) * self.time[row, low] + mix * self.time[row, high], self.time[row, near])
        weight = np.where(
            same, (1 - mix) * self.weight[row, low] + mix * self.weight[row, high], self.weight[row, near]
        )
        return _compact(clip, time, weight.astype(np.float32))


def where(mask: ArrayLike, a: Plan, b: Plan) -> Plan:
    """The plan that shows `a` where `mask` is true and `b` elsewhere.

    Args:
        mask: bool (N, T), or anything that broadcasts to it ((N, 1): per sample).
        a, b: plans of one N and T.
    """
    _same_frames(a, b)
    mask = values.truths("mask", mask)
    try:
        mask = np.broadcast_to(mask, a.clip.shape[:2])[:, :, None]
    except ValueError:
        raise ValueError(f"mask must broadcast to (N, T) = {a.clip.shape[:2]}, got {mask.shape}") from None
    taps = max(a.clip.shape[2], b.clip.shape[2])
    return _compact(*(np.where(mask, x, y) for x, y in zip(_pad(a, taps), _pad(b, taps))))


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
    try:
        alpha = np.broadcast_to(alpha, a.clip.shape[:2])[:, :, None]
    except ValueError:
        raise ValueError(f"alpha must broadcast to (N, T) = {a.clip.shape[:2]}, got {alpha.shape}") from None
    if not ((alpha >= 0) & (alpha <= 1)).all():
        raise ValueError(f"alpha must be in [0, 1], got values in [{alpha.min()}, {alpha.max()}]")
    return _compact(
        np.concatenate([a.clip, b.clip], 2),
        np.concatenate([a.time, b.time], 2),
        np.concatenate([a.weight * (1 - alpha), b.weight * alpha], 2),
    )


def _compact(clip: NDArray, time: NDArray, weight: NDArray) -> Plan:
    """Taps of weight 0 last (as copies of the first tap), the ones that are 0 everywhere dropped."""
    if weight.shape[2] == 1:
        return Plan(clip, time, weight)
    visible = weight != 0
    taps = max(1, int(visible.sum(2).max(initial=1)))
    order = np.argsort(~visible, axis=2, kind="stable")[:, :, :taps]
    n, t = np.ogrid[: weight.shape[0], : weight.shape[1]]
    n, t = n[:, :, None], t[:, :, None]
    weight = weight[n, t, order]
    order = np.where(weight == 0, order[:, :, :1], order)
    return Plan(clip[n, t, order], time[n, t, order], weight)


def _pad(plan: Plan, taps: int) -> tuple[NDArray, NDArray, NDArray]:
    """clip, time and weight with `taps` taps; the added ones have weight 0."""
    more = taps - plan.clip.shape[2]
    if more == 0:
        return plan.clip, plan.time, plan.weight
    clip = np.concatenate([plan.clip, np.repeat(plan.clip[:, :, :1], more, 2)], 2)
    time = np.concatenate([plan.time, np.repeat(plan.time[:, :, :1], more, 2)], 2)
    return clip, time, np.concatenate([plan.weight, np.zeros((*plan.clip.shape[:2], more), np.float32)], 2)


def _same_frames(a: Plan, b: Plan) -> None:
    if a.clip.shape[:2] != b.clip.shape[:2]:
        raise ValueError(f"both plans must have one (N, T), got {a.clip.shape[:2]} and {b.clip.shape[:2]}")


def _last_frame(frames: ArrayLike, clip: NDArray[np.int64]) -> NDArray[np.float64]:
    lengths = values.integers("frames", frames).astype(np.float64)
    if lengths.ndim == 1:
        if clip.size and clip.max() >= len(lengths):
            raise ValueError(f"clip must be below the number of clips {len(lengths)}, got clip={clip.max()}")
        lengths = lengths[clip]
    elif lengths.ndim > 1:
        raise ValueError(f"frames must be a scalar or an array indexed by clip id, got shape {lengths.shape}")
    if (lengths < 1).any():
        raise ValueError(f"frames must be ≥ 1 for every clip shown, got frames={lengths.min():g}")
    return lengths - 1


def _check_range(name: str, position: NDArray[np.float64], last: NDArray[np.float64] | float) -> None:
    """Refuse positions whose nearest frame is not in [0, last]."""
    outside = (position < -0.5) | (position >= np.asarray(last) + 0.5)
    if outside.any():
        last = np.broadcast_to(last, position.shape) if np.ndim(last) == 0 else last
        where_ = np.unravel_index(np.argmax(outside), outside.shape)
        value, limit = np.broadcast_to(position, outside.shape)[where_], np.broadcast_to(last, outside.shape)[where_]
        rule = "≥ 0" if limit == np.inf else f"in [0, {float(limit):g}]"
        raise ValueError(f"{name} must be {rule} (or use edge='repeat'), got {name}={float(value):g}")
