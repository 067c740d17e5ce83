"""What a module was called with: clips, and what is told of them; and the same with other clips."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..arrays import CHANNELS, PLAIN, accept_tensor, alike, picture

LABELS = ("label", "labels")  # in a dict, where the classes stand
CLIPS = "video"  # and the clips, where none is torchvision's Video
OTHERS = ("Mask", "BoundingBoxes", "KeyPoints")  # of torchvision's, which would have to follow the clips


class Given(NamedTuple):
    """Clips as (N, T, C, H, W), and what they came with.

    Attributes:
        lead: the axes before T.
        told: the dict of the target, or None.
        label: classes, or None. back(clips, told, label) is what the module gives back.
    """

    clips: Tensor
    lead: tuple[int, ...]
    told: dict[str, Any] | None
    label: Tensor | None
    back: Callable[[Tensor, dict[str, Any], Tensor | None], Any]


def accept(inputs: tuple[Any, ...]) -> Given:
    """Take apart what a module was called with. Errors (ValueError): no clips, or of another layout."""
    whole = inputs[0] if len(inputs) == 1 else inputs
    if isinstance(whole, Tensor):
        return _given(whole, None, lambda out, told, label: out)
    if isinstance(whole, dict):
        key = _key(whole)

        def put(out: Tensor, told: dict[str, Any], label: Tensor | None) -> dict[str, Any]:
            return {**whole, **_labelled(told, label), key: out}

        return _given(whole[key], {name: value for name, value in whole.items() if name != key}, put)
    if not isinstance(whole, (tuple, list)) or not whole or not isinstance(whole[0], Tensor):
        kind = type(whole).__name__
        if isinstance(whole, (tuple, list)) and whole:
            kind = f"a {kind} that begins with {type(whole[0]).__name__}"
        raise ValueError(f"the input must be clips, (clips, target) or a dict with clips, got {kind}")
    rest = whole[1:]
    target = rest[0] if rest else None

    def again(out: Tensor, told: dict[str, Any], label: Tensor | None) -> Any:
        new = _labelled(told, label) if isinstance(target, dict) else label if isinstance(target, Tensor) else target
        parts = [out, *([new, *rest[1:]] if rest else [])]
        return parts if isinstance(whole, list) else tuple(parts)

    for each in rest:
        _refuse(each)
    return _given(whole[0], target if isinstance(target, (dict, Tensor)) else None, again)


def random(generator: torch.Generator | None) -> np.random.Generator:
    """A generator of NumPy's that follows from the state of torch's, which goes on by a number.

    Workers have copies of one `generator` each, in every epoch; their own seeds tell them apart.
    """
    device = "cpu" if generator is None else generator.device
    words = [int(torch.randint(1 << 62, (), generator=generator, device=device))]
    worker = torch.utils.data.get_worker_info()
    if generator is not None and worker is not None:
        words.append(worker.seed)
    return np.random.default_rng(words)


def _given(clips: Any, target: dict[str, Any] | Tensor | None, back: Callable[..., Any]) -> Given:
    if not isinstance(clips, Tensor):
        raise ValueError(f"clips must be a torch tensor, got {type(clips).__name__}")
    accept_tensor("clips", clips)
    kind = None if type(clips) in PLAIN else picture(clips)
    if kind not in (None, "Video"):
        raise ValueError(f"clips must be a plain tensor or a tv_tensors.Video, got a tv_tensors.{kind}")
    shape = tuple(clips.shape)
    if clips.ndim < 4 or 0 in shape:
        raise ValueError(f"clips must be (…, T, C, H, W) and not be empty, got shape {shape}")
    if shape[-3] not in CHANNELS:
        where = {-4: "channels before time: movedim(-4, -3)", -1: "channels last: movedim(-1, -3)"}
        hint = next((f"; it seems to have {text}" for axis, text in where.items() if shape[axis] in CHANNELS), "")
        raise ValueError(f"clips must be (…, T, C, H, W) of 1, 3 or 4 channels, got shape {shape}{hint}")
    if not (clips.dtype == torch.uint8 or clips.dtype in (torch.float16, torch.bfloat16, torch.float32)):
        raise ValueError(f"clips must be uint8, float16, bfloat16 or float32, got {clips.dtype}")
    told, label = (target, None) if isinstance(target, dict) else (None, target)
    for value in (told or {}).values():
        _refuse(value)
    if told is not None:
        label = next((told[name] for name in LABELS if name in told), None)

    def put(out: Tensor, told: dict[str, Any], label: Tensor | None) -> Any:
        return back(alike(out.reshape(*shape[:-4], *out.shape[1:]), [clips]), told, label)

    flat = clips.as_subclass(Tensor).reshape(-1, *shape[-4:])
    return Given(flat, shape[:-4], told, label, put)


def _key(whole: dict[str, Any]) -> str:
    videos = [name for name, value in whole.items() if isinstance(value, Tensor) and picture(value) == "Video"]
    if len(videos) > 1:
        raise ValueError(f"a dict must have one Video, got {', '.join(map(repr, videos))}")
    if not videos and CLIPS not in whole:
        raise ValueError(f"a dict must have a tv_tensors.Video, or clips as {CLIPS!r}, got {list(whole)}")
    return videos[0] if videos else CLIPS


def _labelled(told: dict[str, Any], label: Tensor | None) -> dict[str, Any]:
    name = next((name for name in LABELS if name in told), None)
    return told if name is None or label is None else {**told, name: label}


def _refuse(value: Any) -> None:
    library = sys.modules.get("torchvision.tv_tensors")
    for kind in OTHERS if library else ():
        if isinstance(value, getattr(library, kind, ())):
            raise ValueError(f"a tv_tensors.{kind} beside clips would not follow their edits: leave it out")
