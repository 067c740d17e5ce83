"""One HTML page of what training would see: frames, where they come from, targets.

It takes the flags of `train`, so that a run can be looked at before it is started.
"""

from __future__ import annotations

import argparse
import functools
import importlib
from collections.abc import Sequence
from pathlib import Path

import torch

from ..common.cli import command, prog, take_options
from ..common.distributed import Group
from ..models.encoders import encoder
from ..reports.samples import pictures, window_names, write_page
from ..training.run_folder import RunFolder
from ..training.session import make_feed, read_data
from ..training.settings import parse


@command("preview")
def main(argv: Sequence[str] | None = None) -> int:
    """Write OUT/preview.html; 0 done, 1 failed, 2 wrong usage."""
    own = argparse.ArgumentParser(add_help=False)
    own.add_argument("-n", "--samples", type=int, default=16, help="samples on the page (default %(default)s)")
    args, task = parse(argv, prog=prog("preview"), parents=[own])
    if args.samples < 1:
        raise ValueError(f"--samples must be ≥ 1, got {args.samples}")
    args.batch, args.deterministic, args.precision = args.samples, True, "fp32"
    group = Group()
    record = RunFolder(args.out, writes=False, quiet=args.quiet)
    train_set, _ = read_data(args, group, record)
    net = encoder(args.encoder, frames=args.frames, size=args.size)
    sample = functools.partial(task.sample, **take_options(task.sample, args))
    feed = make_feed(
        args, net, train_set, train=True, sample=sample, dtype=torch.float32, device=torch.device("cpu"), group=group
    )
    with feed:
        batch = feed.batch(0)
        cards = importlib.import_module(f"{task.__package__}.card").cards
        page = cards(batch, pictures(batch.clips, net.mean, net.std), window_names(feed.bank, train_set), train_set)
        failures = feed.report()["failures"]
    file = Path(args.out) / "preview.html"
    lead = f"{train_set}; seed {args.seed}; {len(page)} samples."
    write_page(file, f"What {args.task} training sees", lead, page)
    for failure in failures:
        print(f"skipped {failure['path']}: {failure['reason']}")
    print(file)
    return 0
