"""Pre-train an encoder with BSP, PAL or TSP on a folder of videos."""

from __future__ import annotations

from collections.abc import Sequence

from ..common.cli import command, prog
from ..common.distributed import pick_device, start
from ..training.run_folder import RunFolder
from ..training.session import run
from ..training.settings import parse


@command("train")
def main(argv: Sequence[str] | None = None) -> int:
    """0 finished, 1 failed or stopped before its end (one line on standard error), 2 wrong usage."""
    args, task = parse(argv, prog=prog("train"))
    device = pick_device(args.device)
    group = start(device.type)
    record = RunFolder(args.out, writes=group.main, tensorboard=args.tensorboard, quiet=args.quiet)
    try:
        status = run(args, task, device=device, group=group, record=record)
    finally:
        record.close()
        group.close()
    return 0 if status == "finished" else 1
