"""Files as careless programs write them: joined, cut, with odd time stamps; and all that gpuaug makes of one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from gpuaug import Decoder, Video, Window, probe
from gpuaug.video.backends.pyav import decode_windows
from support.assets import ffmpeg, number_of


def copied(source: Path, target: Path, *how: str) -> Path:
    """The file in another container, or with stamps changed by a filter."""
    ffmpeg("-i", source, "-c", "copy", *how, target)
    return target


def joined(target: Path, *parts: Path) -> Path:
    """The files' bytes, one after the other."""
    target.write_bytes(b"".join(part.read_bytes() for part in parts))
    return target


def shown(path: Path) -> tuple[list[int], np.ndarray, Video]:
    """(numbers of all frames, their seconds, the probed video)."""
    (video,) = probe(path, cache=False, progress=False).videos
    assert video.error is None
    with Decoder(threads=1) as decoder:
        index = decoder._index(str(path))
        (last,), failures = decoder.decode([Window(str(path), index.duration_seconds, 25, 1, "repeat")])
    assert not failures
    (frames,) = decode_windows(index, [np.arange(len(index.seconds_N))], index.height, index.width)
    assert last[0].equal(frames[-1])
    return [number_of(frame) for frame in frames.numpy()], index.seconds_N, video


def ffmpeg_seconds_closed(path: Path) -> np.ndarray:
    """As ffmpeg_seconds, with jumps closed as ffmpeg does without -copyts."""
    text = ffmpeg(
        "-i", path, "-map", "0:v:0", "-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-f", "framemd5", "-"
    )
    stamps = [int(line.split(",")[2]) for line in text.decode().splitlines() if not line.startswith("#")]
    return (np.array(stamps) - stamps[0]) / 90000


def avi_chunks(path: Path) -> list[bytes]:
    """The pictures of an AVI."""
    data = path.read_bytes()
    at, found = data.index(b"movi") + 4, []
    while data[at : at + 4] == b"00dc":
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        found.append(data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return found


def avi(path: Path, chunks: Sequence[bytes], *, fill: bool = True, index: bool = True) -> bytes:
    """The bytes of the same AVI with other chunks."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return name + len(data).to_bytes(4, "little") + data

    body, entries = b"movi", b""
    for data in chunks:
        entries += b"00dc" + b"".join(n.to_bytes(4, "little") for n in (16, len(body), len(data)))
        body += chunk(b"00dc", data) + b"\0" * (fill and len(data) % 2)
    head = path.read_bytes()
    out = head[12 : head.index(b"movi") - 8] + chunk(b"LIST", body) + (chunk(b"idx1", entries) if index else b"")
    return chunk(b"RIFF", b"AVI " + out)


def without_first(source: Path, target: Path, count: int) -> Path:
    """The video without its first packets."""
    with av.open(str(source)) as read, av.open(str(target), "w") as write:
        stream = read.streams.video[0]
        copy = write.add_stream_from_template(stream)
        for packet in [p for p in read.demux(stream) if p.size][count:]:
            packet.stream = copy
            write.mux(packet)
    return target
