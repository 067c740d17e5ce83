"""From videos to batches on the device: supply, plan, one render. `gpuaug.Loader`.

Used by pretrain and by users; imports the supplies, bank, render, crop, color and video.
Legend: N samples, C channels, T frames, Y X picture; S slots; J windows of one visit to a segment (a group).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import torch

from ..bank import ClipBank
from ..video.decoder import Decoder
from ..video.window import Failure
from .augment import Augment
from .batch import Batch, PlanFunction
from .checks import check_options, nothing, same_options, whole
from .decode_queue import DecodeQueue
from .draw import Draw
from .picture import Pictures, to_device
from .plan_first import PlanFirstSupply
from .reuse import ReuseSupply
from .room import Fit, check_limit, check_room, room, usual_size
from .sampler import NoSegmentLeft, Placement, SegmentSampler
from .segment import Segment, segments_of
from .sequential import PlannedPass, SequentialSupply
from .supply import Supply, plain


class Loader:
    """Batches of clips, from videos: an iterable whose one round is one pass over the data.

    A window is shown by up to `reuse_max` samples. With 1, plans are drawn first, and of a window only the frames that
    its sample shows are decoded; every window of a pass is shown before any of the next; batches depend on (data,
    options, seed, rank, world) alone. With more, a bank holds decoded windows: a group of slots (the windows of one
    visit to a segment) is replaced as soon as one of them has been shown `reuse_max` times; earlier, after `reuse_min`
    times, when the decoder is idle. Data that fit into the bank are then decoded once and kept. With `deterministic`, a
    replacement is asked for at a fixed step and used `lag` steps later: the same seed, the same batches. Restored from
    `state_dict` it goes on exactly. A window that fails is named in `failures` and another segment takes its place; a
    segment that fails three times is not tried again.

    Args:
        videos: `gpuaug.Segment`s; a manifest; or what `gpuaug.probe` takes: files, folders (class folders give labels),
            a CSV with path,label, or a list of them. Of the last two, a segment is a whole video.
        plan: what batches show, a function of (rng, bank, n) that returns a plan of n samples, or such a plan and a
            dict of arrays with n rows, which go to the device. It draws slots with `bank.draw(rng, n)[:n]` and looks
            windows up in `bank.info`; pixels may not be there yet. Without `shuffle` it also takes `first`, see there.
        batch: n. frames, fps: length of a window (slot) in frames and its rate, frames per second.
        size: Y = X of the clips in pixels. fit: "short" keeps the video's aspect ratio and gives the short side one
            length, be the picture wide or tall; "inside" keeps the ratio, "stretch" does not, and both fill one frame.
        bank_size: (H, W) of that frame, None: 8/7 of `size` high and 4/3 as wide; with "short" the short side and the
            longest long one, None: 8/7 of `size` and, where windows are shown once, 4 times that, else 16/9: what is
            longer becomes smaller.
        mean, std: a number or 3, on pixels in 0…1. dtype: of the clips.
        augment: crops, mirrors and colours of whole samples; None: the centre of the picture, unchanged.
        windows: J. placement: of windows, "random" in the segment, "spread" evenly over it, "ends" likewise from its
            start to its end, "whole": each is the whole segment, its `frames` spread over it, whatever `fps` says.
        pairs: bring segments of one class in couples, for plans that join clips of one class or of two.
        balance: labelled segments and others take turns, each with passes of their own.
        shuffle: False: every window once, in order; with `pairs`, in one shuffled order. The plan function then gets
            `first=`, int64: the slots that its samples are to be of. It may leave samples out, if a target "slot" says
            of which slots the others are.
        windows_per_sample: how many windows a sample shows at most. samples_per_visit: how many samples the J windows
            of a visit make in one pass; None: J. rows_per_sample: rows of the plan per sample (PAL: query and key).
        whole_visits: a sample takes all windows of the visits that it draws; a `reuse_max` of 1 then counts a sample's
            rows as one.
        slots: S; None: as many as `bank_bytes` holds; if that is None too: by batch, segments and size of a window.
        reuse_min, reuse_max: samples per decoded window, 1 ≤ min ≤ max; max None: no limit.
        deterministic: wait for decoding instead of racing it. lag: steps from request to use.
        seed, rank, world: of this process, and how many there are; segments are dealt out anew in every pass.
        device: of the clips. backend, threads: of the decoder. cache: of probed videos and their time tables.

    Attributes:
        segments, classes, skipped: what is drawn from, names of the labels, and (file, reason) of what cannot be used.
        bank: what plans are drawn from. step: batches brought so far by iterating. resident: all is decoded once, kept.
        pass_windows: windows of one pass over the data, over all processes.

    It runs in the process that made it; workers are not needed, and a fork of it cannot be used. Errors (ValueError):
    options out of range; no usable file; a bank that cannot serve a batch; a plan that cannot be shown. Batches:
    `gpuaug.NoSegmentLeft` once every segment failed.
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
        fit: Fit = "short",
        windows: int = 1,
        placement: Placement = "random",
        pairs: bool = False,
        balance: bool = False,
        shuffle: bool = True,
        windows_per_sample: int = 1,
        samples_per_visit: int | None = None,
        rows_per_sample: int = 1,
        whole_visits: bool = False,
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
        counts = {"batch": batch, "size": size, "frames": frames, "windows": windows, "world": world}
        counts |= {"windows_per_sample": windows_per_sample, "rows_per_sample": rows_per_sample}
        others: dict[str, Any] = {"plan": plan, "augment": augment, "bank_size": bank_size, "dtype": dtype}
        check_options(
            {**counts, "samples_per_visit": samples_per_visit, "reuse_min": reuse_min, "reuse_max": reuse_max},
            {"lag": lag, "seed": seed, "rank": rank}, others, fps=fps,
        )  # fmt: skip
        found = segments_of(videos, cache=cache)
        self.segments, self.classes, self.skipped = found.segments, found.classes, found.skipped
        self.batch_size, self._world, self._shuffle = batch, world, shuffle
        self._pictures = Pictures(size=size, mean=mean, std=std, dtype=dtype, augment=augment or Augment("center"))
        self._windows, self._samples_per_visit = windows, windows if samples_per_visit is None else samples_per_visit
        self.device = torch.device(device)
        ranks = [rank] if shuffle else [(rank + k) % world for k in range(world)]
        samplers = [
            SegmentSampler(
                self.segments, frames=frames, fps=fps, windows=windows, placement=placement, pairs=pairs,
                balance=balance, shuffle=shuffle, seed=seed, rank=each, world=world,
            )
            for each in ranks
        ]  # fmt: skip
        self._sampler = sampler = samplers[0]
        ahead = not shuffle and placement == "whole"  # plan, then decode what is shown: little of a whole video
        need = -(-batch * windows_per_sample // windows)
        once = shuffle and reuse_max == 1
        count, self.pass_windows = len(self.segments), len(self.segments) * windows
        picture = bank_size or usual_size(size, fit, once=once or ahead)
        moves = placement != "whole"  # windows differ from visit to visit
        long = sum(moves and round((s.end_seconds - s.start_seconds) * fps) > frames for s in self.segments)
        kept = None if shuffle and (long or windows > 1) else count
        groups, self.resident = room(
            slots, bank_bytes, windows=windows, group_bytes=windows * frames * picture[0] * picture[1] * 3,
            batch=batch, need=need, once=once or ahead, kept=kept, segments=count if shuffle else 0,
        )  # fmt: skip
        if shuffle and not self.resident:
            check_room(groups * windows, need=need * windows, reuse_max=reuse_max, windows=windows)
            check_limit(reuse_max, deterministic=deterministic, long=long)
        limit = None if self.resident or not shuffle else rows_per_sample if once and whole_visits else reuse_max
        where, upright = torch.device("meta") if once or ahead else self.device, fit == "short"
        self.bank = ClipBank(groups * windows, frames, *picture, where, reuse_max=limit, upright=upright)
        self.bank.videos = found.videos
        decoder = Decoder(self.device, picture, backend=backend, threads=threads, fit=fit, cache=cache)
        self._queue = queue = DecodeQueue(decoder, self.bank.stream)
        draw = Draw(
            plan, self.bank, batch=batch, seed=seed, rank=rank, windows=windows,
            samples_per_visit=self._samples_per_visit, rows=rows_per_sample,
        )  # fmt: skip
        pixels = ClipBank(1, 1, 1, 1, self.device, upright=upright)
        visits = max(1, batch // self._samples_per_visit)
        if ahead:
            self._supply: Supply = PlannedPass(samplers, self.bank, queue, draw, visits=visits, pixels=pixels)
        elif not shuffle:
            self._supply = SequentialSupply(samplers, self.bank, queue, draw, visits=visits)
        elif once:
            self._supply = PlanFirstSupply(sampler, self.bank, queue, draw, pixels=pixels, whole_visits=whole_visits)
        else:
            how: dict[str, Any] = {"resident": self.resident, "deterministic": deterministic, "lag": lag}
            self._supply = ReuseSupply(sampler, self.bank, queue, draw, reuse_min=reuse_min, **how)
        self._options = {
            **counts, "fps": fps, "placement": placement, "pairs": pairs, "balance": balance, "shuffle": shuffle,
            "reuse_max": reuse_max, "deterministic": deterministic, "seed": seed, "rank": rank,
            "segments": Segment.fingerprint(self.segments),
        }  # fmt: skip
        self.step, self.wait_seconds, self._process, self._closed = 0, 0.0, os.getpid(), False

    @property
    def failures(self) -> list[Failure]:
        """Windows that could not be decoded."""
        return self._supply.failures

    @property
    def changed_files(self) -> dict[str, str]:
        """File → what was seen of its change since it was first decoded; its windows are shown all the same."""
        return dict(self._queue.changed_files)

    def __len__(self) -> int:
        """Batches of one pass: as many samples as the windows of all segments make, over all processes."""
        if isinstance(self._supply, SequentialSupply | PlannedPass):
            return len(self._supply)
        samples = len(self.segments) * self._samples_per_visit
        return max(1, round(samples / (self.batch_size * self._world)))

    def __iter__(self) -> Iterator[Batch]:
        """The batches of one pass. Left early or restored, the next iteration brings the rest of the pass.

        Errors: NoSegmentLeft where a loader does not shuffle and no window at all can be shown.
        """
        begun, found = self.step, False
        for _ in range(len(self) - self.step % len(self)):
            batch = self._batch(self.step if self._shuffle else self.step % len(self))
            self.step += 1
            if batch is not None:
                found = True
                yield batch
        if not found and begun % len(self) == 0:
            raise NoSegmentLeft(nothing("no window", self.failures))

    def batch(self, step: int) -> Batch:
        """The batch of step `step`, whose randomness depends on (seed, rank, step) and on the bank's content.

        Errors: NoSegmentLeft where a loader does not shuffle and none of the batch's windows can be shown.
        """
        if (batch := self._batch(step)) is None:
            raise NoSegmentLeft(nothing(f"no window of batch {step}", self.failures))
        return batch

    def _batch(self, step: int) -> Batch | None:
        if self._closed:
            raise RuntimeError("the loader is closed")
        if os.getpid() != self._process:
            raise RuntimeError("a loader must be used in the process that made it, this is a fork of that")
        whole("step", step, 0)
        waited = time.perf_counter()
        shown = self._supply.next(step)
        waited = time.perf_counter() - waited
        self.wait_seconds += waited
        if shown is None or shown.plan.shape[0] == 0:
            return None
        clips = self._pictures.render(shown)
        self._supply.after(step)
        target = {name: to_device(value, self.device) for name, value in shown.target.items()}
        video, segment = shown.samples(self._samples_per_visit, self._windows)
        return Batch(clips, target, shown.plan, waited, video, segment)

    def report(self) -> dict[str, Any]:
        """What was decoded, shown and skipped so far."""
        pixels = self._supply.pixels
        return {
            "decoded_windows": pixels.decoded,
            "rendered_windows": pixels.rendered,
            "echo": pixels.echo,
            "passes": pixels.decoded * self._world / self.pass_windows,
            "wait_seconds": self.wait_seconds,
            "slots": len(self.bank.info),
            "bank_bytes": pixels.frames.numel(),
            "resident": self.resident,
            "epoch": self._sampler.epoch,
            "failures": [asdict(failure) for failure in self.failures],
            "damaged_frames": dict(self._queue.damaged_frames),
            "fallbacks": self._queue.fallbacks,
            "changed_files": self.changed_files,
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on exactly, as plain data: windows by their place in the files, not as pixels."""
        counts = (self._supply.pixels.decoded, self._supply.pixels.rendered, self.wait_seconds)
        supply = plain(self._supply.state_dict())
        return {"step": self.step, "supply": supply, "counts": counts, "options": dict(self._options)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Decode again what the bank held, or what was on its way, and go on from there; files may lie elsewhere.

        Errors: ValueError for a state of a loader with other options or data.
        """
        same_options(state, self._options)
        self._supply.load_state_dict(state["supply"])
        self.step = state["step"]
        pixels = self._supply.pixels
        pixels.decoded, pixels.rendered, self.wait_seconds = state["counts"]

    def settle(self) -> None:  # for measurements
        """Wait until nothing is being decoded."""
        self._supply.settle()

    def close(self) -> None:
        """Stop decoding; waits for the windows being decoded right now."""
        self._closed = True
        self._supply.close()

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
