"""Reading video files packet by packet with PyAV: what both the manifest and the decoder need to agree on."""

from __future__ import annotations

import errno
import mmap
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import cast

import av
import av.bitstream
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from . import formats
from .reader import Reader

SPARE_BYTES = 256 << 20  # more than libav takes for a file, but for pictures far above 8K

# What libav says of a file's content in the system's numbers; its demuxers' plain −1 reads as EPERM.
OF_CONTENT = {errno.EINVAL, errno.EPERM, errno.ENOSYS, errno.ERANGE, errno.EDOM, errno.EILSEQ, errno.EAGAIN}


class Unusable(ValueError):
    """A file, or a window of it, cannot be decoded; the message is the reason, in one line.

    `lasting`: that is certainly so because of what is in the file, and will be found again.
    """

    def __init__(self, reason: str, *, lasting: bool = True) -> None:
        super().__init__(reason)
        self.lasting = lasting


NO_FILE = "no such file"
NO_FRAMES = "the video stream has no frames"


class NoFrames(Unusable):
    """Nothing is stored of a stream."""


def one_line(error: Exception) -> str:
    """The reason that a user is told: our own as they are, the system's without numbers, others with their type."""
    if isinstance(error, Unusable):
        return str(error)
    if isinstance(error, av.FFmpegError):
        if _of_the_system(error):
            return f"cannot be read: {error.strerror}"
    elif isinstance(error, FileNotFoundError):  # gone since it was last looked at
        return NO_FILE
    elif isinstance(error, MemoryError):
        return " ".join(f"out of memory: {error}".split()).removesuffix(":")
    elif isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    return " ".join(f"{type(error).__name__}: {error}".split())


def raise_if_of_the_system(error: Exception) -> None:
    """Raise an error of libav's that says nothing about the file's content (no memory, …) as an OSError."""
    if isinstance(error, av.FFmpegError) and _of_the_system(error):
        raise OSError(error.errno, error.strerror) from None


def _of_the_system(error: av.FFmpegError) -> bool:
    return error.errno in errno.errorcode and error.errno not in OF_CONTENT


def check_memory() -> None:
    """Raise an OSError where memory is short: libav then drops packets and streams, and does not always say so."""
    try:
        mmap.mmap(-1, SPARE_BYTES).close()  # not touched, so that it takes no time
    except OSError:
        raise OSError(errno.ENOMEM, f"less than {SPARE_BYTES >> 20} MiB of memory are left") from None


class VideoFile:
    """An open video file: libav's `container` over a `Reader`.

    Raises:
        Unusable: there is no video in it. OSError: it may not or cannot be read, or memory is short.
    """

    def __init__(self, path: str) -> None:
        _regular(path)
        self.reader = Reader(path)
        self.damaged = False  # an error, and not by the file's end
        try:
            self.container: InputContainer = self._open(path)
        except BaseException:
            self.reader.close()
            raise

    def _open(self, path: str) -> InputContainer:
        try:
            container = formats.opened(self.reader, only_known=True)
        except av.FFmpegError as error:
            self.check()
            # Where the file gave no error, it is libav's word for a header that is cut short.
            if error.errno == errno.EIO:
                raise Unusable("not a video: it ends too early", lasting=False) from None
            raise_if_of_the_system(error)
            lasting = error.errno == errno.EINVAL or error.errno not in errno.errorcode
            raise Unusable(formats.why_not_a_video(path, error), lasting=lasting) from None
        try:
            self.check()
        except BaseException:
            container.close()
            raise
        return container

    def check(self) -> None:
        """Raise the first error that reading the file gave, whatever libav made of it."""
        self.reader.check()

    def close(self) -> None:
        self.container.close()
        self.reader.close()

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_file(path: str) -> os.stat_result:
    """The file's status, if it is a regular file with something in it that we may read.

    Raises:
        Unusable: it is missing, empty, a directory or a device. OSError: it may not be read.
    """
    status = _regular(path)
    os.close(os.open(path, os.O_RDONLY))  # PermissionError and the like, with Python's own message
    return status


def _regular(path: str) -> os.stat_result:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise Unusable("broken link" if os.path.islink(path) else NO_FILE) from None
    if stat.S_ISDIR(status.st_mode):
        os.scandir(path).close()
        raise Unusable("is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise Unusable("not a regular file")
    if status.st_size == 0:
        raise Unusable("empty file")
    return status


def videos(container: InputContainer) -> list[VideoStream]:
    """The video streams, that which ffmpeg chooses first, without cover pictures and previews.

    It takes the largest picture, but one with the flag "default" before others (by five million pixels), and before all
    those of which the beginning of the file has shown something.

    Raises:
        Unusable: there is none.
    """
    pictures = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [s for s in container.streams.video if not s.disposition & pictures]
    if not streams:
        kinds = sorted({"a cover picture" if s.type == "video" else s.type for s in container.streams})
        raise Unusable(f"no video stream (only {', '.join(kinds)})" if kinds else "no video stream")
    return sorted(streams, key=_rank, reverse=True)


def _rank(stream: VideoStream) -> int:
    context = stream.codec_context
    size = context.width * context.height if context else 0
    return size + 5_000_000 * bool(stream.disposition & Disposition.default) + 100_000_000 * (size > 0)


def prepare(stream: VideoStream) -> None:
    """Make a stream ready for decoding.

    Raises:
        Unusable: there is no decoder for it.
    """
    if stream.codec_context is None:
        raise Unusable("no decoder for its video codec")
    # One thread per file: the pool decodes several files at once, and short windows do not repay frame threading.
    stream.codec_context.thread_type = "NONE"
    stream.codec_context.thread_count = 1


def codec_name(stream: VideoStream) -> str:
    """Name of the codec ("av1"), not of its decoder ("libdav1d")."""
    return stream.codec_context.codec.canonical_name


def packets(file: VideoFile, stream: VideoStream) -> Iterator[av.Packet]:
    """The stream's packets as stored, from the present position to the end or to where the file is broken.

    MPEG-4 outside of MP4 may pack two pictures into one packet and a placeholder into the next: they are put back.

    Raises:
        OSError: the file cannot be read on, or memory is short. That is never taken for the file's end.
    """
    unpack = None
    if codec_name(stream) == "mpeg4" and "mp4" not in file.container.format.name:
        unpack = av.bitstream.BitStreamFilterContext("mpeg4_unpack_bframes", stream)
    try:
        # PyAV's generator loses memory when it is only dropped.
        with closing(cast(Generator[av.Packet, None, None], file.container.demux(stream))) as stored:
            reader = file.reader
            for packet in stored:
                if reader.error is not None:
                    reader.check()
                if unpack is not None:
                    yield from unpack.filter(packet if packet.size else None)
                elif packet.size:
                    yield packet
    except (av.FFmpegError, IndexError) as error:
        # What has been read so far is good. IndexError: at the end of a file in which further streams began, PyAV 18
        # looks for them among those that the file began with.
        file.check()
        raise_if_of_the_system(error)
        file.damaged = not isinstance(error, IndexError)
    else:
        file.check()


def first_frame(stream: VideoStream, candidates: list[av.Packet]) -> VideoFrame:
    """The picture of the first of these packets that decodes alone, else the first that comes out of all of them."""
    bare = [av.Packet(bytes(packet)) if packet.is_discard else packet for packet in candidates]  # no longer hidden
    for group in [*([packet] for packet in bare), bare]:
        if frames := frames_of(stream, group):
            return frames[0]
    raise Unusable(f"its first frame cannot be decoded ({codec_name(stream)})")


def frames_of(stream: VideoStream, stored: list[av.Packet]) -> list[VideoFrame]:
    """The pictures of these packets alone, as far as they can be decoded."""
    frames: list[VideoFrame] = []
    for packet in [*stored, None]:
        try:
            frames += stream.codec_context.decode(packet)
        except av.FFmpegError as error:
            raise_if_of_the_system(error)
    stream.codec_context.flush_buffers()
    return frames
