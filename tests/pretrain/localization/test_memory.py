"""Features are read when they are needed: bounded memory, the same result, and files that vanish meanwhile."""

from __future__ import annotations

import shutil
import tracemalloc
from functools import partial

import numpy as np
import pytest

from pretrain.commands import localize
from pretrain.data.segments import Segments
from pretrain.localization import inputs as windows
from pretrain.localization import localizer
from pretrain.localization.inputs import FeatureSequence
from pretrain.localization.settings import LocalizerSettings
from support.planted import plant


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return plant(tmp_path_factory.mktemp("planted"), videos=12)


def generated(videos, count=200, width=256):
    """A subset whose features are made when they are read, as if from a disk, and the (video, start, stop) read."""
    subset, read = windows.Subset(), []

    def values(number, start, stop):
        read.append((number, start, stop))
        return np.random.default_rng(number).normal(size=(count, width)).astype(np.float32)[start:stop]

    center = 0.5 + np.arange(count)
    for k in videos:
        sequence = FeatureSequence(count, width, partial(values, k), lambda: center)
        subset.add(f"v{k}", sequence, float(count), Segments.of([(f"v{k}", 20 + k, 30 + k, "ab"[k % 2])]))
    return subset, read


@pytest.mark.parametrize("mode", ["rescale", pytest.param("windows", marks=pytest.mark.slow)])
def test_features_in_memory_are_bounded(mode):
    peaks = []
    for memory in (0, 2**20, 2**30):
        train, _ = generated(range(64))
        tracemalloc.start()
        used = windows.cut(train, mode, 64)
        values = windows.WindowValues(used, memory)
        for k in range(len(used)):
            assert values[k].shape == (64, 256)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    video = 200 * 256 * 4
    assert 0 < peaks[0] < 6 * video  # made in float64, and its windows
    assert 2**20 < peaks[1] < 2**20 + 6 * video < len(used) * 64 * 256 * 4 < peaks[2]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["rescale", "windows"])
def test_what_is_read_again_gives_the_same_result(mode):
    found, reads = [], []
    for memory in (1, 1024):
        (train, read), (test, _) = generated(range(20), width=512), generated(range(20, 22), width=512)
        options = {"mode": mode, "length": 32, "max_duration": 16, "epochs": 2, "width": 4, "samples": 4}
        settings = LocalizerSettings(memory=memory, **options)
        scores = None if mode == "windows" else {video: {"a": 0.5} for video in test.sequences}  # or the linear probe
        found.append(localizer.localize(train, test, settings, video_scores=scores))
        reads.append(len(read))
    for name in ("video", "segment", "label", "score"):
        one, two = (getattr(each.predictions, name) for each in found)
        np.testing.assert_array_equal(one, two)
    assert found[0].loss == found[1].loss
    assert reads[1] < reads[0]


def test_features_that_vanish_while_they_are_used_are_named(planted, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "copy"
    shutil.copytree(planted / "features", folder)

    def then_vanish(*args):
        (folder / "video3.npy").unlink(missing_ok=True)
        return cut(*args)

    cut = windows.cut
    monkeypatch.setattr(windows, "cut", then_vanish)
    files = ["--features", folder, "--annotations", planted / "truth.json", "--out", tmp_path / "out.json"]
    assert localize.main([str(each) for each in (*files, "--length", 20, "--epochs", 1)]) == 1
    assert f"{folder}: 'video3': must be readable features" in capsys.readouterr().err
