"""Counting the damaged frames of a whole file."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from ..demux import Unusable
from ..frame_index import FrameIndex
from .pyav import learn_order, read_frames


def damaged_frames(index: FrameIndex) -> int:
    """How many of a file's frames are damaged, or do not come out at all; all are decoded."""
    index = learn_order(index) if index.display_order_unknown else index
    damaged: set[int] = set()
    left = set(range(len(index.stamp_N)))
    with suppress(Unusable):  # which says so of those that are left
        for position, _ in read_frames(index, np.arange(len(left)), damaged):
            left.discard(position)
    return len(damaged | left)
