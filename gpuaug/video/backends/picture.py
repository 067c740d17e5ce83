"""Frames of other libraries' decoders as they are displayed, and shared out to windows.

Legend: T frames of a piece or a window, H W height and width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..frame_index import FrameIndex
from . import Decoded, FrameRequest


def stored_size(request: FrameRequest) -> tuple[int, int]:
    """(height, width) of what is asked for before it is turned."""
    size = request.height, request.width
    return size[::-1] if request.index.rotation % 180 else size


def upright(frames_THW3: torch.Tensor, index: FrameIndex) -> torch.Tensor:
    """Frames as stored, turned and flipped as they are displayed."""
    if index.rotation:
        frames_THW3 = torch.rot90(frames_THW3, -index.rotation // 90, (1, 2))
    if index.mirrored:
        frames_THW3 = frames_THW3.flip(2)
    return frames_THW3.contiguous()


def windows_of(request: FrameRequest, positions: Sequence[Sequence[int]], frames: Sequence[torch.Tensor]) -> Decoded:
    """The windows of a request, from (T,H,W,3) tensors of its frames with these ascending `positions`.

    A window that shows all frames of one of them is that tensor, the first time; others are copies.
    """
    given, starts = list(map(list, positions)), np.cumsum([0, *(len(part) for part in positions)])
    place = {position: i for i, position in enumerate(position for part in given for position in part)}
    windows: Decoded = []
    taken: set[int] = set()
    together: torch.Tensor | None = None
    for positions_T in request.positions:
        wanted = positions_T.tolist()
        if not wanted:
            windows.append(
                torch.empty((0, request.height, request.width, 3), dtype=torch.uint8, device=frames[0].device)
            )
            continue
        part = int(np.searchsorted(starts, place[wanted[0]], side="right")) - 1
        if wanted == given[part] and part not in taken:
            taken.add(part)
            windows.append(frames[part])
            continue
        places = np.array([place[position] for position in wanted])
        source, first = frames[part], int(starts[part])
        if places.min() < first or places.max() >= starts[part + 1]:
            together = torch.cat(list(frames)) if together is None else together
            source, first = together, 0
        windows.append(source[torch.from_numpy(places - first).to(source.device, non_blocking=True)])
    return windows
