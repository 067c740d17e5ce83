"""How many slots a bank has.

Used by loader. Legend: J windows of one visit make a group of slots.
"""

from __future__ import annotations

from typing import Literal

from .plan_first import BATCHES

Fit = Literal["short", "inside", "stretch"]

DEFAULT_BANK_BYTES = 4 * 2**30  # beyond what one batch needs, a bank by default takes no more
VARIED_BYTES = 2**29  # … but so much of it is used, if there are segments to fill it: few windows at a time teach less
RESIDENT_BYTES = 2**30  # data that fit into so much are by default decoded once and kept


def room(
    slots: int | None,
    bank_bytes: int | None,
    *,
    windows: int,
    group_bytes: int,
    batch: int,
    need: int,
    once: bool,
    kept: int | None,
    segments: int = 0,
) -> tuple[int, bool]:
    """How many groups a bank has, and whether they hold all of the data.

    By default four groups per sample, fewer where they are large, never less than a batch needs; a group for each
    segment, or as many as `VARIED_BYTES` hold, where that is more; all of the data where that takes no more than
    `RESIDENT_BYTES`.

    Args:
        need: groups that a batch shows at most. once: windows are shown once, and take no memory while they wait.
        kept: groups that the data make, where they could be decoded once and kept; None where they could not.
        segments: from which groups are drawn to be shown several times; 0 where they are shown in order.

    >>> few = {"windows": 5, "group_bytes": 5 * 2**20, "batch": 32, "need": 7, "once": False}
    >>> room(None, None, **few, kept=None), room(None, 2**30, **few, kept=None), room(None, None, **few, kept=150)
    ((128, False), (204, False), (150, True))
    >>> room(None, None, windows=1, group_bytes=2**24, batch=128, need=256, once=False, kept=None)
    (256, False)
    """
    if slots is not None:
        groups = slots // windows
    elif bank_bytes is not None:
        groups = bank_bytes // group_bytes
    elif once:
        groups = max(4 * batch, (BATCHES + 1) * need)
    else:
        groups = max(
            2, need, min(4 * batch, DEFAULT_BANK_BYTES // group_bytes), min(segments, VARIED_BYTES // group_bytes)
        )
        if kept is not None and kept * group_bytes <= RESIDENT_BYTES:
            groups = max(groups, kept)
    resident = kept is not None and not once and kept <= groups
    return kept if resident and kept is not None else groups, resident


def usual_size(size: int, fit: Fit, *, once: bool) -> tuple[int, int]:
    """(H, W) of a bank for clips of `size` pixels; with fit "short" the short side and the longest long one.

    Where windows are shown once, the bank grows with the pictures; elsewhere films wider than 16:9 are made smaller.

    >>> usual_size(224, "short", once=False), usual_size(224, "inside", once=False)
    ((256, 456), (256, 341))
    """
    short = round(size * 8 / 7)
    if fit != "short":
        return short, round(size * 32 / 21)
    return short, 4 * short if once else -(-short * 16 // 9)


def check_room(slots: int, *, need: int, reuse_max: int | None, windows: int) -> None:
    """A bank that cannot serve a single batch is refused."""
    least = windows * -(-need // (windows * (need if reuse_max is None else reuse_max)))
    if slots < max(windows, least):
        limit = "" if reuse_max is None else f" at reuse_max={reuse_max}"
        raise ValueError(
            f"slots must be ≥ {max(windows, least)} for the windows of one batch{limit}, got slots={slots}"
        )


def check_limit(reuse_max: int | None, *, deterministic: bool, long: int) -> None:
    """Data that are not kept, `long` of their segments longer than a window, need a limit where nothing may race."""
    if deterministic and reuse_max is None:
        why = f"{long} segments are longer than a window" if long else "the bank has fewer slots than windows"
        raise ValueError(f"reuse_max must be a number where deterministic and {why}, got reuse_max=None")
