"""What NVDEC can decode: asked of NVIDIA's driver once for each codec, chroma and depth.

Used by dali.py, torchcodec.py and cut.py.

The question is cuvidGetDecoderCaps of the Video Codec SDK; `Capabilities.ask` can be another function, as in tests.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import NamedTuple

import torch
from av.video.format import VideoFormat

CODECS = {  # cudaVideoCodec
    "mpeg1video": 0,
    "mpeg2video": 1,
    "mpeg4": 2,
    "vc1": 3,
    "h264": 4,
    "mjpeg": 5,
    "hevc": 8,
    "vp8": 9,
    "vp9": 10,
    "av1": 11,
}
CHROMA = {"4:0:0": 0, "4:2:0": 1, "4:2:2": 2, "4:4:4": 3}  # cudaVideoChromaFormat
NV12 = 0  # cudaVideoSurfaceFormat: 8 bits, 4:2:0
MACROBLOCK = 256  # pixels, in which the size of a picture is limited


class Caps(NamedTuple):
    """What the driver says of a class of videos. Sizes in coded pixels; outputs: a mask of surface formats."""

    supported: bool
    least_width: int = 0
    least_height: int = 0
    most_width: int = 0
    most_height: int = 0
    most_blocks: int = 0
    outputs: int = 0


class Kind(NamedTuple):
    """A class of videos: `chroma` as "4:2:0"; bits of each value."""

    codec: str
    chroma: str
    bits: int

    def __str__(self) -> str:
        return f"{self.codec} of {self.bits} bits, {self.chroma}"


class _Caps(ctypes.Structure):
    """CUVIDDECODECAPS."""

    _fields_ = (
        ("codec", ctypes.c_int),
        ("chroma", ctypes.c_int),
        ("bits_minus_8", ctypes.c_uint),
        ("reserved1", ctypes.c_uint * 3),
        ("supported", ctypes.c_ubyte),
        ("engines", ctypes.c_ubyte),
        ("outputs", ctypes.c_ushort),
        ("most_width", ctypes.c_uint),
        ("most_height", ctypes.c_uint),
        ("most_blocks", ctypes.c_uint),
        ("least_width", ctypes.c_ushort),
        ("least_height", ctypes.c_ushort),
        ("histogram", ctypes.c_ubyte),
        ("counter_bits", ctypes.c_ubyte),
        ("most_bins", ctypes.c_ushort),
        ("reserved3", ctypes.c_uint * 10),
    )


def kind_of(codec: str, pixel_format: str) -> Kind:
    """The class of videos of this codec and libav pixel format; chroma is empty for what has none of CHROMA."""
    form = VideoFormat(pixel_format)
    components = form.components
    if form.is_rgb or form.has_palette or len(components) in (0, 2) or len(components) > 3:
        return Kind(codec, "", max((c.bits for c in components), default=0))
    if len(components) < 3:
        return Kind(codec, "4:0:0", components[0].bits)
    # of a picture of 64 × 64, so that nothing is rounded
    wide, high = form.chroma_width(64), form.chroma_height(64)
    chroma = {(32, 32): "4:2:0", (32, 64): "4:2:2", (64, 64): "4:4:4"}.get((wide, high), "")
    return Kind(codec, chroma, components[0].bits)


def missing() -> str:
    """Why there is no NVDEC to use; empty if its library can be loaded."""
    try:
        _library()
    except OSError as error:
        return f"NVDEC cannot be used: {str(error).splitlines()[0]}"
    return ""


def _library() -> ctypes.CDLL:
    return ctypes.CDLL("nvcuvid.dll" if sys.platform == "win32" else "libnvcuvid.so.1")


def ask_driver(device: torch.device, kind: Kind) -> Caps | str:
    """The driver's answer, or why there is none."""
    asked = _Caps(codec=CODECS[kind.codec], chroma=CHROMA[kind.chroma], bits_minus_8=kind.bits - 8)
    try:
        with torch.cuda.device(device):
            torch.cuda.current_stream().synchronize()  # makes the context that the driver asks for
            status = _library().cuvidGetDecoderCaps(ctypes.byref(asked))
    except (OSError, AttributeError, RuntimeError) as error:
        return f"NVDEC cannot be asked: {(str(error).splitlines() or [type(error).__name__])[0]}"
    if status:
        return f"NVDEC cannot be asked: error {status} of cuvidGetDecoderCaps"
    return Caps(
        bool(asked.supported),
        asked.least_width,
        asked.least_height,
        asked.most_width,
        asked.most_height,
        asked.most_blocks,
        asked.outputs,
    )


class Capabilities:
    """The answers for one device, each asked for once."""

    ask: Callable[[torch.device, Kind], Caps | str] = staticmethod(ask_driver)

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._known: dict[Kind, Caps | str] = {}

    def of(self, kind: Kind) -> Caps | str:
        """The driver's answer, or why there is none."""
        if kind not in self._known:
            self._known[kind] = self.ask(self.device, kind)
        return self._known[kind]

    def refuses_kind(self, kind: Kind, *, output: int | None = None) -> str:
        """Why NVDEC does not decode this class of videos (into surfaces of this format); empty if it does."""
        if kind.codec not in CODECS or kind.chroma not in CHROMA or kind.bits < 8:
            return f"NVDEC does not decode {kind.codec} of this chroma"
        caps = self.of(kind)
        if isinstance(caps, str):
            return caps
        if not caps.supported or (output is not None and not caps.outputs >> output & 1):
            return f"NVDEC here does not decode {kind}"
        return ""

    def refuses_size(self, kind: Kind, width: int, height: int) -> str:
        """Why NVDEC does not decode pictures of this coded size; empty if it does, or if the class is refused."""
        caps = self.of(kind)
        if isinstance(caps, str):
            return ""
        size = f"NVDEC here decodes {kind.codec} of {{}}, this has {width} × {height}"
        if width < caps.least_width or height < caps.least_height:
            return size.format(f"at least {caps.least_width} × {caps.least_height} pixels")
        if width > caps.most_width or height > caps.most_height:
            return size.format(f"at most {caps.most_width} × {caps.most_height} pixels")
        if width * height > caps.most_blocks * MACROBLOCK:
            return size.format(f"at most {caps.most_blocks} macroblocks")
        return ""
