"""From videos to mAP in the README's four commands, on a miniature."""

import json

import pytest

from pretrain.commands import evaluate, extract, localize, train
from pretrain.toy import dataset as toy


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("path")
    toy.make_actions(folder / "actions", seed=1, classes=3, clips_per_class=4, seconds=(2.0, 2.5), sizes=((48, 64),))
    few = {
        "classes": 3,
        "videos": 6,
        "seconds": (8.0, 10.0),
        "action_seconds": (2.0, 3.0),
        "gap_seconds": (1.0, 2.0),
        "sizes": ((48, 64),),
    }
    toy.make_untrimmed(folder / "untrimmed", seed=1, **few)
    return folder


def test_from_videos_to_map(videos, tmp_path, capsys):
    run, features, found = tmp_path / "run", tmp_path / "features", tmp_path / "detections.json"
    truth = videos / "untrimmed" / "annotations.json"
    small = (
        "--size 32 --fps 12 --window-frames 28 --batch 4 --steps 2 --val-batches 1 --optimizer adamw --lr 1e-3 --quiet"
    )
    proposals = tmp_path / "proposals.json"
    commands = [
        (train, ["--task", "bsp", "--videos", videos / "actions", "--out", run, *small.split(), "--holdout", 0.5]),
        (extract, ["--checkpoint", run, "--videos", videos / "untrimmed", "--out", features, "--stride", 4]),
        (localize, ["--features", features, "--annotations", truth, "--out", found, "--epochs", 2, "--length", 32]),
        (evaluate, ["detection", "--truth", truth, "--predictions", found, "--json", tmp_path / "map.json"]),
    ]
    commands[2][1].extend(["--proposals", proposals])
    for module, arguments in commands:
        assert module.main([str(argument) for argument in arguments]) == 0, capsys.readouterr().err
    result = json.loads((tmp_path / "map.json").read_text())
    assert 0 <= result["average_map"] <= 1
    assert len(result["map"]) == 10
    assert json.loads(found.read_text())["results"], "the localiser found something to evaluate"
