"""Examples where a library that they show is missing."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "examples"


def test_torchcodecs_example_runs_without_ffmpegs_libraries(monkeypatch, capsys):
    """As where torchcodec is not there, or finds no FFmpeg: the same frames are gpuaug.Decoder's."""
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    spec = importlib.util.spec_from_file_location("torchcodec_frames", FOLDER / "torchcodec_frames.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main()
    assert "(1, 3, 8, 112, 112) torch.float32, labels" in capsys.readouterr().out
