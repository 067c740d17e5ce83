"""How fast are the edits of arrays, against what else can make them? `python -m benchmarks.edits [--device cpu|cuda]`

uint8 (N, T, C, H, W) in, a new uint8 array out. Every candidate's result is checked against ours first (a blended
pixel may differ by one level). "float" peers convert, blend and round the blended frames only; "int16" ones use that
these weights are eighths or fifths; "compiled" is torch.compile of the float one (on a GPU of the smaller clips only).
kornia has no edit in time: its add_weighted replaces the blend, with the casts that it needs. DALI gets its input
without a copy; "in its buffer" leaves the result where DALI's next run overwrites it, which is less work than a new
array, and counts for no ratio. NumPy and DALI are left out on a GPU.
What limits ours is named by two more candidates in the same rounds: a plain copy of the result, which is the memory,
and, on the CPU, the same edit of frames of one pixel, which is all that happens beside the kernel (checks, planning,
calls); on a GPU that is the host's time, measured by itself.
Every result is dropped before the next candidate runs; ours then keeps its memory, from 32 MiB on, for its next result.
"""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

import gpuaug

from . import common
from .peers import edits as peers

SUITE = "ops"  # its name in results, from the first ones on
SIZES = ((16, 16, 112), (16, 16, 224))  # samples, frames, rows and columns
COMPILE_SECONDS = 30
Run = Callable[[], Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Check, measure, print and save."""
    suite = common.Suite("edits", __doc__, {"cpu": 15, "cuda": 15}, saved_as=SUITE)
    suite.option("--threads", type=int, default=torch.get_num_threads(), help="threads (default: torch's)")
    suite.option("--no-compile", action="store_true", help="leave torch.compile out")
    args = suite.parse(argv)
    torch.set_num_threads(args.threads)
    lost: list[str] = []
    for samples, frames, side in SIZES:
        rng = np.random.default_rng(0)
        shape = (samples, 2 * frames, 3, side, side)
        first, second = (torch.from_numpy(rng.integers(0, 256, shape, np.uint8)).to(suite.device) for _ in range(2))
        dot = [clips[..., :1, :1].contiguous() for clips in (first, second)]
        pixel = cases(dot[0], dot[1], frames, args.threads)
        compiled = not args.no_compile and (suite.device == "cpu" or side == SIZES[0][2])
        for edit, (ours, others) in cases(first, second, frames, args.threads).items():
            case = f"{edit}, {samples}×{frames}×3×{side}²"
            lost += compare(suite, case, ours, pixel[edit][0], others, compiled=compiled)
            suite.save()
    print("slower than a peer: " + ("; ".join(lost) or "none"))
    suite.facts["losses"] = lost
    return suite.finish()


def cases(first: Tensor, second: Tensor, length: int, threads: int) -> dict[str, tuple[Run, common.Candidates]]:
    """Ours and the peers by edit; the clips have 2·length frames, of which an edit reads what it needs."""
    n, half, quarter = len(first), length // 2, length // 4
    a, b = first[:, :length].contiguous(), second[:, :length].contiguous()
    rng = np.random.default_rng(1)
    center, overlap = rng.integers(half - 2, half + 3, n), 2 * rng.integers(1, quarter + 1, n)
    change, rate = rng.integers(quarter, half + 1, n), rng.choice([0.25, 0.5, 2.0], n)
    rate = np.minimum(rate, 1.5)
    position = gpuaug.edits.speed_times(length, change, rate)
    nearest = np.floor(position + 0.5).astype(np.int64)
    even = torch.linspace(0, 2 * length - 1, length).long().numpy()  # torchvision's rule
    start, stop = quarter, quarter + half
    return {
        "crossfade": (
            lambda: gpuaug.crossfade(a, b, length=length, center=half, overlap=half),
            peers.fade(a, b, half - quarter, half, threads),
        ),
        "crossfade, one place per sample": (
            lambda: gpuaug.crossfade(a, b, length=length, center=center, overlap=overlap),
            peers.fades(a, b, center, overlap),
        ),
        "concatenate": (lambda: gpuaug.concatenate(a, b, length=length, center=half), peers.join(a, b, half, threads)),
        "resample_speed": (
            lambda: gpuaug.resample_speed(first, length=length, change_point=change, rate=rate),
            peers.gather(first, nearest, threads),
        ),
        "paste": (
            lambda: gpuaug.paste(a, b[:, :half], start=start, stop=stop, opacity=0.8),
            peers.paste(a, b[:, :half], start, stop, 4, 5, threads),
        ),
        "take, every other frame": (lambda: gpuaug.take(first, even), peers.subsample(first, even, threads)),
        "take, reversed": (lambda: gpuaug.take(a, range(length - 1, -1, -1)), peers.reverse(a, threads)),
    }


def compare(
    suite: common.Suite, case: str, ours: Run, pixel: Run, others: common.Candidates, *, compiled: bool
) -> list[str]:
    """Rows of one case: milliseconds of each candidate, the ratio to the best peer, and what limits ours.

    Returns: the peer that is faster, in words, if there is one.
    """
    expected = ours()
    if compiled and "torch float" in others and (fast := compile_in_time(suite, case, others["torch float"])):
        others["torch compiled"] = fast
    for name, run in others.items():
        got = torch.as_tensor(run())
        worst = int((got.short() - expected.short()).abs().max())
        if got.shape != expected.shape or got.dtype != expected.dtype or worst > 1:
            raise AssertionError(f"{case}: {name} gives {got.dtype} {tuple(got.shape)}, up to {worst} levels away")
    limits: common.Candidates = {"plain copy": expected.clone}
    if suite.device == "cpu":
        limits = {"gpuaug, frames of one pixel": pixel, **limits}
    seconds = common.measure({"gpuaug": ours, **others, **limits}, rounds=suite.rounds, device=suite.device)
    suite.times(case, seconds)
    best = min((name for name in others if name != peers.BORROWED), key=lambda name: float(np.median(seconds[name])))
    win = suite.row(f"{case}: gpuaug against {best}, the best peer", "×", seconds[best] / seconds["gpuaug"], peer=best)
    share = seconds["plain copy"] / seconds["gpuaug"]
    limit = "memory" if np.median(share) > 0.6 else "arithmetic"
    if suite.device == "cpu":
        planning = seconds["gpuaug, frames of one pixel"] / seconds["gpuaug"]
        limit = "planning" if np.median(planning) > 1 / 3 else limit
        suite.row(f"{case}: share of planning in gpuaug's time", "×", planning, limit=limit)
    else:
        suite.host_time(f"{case}: host", ours)
    suite.row(f"{case}: speed of gpuaug in plain copies", "×", share, limit=limit)
    return [f"{case}: {win['median']:.2f} times the speed of {best}"] if win["median"] < 1 else []


def compile_in_time(suite: common.Suite, case: str, function: Run, most_seconds: int = COMPILE_SECONDS) -> Run | None:
    """torch.compile of the function, having run once; None where that failed or took too long."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {most_seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(most_seconds)
    try:
        torch.compiler.reset()
        fast = torch.compile(function)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fast()
        return fast
    except Exception as error:
        suite.leave_out(f"{case}: torch compiled", error)
        return None
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


if __name__ == "__main__":
    raise SystemExit(main())
