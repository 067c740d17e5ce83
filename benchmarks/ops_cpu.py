"""How fast are the edits of arrays on the CPU, against what else can make them? `python -m benchmarks.ops_cpu`

uint8 (N, T, C, H, W) in, a new uint8 array out. Every candidate's result is checked against ours first (a blended
pixel may differ by one level). "float" peers convert, blend and round the blended frames only; "int16" ones use that
these weights are eighths or fifths; "compiled" is torch.compile of the float one. kornia has no edit in time: its
add_weighted replaces the blend, with the casts that it needs. DALI gets its input without a copy; "in its buffer"
leaves the result where DALI's next run overwrites it, which is less work than a new array, and counts for no ratio.
The limiting stage is named by two more candidates in the same rounds: the same edit of frames of one pixel, which is
all that happens beside the kernel (checks, planning, calls), and a plain copy of the result, which is the memory.
Every result is dropped before the next candidate runs; ours then keeps its memory, from 32 MiB on, for its next result.
"""

from __future__ import annotations

import argparse
import signal
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

import gpuaug

from . import common, ops_peers

SIZES = ((16, 16, 112), (16, 16, 224))  # samples, frames, rows and columns
COMPILE_SECONDS = 30
Peers = dict[str, Callable[[], Any]]


def main(argv: list[str] | None = None) -> int:
    """Check, measure, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ops_cpu", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="default: 15")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads (default: torch's)")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--no-save", action="store_true", help="only print")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    results: list[dict[str, Any]] = []
    lost: list[str] = []
    for samples, frames, side in SIZES:
        rng = np.random.default_rng(0)
        shape = (samples, 2 * frames, 3, side, side)
        first, second = (torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8)) for _ in range(2))
        dot = [clips[..., :1, :1, :1].contiguous() for clips in (first, second)]
        pixel = cases(dot[0], dot[1], frames, args.threads)
        for op, (ours, peers) in cases(first, second, frames, args.threads).items():
            case = f"{op}, {samples}×{frames}×3×{side}²"
            results += compare(case, ours, pixel[op][0], peers, args.rounds, lost, compiled=not args.no_compile)
    common.show(results)
    print("slower than a peer: " + ("; ".join(lost) or "none"))
    if not args.no_save:
        print(common.save("ops_cpu", results, work=" ".join(__doc__.split("\n\n")[1].split()), losses=lost))
    return 0


def cases(first: Tensor, second: Tensor, length: int, threads: int) -> dict[str, tuple[Callable[[], Any], Peers]]:
    """Ours and the peers by edit; the clips have 2·length frames, of which an edit reads what it needs."""
    n, half, quarter = len(first), length // 2, length // 4
    a, b = first[:, :length].contiguous(), second[:, :length].contiguous()
    rng = np.random.default_rng(1)
    center, overlap = rng.integers(half - 2, half + 3, n), 2 * rng.integers(1, quarter + 1, n)
    change, rate = rng.integers(quarter, half + 1, n), rng.choice([0.25, 0.5, 2.0], n)
    position = gpuaug.edits.speed_times(length, change, np.minimum(rate, 1.5))
    nearest = np.floor(position + 0.5).astype(np.int64)
    even = torch.linspace(0, 2 * length - 1, length).long().numpy()  # torchvision's rule
    start, stop = quarter, quarter + half
    return {
        "crossfade": (
            lambda: gpuaug.crossfade(a, b, length=length, center=half, overlap=half),
            ops_peers.fade(a, b, half - quarter, half, threads),
        ),
        "crossfade, one place per sample": (
            lambda: gpuaug.crossfade(a, b, length=length, center=center, overlap=overlap),
            ops_peers.fades(a, b, center, overlap),
        ),
        "concatenate": (
            lambda: gpuaug.concatenate(a, b, length=length, center=half),
            ops_peers.join(a, b, half, threads),
        ),
        "resample_speed": (
            lambda: gpuaug.resample_speed(first, length=length, change_point=change, rate=np.minimum(rate, 1.5)),
            ops_peers.gather(first, nearest, threads),
        ),
        "paste": (
            lambda: gpuaug.paste(a, b[:, :half], start=start, stop=stop, opacity=0.8),
            ops_peers.paste(a, b[:, :half], start, stop, 4, 5, threads),
        ),
        "take, every other frame": (lambda: gpuaug.take(first, even), ops_peers.subsample(first, even, threads)),
        "take, reversed": (lambda: gpuaug.take(a, range(length - 1, -1, -1)), ops_peers.reverse(a, threads)),
    }


def compare(
    case: str,
    ours: Callable[[], Any],
    pixel: Callable[[], Any],
    peers: Peers,
    rounds: int,
    lost: list[str],
    *,
    compiled: bool,
) -> list[dict[str, Any]]:
    """Rows of one case: milliseconds of each candidate, the ratio to the best peer, and what limits ours."""
    expected = ours()
    if compiled and "torch float" in peers and (fast := compile_in_time(peers["torch float"])):
        peers["torch compiled"] = fast
    for name, run in peers.items():
        got = torch.as_tensor(np.asarray(run()))
        worst = int((got.short() - expected.short()).abs().max())
        if got.shape != expected.shape or got.dtype != expected.dtype or worst > 1:
            raise AssertionError(f"{case}: {name} gives {got.dtype} {tuple(got.shape)}, up to {worst} levels away")
    limits = {"gpuaug, frames of one pixel": pixel, "plain copy": expected.clone}
    seconds = common.measure({"gpuaug": ours, **peers, **limits}, rounds=rounds)
    rows: list[dict[str, Any]] = [
        {"name": f"{case}: {name}", "unit": "ms", **common.summary(s * 1e3)} for name, s in seconds.items()
    ]
    best = min((name for name in peers if name != ops_peers.BORROWED), key=lambda name: float(np.median(seconds[name])))
    win = common.ratio(seconds[best], seconds["gpuaug"])
    rows.append({"name": f"{case}: gpuaug against {best}, the best peer", "unit": "×", "peer": best, **win})
    share = common.ratio(seconds["plain copy"], seconds["gpuaug"])
    planning = common.ratio(seconds["gpuaug, frames of one pixel"], seconds["gpuaug"])
    limit = "planning" if planning["median"] > 1 / 3 else "memory" if share["median"] > 0.6 else "arithmetic"
    rows.append({"name": f"{case}: speed of gpuaug in plain copies", "unit": "×", "limit": limit, **share})
    rows.append({"name": f"{case}: share of planning in gpuaug's time", "unit": "×", "limit": limit, **planning})
    if win["median"] < 1:
        lost.append(f"{case}: {win['median']:.2f} times the speed of {best}")
    return rows


def compile_in_time(function: Callable[[], Any]) -> Callable[[], Any] | None:
    """torch.compile of the function, having run once; None where that failed or took too long."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {COMPILE_SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(COMPILE_SECONDS)
    try:
        torch.compiler.reset()
        fast = torch.compile(function)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fast()
        return fast
    except Exception as error:
        print(f"torch.compile left out: {str(error).splitlines()[0]}")
        return None
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


if __name__ == "__main__":
    raise SystemExit(main())
