"""Pre-train an encoder with BSP, PAL or TSP on a folder of videos."""

from __future__ import annotations

from collections.abc import Sequence

from ..common.cli import command, next_step, prog
from ..common.distributed import pick_device, start
from ..training.run_folder import RunFolder
from ..training.session import dry_run, run
from ..training.settings import parse

EXAMPLES = (
    "--task bsp --videos videos --out run --encoder tsm_resnet50 --init resnet50.pth",
    "--task bsp --videos videos --out small --encoder tsm_resnet18 --size 64 --batch 8",
    "--task tsp --videos untrimmed --annotations truth.json --out tsp",
    "--task bsp --videos videos --out run --resume",
)


@command("train")
def main(argv: Sequence[str] | None = None) -> int:
    """0 finished, 1 failed or stopped before its end (one line on standard error), 2 wrong usage."""
    usage = "--task TASK --videos PATH [PATH …] --out DIR"
    settings, task, _ = parse(argv, prog=prog("train"), usage=usage, description=__doc__, examples=EXAMPLES)
    told = settings.run
    if told.dry_run:
        print(*dry_run(settings, task), sep="\n")
        return 0
    device = pick_device(told.device)
    group = start(device.type)
    record = RunFolder(told.out, writes=group.main, tensorboard=told.tensorboard, quiet=told.quiet)
    try:
        status = run(settings, task, device=device, group=group, record=record)
    finally:
        record.close()
        group.close()
    if status == "finished" and group.main:
        next_step("report", told.out)
    return 0 if status == "finished" else 1
