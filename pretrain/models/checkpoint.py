"""Checkpoints that survive a kill at any moment, and a damaged newest one.

A run folder holds checkpoint.pt, the newest, then checkpoint.1.pt, checkpoint.2.pt …, and best.pt. All are ordinary
torch files; their integrity is the CRC-32 that the zip container has for every tensor.
"""

from __future__ import annotations

import os
import pickle
import shutil
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

from ..common.files import atomic, sweep
from ..shots.boundaries import FAMILIES
from . import hub
from .encoders import Encoder, encoder

FORMAT = 1
NAME = "checkpoint.pt"


class NewerFormat(ValueError):
    """A checkpoint that a later version of this project has written: not damaged, and not to be replaced."""


def those_in(folder: str | Path) -> list[Path]:
    """All checkpoints in a run folder, best.pt last, whole or not."""
    folder = Path(folder)
    return [*sorted(folder.glob("checkpoint*.pt")), *folder.glob("best.pt")]


def save(folder: str | Path, state: dict[str, Any], *, keep: int = 3, best: bool = False) -> Path:
    """Path of the new newest checkpoint, after the older ones have moved up and the oldest was dropped.

    At every moment at least one of the names holds a whole file, if there was one before.

    Args:
        keep: how many to keep, ≥ 1, not counting best.pt.
        best: also make this one best.pt.
    """
    if keep < 1:
        raise ValueError(f"keep must be ≥ 1, got keep={keep}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = _names(folder, keep)
    for name in ("best.pt", NAME):  # killed runs may have left files of hundreds of megabytes
        sweep(folder / name)
    with atomic(names[0]) as part:
        _write(part, state)
        for older, newer in zip(names[:0:-1], names[-2::-1]):
            if newer.exists():
                os.replace(newer, older)
    if best:
        with atomic(folder / "best.pt") as part:
            try:
                os.link(names[0], part)
            except OSError:  # a file system without hard links
                _write(part, state)
    for path in folder.glob("checkpoint.*.pt"):
        if path not in names:
            path.unlink()
    return names[0]


def newest(folder: str | Path) -> tuple[dict[str, Any] | None, list[str], Path]:
    """The newest checkpoint that is whole, None if there is none at all; why newer ones were passed over; its path.

    Errors (ValueError): there are checkpoints, and all are damaged. NewerFormat: a later version has written one.
    """
    problems: list[str] = []
    for path in _names(Path(folder), 1000):
        if path.exists():
            try:
                return read(path), problems, path
            except NewerFormat:
                raise
            except ValueError as error:
                problems.append(str(error))
    if problems:
        raise ValueError(f"out must hold a whole checkpoint to resume, but: {'; '.join(problems)}")
    return None, problems, Path(folder) / NAME


def locate(path: str | Path) -> Path:
    """The file that a checkpoint's name means: itself, or of a run folder best.pt, else checkpoint.pt."""
    path = Path(path)
    if path.is_dir():
        return path / "best.pt" if (path / "best.pt").exists() else path / NAME
    return path


def read(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU; checksums are compared, and no code in the file is executed.

    Args:
        path: a file, or a run folder (see `locate`).

    Errors (ValueError): no such file, damaged, or not a checkpoint of this project. NewerFormat: of a later version.
    """
    path = locate(path)
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"{path} is damaged: wrong checksum of {damaged}")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"checkpoint must be a file, there is no {path}") from None
    except (zipfile.BadZipFile, zlib.error, RuntimeError, pickle.UnpicklingError, EOFError, OSError, KeyError) as error:
        raise ValueError(f"{path} is damaged or no checkpoint: {str(error).strip().splitlines()[:1]}") from None
    number = state.get("format") if isinstance(state, dict) else None
    if isinstance(number, int) and number > FORMAT:
        raise NewerFormat(f"{path} is of a newer version (format {number}, this one reads {FORMAT}): update gpuaug")
    if number != FORMAT:
        raise ValueError(f"{path} is not a checkpoint of this version (format {FORMAT})")
    return state


def load_encoder(path: str | Path) -> Encoder:
    """The trained encoder of a checkpoint, or of a folder of `save_pretrained`, in evaluation mode.

    Errors (ValueError): as in `read`.
    """
    if hub.is_folder(path):
        return Encoder.from_pretrained(path, local_files_only=True)
    return _encoder(read(path), locate(path))


def _encoder(state: dict[str, Any], path: Path) -> Encoder:
    about = state["config"]["encoder"]
    init = path if about["name"] == "r2plus1d_34" else None  # its shapes depend on the weights that it started from
    made = encoder(about["name"], init=init, frames=about["frames"], size=about["size"])
    made.load_state_dict({k.removeprefix("encoder."): v for k, v in state["model"].items() if k.startswith("encoder.")})
    made.about = _about(state)
    return made.eval()


def export(run: str | Path, out: str | Path) -> None:
    """Write the best weights of a run as a folder that `from_pretrained`, and every command, takes.

    Of an encoder, or, of the task shots, of the detector. A folder that is there is replaced, all at once.

    Errors (ValueError): as in `read`.
    """
    out, state = Path(out), read(run)
    model: hub.Shareable
    if state["config"]["task"] == "shots":
        model = hub.ShotModel(list(FAMILIES))
        model.load_state_dict(
            {
                name.replace("encoder.net.", "network.").replace("head.outputs.", "outputs."): value
                for name, value in state["model"].items()
                if name.startswith(("encoder.net.", "head.outputs."))
            }
        )
        model.about = _about(state)
    else:
        model = _encoder(state, locate(run))
    part, old = out.with_name(f".{out.name}.part"), out.with_name(f".{out.name}.old")
    for path in (part, old):
        shutil.rmtree(path, ignore_errors=True)
    model.save_pretrained(part)
    if out.exists():
        out.rename(old)
    part.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _about(state: dict[str, Any]) -> dict[str, Any]:
    """What a folder of weights says of the run."""
    config, flags = state["config"], state["config"].get("flags", {})
    numbers = {name: _numbers(value) for name, value in (state.get("last") or {}).items() if isinstance(value, dict)}
    kept = ("task", "classes", "deviations", "precision", "commit", "versions")
    return {
        **{name: config[name] for name in kept if name in config},
        "recipe": flags.get("recipe", ""),
        "fps": config.get("extract_fps") or config.get("fps"),
        "fit": flags.get("fit"),
        "step": state.get("step"),
        "numbers": numbers,
    }


def _numbers(score: dict[str, Any]) -> dict[str, Any]:
    names = ("value", "low", "high", "constant", "samples", "videos")
    return {name: score[name] for name in names if isinstance(score.get(name), int | float)}


def _names(folder: Path, keep: int) -> list[Path]:
    """Newest first."""
    return [folder / NAME, *(folder / f"checkpoint.{i}.pt" for i in range(1, keep))]


def _write(path: Path, state: dict[str, Any]) -> None:
    """Write a file and have it on the disk, not only in the system's cache, before it gets its name."""
    with open(path, "wb") as file:
        torch.save({"format": FORMAT, **state}, file)
        file.flush()
        os.fsync(file.fileno())
