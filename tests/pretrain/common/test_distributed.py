"""Where a process is among others, by what torchrun tells it; batch norm over all of them, against torch's own."""

import itertools
import threading

import pytest
import torch
import torch.distributed as dist
from torch import nn

from pretrain.common import distributed
from pretrain.common.distributed import PATIENCE, Group, HostSyncBatchNorm, pick_device, start, sync_batch_norm


@pytest.fixture
def collective(monkeypatch):
    """`start` with what it does to torch.distributed written down."""
    done = []
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(dist, "is_initialized", lambda: any(each[0] == "init" for each in done))
    monkeypatch.setattr(dist, "init_process_group", lambda kind, timeout: done.append(("init", kind, timeout)))
    monkeypatch.setattr(dist, "new_group", lambda backend, timeout: done.append(("group", backend, timeout)) or "slow")
    monkeypatch.setattr(dist, "barrier", lambda group: done.append(("wait", group)))
    monkeypatch.setattr(dist, "destroy_process_group", lambda: done.append(("end",)))
    return done


def test_alone(collective):
    group = start("cpu")
    assert group == Group(0, 1, 0, 1, None)
    assert group.main
    assert group.gather("x") == ["x"]
    assert (group.any(True), group.any(False)) == (True, False)
    with group.one_per_node():
        group.close()
    assert collective == []


def test_one_of_several(collective, monkeypatch):
    told = {"RANK": "5", "WORLD_SIZE": "6", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    group = start("cuda:0", timeout="soon")
    assert group == Group(5, 6, 1, 2, "slow")
    assert not group.main
    assert collective == [("init", "nccl", "soon"), ("group", "gloo", PATIENCE)]
    assert PATIENCE.days == 30
    collective.append(("init",))
    start("cpu")
    assert collective[3:] == [("group", "gloo", PATIENCE)], "only once"
    group.close()
    assert collective[-1] == ("end",)
    collective.clear()
    monkeypatch.delenv("LOCAL_RANK")
    monkeypatch.delenv("LOCAL_WORLD_SIZE")
    assert start("cpu") == Group(5, 6, 0, 1, "slow")
    assert collective[0] == ("init", "gloo", None)


@pytest.mark.parametrize(("local", "order"), [(0, ["body", "wait"]), (1, ["wait", "body"])])
def test_the_first_of_a_machine_goes_before_the_others(collective, local, order):
    with Group(3, 4, local, 2, "slow").one_per_node():
        collective.append(("body",))
    assert [each[0] for each in collective] == order
    assert ("wait", "slow") in collective


def test_values_of_all_in_order(monkeypatch):
    def gather(values, value):
        values[:] = ["a", value, "c"]

    monkeypatch.setattr(dist, "all_gather_object", gather)
    assert Group(1, 3).gather("b") == ["a", "b", "c"]
    monkeypatch.setattr(
        dist, "all_gather_object", lambda values, value: values.__setitem__(slice(None), [False, value])
    )
    assert Group(1, 2).any(True)
    assert not Group(1, 2).any(False)


def test_devices_by_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == pick_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match=r"^--device cuda: there is no GPU that torch can use$"):
        pick_device("cuda")
    with pytest.raises(ValueError, match=r"^--device must be auto, cpu, cuda or cuda:1 …, got warp$"):
        pick_device("warp")
    current = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert pick_device("auto") == torch.device("cuda:0")
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert pick_device("cuda") == torch.device("cuda:1"), "each process its own"
    assert pick_device("cuda:0") == torch.device("cuda:0"), "as it was named"
    assert [str(each) for each in current] == ["cuda:0", "cuda:1", "cuda:0"]


class Ranks:
    """Threads in the place of processes: `all_reduce` adds what each of them brings."""

    def __init__(self, count):
        self.count, self.barrier, self.values = count, threading.Barrier(count, timeout=20), {}

    def all_reduce(self, value):
        self.values[threading.get_ident()] = value.clone()
        self.barrier.wait()
        total = sum(self.values.values())
        self.barrier.wait()
        value.copy_(total)

    def each(self, work):
        found, failed = [None] * self.count, []

        def run(rank):
            try:
                found[rank] = work(rank)
            except BaseException as error:
                failed.append(error)
                self.barrier.abort()

        jobs = [threading.Thread(target=run, args=(rank,)) for rank in range(self.count)]
        for step in (threading.Thread.start, threading.Thread.join):
            for job in jobs:
                step(job)
        if failed:
            raise failed[0]
        return found


@pytest.mark.parametrize("dims", [1, 3])
def test_batch_norm_over_processes_is_that_of_the_whole_batch(monkeypatch, dims):
    """Forwards, backwards and in its statistics; one process has one sample, the other three."""
    ranks = Ranks(2)
    monkeypatch.setattr(dist, "all_reduce", ranks.all_reduce)
    torch.manual_seed(0)
    shape = (4, 5) + (2, 3, 2) * (dims == 3)
    whole = torch.randn(shape, dtype=torch.float64) * 3 + 1
    weights = torch.randn(shape, dtype=torch.float64)
    kind = {1: nn.BatchNorm1d, 3: nn.BatchNorm3d}[dims]

    def made():
        torch.manual_seed(1)
        norm = kind(5, momentum=0.3, eps=0.01).double()
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        return norm

    truth, given = made(), whole.clone().requires_grad_()
    expected = truth(given)
    (expected * weights).sum().backward()
    norms = [nn.Sequential(made()) for _ in range(2)]
    for each in norms:
        assert sync_batch_norm(each, torch.device("cpu")) is each
        assert type(each[0]) is HostSyncBatchNorm

    def work(rank):
        part = slice(0, 1) if rank == 0 else slice(1, 4)
        mine = whole[part].clone().requires_grad_()
        shown = norms[rank](mine)
        (shown * weights[part]).sum().backward()
        return shown.detach(), mine.grad

    found = ranks.each(work)
    for column, wanted in enumerate((expected.detach(), given.grad)):
        torch.testing.assert_close(torch.cat([each[column] for each in found]), wanted)
    summed = sum(each[0].weight.grad for each in norms)
    torch.testing.assert_close(summed, truth.weight.grad)
    for norm, name in itertools.product(
        (each[0] for each in norms), ("running_mean", "running_var", "num_batches_tracked")
    ):
        torch.testing.assert_close(getattr(norm, name), getattr(truth, name))
    truth.eval()
    norms[0].eval()
    torch.testing.assert_close(norms[0](whole), truth(whole))


def test_half_precision_is_summed_in_full(monkeypatch):
    monkeypatch.setattr(dist, "all_reduce", lambda value: value.copy_(value))
    norm = nn.Sequential(nn.BatchNorm1d(1, track_running_stats=False))
    sync_batch_norm(norm, torch.device("cpu"))
    x = torch.tensor([[1000.0], [1001.0], [1002.0], [1003.0]], dtype=torch.float16)
    shown = norm(x)
    assert shown.dtype == torch.float16
    torch.testing.assert_close(shown.float()[:, 0], torch.tensor([-1.3416, -0.4472, 0.4472, 1.3416]), atol=2e-3, rtol=0)


def test_only_batch_norms_change(monkeypatch):
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.BatchNorm2d(2)), nn.LayerNorm(2))
    sync_batch_norm(model, torch.device("cpu"))
    assert [type(each) for each in model.modules()][1:] == [nn.Linear, nn.Sequential, HostSyncBatchNorm, nn.LayerNorm]
    asked = []
    monkeypatch.setattr(nn.SyncBatchNorm, "convert_sync_batchnorm", lambda given: asked.append(given) or "converted")
    assert sync_batch_norm(model, torch.device("cuda")) == "converted"
    assert asked == [model]
    assert distributed.DEVICES.startswith("auto")
