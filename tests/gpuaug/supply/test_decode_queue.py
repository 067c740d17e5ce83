"""On which stream windows are decoded, and who waits for whom. Without a GPU, streams are objects that take notes."""

from contextlib import contextmanager

import pytest
import torch

from gpuaug import Window
from gpuaug.bank import ClipBank
from gpuaug.supply.decode_queue import DecodeQueue

current: list["Stream | None"] = [None]


class Stream:
    def __init__(self, device=None):
        self.device, self.waited_for, self.recorded = device, [], []

    def record_event(self):
        self.recorded.append(object())
        return self.recorded[-1]

    def wait_event(self, event):
        self.waited_for.append(event)


@contextmanager
def use(stream):
    current.append(stream)
    yield
    current.pop()


class Noting:
    """A decoder that notes the stream that it is called on."""

    damaged_frames: dict[str, int] = {}  # noqa: RUF012
    fallbacks: dict[str, int] = {}  # noqa: RUF012

    def __init__(self):
        self.streams = []

    def decode(self, windows, *_):
        self.streams.append(current[-1])
        return [torch.zeros(1, 2, 2, 3, dtype=torch.uint8) for _ in windows], []

    def close(self):
        pass


def test_decoding_is_behind_no_work_of_the_bank(monkeypatch, assets):
    """It has a stream of its own, on which nothing waits for renders; the bank's waits for its frames when taken."""
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", use)
    decoder, bank = Noting(), Stream("cuda:0")
    queue = DecodeQueue(decoder, bank)
    window = Window(str(assets["cfr"]), 0, 25, 1)
    (first,) = queue.request([[window]])
    second = queue.request_frames([window], [[0]])
    first.wait()
    own = decoder.streams[0]
    assert own is not bank
    assert isinstance(own, Stream)
    assert own.device == "cuda:0"
    assert own.waited_for == []
    assert bank.waited_for == own.recorded[:1], "the frames of the first request, and no more"
    second.wait()
    assert decoder.streams == [own, own]
    assert bank.waited_for == own.recorded
    queue.close()


def test_on_the_cpu_there_is_none(assets):
    decoder = Noting()
    queue = DecodeQueue(decoder)
    (request,) = queue.request([[Window(str(assets["cfr"]), 0, 25, 1)]])
    frames, failures = request.wait()
    assert len(frames) == 1
    assert not failures
    assert decoder.streams == [None]
    queue.close()


@pytest.mark.gpu
def test_decoding_does_not_wait_for_training(assets):
    """A slot is being rendered for long; its write waits for that, decoding the next window does not."""
    from gpuaug import Decoder

    bank = ClipBank(1, 4, 96, 160, "cuda")
    queue = DecodeQueue(Decoder("cuda", backend="pyav"), bank.stream)
    windows = [Window(str(assets["cfr"]), k / 25, 25, 4) for k in range(2)]
    frames, _ = queue.request([[windows[0]]])[0].wait()
    bank.write(0, frames[0], {})
    with bank.reading(torch.zeros(1, 1, 1, dtype=torch.int64).numpy()):
        torch.cuda._sleep(2_000_000_000)  # a second of training
    with torch.cuda.stream(bank.stream):
        bank.write(0, frames[0], {})
    (request,) = queue.request([[windows[1]]])
    clips, _, event = request._call.result()
    event.synchronize()
    assert not bank._written[0].query(), "the write has waited, so that this test says something"
    assert clips[0].shape == (4, 96, 160, 3)
    queue.close()
