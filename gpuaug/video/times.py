"""When frames are shown: the container's time stamps, counted on where they break off, and the order that they tell.

Legend: P packets in stored order, N displayed frames in display order. Used by frame_index.py; imports bitstream.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .bitstream import REORDERING

MISSING = -(2**63)

# ffmpeg's limits, in seconds, of what stamps may do; those of broadcasts may break off at any place.
BACK, AHEAD, NEVER = 0.1, 10.0, 108_000.0
SOON = 1.0  # seconds; a longer interval is taken back where the next key frame goes on from before it
BREAKING = {"mpegts", "mpeg"}
WITHOUT_DTS = {"matroska,webm", "avi"}  # libav only guesses the decoding times of these
DEEPEST = 33  # packets: no codec holds back more than 16 pictures, each perhaps in two fields
LEAST_TICKS = 2.0  # of an interval whose rounding is undone: the next one can then not be taken for it


class Packet(NamedTuple):
    """A packet that shows a picture; `number` is its place in the file. Times are in ticks, or MISSING.

    picture: as in bitstream.pictures; "B" is a B-picture, which is never the latest so far where stamps tell display.
    """

    number: int
    pts: int
    dts: int
    duration: int
    key: bool
    picture: str
    size: int
    hidden: bool


class Clock(NamedTuple):
    """Packets with stamps that never start again.

    pts_P: int64, their display times. part_P: number of the run of stamps that each packet is in; empty: they are in
    one. due_P: a time for each packet, by decoding; empty: the packets' own. notes: what is implausible in the file's
    own times, for users.
    """

    packets: list[Packet]
    pts_P: NDArray[np.int64]
    part_P: list[int]
    due_P: list[int]
    notes: list[str]


def count_on(packets: list[Packet], codec: str, container: str, tick: float, step: int) -> Clock:
    """The packets' stamps as ffmpeg counts them: on from the last one where they start again or a broadcast jumps.

    Unlike there it is done in every container, and single stamps that lie far from all around them become MISSING.
    Jumps ahead in other containers than broadcasts' are kept, and noted.

    Args:
        tick: seconds. step: the nominal interval in ticks.
    """
    back, far = BACK / tick, AHEAD / tick
    pts_P, dts_P = (np.array(times, np.int64) for times in ([p.pts for p in packets], [p.dts for p in packets]))
    if _regular(packets, pts_P, dts_P, codec, container, back, far):
        return Clock(packets, pts_P, [], [], [])
    ahead, soon = far if container in BREAKING else NEVER / tick, SOON / tick
    part_P, due_P, offset_P = [0] * len(packets), [0] * len(packets), [0] * len(packets)
    wild: set[int] = set()
    offset = part = 0
    last: int | None = None
    due = 0
    jump: list[int] = []  # since a jump ahead: the packets, after the time that was due
    for i, own in _clock(packets, codec, container):
        if own == MISSING:
            now = due
        elif last is None:
            now = due = own
        else:
            now = own + offset
            if jump and now + back < last and jump[0] - back <= now <= jump[0] + 2 * len(jump) * step + soon:
                wild.update(jump[1:])  # it is back from a jump
                jump = []
            elif now + back < last or abs(now - due) > ahead:
                offset, now, part, jump = offset + due - now, due, part + 1, []
            elif now - due > soon:
                jump = [due]
        if jump:
            jump.append(i)
        part_P[i], due_P[i], offset_P[i] = part, now, offset
        last, due = now, now + (packets[i].duration or step)
    wild |= {i for i in jump[1:] if _later_but_before(packets, i, soon) > DEEPEST}
    if container not in WITHOUT_DTS:
        wild |= set(np.flatnonzero(_far_from_decoding(pts_P, dts_P, far)).tolist())
    moved = []
    for i, p in enumerate(packets):
        if i in wild:
            due_P[i] = due_P[i - 1] + step if i else due_P[0]
        pts = MISSING if p.pts == MISSING or i in wild else p.pts + offset_P[i]
        moved.append(p._replace(pts=pts, dts=p.dts if p.dts == MISSING else p.dts + offset_P[i]))
    steps = np.diff(np.sort(due_P))
    gaps = int(np.sum(steps.astype(np.float64) > max(far, 50 * step)))
    notes = [
        *([f"its time stamps break off and start again: {part} times, counted on"] if part else []),
        *([f"{len(wild)} of its time stamps are implausible and not used"] if wild else []),
        *([f"its time stamps jump ahead by more than {AHEAD:g} s: {gaps} times, kept"] if gaps else []),
    ]
    return Clock(moved, np.array([p.pts for p in moved], np.int64), part_P, due_P, notes)


def _regular(
    packets: list[Packet],
    pts_P: NDArray[np.int64],
    dts_P: NDArray[np.int64],
    codec: str,
    container: str,
    back: float,
    far: float,
) -> bool:
    """Whether the stamps are such that there is nothing to do, as nearly all files' are."""
    if pts_P.min(initial=0) == MISSING:
        return False
    if container not in WITHOUT_DTS:
        if dts_P.min(initial=0) == MISSING:
            return False
        steps, held_P = np.diff(dts_P), pts_P - dts_P
        if steps.min(initial=0) < -back or steps.max(initial=0) > far:
            return False
        near = held_P.min(initial=0) >= -far and held_P.max(initial=0) <= far
        return bool(near) or not np.any(_far_from_decoding(pts_P, dts_P, far))
    highest_P = np.maximum.accumulate(pts_P)
    key_P = np.array([p.key or codec not in REORDERING for p in packets])
    # A jump by less than that ahead and back again is told by display times only, which order() looks at.
    return not np.any(key_P & (pts_P < highest_P - back)) and not np.any(
        np.diff(np.sort(pts_P)).astype(np.float64) > far
    )


def _clock(packets: list[Packet], codec: str, container: str) -> Iterator[tuple[int, int]]:
    """(packet, time) in an order in which times ascend: decoding times, or display times where there are no others.

    From a key frame to the next, display times are sorted: all that is stored later is shown later.
    """
    if container not in WITHOUT_DTS:
        yield from ((i, p.dts) for i, p in enumerate(packets))
        return
    alone = codec not in REORDERING
    starts = [i for i, p in enumerate(packets) if alone or p.key or not i]
    for start, stop in pairwise([*starts, len(packets)]):
        group = range(start, stop)
        yield from ((i, packets[i].pts) for i in sorted(group, key=lambda i: packets[i].pts))


def _later_but_before(packets: list[Packet], i: int, far: float) -> int:
    """How many packets are stored after this one and shown long before it."""
    return sum(p.pts != MISSING and p.pts < packets[i].pts - far for p in packets[i + 1 :])


def _far_from_decoding(pts_P: NDArray[np.int64], dts_P: NDArray[np.int64], far: float) -> NDArray[np.bool_]:
    """Packets whose display time is far before their decoding time, or far after that of all that may be held back."""
    there_P = (pts_P != MISSING) & (dts_P != MISSING)
    pts_P, dts_P = pts_P.astype(np.float64), dts_P.astype(np.float64)
    until_P = np.append(dts_P[DEEPEST:], np.full(min(DEEPEST, len(dts_P)), dts_P.max(initial=MISSING)))
    return there_P & ((pts_P < dts_P - far) | (pts_P > np.maximum(until_P, dts_P) + far))


def order(clock: Clock, codec: str, reorder_depth: int) -> NDArray[np.int64] | None:
    """The packets (as positions in the clock) in display order, by their stamps; None: these do not tell it.

    They do not where some are missing or equal, where more pictures would be held back than a decoder can, and where
    they are really decoding times: B-pictures would then be shown later than all before them, or nothing is reordered
    in a stream that says it is.
    """
    count = len(clock.packets)
    if codec not in REORDERING:
        return np.arange(count)  # as stored
    starts = [0, *(np.flatnonzero(np.diff(clock.part_P)) + 1).tolist(), count]
    b_pictures = np.array([i for i, p in enumerate(clock.packets) if p.picture == "B"], np.int64)
    found = []
    for start, stop in pairwise(starts):
        pts_P = clock.pts_P[start:stop]
        place_N = np.argsort(pts_P, kind="stable")
        shown_N = pts_P[place_N]
        if shown_N[0] == MISSING or np.any(shown_N[1:] == shown_N[:-1]):
            return None
        if np.abs(place_N - np.arange(len(place_N))).max() > DEEPEST:
            return None
        ascends_P = pts_P == np.maximum.accumulate(pts_P)
        if len(b_pictures) and np.any(ascends_P[b_pictures[(b_pictures >= start) & (b_pictures < stop)] - start]):
            return None
        if codec in ("hevc", "vvc") and reorder_depth and len(pts_P) > reorder_depth and np.all(ascends_P):
            return None
        found.append(place_N + start)
    return np.concatenate(found)


def display_times(pts_N: Sequence[int], dts_N: Sequence[int], step: int) -> NDArray[np.int64]:
    """int64 (N,), ascending: times of frames in the order in which a decoder gives them, as ffmpeg guesses them.

    Args:
        pts_N: the frames' own display times, or MISSING. dts_N: decoding time of the packet after which each came out.

    Of both, the one is used that has gone back less often so far. Frames without either follow the one before them.
    """
    times: list[int] = []
    faults_pts = faults_dts = 0
    last_pts = last_dts = MISSING
    for pts, dts in zip(pts_N, dts_N):
        if dts != MISSING:
            faults_dts, last_dts = faults_dts + (dts <= last_dts), dts
        elif pts != MISSING:
            last_dts = pts
        if pts != MISSING:
            faults_pts, last_pts = faults_pts + (pts <= last_pts), pts
        elif dts != MISSING:
            last_pts = dts
        use_pts = pts != MISSING and (faults_pts <= faults_dts or dts == MISSING)
        guess = pts if use_pts else dts
        times.append(guess if guess != MISSING else times[-1] + step if times else 0)
    return _ascending(np.array(times, np.int64), DEEPEST * step)


def _ascending(time_N: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """The times, sorted; those later than a following one by more than `most` are made up, equal ones are spread.

    >>> _ascending(np.array([0, 80, 120, 40, 160, 160, 9999, 240]), 1000).tolist()
    [0, 40, 80, 120, 140, 160, 200, 240]
    """
    if not np.any(np.diff(time_N) <= 0):
        return time_N
    good = np.flatnonzero(time_N <= np.minimum.accumulate(time_N[::-1])[::-1] + most)
    sorted_N = np.sort(np.interp(np.arange(len(time_N)), good, time_N[good]).astype(np.int64))
    last_of = np.flatnonzero(np.append(np.diff(sorted_N) > 0, True))
    if last_of[0]:
        last_of = np.insert(last_of, 0, 0)
    return np.interp(np.arange(len(sorted_N)), last_of, sorted_N[last_of]).astype(np.int64)


def constant_interval(stamp_N: NDArray[np.int64], rates: Iterable[Fraction | None], tick: Fraction) -> float:
    """Ticks from one frame to the next where the stamps are a constant rate's, rounded to ticks; 0 where they are not.

    Args:
        rates: frames a second that the container tells, tried first; then whole ones, as they are and by 1000/1001.
    """
    count = len(stamp_N)
    if count < 3:
        return 0.0
    steps = np.diff(stamp_N)
    if steps.max() == steps.min() or steps.max() - steps.min() > 2 or steps.min() < 1:
        return 0.0
    middle = float(stamp_N[-1] - stamp_N[0]) / (count - 1)
    if middle < LEAST_TICKS:
        return 0.0
    low, high = middle - 1 / (count - 1), middle + 1 / (count - 1)
    tried = [1 / (rate * tick) for rate in rates if rate]
    fastest, slowest = 1 / (low * tick), 1 / (high * tick)
    whole = range(int(slowest), min(int(fastest) + 2, int(slowest) + 64))
    tried += [1 / (Fraction(n) * tick) for n in whole if n] + [Fraction(1001, 1000 * n) / tick for n in whole if n]
    number_N = np.arange(count)
    for interval in [*(float(t) for t in tried if low <= t <= high), middle]:
        off_N = stamp_N - stamp_N[0] - number_N * interval
        if off_N.max() - off_N.min() <= 1 + 1e-6:
            return interval
    return 0.0
