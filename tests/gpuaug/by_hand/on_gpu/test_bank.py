"""What waits for what where a bank lies on a GPU, told by streams that only write down what is asked of them."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from gpuaug.bank import ClipBank


class OnGpu(torch.Tensor):
    """A tensor of the CPU that says otherwise."""

    is_cuda = True
    users: list[object] = []  # noqa: RUF012

    def record_stream(self, stream):
        self.users.append(stream)


class Event:
    """Of something queued that is done when `done` says so."""

    def __init__(self, done=False):
        self.done = done

    def query(self):
        return self.done


class Stream:
    def __init__(self, name, log):
        self.name, self.log = name, log

    def wait_stream(self, other):
        self.log.append((self.name, "waits for", other.name))

    def wait_event(self, event):
        self.log.append((self.name, "waits for", event))

    def record_event(self):
        event = Event()
        self.log.append((self.name, "records", event))
        return event


@pytest.fixture
def gpu(monkeypatch):
    """A bank of three slots on a GPU that is none, the log of its streams, and how to choose the current one."""
    log, devices, current = [], [], {}
    empty = torch.empty

    def made(shape, *, device, **how):
        assert device == "cuda"
        return empty(shape, **how).as_subclass(OnGpu)

    @contextmanager
    def using(stream):
        before = current["stream"]
        current["stream"] = stream
        yield
        current["stream"] = before

    def get(device):
        devices.append(device)
        return current["stream"]

    monkeypatch.setattr(OnGpu, "users", [])
    monkeypatch.setattr(torch, "empty", made)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: devices.append(device) or Stream("the bank's", log))
    monkeypatch.setattr(torch.cuda, "current_stream", get)
    monkeypatch.setattr(torch.cuda, "stream", using)
    copy = torch.Tensor.copy_

    def copied(self, other, non_blocking=False):
        log.append((current["stream"].name, "copies", non_blocking))
        return copy(self, other)

    monkeypatch.setattr(OnGpu, "copy_", copied, raising=False)
    current["stream"] = Stream("the step's", log)
    bank = ClipBank(3, 2, 4, 4, "cuda")
    yield bank, log, current
    assert set(devices) == {bank.frames.device}


def picture(value=7):
    return torch.full((2, 4, 4, 3), value, dtype=torch.uint8)


def test_a_write_waits_for_the_current_stream_and_is_an_event(gpu):
    bank, log, _ = gpu
    bank.write(1, picture(), {"video": 4})
    *before, (who, did, event) = log
    assert before == [("the bank's", "waits for", "the step's"), ("the bank's", "copies", True)]
    assert (who, did) == ("the bank's", "records")
    assert bank._written == [None, event, None]
    assert (bank.frames[1] == 7).all()
    assert bank.info["ready"].tolist() == [False, True, False]


def test_a_write_on_the_banks_own_stream_waits_for_no_other(gpu):
    bank, log, current = gpu
    current["stream"] = bank.stream
    bank.write(0, picture(), {"video": 4})
    assert [(who, did) for who, did, _ in log] == [("the bank's", "copies"), ("the bank's", "records")]


def test_frames_of_the_gpu_stay_until_they_are_copied(gpu):
    bank, _, _ = gpu
    bank.write(0, picture(), {"video": 4})
    assert OnGpu.users == [], "the CPU's are no allocator's of CUDA"
    bank.write(0, picture().as_subclass(OnGpu), {"video": 4})
    assert OnGpu.users == [bank.stream]


def test_a_render_waits_for_its_slots_writes_and_a_write_for_the_render(gpu):
    bank, log, _ = gpu
    for slot in range(3):
        bank.write(slot, picture(), {"video": slot})
    written = list(bank._written)
    written[2].done = True
    del log[:]
    with bank.reading(np.array([[[0, 2]], [[-1, 0]]])):
        assert log == [("the step's", "waits for", written[0])]
    assert bank._written == [*written[:2], None], "nobody has to wait any more for what is done"
    (_, (who, did, event)) = log
    assert (who, did) == ("the step's", "records")
    assert bank._read == [event, None, event]
    assert bank.info["uses"].tolist() == [2, 0, 1]
    for slot, waits in ((0, True), (1, False)):
        del log[:]
        bank.write(slot, picture(9), {"video": 5})
        assert (("the bank's", "waits for", event) in log) == waits
        assert log[-2] == ("the bank's", "copies", True), "afterwards"


def test_a_render_that_fails_may_have_been_queued(gpu):
    bank, log, _ = gpu
    with pytest.raises(RuntimeError, match="failed"), bank.reading(np.array([[[1]]])):
        raise RuntimeError("failed")
    assert bank._read == [None, log[-1][2], None]
    assert bank.info["uses"].tolist() == [0, 0, 0]
