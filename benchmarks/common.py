"""What every benchmark shares: its options, timing of interleaved candidates, and results as JSON.

A JSON says what it ran on; a candidate that is absent, fails or differs is named in it with the reason.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import platform
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import gpuaug
from pretrain.common.environment import commit, usable_cores, versions

ROOT = Path(__file__).parent
RESULTS = "GPUAUG_RESULTS"  # environment variable: folder of the JSON files; without it, results/<version>
PAUSE_CYCLES = 10_000_000  # of the device before each measurement, some 5 ms
Candidates = dict[str, Callable[[], Any]]


def measure(
    candidates: Candidates, *, rounds: int, warmup: int = 2, device: str = "cpu"
) -> dict[str, NDArray[np.float64]]:
    """Seconds (rounds,) of every candidate. Each round runs all of them, so that they share noise, in a new order: with
    always the same predecessor, one would find its sources in the caches, and another never.

    With device "cuda" the time between two CUDA events is taken, behind a pause of the device in which the host queues
    the work: the device's time, unless a candidate takes longer to queue than to run. With "processor" it is the time
    that this process had on a processor, of all its threads: neighbours change that less.
    """
    for _ in range(warmup):
        for run in candidates.values():
            run()
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    rng = np.random.default_rng(0)
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name in rng.permutation(list(candidates)):
                seconds[name].append(_seconds(candidates[name], device))
    finally:
        gc.enable()
    return {name: np.array(values) for name, values in seconds.items()}


def _seconds(run: Callable[[], Any], device: str) -> float:
    if device in ("cpu", "processor"):
        clock = time.perf_counter if device == "cpu" else time.process_time
        now = clock()
        run()
        return clock() - now
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    torch.cuda._sleep(PAUSE_CYCLES)
    begin.record()
    run()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1000


def synchronize(device: str) -> None:
    """Wait for a GPU; nothing on the CPU."""
    if device == "cuda":
        torch.cuda.synchronize()


def run_for(stream: Iterator[Any], seconds: float, device: str, *, least: int = 1) -> tuple[float, int]:
    """Take items for so long, and so many at least: the seconds with the device's work for them, and how many."""
    synchronize(device)
    begin, count = time.perf_counter(), 0
    while count < least or time.perf_counter() - begin < seconds:
        next(stream)
        count += 1
    synchronize(device)
    return time.perf_counter() - begin, count


class Suite:
    """One benchmark: its options, and what it found on one device.

    Args:
        question: its name; the JSON's has the device behind it.
        doc: of the module; what follows the first paragraph describes the work in the JSON.
        rounds: how many by default, by device.
        smoke: does the GPU have cases of its own, of which --smoke runs a small one on the CPU?
        saved_as: its name in results, where that is another.

    Attributes: device, rounds and smoke as asked for; rows of the results; absent: {candidate: why it was left out};
    facts: what else the JSON says.
    """

    def __init__(
        self, question: str, doc: str, rounds: Mapping[str, int], *, smoke: bool = False, saved_as: str = ""
    ) -> None:
        self.name = saved_as or question
        self.rows: list[dict[str, Any]] = []
        self.absent: dict[str, str] = {}
        self.facts: dict[str, Any] = {"work": " ".join(doc.partition("\n\n")[2].split()), "left_out": self.absent}
        self._rounds = rounds
        self._parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{question}", description=doc)
        self.option = self._parser.add_argument
        self.option("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
        self.option("--rounds", type=int, help=f"default: {rounds['cpu']}, on a GPU {rounds['cuda']}")
        self.option("--no-save", action="store_true", help="only print")
        if smoke:
            self.option("--smoke", action="store_true", help="what a GPU is asked, small, on the CPU; only print")
        self._parser.set_defaults(smoke=False)

    def parse(self, argv: Sequence[str] | None) -> argparse.Namespace:
        args = self._parser.parse_args(argv)
        if args.device == "cuda" and (args.smoke or not torch.cuda.is_available()):
            self._parser.error("--device cuda needs a CUDA device, and --smoke runs on the CPU")
        self.device, self.smoke = args.device, args.smoke
        self.rounds = self._rounds["cuda" if args.smoke else args.device] if args.rounds is None else args.rounds
        if self.rounds < 1:
            self._parser.error(f"--rounds must be >= 1, got {self.rounds}")
        self._saves = not (args.no_save or args.smoke)
        return args

    def row(self, name: str, unit: str, values: NDArray, **facts: Any) -> dict[str, Any]:
        """Add and return a row: the median of the values, their interquartile range, and how many there are."""
        self.rows.append({"name": name, "unit": unit, **summary(values), **facts})
        return self.rows[-1]

    def times(self, title: str, seconds: Mapping[str, NDArray]) -> None:
        """A row of milliseconds per candidate."""
        for name, values in seconds.items():
            self.row(f"{title}: {name}", "ms", 1e3 * values)

    def against(self, title: str, seconds: Mapping[str, NDArray], ours: str, peer: str, **facts: Any) -> None:
        """A row that says how many times as fast as the peer ours is, round by round."""
        self.row(f"{title}: {ours} against {peer}", "×", seconds[peer] / seconds[ours], **facts)

    def host_time(self, name: str, run: Callable[[], Any], **facts: Any) -> None:
        """A row of the milliseconds that the host is busy with a call; the device is waited for before, not after."""
        values = []
        for _ in range(50):
            synchronize(self.device)
            values.append(1e3 * _seconds(run, "cpu"))
        self.row(name, "ms", np.array(values), **facts)

    def leave_out(self, name: str, error: Exception | str) -> None:
        self.absent[name] = (str(error).splitlines() or [type(error).__name__])[0][:200]

    def peer(self, module: str) -> Any:
        """A peer's module, or None; then it is left out. One that does not load (no FFmpeg, no driver) is as absent."""
        try:
            return importlib.import_module(module)
        except Exception as error:
            self.leave_out(module, error)
            return None

    def save(self) -> Path | None:
        """The JSON with what there is by now, which stays there if time runs out; None where nothing is to be saved."""
        return save(f"{self.name}_{self.device}", self.rows, **self.facts) if self._saves else None

    def finish(self) -> int:
        """Print everything as a table, and save it; exit status 0."""
        width = max(len(row["name"]) for row in self.rows)
        for r in self.rows:
            print(f"{r['name']:<{width}}  {r['median']:10.3f} {r['unit']:<3} (IQR {r['iqr']:.3f}, n = {r['n']})")
        for name, reason in self.absent.items():
            print(f"left out: {name}: {reason}")
        if path := self.save():
            print(path)
        return 0


def summary(values: NDArray) -> dict[str, float | int]:
    """Median, interquartile range and number of values.

    >>> summary(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    {'median': 3.0, 'iqr': 2.0, 'n': 5}
    """
    low, middle, high = np.percentile(values, [25, 50, 75])
    return {"median": round(float(middle), 6), "iqr": round(float(high - low), 6), "n": len(values)}


def machine() -> str:
    """A short generic name of this machine: processor, cores in use and GPU; no host name.

    >>> re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", machine()) is not None
    True
    """
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    model = found.group(1) if found else platform.processor() or platform.machine()
    model = re.sub(r"\((r|tm)\)|@.*|\b(cpu|processor|\d+-core)\b", " ", model, flags=re.IGNORECASE)
    parts = [model, f"{usable_cores()}cores"]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    return re.sub(r"[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-")


def save(suite: str, results: list[dict[str, Any]], **facts: Any) -> Path:
    """Write <suite>--<machine>.json into results/<version> (or RESULTS) and return its path.

    `facts` describe the set-up in words. Every result has at least a `name`, a `unit`, and the values of `summary`.
    """
    missing = [r for r in results if not {"name", "unit", "median", "iqr", "n"} <= r.keys()]
    if missing:
        raise ValueError(f"results must have name, unit, median, iqr and n, got {missing[0]}")
    ran = commit(but=["benchmarks/results"]) or "unknown"  # 40 digits, + where files were changed
    record = {
        "suite": suite,
        "version": gpuaug.__version__,
        "commit": ran[:7] + ran[40:],
        "machine": machine(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": versions(),
        "facts": facts,
        "results": results,
    }
    folder = Path(os.environ.get(RESULTS) or ROOT / "results" / gpuaug.__version__)
    path = folder / f"{suite}--{machine()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
