"""Decoding chosen frames of one file with PyAV (FFmpeg's decoders), on the calling thread.

Legend: T frames of a window, H W output height and width.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from ...kernels import host
from ..demux import Unusable, check_memory, one_line, raise_if_of_the_system
from ..frame_index import FrameIndex
from ..times import MISSING
from . import Decoded
from .parts import room, stretches_of
from .stretch import OpenFile

# Bilinear, which is a triangle filter as wide as the reduction; chroma interpolated where it is sited, and rounding
# that does not depend on the processor. To planar RGB this takes half the time that it takes to packed RGB.
SCALING = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def read_frames(
    index: FrameIndex, positions: NDArray[np.int64], damaged: set[int] | None = None
) -> Iterator[tuple[int, VideoFrame]]:
    """Pairs (position, native frame) for these positions, each once, as the decoder gives them.

    For each stretch of wanted frames the file is entered at the last key frame before it, and left once the stretch is
    decoded. That stops at the first error. What is then missing, or was marked as damaged, is tried from one key frame
    earlier (a key frame that the container promises need not be one: gradual refresh, bad cuts), then from the start of
    the file, and at last from there on through errors and with whatever pictures come out, as ffmpeg does it: these are
    `damaged`, or depend on what is, and the same from wherever they are asked for.
    A frame that even then does not come out is an error; it is never replaced by another.

    Raises:
        Unusable: some of the frames cannot be decoded; which, after all others have been given.
        OSError: the file cannot be read on, or memory is short.
    """
    wanted = np.unique(positions)
    missing: set[int] = set(wanted.tolist())
    with OpenFile(index) as file:
        keyed = stretches_of(index, wanted)
        attempts = [(stretch, start, start == key) for key, stretch in keyed for start in (key, key - 1)]
        for stretch, start, first in [*attempts, (wanted.tolist(), None, False)]:
            want = {int(index.decoder_pts_N[i]): i for i in stretch if i in missing}
            if want and start != -1:
                for position, frame in file.frames(start, want, all_packets=not first):
                    missing.discard(position)
                    yield position, frame
    if missing:
        with OpenFile(index, lenient=True) as file:
            for position, frame in file.all_frames({int(index.decoder_pts_N[i]): i for i in missing}):
                missing.discard(position)
                if damaged is not None:
                    damaged.add(position)
                yield position, frame
    if missing:
        check_memory()
        seconds = ", ".join(f"{index.seconds_N[i]:.3f}" for i in sorted(missing)[:3]) + " …" * (len(missing) > 3)
        raise Unusable(f"{len(missing)} of its frames cannot be decoded, at {seconds} s")


def learn_order(index: FrameIndex) -> FrameIndex:
    """The index of a file whose container does not tell the display order, after decoding all of it once."""
    own = {} if index.own_dts_N is None else dict(zip(index.packet_N.tolist(), index.own_dts_N.tolist()))
    numbers: list[int] = []
    dts: list[int] = []
    with OpenFile(index, lenient=True) as file:
        for packet in chain(file.packets_from(None), [None]):
            if packet:
                time = own.get(packet.pts, MISSING)
                packet.dts = None if time == MISSING else time
            try:
                for frame in file.context.decode(packet):
                    if frame.pts is not None:
                        numbers.append(frame.pts)
                        dts.append(MISSING if frame.dts is None else frame.dts)
            except av.FFmpegError as error:
                raise_if_of_the_system(error)
    check_memory()
    if not numbers:
        raise Unusable("none of its frames can be decoded")
    return index.reordered(numbers, dts)


def decode_windows(
    index: FrameIndex,
    positions: list[NDArray[np.int64]],
    height: int,
    width: int,
    *,
    pinned: bool = False,
    damaged: set[int] | None = None,
) -> Decoded:
    """For each window's positions (T,): uint8 RGB (T,H,W,3) on the CPU, or the reason why it cannot be decoded.

    All windows are of one file: it is opened once, and a frame that several windows show is decoded once. `height` and
    `width` are those of the picture as displayed. `damaged`: takes the positions of frames with errors.
    """
    shapes = [(len(p), height, width, 3) for p in positions]
    frames_WTHW3 = [room(shape, pinned) for shape in shapes]
    places: dict[int, list[NDArray[np.uint8]]] = {}
    for frames_THW3, positions_T in zip(frames_WTHW3, positions):
        array_THW3 = frames_THW3.numpy()
        for k, position in enumerate(positions_T.tolist()):
            places.setdefault(position, []).append(array_THW3[k])
    to_rgb = _Converter(index, height, width)
    reason = ""
    try:
        for position, frame in read_frames(index, np.concatenate(positions), damaged):
            to_rgb(frame, places.pop(position))
    except (Unusable, OSError, MemoryError) as error:
        reason = one_line(error)
    left = set(places)
    return [reason if left.intersection(p.tolist()) else f for f, p in zip(frames_WTHW3, positions)]


class _Converter:
    """Native frames to RGB of the wanted size, turned for display."""

    def __init__(self, index: FrameIndex, height: int, width: int) -> None:
        self.turns, self.mirrored = -index.rotation // 90, index.mirrored
        self.height, self.width = (width, height) if index.rotation % 180 else (height, width)
        self.scale = VideoReformatter()

    def __call__(self, frame: VideoFrame, places: list[NDArray[np.uint8]]) -> None:
        """Write the picture to all `places` (H,W,3)."""
        planar = self.scale.reformat(
            frame, width=self.width, height=self.height, format="gbrp", interpolation=SCALING, threads=1
        )
        green, blue, red = planar.planes
        library = host.library()
        for place_HW3 in places:
            unturned = place_HW3
            if self.mirrored or self.turns:
                unturned = np.rot90(place_HW3[:, ::-1] if self.mirrored else place_HW3, -self.turns)
            if library:
                host.interleave(library, [(p.buffer_ptr, p.line_size) for p in (red, green, blue)], unturned)
                continue
            for channel, plane in enumerate((red, green, blue)):
                rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
                unturned[..., channel] = rows[: self.height, : self.width]
