"""How many BSP samples a second come from files, as normalised batches? `python -m benchmarks.feed_cpu`

8 frames of 112², float32 (N, C, T, Y, X), from H.264 files of 256 × 340, 10 s, key frames 250 apart, made on the spot,
and from the folder `actions` of real clips in GPUAUG_DATA or ../shared/data, where there is one. Ours is the feed of
the training loop at a reuse of 1 and of 8; the other is torch's DataLoader with 2 workers, in which torchcodec decodes
just the frames that a sample shows, straight to the size of our bank, and torchvision v2 crops, resizes, flips and
normalises. Its plans are drawn beforehand by the same `sample` of BSP from windows of the same files, so that it
makes the same kinds of sample and pays nothing for planning. Clocks start when the stock of decoded windows is used
up.
The limiting stage is decoding where the feed waits for it most of the time.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pretrain.data.dataset import Dataset, read_videos
from pretrain.feed.feed import Feed
from pretrain.tasks.bsp import task as bsp

from . import common, decode_cpu
from .feed_loader import loader

BATCH, FRAMES, SIZE, BANK = 16, 8, 112, (128, 171)
NEED = 26  # frames that the fastest of BSP's changes of speed reaches over; shorter clips are left out
# frames of a window and their rate: BSP's recipe, at a reuse of 1 the same seconds at half its rate; short real clips
WINDOWS = {"made": {1: (32, 3.75), 8: (64, 7.5)}, "actions": {1: (32, 15.0), 8: (32, 15.0)}}
MEAN, STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
FILES, SLOTS = 12, 48
sample = functools.partial(bsp.sample, frames=FRAMES)


def main(argv: list[str] | None = None) -> int:
    """Measure every source of videos, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feed_cpu", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    parser.add_argument("--seconds", type=float, default=4.0, help="of measuring per candidate and round (default: 4)")
    parser.add_argument("--source", choices=("made", "actions"), help="only this one (default: both)")
    parser.add_argument("--no-save", action="store_true", help="only print")
    args = parser.parse_args(argv)
    if not decode_cpu.can_load_torchcodec():
        return decode_cpu.run_with_pyavs_libraries("feed_cpu", sys.argv[1:] if argv is None else argv)
    real = Path(os.environ.get("GPUAUG_DATA") or common.ROOT.parent.parent / "shared" / "data") / "actions"
    results: list[dict[str, Any]] = []
    if args.source != "actions":
        with tempfile.TemporaryDirectory() as folder:
            results += compare("made", decode_cpu.dataset(folder, FILES), args.rounds, args.seconds)
    if args.source != "made" and real.is_dir():
        results += compare("actions", read_videos(real, cache=False), args.rounds, args.seconds)
    common.show(results)
    if not args.no_save:
        print(common.save("feed_cpu", results, work=" ".join(__doc__.split("\n\n")[1].split()), batch=BATCH))
    return 0


def compare(source: str, dataset: Dataset, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Rows for one source: samples a second of the candidates, and the ratios."""
    seconds_needed = max(NEED / fps for _, fps in WINDOWS[source].values()) + 0.05
    long = sorted({s.video for s in dataset.segments if s.end_seconds - s.start_seconds > seconds_needed})
    dataset = dataset.take(long)
    rates: dict[str, list[float]] = {"DataLoader": [], "reuse 1": [], "reuse 8": []}
    facts: dict[str, dict[str, Any]] = {name: {} for name in rates}
    for k in range(rounds):
        rates["DataLoader"].append(baseline(dataset, WINDOWS[source][8], seconds, seed=k))
        for reuse in (1, 8):
            rate, facts[f"reuse {reuse}"] = ours(dataset, WINDOWS[source][reuse], reuse, seconds, seed=k)
            rates[f"reuse {reuse}"].append(rate)
    values = {name: np.array(rate) for name, rate in rates.items()}
    rows = [
        {"name": f"{source}: {name}", "unit": "samples/s", **common.summary(v), **facts[name]}
        for name, v in values.items()
    ]
    for reuse in (1, 8):
        win = common.summary(values[f"reuse {reuse}"] / values["DataLoader"])
        rows.append({"name": f"{source}: reuse {reuse} against DataLoader", "unit": "×", **win})
    return rows


def ours(
    dataset: Dataset, window: tuple[int, float], reuse: int, seconds: float, seed: int
) -> tuple[float, dict[str, Any]]:
    """Samples a second of the feed in its steady state, and the reuse and the share of waiting in that time."""
    with Feed(
        dataset, sample, batch=BATCH, frames=window[0], fps=window[1], size=SIZE, mean=MEAN, std=STD, bank_size=BANK,
        slots=SLOTS * (1 if reuse == 1 else 2), reuse_max=reuse, seed=seed,
    ) as feed:  # fmt: skip
        step = itertools.count()
        while feed.bank.rendered < reuse * len(feed.bank.info):
            feed.batch(next(step))
        before, begin, done = feed.report(), time.perf_counter(), 0
        while (spent := time.perf_counter() - begin) < seconds:
            batch = feed.batch(next(step))
            done += BATCH
        after = feed.report()
    assert batch.clips.shape == (BATCH, 3, FRAMES, SIZE, SIZE)
    decoded, shown = (after[name] - before[name] for name in ("decoded_windows", "rendered_windows"))
    waiting = (after["wait_seconds"] - before["wait_seconds"]) / spent
    limit = "decoding" if waiting > 0.5 else "rendering"
    facts = {"echo": round(shown / max(1, decoded), 2), "waiting": round(waiting, 2), "limit": limit}
    return done / spent, facts


def baseline(dataset: Dataset, window: tuple[int, float], seconds: float, seed: int) -> float:
    """Samples a second of the DataLoader once its workers run."""
    batches = iter(loader(dataset, sample, BATCH, window, SIZE, BANK, MEAN, STD, seed))
    for _ in range(4):
        clips, _ = next(batches)
    begin, done = time.perf_counter(), 0
    while (spent := time.perf_counter() - begin) < seconds:
        clips, _ = next(batches)
        done += BATCH
    assert clips.shape == (BATCH, 3, FRAMES, SIZE, SIZE)
    assert torch.isfinite(clips).all()
    return done / spent


if __name__ == "__main__":
    raise SystemExit(main())
