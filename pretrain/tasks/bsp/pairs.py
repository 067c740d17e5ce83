"""Which clips of the bank meet in a sample of BSP: two videos of one class, or of two classes.

Used by BSP's `sample`; imports gpuaug.
Legend: N samples, S slots of the bank, M slots that can be shown and have a class.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

import gpuaug

from .targets import DC, KINDS, SC

ROUNDS = 32  # redraws of single partners before giving up


def draw_clips(
    rng: np.random.Generator,
    bank: gpuaug.ClipBank,
    *,
    two: NDArray[np.bool_],
    same: NDArray[np.bool_],
    need: int,
    first: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """int64 (N, 2) slot ids: a clip per sample, and its partner where `two` is set (elsewhere the clip itself).

    Partners come from another video, of the same class where `same` is set and of another class elsewhere; unlabelled
    clips have none. First clips are spread evenly over the bank, partners are uniform among all that fit. No slot is
    shown beyond its reuse limit.

    Args:
        two, same: bool (N,).
        need: the least number of frames of a clip.
        first: int64 (N,), the clips, where they are given, with a partner where they need one (see `partnered`).

    Errors: gpuaug.Starved if the bank has too few such clips.
    """
    n, info = len(two), bank.info
    long = info["frames"] >= need
    if first is not None:
        return _second(rng, bank, _able(bank, long), first, two=two, same=same)
    try:
        order = bank.draw(rng, n + int(two.sum()), among=long)
    except gpuaug.Starved:
        longest = info["frames"][info["ready"]].max(initial=0)
        if longest >= need:
            raise
        message = f"clips of at least {need} frames are wanted, the longest window in the bank has {longest}"
        raise gpuaug.Starved(message) from None
    if not two.any():
        return np.repeat(order[:n, None], 2, 1)

    groups = _able(bank, long)
    first = order[:n].copy()
    if (np.where(same, groups.same[first], groups.other[first])[two] == 0).any():
        first = _with_partners(order, groups, two=two, same=same)
    return _second(rng, bank, groups, first, two=two, same=same)


def partnered(
    bank: gpuaug.ClipBank, first: NDArray[np.int64], need: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """bool (N,) twice: has the bank a partner for these clips, of the same class; and of another one?

    Errors: gpuaug.Starved if one of the clips has less than `need` frames.
    """
    frames = bank.info["frames"]
    if (frames[first] < need).any():
        raise gpuaug.Starved(f"clips of at least {need} frames are wanted, one has {frames[first].min()}")
    groups = _able(bank, frames >= need)
    return groups.same[first] > 0, groups.other[first] > 0


def in_all_kinds(
    bank: gpuaug.ClipBank, first: NDArray[np.int64], kinds: NDArray[np.int64], need: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(N,) clips and kinds: every clip in every kind that the bank has a partner for.

    A warning names a kind for which no clip has one. Errors: gpuaug.Starved where this is so for all of two clips.
    """
    able = dict(zip((SC, DC), (any_.any() for any_ in partnered(bank, bank.slots(), need))))
    lost = [KINDS[kind] for kind in (DC, SC) if kind in kinds and not able[kind]]
    if lost and not any(able[kind] for kind in (DC, SC) if kind in kinds):
        raise gpuaug.Starved(f"no clip of the bank has a partner for {' and '.join(lost)}")
    if lost:
        warnings.warn(f"of the held-out clips none has a partner for {lost[0]}: this kind is left out", stacklevel=2)
    same, other = partnered(bank, first, need)
    able_NK = np.where(kinds == SC, same[:, None], np.where(kinds == DC, other[:, None], True))
    return np.repeat(first, len(kinds))[able_NK.ravel()], np.tile(kinds, len(first))[able_NK.ravel()]


def _left(bank: gpuaug.ClipBank) -> NDArray[np.int64]:
    """(S,) how often each slot may still be shown."""
    limit = bank.reuse_max
    return np.full(len(bank.info), np.iinfo(np.int64).max) if limit is None else limit - bank.info["uses"]


def _able(bank: gpuaug.ClipBank, long: NDArray[np.bool_]) -> _Groups:
    """The slots that may be partners now."""
    info = bank.info
    able = info["ready"] & long & (_left(bank) > 0) & (info["label"] >= 0)
    return _Groups(np.flatnonzero(able), info["label"], info["video"])


def _second(
    rng: np.random.Generator,
    bank: gpuaug.ClipBank,
    groups: _Groups,
    first: NDArray[np.int64],
    *,
    two: NDArray[np.bool_],
    same: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """int64 (N, 2): the clips and a partner for each that needs one, none shown beyond its limit."""
    info, left = bank.info, _left(bank)
    second = first.copy()
    todo = np.flatnonzero(two)
    shown = np.bincount(first, minlength=len(info))
    for _ in range(ROUNDS):
        second[todo] = groups.partner(rng, first[todo], same[todo])
        times = shown + np.bincount(second[two], minlength=len(info))
        bad = two & ((times > left)[second] | (info["video"][first] == info["video"][second]))
        todo = np.flatnonzero(bad)
        if len(todo) == 0:
            return np.stack([first, second], 1)
    raise gpuaug.Starved(f"{len(todo)} of {two.sum()} pairs found no partner within the reuse limits")


def _with_partners(
    order: NDArray[np.int64], groups: _Groups, *, two: NDArray[np.bool_], same: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The slots of `order`, dealt so that those that need a partner have one."""
    first = np.empty(len(two), np.int64)
    free = np.ones(len(order), bool)
    for wanted, count in ((two & same, groups.same), (two & ~same, groups.other), (~two, groups.same + 1)):
        at = np.flatnonzero(free & (count[order] > 0))[: wanted.sum()]
        if len(at) < wanted.sum():
            what = "another video of their class" if (wanted & same).any() else "a video of another class"
            raise gpuaug.Starved(f"{wanted.sum()} clips with {what} are wanted, the bank has {len(at)}")
        first[wanted] = order[at]
        free[at] = False
    return first


class _Groups:
    """Slots sorted by class, then video, so that the members of a group are one range.

    Attributes:
        same, other: int64 (S,), how many slots share the class but not the video; how many have another class.
    """

    def __init__(self, slots: NDArray[np.int64], label: NDArray[np.int64], video: NDArray[np.int64]) -> None:
        total = len(slots)
        pair = label[slots] * (int(video.max(initial=0)) + 1) + video[slots]
        by_pair = np.sort(pair * total + np.arange(total)) if total else pair  # unique keys: one order everywhere
        self.slots = slots[by_pair % total] if total else slots
        self.total = total
        self.low, self.high = self._ranges(label[self.slots], len(label))
        self.video_low, self.video_high = self._ranges(by_pair // max(total, 1), len(label))
        self.same = (self.high - self.low) - (self.video_high - self.video_low)
        able = self.high > self.low
        self.other = np.where(able, total - (self.high - self.low), 0)

    def partner(self, rng: np.random.Generator, first: NDArray[np.int64], same: NDArray[np.bool_]) -> NDArray[np.int64]:
        """A uniform draw per clip, of its class but not its video where `same` is set, elsewhere of another class."""
        count = np.where(same, self.same[first], self.other[first])
        draw = rng.integers(count)
        low = np.where(same, self.video_low[first], self.low[first])
        high = np.where(same, self.video_high[first], self.high[first])
        at = draw + np.where(same, self.low[first], 0)
        return self.slots[np.where(at >= low, at + high - low, at)]

    def _ranges(self, key: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(S,) each: begin and end, in sorted order, of the run of equal keys that a slot belongs to; 0 for others."""
        low, high = np.zeros((2, size), np.int64)
        if len(key):
            begin = np.flatnonzero(key[1:] != key[:-1]) + 1
            bounds = np.concatenate([[0], begin, [len(key)]])
            run = np.zeros(len(key), np.int64)
            run[begin] = 1
            run = run.cumsum()
            low[self.slots], high[self.slots] = bounds[run], bounds[run + 1]
        return low, high
