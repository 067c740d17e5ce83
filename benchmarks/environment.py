"""Commit and versions of what runs, as pretrain's run folders have them."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import gpuaug

PACKAGES = ["torch", "torchvision", "numpy", "av", "cupy-cuda12x", "cupy-cuda13x", "nvidia-dali-cuda130", "torchcodec"]
PACKAGES += ["kornia"]


def environment(device: torch.device) -> dict[str, Any]:
    """{"commit": see `commit`, "versions": {package: version}}; `device` is not looked at."""
    versions = {"gpuaug": gpuaug.__version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {"commit": commit(), "versions": versions}


def commit() -> str | None:
    """The commit, with + where tracked files other than results were changed; None outside a git checkout."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
        status = [*git, "status", "--porcelain", "-uno", "--", ":/", ":(top,exclude)benchmarks/results"]
        changed = subprocess.run(status, capture_output=True, text=True, check=True)
        return head.strip() + ("+" if changed.stdout.strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return None
