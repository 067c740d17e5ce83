"""How fast are transitions of mixed kinds? `python -m benchmarks.transitions`

uint8 (64, 16, 3, H, W) in, a new uint8 array out: wipes at any angle, irises at any centre, dissolves, pushes and fades
through black in one call, half of the masks soft, every frame but the last in the middle of its transition. Every
result is checked against ours first: it may differ by one level, but for fewer than one value in a hundred, beside hard
edges, whose time in the map is rounded to 16 bits here. Peers work kind by kind on all of its samples; "torch compiled"
is torch.compile of the eager one. What limits ours is named by two more candidates: a plain copy of the result, and the
same call on frames of a pixel, which is all that happens beside kernel and time maps. Times are those of the process on
its processors.

"As files": the pairs are files of raw frames, and so are the results; ffmpeg's xfade gets a call for each pair. Times
are those of the wall.

Then what kinds cost in `render`, which crops, resizes and normalises, in plain cross-fades of as many frames: rows with
" / cross-fade" have the cost of a kind by that of a cross-fade, all frames in the middle, the time maps kept. The same
of arrays of the first kind, with their planning: there a cross-fade's weights are multiples of 1/16, which integers of
16 bits multiply; "cross-fade of 15" has weights of any kind, as soft masks have. What moves is sampled, a cross-fade
is not.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import gpuaug

from . import common
from .edits import compile_in_time
from .peers import transitions as peers

CLOCK = "processor"
SAMPLES, FRAMES = 64, 16
SIZES = (112, 224)
COSTS: tuple[str, ...] = (
    "wipe_left",
    "circle_open",
    "noise_dissolve",
    "checker",
    "fade_black",
    "push_left",
    "zoom_out",
    "cross_zoom",
)
COSTS += ("doorway", "whip_left")
LEAST, LEVELS = 0.99, 1
COMPILE_SECONDS = 240  # a mask of every kind


def main(argv: Sequence[str] | None = None) -> int:
    """Check, measure, print and save."""
    suite = common.Suite("transitions", __doc__, {"cpu": 7, "cuda": 7})
    suite.option("--threads", type=int, default=torch.get_num_threads(), help="threads (default: torch's)")
    suite.option("--no-compile", action="store_true", help="leave torch.compile out")
    args = suite.parse(argv)
    if suite.device != "cpu":
        raise SystemExit("error: the peers of transitions run on the CPU")
    torch.set_num_threads(args.threads)
    for side in SIZES:
        mixed(suite, side, compiled=not args.no_compile)
        files(suite, side)
        suite.save()
    for side in SIZES:
        costs(suite, side)
        array_costs(suite, side)
        suite.save()
    return suite.finish()


def mixed(suite: common.Suite, side: int, *, compiled: bool) -> None:
    """Rows of one size: milliseconds of each candidate, ours against each peer, and what limits ours."""
    rng, case = np.random.default_rng(0), f"{SAMPLES}×{FRAMES}×3×{side}²"
    a, b = (torch.from_numpy(rng.integers(0, 256, (SAMPLES, FRAMES, 3, side, side), np.uint8)) for _ in range(2))
    given: dict[str, Any] = {"kinds": np.resize(peers.KINDS, SAMPLES), "angle": rng.uniform(0, 360, SAMPLES)}
    given |= {"center": rng.uniform(0.25, 0.75, (SAMPLES, 2)), "softness": rng.choice([0.0, 0.2], SAMPLES)}
    given["center"][given["kinds"] == "wipe"] = 0.5
    how = {name: given[name] for name in ("angle", "center", "softness")}

    def ours(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return gpuaug.transition(
            first, second, given["kinds"].tolist(), length=FRAMES, start=0, duration=FRAMES, spatial_dims=(3, 4), **how
        )

    expected = ours(a, b)
    p = np.arange(1, FRAMES + 1) / FRAMES
    others = peers.transitions(a, b, **given, p=p, compiled=False)
    if compiled and (fast := compile_in_time(suite, case, others["torch"], COMPILE_SECONDS)):
        others["torch compiled"] = fast
    for name, run in others.items():
        same = ((run().short() - expected.short()).abs() <= LEVELS).float().mean().item()
        if same < LEAST:
            raise AssertionError(
                f"{case}: {name} differs by more than a level in {100 * (1 - same):.2f} % of the values"
            )
    dots = [v[..., :1, :1].contiguous() for v in (a, b)]
    limits = {"plain copy": expected.clone, "gpuaug, frames of one pixel": lambda: ours(*dots)}
    seconds = common.measure(
        {"gpuaug": lambda: ours(a, b), **others, **limits}, rounds=suite.rounds, warmup=1, device=CLOCK
    )
    suite.times(case, seconds)
    for name in others:
        suite.against(case, seconds, "gpuaug", name)
    for name in limits:
        suite.row(f"{case}: {name} / gpuaug", "×", seconds[name] / seconds["gpuaug"], limit="share of the time")


def files(suite: common.Suite, side: int) -> None:
    """Rows of the same work from files to files, ours against ffmpeg's xfade."""
    xfade = suite.peer("benchmarks.peers.xfade")
    if xfade is None:
        return
    rng, kinds = np.random.default_rng(3), np.resize(list(xfade.NAMES), SAMPLES).tolist()
    shape = (FRAMES, 3, side, side)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for n in range(SAMPLES):
            for name in "ab":
                rng.integers(0, 256, shape, np.uint8).tofile(folder / f"{n}.{name}")

        def ours() -> None:
            first, second = (
                np.stack([np.fromfile(folder / f"{n}.{name}", np.uint8).reshape(shape) for n in range(SAMPLES)])
                for name in "ab"
            )
            made = gpuaug.transition(first, second, kinds, length=FRAMES, start=0, duration=FRAMES, spatial_dims=(3, 4))
            for n, clip in enumerate(made):
                clip.tofile(folder / f"{n}.out")

        runs: common.Candidates = {"gpuaug": ours, "ffmpeg xfade": lambda: xfade.cross(folder, kinds, FRAMES, side)}
        sizes = set()
        for run in runs.values():
            run()
            sizes |= {(folder / f"{n}.out").stat().st_size for n in range(SAMPLES)}
        if sizes != {int(np.prod(shape))}:
            raise AssertionError(f"results must have {np.prod(shape)} bytes, found {sorted(sizes)}")
        seconds = common.measure(runs, rounds=min(3, suite.rounds), device="cpu")
    case = f"{SAMPLES}×{FRAMES}×3×{side}², as files"
    suite.times(case, seconds)
    suite.against(case, seconds, "gpuaug", "ffmpeg xfade")


def costs(suite: common.Suite, side: int) -> None:
    """Rows of kinds by a cross-fade, as `render` executes them: hard edges, and soft ones where there are masks."""
    rng, n, t = np.random.default_rng(1), 8, 8
    bank = torch.from_numpy(rng.integers(0, 256, (8, 16, 256, 340, 3), dtype=np.uint8))
    first, second = (gpuaug.Plan.take(rng.integers(0, 8, n), range(16)) for _ in range(2))
    extent = rng.uniform(side * 0.75, min(2 * side, 256), n)
    y, x = rng.uniform(0, 256 - extent), rng.uniform(0, 340 - extent)
    box, out = np.stack([y, x, y + extent, x + extent], -1), torch.empty(n, 3, t, side, side)
    plans = {"cross-fade": gpuaug.edits.crossfade(first, second, length=t, center=t // 2, overlap=t)}
    for name, kind, softness in kinds_and_edges():
        plans[name] = gpuaug.edits.transition(first, second, kind, length=t, start=0, duration=t, softness=softness)
    runs: common.Candidates = {
        name: functools.partial(
            gpuaug.render, bank, plan, size=(side, side), box=box, mean=[0.4] * 3, std=[0.2] * 3, out=out
        )
        for name, plan in plans.items()
    }
    by_crossfade(suite, f"render, {n}×{t}×{side}²", runs, 2 * suite.rounds + 1)


def array_costs(suite: common.Suite, side: int) -> None:
    """The same of arrays."""
    rng = np.random.default_rng(2)
    a, b = (torch.from_numpy(rng.integers(0, 256, (SAMPLES, FRAMES, 3, side, side), np.uint8)) for _ in range(2))
    edit: Any = functools.partial(gpuaug.transition, a, b, length=FRAMES, start=0, spatial_dims=(3, 4))
    runs: common.Candidates = {
        "cross-fade": functools.partial(edit, "dissolve", duration=FRAMES),
        "cross-fade of 15": functools.partial(edit, "dissolve", duration=FRAMES - 1),
    }
    for name, kind, softness in kinds_and_edges():
        runs[name] = functools.partial(edit, kind, duration=FRAMES, softness=softness)
    by_crossfade(suite, f"arrays, {SAMPLES}×{FRAMES}×3×{side}²", runs, 2 * suite.rounds + 1)


def kinds_and_edges() -> list[tuple[str, str, float]]:
    """Names of candidates, their kinds and softness: masks have a hard edge and a soft one."""
    soft = [(f"{kind}, soft", kind, 0.3) for kind in COSTS if "softness" in gpuaug.transitions.KINDS[kind].draws]
    return [(kind, kind, 0.0) for kind in COSTS] + soft


def by_crossfade(suite: common.Suite, case: str, runs: common.Candidates, rounds: int) -> None:
    """A row for each candidate: its time by that of a cross-fade."""
    seconds = common.measure(runs, rounds=rounds, device=CLOCK)
    for name in runs:
        if name != "cross-fade":
            suite.row(
                f"{case}: {name} / cross-fade", "×", seconds[name] / seconds["cross-fade"], limit="cost of a kind"
            )


if __name__ == "__main__":
    raise SystemExit(main())
