"""Our kinds against ffmpeg's filter xfade, frame by frame, where both have them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from gpuaug import transitions
from support.paths import REPOSITORY
from support.plans import xfade


@pytest.fixture(scope="module")
def ffmpeg():
    return pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, pair in xfade.PAIRS.items() if not pair.differs])
def test_kinds_of_one_definition_are_the_same(ffmpeg, tmp_path, name):
    first, second = xfade.pictures(0), xfade.pictures(1)
    theirs, pair = xfade.ffmpeg_xfade(ffmpeg, name, first, second, tmp_path), xfade.PAIRS[name]
    assert theirs.shape == first.shape
    worst, band = xfade.difference(pair, theirs, xfade.ours(pair, first, second))
    assert worst <= xfade.LEVELS
    assert band <= 1 / min(xfade.HEIGHT, xfade.WIDTH)
    late = np.roll(xfade.ours(pair, first, second), 1, 0)  # negative control: a frame late
    assert np.abs(late[2:-1] - theirs[2:-1]).max() > 10


@pytest.mark.slow
def test_the_table_of_kinds_is_current(ffmpeg, tmp_path):
    text = (REPOSITORY / "docs" / "transitions.md").read_text(encoding="utf-8")
    stands = re.search(r"<!-- xfade -->\n(.*?)\n<!-- /xfade -->", text, re.S)
    assert stands, "docs/transitions.md must have <!-- xfade --> … <!-- /xfade -->"
    assert stands[1].splitlines() == xfade.rows(ffmpeg, tmp_path), "`python -m support.plans.xfade` in tests prints it"


def test_the_table_of_families_is_current():
    text = (REPOSITORY / "docs" / "transitions.md").read_text(encoding="utf-8")
    for family, kinds in transitions.FAMILIES.items():
        draws = sorted({name for kind in kinds for name in transitions.KINDS[kind].draws})
        assert f"| {family} | {', '.join(kinds)} | {', '.join(draws) or '–'} |" in text.splitlines()
