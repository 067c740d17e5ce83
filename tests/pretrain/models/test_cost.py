"""What a step takes, reckoned by hand; and what is measured of a network whose products are counted by hand."""

import os

import pytest
import torch
from torch import nn

from pretrain.models import cost
from pretrain.models.cost import Cost, free_bytes, measure

PICTURES = 2 * 3 * 2 * 4 * 4 * 4  # bytes of two clips of 3 channels, 2 frames of 4 × 4, in float32


class Product(nn.Module):
    """The weight times the clips, squared: of that the clips and their product are kept for the gradient."""

    frames, size = 2, 4

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.register_buffer("calls", torch.zeros(()))
        self.seen = []

    def forward(self, clips):
        self.seen.append((tuple(clips.shape), self.training))
        self.calls += 1
        torch.rand(1)
        return (self.weight * clips).square()


@pytest.fixture
def clock(monkeypatch):
    """Forward passes that take so many seconds, the first ones first."""

    def passes(*seconds):
        ticks = [tick for k, each in enumerate(seconds) for tick in (100.0 * k, 100.0 * k + each)]
        monkeypatch.setattr(cost.time, "perf_counter", lambda: ticks.pop(0))
        return ticks

    return passes


def test_a_step_of_several_clips():
    """Going back takes two forward passes; gradients and each of an optimiser's states are as large as the weights."""
    each = Cost(saved_bytes=1000, seconds=0.5)
    assert each.step_bytes(3, 70, states=2) == 3 * 1000 + 70 + 2 * 70
    assert each.step_bytes(0, 70, states=0) == 70
    assert each.step_seconds(3, 4) == (3 * 3 + 4) * 0.5
    assert each.step_seconds(0.5, 0) == 0.75


@pytest.mark.parametrize("training", [True, False])
def test_what_one_clip_keeps_of_two_tried(clock, training):
    net = Product().train(training)
    left = clock(9.0, 1.0, 7.0)
    torch.manual_seed(3)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    found = measure(net)
    assert found == Cost(2 * PICTURES // 2, 0.5)
    assert net.seen == [((2, 3, 2, 4, 4), True)] * 2
    assert net.training == training
    assert net.calls == 0
    assert net.weight.grad is None
    assert torch.equal(torch.rand(1), drawn)
    assert len(left) == 2


@pytest.mark.parametrize(
    ("seconds", "tries", "each"),
    [
        ((0.5, 0.5, 0.25, 0.75, 0.1), 4, 0.125),
        ((1.5, 0.5, 0.1), 2, 0.25),
        ((1.25, 0.5, 0.3, 0.1), 3, 0.15),
        ((3.0, 4.0, 0.1), 2, 1.5),
    ],
)
def test_short_passes_are_tried_up_to_four_times_within_two_seconds(clock, seconds, tries, each):
    clock(*seconds)
    net = Product()
    assert measure(net).seconds == pytest.approx(each)
    assert len(net.seen) == tries


def test_a_network_that_fails_is_as_it_was():
    net = Product().eval()
    net.forward = lambda clips: 1 / 0
    with pytest.raises(ZeroDivisionError):
        measure(net)
    assert not net.training


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"meminfo": "MemAvailable: 3 kB\n"}, 3072),
        ({"meminfo": "no colon\nOdd: two: colons\nMemAvailable:   3 kB\nMemFree: 9 kB\n"}, 3072),
        ({"memory.max": "900", "memory.current": "300", "memory.stat": "inactive_file 50"}, 650),
        ({"memory.max": "900\n", "memory.current": "300\n", "memory.stat": "anon 7\n"}, 600),
        ({"memory.max": "max", "memory.current": "300", "memory.stat": ""}, 10_000),
        ({"memory.max": "900", "memory.current": "300"}, 10_000),
        ({"memory.max": "900", "memory.current": "x", "memory.stat": ""}, 10_000),
        ({"meminfo": "MemAvailable:\n"}, 10_000),
        ({"meminfo": "MemAvailable: many kB\n"}, 10_000),
        ({"meminfo": "MemFree: 3 kB\n"}, 10_000),
        ({"meminfo": "MemAvailable: 3 kB\n", "memory.max": "900", "memory.current": "1", "memory.stat": ""}, 899),
    ],
)
def test_what_is_free_as_far_as_it_is_told(files, expected, tmp_path, monkeypatch):
    """The least of both; a system that does not tell what can be had is taken to have all of its memory, 20 × 500."""
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 20, "SC_PAGE_SIZE": 500}.__getitem__)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert free_bytes(tmp_path / "meminfo", tmp_path) == expected


def test_a_system_that_tells_nothing_is_not_known(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sysconf_names", {})
    assert free_bytes(tmp_path / "meminfo", tmp_path) is None
    monkeypatch.delattr(os, "sysconf")
    assert free_bytes(tmp_path / "meminfo", tmp_path) is None


def test_it_asks_linux_where_linux_tells():
    assert [str(each) for each in free_bytes.__defaults__] == ["/proc/meminfo", "/sys/fs/cgroup"]
