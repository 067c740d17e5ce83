"""Timing and results for every benchmark: candidates interleaved in one run, written as JSON with what they ran on."""

from __future__ import annotations

import gc
import importlib
import json
import os
import platform
import re
import subprocess
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

import gpuaug

ROOT = Path(__file__).parent
RESULTS = "GPUAUG_RESULTS"  # environment variable: folder of the JSON files; without it, results/<version>
PAUSE_CYCLES = 10_000_000  # of the device before each measurement, some 5 ms
PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "av",
    "cupy-cuda12x",
    "cupy-cuda13x",
    "nvidia-dali-cuda130",
    "torchcodec",
    "kornia",
)


def measure(
    candidates: dict[str, Callable[[], Any]], *, rounds: int = 15, warmup: int = 2, device: str = "cpu"
) -> dict[str, np.ndarray]:
    """Seconds (rounds,) of every candidate. Each round runs all of them, so that they share noise, in a new order: with
    always the same predecessor, one would find its sources in the caches, and another never.

    With device "cuda" the time between two CUDA events is taken, behind a pause of the device in which the host queues
    the work: the device's time, unless a candidate takes longer to queue than to run.
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
    if device == "cpu":
        now = time.perf_counter()
        run()
        return time.perf_counter() - now
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


def peer(name: str, absent: dict[str, str]) -> Any:
    """The module of a peer, or None; then `absent` says why, to be written into the JSON.

    >>> absent: dict[str, str] = {}
    >>> peer("no_such_library", absent), absent
    (None, {'no_such_library': "No module named 'no_such_library'"})
    """
    try:
        return importlib.import_module(name)
    except Exception as error:  # a library that is there and does not load (no FFmpeg, no driver) is as good as absent
        absent[name] = (str(error).splitlines() or [type(error).__name__])[0][:200]
        return None


def summary(values: np.ndarray) -> dict[str, float | int]:
    """Median, interquartile range and number of values.

    >>> summary(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    {'median': 3.0, 'iqr': 2.0, 'n': 5}
    """
    low, middle, high = np.percentile(values, [25, 50, 75])
    return {"median": round(float(middle), 6), "iqr": round(float(high - low), 6), "n": len(values)}


def ratio(slow: np.ndarray, fast: np.ndarray) -> dict[str, float | int]:
    """How many times `fast` is faster than `slow`, round by round."""
    return summary(slow / fast)


def machine() -> str:
    """A short generic name of this machine: processor, cores in use and GPU; no host name.

    >>> re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", machine()) is not None
    True
    """
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"model name\s*:\s*(.+)", info.read_text())
        model = found.group(1) if found else model
    model = re.sub(r"\((r|tm)\)|@.*|\b(cpu|processor|\d+-core)\b", " ", model, flags=re.IGNORECASE)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = [model, f"{cores}cores"]
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
    record = {
        "suite": suite,
        "version": gpuaug.__version__,
        "commit": _commit(),
        "machine": machine(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {name: _version(name) for name in PACKAGES if _version(name)},
        "facts": facts,
        "results": results,
    }
    folder = Path(os.environ.get(RESULTS) or ROOT / "results" / gpuaug.__version__)
    path = folder / f"{suite}--{machine()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def show(results: list[dict[str, Any]]) -> None:
    """Print the results as a table."""
    width = max(len(r["name"]) for r in results)
    for r in results:
        print(f"{r['name']:<{width}}  {r['median']:10.3f} {r['unit']:<3} (IQR {r['iqr']:.3f}, n = {r['n']})")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str:
    """The commit that ran, with + where tracked files other than results were changed."""
    git = ["git", "-C", str(ROOT)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
        status = [*git, "status", "--porcelain", "-uno", "--", ":/", ":(top,exclude)benchmarks/results"]
        changed = subprocess.run(status, capture_output=True, text=True, check=True)
        return head.strip() + ("+" if changed.stdout.strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
