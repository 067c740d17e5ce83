"""What the repository promises as a whole: public names, and one version in all its files."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import gpuaug

ROOT = Path(__file__).parent.parent
NAMES = """
Augment BadFile Batch ClipBank Decoder Failure Loader Manifest NoSegmentLeft Plan Segment Starved Video Window
__version__ blend color concatenate crop crossfade edits fade freeze host_memory paste probe read_table read_text
reference render resample_speed take transforms transition transitions where write_video
"""


def test_the_public_names_are_these():
    assert sorted(gpuaug.__all__) == sorted(NAMES.split())
    for name in gpuaug.__all__:
        assert getattr(gpuaug, name) is not None


def test_the_newest_heading_of_the_changelog_is_the_version():
    headings = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert headings[0] == gpuaug.__version__


def test_the_citation_is_of_the_version_in_the_changelog():
    heading = re.search(r"^## \[(\d.*)\] - (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    fields = dict(re.findall(r"^(version|date-released|license): (.*)$", citation, re.M))
    assert fields == {"version": heading[1], "date-released": heading[2], "license": "Apache-2.0"}


def test_every_public_name_has_a_docstring():
    undocumented = [name for name in gpuaug.__all__ if name != "__version__" and not getattr(gpuaug, name).__doc__]
    assert not undocumented


@pytest.mark.end_to_end
@pytest.mark.parametrize("missing", [["cupy"], ["nvidia.dali"], ["cupy", "nvidia.dali"]])
def test_it_imports_and_works_without_nvidias_libraries(missing):
    """The modules are made unimportable, and everything that needs no GPU is used."""
    code = f"""
import sys
for name in {missing!r}:
    sys.modules[name] = None
import numpy as np, torch, gpuaug, pretrain.tasks.bsp.task
clips = torch.zeros(2, 8, 32, 32, 3, dtype=torch.uint8)
plan = gpuaug.Plan.take([0, 1], np.arange(8.0))
gpuaug.render(clips, plan, size=(16, 16), mean=(0,) * 3, std=(1,) * 3, dtype=torch.float32)
gpuaug.Decoder().close()
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=ROOT, timeout=120)
