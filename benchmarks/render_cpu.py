"""How fast is `render` on the CPU, against torch? `python -m benchmarks.render_cpu`

64 samples from 256 × 340 sources, half of them cross-fades, random crops, normalised to NCTHW. The baselines run in the
same process and round: "torch plain" is what one writes first (float, whole clips), the "torch uint8" ones are the
fastest expressions we know (crop, uint8 channels-last interpolation, which torch has SIMD code for, then float). All
write to memory that exists already; "fresh" ones return a new tensor each time, ours in memory of its results that were
dropped. Their limit is "new memory, filled": as much of it, taken as `render` takes it, with one number in it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import gpuaug
from gpuaug.render import new

from . import common

MEAN, STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
SAMPLES, HEIGHT, WIDTH = 64, 256, 340


class Batch:
    """One batch of work: sources, plan, boxes, and what the torch versions need to do the same."""

    def __init__(self, rng: np.random.Generator, bank: Tensor, frames: int, size: int, dtype: torch.dtype) -> None:
        self.bank, self.frames, self.size, self.dtype = bank, frames, size, dtype
        fading = np.arange(SAMPLES) % 2 == 0
        self.first, self.second = rng.integers(0, len(bank), (2, SAMPLES))
        self.overlap = np.where(fading, 2 * rng.integers(1, frames // 4 + 1, SAMPLES), 0)
        self.center = np.where(fading, frames // 2, frames)
        side = rng.integers(size // 2 * 3 // 2, min(2 * size, HEIGHT) + 1, (2, SAMPLES))  # 0.75 … 2 times the output
        top = rng.integers(0, HEIGHT - side[0] + 1)
        left = rng.integers(0, WIDTH - side[1] + 1)
        self.box = np.stack([top, left, top + side[0], left + side[1]], 1)
        self.out = torch.empty(SAMPLES, 3, frames, size, size, dtype=dtype)
        self.scale = torch.tensor([1 / 255 / s for s in STD]).view(3, 1, 1, 1)
        self.shift = torch.tensor([-m / s for m, s in zip(MEAN, STD)]).view(3, 1, 1, 1)
        self.scratch = torch.empty(3, frames, size, size)
        self.plan = self.make_plan()

    def make_plan(self) -> gpuaug.Plan:
        times = np.arange(self.frames)
        first, second = gpuaug.Plan.take(self.first, times), gpuaug.Plan.take(self.second, times)
        return gpuaug.edits.crossfade(first, second, length=self.frames, center=self.center, overlap=self.overlap)

    def render(self, out: Tensor | None) -> Tensor:
        size = (self.size, self.size)
        return gpuaug.render(
            self.bank, self.plan, size=size, box=self.box, mean=MEAN, std=STD, dtype=self.dtype, out=out
        )

    def alpha(self, n: int) -> Tensor:
        """(T,) weight of the second clip."""
        begin, overlap = self.center[n] - self.overlap[n] // 2, max(self.overlap[n], 1)
        i = torch.arange(self.frames)
        blended = ((i - begin + 1) / overlap).clamp(0, 1)
        return blended if self.overlap[n] else (i >= int(self.center[n])).float()

    def plain(self) -> Tensor:
        """Whole clips to float, blend, crop, resize, normalise, stack."""
        mean, std = torch.tensor(MEAN).view(3, 1, 1, 1), torch.tensor(STD).view(3, 1, 1, 1)
        samples = []
        for n in range(SAMPLES):
            clip_TCHW = self.bank[self.first[n], : self.frames].permute(0, 3, 1, 2).float() / 255
            if self.overlap[n]:
                begin = int(self.center[n] - self.overlap[n] // 2)
                second = self.bank[self.second[n], : self.frames].permute(0, 3, 1, 2).float() / 255
                second = torch.cat([second[:1].expand(begin, -1, -1, -1), second])[: self.frames]
                alpha = self.alpha(n).view(-1, 1, 1, 1)
                clip_TCHW = (1 - alpha) * clip_TCHW + alpha * second
            y0, x0, y1, x1 = self.box[n]
            resized = F.interpolate(clip_TCHW[:, :, y0:y1, x0:x1], size=(self.size, self.size), mode="bilinear")
            samples.append((resized.permute(1, 0, 2, 3) - mean) / std)
        return self.out.copy_(torch.stack(samples))

    def uint8(self, per_frame: bool, fresh: bool = False) -> Tensor:
        """Crop, uint8 channels-last interpolation of the frames shown, then float, straight into the result."""
        out = torch.empty_like(self.out) if fresh else self.out
        for n in range(SAMPLES):
            half = int(self.overlap[n]) // 2
            begin, end = int(self.center[n]) - half, int(self.center[n]) + half
            out_CTYX = out[n]
            first = self._resize(self.first[n], n, end if half else self.frames, per_frame)
            if not half:
                self._normalise(out_CTYX, first)
                continue
            second = self._resize(self.second[n], n, self.frames - begin, per_frame)
            self._normalise(out_CTYX[:, :begin], first[:, :begin])
            self._normalise(out_CTYX[:, end:], second[:, 2 * half :])
            alpha = self.alpha(n)[begin:end].view(1, -1, 1, 1)
            mixed = torch.lerp(first[:, begin:].float(), second[:, : 2 * half].float(), alpha)
            self._normalise(out_CTYX[:, begin:end], mixed)
        return out

    def filled(self) -> Tensor:
        """As much memory as the result takes, taken as render takes it and written once."""
        return new(self.out.device, tuple(self.out.shape), self.out.dtype).fill_(1)

    def _resize(self, clip: int, n: int, frames: int, per_frame: bool) -> Tensor:
        """uint8 (C, T, Y, X), channels last in memory."""
        y0, x0, y1, x1 = self.box[n]
        crop_TCHW = self.bank[clip, :frames, y0:y1, x0:x1].permute(0, 3, 1, 2)
        parts = crop_TCHW.split(1) if per_frame else [crop_TCHW]
        done = [F.interpolate(part, size=(self.size, self.size), mode="bilinear") for part in parts]
        return (torch.cat(done) if per_frame else done[0]).permute(1, 0, 2, 3)

    def _normalise(self, out: Tensor, value: Tensor) -> None:
        if out.dtype == torch.float32:
            torch.add(self.shift / self.scale, value, out=out).mul_(self.scale)
        else:  # bfloat16: rounded once, from float32
            scratch = self.scratch[:, : value.shape[1]]
            out.copy_(torch.add(self.shift / self.scale, value, out=scratch).mul_(self.scale))


def check(batch: Batch, run: Callable[[], Tensor], levels: float) -> None:
    """The candidates must agree before they are timed; `levels` of 255, plus the rounding of the result's dtype."""
    ours, theirs = batch.render(None).float(), run().float()
    worst = float(((ours - theirs).abs() * torch.tensor(STD).view(3, 1, 1, 1)).max()) * 255
    rounding = 0.0 if batch.dtype == torch.float32 else 2.0
    if not worst <= levels + rounding:
        raise SystemExit(f"the torch baseline differs from render by {worst:.3f} levels of 255")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11, help="rounds to time (default: 11)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads (default: torch's)")
    parser.add_argument("--no-save", action="store_true", help="print only")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    cores, load = os.cpu_count() or 1, os.getloadavg()[0]
    if load > cores - args.threads + 0.5:  # waiting for neighbours, threads show them and not the code
        print(f"busy machine: load {load:.1f} on {cores} cores for {args.threads} threads; do not trust the ratios")
    rng = np.random.default_rng(0)
    bank = torch.from_numpy(rng.integers(0, 256, (32, 16, HEIGHT, WIDTH, 3), dtype=np.uint8))
    results = []
    for frames, size in ((8, 224), (16, 112)):
        for dtype in (torch.float32, torch.bfloat16):
            batch = Batch(rng, bank, frames, size, dtype)
            check(batch, batch.plain, 0.02)
            check(batch, lambda b=batch: b.uint8(False), 1.6)  # type: ignore[misc]  # two roundings to uint8
            candidates: dict[str, Callable[[], object]] = {
                "render": lambda b=batch: b.render(b.out),  # type: ignore[misc]
                "render, fresh": lambda b=batch: b.render(None),  # type: ignore[misc]
                "torch uint8, clips": lambda b=batch: b.uint8(False),  # type: ignore[misc]
                "torch uint8, frames": lambda b=batch: b.uint8(True),  # type: ignore[misc]
                "torch uint8, clips, fresh": lambda b=batch: b.uint8(False, fresh=True),  # type: ignore[misc]
                "torch plain": batch.plain,
                "new memory, filled": batch.filled,
            }
            times = common.measure(candidates, rounds=args.rounds, warmup=1)
            case = f"{frames}×{size}², {str(dtype).removeprefix('torch.')}"
            for name, seconds in times.items():
                results.append({"name": f"{case}: {name}", "unit": "ms", **common.summary(seconds * 1e3)})
            # the fastest of all torch candidates, with new memory or not: none may be left out in our favour
            fastest = min((name for name in times if "uint8" in name), key=lambda name: np.median(times[name]))
            for name, ours in ((fastest, "render"), (fastest, "render, fresh"), ("torch plain", "render")):
                row = common.ratio(times[name], times[ours])
                results.append({"name": f"{case}: {ours} against {name}", "unit": "×", **row})
            share = common.ratio(times["new memory, filled"], times["render, fresh"])
            limit = "new memory" if share["median"] > 0.5 else "arithmetic"
            what = f"{case}: share of new memory in the time of render, fresh"
            results.append({"name": what, "unit": "×", "limit": limit, **share})
    plans = common.measure({"plans": batch.make_plan}, rounds=200, warmup=5)["plans"]
    results.append(
        {"name": f"plans for {SAMPLES} samples of {frames} frames", "unit": "ms", **common.summary(plans * 1e3)}
    )
    common.show(results)
    if not args.no_save:
        setup = f"{SAMPLES} samples from {HEIGHT}×{WIDTH} uint8 sources, half of them cross-fades, random integer crops"
        print(
            common.save(
                "render_cpu",
                results,
                work=setup,
                load_at_start=round(load, 1),
                cores=cores,
                pixels="random bytes",
                baseline=__doc__.split("\n\n")[1].replace("\n", " "),
            )
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
