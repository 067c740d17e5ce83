"""The containers that are read, and why another file is none of them. Nothing but the file itself is ever opened.

Used by demux.py.
"""

from __future__ import annotations

import os
from typing import IO, Any

import av
from av.container import InputContainer

from .reader import Reader

# FFmpeg's demuxers of files with moving pictures in them. Not among them: lists of other files (concat, hls, dash,
# sdp), numbered pictures, devices, pictures drawn from text or made up, and single pictures.
# fmt: off
KNOWN = (
    "mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "mpegts", "mpegtsraw", "mpeg", "mpegvideo",
    "flv", "live_flv", "kux", "asf", "asf_o", "wtv", "ogg", "mxf", "gxf", "lxf", "nut", "nsv", "nuv", "rm", "ivr",
    "dv", "dhav", "h264", "hevc", "vvc", "evc", "obu", "av1", "ivf", "m4v", "h261", "h263", "dirac", "cavsvideo",
    "avs2", "avs3", "vc1", "vc1test", "mjpeg", "mjpeg_2000", "mpjpeg", "gif", "apng", "webp", "yuv4mpegpipe", "swf",
    "amv", "apv", "roq", "bink", "smk", "flic", "film_cpk", "vmd", "4xm", "idcin", "ipmovie", "wc3movie", "wsvqa",
    "cine", "mlv", "pmp", "psxstr", "smjpeg", "thp", "ty", "viv", "vivo", "xmv", "mtv", "rpl", "r3d", "imx",
    "simbiosis_imx", "ipu", "usm", "moflex",
)
# fmt: on

LOOKED_THROUGH = 1 << 30  # bytes of a file in which a box is looked for


class _NothingElse(Exception):
    """A file asked for another one."""


def _refuse(*_: Any) -> None:
    raise _NothingElse


def opened(reader: Reader, *, only_known: bool) -> InputContainer:
    """The file as libav understands it; only_known: not unless it is of one of the containers above.

    Raises:
        av.FFmpegError: it does not.
    """
    options = {"protocol_whitelist": "none", **({"format_whitelist": ",".join(KNOWN)} if only_known else {})}
    return av.open(reader, "r", metadata_errors="ignore", container_options=options, io_open=_refuse)


def why_not_a_video(path: str, error: av.FFmpegError) -> str:
    """The reason for a user, from the file's first bytes and what libav said."""
    with open(path, "rb") as file:
        head = file.read(4096)
        if head[4:8] == b"ftyp" and (reason := _broken_boxes(file)):
            return reason
    try:
        head[:-4].decode("utf-8")  # the last character may be cut
        text = b"\0" not in head
    except UnicodeDecodeError:
        text = False
    if text:
        return "not a video: text"
    return f"not a video: {_other_format(path) or error.strerror}"


def _other_format(path: str) -> str:
    """What libav calls a file that is of none of the known containers; empty where it does not know it either."""
    reader = Reader(path)
    try:
        with opened(reader, only_known=False) as container:
            return container.format.long_name if container.format.name.split(",")[0] not in KNOWN else ""
    except Exception:  # whatever it is, no container that is read
        return ""
    finally:
        reader.close()


def _broken_boxes(file: IO[bytes]) -> str:
    """What is wrong with an MP4 file's boxes; empty where it cannot be told."""
    found, whole = _boxes(file)
    if b"moov" in found:
        return ""
    if _contains(file, b"moov"):
        return "damaged: the sizes of its boxes are not right, so that its header (moov box) is not found"
    if whole:
        return "its header (moov box) is missing"
    return "truncated: its header (moov box), which stands at the end of the file, is missing"


def _boxes(file: IO[bytes]) -> tuple[list[bytes], bool]:
    """(names of the boxes at an MP4 file's top level, whether the last one ends where the file does)."""
    end, at, found = os.fstat(file.fileno()).st_size, 0, list[bytes]()
    while at + 8 <= end:
        file.seek(at)
        header = file.read(16)
        size = int.from_bytes(header[:4], "big")
        found.append(header[4:8])
        if size == 1:
            size = int.from_bytes(header[8:16], "big")
        if size < 8:
            return found, size == 0
        at += size
    return found, at == end


def _contains(file: IO[bytes], name: bytes) -> bool:
    file.seek(0)
    kept, left = b"", LOOKED_THROUGH
    while left > 0 and (block := file.read(1 << 20)):
        if name in kept + block:
            return True
        kept, left = block[-len(name) :], left - len(block)
    return False
