"""From videos to batches on the device: supply, plan, one render. `gpuaug.Loader`.

Used by pretrain and by users; imports the supplies, bank, render, crop, color and video.
Legend: N samples, C channels, T frames, Y X picture; S slots; J windows of one visit to a segment (a group).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ..bank import ClipBank
from ..plan import Plan
from ..render import render
from ..video.decoder import Decoder
from .augment import Augment, gaussian_blur
from .batch import Batch, PlanFunction
from .decode_queue import DecodeQueue
from .plan_first import PlanFirstSupply
from .reuse import ReuseSupply
from .room import check_room, room
from .sampler import Placement, SegmentSampler
from .segment import segments_of
from .sequential import SequentialSupply
from .supply import Shown, Supply


class Loader:
    """Batches of clips, from videos: an iterable whose one round is one pass over the data.

    A window is shown by up to `reuse_max` samples. With 1, plans are drawn first, some batches ahead, and of a window
    only the frames that its sample shows are decoded; every window of a pass is shown before any of the next; batches
    depend on (data, options, seed, rank, world) alone. With more, a bank holds decoded windows, and the encoder never
    waits while the decoder keeps up with `slots / reuse_max`: a group of slots (the windows of one visit to a segment)
    is replaced as soon as one of them has been shown `reuse_max` times; earlier, after `reuse_min` times, when the
    decoder has nothing else to do. Data whose segments all fit into the bank are then decoded once and kept. With
    `deterministic`, a replacement is asked for at a fixed step and used `lag` steps later, so that the same seed gives
    the same batches. A loader restored from `state_dict` goes on exactly.

    A window that fails is named in `failures` and another segment takes its place; a segment that fails three times is
    not tried again.

    Args:
        videos: `gpuaug.Segment`s, a manifest, or what `gpuaug.probe` takes; see `segments_of`.
        plan: see `PlanFunction`.
        batch: N. frames, fps: length of a window (slot) in frames and its rate, frames per second.
        size: Y = X of the clips in pixels. bank_size: (H, W) of the bank; None: 8/7 of `size` high and 4/3 as wide.
        fit: "inside" keeps the aspect ratio of the video, "stretch" fills the bank's frame.
        mean, std: a number or 3, on pixels in 0…1. dtype: of the clips.
        augment: crops, mirrors and colours of whole samples; None: the centre of the picture, unchanged.
        windows: J. placement: of windows, "random" in the segment, or "spread" evenly over it.
        pairs: bring segments of one class in couples, for plans that join clips of one class or of two.
        balance: labelled segments and others take turns, each with passes of their own.
        shuffle: False: every window once, in order, then the iteration ends; with `pairs`, in one shuffled order.
        windows_per_sample: how many windows a sample shows at most. samples_per_visit: how many samples the J windows
            of a visit make in one pass; None: J.
        slots: S, at least one group; None: as many as `bank_bytes` holds; if that is None too: from batch,
            windows_per_sample and the size of a window.
        reuse_min, reuse_max: samples per decoded window, 1 ≤ min ≤ max; max None: no limit.
        deterministic: wait for decoding instead of racing it. lag: steps from request to use.
        seed, rank, world: of this process, and how many there are; segments are dealt out anew in every pass.
        device: of the clips. backend, threads: of the decoder. cache: of probed videos.

    Errors (ValueError): options out of range; videos without a usable file; a bank that cannot serve a batch.
    """

    def __init__(
        self,
        videos: Any,
        plan: PlanFunction,
        *,
        batch: int,
        frames: int,
        fps: float,
        size: int,
        mean: float | Sequence[float] = 0.0,
        std: float | Sequence[float] = 1.0,
        augment: Augment | None = None,
        dtype: torch.dtype = torch.float32,
        bank_size: tuple[int, int] | None = None,
        fit: Literal["inside", "stretch"] = "inside",
        windows: int = 1,
        placement: Placement = "random",
        pairs: bool = False,
        balance: bool = False,
        shuffle: bool = True,
        windows_per_sample: int = 1,
        samples_per_visit: int | None = None,
        slots: int | None = None,
        bank_bytes: int | None = None,
        reuse_min: int = 1,
        reuse_max: int | None = 1,
        deterministic: bool = False,
        lag: int = 4,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        device: torch.device | str = "cpu",
        backend: Decoder.Backend = "auto",
        threads: int | None = None,
        cache: Any = None,
    ) -> None:
        if batch < 1 or size < 1 or not fps > 0:
            raise ValueError(f"batch and size must be ≥ 1 and fps > 0, got batch={batch}, size={size}, fps={fps}")
        if not 0 <= rank < world:
            raise ValueError(f"rank must be in [0, world), got rank={rank}, world={world}")
        if reuse_min < 1 or (reuse_max is not None and reuse_max < reuse_min):
            raise ValueError(f"reuse must be 1 ≤ min ≤ max, got reuse_min={reuse_min}, reuse_max={reuse_max}")
        found = segments_of(videos, cache=cache)
        self.segments, self.classes, self.skipped = found.segments, found.classes, found.skipped
        self._function, self.batch_size, self.size = plan, batch, size
        self._augment = augment or Augment("center")
        self._mean, self._std, self._dtype = mean, std, dtype
        self._seed, self._rank, self._world, self._shuffle = seed, rank, world, shuffle
        self._windows, self._samples_per_visit = windows, windows if samples_per_visit is None else samples_per_visit
        self.device = torch.device(device)
        self._sampler = sampler = SegmentSampler(
            self.segments, frames=frames, fps=fps, windows=windows, placement=placement, pairs=pairs, balance=balance,
            shuffle=shuffle, seed=seed, rank=rank, world=world,
        )  # fmt: skip
        picture = bank_size or (round(size * 8 / 7), round(size * 32 / 21))
        need = -(-batch * windows_per_sample // windows)
        once = shuffle and reuse_max == 1
        share = len(self.segments) if shuffle else -(-len(self.segments) // world)
        whole = all(round((s.end_seconds - s.start_seconds) * fps) <= frames for s in self.segments)
        groups, self.resident = room(
            slots, bank_bytes, windows=windows, group_bytes=windows * frames * picture[0] * picture[1] * 3,
            batch=batch, need=need, once=once, kept=share if not shuffle or (whole and windows == 1) else None,
        )  # fmt: skip
        if shuffle and not self.resident:
            check_room(groups * windows, need=need * windows, reuse_max=reuse_max, windows=windows)
            if deterministic and reuse_max is None:
                raise ValueError("reuse_max must be a number for a deterministic loader whose data do not fit the bank")
        limit = None if self.resident or not shuffle else reuse_max
        self.bank = ClipBank(
            groups * windows, frames, *picture, torch.device("meta") if once else self.device, reuse_max=limit
        )
        self.bank.videos = found.videos
        decoder = Decoder(self.device, picture, backend=backend, threads=threads, fit=fit)
        queue = DecodeQueue(decoder, self.bank.stream)
        self._supply: Supply
        if not shuffle:
            visits = max(1, batch // self._samples_per_visit)
            self._supply = SequentialSupply(sampler, self.bank, queue, self._draw, visits=visits)
        elif once:
            self._supply = PlanFirstSupply(
                sampler, self.bank, queue, self._draw, self._views, picture=picture, device=self.device
            )
        else:
            self._supply = ReuseSupply(
                sampler, self.bank, queue, self._draw, reuse_min=reuse_min, resident=self.resident,
                deterministic=deterministic, lag=lag,
            )  # fmt: skip
        self.step = 0
        self.wait_seconds = 0.0
        self._out: torch.Tensor | None = None

    @property
    def failures(self) -> list[Any]:
        """Windows that could not be decoded, each a `gpuaug.Failure`."""
        return self._supply.failures

    def __len__(self) -> int:
        """Batches of one pass: as many samples as the windows of all segments make, over all processes."""
        if isinstance(self._supply, SequentialSupply):
            return len(self._supply)
        samples = len(self.segments) * self._samples_per_visit
        return max(1, round(samples / (self.batch_size * self._world)))

    def __iter__(self) -> Iterator[Batch]:
        """The batches of one pass. Left early or restored, the next iteration brings the rest of the pass."""
        if not self._shuffle:
            self.step = 0
        for _ in range(len(self) - self.step % len(self)):
            batch = self.batch(self.step)
            self.step += 1
            if batch is not None:
                yield batch

    def batch(self, step: int) -> Batch | None:
        """The batch of step `step`, whose randomness depends on (seed, rank, step) and on the bank's content.

        None only where the loader does not shuffle and none of the batch's windows could be decoded.
        """
        waited = time.perf_counter()
        shown = self._supply.next(step)
        waited = time.perf_counter() - waited
        self.wait_seconds += waited
        if shown is None:
            return None
        clips = self._render(shown)
        self._supply.after(step)
        target = {name: self._to_device(value) for name, value in shown.target.items()}
        batch = Batch(clips, target, shown.plan, waited)
        if shown.first is not None and shown.segment is not None:
            every = self._windows // self._samples_per_visit  # PAL: one sample per group
            batch.video = self.bank.info["video"][shown.first[::every]]
            batch.segment = shown.segment[::every]
        return batch

    def report(self) -> dict[str, Any]:
        """What was decoded, shown and skipped so far."""
        pixels = self._supply.pixels
        share = len(self.segments) * self._windows / self._world
        return {
            "decoded_windows": pixels.decoded,
            "rendered_windows": pixels.rendered,
            "echo": pixels.echo,
            "passes": pixels.decoded / share,
            "wait_seconds": self.wait_seconds,
            "slots": len(self.bank.info),
            "bank_bytes": pixels.frames.numel(),
            "resident": self.resident,
            "epoch": self._sampler.epoch,
            "failures": [asdict(failure) for failure in self.failures],
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on exactly, as plain data: windows by their place in the files, not as pixels."""
        pixels = self._supply.pixels
        counts = (pixels.decoded, pixels.rendered, self.wait_seconds)
        return {"step": self.step, "supply": _plain(self._supply.state_dict()), "counts": counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Decode again what the bank held, or what was on its way, and go on from there; files may lie elsewhere."""
        self._supply.load_state_dict(state["supply"])
        self.step = state["step"]
        pixels = self._supply.pixels
        pixels.decoded, pixels.rendered, self.wait_seconds = state["counts"]

    def settle(self) -> None:
        """Wait until nothing is being decoded; for measurements."""
        self._supply.settle()

    def close(self) -> None:
        """Stop decoding; waits for the windows being decoded right now."""
        self._supply.close()

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _views(self, step: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, self._rank, step, 2])

    def _draw(
        self, step: int, first: NDArray[np.int64] | None = None
    ) -> tuple[np.random.Generator, Plan, dict[str, NDArray]]:
        rng = np.random.default_rng([self._seed, self._rank, step])
        if first is None:
            made = self._function(rng, self.bank, self.batch_size)
        else:
            n = len(first) // self._windows * self._samples_per_visit
            made = self._function(rng, self.bank, n, first=first)
        plan, target = (made, {}) if isinstance(made, Plan) else made
        return rng, plan, target

    def _render(self, shown: Shown) -> torch.Tensor:
        rng, plan, pixels = shown.rng, shown.packed, shown.pixels
        n = plan.shape[0]
        view = self._augment.view(rng, n)
        matrix = self._augment.matrix(rng, n)
        sigma = self._augment.sigma(rng, n, self.size)
        height, width = pixels.info["height"][plan.clip], pixels.info["width"][plan.clip]
        if (height == height[:, :1, :1]).all() and (width == width[:, :1, :1]).all():
            height, width = height[:, 0, 0], width[:, 0, 0]
        with pixels.reading(plan.clip):
            self._out = render(
                pixels.frames,
                plan,
                size=(self.size, self.size),
                box=view.box(height, width),
                color=matrix,
                mean=self._mean,
                std=self._std,
                dtype=self._dtype,
                out=self._out if self._out is not None and len(self._out) == n else None,
            )
        return self._out if sigma is None else gaussian_blur(self._out, sigma)

    def _to_device(self, value: NDArray) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(value))
        return tensor.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else tensor


def _plain(value: Any) -> Any:
    """The same with tensors for arrays: PyTorch stores those without code."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return type(value)(_plain(each) for each in value) if isinstance(value, list | tuple) else value
