"""What a result was made with: versions, machine, and the commit of this source tree. Used by training, benchmarks."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import gpuaug

PACKAGES = ["torch", "torchvision", "numpy", "av", "cupy-cuda12x", "cupy-cuda13x", "nvidia-dali-cuda120"]
PACKAGES += ["nvidia-dali-cuda130", "timm", "transformers", "torchcodec", "kornia"]
ROOT = Path(__file__).parents[2]


def environment(device: torch.device) -> dict[str, Any]:
    """Versions, machine, and the commit of this source tree if it is one."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    machine = {"device": str(device), "gpu": gpu, "cpu": platform.processor() or platform.machine()}
    return {"commit": commit(), "versions": versions(), "machine": {**machine, "cores": usable_cores()}}


def usable_cores() -> int:
    """Of the machine's cores, those that this process may use: a job of a cluster has a few of many."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """name → version of this project, Python, and the packages that are installed."""
    found = {"gpuaug": gpuaug.__version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit(but: Iterable[str] = ()) -> str | None:
    """The commit, with "+" if tracked files outside the folders `but` differ from it; None outside a git checkout."""
    if not (ROOT / ".git").exists():
        return None
    calls = (["rev-parse", "HEAD"], ["status", "--porcelain", "-uno", "--", ":/", *(f":(top,exclude){p}" for p in but)])
    try:
        head, changes = (
            subprocess.run(
                ["git", "-C", str(ROOT), *call], capture_output=True, text=True, timeout=10, check=True
            ).stdout
            for call in calls
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return head.strip() + ("+" if changes.strip() else "")
