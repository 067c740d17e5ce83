"""How the compiled kernels are found and called, told by a library that only writes down what it is given."""

from __future__ import annotations

import ctypes
import importlib.machinery
import struct
from types import SimpleNamespace

import numpy as np
import pytest

from gpuaug.kernels import host, kernel_args
from gpuaug.kernels.kernel_args import StridedClips

DTYPES = {"uint8": 0, "float16": 1, "bfloat16": 2, "float32": 3}  # as host.cpp counts them


class Library:
    """Every function gives back `status`."""

    def __init__(self, status=0):
        self.status, self.calls = status, []

    def __getattr__(self, name):
        def call(*given):
            self.calls.append((name, *given))
            return self.status

        return call


@pytest.mark.parametrize("kernel", ["blend", "render", "compose"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_launch_is_a_call(kernel, dtype):
    library, job = Library(), np.zeros(8, np.uint8)
    host.launch(library, kernel, job, dtype, 3)
    assert library.calls == [(f"gpuaug_{kernel}", job.ctypes.data, DTYPES[dtype], 3)]
    with pytest.raises(MemoryError, match=r"^no memory for the scratch rows of 3 threads$"):
        host.launch(Library(1), kernel, job, dtype, 3)


def clips(address, shape, strides, itemsize=2):
    return StridedClips(address, shape, strides, itemsize, None)


@pytest.mark.parametrize("two", [False, True])
def test_what_mix_is_told(two):
    library = Library()
    both = [clips(100, (2, 5, 3, 4), (60, 12, 4, 1)), clips(900, (2, 7, 3, 4), (-84, 24, 4, 1))][: 1 + two]
    first, second = np.array([[0, 1, 2]]), np.array([[3], [4]])
    weight = np.zeros((2, 6), np.float32)[:, ::2]
    host.mix(library, both, first, second, weight, 77, (2, 3), "bfloat16", 5)
    ((name, packed, dtype, threads),) = library.calls
    told = dict(zip(kernel_args.MIX, struct.unpack(f"{len(kernel_args.MIX)}q", packed), strict=True))
    assert (name, dtype, threads) == ("gpuaug_mix", 2, 5)
    a = {"a": 100, "a_frames": 5, "a_clip_step": 120, "a_frame_step": 24}
    b = {"b": 900, "b_frames": 7, "b_clip_step": -168, "b_frame_step": 48}
    b = b if two else {name.replace("a", "b", 1): value for name, value in a.items()}
    steps = {"first": first.ctypes.data, "first_n": 0, "first_t": 1, "second": second.ctypes.data}
    steps |= {"second_n": 1, "second_t": 0, "weight": weight.ctypes.data, "weight_n": 6, "weight_t": 2}
    assert told == {"n": 2, "t": 3, "per_frame": 12, "out": 77, **a, **b, **steps}


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (1, MemoryError, "^no memory for the scratch rows of 5 threads$"),
        (2, IndexError, "^frames must be in clips of 5 and 7 frames, got others$"),
    ],
)
def test_what_mix_says(status, error, message):
    both = [clips(100, (1, 5, 3), (15, 3, 1)), clips(900, (1, 7, 3), (21, 3, 1))]
    one = np.zeros((1, 1), np.int64)
    with pytest.raises(error, match=message):
        host.mix(Library(status), both, one, one, np.zeros((1, 1), np.float32), 77, (1, 1), "uint8", 5)


def test_planes_become_pixels_of_any_strides():
    library, out = Library(), np.zeros((8, 10, 4), np.uint8)[::2, 1:7, :3]
    host.interleave(library, [(1, 10), (2, 20), (3, 30)], out)
    assert library.calls == [("gpuaug_interleave", out.ctypes.data, 80, 4, 1, 10, 2, 20, 3, 30, 4, 6)]


def test_signatures_are_declared(monkeypatch, tmp_path):
    """Else addresses would be cut to 32 bits."""
    made = {}

    def open_(path):
        assert path == str(tmp_path)
        names = ("render", "blend", "compose", "mix", "interleave", "new_memory")
        made["library"] = SimpleNamespace(**{f"gpuaug_{name}": SimpleNamespace() for name in names})
        return made["library"]

    monkeypatch.setattr(host.ctypes, "CDLL", open_)
    library = host.load(tmp_path)
    assert library is made["library"]
    address, number, count = ctypes.c_void_p, ctypes.c_int, ctypes.c_longlong
    for name in ("render", "blend", "compose", "mix"):
        function = getattr(library, f"gpuaug_{name}")
        assert (function.argtypes, function.restype) == ([address, number, number], number)
    assert library.gpuaug_interleave.argtypes == [
        *(address, count, count),
        *(address, count, address, count, address, count),
        *(count, count),
    ]
    assert library.gpuaug_new_memory.argtypes == [address, count]
    assert library.gpuaug_interleave.restype is library.gpuaug_new_memory.restype is None


def test_what_is_the_matter_with_the_kernels(monkeypatch, tmp_path):
    monkeypatch.setattr(host, "__file__", str(tmp_path / "host.py"))
    monkeypatch.setattr(importlib.machinery, "EXTENSION_SUFFIXES", [".one.so", ".two.so"])
    assert host.find() == "were not built (no C++ compiler at installation?)"
    (tmp_path / "_host.two.so").touch()
    monkeypatch.setattr(host, "load", lambda file: file.name)
    assert host.find() == "_host.two.so"

    def fail(file):
        raise OSError("wrong machine")

    monkeypatch.setattr(host, "load", fail)
    assert host.find() == "cannot be loaded (wrong machine)"
    host.library.cache_clear()
    try:
        with pytest.warns(
            RuntimeWarning, match=r"^gpuaug's CPU kernels cannot be loaded \(wrong machine\); the NumPy re"
        ):
            assert host.library() is None
        assert host.library() is None, "after one warning"
    finally:
        host.library.cache_clear()
