"""On which stream windows are decoded, and who waits for whom. Without a GPU, streams are objects that take notes."""

import os
import threading
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager

import pytest
import torch

from gpuaug import Failure, Window
from gpuaug.bank import ClipBank
from gpuaug.supply.decode_queue import DecodeQueue, Request

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

    def __init__(self):
        self.streams, self.damaged_frames, self.fallbacks = [], {"a": 1}, {"b": 2}

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


class Counting(Noting):
    """One that notes how many windows a call has; those of the path "b" fail."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def decode(self, windows, frames_needed=None):
        self.calls.append((len(windows), frames_needed))
        frames = [torch.full((1, 1, 1, 3), int(w.start_seconds), dtype=torch.uint8) for w in windows]
        lost = [k for k, window in enumerate(windows) if window.path == "b"]
        return [None if k in lost else f for k, f in enumerate(frames)], [Failure(k, "b", "broken") for k in lost]


@pytest.mark.parametrize(
    ("sizes", "calls"),
    [([1] * 20, [8, 8, 4]), ([3] * 5, [6, 6, 3]), ([8, 8], [8, 8]), ([9, 9], [9, 9]), ([4, 1, 1], [5, 1]), ([], [])],
)
def test_small_visits_share_a_call(sizes, calls):
    """Eight windows at most, but whole visits; each request has its own frames and failures, counted from 0."""
    decoder = Counting()
    queue, number, visits = DecodeQueue(decoder), 0, []
    for size in sizes:
        visits.append([Window("b" if k == 1 else "a", number + k, 25, 1) for k in range(size)])
        number += size
    requests = queue.request(visits)
    for visit, request in zip(visits, requests, strict=True):
        frames, failures = request.wait()
        assert request.ready
        assert [None if f is None else int(f[0, 0, 0, 0]) for f in frames] == [
            None if window.path == "b" else window.start_seconds for window in visit
        ]
        assert [(f.index, f.path, f.reason) for f in failures] == [(1, "b", "broken")] * (len(visit) > 1)
    queue.close()
    assert [count for count, _ in decoder.calls] == calls
    assert all(needed is None for _, needed in decoder.calls)


def test_some_frames_of_windows_are_asked_for_in_one_call():
    decoder = Counting()
    queue = DecodeQueue(decoder)
    wanted = [[0], [1, 2], [3]]
    frames, failures = queue.request_frames([Window(p, 4, 25, 9) for p in "aba"], wanted).wait()
    queue.close()
    assert decoder.calls == [(3, wanted)]
    assert [f is None for f in frames] == [False, True, False]
    assert [f.index for f in failures] == [1]


def test_a_file_that_changed_is_told_once_with_its_sizes(tmp_path):
    decoder, path = Counting(), tmp_path / "a"
    queue = DecodeQueue(decoder)

    def decode():
        queue.request([[Window(str(path), 0, 25, 1)]])[0].wait()

    decode()  # a file that is not there yet
    path.write_bytes(b"x" * 1234)
    decode()
    decode()
    assert queue.changed_files == {}
    path.write_bytes(b"x" * 5)
    decode()
    path.write_bytes(b"x" * 7)
    decode()
    told = "changed since it was first decoded, from 1,234 to 5 bytes"
    assert queue.changed_files == {str(path): told}
    other = tmp_path / "b"
    other.write_bytes(b"x")
    queue.request([[Window(str(other), 0, 25, 1)]])[0].wait()
    os.utime(other, ns=(5, 5))
    queue.request([[Window(str(other), 0, 25, 1)]])[0].wait()
    queue.close()
    assert queue.changed_files == {str(path): told, str(other): "changed since it was first decoded"}


@pytest.mark.parametrize("stream", [None, Stream()])
@pytest.mark.parametrize("event", [None, object()])
def test_a_stream_waits_for_an_event_where_there_are_both(stream, event):
    call = Future()
    call.set_result(([3, 4, 5], [Failure(0, "a", "x"), Failure(2, "b", "y"), Failure(3, "c", "z")], event))
    if stream:
        stream.waited_for.clear()
    request = Request(call, 1, 2, stream)
    assert request.ready
    assert request.wait() == ([4, 5], [Failure(1, "b", "y")])
    assert stream is None or stream.waited_for == [event] * (event is not None)


class Held(Counting):
    """One whose first call waits until it is let go."""

    def __init__(self):
        super().__init__()
        self.begun, self.go, self.closed = threading.Event(), threading.Event(), False

    def decode(self, windows, frames_needed=None):
        self.begun.set()
        assert self.go.wait(60)
        return super().decode(windows, frames_needed)

    def close(self):
        self.closed = True


def test_what_is_not_wanted_any_more_is_not_decoded():
    """One is given up, the rest when the queue is closed."""
    decoder = Held()
    queue = DecodeQueue(decoder)
    first, second, third, fourth = (queue.request_frames([Window("a", k, 25, 1)], [[0]]) for k in range(4))
    assert decoder.begun.wait(60)
    second.cancel()
    first.cancel()  # which is being decoded
    assert not first.ready
    shutdown = queue._worker.shutdown

    def let_go(**how):
        shutdown(wait=False, **how)
        decoder.go.set()
        shutdown(**how)

    queue._worker.shutdown = let_go
    queue.close()
    assert decoder.closed
    assert len(decoder.calls) == 1
    assert first.wait()[0][0] is not None
    for request in (second, third, fourth):
        with pytest.raises(CancelledError):
            request.wait()


def test_damage_and_fallbacks_are_the_decoders():
    decoder = Counting()
    queue = DecodeQueue(decoder)
    assert queue.damaged_frames is decoder.damaged_frames
    assert queue.fallbacks is decoder.fallbacks
    queue.close()
