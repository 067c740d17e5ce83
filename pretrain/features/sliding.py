"""Sliding clips of many whole videos, decoded in chunks: bounded memory, each frame once, several videos at a time.

Legend: L frames in a chunk, H W picture, N clips, T frames of a clip, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import torch

import gpuaug

from .grid import Grid

LONGEST = 1024  # frames in a chunk: every chunk starts decoding at a key frame, so short ones waste work
PIECE = 128  # frames in a window: where there are fewer videos than threads, the decoder shares out their windows

Decode = Callable[[list[gpuaug.Window]], tuple[list[torch.Tensor | None], list[gpuaug.Failure]]]


@dataclass(frozen=True)
class VideoClips:
    """A video and the clips wanted of it.

    Attributes:
        name: of its features.
        video: what the manifest says of the file.
        grid: rate, length and stride of the clips.
        bytes: of one decoded frame.
    """

    name: str
    video: gpuaug.Video
    grid: Grid
    bytes: int

    @property
    def frames(self) -> int:
        return self.grid.frames(self.video.duration_seconds)

    @property
    def padded(self) -> bool:
        """Too short for one clip: its last frame is repeated."""
        return self.frames < self.grid.clip

    @property
    def rows(self) -> int:
        return max(1, self.grid.rows(self.frames))

    @property
    def step(self) -> int:
        """Frames between clips among those decoded: where clips leave gaps, these are not."""
        return min(self.grid.clip, self.grid.stride)

    @property
    def wanted(self) -> int:
        """How many frames are decoded."""
        return (self.rows - 1) * self.step + self.grid.clip

    def windows(self, first: int, stop: int) -> list[gpuaug.Window]:
        """The windows that hold wanted frames first…stop − 1."""
        grid, found = self.grid, []
        while first < stop:
            start, end = first, min(stop, first + PIECE)
            if grid.stride > grid.clip:
                clip, inside = divmod(first, grid.clip)
                start, end = clip * grid.stride + inside, min(end, first + grid.clip - inside)
            # "repeat" for videos that are too short, and for those whose container promises a little too much
            window = gpuaug.Window(self.video.path, start / grid.fps, grid.fps, end - first, edge="repeat")
            found.append(window)
            first = end
        return found


@dataclass
class DecodedChunk:
    """Decoded frames of one video, and the clips that are whole in them.

    Attributes:
        frames_LHWC: uint8 RGB on the decoder's device; None if decoding failed.
        first: the first clip's number; starts: where it and the following clips start in the frames.
        error: why decoding failed, for which nothing further comes of this video.
    """

    clips: VideoClips
    frames_LHWC: torch.Tensor | None
    first: int = 0
    starts: range = range(0)
    error: str = ""

    @property
    def last(self) -> bool:
        return self.first + len(self.starts) >= self.clips.rows


@dataclass
class OpenVideo:
    """A video being decoded: frames up to `decoded` came or are on their way, those from `base` on are kept."""

    clips: VideoClips
    decoded: int = 0
    base: int = 0
    kept: list[torch.Tensor] = field(default_factory=list)
    row: int = 0
    failed: bool = False

    def take(self, frames: list[torch.Tensor]) -> DecodedChunk:
        """Add the next frames; the chunk of all clips that are now whole."""
        whole = [*self.kept, *frames]
        frames_LHWC = whole[0] if len(whole) == 1 else torch.cat(whole)
        clips, first = self.clips, self.row
        reached = self.base + len(frames_LHWC)
        self.row = min(clips.rows, max(first, (reached - clips.grid.clip) // clips.step + 1))
        starts = range(first * clips.step - self.base, self.row * clips.step - self.base, clips.step)
        keep = min(self.row * clips.step, reached)
        self.kept = [frames_LHWC[keep - self.base :].clone()] if keep < reached and self.row < clips.rows else []
        self.base = keep
        return DecodedChunk(clips, frames_LHWC, first, starts)


def sliding(videos: Sequence[VideoClips], decode: Decode, *, memory_bytes: int) -> Iterator[list[DecodedChunk]]:
    """Chunks of all videos in the order of `videos`, several at a time; while they are used the next are being decoded.

    Args:
        decode: `gpuaug.Decoder.decode`, or anything like it; called from one other thread.
        memory_bytes: bound of the decoded frames in memory, unless one clip of one video needs more.
    """
    waiting, open_videos = list(videos)[::-1], list[OpenVideo]()

    def submit() -> tuple[list[tuple[OpenVideo, int]], Future | None]:
        """Ask for the next frames of as many videos as fit: a third each for these, the current ones, and copies."""
        left, asked, windows = memory_bytes // 3, list[tuple[OpenVideo, int]](), list[gpuaug.Window]()
        open_videos[:] = [
            opened for opened in open_videos if opened.decoded < opened.clips.wanted and not opened.failed
        ]
        place = 0
        while place < len(open_videos) or waiting:
            if place == len(open_videos):
                open_videos.append(OpenVideo(waiting.pop()))
            opened = open_videos[place]
            clips = opened.clips
            most = max(clips.grid.clip, min(LONGEST, memory_bytes // 3 // clips.bytes))
            stop = min(clips.wanted, opened.decoded + most)
            cost = (stop - opened.decoded + clips.grid.clip) * clips.bytes
            if asked and cost > left:
                break
            parts = clips.windows(opened.decoded, stop)
            asked.append((opened, len(parts)))
            windows += parts
            opened.decoded, left, place = stop, left - cost, place + 1
        return asked, worker.submit(decode, windows) if windows else None

    worker = ThreadPoolExecutor(1, thread_name_prefix="extract-decode")
    try:
        asked, future = submit()
        while future is not None:
            frames, failures = future.result()
            lost = {failure.index: failure.reason for failure in failures}
            coming = submit()
            chunks, at = [], 0
            for opened, count in asked:
                own = range(at, at + count)
                at += count
                if opened.failed:
                    continue
                opened.failed = any(i in lost for i in own)
                if opened.failed:
                    reason = next(lost[i] for i in own if i in lost)
                    chunks.append(DecodedChunk(opened.clips, None, error=reason))
                else:
                    chunks.append(opened.take([part for part in frames[at - count : at] if part is not None]))
            del frames
            yield chunks
            del chunks
            asked, future = coming
    finally:
        worker.shutdown(cancel_futures=True)
