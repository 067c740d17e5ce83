"""How many BSP samples a second come from files to the device? `python -m benchmarks.feed_cuda [--device cpu]`

8 frames of 224², bfloat16 (N, C, T, Y, X), from H.264 files of 256 × 340, 10 s, key frames 250 apart, at reuse limits
of 1, 8 and 64; and the time that the host spends on one batch when every window is in the bank. What a DataLoader makes
on the same cores is in `feed_cpu`. The limiting stage is decoding where the feed waits for it most of the time. With
--device cpu a small case runs through the same lines.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from typing import Any

import numpy as np

from . import common, decode_cpu, training

CASES = {"cuda": (64, 8, 224), "cpu": (4, 8, 32)}  # samples, frames, rows and columns
FILES = {"cuda": 32, "cpu": 8}  # two per class at least


def main(argv: list[str] | None = None) -> int:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feed_cuda", description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda", help="default: cuda")
    parser.add_argument("--reuse", type=int, nargs="+", default=[1, 8, 64], help="limits (default: 1 8 64)")
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    parser.add_argument("--seconds", type=float, default=3.0, help="of measuring per round (default: 3)")
    parser.add_argument("--no-save", action="store_true", help="only print")
    args = parser.parse_args(argv)
    batch, frames, size = CASES[args.device]
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        dataset = decode_cpu.dataset(folder, FILES[args.device])
        trainer = training.Trainer("tsm_resnet18", batch, frames, size, 30.0, dataset, args.device)
        for reuse in args.reuse:
            results.append(rate(trainer, reuse, args.rounds, args.seconds))
        results.append(host_time(trainer))
    common.show(results)
    if not args.no_save:
        work = " ".join(__doc__.split("\n\n")[1].split())
        print(common.save(f"feed_{args.device}", results, work=work, batch=batch))
    return 0


def rate(trainer: training.Trainer, reuse: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Samples a second once the first stock of windows is used up, in rounds."""
    rates, waits = [], 0.0
    with trainer.feed(reuse_min=reuse, reuse_max=reuse) as feed:
        step = itertools.count()
        for _ in range(max(4, 2 * len(feed.bank.info) // trainer.batch)):
            feed.batch(next(step))
        for _ in range(rounds):
            common.synchronize(trainer.device)
            begin, done = time.perf_counter(), 0
            while time.perf_counter() - begin < seconds:
                waits += feed.batch(next(step)).wait_seconds
                done += trainer.batch
            common.synchronize(trainer.device)
            rates.append(done / (time.perf_counter() - begin))
        echo = round(feed.report()["echo"], 2)
    waiting = round(waits / (rounds * seconds), 2)
    facts = {"echo": echo, "waiting": waiting, "limit": "decoding" if waiting > 0.5 else "rendering"}
    return {"name": f"reuse {reuse}", "unit": "samples/s", **common.summary(np.array(rates)), **facts}


def host_time(trainer: training.Trainer) -> dict[str, Any]:
    """Milliseconds that the host spends on one batch from a full bank; the device is not waited for."""
    slots = len(trainer.dataset.segments)
    with trainer.feed(slots=slots, reuse_min=10**6, reuse_max=None) as feed:
        step = itertools.count()
        while any(content is None for content in feed.refiller.content) or feed.refiller.pending:
            feed.batch(next(step))
            time.sleep(0.01)
        times = []
        for _ in range(50):
            common.synchronize(trainer.device)
            begin = time.perf_counter()
            feed.batch(next(step))
            times.append(1e3 * (time.perf_counter() - begin))
    limit = "planning and queueing" if trainer.device == "cuda" else "rendering"
    title = f"host time of a batch of {trainer.batch}"
    return {"name": title, "unit": "ms", "limit": limit, **common.summary(np.array(times))}


if __name__ == "__main__":
    raise SystemExit(main())
