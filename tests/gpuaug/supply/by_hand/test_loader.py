"""How a loader makes its banks and its queue of its options, and what it hands on of a batch."""

from __future__ import annotations

import pytest
import torch

from gpuaug.bank import ClipBank
from gpuaug.plan import Plan
from gpuaug.supply.decode_queue import DecodeQueue
from gpuaug.supply.segment import Segment
from support.fake_decoder import loader

OPTIONS = {
    *("batch", "size", "frames", "windows", "world", "windows_per_sample", "rows_per_sample", "fps", "placement"),
    *("pairs", "balance", "shuffle", "reuse_max", "deterministic", "seed", "rank", "segments"),
}


@pytest.mark.parametrize(
    ("options", "device", "limit"),
    [
        ({"reuse_max": 1}, "meta", 1),
        ({"reuse_max": 3}, "cpu", 3),
        ({"reuse_max": 1, "whole_visits": True, "rows_per_sample": 2}, "meta", 2),
        ({"reuse_max": 3, "whole_visits": True, "rows_per_sample": 2}, "cpu", 3),
        ({"shuffle": False}, "cpu", None),
        ({"shuffle": False, "placement": "whole"}, "meta", None),
    ],
)
@pytest.mark.parametrize("fit", ["short", "stretch"])
def test_banks_and_queue(decoder, monkeypatch, options, device, limit, fit):
    """Windows that are shown once, and whole videos in order, have a table without pixels."""
    banks, queues = [], []

    def bank(*given, **named):
        made = ClipBank(*given, **named)
        banks.append((torch.device(given[4]).type, named.get("reuse_max"), named["upright"], made))
        made.stream = None if banks[:-1] else "its stream"
        return made

    def queue(*given):
        queues.append(given[1])
        return DecodeQueue(given[0])

    monkeypatch.setattr("gpuaug.supply.loader.ClipBank", bank)
    monkeypatch.setattr("gpuaug.supply.loader.DecodeQueue", queue)
    with loader(**options, fit=fit) as source:
        assert banks[0] == (device, limit, fit == "short", source.bank)
        assert banks[1][:3] == ("cpu", None, fit == "short")
        assert queues == ["its stream"]


def test_a_batch_has_its_plan_and_a_state_its_options(decoder):
    with loader(seed=3, rank=1, world=2) as source:
        batch, state = source.batch(0), source.state_dict()
        assert isinstance(batch.plan, Plan)
        assert batch.plan.shape[0] == len(batch.clips) == source.batch_size
        assert (batch.video, batch.segment) == (None, None)
        assert batch.wait_seconds >= 0
        assert set(state["options"]) == OPTIONS
        told = {name: state["options"][name] for name in ("seed", "rank", "world", "shuffle", "segments")}
        prints = Segment.fingerprint(source.segments)
        assert told == {"seed": 3, "rank": 1, "world": 2, "shuffle": True, "segments": prints}
