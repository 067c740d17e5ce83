"""What does synthesis cost a training step? `python -m benchmarks.training [--device cpu|cuda]`

The time of a BSP training step (forward, backward, SGD) with fresh batches from files, against the same step on one
frozen batch, at several reuse limits, in blocks of some seconds that take turns. Files: H.264, 256 × 340, 10 s, key
frames 250 apart. Before a timed block the feed makes as many untimed steps as use up the windows decoded meanwhile.
Reported are the smallest limit from which on the ratio is at most 1.02, what the step waits for, and how the costs of
synthesis (a batch from windows that stay in the bank) and of the step grow: the exponent p of cost ∝ size^p, from a
least-squares line through the logarithms of three sizes.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch

from pretrain.data.dataset import Dataset
from pretrain.feed.feed import Feed
from pretrain.models.encoders import encoder
from pretrain.tasks.bsp import task as bsp
from pretrain.training.loop import Model

from . import common, decode_cpu

BAR = 1.02
# encoder, batch, frames, rows and columns, frames per second of a window. On the CPU small, that a step takes a second.
CASES = {
    "cpu": (("tsm_resnet18", 4, 8, 64, 30.0),),
    "cuda": (
        ("tsm_resnet18", 64, 8, 224, 30.0),
        ("tsm_resnet50", 64, 8, 224, 30.0),
        ("r2plus1d_18", 64, 16, 112, 15.0),
    ),
}
FILES = {"cpu": 8, "cuda": 32}
WINDOW = 4  # frames of a window per frame of a clip


def main(argv: list[str] | None = None) -> int:
    """Measure every case, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    parser.add_argument("--reuse", type=int, nargs="+", default=[1, 8, 64], help="limits (default: 1 8 64)")
    parser.add_argument("--rounds", type=int, default=3, help="blocks of each kind (default: 3)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a block, at least (default: 1)")
    parser.add_argument("--batch", type=int, help="samples per step (default: 4 on the CPU, 64 on a GPU)")
    parser.add_argument("--compile", action="store_true", help="torch.compile the encoder")
    parser.add_argument("--no-growth", action="store_true", help="leave out how costs grow")
    parser.add_argument("--no-save", action="store_true", help="only print")
    args = parser.parse_args(argv)
    results: list[dict[str, Any]] = []
    facts: dict[str, Any] = {"holds_from_reuse": {}, "growth": {}, "load_at_start": round(os.getloadavg()[0], 1)}
    with tempfile.TemporaryDirectory() as folder:
        dataset = decode_cpu.dataset(folder, FILES[args.device])
        for name, batch, frames, size, fps in CASES[args.device]:
            trainer = Trainer(name, args.batch or batch, frames, size, fps, dataset, args.device, args.compile)
            rows, start = compare(trainer, sorted(args.reuse), args.rounds, args.seconds)
            results += rows
            facts["holds_from_reuse"][trainer.title] = start
            if not args.no_growth:
                facts["growth"][trainer.title] = growth(trainer, args.rounds)
    common.show(results)
    print(json.dumps(facts, indent=1, ensure_ascii=False))
    if not args.no_save:
        work = " ".join(__doc__.split("\n\n")[1].split())
        print(common.save(f"training_{args.device}", results, work=work, bar=BAR, **facts))
    return 0


class Trainer:
    """An encoder with BSP's head, and feeds of batches for it."""

    def __init__(
        self,
        name: str,
        batch: int,
        frames: int,
        size: int,
        fps: float,
        dataset: Dataset,
        device: str,
        compile_: bool = False,
    ) -> None:
        self.batch, self.frames, self.size = batch, frames, size
        self.made = {"name": name, "fps": fps, "dataset": dataset, "device": device, "compile_": compile_}
        self.fps, self.dataset, self.device = fps, dataset, device
        self.title = f"{name}, {frames}×{size}², batch {batch}"
        self.dtype = torch.bfloat16 if device == "cuda" else torch.float32
        net = encoder(name, frames=frames, size=size)
        self.colors = net.mean, net.std
        if compile_:
            net.compile()
        self.model = Model(net, bsp.Head(net.features, dataset.classes, frames=frames)).to(device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4, momentum=0.9)

    def step(self, clips: torch.Tensor, target: dict[str, torch.Tensor]) -> None:
        """One update."""
        with torch.autocast("cuda", self.dtype) if self.device == "cuda" else nullcontext():
            loss, _ = self.model(clips, target)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def feed(self, **how: Any) -> Feed:
        """Batches, and at most four windows per sample in the bank unless `how` says otherwise."""
        sample = functools.partial(bsp.sample, frames=self.frames)
        mean, std = self.colors
        usual: dict[str, Any] = {
            "batch": self.batch,
            "size": self.size,
            "frames": WINDOW * self.frames,
            "fps": self.fps,
        }
        usual |= {"slots": 4 * self.batch, "mean": mean, "std": std, "dtype": self.dtype, "device": self.device}
        return Feed(self.dataset, sample, **{**usual, **how})


def compare(trainer: Trainer, limits: list[int], rounds: int, seconds: float) -> tuple[list[dict[str, Any]], int | str]:
    """Rows of a case, and from which reuse limit on the ratio keeps the bar."""
    feeds = {limit: trainer.feed(reuse_min=limit, reuse_max=limit) for limit in limits}
    count = {limit: itertools.count() for limit in limits}
    try:
        kept = feeds[limits[0]].batch(next(count[limits[0]]))
        frozen = kept.clips.clone(), kept.target
        times: dict[int, list[float]] = {0: [], **{limit: [] for limit in limits}}  # 0: the frozen batch
        facts: dict[int, list[dict[str, float]]] = {limit: [] for limit in limits}
        for _ in range(3):
            trainer.step(*frozen)
        for i in range(rounds):
            order = [0, *limits]
            for limit in order[i % len(order) :] + order[: i % len(order)]:
                settle(feeds)
                if limit == 0:
                    times[0].append(block(trainer, lambda: frozen, seconds)[0])
                    continue
                feed = feeds[limit]
                waits: list[float] = []

                def get(limit: int = limit, waits: list[float] = waits) -> tuple[Any, Any]:
                    batch = feeds[limit].batch(next(count[limit]))
                    waits.append(batch.wait_seconds)
                    return batch.clips, batch.target

                for _ in range(4 if i else max(4, 2 * len(feed.bank.info) // trainer.batch)):
                    trainer.step(*get())
                waits.clear()
                before = feed.report()
                spent, steps = block(trainer, get, seconds)
                after = feed.report()
                decoded, shown = (after[k] - before[k] for k in ("decoded_windows", "rendered_windows"))
                times[limit].append(spent)
                facts[limit].append({"wait_ms": 1000 * sum(waits) / steps, "echo": shown / max(1, decoded)})
        memory = torch.cuda.max_memory_allocated() / 2**20 if trainer.device == "cuda" else None
    finally:
        for feed in feeds.values():
            feed.close()
    return rows_of(trainer.title, {k: np.array(v) for k, v in times.items()}, facts, memory)


def settle(feeds: dict[int, Feed]) -> None:
    """Let decoding that is under way end, so that it does not disturb the other candidates."""
    for feed in feeds.values():
        for refill in feed.refiller.pending:
            if refill.future is not None:
                refill.future.result()


def block(trainer: Trainer, get: Callable[[], tuple[Any, Any]], seconds: float) -> tuple[float, int]:
    """Seconds per step over a block of at least three steps, and how many there were."""
    common.synchronize(trainer.device)
    begin, steps = time.perf_counter(), 0
    while steps < 3 or time.perf_counter() - begin < seconds:
        trainer.step(*get())
        steps += 1
    common.synchronize(trainer.device)
    return (time.perf_counter() - begin) / steps, steps


def rows_of(
    title: str, times: dict[int, np.ndarray], facts: dict[int, list[dict[str, float]]], memory: float | None
) -> tuple[list[dict[str, Any]], int | str]:
    """Rows, and the smallest limit from which on all keep the bar.

    >>> times = {0: np.array([1.0, 1.0]), 1: np.array([2.0, 2.0]), 8: np.array([1.01, 1.01])}
    >>> facts = {1: [{"wait_ms": 900.0, "echo": 1.0}], 8: [{"wait_ms": 0.0, "echo": 8.0}]}
    >>> rows, start = rows_of("t", times, facts, None)
    >>> start, [(row["name"], row["median"]) for row in rows if row["unit"] == "×"]
    (8, [('t: reuse 1, step / step on a frozen batch', 2.0), ('t: reuse 8, step / step on a frozen batch', 1.01)])
    >>> [row["limit"] for row in rows if row["unit"] == "×"]
    ['decoding', 'encoder']
    """
    rows: list[dict[str, Any]] = [{"name": f"{title}: frozen batch", "unit": "ms", **common.summary(1e3 * times[0])}]
    start: int | str = "none measured"
    for limit in sorted(facts, reverse=True):
        mean = {k: round(float(np.mean([f[k] for f in facts[limit]])), 3) for k in ("wait_ms", "echo")}
        extra = mean if memory is None else {**mean, "memory_mib_all_feeds": round(memory)}
        cost = common.ratio(times[limit], times[0])
        added = 1e3 * float(np.median(times[limit] - times[0]))
        stage = "encoder" if cost["median"] <= BAR else "decoding" if mean["wait_ms"] > added / 2 else "synthesis"
        rows[1:1] = [
            {"name": f"{title}: reuse {limit}", "unit": "ms", **common.summary(1e3 * times[limit]), **extra},
            {
                "name": f"{title}: reuse {limit}, step / step on a frozen batch",
                "unit": "×",
                "limit": stage,
                **cost,
            },
        ]
    for limit in sorted(facts, reverse=True):
        if np.median(times[limit] / times[0]) > BAR:
            break
        start = limit
    return rows, start


def growth(trainer: Trainer, rounds: int) -> dict[str, Any]:
    """Exponents with which the costs of synthesis and of a step grow with batch, clip length and size."""
    base: dict[str, Any] = {"batch": trainer.batch, "frames": trainer.frames, "size": trainer.size}
    found = {}
    for name, value in base.items():
        values = [value // 2, value, 2 * value]
        costs: dict[str, list[list[float]]] = {"synthesis": [], "step": []}
        for v in values:
            # every window is kept: slots for one window per file, and no limit
            slots = len(trainer.dataset.segments)
            sized = Trainer(**{**trainer.made, **base, name: v})
            with sized.feed(slots=slots, reuse_min=10**6, reuse_max=None) as feed:
                count = itertools.count()
                while any(content is None for content in feed.refiller.content) or feed.refiller.pending:
                    feed.batch(next(count))
                    time.sleep(0.01)

                def make(feed: Feed = feed, count: Any = count) -> None:
                    feed.batch(next(count))

                synthesis = common.measure({"": make}, rounds=2 * rounds, device=trainer.device)[""]
                kept = feed.batch(next(count))

                def step(sized: Trainer = sized, clips: Any = kept.clips, target: Any = kept.target) -> None:
                    sized.step(clips, target)

                steps = common.measure({"": step}, rounds=max(3, rounds // 2), warmup=1, device=trainer.device)[""]
            costs["synthesis"].append(synthesis.tolist())
            costs["step"].append(steps.tolist())
        for what, measured in costs.items():
            n = min(len(m) for m in measured)
            slopes = [exponent(values, [m[i] for m in measured]) for i in range(n)]
            points = {str(v): round(1e3 * float(np.median(m)), 3) for v, m in zip(values, measured)}
            found[f"{what}, exponent of {name}"] = {**common.summary(np.array(slopes)), "ms": points}
    return found


def exponent(sizes: list[int], costs: list[float]) -> float:
    """p of cost ∝ size^p.

    >>> round(exponent([1, 2, 4], [3.0, 6.0, 12.0]), 6)
    1.0
    """
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


if __name__ == "__main__":
    raise SystemExit(main())
