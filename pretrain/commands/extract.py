"""Features of whole videos from sliding clips, for localisers and for TSP's GVF.

A clip has FRAMES frames at FPS frames per second; the next one starts STRIDE frames later. A video gives one row of F
features per clip, floor((frames - clip) / stride) + 1 in all. The JSON file written beside the features says so, with
the model, and names what could not be done. A run that was stopped is finished by the same command.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from ..common.cli import command, next_step, prog, read
from ..common.distributed import start
from ..features.extract import extract
from ..features.settings import ExtractSettings

USUAL = (
    "videos",
    "out",
    "checkpoint",
    "encoder",
    "init",
    "fps",
    "stride",
    "pool",
    "rescale",
    "device",
    "batch",
    "config",
)
EXAMPLES = (
    "--checkpoint run --videos untrimmed --out features",
    "--checkpoint run --videos untrimmed --out gvf.h5 --pool max",
    "--encoder r2plus1d_18 --init r2plus1d_18.pth --videos untrimmed --out features --stride 4",
)


@command("extract", goes_on=True)
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 done, with a report; 1 nothing could be done; 2 wrong usage."""
    settings: ExtractSettings
    about = {"prog": prog("extract"), "description": __doc__, "usual": USUAL, "examples": EXAMPLES}
    usage = "(--checkpoint RUN | --encoder NAME --init FILE) --videos PATH [PATH …] --out DIR|FILE.h5"
    (settings,) = read(argv, {"input and output": ExtractSettings}, usage=usage, **about)
    # gloo on GPUs too: only lists of names are exchanged; and processes may take very different times
    group = start("cpu", timeout=timedelta(days=30))
    try:
        status = extract(settings, group)
    finally:
        group.close()
    if status == 0 and group.main and not settings.pool:
        found = ("--annotations", "ANNOTATIONS.json", "--out", "detections.json")
        next_step("localize", "--features", settings.out, *found)
    return status
