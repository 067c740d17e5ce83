"""One HTML page of what training would see: frames, where they come from, targets.

It takes the flags of `train`, so that a run can be looked at before it is started.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..common.cli import command, make, prog
from ..common.distributed import Group
from ..common.settings import check, setting
from ..feed.loaders import EncoderInput
from ..models.encoders import encoder
from ..reports.samples import pictures, window_names, write_page
from ..tasks.task import load_cards
from ..training.run_folder import RunFolder
from ..training.session import make_loader, read_data
from ..training.settings import check_files, parse

USUAL = ("task", "recipe", "config", "videos", "annotations", "val_videos", "out", "size", "fps", "window_frames")
EXAMPLES = (
    "--task bsp --videos videos --out look",
    "--task pal --videos videos --out look --samples 4",
    "--task tsp --videos untrimmed --annotations truth.json --out look",
)


@dataclass(frozen=True, kw_only=True)
class PreviewSettings:
    """Of this command alone."""

    samples: int = setting(16, "samples on the page", least=1, short="-n", saved=False)

    def __post_init__(self) -> None:
        check(self)


@command("preview")
def main(argv: Sequence[str] | None = None) -> int:
    """Write OUT/preview.html; 0 done, 1 failed, 2 wrong usage."""
    about = {"description": __doc__, "examples": EXAMPLES, "usage": "--task TASK --videos PATH [PATH …] --out DIR"}
    settings, task, values = parse(argv, prog=prog("preview"), extra={"page": PreviewSettings}, usual=USUAL, **about)
    samples = make(PreviewSettings, values).samples
    settings = replace(settings, feed=replace(settings.feed, batch=samples, deterministic=True))
    group = Group()
    record = RunFolder(settings.run.out, writes=False, quiet=settings.run.quiet, speaks=True)
    check_files(settings)
    net = encoder(settings.encoder.encoder, frames=settings.encoder.frames, size=settings.encoder.size)
    train_set, _ = read_data(settings, task, group, record)
    want = EncoderInput(net.mean, net.std, torch.float32, torch.device("cpu"))
    with make_loader(settings, task, train_set, want, train=True, group=group) as loader:
        batch = loader.batch(0)
        record.say(f"drawing {samples} samples")
        shown = pictures(batch.clips, net.mean, net.std)
        page = load_cards(settings.task)(batch, shown, window_names(loader.bank, batch.plan, train_set), train_set)
        failures = loader.report()["failures"]
    file = Path(settings.run.out) / "preview.html"
    lead = f"{train_set}; seed {settings.run.seed}; {len(page)} samples."
    write_page(file, f"What {settings.task.upper()} training sees", lead, page, train_set.skipped)
    record.name("skipped", ((each["path"], each["reason"]) for each in failures))
    print(file)
    print(f"next: open the page; {prog('train')} takes the same flags, with another --out", file=sys.stderr)
    return 0
