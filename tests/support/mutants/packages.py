"""Which sources are mutated together, and the fast tests that have to see it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Package(NamedTuple):
    """Patterns of source files, and files or folders of tests: those of the package first, then of its next users."""

    sources: tuple[str, ...]
    tests: tuple[str, ...]
    select: str = "not ptx"  # of these tests, as pytest's -k takes it

    def files(self, root: Path) -> list[str]:
        """The source files, relative to the repository `root`."""
        return sorted(str(file.relative_to(root)) for pattern in self.sources for file in root.glob(pattern))


PIXELS = ("plan", "edits", "blend", "render", "functional", "one_rule", "arrays", "values", "arguments", "time_axis")
PACKAGES = {
    "gpuaug": Package(
        ("gpuaug/[!_c]*.py", "gpuaug/color.py", "gpuaug/crop.py"),  # torch.compile traces nothing that mutmut wraps
        (
            *(f"tests/gpuaug/test_{name}.py" for name in (*PIXELS, "bank", "crop", "doctor")),
            "tests/gpuaug/test_arrays_of_any_library.py",
            *("tests/gpuaug/by_hand", "tests/gpuaug/layers", "tests/gpuaug/transitions"),
        ),
        "not ptx and not emulated",  # whose kernels would be compiled again, and which say nothing of Python
    ),
    "gpuaug.kernels": Package(
        ("gpuaug/kernels/*.py",),
        ("tests/gpuaug/kernels", "tests/gpuaug/test_render.py", "tests/gpuaug/test_blend.py"),
    ),
    "gpuaug.layers": Package(
        ("gpuaug/layers/*.py", "gpuaug/transitions/*.py"),
        ("tests/gpuaug/layers", "tests/gpuaug/transitions", "tests/gpuaug/test_edits.py"),
    ),
    "gpuaug.supply": Package(
        ("gpuaug/supply/*.py",), ("tests/gpuaug/supply", "tests/gpuaug/test_bank.py", "tests/pretrain/feed")
    ),
    "gpuaug.transforms": Package(("gpuaug/transforms/*.py",), ("tests/gpuaug/transforms",)),
    "gpuaug.video": Package(
        (
            "gpuaug/video/*.py",
            *(
                f"gpuaug/video/backends/{name}*.py"
                for name in ("pyav", "p[aio]", "read_ahead", "stretch", "cut", "damage", "failures")
            ),
        ),
        ("tests/gpuaug/video",),
    ),
    "pretrain.common": Package(("pretrain/common/*.py",), ("tests/pretrain/common", "tests/pretrain/training")),
    "pretrain.data": Package(("pretrain/data/*.py",), ("tests/pretrain/data", "tests/pretrain/evaluation")),
    "pretrain.evaluation": Package(("pretrain/evaluation/*.py",), ("tests/pretrain/evaluation",)),
    "pretrain.features": Package(("pretrain/features/*.py",), ("tests/pretrain/features",)),
    "pretrain.feed": Package(("pretrain/feed/*.py",), ("tests/pretrain/feed", "tests/pretrain/training")),
    "pretrain.localization": Package(("pretrain/localization/*.py",), ("tests/pretrain/localization",)),
    "pretrain.shots": Package(("pretrain/shots/*.py",), ("tests/pretrain/shots",)),
    "pretrain.models": Package(("pretrain/models/*.py",), ("tests/pretrain/models",)),
    "pretrain.reports": Package(("pretrain/reports/*.py",), ("tests/pretrain/reports",)),
    "pretrain.tasks": Package(("pretrain/tasks/**/*.py",), ("tests/pretrain/tasks",)),
    "pretrain.toy": Package(("pretrain/toy/*.py",), ("tests/pretrain/toy",)),
    "pretrain.training": Package(("pretrain/training/*.py",), ("tests/pretrain/training", "tests/pretrain/feed")),
}
