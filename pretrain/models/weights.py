"""Weights of other people's files: which of their keys are ours, which are not, and every one accounted for."""

from __future__ import annotations

import argparse
import pickle
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn


@dataclass(frozen=True)
class Loaded:
    """What became of a file of weights.

    Attributes:
        path: the file.
        matched: number of the encoder's entries that were filled from it.
        inflated: how many of those were 2-D kernels repeated over time.
        skipped: entries of the file that were not used, and why.
        missing: entries of the encoder that the file does not have; they keep their random values.
    """

    path: str
    matched: int
    inflated: int
    skipped: dict[str, str]
    missing: list[str]

    def lines(self) -> list[str]:
        """A summary, then one line per skipped and per missing entry."""
        inflated = f" ({self.inflated} inflated from 2-D)" if self.inflated else ""
        counts = f"{self.matched} loaded{inflated}, {len(self.skipped)} skipped, {len(self.missing)} missing"
        skipped = [f"  skipped {key}: {reason}" for key, reason in self.skipped.items()]
        return [f"{self.path}: {counts}", *skipped, *(f"  missing {key}: left random" for key in self.missing)]


def load_weights(encoder: nn.Module, path: str | Path) -> Loaded:
    """Fill the encoder from a file of torchvision, TSM, TSP or this project, as far as names and shapes agree.

    The prefix that the file's names have before the encoder's is found by counting (module.base_model., features.,
    encoder.net., …), TSM's ".net" inside its shifted convolutions is dropped, 2-D kernels are repeated over time and
    divided by its length for 3-D ones, so that a still video gives the same values. Heads are never loaded.

    Errors (ValueError): not a file of weights; nothing in it fits.
    """
    state = {re.sub(r"\.conv1\.net\.", ".conv1.", key): value for key, value in read_state(path).items()}
    own = encoder.state_dict()
    prefix_theirs, prefix_own = _prefixes(state, own)
    skipped: dict[str, str] = {}
    filled: dict[str, torch.Tensor] = {}
    inflated = 0
    for key, value in state.items():
        name = prefix_own + key.removeprefix(prefix_theirs)
        if not key.startswith(prefix_theirs) or name not in own:
            skipped[key] = "not in the encoder"
            continue
        target = own[name]
        if value.ndim == 4 and target.ndim == 5 and value.shape == target.shape[:2] + target.shape[3:]:
            value = value[:, :, None].expand_as(target) / target.shape[2]
            inflated += 1
        if value.shape != target.shape:
            skipped[key] = f"shape {tuple(value.shape)}, the encoder has {tuple(target.shape)}"
        else:
            filled[name] = value
    if not filled:
        raise ValueError(f"init must be a file with weights of this encoder, nothing fits in {path}")
    encoder.load_state_dict(filled, strict=False)
    missing = [name for name in own if name not in filled]
    return Loaded(str(path), len(filled), inflated, skipped, missing)


def read_state(path: str | Path) -> dict[str, torch.Tensor]:
    """The named tensors of a file, wherever it keeps them (state_dict, model, …); code in it is not executed.

    A folder stands for its model.safetensors, of a run for its best checkpoint.
    """
    if Path(path).is_dir():
        names = ("model.safetensors", "best.pt", "checkpoint.pt")
        found = next((file for file in (Path(path) / name for name in names) if file.is_file()), None)
        if found is None:
            raise ValueError(f"init must be a file of weights, the folder {path} has none of {', '.join(names)}")
        path = found
    try:
        content = _read(Path(path))
    except FileNotFoundError:
        raise ValueError(f"init must be a file of weights, there is no {path}") from None
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, KeyError, ImportError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ValueError(f"init must be a file of weights, {path} cannot be read: {reason}") from None
    for name in ("state_dict", "model_state_dict", "model", "encoder"):
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
            break
    tensors = {k: v for k, v in content.items() if isinstance(v, torch.Tensor)} if isinstance(content, dict) else {}
    if not tensors:
        raise ValueError(f"init must be a file of named tensors, {path} holds none")
    return tensors


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    # what training scripts put beside the tensors: their arguments, and numbers computed with NumPy
    numpy_types: list[Any] = [np.dtype, np.float64(0).__reduce__()[0], *(type(np.dtype(t)) for t in "fdiq")]
    with torch.serialization.safe_globals([argparse.Namespace, *numpy_types]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _prefixes(theirs: dict[str, torch.Tensor], own: dict[str, torch.Tensor]) -> tuple[str, str]:
    """What the names of either side have before the part they share, for most of the names."""
    ends: dict[str, str] = {}  # every ending of our names after the wrapper's "net." → the prefix before it
    for name in own:
        at = 0
        while name.startswith("net.", at):
            at += len("net.")
        ends[name[at:]] = name[:at]
    counts: Counter[tuple[str, str]] = Counter()
    for key in theirs:
        starts = [0, *(match.end() for match in re.finditer(r"\.", key))]
        counts.update((key[:at], ends[key[at:]]) for at in starts if key[at:] in ends)
    return counts.most_common(1)[0][0] if counts else ("", "")
