"""How fast are `blend` and `render`? `python -m benchmarks.render [--device cpu|cuda]`

No peer has these edits: those compared with are the fastest expressions of them that we know, and what one writes
first. All results are checked against ours before.

On the CPU: 64 samples from 256 × 340 sources of random bytes, half of them cross-fades, random crops, normalised to
NCTHW. The baselines run in the same process and round: "torch plain" is what one writes first (float, whole clips), the
"torch uint8" ones are the fastest (crop, uint8 channels-last interpolation, which torch has SIMD code for, then float).
All write to memory that exists already; "fresh" ones return a new tensor each time, ours in memory of its results that
were dropped. Their limit is "new memory, filled": as much of it, taken as `render` takes it, with one number in it.

On a GPU: uint8 (N, T, 3, Y, X) for blend (every frame a copy, or half of them cross-faded), and a bank of 256 × 340
frames for render to 224², of 128 × 171 (rows that begin at any byte) to 112²: one random crop per sample, K = 1, or
K = 2 with all frames cross-faded, to bfloat16 NCTHW. The yardstick is a plain copy of the device in the same rounds:
`bandwidth` is the share of its bytes per second that blend moves, and `floor` the time in which it would move the bytes
that render has to (the crops read once, the result written once) by the time of render. A candidate that is absent,
fails or differs is named in the JSON.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import gpuaug
from pretrain.common.environment import usable_cores

from . import common
from .peers import render as peers
from .peers.render import MEAN, STD

HEIGHT, WIDTH = 256, 340
SAMPLES = 64
CPU = ((8, 224), (16, 112))  # frames, rows and columns
CUDA = ((SAMPLES, 16, 224), ((SAMPLES, 8, 224), (SAMPLES, 16, 112)))  # blend: samples too; render: cases of such
BANKS = {112: (128, 171)}  # rows and columns of the bank, by those of render's output, where they are not HEIGHT, WIDTH
SMOKE = ((4, 8, 32), ((4, 8, 128),))


def main(argv: Sequence[str] | None = None) -> int:
    """Check, measure, print and save."""
    suite = common.Suite("render", __doc__, {"cpu": 11, "cuda": 25}, smoke=True)
    suite.option("--threads", type=int, default=torch.get_num_threads(), help="threads (default: torch's)")
    suite.option("--no-compile", action="store_true", help="leave torch.compile out")
    args = suite.parse(argv)
    torch.set_num_threads(args.threads)
    cores, load = usable_cores(), os.getloadavg()[0]
    suite.facts |= {"load_at_start": round(load, 1), "cores": cores}
    if load > cores - args.threads + 0.5:  # waiting for neighbours, threads show them and not the code
        print(f"busy machine: load {load:.1f} on {cores} cores for {args.threads} threads; do not trust the ratios")
    if suite.device == "cuda" or suite.smoke:
        blend_case, render_cases = SMOKE if suite.smoke else CUDA
        compiled = not args.no_compile
        blend(suite, *blend_case, compiled=compiled)
        suite.save()
        for case in render_cases:
            for taps in (1, 2):
                render(suite, *case, taps, compiled=compiled)
                suite.save()
            compiled = False  # compiling takes longer than everything else; one case shows what it brings
    else:
        on_cpu(suite)
    return suite.finish()


def on_cpu(suite: common.Suite) -> None:
    """Half of the samples cross-fades, against torch sample by sample; and what making their plans takes."""
    rng = np.random.default_rng(0)
    bank = torch.from_numpy(rng.integers(0, 256, (32, 16, HEIGHT, WIDTH, 3), dtype=np.uint8))
    for frames, size in CPU:
        for dtype in (torch.float32, torch.bfloat16):
            make_plan = cross_fades(suite, rng, bank, frames, size, dtype)
    plans = common.measure({"": make_plan}, rounds=200, warmup=5)[""]
    suite.row(f"plans for {SAMPLES} samples of {frames} frames", "ms", 1e3 * plans)


def cross_fades(
    suite: common.Suite, rng: np.random.Generator, bank: Tensor, frames: int, size: int, dtype: torch.dtype
) -> Callable[[], gpuaug.Plan]:
    """Rows of one size and dtype; returns what makes its plan."""
    fading = np.arange(SAMPLES) % 2 == 0
    first, second = rng.integers(0, len(bank), (2, SAMPLES))
    overlap = np.where(fading, 2 * rng.integers(1, frames // 4 + 1, SAMPLES), 0)
    center = np.where(fading, frames // 2, frames)
    box = boxes(rng, SAMPLES, size // 2 * 3 // 2, min(2 * size, HEIGHT))  # 0.75 … 2 times the output
    out = torch.empty(SAMPLES, 3, frames, size, size, dtype=dtype)

    def make_plan() -> gpuaug.Plan:
        clips = [gpuaug.Plan.take(clip, np.arange(frames)) for clip in (first, second)]
        return gpuaug.edits.crossfade(*clips, length=frames, center=center, overlap=overlap)

    plan = make_plan()

    def ours(out: Tensor | None) -> Tensor:
        return gpuaug.render(bank, plan, size=(size, size), box=box, mean=MEAN, std=STD, dtype=dtype, out=out)

    def filled() -> Tensor:
        return gpuaug.host_memory.new(tuple(out.shape), dtype).fill_(1)

    baseline = peers.ClipByClip(bank, first, second, center, overlap, box, out)
    expected = ours(None).float()
    for run, levels in ((baseline.plain, 0.02), (baseline.uint8, 1.6)):  # of 255; uint8: two roundings
        worst = float(((run().float() - expected).abs() * torch.tensor(STD).view(3, 1, 1, 1)).max()) * 255
        if not worst <= levels + (0.0 if dtype == torch.float32 else 2.0):  # the rounding of the result
            raise AssertionError(f"torch's {run.__name__} differs from render by {worst:.3f} levels of 255")
    candidates: common.Candidates = {
        "render": lambda: ours(out),
        "render, fresh": lambda: ours(None),
        "torch uint8, clips": baseline.uint8,
        "torch uint8, frames": lambda: baseline.uint8(per_frame=True),
        "torch uint8, clips, fresh": lambda: baseline.uint8(fresh=True),
        "torch plain": baseline.plain,
        "new memory, filled": filled,
    }
    seconds = common.measure(candidates, rounds=suite.rounds, warmup=1)
    case = f"{frames}×{size}², {str(dtype).removeprefix('torch.')}"
    suite.times(case, seconds)
    # the fastest of all torch candidates, with new memory or not: none may be left out in our favour
    fastest = min((name for name in seconds if "uint8" in name), key=lambda name: np.median(seconds[name]))
    for name, peer in (("render", fastest), ("render, fresh", fastest), ("render", "torch plain")):
        suite.against(case, seconds, name, peer)
    share = seconds["new memory, filled"] / seconds["render, fresh"]
    limit = "new memory" if np.median(share) > 0.5 else "arithmetic"
    suite.row(f"{case}: share of new memory in the time of render, fresh", "×", share, limit=limit)
    return make_plan


def blend(suite: common.Suite, n: int, t: int, side: int, *, compiled: bool) -> None:
    """A copy of every frame, and a cross-fade over half of the frames."""
    rng = np.random.default_rng(0)
    bank = torch.from_numpy(rng.integers(0, 256, (2 * n, t, 3, side, side), dtype=np.uint8)).to(suite.device)
    first = gpuaug.Plan.take(rng.permutation(n), np.arange(t)[::-1])
    second = gpuaug.Plan.take(n + rng.permutation(n), np.arange(t))
    fade = gpuaug.edits.crossfade(first, second, length=t, center=t // 2, overlap=t // 2)
    for name, plan in (("copies", first), ("half cross-faded", fade)):
        title, ours = f"blend, uint8, {n}×{t}×3×{side}², {name}", functools.partial(gpuaug.blend, bank, plan)
        candidates = admitted(suite, title, ours, peers.blends(bank, plan, compiled=compiled), 1.01)
        moved = (int((plan.weight != 0).sum()) + n * t) * 3 * side**2
        measure(suite, title, candidates, moved, "bandwidth")


def render(suite: common.Suite, n: int, t: int, size: int, taps: int, *, compiled: bool) -> None:
    """Random crops of random clips, K = 1, or cross-faded over all frames."""
    rng = np.random.default_rng(taps)
    height, width = BANKS.get(size, (HEIGHT, WIDTH))
    bank = torch.from_numpy(rng.integers(0, 256, (n // 2, t, height, width, 3), dtype=np.uint8)).to(suite.device)
    first, second = (gpuaug.Plan.take(clip, np.arange(t)) for clip in rng.integers(0, len(bank), (2, n)))
    plan = first if taps == 1 else gpuaug.fade(first, second, np.tile(np.linspace(0.1, 0.9, t), (n, 1)))
    box = boxes(rng, n, int(0.66 * height), height, (height, width))
    out = torch.empty((n, 3, t, size, size), dtype=torch.bfloat16, device=suite.device)

    def ours() -> Tensor:
        return gpuaug.render(bank, plan, size=(size, size), box=box, mean=MEAN, std=STD, dtype=out.dtype, out=out)

    title = f"render, {n}×{t}×{size}², K = {taps}"
    others = peers.renders(suite, bank, plan, box, size, compiled=compiled)
    candidates = admitted(suite, title, ours, others, 0.05)
    moved = int((box[:, 2:] - box[:, :2]).prod(1).sum()) * 3 * t * taps + out.numel() * 2
    measure(suite, title, candidates, moved, "floor")
    if suite.device == "cuda":
        suite.host_time(f"{title}: host", ours)


def boxes(
    rng: np.random.Generator, n: int, least: int, most: int, within: tuple[int, int] = (HEIGHT, WIDTH)
) -> NDArray[np.int64]:
    """(n, 4) random boxes with sides from `least` to `most` pixels, in pictures of `within` rows and columns."""
    side = rng.integers(least, most + 1, (2, n))
    top, left = (rng.integers(0, all_ - part + 1) for all_, part in zip(within, side))
    return np.stack([top, left, top + side[0], left + side[1]], 1)


def admitted(
    suite: common.Suite, title: str, ours: Callable[[], Tensor], others: common.Candidates, tolerance: float
) -> common.Candidates:
    """Ours and the peers that run and whose values differ by no more than `tolerance`."""
    expected = ours().float()
    kept: common.Candidates = {"gpuaug": ours}
    for name, run in others.items():
        try:
            worst = float((torch.as_tensor(run()).to(expected.device).float() - expected).abs().max())
        except Exception as error:
            suite.leave_out(f"{title}: {name}", error)
            continue
        if worst <= tolerance:
            kept[name] = run
        else:
            suite.leave_out(f"{title}: {name}", f"another result, by up to {worst:.3g}")
    return kept


def measure(suite: common.Suite, title: str, candidates: common.Candidates, moved: int, share: str) -> None:
    """Rows: times, ratios to the peers, and the share of the copy's bandwidth."""
    source = torch.empty(moved // 2, dtype=torch.uint8, device=suite.device)
    target = torch.empty_like(source)
    copy = "plain copy of the same bytes"
    measured = {**candidates, copy: lambda: target.copy_(source)}
    seconds = common.measure(measured, rounds=suite.rounds, device=suite.device)
    suite.times(title, seconds)
    suite.row(f"{title}: copy bandwidth, read and written", "GB/s", moved / seconds[copy] / 1e9)
    part = seconds[copy] / seconds["gpuaug"]
    limit = "memory" if np.median(part) > 0.6 else "arithmetic and overhead"
    suite.row(f"{title}: {share}", "×", part, limit=limit)
    for name in candidates:
        if name != "gpuaug":
            suite.against(title, seconds, "gpuaug", name)


if __name__ == "__main__":
    raise SystemExit(main())
