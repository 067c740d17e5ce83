"""Every frame of a video, small, in order, some hundred at a time.

Used by detect; imports PyAV and NumPy. Legend: T frames, Y X picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from .network import SIZE

THUMB = (2 * SIZE, 3 * SIZE)  # rows and columns of the pictures that people look at; the network sees averages of them


class Frames(NamedTuple):
    """Some consecutive frames: uint8 RGB (T, SIZE, SIZE, 3) and (T, *THUMB, 3), and when they are shown, (T,)."""

    small: NDArray[np.uint8]
    thumbs: NDArray[np.uint8]
    seconds: NDArray[np.float64]

    def joined(self, later: Frames) -> Frames:
        """These, then those of `later`."""
        both = [np.concatenate([a, b]) for a, b in zip(self, later)]
        return Frames(*both)


class VideoError(ValueError):
    """A video that cannot be read to its end, and why."""


class Source:
    """A video to read once.

    Attributes:
        rate: its frames per second, the average where they vary.
        expected: how many frames it says it has; None where it does not.
    """

    def __init__(self, video: str | Path | NDArray[np.uint8], *, rate: float | Fraction | None = None) -> None:
        self.video = video
        self.rate, self.expected = Fraction(25), None  # type: Fraction, int | None
        if isinstance(video, np.ndarray):
            if video.dtype != np.uint8 or video.ndim != 4 or video.shape[3] != 3 or 0 in video.shape:
                raise ValueError(f"video must be uint8 (T, height, width, 3), got {video.dtype} {video.shape}")
            self.rate, self.expected = Fraction(rate or 25).limit_denominator(100_000), len(video)
        else:
            self._open(str(video))

    def read(self, count: int) -> Iterator[Frames]:
        """Frames from the first to the last, `count` at a time."""
        some: list[tuple[NDArray[np.uint8], float]] = []
        for each in self._pictures():
            some.append(each)
            if len(some) == count:
                yield _together(some)
                some = []
        if some:
            yield _together(some)

    def _open(self, path: str) -> None:
        try:
            with av.open(path) as file:
                if not file.streams.video:
                    raise VideoError("it has no video stream")
                stream = file.streams.video[0]
                rate = stream.average_rate or stream.guessed_rate
                if rate:
                    self.rate = Fraction(rate)
                seconds = stream.duration * stream.time_base if stream.duration and stream.time_base else None
                self.expected = stream.frames or (int(seconds * self.rate) if seconds else None)
        except av.FFmpegError as error:
            raise VideoError(_line(error)) from None

    def _pictures(self) -> Iterator[tuple[NDArray[np.uint8], float]]:
        if isinstance(self.video, np.ndarray):
            for number, picture in enumerate(self.video):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                yield _thumb(frame), float(number / self.rate)
            return
        number = 0
        try:
            with av.open(str(self.video)) as file:
                stream = file.streams.video[0]
                stream.thread_type = "AUTO"
                begin = None
                for frame in file.decode(stream):
                    time = float(number / self.rate) if frame.time is None else frame.time
                    begin = time if begin is None else begin
                    yield _thumb(frame), time - begin
                    number += 1
        except av.FFmpegError as error:
            raise VideoError(f"after frame {number}: {_line(error)}") from None
        if not number:
            raise VideoError("it has no frame that can be decoded")


def _thumb(frame: Any) -> NDArray[np.uint8]:
    return frame.reformat(width=THUMB[1], height=THUMB[0], format="rgb24", interpolation="AREA").to_ndarray()


def _together(some: list[tuple[NDArray[np.uint8], float]]) -> Frames:
    thumbs = np.stack([picture for picture, _ in some])
    return Frames(small(thumbs), thumbs, np.array([time for _, time in some]))


def small(thumbs: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(T, SIZE, SIZE, 3): every 2 × 3 pixels of pictures (T, *THUMB, 3), averaged."""
    t = len(thumbs)
    total = thumbs[:, 0::2].astype(np.uint16) + thumbs[:, 1::2]
    total = total.reshape(t, SIZE, SIZE, 3, 3).sum(3, dtype=np.uint16)
    return ((total + 3) // 6).astype(np.uint8)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
