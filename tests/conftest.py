"""Fixtures and rules for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# Before torch is imported, and for processes that tests start: as many workers as cores run beside each other, and
# threads that wait for cores which others have made some tests take twenty times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest
import torch

from support import skips
from support.assets import Assets
from support.fake_decoder import PaintingDecoder

ROOT = Path(__file__).parent.parent

# torch keeps the functions that make tensors when it first needs them, for as long as the process lives: before a test
# puts others in their place.
with torch.device("meta"):
    torch.empty(1)
hypothesis.settings.register_profile("shared machine", deadline=None)  # how long an example takes says nothing there
hypothesis.settings.load_profile("shared machine")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what lies in end_to_end; long files come first; tests marked gpu are left out where no device is needed."""
    for item in items:
        if item.path.is_relative_to(ROOT / "tests" / "end_to_end"):
            item.add_marker("end_to_end")
    long = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("end_to_end")}
    items.sort(key=lambda item: item.path not in long)  # first, so that no worker waits for the other at the end
    if torch.cuda.is_available() or os.environ.get("GPUAUG_REQUIRE_GPU") == "1":
        return
    gpu = [item for item in items if item.get_closest_marker("gpu")]
    if gpu:
        config.hook.pytest_deselected(items=gpu)
        items[:] = [item for item in items if not item.get_closest_marker("gpu")]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """GPUAUG_REQUIRE_GPU=1 without a device is a failure of every test that needs one."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.fail("GPUAUG_REQUIRE_GPU=1, but there is no CUDA device")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With GPUAUG_REQUIRE_GPU=1 a skip is a failure too, unless it is for a package that GPUAUG_ABSENT names."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("GPUAUG_REQUIRE_GPU") != "1" or not reporter:
        return
    absent = [name.strip() for name in os.environ.get("GPUAUG_ABSENT", "").split(",")]
    found = skips.sort(reporter.stats.get("skipped", []), [name for name in absent if name])
    for name, count in found.excused.items():
        reporter.write_line(f"GPUAUG_ABSENT: {count} skipped for want of {name}")
    if found.others and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        reporter.write_line(f"GPUAUG_REQUIRE_GPU=1, but {len(found.others)} were skipped, the first: {found.others[0]}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The cache of probed files is not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real videos and reference files: GPUAUG_DATA, else shared/data beside the repository."""
    path = Path(os.environ.get("GPUAUG_DATA") or ROOT.parent / "shared" / "data")
    if not (path / "videos.csv").is_file():
        pytest.skip(f"no reference videos: neither GPUAUG_DATA nor {path}")
    return path


@pytest.fixture(scope="session")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Assets:
    """Videos whose frames tell their number, made when first asked for."""
    return Assets(tmp_path_factory.mktemp("assets"))


@pytest.fixture(scope="session")
def gpu_assets(tmp_path_factory: pytest.TempPathFactory) -> Assets:
    """The same of a size that NVDEC decodes: of HEVC, at least 144 × 144."""
    return Assets(tmp_path_factory.mktemp("gpu_assets"), (160, 256))


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> type[PaintingDecoder]:
    """The class of the stand-in decoder that loaders have in this test; its counters begin at zero."""

    class Fresh(PaintingDecoder):
        pass

    monkeypatch.setattr("gpuaug.supply.loader.Decoder", Fresh)
    return Fresh
