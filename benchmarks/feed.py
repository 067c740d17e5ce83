"""How many BSP samples a second come from files, as normalised batches? `python -m benchmarks.feed [--device cpu|cuda]`

From H.264 files of 256 × 340, 10 s, key frames 250 apart, made on the spot. Clocks start when the stock of decoded
windows is used up. The limiting stage is decoding where the feed waits for it most of the time.

On the CPU: 8 frames of 112², float32 (N, C, T, Y, X), also from the folder `actions` of real clips in GPUAUG_DATA or
../shared/data, where there is one. Ours is the feed of the training loop at a reuse of 1 and of 8; the other is torch's
DataLoader with 2 workers, in which torchcodec decodes just the frames that a sample shows, straight to the size of our
bank, and torchvision v2 crops, resizes, flips and normalises. Its plans are drawn beforehand by the same `sample` of
BSP from windows of the same files, so that it makes the same kinds of sample and pays nothing for planning.

On a GPU: 8 frames of 224², bfloat16, at reuse limits of 1, 8 and 64; and the time that the host spends on one batch
when every window is in the bank. What a DataLoader makes on the same cores is in the CPU's suite.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

import gpuaug
from pretrain.data.dataset import Dataset, read_videos
from pretrain.models.networks import KINETICS
from pretrain.tasks.bsp import task as bsp

from . import common, videos
from .peers import decoders
from .peers.dataloader import Samples
from .training import FILES as TRAINING_FILES
from .training import Case, Trainer, batches, fill

BATCH, FRAMES, SIZE, BANK = 16, 8, 112, (128, 171)
NEED = 26  # frames that the fastest of BSP's changes of speed reaches over; shorter clips are left out
# frames of a window and their rate: BSP's recipe, at a reuse of 1 the same seconds at half its rate; short real clips
WINDOWS = {"made": ((32, 3.75), (64, 7.5)), "actions": ((32, 15.0), (32, 15.0))}  # at a reuse of 1, of more
FILES, SLOTS = 12, 48
CUDA_FILES = TRAINING_FILES["cuda"]
sample = functools.partial(bsp.sample, settings=bsp.Settings(frames=FRAMES))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure every source of videos, print and save."""
    suite = common.Suite("feed", __doc__, {"cpu": 3, "cuda": 3}, smoke=True)
    suite.option("--seconds", type=float, default=4.0, help="of measuring per candidate and round (default: 4)")
    suite.option("--reuse", type=int, nargs="+", help="limits (default: 1 8, on a GPU 1 8 64)")
    suite.option("--source", choices=("made", "actions"), help="on the CPU: only this one (default: both)")
    args = suite.parse(argv)
    if suite.device == "cuda" or suite.smoke:
        on_cuda(suite, args.reuse or [1, 8, 64], args.seconds)
    elif decoders.can_load_torchcodec():
        on_cpu(suite, args.source, args.reuse or [1, 8], args.seconds)
    else:
        return decoders.run_with_pyavs_libraries("feed", argv)
    return suite.finish()


def on_cpu(suite: common.Suite, only: str | None, limits: list[int], seconds: float) -> None:
    """Our feed and the DataLoader, from made and from real videos."""
    suite.facts["batch"] = BATCH
    real = Path(os.environ.get("GPUAUG_DATA") or common.ROOT.parent.parent / "shared" / "data") / "actions"
    if only != "actions":
        with videos.dataset(FILES) as made:
            compare(suite, "made", made, limits, seconds)
    if only != "made" and real.is_dir():
        compare(suite, "actions", read_videos(real, cache=False), limits, seconds)


def compare(suite: common.Suite, source: str, dataset: Dataset, limits: list[int], seconds: float) -> None:
    """Rows for one source: samples a second of the candidates, and the ratios."""
    once, often = WINDOWS[source]
    need = max(NEED / fps for _, fps in (once, often)) + 0.05
    dataset = dataset.take(sorted({s.video for s in dataset.segments if s.end_seconds - s.start_seconds > need}))
    rates: dict[str, list[float]] = {"DataLoader": [], **{f"reuse {reuse}": [] for reuse in limits}}
    facts: dict[str, dict[str, Any]] = {name: {} for name in rates}
    for seed in range(suite.rounds):
        rates["DataLoader"].append(dataloader(dataset, often, seconds, seed))
        for reuse in limits:
            name, window = f"reuse {reuse}", once if reuse == 1 else often
            rate, facts[name] = ours(dataset, window, reuse, seconds, seed)
            rates[name].append(rate)
    for name, values in rates.items():
        suite.row(f"{source}: {name}", "samples/s", np.array(values), **facts[name])
    for name in list(rates)[1:]:
        suite.row(f"{source}: {name} against DataLoader", "×", np.array(rates[name]) / rates["DataLoader"])


def ours(
    dataset: Dataset, window: tuple[int, float], reuse: int, seconds: float, seed: int
) -> tuple[float, dict[str, Any]]:
    """Samples a second of the feed in its steady state, and what limits it."""
    mean, std = KINETICS
    with gpuaug.Loader(
        dataset.segments, sample, batch=BATCH, frames=window[0], fps=window[1], size=SIZE, mean=mean, std=std,
        bank_size=BANK, pairs=True, slots=SLOTS * (1 if reuse == 1 else 2), reuse_max=reuse, seed=seed,
    ) as feed:  # fmt: skip
        stream = batches(feed)
        while feed.report()["rendered_windows"] < reuse * len(feed.bank.info):
            next(stream)
        assert next(stream).clips.shape == (BATCH, 3, FRAMES, SIZE, SIZE)
        return steady(feed, stream, "cpu", seconds)


def dataloader(dataset: Dataset, window: tuple[int, float], seconds: float, seed: int) -> float:
    """Samples a second of the DataLoader once its workers run."""
    samples = Samples(dataset, sample, window, SIZE, BANK, seed)
    stream = iter(DataLoader(samples, batch_size=BATCH, num_workers=2, persistent_workers=True))
    for _ in range(4):
        clips, _ = next(stream)
    assert clips.shape == (BATCH, 3, FRAMES, SIZE, SIZE)
    assert torch.isfinite(clips).all()
    spent, count = common.run_for(stream, seconds, "cpu")
    return BATCH * count / spent


def on_cuda(suite: common.Suite, limits: list[int], seconds: float) -> None:
    """Samples a second at each limit, and the host's time of a batch from a full bank."""
    files, batch, size = (8, 4, 32) if suite.smoke else (CUDA_FILES, 64, 224)  # two files per class at least
    suite.facts["batch"] = batch
    with videos.dataset(files, 90 if suite.smoke else videos.FRAMES) as dataset:
        case = Case("tsm_resnet18", batch, FRAMES, size, 30.0)
        trainer = Trainer(case, dataset, suite.device)
        for reuse in limits:
            with trainer.feed(reuse_min=reuse, reuse_max=reuse) as feed:
                stream = batches(feed)
                for _ in range(trainer.stock(len(feed.bank.info), reuse)):
                    next(stream)
                rounds = [steady(feed, stream, suite.device, seconds) for _ in range(suite.rounds)]
            suite.row(f"reuse {reuse}", "samples/s", np.array([rate for rate, _ in rounds]), **rounds[-1][1])
            suite.save()
        with trainer.feed(**trainer.whole_bank) as feed:
            limit = "planning and queueing" if suite.device == "cuda" else "rendering"
            suite.host_time(f"host time of a batch of {batch}", functools.partial(next, fill(feed)), limit=limit)


def steady(
    feed: gpuaug.Loader, stream: Iterator[gpuaug.Batch], device: str, seconds: float
) -> tuple[float, dict[str, Any]]:
    """Samples a second for so long, and the reuse, the share of waiting and the limit in that time."""
    before = feed.report()
    spent, count = common.run_for(stream, seconds, device)
    after = feed.report()
    decoded, shown = (after[name] - before[name] for name in ("decoded_windows", "rendered_windows"))
    waiting = (after["wait_seconds"] - before["wait_seconds"]) / spent
    limit = "decoding" if waiting > 0.5 else "rendering"
    return feed.batch_size * count / spent, {
        "echo": round(shown / max(1, decoded), 2),
        "waiting": round(waiting, 2),
        "limit": limit,
    }


if __name__ == "__main__":
    raise SystemExit(main())
