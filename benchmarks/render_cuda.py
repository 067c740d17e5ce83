"""How near to the device's memory bandwidth are blend and render? `python -m benchmarks.render_cuda [--device cpu]`

uint8 (N, T, 3, Y, X) for blend (every frame a copy, or half of them cross-faded), and a bank of 256 × 340 frames for
render (one random crop per sample, K = 1, or K = 2 with all frames cross-faded, to bfloat16 NCTHW). The yardstick is a
plain copy of the device in the same rounds: `bandwidth` is the share of its bytes per second that blend moves, and
`floor` the time in which it would move the bytes that render has to (the crops read once, the result written once) by
the time of render. All results are checked against ours first; a candidate that is absent, fails or differs is named in
the JSON. No peer has these edits: these are the fastest expressions of them that we know. With --device cpu a small
case runs through the same lines.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import gpuaug

from . import common, render_peers

MEAN, STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
SOURCE = (256, 340)
BLEND = {"cuda": (64, 16, 224), "cpu": (4, 8, 32)}  # samples, frames, rows and columns
RENDER = {"cuda": ((64, 8, 224), (64, 16, 112)), "cpu": ((4, 8, 128),)}


def main(argv: list[str] | None = None) -> int:
    """Check, measure, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.render_cuda", description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda", help="default: cuda")
    parser.add_argument("--rounds", type=int, default=25, help="default: 25")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--no-save", action="store_true", help="only print")
    args = parser.parse_args(argv)
    run = Run(args.device, args.rounds, compiled=not args.no_compile)
    run.blend(*BLEND[args.device])
    for case in RENDER[args.device]:
        for taps in (1, 2):
            run.render(*case, taps)
        run.compiled = False  # compiling takes longer than everything else; one case shows what it brings
    common.show(run.results)
    for name, reason in run.absent.items():
        print(f"left out: {name}: {reason}")
    if not args.no_save:
        work = " ".join(__doc__.split("\n\n")[1].split())
        print(common.save(f"render_{args.device}", run.results, work=work, left_out=run.absent))
    return 0


class Run:
    """Results of one device, and the candidates that were left out."""

    def __init__(self, device: str, rounds: int, *, compiled: bool) -> None:
        self.device, self.rounds, self.compiled = device, rounds, compiled
        self.results: list[dict[str, Any]] = []
        self.absent: dict[str, str] = {}

    def blend(self, n: int, t: int, side: int) -> None:
        """A copy of every frame, and a cross-fade over half of the frames."""
        rng = np.random.default_rng(0)
        bank = torch.from_numpy(rng.integers(0, 256, (2 * n, t, 3, side, side), dtype=np.uint8)).to(self.device)
        first = gpuaug.Plan.take(rng.permutation(n), np.arange(t)[::-1])
        second = gpuaug.Plan.take(n + rng.permutation(n), np.arange(t))
        fade = gpuaug.edits.crossfade(first, second, length=t, center=t // 2, overlap=t // 2)
        for name, plan in (("copies", first), ("half cross-faded", fade)):
            title = f"blend, uint8, {n}×{t}×3×{side}², {name}"
            candidates = self.admitted(
                title, functools.partial(gpuaug.blend, bank, plan), render_peers.blends(bank, plan, self.compiled), 1.01
            )
            moved = (int((plan.weight != 0).sum()) + n * t) * 3 * side**2
            self.measure(title, candidates, moved, "bandwidth")

    def render(self, n: int, t: int, size: int, taps: int) -> None:
        """Random crops of random clips, K = 1, or cross-faded over all frames."""
        rng = np.random.default_rng(taps)
        height, width = SOURCE
        bank = torch.from_numpy(rng.integers(0, 256, (n // 2, t, height, width, 3), dtype=np.uint8)).to(self.device)
        clips = rng.integers(0, len(bank), (2, n))
        plan = gpuaug.Plan.take(clips[0], np.arange(t))
        if taps == 2:
            second = gpuaug.Plan.take(clips[1], np.arange(t))
            plan = gpuaug.fade(plan, second, np.tile(np.linspace(0.1, 0.9, t), (n, 1)))
        side = rng.integers(int(0.66 * height), height + 1, (2, n))
        top, left = rng.integers(0, height - side[0] + 1), rng.integers(0, width - side[1] + 1)
        box = np.stack([top, left, top + side[0], left + side[1]], 1)
        out = torch.empty((n, 3, t, size, size), dtype=torch.bfloat16, device=self.device)
        keep: dict[str, Any] = {"size": (size, size), "box": box, "mean": MEAN, "std": STD, "dtype": out.dtype}
        title = f"render, {n}×{t}×{size}², K = {taps}"
        peers = render_peers.renders(bank, plan, box, size, MEAN, STD, self.compiled, self.absent)
        candidates = self.admitted(title, lambda: gpuaug.render(bank, plan, out=out, **keep), peers, 0.05)
        moved = int((side[0] * side[1]).sum()) * 3 * t * taps + out.numel() * 2
        self.measure(title, candidates, moved, "floor")
        host = common.measure({"": candidates["gpuaug"]}, rounds=50)[""] if self.device == "cuda" else None
        if host is not None:  # queueing only: nothing waits for the device
            torch.cuda.synchronize()
            self.results.append({"name": f"{title}: host", "unit": "ms", **common.summary(1e3 * host)})

    def admitted(
        self, title: str, ours: Callable[[], Tensor], peers: dict[str, Callable[[], Any]], tolerance: float
    ) -> dict[str, Callable[[], Any]]:
        """Ours and the peers that run and whose values differ by no more than `tolerance`."""
        expected = ours().float()
        kept: dict[str, Callable[[], Any]] = {"gpuaug": ours}
        for name, run in peers.items():
            try:
                got = torch.as_tensor(run()).to(expected.device).float()
                worst = float((got - expected).abs().max())
                reason = "" if worst <= tolerance else f"another result, by up to {worst:.3g}"
            except Exception as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            if reason:
                self.absent[f"{title}: {name}"] = reason
            else:
                kept[name] = run
        return kept

    def measure(self, title: str, candidates: dict[str, Callable[[], Any]], moved: int, share: str) -> None:
        """Rows: times, ratios to the peers, and the share of the copy's bandwidth."""
        source = torch.empty(moved // 2, dtype=torch.uint8, device=self.device)
        target = torch.empty_like(source)
        measured = {**candidates, "plain copy of the same bytes": lambda: target.copy_(source)}
        seconds = common.measure(measured, rounds=self.rounds, device=self.device)
        for name, s in seconds.items():
            self.results.append({"name": f"{title}: {name}", "unit": "ms", **common.summary(1e3 * s)})
        copy = seconds.pop("plain copy of the same bytes")
        speed = common.summary(moved / copy / 1e9)
        self.results.append({"name": f"{title}: copy bandwidth, read and written", "unit": "GB/s", **speed})
        part = common.ratio(copy, seconds["gpuaug"])
        limit = "memory" if part["median"] > 0.6 else "arithmetic and overhead"
        self.results.append({"name": f"{title}: {share}", "unit": "×", "limit": limit, **part})
        for name in candidates:
            if name != "gpuaug":
                win = common.ratio(seconds[name], seconds["gpuaug"])
                self.results.append({"name": f"{title}: gpuaug against {name}", "unit": "×", **win})


def sampled(frames_MCHW: Tensor, box_M4: Tensor, size: int) -> Tensor:
    """(M, C, size, size): every picture's own box, resized as `render` does it, by one call of grid_sample."""
    height, width = frames_MCHW.shape[2:]
    steps = (torch.arange(size, device=frames_MCHW.device) + 0.5) / size
    axes = []
    for low, high, extent in ((box_M4[:, 0], box_M4[:, 2], height), (box_M4[:, 1], box_M4[:, 3], width)):
        position = low[:, None] + steps * (high - low)[:, None]
        position = torch.minimum(torch.maximum(position, low[:, None] + 0.5), high[:, None] - 0.5)
        axes.append(position * 2 / extent - 1)
    y, x = axes
    grid = torch.stack([x[:, None].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)], -1)
    return F.grid_sample(frames_MCHW, grid, padding_mode="border", align_corners=False)


if __name__ == "__main__":
    raise SystemExit(main())
