"""The command doctor: what this machine has, what was tried, and what would make it faster."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import av
import numpy as np
import torch

import gpuaug

from .video.backends import BACKENDS
from .video.decoder import usable_cores
from .video.write import write_video

CODECS: dict[str, tuple[str, str, dict[str, str]]] = {  # codec: (encoder, container, its options)
    "h264": ("libx264", "mp4", {}),
    "hevc": ("libx265", "mp4", {"x265-params": "log-level=none"}),
    "av1": ("libsvtav1", "mp4", {}),
    "vp9": ("libvpx-vp9", "webm", {}),
    "vp8": ("libvpx", "webm", {}),
    "mjpeg": ("mjpeg", "avi", {}),
    "mpeg4": ("mpeg4", "avi", {}),
}
COLUMNS = [*reversed(BACKENDS)]  # that which runs everywhere first


def report() -> int:
    """Print what was found; returns 0."""
    advice: list[str] = []
    for name, value in [*_machine(), *_kernels(advice), *_gpu(advice)]:
        print(f"{name:<12} {value}")
    print(f"\n{'codec':<12} {_columns(COLUMNS)}")
    why: list[str] = []
    for codec, answers in _codecs().items():
        print(f"{codec:<12} {_columns([_short(answer, why) for answer in answers])}")
    for number, reason in enumerate(why, 1):
        print(f"  [{number}] {reason}")
    print("\nWhat would make it faster:" if advice else "\nNothing here holds it back.")
    for line in advice:
        print(f"  - {line}")
    return 0


def _machine() -> list[tuple[str, str]]:
    return [
        ("gpuaug", f"{gpuaug.__version__} on Python {platform.python_version()}, {platform.system()}"),
        ("processor", f"{platform.machine()}, {usable_cores()} cores, torch uses {torch.get_num_threads()} threads"),
        ("memory", _memory()),
        ("torch", f"{torch.__version__}, CUDA {torch.version.cuda or 'not built in'}"),
        ("PyAV", f"{av.__version__}, FFmpeg's libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}"),
    ]


def _kernels(advice: list[str]) -> list[tuple[str, str]]:
    from .kernels import host

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        host.library()  # its one warning says no more than this report
    found = host.find()
    compiled = not isinstance(found, str)
    compiler = shutil.which(os.environ.get("CXX", "c++")) or shutil.which("g++") or shutil.which("clang++")
    version = ""
    if compiler:
        answer = subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=30)
        version = (answer.stdout.splitlines() or ["does not answer"])[0]
    if not compiled:
        first = "" if compiler else "install a C++ compiler (Debian, Ubuntu: apt install g++), then "
        folder = Path(gpuaug.__file__).parent
        advice.append(
            f"the CPU kernels {found}, NumPy serves instead: {first}reinstall gpuaug, which is imported from {folder} "
            "(in a checkout: python setup.py build_ext --inplace)"
        )
    return [
        ("CPU kernels", "compiled" if compiled else f"{found}: the NumPy reference serves"),
        ("compiler", version or "none found (needed only to install the CPU kernels)"),
    ]


def _gpu(advice: list[str]) -> list[tuple[str, str]]:
    rows = [
        ("CuPy", _version("cupy") or "not installed"),
        ("DALI", _version("nvidia-dali") or "not installed"),
        ("torchcodec", _version("torchcodec") or "not installed"),
    ]
    try:
        from .kernels import cuda
        from .kernels.launches import Variant

        size = len(cuda.machine_code(Variant("render", "bfloat16", 3, 2, 1, 1), "sm_90"))
        rows.append(("GPU kernels", f"compile with NVRTC (render for sm_90: {size} bytes)"))
    except (ImportError, RuntimeError, OSError) as error:
        rows.append(("GPU kernels", f"do not compile: {_one_line(error)}"))
    if not torch.cuda.is_available():
        rows += [("devices", "no CUDA device"), ("NVDEC", "not tried: no CUDA device")]
        advice.append("no CUDA device: decoding, kernels and training run on the CPU")
        return rows
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        rows.append(
            (
                f"device {index}",
                f"{device.name}, {device.total_memory / 2**30:.0f} GiB, sm_{device.major}{device.minor}",
            )
        )
    rows.append(("NVDEC", _nvdec(advice)))
    if not _version("cupy"):
        advice.append("CuPy is missing, so GPU tensors cannot be rendered: pip install 'gpuaug[cuda13]' (or cuda12)")
    return rows


def _nvdec(advice: list[str]) -> str:
    """Decode a small H.264 file on the GPU, and say what happened."""
    try:
        ctypes.CDLL("libnvcuvid.so.1")
    except OSError:
        advice.append("libnvcuvid.so.1 is missing (in a container: NVIDIA_DRIVER_CAPABILITIES=video,compute,utility)")
        return "no libnvcuvid.so.1: videos are decoded on the CPU"
    with tempfile.TemporaryDirectory() as folder:
        answer = _try("cuda", "dali", _clip(Path(folder), "h264"))
    if answer != "yes":
        advice.append("NVDEC does not decode H.264 here, so the CPU does: see the DALI row")
    return "decodes H.264" if answer == "yes" else answer


def _codecs() -> dict[str, list[str]]:
    """Every codec decoded by every backend, in truth: a clip is encoded first."""
    gpu = "cuda" if torch.cuda.is_available() else "cpu"
    os.environ.setdefault("SVT_LOG", "1")  # errors only
    table = {}
    with tempfile.TemporaryDirectory() as folder:
        for codec in CODECS:
            try:
                file = _clip(Path(folder), codec)
            except (av.error.FFmpegError, ValueError) as error:
                table[codec] = [f"not tried: no encoder ({_one_line(error)})"]
                continue
            table[codec] = [_try(gpu if BACKENDS[name].devices else "cpu", name, file) for name in COLUMNS]
    return table


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"
    except (AttributeError, ValueError, OSError):  # no such system call
        return "not known"


def _short(answer: str, why: list[str]) -> str:
    """The answer without its reason, which goes to the others of the table, each of which is told once.

    >>> why = ["no such library"]
    >>> [_short(answer, why) for answer in ("yes", "no (it broke)", "no (no such library)")], why
    (['yes', 'no [2]', 'no [1]'], ['no such library', 'it broke'])
    """
    if not (answer.startswith("no (") and answer.endswith(")")):
        return answer
    reason = answer[4:-1]
    if reason not in why:
        why.append(reason)
    return f"no [{why.index(reason) + 1}]"


def _columns(answers: Sequence[str]) -> str:
    return " ".join(f"{answer:<28}" for answer in answers).rstrip()


def _clip(folder: Path, codec: str, frames: int = 12) -> Path:
    encoder, container, options = CODECS[codec]
    file = folder / f"{codec}.{container}"
    pictures = (np.full((256, 256, 3), 20 * i, np.uint8) for i in range(frames))  # NVDEC refuses small ones
    pixel_format = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    write_video(file, pictures, 12, encoder, pixel_format=pixel_format, options=options)
    return file


def _try(device: str, backend: str, file: Path) -> str:
    try:
        with gpuaug.Decoder(device, (64, 64), backend=backend, threads=1) as decoder:  # type: ignore[arg-type]
            frames, failures = decoder.decode([gpuaug.Window(str(file), 0.0, 12.0, 12)])
    except (ImportError, RuntimeError, ValueError, OSError) as error:
        return f"no ({_one_line(error)})"
    if failures:
        return f"no ({_one_line(failures[0].reason)})"
    assert frames[0] is not None
    level = frames[0].float().mean((1, 2, 3)).cpu().numpy()
    return "yes" if np.abs(level - 20 * np.arange(12)).max() < 12 else "wrong frames"


def _version(prefix: str) -> str | None:
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"] or ""
        if name.lower().startswith(prefix):
            return f"{name} {distribution.version}"
    return None


def _one_line(error: object) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:297] + "…"
