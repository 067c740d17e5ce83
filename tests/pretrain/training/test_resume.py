"""What a run can go on from, and what it says of everything else."""

import pytest
import torch

from pretrain.models import checkpoint
from pretrain.training import session
from pretrain.training.run_folder import RunFolder
from pretrain.training.settings import parse


def settings_of(folder, *words):
    line = ["--task", "bsp", "--videos", "x", "--out", folder, "--steps", 9, *words]
    return parse(list(map(str, line)), prog="train")[0]


def state_of(folder):
    config = {"flags": settings_of(folder).saved(), "segments": "abc"}
    whole = {"config": config, "step": 3, "seconds": 1.5, "best": 0, "last": {}, "model": {}, "optimizer": {}}
    return whole | {"plateau": {}, "feed": [{"supply": {}}], "plans": [], "batches": 3}


@pytest.fixture
def resumed(tmp_path, monkeypatch):
    """A function of what differs in the checkpoint, and of flags: what `_resumed` gives."""

    def go_on(change, *words):
        state = {name: value for name, value in (state_of(tmp_path) | change).items() if value is not ...}
        there = tmp_path / checkpoint.NAME
        monkeypatch.setattr(checkpoint, "newest", lambda folder: (state, [], there))
        record = RunFolder(tmp_path)
        try:
            return session._resumed(settings_of(tmp_path, "--resume", *words), record), (state, there)
        finally:
            record.close()

    return go_on


def test_a_whole_checkpoint_is_gone_on_from(resumed):
    for change in ({}, {"batches": ...}, {"feed": []}, {"seconds": 2}):
        got, expected = resumed(change)
        assert got == expected


@pytest.mark.parametrize(
    ("change", "words", "message"),
    [
        ({"last": None}, (), "cannot be resumed: its last must be dict, got None"),
        ({"step": True}, (), "its step must be int, got True"),
        ({"seconds": "1"}, (), r"its seconds must be int \| float, got '1'"),
        ({"plans": ...}, (), "its plans must be list, got None"),
        ({"step": -1}, (), r"its step must be in \[0, 1e15\), got -1"),
        ({"seconds": float("nan")}, (), r"its seconds must be in \[0, 1e15\), got nan"),
        ({"config": {"flags": {}}}, (), "its config has no segments"),
        ({"config": {"segments": ""}}, (), "its config has no flags"),
        ({"feed": [{"supply": {}}, {}]}, (), "its checkpoint is of a version that dealt out segments otherwise"),
        ({"feed": [b""]}, (), "its checkpoint is of a version that dealt out segments otherwise"),
        ({"batches": 4}, (), "it is of 4 batches, step 3 of 3"),
        ({"batches": 6}, ("--accumulate", 2), "--accumulate must be as in the run being resumed, 1, got 2"),
        ({}, ("--seed", 7), "--seed must be as in the run being resumed, 0, got 7"),
    ],
)
def test_what_cannot_be_gone_on_from_is_named(resumed, change, words, message):
    with pytest.raises(ValueError, match=message):
        resumed(change, *words)


@pytest.mark.parametrize("deep", [False, True])
def test_the_precision_of_itself(monkeypatch, deep):
    """bfloat16 where the processor multiplies it, but not in 3-D convolutions."""
    net = torch.nn.Sequential(torch.nn.Conv3d(1, 1, 1) if deep else torch.nn.Conv2d(1, 1, 1))
    for able in (False, True):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda able=able: able)
        expected = torch.bfloat16 if able and not deep else torch.float32
        assert session._fast(torch.device("cpu"), net) == expected
