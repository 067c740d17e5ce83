"""Settings of `localize`: its files, and how the localiser learns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..common.distributed import DEVICES
from ..common.settings import BadSetting, check, required, setting


@dataclass(frozen=True, kw_only=True)
class LocalizeSettings:
    """What is read and written."""

    features: Path = required("folder or HDF5 file written by extract", metavar="PATH")
    annotations: Path = required(
        "ActivityNet or THUMOS14 JSON, THUMOS14's folder of text files, or CrossTask's of CSVs", metavar="PATH"
    )
    val_list: Path | None = setting(
        None, "CrossTask's list of held-out videos: the subset validation; the others are training", metavar="FILE"
    )
    out: Path = required("predictions, or scores of 0.2 s for steps (JSON)", metavar="FILE")
    proposals: Path | None = setting(None, "write the proposals without class there as well", metavar="FILE")
    video_scores: Path | None = setting(
        None, "classification results JSON in place of the classifier of proposals", metavar="FILE"
    )
    train_subset: str = setting("training", "subset to learn from")
    subset: str = setting("validation", "subset to localise")
    task: Literal["detection", "steps"] = setting("detection", "segments with labels, or actionness every 0.2 s")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class LocalizerSettings:
    """How the localiser learns and localises. Errors: ValueError for what is out of range."""

    mode: Literal["rescale", "windows"] = setting(
        "rescale", "rescale interpolates every video to one window; windows slides one over the rows, half overlapping"
    )
    length: int | None = setting(
        None,
        "snippets of a window; without it 100 for rescale (BMN, ActivityNet), 256 for windows (G-TAD, THUMOS14)",
        least=1,
    )
    max_duration: int | None = setting(
        None, "longest proposal in snippets; without it the length for rescale (BMN), 64 for windows (G-TAD)", least=1
    )
    labels: int = setting(
        1, "classes given to each proposal, the best first; score = proposal's score · class probability", least=1
    )
    keep: int = setting(100, "proposals per video after soft-NMS (ActivityNet's results have 100)", least=1)
    epochs: int | None = setting(
        None, "passes over the training windows; without it 20, or as many as make 200 steps (ours)", least=1
    )
    batch: int = setting(16, "windows per step (BMN: 16)", least=1)
    lr: float = setting(1e-3, "learning rate of Adam (BMN: 0.001), a tenth for the last 30 % of the steps", above=0)
    width: int = setting(32, "channels of the map of proposals (BMN has 128, its sampled features 512; ours)", least=1)
    samples: int = setting(16, "sample points per proposal (BMN has 32; ours)", least=1)
    dropout: float = setting(
        0.5,
        "fraction of the features left out in training (BMN: none; ours, for sets of tens of videos)",
        least=0,
        most=1,
    )
    memory: int = setting(
        1024, "of features that are kept; the others are read again in every epoch", least=1, metavar="MIB"
    )
    seed: int = setting(0, "of the initial weights and the order of the windows")
    device: str = setting("auto", DEVICES)

    def __post_init__(self) -> None:
        check(self)
        if self.max_duration is not None and self.max_duration > self.snippets:
            raise BadSetting("max_duration", f"≤ the length, {self.snippets}", self.max_duration)

    @property
    def snippets(self) -> int:
        """Of a window."""
        return self.length or (100 if self.mode == "rescale" else 256)

    @property
    def longest(self) -> int:
        """Snippets of the longest proposal."""
        return self.max_duration or (self.snippets if self.mode == "rescale" else min(64, self.snippets))
