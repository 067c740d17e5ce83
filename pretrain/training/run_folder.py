"""The run folder: config.json, log.jsonl, summary.json, the progress bar, TensorBoard."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

import gpuaug

from ..common.files import atomic, jsonable, new_text, write_json
from ..common.lock import FolderLock
from .scores import Wrong

MOST_FRAMES = 16  # of a sample that is kept to be looked at
MOST_NAMED, REASONS = 10, 3  # files, and reasons for leaving files out, that are told of at a time


class RunFolder:
    """What a run leaves behind. Only the first process writes; the others' calls do nothing.

    The folder is this run's until `close`: a lock on its file .lock, which ends with the process, however it ends.

    Args:
        folder: created if need be.
        writes: is this the process that writes?
        tensorboard: also write event files into the folder.
        quiet: no progress bar.
        speaks: does `say` print? As `writes`, if it is not said.

    Errors (ValueError): another run has the folder.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        writes: bool = True,
        tensorboard: bool = False,
        quiet: bool = False,
        speaks: bool | None = None,
    ) -> None:
        self.folder, self.writes, self.quiet = Path(folder), writes, quiet
        self.speaks = writes if speaks is None else speaks
        self._bar: tqdm | None = None
        self._board: Any = None
        self._lock: FolderLock | None = None
        self._named: set[tuple[str, str]] = set()
        if not writes:
            return
        self._lock = FolderLock(self.folder, f"--out {self.folder}", self.say)
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise ValueError("--tensorboard needs tensorboard: pip install 'gpuaug[tensorboard]'") from None
            self._board = SummaryWriter(str(self.folder))

    def json(self, name: str, content: dict[str, Any]) -> None:
        """Write a JSON file that is complete whenever it exists; numbers that JSON lacks become null."""
        if self.writes:
            write_json(self.folder / name, content)

    def log(self, row: dict[str, Any]) -> None:
        """Add a line to log.jsonl."""
        if not self.writes:
            return
        with open(self.folder / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(jsonable(row)) + "\n")
        if self._board:
            for name, value in _flat(row):
                self._board.add_scalar(name, value, row["step"])

    def rewind(self, step: int) -> None:
        """Drop the log's lines after `step`, which will be written again, and a half-written last one."""
        path = self.folder / "log.jsonl"
        if not self.writes or not path.exists():
            return
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
            except (ValueError, KeyError):
                continue
        with new_text(path) as log:
            log.writelines(kept)

    def clips(self, step: int, clip_NCTYX: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Show a few samples in TensorBoard, each as a row of frames."""
        if self._board:
            some = clip_NCTYX[:4].float().cpu()
            some = some * torch.tensor(std)[:, None, None, None] + torch.tensor(mean)[:, None, None, None]
            rows = some.clamp(0, 1).permute(1, 0, 3, 2, 4).flatten(3).flatten(1, 2)  # C, N·Y, T·X
            self._board.add_image("clips", rows, step)

    def wrong(self, samples: Sequence[Wrong], segments: Sequence[gpuaug.Segment]) -> None:
        """Keep held-out samples that were not told right: wrong.jpg, a row of frames each, and wrong.json, in words."""
        path = self.folder / "wrong.jpg"
        if not self.writes:
            return
        path.unlink(missing_ok=True)
        frames = (each.frames_TYXC[:: max(1, len(each.frames_TYXC) // MOST_FRAMES)] for each in samples)
        rows = [np.concatenate(list(some[:MOST_FRAMES]), 1) for some in frames]
        if rows:
            with atomic(path) as part:
                Image.fromarray(np.concatenate(rows)).save(part, "JPEG", quality=88)
        told = [
            {"score": each.score, "truth": each.truth, "prediction": each.prediction}
            | {"video": Path(segments[each.segment].path).name, "start_seconds": segments[each.segment].start_seconds}
            for each in samples
        ]
        self.json("wrong.json", {"samples": told})

    def bar(self, total: float, done: float, text: str, unit: str) -> None:
        """Move the progress bar to `done` of `total`."""
        if not self.writes or self.quiet:
            return
        form = "{l_bar}{bar}| {n:.0f}/{total:.0f} {unit} [{elapsed}<{remaining}]{postfix}"
        form = form if unit == "steps" else form.replace(".0f", ".1f")
        with suppress(OSError):  # of a terminal that was closed: the run goes on, or saves what it has
            if self._bar is None:
                self._bar = tqdm(total=total, initial=done, desc="training", unit=unit, bar_format=form, disable=None)
            self._bar.n = min(done, total)
            self._bar.set_postfix_str(text, refresh=True)

    def say(self, text: str) -> None:
        """Print a line on standard error, above the bar."""
        if self.speaks:
            with suppress(OSError):  # of a terminal that was closed
                tqdm.write(text, file=sys.stderr)

    def skipped(self, files: Sequence[tuple[str, str]], total: int, *, hint: str = "") -> None:
        """Say in one line how many of `total` were left out, and why, and the hint; skipped.csv names them."""
        path = self.folder / "skipped.csv"
        if self.writes:
            path.unlink(missing_ok=True)  # of an earlier run
        if not files:
            return
        where = ""
        if self.writes:
            with new_text(path) as file:
                csv.writer(file, lineterminator="\n").writerows([("path", "reason"), *files])
            where = f"; {path} names them"
        reasons = Counter(reason for _, reason in files).most_common()
        told = [f"{count:,} {reason}" for reason, count in reasons[:REASONS]]
        rest = sum(count for _, count in reasons[REASONS:])
        told += [f"{rest:,} for other reasons"] * bool(rest)
        self.say(f"{len(files):,} of {total:,} left out: {'; '.join(told)}{hint}{where}")

    def name(self, what: str, files: Iterable[tuple[str, str]]) -> None:
        """Say of files, (path, reason), what was noticed on the way, each once; of many at a time the first ones."""
        new: dict[str, str] = {}
        for path, reason in files:
            if (what, path) not in self._named:
                new.setdefault(path, reason)
        self._named.update((what, path) for path in new)
        for path, reason in list(new.items())[:MOST_NAMED]:
            self.say(f"{what} {path}: {reason}")
        if len(new) > MOST_NAMED:
            self.say(f"{what} {len(new) - MOST_NAMED:,} other files")

    def close(self) -> None:
        if self._bar is not None:
            with suppress(OSError):
                self._bar.close()
            self._bar = None
        if self._board:
            self._board.close()
        if self._lock is not None:
            self._lock.close()


def _flat(row: dict[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    found = []
    for name, value in row.items():
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and name != "step":
            found.append((prefix + name, value))
    return found
