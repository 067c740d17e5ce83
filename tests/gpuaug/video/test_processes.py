"""Decoders in other processes than the one that made them, and under another default device."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from gpuaug import Decoder, Window
from support.assets import number_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:os.fork.. was called:RuntimeWarning"),  # JAX's, where another test has loaded it
    pytest.mark.filterwarnings("ignore:Exception ignored in.*_at_fork:pytest.PytestUnraisableExceptionWarning"),
]


def numbers(decoder, path, start=0.2):
    (clip,), failures = decoder.decode([Window(path, start, 25, 3)])
    return [failures[0].reason] if failures else [number_of(frame) for frame in clip.numpy()]


class Clips(Dataset):
    """A data set with a decoder in it."""

    def __init__(self, path, decoder):
        self.path, self.decoder = path, decoder

    def __len__(self):
        return 6

    def __getitem__(self, k):
        return torch.tensor(numbers(self.decoder, self.path, k / 25))


@pytest.mark.end_to_end
@pytest.mark.parametrize("name", ["cfr", "mpeg4_avi", "raw_h264"])
def test_after_a_fork(name, assets):
    """A decoder that was used before answers in the child, also one that another thread held, and goes on here."""
    path = str(assets[name])
    with Decoder(threads=2) as decoder:
        assert numbers(decoder, path) == [5, 6, 7]
        for held in (False, True):
            read, write = os.pipe()
            if held:
                decoder._lock.acquire()
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                os.write(write, repr(numbers(decoder, path, 0.4)).encode())
                os._exit(0)
            if held:
                decoder._lock.release()
            os.close(write)
            assert os.read(read, 1000) == b"[10, 11, 12]"
            os.close(read)
            assert os.waitpid(child, 0)[1] == 0
        assert numbers(decoder, path) == [5, 6, 7]


@pytest.mark.end_to_end
@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_workers_of_a_loader(how, assets):
    """Forked ones have the decoder of their parent, spawned ones another of the same arguments."""
    with Decoder(threads=1) as decoder:
        clips = Clips(str(assets["cfr"]), decoder)
        assert clips[0].tolist() == [0, 1, 2]
        loader = DataLoader(clips, batch_size=2, num_workers=2, multiprocessing_context=how, timeout=120)
        got = torch.cat(list(loader))
    assert got.tolist() == [[k, k + 1, k + 2] for k in range(6)]


def test_the_copy_has_the_same_arguments():
    with Decoder("cpu", 48, fit="short", backend="pyav", threads=3, timeout_seconds=7) as decoder:
        again = pickle.loads(pickle.dumps(decoder))
        assert (again.device, again.size, again.fit, again.threads) == (torch.device("cpu"), 48, "short", 3)
        assert [*again._backends] == ["pyav"]
        again.close()


@pytest.mark.end_to_end
def test_a_pool_in_a_forked_process_that_never_used_it(assets):
    """It was made, and has no threads yet."""
    context = multiprocessing.get_context("fork")
    with Decoder(threads=1) as decoder:
        results = context.SimpleQueue()
        child = context.Process(target=lambda: results.put(numbers(decoder, str(assets["cfr"]))))
        child.start()
        child.join(30)
        assert child.exitcode == 0
        assert results.get() == [5, 6, 7]


@pytest.mark.parametrize("default", ["meta", "cpu"])
def test_the_default_device_is_not_asked(default, assets):
    """Frames are where the decoder was told to put them, whatever torch makes other tensors on."""
    path = str(assets["cfr"])
    with Decoder("cpu", threads=2) as decoder:
        (expected,), _ = decoder.decode([Window(path, 0.2, 25, 3)])
    torch.set_default_device(default)
    try:
        assert torch.empty(1).device.type == default, "negative control"
        with Decoder("cpu", threads=2) as decoder, Decoder(threads=1, size=(1500, 2500)) as large:
            (clip,), failures = decoder.decode([Window(path, 0.2, 25, 3)], [np.array([0, 2])])
            (big,), too = large.decode([Window(path, 0.2, 25, 3)])  # large results have memory of their own
    finally:
        torch.set_default_device(None)
    assert not failures
    assert not too
    assert (clip.device.type, big.device.type) == ("cpu", "cpu")
    assert clip.equal(expected[[0, 2]])
    assert [number_of(frame) for frame in big.numpy()] == [5, 6, 7]
