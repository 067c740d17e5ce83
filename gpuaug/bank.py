"""The clip bank: decoded windows kept on the device, each used several times before it is replaced.

The bank alone writes its table; who supplies it says what goes where (`reserve`, `write`, `release`, `offer`).

Legend: S slots, L frames in a slot, H W greatest height and width, C = 3 channels (RGB).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

COLUMNS: list[tuple[str, type]] = [
    ("video", np.int64),  # which video the window comes from; −1: empty slot
    ("label", np.int64),  # class of the window, −1: none
    ("start_seconds", np.float64),
    ("fps", np.float64),
    ("frames", np.int64),  # valid frames, 1…L
    ("height", np.int64),  # valid rows and columns of every frame
    ("width", np.int64),
    ("group", np.int64),  # windows of one visit to a segment (PAL, TSP) share a group …
    ("position", np.int64),  # … and count from 0 in it, in order of time
    ("epoch", np.int64),  # in which pass over the data the window was chosen
    ("uses", np.int64),  # samples that have shown the window
    ("ready", np.bool_),  # a plan may show it now
]
ROW = 4  # pixels: rows begin at multiples of 12 bytes, where a GPU loads whole words
EMPTY = {name: -1 if name in ("video", "label") else 0 for name, _ in COLUMNS}  # what a description leaves out


class Starved(RuntimeError):
    """The bank holds too few usable windows for what was asked; more decoding may mend it."""


class ClipBank:
    """One uint8 tensor of decoded windows and a host table of what each slot holds and how often it was used.

    Args:
        slots: S ≥ 1.
        length, height, width: L, H and W ≥ 1, the largest window a slot takes.
        upright: a slot also takes windows of up to W rows and H columns, in the same memory (`tall`).
        device: where `frames` lives; "meta" for a table without pixels.
        reuse_max: how many samples may show one decoded window, ≥ 1; None: any number.

    Attributes:
        frames: uint8 (S, L, H, W, 3) RGB tensor; rows begin at multiples of 4 bytes. Only the valid part has meaning.
        tall: the same memory as uint8 (S, L, W, H, 3), for windows that do not fit `frames`; None without `upright`.
        videos: path of every video that the column "video" numbers; empty where nobody has said.
        stream: on a GPU, the stream on which slots are written; None on the CPU.
        decoded, rendered: windows written, and uses counted, so far.

    >>> bank = ClipBank(2, length=4, height=6, width=8, reuse_max=3)
    >>> bank.write(1, torch.zeros(4, 6, 8, 3, dtype=torch.uint8), {"video": 7, "label": 0})
    >>> bank.slots().tolist(), bank.info["frames"].tolist()
    ([1], [0, 4])
    """

    def __init__(
        self,
        slots: int,
        length: int,
        height: int,
        width: int,
        device: torch.device | str = "cpu",
        *,
        reuse_max: int | None = None,
        upright: bool = False,
    ) -> None:
        for name, value in (("slots", slots), ("length", length), ("height", height), ("width", width)):
            if value < 1:
                raise ValueError(f"{name} must be ≥ 1, got {name}={value}")
        if reuse_max is not None and reuse_max < 1:
            raise ValueError(f"reuse_max must be ≥ 1 or None, got reuse_max={reuse_max}")
        shapes = [(height, width), (width, height)][: 1 + upright]
        room = max(rows * _pitch(columns) * 3 for rows, columns in shapes)
        memory = torch.empty((slots, length, room), dtype=torch.uint8, device=device)
        self.frames, *tall = (_pictures(memory, *shape) for shape in shapes)
        self.tall: torch.Tensor | None = tall[0] if tall else None
        self._info = np.zeros(slots, COLUMNS)
        self._info["video"] = -1
        self._shown_info = self._info.view()
        self._shown_info.flags.writeable = False
        self.reuse_max = reuse_max
        self.decoded = 0
        self.rendered = 0
        self.videos: Sequence[str] = ()
        self._uses_per_draw = 1
        cuda = self.frames.is_cuda
        self.stream = torch.cuda.Stream(self.frames.device) if cuda else None
        self._written: list[Any] = [None] * slots
        self._read: list[Any] = [None] * slots

    @property
    def info(self) -> NDArray[Any]:
        """The table: a structured array (S,) with the columns of `COLUMNS`, which cannot be written to."""
        return self._shown_info

    @property
    def echo(self) -> float:
        """Windows shown in samples per window decoded (data echoing's factor); 0 before the first."""
        return self.rendered / self.decoded if self.decoded else 0.0

    def write(
        self,
        slot: int,
        frames: torch.Tensor,
        info: Mapping[str, Any],
        *,
        uses: int = 0,
        frame_count: int | None = None,
    ) -> None:
        """Put a window into a slot; on a GPU, after the renders that still read the slot, without waiting for them.

        The copy is queued on `stream`, behind what the current stream holds: called with `stream` as the current one,
        as for frames decoded there, it waits for no training step.

        Args:
            frames: uint8 (T, h, w, 3), T ≤ L, h ≤ H, w ≤ W, or with `upright` h ≤ W, w ≤ H; not empty.
            info: columns of the table; `frames`, `height`, `width`, `uses` and `ready` are set here.
            uses: as if so many samples had shown it before. Slots that start with different ones are not used up, and
                replaced, all at the same time.
            frame_count: the window's frames, where `frames` has only some of them; None: T.
        """
        limit = (*self.frames.shape[1:4], 3)
        if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
            raise ValueError(f"frames must be uint8 (T, h, w, 3), got {frames.dtype} {tuple(frames.shape)}")
        t, h, w, _ = frames.shape
        memory = self.tall if self.tall is not None and self._is_tall(h, w) else self.frames
        if any(have > most for have, most in zip(frames.shape, memory.shape[1:])):
            raise ValueError(f"frames must fit into a slot of {limit}, got {tuple(frames.shape)}")
        self._info["ready"][slot] = False
        target = memory[slot, :t, :h, :w]
        if self.stream is None:
            target.copy_(frames)
        else:
            current = torch.cuda.current_stream(self.frames.device)
            if current != self.stream:
                self.stream.wait_stream(current)
            if self._read[slot] is not None:
                self.stream.wait_event(self._read[slot])
            with torch.cuda.stream(self.stream):
                target.copy_(frames, non_blocking=True)
                if frames.is_cuda:
                    frames.record_stream(self.stream)
                self._written[slot] = self.stream.record_event()
        size = {"frames": t if frame_count is None else frame_count, "height": h, "width": w}
        self.reserve([slot], {**info, **size, "uses": uses})
        self.decoded += 1

    def reserve(self, slots: NDArray[np.int64] | list[int], info: Mapping[str, ArrayLike]) -> None:
        """Say which windows slots are to hold: from now on plans may be drawn with them, before there are pixels.

        Args:
            slots: ids (n,).
            info: columns of the table, each a number or one per slot; those left out say "unknown" (−1) or 0.
        """
        if unknown := info.keys() - EMPTY.keys():
            raise ValueError(f"info must have columns of the bank's table, got {sorted(unknown)[0]!r}")
        row = {**EMPTY, **info, "ready": True}
        if len(slots) == 1 and not any(hasattr(value, "__len__") for value in row.values()):
            self._info[slots[0]] = tuple(row.values())  # in the time of one column
            return
        for name, value in row.items():
            self._info[name][slots] = value

    def release(self, slots: NDArray[np.int64]) -> None:
        """Plans may not be drawn with these slots until they are written, reserved or offered again."""
        self._info["ready"][slots] = False

    def offer(self, slots: NDArray[np.int64]) -> None:
        """Plans may be drawn with these released slots again."""
        self._info["ready"][slots] = True

    def slots(self) -> NDArray[np.int64]:
        """Ascending ids of the slots that may be shown now: ready, and below the reuse limit."""
        return np.flatnonzero(self._remaining() > 0)

    def spent(self) -> NDArray[np.bool_]:
        """(S,) slots with fewer uses left than a draw has asked for: no draw shows them any more."""
        limit = np.iinfo(np.int64).max if self.reuse_max is None else self.reuse_max
        return self._info["uses"] > limit - self._uses_per_draw

    def draw(
        self, rng: np.random.Generator, n: int, among: ArrayLike | None = None, *, uses: int = 1
    ) -> NDArray[np.int64]:
        """At least n slot ids in random order, each as seldom as possible and never beyond its reuse limit.

        Where a window may be drawn only once, those of an earlier pass over the data come first, so that every window
        of a pass is shown before any of the next.

        Args:
            among: bool (S,), the slots to draw from; None: all.
            uses: how many samples will show a slot each time it is drawn (PAL: a query and its key).

        Raises:
            Starved: the reuse limits leave fewer than n.
        """
        self._uses_per_draw = max(self._uses_per_draw, uses)
        remaining = self._remaining() // uses
        if among is not None:
            remaining = np.where(np.asarray(among, bool), remaining, 0)
        usable = np.flatnonzero(remaining > 0)
        remaining = remaining[usable]
        if remaining.sum() < n:
            raise Starved(
                f"{n} windows are wanted, {len(usable)} usable slots may still be shown {remaining.sum()} times"
            )
        times = max(1, -(-n // max(1, len(usable))))
        while np.minimum(remaining, times).sum() < n:
            times *= 2
        drawn = rng.permutation(np.repeat(usable, np.minimum(remaining, times)))
        return drawn if self.reuse_max != uses else drawn[np.argsort(self._info["epoch"][drawn], kind="stable")]

    @contextmanager
    def reading(self, clip: NDArray[np.int64]) -> Iterator[None]:
        """Guard a render of the plan whose clip ids (N, …) are given, and count the uses: one per sample and window.

        On a GPU the current stream waits for the slots' writes, and later writes wait for what is queued inside.
        """
        slots, uses = shows(clip, len(self._info))
        if self.stream is not None:
            stream = torch.cuda.current_stream(self.frames.device)
            for slot in slots:
                if self._written[slot] is not None and self._written[slot].query():
                    self._written[slot] = None  # no stream has to wait for it any more
                if self._written[slot] is not None:
                    stream.wait_event(self._written[slot])
        try:
            yield
        finally:  # a render that failed may have been queued
            if self.stream is not None:
                event = torch.cuda.current_stream(self.frames.device).record_event()
                for slot in slots:
                    self._read[slot] = event
        self._info["uses"][slots] += uses
        self.rendered += int(uses.sum())

    def sources(self, clip: NDArray[np.int64]) -> tuple[list[torch.Tensor], NDArray[np.int64]]:
        """What `render` takes for a plan's slots: tensors (S, L, h, w, 3), and clips as counted through them."""
        if self.tall is None:
            return [self.frames], clip
        tall = self._is_tall(self._info["height"], self._info["width"])[clip] & (clip >= 0)
        return ([self.frames, self.tall], clip + tall * len(self._info)) if tall.any() else ([self.frames], clip)

    def _is_tall(self, height: Any, width: Any) -> Any:
        """Does a picture not fit `frames` as it lies?"""
        return (height > self.frames.shape[2]) | (width > self.frames.shape[3])

    def state_dict(self) -> dict[str, Any]:
        """The table and the counts, as plain data; no pixels."""
        columns = {name: torch.from_numpy(self._info[name].copy()) for name, _ in COLUMNS}
        return {"info": columns, "counts": (self.decoded, self.rendered), "uses_per_draw": self._uses_per_draw}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over table and counts; a column that the state lacks stays as it is."""
        for name, column in state["info"].items():
            if len(column) != len(self._info):
                raise ValueError(f"slots must be as in the state, {len(column)}, got {len(self._info)}")
            self._info[name] = column.numpy()
        self.decoded, self.rendered = state["counts"][:2]
        self._uses_per_draw = state.get("uses_per_draw", 1)

    def _remaining(self) -> NDArray[np.int64]:
        """(S,) how often each slot may still be shown."""
        limit = np.iinfo(np.int32).max if self.reuse_max is None else self.reuse_max
        return np.where(self._info["ready"], np.maximum(limit - self._info["uses"], 0), 0)


def shows(clip: NDArray[np.int64], slots: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Slots of `slots` that clip ids (N, …) name, in order, and in how many of the N samples; negative ids are none.

    >>> shows(np.array([[3, 3, 0], [3, -1, -1]]), 5)
    (array([0, 3]), array([1, 2]))
    """
    named = clip + slots * np.arange(len(clip)).reshape(-1, *[1] * (clip.ndim - 1))
    uses = np.bincount(np.unique(named[clip >= 0]) % slots)
    found = np.flatnonzero(uses)
    return found, uses[found]


def _pitch(columns: int) -> int:
    return -(-columns // ROW) * ROW


def _pictures(memory: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """The memory (S, L, bytes) of slots as uint8 (S, L, rows, columns, 3)."""
    pitch = _pitch(columns)
    return memory[:, :, : rows * pitch * 3].unflatten(2, (rows, pitch, 3))[:, :, :, :columns]
