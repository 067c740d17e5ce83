"""Thresholds, and the weights of the package, by synthesised validation alone: no real edited video is looked at.

Windows of 200 frames over clips that training never saw, edited as in training; about half as much happens to their
pictures as there, with three traps a minute. Thresholds are chosen one after the other, by the greatest mean of F1, in
which jumps count too, the mean IoU of gradual ranges, and the share of jumps found, less a cost of false alarms beyond
one a minute.
CHECKPOINT… are compared; the best one is written with its thresholds to --out, in 16 bits, what was found to --told.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

import gpuaug
from pretrain.common.cli import command
from pretrain.common.files import write_json
from pretrain.evaluation.shots import Range, judge, measures
from pretrain.shots.boundaries import FAMILIES, Thresholds, boundaries, runs
from pretrain.shots.detect import Detector
from pretrain.shots.network import MEAN, SIZE, STD
from pretrain.tasks.shots import looks, task

# Training weighs new shots and jumps by six, so that even odds are at 0.86.
SURE = (0.5, 0.6, 0.7, 0.8, 0.86, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99)
GRID = {"gradual": (0.1, 0.3, *SURE), "cut": SURE, "jump": SURE, "inside": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)}
FALSE, COST = 1.0, 0.05  # false alarms a minute that are allowed, and what each further one costs
FRAMES, BATCH, LONG = 200, 8, 160


@command("choose")
def main(argv: Sequence[str] | None = None) -> None:
    """0 done, 1 failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shots.choose", description=__doc__)
    add = parser.add_argument
    add("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT")
    add("--clips", type=Path, required=True, help="clips that training never saw (sources' OUT/held)")
    add("--batches", type=int, default=16, help=f"of {BATCH} windows (default %(default)s)")
    add("--seed", type=int, default=1)
    add("--out", type=Path, required=True, help="weights with thresholds")
    add("--told", type=Path, help="JSON of what was found")
    args = parser.parse_args(argv)
    samples = list(tqdm(validation(args.clips, args.batches, args.seed), "samples", total=args.batches))
    told: dict[str, Any] = {}
    best = -1.0
    for path in args.checkpoints:
        detector = Detector(path)
        seen = [(detector.look(small), truth) for pictures, truths in samples for small, truth in zip(pictures, truths)]
        thresholds, found = choose(seen)
        told[path.name] = {"thresholds": asdict(thresholds), **found}
        print(path, thresholds, {name: round(value, 3) for name, value in found.items()})
        if found["value"] > best:
            best = found["value"]
            detector.thresholds = thresholds
            detector.save(args.out)
    if args.told:
        write_json(args.told, {"windows": args.batches * BATCH, "frames": FRAMES, "checkpoints": told})


def validation(folder: Path, batches: int, seed: int) -> Any:
    """Batches of (pictures uint8 (N, T, SIZE, SIZE, 3), the true ranges of every sample)."""
    paths = sorted(folder.glob("*/*.mp4"))
    clips = [_decoded(path) for path in paths]
    names = sorted({path.parent for path in paths})
    place = np.arange(len(clips))
    bank = gpuaug.ClipBank(len(clips), max(map(len, clips)), 1, 1)
    label = np.array([names.index(path.parent) for path in paths])
    bank.reserve(place, {"video": place, "label": label, "frames": np.array([len(each) for each in clips])})
    settings, noise = task.Settings(frames=FRAMES, deployed=0.5, traps=0.1), looks.noise(SIZE)
    for number in range(batches):
        plan, target = task.sample(np.random.default_rng((seed, number)), bank, BATCH, settings)
        shown = gpuaug.render(clips, plan, size=(SIZE, SIZE), dtype=torch.float32)
        drawn = {name: torch.from_numpy(value) for name, value in target.items()}
        there = task.seen((shown - MEAN) / STD, drawn["jump"]).numpy() > 0
        pictures = looks.apply(shown, drawn, noise).permute(0, 2, 3, 4, 1)
        yield (pictures * 255 + 0.5).to(torch.uint8).numpy(), _truth(target, there)


def _decoded(path: Path) -> torch.Tensor:
    """Frames of a clip; short ones go back and forth, so that long shots need not be slowed down."""
    with av.open(str(path)) as file:
        some: list[Any] = [
            frame.reformat(width=40, height=40, format="rgb24", interpolation="AREA").to_ndarray()
            for frame in file.decode(video=0)
        ]
    while len(some) < LONG:
        some += some[-2::-1]
    return torch.from_numpy(np.stack(some[:LONG]))


def _truth(target: dict[str, NDArray], there: NDArray[np.bool_]) -> list[list[Range]]:
    found = []
    for n in range(len(there)):
        new, inside, jump, family = (target[name][n] for name in ("new", "inside", "jump", "family"))
        ranges = [Range(a, b, FAMILIES[family[a]]) for a, b in runs(inside > 0)]
        ranges += [Range(t, t, "cut") for t in np.flatnonzero((new > 0) & (inside == 0)).tolist()]
        ranges += [Range(t, t, "jump") for t in np.flatnonzero((jump > 0) & there[n]).tolist()]
        found.append(sorted(ranges))
    return found


def choose(seen: Any) -> tuple[Thresholds, dict[str, float]]:
    """The thresholds of the grid that serve best, and what they find: one after the other, twice."""
    best = Thresholds()
    kept = score(seen, best)
    for name, values in (*GRID.items(), *GRID.items()):
        for value in values:
            tried = replace(best, **{name: value})
            found = score(seen, tried)
            if found["value"] > kept["value"]:
                best, kept = tried, found
    return best, kept


def score(seen: Any, thresholds: Thresholds) -> dict[str, float]:
    """F1, F1 with jumps, IoU, jumps found, false alarms a minute at 30 frames per second, and what is chosen by."""
    judged, frames = {}, 0
    for number, ((mark_TM, family_TK), truth) in enumerate(seen):
        found = [Range(b.first, b.last, b.kind) for b in boundaries(mark_TM, family_TK, FAMILIES, thresholds)]
        judged[str(number)] = judge(found, truth)
        frames += len(mark_TM)
    hit = [each for one in judged.values() for each in one.hit]
    false = sum(len(one.false) for one in judged.values())
    every = 2 * sum(hit) / max(1, sum(hit) + false + len(hit))
    told = measures(judged, frames / 1800)
    keep = {name: float(told[name]) for name in ("f1", "gradual_iou", "jump_recall", "false_per_minute")}
    cost = COST * max(0.0, keep["false_per_minute"] - FALSE)
    return {**keep, "f1_with_jumps": every, "value": (every + keep["gradual_iou"] + keep["jump_recall"]) / 3 - cost}


if __name__ == "__main__":
    sys.exit(main(None))
