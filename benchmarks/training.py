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
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import gpuaug
from pretrain.data.dataset import Dataset
from pretrain.models.encoders import encoder
from pretrain.tasks.bsp import task as bsp
from pretrain.training.loop import Model

from . import common, videos

BAR = 1.02


class Case(NamedTuple):
    encoder: str
    batch: int
    frames: int
    size: int  # rows and columns
    fps: float  # of a window


CASES = {
    "cpu": [Case("tsm_resnet18", 4, 8, 64, 30.0)],  # small, that a step takes a second
    "cuda": [
        Case("tsm_resnet18", 64, 8, 224, 30.0),
        Case("tsm_resnet50", 64, 8, 224, 30.0),
        Case("r2plus1d_18", 64, 16, 112, 15.0),
    ],
}
FILES = {"cpu": 8, "cuda": 32}
WINDOW = 4  # frames of a window per frame of a clip


def main(argv: Sequence[str] | None = None) -> int:
    """Measure every case, print and save."""
    suite = common.Suite("training", __doc__, {"cpu": 3, "cuda": 3})
    suite.option("--reuse", type=int, nargs="+", default=[1, 8, 64], help="limits (default: 1 8 64)")
    suite.option("--seconds", type=float, default=1.0, help="of a block, at least (default: 1)")
    suite.option("--batch", type=int, help="samples per step (default: 4 on the CPU, 64 on a GPU)")
    suite.option("--compile", action="store_true", help="torch.compile the encoder")
    suite.option(
        "--growth", action=argparse.BooleanOptionalAction, help="how costs grow (default: on the CPU; it takes longest)"
    )
    args = suite.parse(argv)
    grows = suite.device == "cpu" if args.growth is None else args.growth
    facts: dict[str, Any] = {"holds_from_reuse": {}, "growth": {}, "load_at_start": round(os.getloadavg()[0], 1)}
    suite.facts |= {"bar": BAR, **facts}
    with videos.dataset(FILES[suite.device]) as dataset:
        for case in CASES[suite.device]:
            case = case._replace(batch=args.batch or case.batch)
            trainer = Trainer(case, dataset, suite.device, compiled=args.compile)
            facts["holds_from_reuse"][trainer.title] = compare(suite, trainer, sorted(args.reuse), args.seconds)
            if grows:
                facts["growth"][trainer.title] = growth(trainer, suite.rounds)
            suite.save()
    print(json.dumps(facts, indent=1, ensure_ascii=False))
    return suite.finish()


class Trainer:
    """An encoder with BSP's head, and feeds of batches for it."""

    def __init__(self, case: Case, dataset: Dataset, device: str, *, compiled: bool = False) -> None:
        self.case, self.dataset, self.device, self.compiled = case, dataset, device, compiled
        self.title = f"{case.encoder}, {case.frames}×{case.size}², batch {case.batch}"
        self.dtype = torch.bfloat16 if device == "cuda" else torch.float32
        # options of `feed`: a slot per file, whose windows are kept for good
        self.whole_bank = {"slots": len(dataset.segments), "reuse_min": 10**6, "reuse_max": None}
        net = encoder(case.encoder, frames=case.frames, size=case.size)
        self.colors = net.mean, net.std
        if compiled:
            net.compile()
        self.model = Model(net, bsp.Head(net.features, dataset.classes, bsp.Settings(frames=case.frames))).to(device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4, momentum=0.9)

    def step(self, clips: torch.Tensor, target: dict[str, torch.Tensor]) -> torch.Tensor:
        """The loss, after one update."""
        with torch.autocast("cuda", self.dtype) if self.device == "cuda" else nullcontext():
            loss, _ = self.model(clips, target)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def feed(self, **how: Any) -> gpuaug.Loader:
        """Batches, and at most four windows per sample in the bank unless `how` says otherwise."""
        case, (mean, std) = self.case, self.colors
        sample = functools.partial(bsp.sample, settings=bsp.Settings(frames=case.frames))
        return gpuaug.Loader(
            self.dataset.segments, sample, batch=case.batch, size=case.size,
            frames=WINDOW * case.frames, fps=case.fps, mean=mean, std=std, dtype=self.dtype, device=self.device,
            pairs=True, windows_per_sample=2, **{"slots": 4 * case.batch, "reuse_max": 32, **how},
        )  # fmt: skip

    def stock(self, windows: int, limit: int) -> int:
        """Batches that `windows` last for, each of which may be shown `limit` times; a sample shows two."""
        return -(-windows * limit // (2 * self.case.batch))


def batches(feed: gpuaug.Loader) -> Iterator[gpuaug.Batch]:
    """Those of step 0, 1, …"""
    return map(feed.batch, itertools.count())


def fill(feed: gpuaug.Loader) -> Iterator[gpuaug.Batch]:
    """The feed's batches once every slot of its bank has been filled."""
    stream = batches(feed)
    while feed.report()["decoded_windows"] < len(feed.bank.info):
        next(stream)
        time.sleep(0.01)
    return stream


def settle(feeds: dict[int, gpuaug.Loader]) -> None:
    """Let decoding that is under way end, so that it does not disturb the other candidates."""
    for feed in feeds.values():
        feed.settle()


def compare(suite: common.Suite, trainer: Trainer, limits: list[int], seconds: float) -> int | str:
    """Rows of a case; returns from which reuse limit on the ratio keeps the bar."""
    with ExitStack() as stack:
        feeds = {n: stack.enter_context(trainer.feed(reuse_min=n, reuse_max=n)) for n in limits}
        streams = {limit: batches(feed) for limit, feed in feeds.items()}
        kept = next(streams[limits[0]])
        frozen = kept.clips.clone(), kept.target
        same = (trainer.step(*frozen) for _ in itertools.count())
        times: dict[int, list[float]] = {0: [], **{limit: [] for limit in limits}}  # 0: the frozen batch
        facts: dict[int, list[dict[str, float]]] = {limit: [] for limit in limits}
        decoded = dict.fromkeys(limits, 0)  # windows, until the last block's end
        for _ in range(3):
            next(same)
        for i in range(suite.rounds):
            order = [0, *limits]
            for limit in order[i % len(order) :] + order[: i % len(order)]:
                settle(feeds)
                if limit == 0:
                    spent, steps = common.run_for(same, seconds, trainer.device, least=3)
                    times[0].append(spent / steps)
                    continue
                feed = feeds[limit]
                fresh = (trainer.step(batch.clips, batch.target) for batch in streams[limit])
                meanwhile = feed.report()["decoded_windows"] - decoded[limit]
                for _ in range(4 + trainer.stock(meanwhile, limit)):
                    next(fresh)
                before = feed.report()
                spent, steps = common.run_for(fresh, seconds, trainer.device, least=3)
                after = feed.report()
                decoded[limit] = after["decoded_windows"]
                times[limit].append(spent / steps)
                counts = ("decoded_windows", "rendered_windows", "wait_seconds")
                new, shown, waited = (after[name] - before[name] for name in counts)
                facts[limit].append({"wait_ms": 1000 * waited / steps, "echo": shown / max(1, new)})
        memory = torch.cuda.max_memory_allocated() / 2**20 if trainer.device == "cuda" else None
    return add_rows(suite, trainer.title, times, facts, memory)


def add_rows(
    suite: common.Suite, title: str, times: dict[int, list[float]], facts: dict[int, list[Any]], memory: float | None
) -> int | str:
    """Rows; returns the smallest limit from which on all keep the bar.

    >>> times = {0: [1.0, 1.0], 1: [2.0, 2.0], 8: [1.01, 1.01]}
    >>> facts = {1: [{"wait_ms": 900.0, "echo": 1.0}], 8: [{"wait_ms": 0.0, "echo": 8.0}]}
    >>> suite = common.Suite("training", "", {"cpu": 3, "cuda": 3})
    >>> add_rows(suite, "t", times, facts, None)
    8
    >>> [(row["name"], row["median"]) for row in suite.rows if row["unit"] == "×"]
    [('t: reuse 1, step / step on a frozen batch', 2.0), ('t: reuse 8, step / step on a frozen batch', 1.01)]
    >>> [row["limit"] for row in suite.rows if row["unit"] == "×"]
    ['decoding', 'encoder']
    """
    seconds = {limit: np.array(values) for limit, values in times.items()}
    suite.times(title, {"frozen batch": seconds[0]})
    start: int | str = "none measured"
    for limit in sorted(facts):
        mean = {k: round(float(np.mean([f[k] for f in facts[limit]])), 3) for k in ("wait_ms", "echo")}
        extra = mean if memory is None else {**mean, "memory_mib_all_feeds": round(memory)}
        cost, added = seconds[limit] / seconds[0], 1e3 * float(np.median(seconds[limit] - seconds[0]))
        keeps = np.median(cost) <= BAR
        stage = "encoder" if keeps else "decoding" if mean["wait_ms"] > added / 2 else "synthesis"
        suite.row(f"{title}: reuse {limit}", "ms", 1e3 * seconds[limit], **extra)
        suite.row(f"{title}: reuse {limit}, step / step on a frozen batch", "×", cost, limit=stage)
        start = "none measured" if not keeps else limit if isinstance(start, str) else start
    return start


def growth(trainer: Trainer, rounds: int) -> dict[str, Any]:
    """Exponents with which the costs of synthesis and of a step grow with batch, clip length and size."""
    found = {}
    for name in ("batch", "frames", "size"):
        value = getattr(trainer.case, name)
        values = [value // 2, value, 2 * value]
        costs: dict[str, list[NDArray]] = {"synthesis": [], "step": []}
        for v in values:
            case = trainer.case._replace(**{name: v})
            sized = Trainer(case, trainer.dataset, trainer.device, compiled=trainer.compiled)
            with sized.feed(**sized.whole_bank) as feed:
                stream = fill(feed)
                make: Callable[[], Any] = functools.partial(next, stream)
                costs["synthesis"].append(common.measure({"": make}, rounds=2 * rounds, device=trainer.device)[""])
                kept = next(stream)
                step = functools.partial(sized.step, kept.clips, kept.target)
                least = max(3, rounds // 2)
                costs["step"].append(common.measure({"": step}, rounds=least, warmup=1, device=trainer.device)[""])
        for what, measured in costs.items():
            slopes = [exponent(values, list(each)) for each in zip(*measured)]
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
