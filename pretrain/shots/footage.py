"""The pictures of edited videos: sources decoded when they are shown first, and let go when they are not any more.

Used by synthesis and examples; imports edits and gpuaug. Legend: T frames, Y X picture.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType

import numpy as np
import torch
from numpy.typing import NDArray

import gpuaug

from .edits import Clip, Edit, EditSettings

DECODERS = 16  # kept, one for each size of sources
AT_ONCE = 32  # frames that are rendered together


class Unreadable(ValueError):
    """A source that cannot be decoded. `name`: the source's."""

    def __init__(self, name: str, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.name, self.path, self.reason = name, path, reason


class Footage:
    """Reads sources and renders edits of them, on one thread. Memory: the shots that are seen at one time.

    Attributes:
        damaged: path → how many of its frames were shown although FFmpeg found errors in them; told after `close`.
    """

    def __init__(self, settings: EditSettings) -> None:
        self.settings = settings
        self.damaged: dict[str, int] = {}
        self._decoders: OrderedDict[tuple[int, int], gpuaug.Decoder] = OrderedDict()

    def frames(self, edit: Edit) -> Iterator[NDArray[np.uint8]]:
        """uint8 (Y, X, 3), every frame of an edited video. Errors: Unreadable."""
        clips: dict[int, torch.Tensor] = {}
        length = edit.plan.shape[1]
        for begin in range(0, length, AT_ONCE):
            part = edit.plan.at(np.arange(begin, min(begin + AT_ONCE, length)))
            seen = np.unique(part.clip[part.clip >= 0]).tolist()
            clips = {k: clips[k] if k in clips else self._decode(edit.clips[k]) for k in seen}
            place = np.full(len(edit.clips) + 1, -1)  # the last one: colours, −1
            place[seen] = np.arange(len(seen))
            shown = replace(part, clip=place[part.clip])
            some = list(clips.values()) or [torch.zeros(1, *self.settings.size, 3, dtype=torch.uint8)]
            yield from gpuaug.render(
                some, shown, size=self.settings.size, dtype=torch.uint8, layout="NTHWC"
            )[0].numpy()  # fmt: skip

    def pictures(self, edit: Edit) -> NDArray[np.uint8]:
        """uint8 (T, Y, X, 3), all of them. Errors: Unreadable."""
        return np.stack(list(self.frames(edit)))

    def close(self) -> None:
        """Let go of decoders and their threads."""
        while self._decoders:
            self._let_go()

    def __enter__(self) -> Footage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _decode(self, clip: Clip) -> torch.Tensor:
        """uint8 (T, Y, X, 3): as large as fills the picture, its middle."""
        (height, width), (y, x) = clip.source.size, self.settings.size
        scale = max(y / height, x / width)
        size = max(y, round(height * scale)), max(x, round(width * scale))
        window = gpuaug.Window(clip.source.path, clip.start_seconds, self.settings.fps, clip.frames)
        (frames,), failures = self._decoder(size).decode([window])
        if failures or frames is None:
            raise Unreadable(clip.source.name, clip.source.path, failures[0].reason)
        top, left = (size[0] - y) // 2, (size[1] - x) // 2
        return frames[:, top : top + y, left : left + x].contiguous()

    def _decoder(self, size: tuple[int, int]) -> gpuaug.Decoder:
        if size not in self._decoders:
            if len(self._decoders) == DECODERS:
                self._let_go()
            self._decoders[size] = gpuaug.Decoder("cpu", size, backend="pyav", threads=1)
        self._decoders.move_to_end(size)
        return self._decoders[size]

    def _let_go(self) -> None:
        """Of the decoder that was used longest ago."""
        _, decoder = self._decoders.popitem(last=False)
        for path, count in decoder.damaged_frames.items():
            self.damaged[path] = self.damaged.get(path, 0) + count
        decoder.close()
