"""Toy data in the form of the papers' data sets."""

import csv
import json
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import h5py
import numpy as np
import pytest

from pretrain.toy.dataset import make_actions, make_untrimmed

IN_EVERY_RUN = ("test_bsp[bsp-r18]", "test_a_planted_fault_is_found")  # and all of test_page.py


def pytest_collection_modifyitems(config, items):
    """What takes minutes is marked, and left out unless asked for."""
    mine = [item for item in items if item.path.parent == Path(__file__).parent and item.get_closest_marker("slow")]
    for item in mine:
        if item.name not in IN_EVERY_RUN and item.path.name != "test_page.py":
            item.add_marker("fidelity")
    if "fidelity" not in (config.option.markexpr or ""):
        left = [item for item in mine if item.get_closest_marker("fidelity")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def _labels(truth, videos):
    return {each["label"] for video in videos for each in truth[video]["annotations"]}


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """kinetics/{train,val}/CLASS, untrimmed, {train,val}.csv as TSP publishes them, gvf.h5."""
    folder = tmp_path_factory.mktemp("toy")
    style = {"sizes": [(48, 64), (64, 48)], "rates": [Fraction(30)], "codecs": ["mjpeg"], "progress": False}
    make_actions(folder / "kinetics" / "train", classes=3, clips_per_class=5, seconds=(2.0, 2.1), **style)
    for path in sorted((folder / "kinetics" / "train").glob("*/*_000[34].*")):  # those held out
        held = folder / "kinetics" / "val" / path.parent.name
        held.mkdir(parents=True, exist_ok=True)
        path.rename(held / path.name)
    make_untrimmed(
        folder / "untrimmed",
        classes=3,
        videos=5,
        seconds=(9.0, 10.0),
        action_seconds=(2.0, 3.0),
        gap_seconds=(2.0, 2.5),
        **style,
    )
    truth = json.loads((folder / "untrimmed" / "annotations.json").read_text())["database"]
    rows, start = (
        [],
        ["video-name", "t-start", "t-end", "action-label", "video-duration", "filename", "fps", "video-frames"],
    )
    for video, about in truth.items():
        (file,) = (folder / "untrimmed").glob(f"{video}.*")
        rest = [video, about["duration"], file.name]
        spans = [(*each["segment"], each["label"]) for each in about["annotations"]]
        ends = [0.0, *(end for _, end, _ in sorted(spans))]
        gaps = zip(ends, [*(begin for begin, _, _ in sorted(spans)), about["duration"]])
        spans += [(begin, end, "") for begin, end in gaps if end > begin]
        for begin, end, label in spans:
            region = "Action" if label else "No action"
            rows.append([rest[0], begin, end, label, rest[1], rest[2], 30.0, round(30 * rest[1]), region])
    pairs = combinations(sorted(truth), 2)
    held_out = next(pair for pair in pairs if _labels(truth, pair) <= _labels(truth, truth.keys() - {*pair}))
    for name, own in (("train", False), ("val", True)):
        with open(folder / f"{name}.csv", "w", newline="") as out:
            kept = [row for row in rows if (row[0] in held_out) == own]
            csv.writer(out).writerows([[*start, "temporal-region-label"], *kept])
    with h5py.File(folder / "gvf.h5", "w") as out:
        for k, video in enumerate(truth):
            out[video] = np.random.default_rng(k).normal(size=512).astype(np.float32)
    return folder
