"""From segments of videos to training batches: decoding in the background, the bank, the task's plans, one render.

Legend: N samples, C channels, T frames, Y X picture; S slots; J windows of one segment (a group).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

import gpuaug

from ..common.unpickle import tensors
from ..data.dataset import Dataset
from .augment import Augment, gaussian_blur
from .plan_first_supply import Ahead
from .reuse_supply import CHUNK, Refiller
from .sampler import Order

AHEAD = 64  # windows decoded or being decoded while the bank is first filled
Sample = Callable[[np.random.Generator, gpuaug.ClipBank, int], tuple[gpuaug.Plan, dict[str, NDArray]]]


@dataclass
class Batch:
    """One training batch. `clips` is overwritten by the next call of `Feed.batch`."""

    clips: torch.Tensor  # (N, C, T, Y, X), normalised
    target: dict[str, torch.Tensor]
    plan: gpuaug.Plan
    wait_seconds: float  # time spent waiting for decoded windows


class Feed:
    """Batches of a task, from videos. The encoder never waits while the decoder keeps up with slots / reuse.

    A group of slots holds the `windows` windows of one segment and is replaced as a whole: as soon as one of its
    windows has been shown `reuse_max` times; earlier, after `reuse_min` times, when the decoder has nothing else to
    do. A data set whose segments all fit into the bank is decoded once and kept. With `deterministic` a replacement is
    asked for at a fixed step and used `lag` steps later, whether decoding is fast or slow, so that the same seed gives
    the same batches; a feed restored from `state_dict` goes on exactly.

    With a `reuse_max` of 1 plans are drawn first, some batches ahead, and of a window only the frames that its sample
    shows are decoded; batches are then always deterministic, and `lag` means nothing.

    A window that fails is named in `failures` and another segment takes its place; a segment that fails three times
    is not tried again.

    Args:
        dataset: segments to draw from.
        sample: the task's `sample` with its options bound.
        batch: N. frames, fps: length of a window (slot) in frames and its rate, frames per second.
        size: Y = X of the clips in pixels. bank_size: (H, W) of the bank; None: 8/7 of `size` high and 4/3 as wide.
        fit: "inside" keeps the aspect ratio of the video, "stretch" fills the bank's frame.
        mean, std: 3 numbers each, on pixels in 0…1. dtype: of the clips.
        windows: J. place: "random" in the segment, or "spread" evenly over it.
        slots: S; None: as many as `bank_bytes` holds, at most what the data set fills.
        reuse_min, reuse_max: samples per decoded window, 1 ≤ min ≤ max; max None: no limit.
        deterministic: wait for decoding instead of racing it. lag: steps from request to use.
        backend, threads: of the decoder.
    """

    def __init__(
        self,
        dataset: Dataset,
        sample: Sample,
        *,
        batch: int,
        frames: int,
        fps: float,
        size: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        augment: Augment | None = None,
        dtype: torch.dtype = torch.float32,
        bank_size: tuple[int, int] | None = None,
        fit: Literal["inside", "stretch"] = "inside",
        windows: int = 1,
        place: Literal["random", "spread"] = "random",
        slots: int | None = None,
        bank_bytes: int = 2**30,
        reuse_min: int = 1,
        reuse_max: int | None = 32,
        deterministic: bool = False,
        lag: int = 4,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        device: torch.device | str = "cpu",
        backend: gpuaug.Decoder.Backend = "auto",
        threads: int | None = None,
    ) -> None:
        if reuse_min < 1 or (reuse_max is not None and reuse_max < reuse_min):
            raise ValueError(f"reuse must be 1 ≤ min ≤ max, got reuse_min={reuse_min}, reuse_max={reuse_max}")
        self.dataset, self.sample, self.augment = dataset, sample, augment or Augment()
        self.size, self.count = size, batch
        self.mean, self.std, self.dtype = mean, std, dtype
        self.windows = windows
        self.reuse_min, self.deterministic, self.lag = reuse_min, deterministic, lag
        self.seed, self.rank = seed, rank
        self.device = torch.device(device)
        order = Order(dataset.segments, seed=seed, rank=rank, world=world)
        height, width = bank_size or (round(size * 8 / 7), round(size * 32 / 21))
        share = [dataset.segments[i] for i in order.share]
        groups = slots // windows if slots else max(2, bank_bytes // (windows * frames * height * width * 3))
        fits = all(round((s.end_seconds - s.start_seconds) * fps) <= frames for s in share)
        self.resident = fits and windows == 1 and len(share) <= groups
        if groups < 1:
            raise ValueError(f"slots must hold one group of {windows} windows, got slots={slots}")
        if deterministic and reuse_max is None and not self.resident:
            raise ValueError("reuse_max must be a number for a deterministic feed whose data do not fit the bank")
        self.groups = min(groups, max(2, len(share))) if slots is None else groups
        if self.resident:
            self.groups = len(share)
        limit = None if self.resident else reuse_max
        slots = self.groups * windows
        self.bank = gpuaug.ClipBank(slots, frames, height, width, self.device, reuse_max=limit)
        self.bank.videos = [video.path for video in dataset.videos]
        self.wait_seconds = 0.0
        self.refiller = Refiller(
            dataset.segments,
            order,
            self.bank,
            gpuaug.Decoder(self.device, (height, width), backend=backend, threads=threads, fit=fit),
            windows=windows,
            place=place,
            frames=frames,
            fps=fps,
            seed=seed,
            rank=rank,
            deterministic=deterministic,
        )
        self._ahead = Ahead(self.refiller, lambda step: self._draw(step)[1:]) if limit == 1 else None
        self._unfilled: list[int] | None = None  # groups that were never asked for; None: none was yet
        self._out: torch.Tensor | None = None

    def batch(self, step: int) -> Batch:
        """The batch of training step `step`; its randomness depends on (seed, rank, step) and the bank's content."""
        waited = time.perf_counter()
        if self._ahead:
            plan, packed, target = self._ahead.batch(step)
            rng = np.random.default_rng([self.seed, self.rank, step, 2])
        else:
            rng, plan, target = self._from_bank(step)
            packed = plan
        waited = time.perf_counter() - waited
        clips = self._render(rng, packed)
        if not self._ahead:
            self._renew(step)
        self.wait_seconds += waited
        return Batch(clips, {name: self._to_device(value) for name, value in target.items()}, plan, waited)

    def report(self) -> dict[str, Any]:
        """What was decoded, shown and skipped so far."""
        return {
            "decoded_windows": self.bank.decoded,
            "rendered_windows": self.bank.rendered,
            "echo": self.bank.echo,
            "wait_seconds": self.wait_seconds,
            "slots": len(self.bank.info),
            "bank_bytes": self.bank.frames.numel(),
            "resident": self.resident,
            "epoch": self.refiller.order.epoch,
            "failures": [asdict(failure) for failure in self.refiller.failures],
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on exactly, as plain data: windows by their place in the files, not as pixels."""
        return tensors(
            {
                "refiller": self.refiller.state_dict(),
                "info": self.bank.info,
                "counts": (self.bank.decoded, self.bank.rendered, self.wait_seconds),
                "ahead": self._ahead and self._ahead.state_dict(),
            }
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Decode again what the bank held, or what was on its way, and go on from there."""
        self.refiller.load_state_dict(state["refiller"], decode=not self._ahead)
        for name, column in state["info"].items():
            self.bank.info[name] = column.numpy()
        self.bank.decoded, self.bank.rendered, self.wait_seconds = state["counts"]
        if self._ahead:
            self._ahead.load_state_dict(state["ahead"])
        asked = {refill.group for refill in self.refiller.pending}
        self._unfilled = [g for g, held in enumerate(self.refiller.content) if held is None and g not in asked]

    def close(self) -> None:
        """Stop decoding; waits for the windows being decoded right now."""
        self.refiller.close()

    def __enter__(self) -> Feed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _draw(self, step: int) -> tuple[np.random.Generator, gpuaug.Plan, dict[str, NDArray]]:
        rng = np.random.default_rng([self.seed, self.rank, step])
        return rng, *self.sample(rng, self.bank, self.count)

    def _from_bank(self, step: int) -> tuple[np.random.Generator, gpuaug.Plan, dict[str, NDArray]]:
        """Draw from the windows that are there, waiting for more while they do not suffice."""
        if self._unfilled is None:
            self._fill(step)
        self.refiller.collect(step)
        forced = 0
        while True:
            try:
                return self._draw(step)
            except gpuaug.Starved:
                self._top_up(step)
                if not self.refiller.pending:  # what is left does not pair up: replace the most used windows early
                    forced += 1
                    if forced > 3 or self.resident:
                        raise
                    uses = self._uses()
                    self.refiller.request(np.argsort(-uses, kind="stable")[: (self.groups + 1) // 2].tolist(), step)
                self.refiller.collect(self.refiller.pending[0].due, wait=True)

    def _render(self, rng: np.random.Generator, plan: gpuaug.Plan) -> torch.Tensor:
        n = plan.shape[0]
        view = self.augment.view(rng, n)
        matrix = self.augment.matrix(rng, n)
        sigma = self.augment.sigma(rng, n, self.size)
        height, width = self.bank.info["height"][plan.clip], self.bank.info["width"][plan.clip]
        if (height == height[:, :1, :1]).all() and (width == width[:, :1, :1]).all():
            height, width = height[:, 0, 0], width[:, 0, 0]
        with self.bank.reading(plan.clip):
            self._out = gpuaug.render(
                self.bank.frames,
                plan,
                size=(self.size, self.size),
                box=view.box(height, width),
                color=matrix,
                mean=self.mean,
                std=self.std,
                dtype=self.dtype,
                out=self._out,
            )
        return self._out if sigma is None else gaussian_blur(self._out, sigma)

    def _renew(self, step: int) -> None:
        """Ask for replacements of groups that are used up, and of others while the decoder is idle."""
        self._top_up(step)
        if self.resident or self._unfilled:
            return
        coming = {refill.group for refill in self.refiller.pending}
        uses = self._uses()
        spent = uses > (self.bank.reuse_max or np.iinfo(np.int64).max) - self.bank.uses_per_draw
        wanted = [g for g in np.flatnonzero(spent).tolist() if g not in coming]
        if not self.deterministic and not self.refiller.pending and not wanted:
            by_age = np.argsort(-uses, kind="stable").tolist()
            wanted = [g for g in by_age if uses[g] >= self.reuse_min][: max(1, CHUNK // self.windows)]
        self.refiller.request(wanted, step + self.lag)

    def _fill(self, step: int) -> None:
        """Fill the bank; while racing, go on as soon as a quarter of it is there."""
        self._unfilled = list(range(self.groups))
        enough = self.groups if self.deterministic or self.resident else -(-self.groups // 4)
        with tqdm(total=enough, desc="decoding", unit="window", delay=1.0, leave=False, disable=None) as bar:
            while (have := sum(content is not None for content in self.refiller.content)) < enough:
                bar.update(have - bar.n)
                self._top_up(step)
                self.refiller.collect(step, wait=True, most=1)

    def _top_up(self, step: int) -> None:
        """Ask for groups that were never filled, not all at once: windows on their way take memory."""
        if not self._unfilled:
            return
        room = max(1, AHEAD // self.windows) - len(self.refiller.pending)
        if 0 < room < min(max(1, CHUNK // self.windows), len(self._unfilled)) and self.refiller.pending:
            return  # the decoder is better with several files at once
        now, self._unfilled = self._unfilled[: max(0, room)], self._unfilled[max(0, room) :]
        limit = self.bank.reuse_max
        for refill in self.refiller.request(now, step):  # spread the ages, or all windows would be used up at once
            refill.age = refill.group * (limit - self.reuse_min) // self.groups if limit else 0

    def _uses(self) -> NDArray[np.int64]:
        """(groups,) the uses of each group's most used window."""
        return self.bank.info["uses"].reshape(self.groups, self.windows).max(1)

    def _to_device(self, value: NDArray) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(value))
        return tensor.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else tensor
