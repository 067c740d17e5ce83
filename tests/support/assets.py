"""Test videos whose pictures tell their frame number, and ffmpeg (the program: another build, newer) as the judge.

A frame carries its number as ten black or white blocks, most significant first, with the inverted blocks below. They
survive lossy coding and scaling, and a picture that is mirrored, turned or mixed from two does not read as a number.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from gpuaug.video.write import write_video

BITS = 10


@functools.cache
def ffmpeg_program() -> str:
    """The ffmpeg of the wheel imageio-ffmpeg, or, where that is not installed, of the system."""
    try:
        import imageio_ffmpeg
    except ImportError:
        return shutil.which("ffmpeg") or "ffmpeg: install imageio-ffmpeg"
    return imageio_ffmpeg.get_ffmpeg_exe()


def picture(number: int, height: int, width: int) -> np.ndarray:
    """uint8 (height, width, 3): the number above a moving coloured pattern."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([96 + 60 * np.sin(x / 17 + number / 5), 128 + y * 60 / height, 128 + 60 * np.cos(y / 13)], -1)
    for bit in range(BITS):
        on = number >> (BITS - 1 - bit) & 1
        columns = slice(bit * width // BITS, (bit + 1) * width // BITS)
        image[: height // 4, columns] = 255 * on
        image[height // 4 : height // 2, columns] = 255 * (1 - on)
    return image.astype(np.uint8)


def number_of(image: np.ndarray) -> int:
    """The number that a picture carries; −1 if none can be read."""
    height, width = image.shape[:2]
    gray = np.asarray(image, np.float64).mean(-1)

    def row(centre: float) -> list[float]:
        rows = slice(round(height * (centre - 0.05)), max(round(height * (centre + 0.05)), round(height * centre) + 1))
        half = max(width // BITS // 6, 1)
        middles = [round((bit + 0.5) * width / BITS) for bit in range(BITS)]
        return [float(gray[rows, m - half : m + half].mean()) for m in middles]

    pairs = list(zip(row(1 / 8), row(3 / 8)))
    if any(abs(a - b) < 100 for a, b in pairs):
        return -1
    return sum((a > b) << (BITS - 1 - bit) for bit, (a, b) in enumerate(pairs))


def encode(
    path: Path,
    ticks: Sequence[int],
    tick: Fraction,
    codec: str = "libx264",
    *,
    size: tuple[int, int] = (96, 160),
    turned: int = 0,
    options: dict[str, str] | None = None,
    rate: Fraction | int = 25,
    **how: Any,
) -> Path:
    """Write a video whose frame k has time stamp ticks[k]; `turned`: store it turned by so many quarters clockwise."""
    pictures = (np.rot90(picture(k, *size), -turned) for k in range(len(ticks)))
    write_video(path, pictures, rate, codec, options={"g": "12", **(options or {})}, ticks=ticks, tick=tick, **how)
    return path


def ffmpeg(*arguments: str | Path) -> bytes:
    """Run ffmpeg; its standard output."""
    command = [ffmpeg_program(), "-v", "error", "-y", *map(str, arguments)]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout


def ffmpeg_seconds(path: Path) -> np.ndarray:
    """(N,) times of the displayed frames as ffmpeg gives them, the first at 0."""
    exact = ["-copyts", "-enc_time_base", "demux"]
    text = ffmpeg("-i", path, "-map", "0:v:0", "-fps_mode", "passthrough", *exact, "-f", "framemd5", "-").decode()
    tick = Fraction(re.search(r"#tb 0: (\S+)", text)[1])  # type: ignore[index]
    stamps = np.array([int(line.split(",")[2]) for line in text.splitlines() if not line.startswith("#")])
    return (stamps - stamps[0]) * float(tick)


def ffmpeg_rgb(path: Path, height: int, width: int, *, chroma: str = "", turn: bool = True) -> np.ndarray:
    """uint8 (N, height, width, 3): all frames as ffmpeg's scaler makes them of the displayed picture."""
    flags = "flags=bilinear+accurate_rnd+full_chroma_int" + (f":in_chroma_loc={chroma}" if chroma else "")
    how = ["-i", path, "-map", "0:v:0", "-fps_mode", "passthrough", "-vf", f"scale={width}:{height}:{flags}"]
    data = ffmpeg(*([] if turn else ["-noautorotate"]), *how, "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
    return np.frombuffer(data, np.uint8).reshape(-1, height, width, 3)


def remux(
    source: Path, target: Path, change: Callable[[int, bytes], bytes] = lambda _, data: data, **stream_options: Any
) -> Path:
    """Copy a video packet by packet, with the data of packet k replaced by change(k, data)."""
    with av.open(str(source)) as read, av.open(str(target), "w") as write:
        stream = read.streams.video[0]
        copy = write.add_stream_from_template(stream, **stream_options)
        for k, packet in enumerate(p for p in read.demux(stream) if p.size):
            new = av.Packet(change(k, bytes(packet)))
            new.pts, new.dts, new.duration = packet.pts, packet.dts, packet.duration
            new.time_base, new.is_keyframe, new.stream = packet.time_base, packet.is_keyframe, copy
            write.mux(new)
    return target


N = 50
MS, FINE = Fraction(1, 1000), Fraction(1, 90000)
EVEN = [k * 3600 for k in range(N)]  # 25 a second
EVEN_MS = [k * 40 for k in range(N)]
NTSC_MS = [round(k * 1001 / 30) for k in range(N)]  # 30000/1001 a second
UNEVEN = np.cumsum(np.random.default_rng(0).integers(1500, 18000, N)).tolist()  # 1/60 s to 1/5 s
NTSC = Fraction(30000, 1001)
B = {"x264-params": "bframes=3:b-adapt=0:scenecut=0:keyint=12"}
OPEN = {"x264-params": "bframes=3:b-adapt=0:scenecut=0:keyint=12:open-gop=1"}
HEVC = {"x265-params": "log-level=none:keyint=12:open-gop=1:bframes=3"}
REFRESH = {"x264-params": "intra-refresh=1:keyint=12:bframes=0"}
ALT_REF = {"lag-in-frames": "16", "auto-alt-ref": "1"}

# name: (file, time stamps, tick, other arguments of `encode`)
ENCODED: dict[str, tuple[str, list[int], Fraction, dict[str, Any]]] = {
    "cfr": ("cfr.mp4", EVEN, FINE, {}),
    "ntsc": ("ntsc.mp4", [k * 3003 for k in range(N)], FINE, {"options": B, "rate": NTSC}),
    "vfr": ("vfr.mp4", UNEVEN, FINE, {"options": B}),
    "mkv": ("mkv.mkv", NTSC_MS, MS, {"options": B, "rate": NTSC}),
    "mkv_late": ("mkv_late.mkv", [round((k + 1) * 1001 / 30) for k in range(N)], MS, {"rate": NTSC}),
    "start": ("start.mp4", [k + 90000 for k in EVEN], FINE, {"options": B}),
    "ts": ("ts.ts", EVEN, FINE, {"options": B}),
    "open_gop": ("open_gop.mp4", EVEN, FINE, {"options": OPEN}),
    "open_gop_ts": ("open_gop.ts", EVEN, FINE, {"options": OPEN}),
    "long_gop": ("long_gop.mp4", EVEN, FINE, {"options": {"g": "250", "bf": "2"}}),
    "refresh": ("refresh.ts", EVEN, FINE, {"options": REFRESH}),
    "hevc": ("hevc.mp4", EVEN, FINE, {"codec": "libx265", "options": HEVC}),
    "ten_bit": ("ten_bit.mp4", EVEN, FINE, {"pixel_format": "yuv420p10le"}),
    "444": ("444.mp4", EVEN, FINE, {"pixel_format": "yuv444p"}),
    "odd": ("odd.mp4", EVEN, FINE, {"pixel_format": "yuv444p", "size": (97, 161)}),
    "odd_vp9": ("odd.webm", EVEN_MS, MS, {"codec": "libvpx-vp9", "size": (97, 161)}),
    "sar": ("sar.mp4", EVEN, FINE, {"sample_aspect": Fraction(4, 3)}),
    "vp8": ("vp8.webm", EVEN_MS, MS, {"codec": "libvpx", "options": ALT_REF}),
    "vp9": ("vp9.webm", EVEN_MS, MS, {"codec": "libvpx-vp9"}),
    "vp9_alt": ("vp9_alt.webm", EVEN_MS, MS, {"codec": "libvpx-vp9", "options": ALT_REF}),
    "mjpeg": ("mjpeg.mkv", EVEN_MS, MS, {"codec": "mjpeg", "pixel_format": "yuvj420p"}),
    "mpeg4_avi": ("mpeg4.avi", list(range(N)), Fraction(1, 25), {"codec": "mpeg4", "rate": 25}),
    "mpeg4_b_avi": (
        "mpeg4_b.avi",
        list(range(N)),
        Fraction(1, 25),
        {"codec": "mpeg4", "rate": 25, "options": {"bf": "2"}},
    ),
    "mpeg2": (
        "mpeg2.mpg",
        list(range(N)),
        Fraction(1, 25),
        {"codec": "mpeg2video", "rate": 25, "options": {"bf": "2"}},
    ),
}
TURNED = {"turned_90": ["-90"], "turned_180": ["180"], "turned_270": ["90"]}  # ffmpeg counts counter-clockwise
DERIVED = [*TURNED, "mirrored", "edit_list", "cut_ts", "packed_avi", "h264_avi", "raw_h264"]


class Assets:
    """Videos by name (those of ENCODED and DERIVED), made when first asked for; `size`: of those that name no other."""

    def __init__(self, folder: Path, size: tuple[int, int] = (96, 160)) -> None:
        self.folder, self.size = folder, size
        self._made: dict[str, Path] = {}

    def __getitem__(self, name: str) -> Path:
        if name not in self._made:
            if name in ENCODED:
                file, ticks, tick, how = ENCODED[name]
                self._made[name] = encode(self.folder / file, ticks, tick, **{"size": self.size, **how})
            else:
                self._made[name] = self._derive(name)
        return self._made[name]

    def _derive(self, name: str) -> Path:
        copy = ["-map", "0:v:0", "-c", "copy"]
        if name in TURNED:
            quarters = int(name[7:]) // 90
            plain = encode(self.folder / f"{name}_plain.mp4", EVEN, FINE, turned=-quarters, size=self.size)
            ffmpeg("-display_rotation", *TURNED[name], "-i", plain, *copy, target := self.folder / f"{name}.mp4")
        elif name == "mirrored":  # what a front camera may write: turned and flipped
            plain = encode(self.folder / "mirrored_plain.mp4", EVEN, FINE, size=self.size)
            ffmpeg(
                "-display_rotation", "90", "-display_hflip", "-i", plain, *copy, target := self.folder / "mirrored.mp4"
            )
        elif name == "edit_list":  # a cut between key frames: what comes before is there, and hidden
            ffmpeg("-ss", "0.6", "-i", self["open_gop"], *copy, target := self.folder / "edit_list.mp4")
        elif name == "cut_ts":  # starts between key frames, without them
            target = self.folder / "cut.ts"
            target.write_bytes(self["open_gop_ts"].read_bytes()[188 * 60 :])
        elif name == "packed_avi":
            target = pack(self["mpeg4_b_avi"], self.folder / "packed.avi")
        elif name == "h264_avi":
            ffmpeg("-i", self["open_gop"], *copy, target := self.folder / "h264.avi")
        elif name == "raw_h264":
            ffmpeg("-i", self["open_gop"], *copy, target := self.folder / "raw.h264")
        else:
            raise KeyError(name)
        return target


def pack(source: Path, target: Path) -> Path:
    """MPEG-4 with two B-pictures in a row, stored as DivX did: one comes with the reference before it, the next one is
    late by a packet, and a placeholder ("as before", without a picture) takes the place of the last."""
    with av.open(str(source)) as read:
        data = [bytes(p) for p in read.demux(video=0) if p.size]
    kinds = ["IPBS"[d[d.index(b"\0\0\1\xb6") + 4] >> 6] for d in data]
    placeholder = bytes.fromhex("000001b6 5060")
    out: list[bytes] = []
    for k, (one, kind) in enumerate(zip(data, kinds)):
        if kind == "B" and kinds[k - 1] != "B":
            out[-1] += one
        elif kind == "B":
            out.append(one)
        else:
            if k and kinds[k - 1] == "B":
                out.append(placeholder)
            out.append(one)
    if kinds[-1] == "B":
        out.append(placeholder)
    out[0] = out[0].replace(b"\0\0\1\xb6", b"\0\0\1\xb2DivX503b1393p\0\0\1\xb6", 1)  # "p": packed
    assert len(out) == len(data)
    return remux(source, target, lambda k, _: out[k])
