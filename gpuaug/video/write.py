"""Pictures to video files. Used for toy and test videos and by doctor; imports PyAV alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray


def write_video(
    path: str | Path,
    frames: Iterable[NDArray[np.uint8]],
    rate: int | Fraction,
    codec: str = "libx264",
    *,
    pixel_format: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    container: str | None = None,
    ticks: Sequence[int] | None = None,
    tick: Fraction | None = None,
    sample_aspect: Fraction | None = None,
    tags: Mapping[str, int] | None = None,
    reproducible: bool = False,
) -> None:
    """Encode pictures, one at a time; a file that is there is replaced, and a part of one is left after an error.

    Args:
        frames: uint8 RGB (H, W, 3), at least one, all of one size.
        rate: frames per second.
        codec: FFmpeg's encoder; options: of it.
        container: FFmpeg's muxer; None: by the suffix of `path`.
        ticks: the frames' time stamps, ascending, in units of `tick` seconds; None: 0, 1, … at `rate`.
        sample_aspect: width/height of a pixel.
        tags: "colorspace" and "color_range", as in ISO/IEC 23091-2 and FFmpeg's AVCOL_RANGE, stated and converted to.
        reproducible: one thread and no version strings, so that the same frames give the same bytes.

    Raises:
        ValueError: a frame or the number of `ticks` is not as told; FFmpeg does not have the encoder or the container.
        OSError: the file cannot be written.
    """
    if (ticks is None) != (tick is None):
        raise ValueError(f"ticks and tick must be given together, got ticks={ticks} and tick={tick}")
    pictures = _checked(frames)
    first = next(pictures, None)
    if first is None:
        raise ValueError("frames must be at least one, got none")
    muxer_options = {"fflags": "+bitexact"} if reproducible else {}
    with av.open(str(path), "w", format=container, options=muxer_options) as file:
        stream: Any = file.add_stream(codec, rate=rate, options=dict(options or {}))
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = pixel_format
        if reproducible:
            stream.thread_count = 1
        if tick is not None:
            stream.codec_context.time_base = stream.time_base = tick
        if sample_aspect is not None:
            stream.codec_context.sample_aspect_ratio = sample_aspect
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        count = 0
        for pixels in chain([first], pictures):
            if ticks is not None and count == len(ticks):
                raise ValueError(f"ticks must be one for each frame, got {count} ticks for more frames")
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if tags:
                to: Any = {f"dst_{name}": value for name, value in tags.items()}
                frame = frame.reformat(format=pixel_format, **to)
            frame.pts, frame.time_base = ticks[count] if ticks else count, tick or 1 / Fraction(rate)
            file.mux(stream.encode(frame))
            count += 1
        if ticks is not None and count < len(ticks):
            raise ValueError(f"ticks must be one for each frame, got {len(ticks)} ticks for {count} frames")
        file.mux(stream.encode(None))


def _checked(frames: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    shape: tuple[int, ...] = ()
    for k, pixels in enumerate(frames):
        shape = shape or (*pixels.shape[:2], 3)
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape != shape:
            got = f"{pixels.dtype} {pixels.shape} as number {k}"
            raise ValueError(f"frames must be uint8 (height, width, 3), all of one size, got {got}")
        yield np.ascontiguousarray(pixels)
