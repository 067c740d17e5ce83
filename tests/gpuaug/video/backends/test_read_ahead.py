"""Packets are read some at a time, and those with which a skipping decoder does nothing are left out."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice

import av
import numpy as np
import pytest

from gpuaug.video.backends import pyav, read_ahead
from gpuaug.video.bitstream import only_disposable_slices
from gpuaug.video.demux import VideoFile, packets
from support.assets import encode
from support.decoding.sequential import digest, index_of, sequential

COUNT, SHOWN = 48, [5, 17, 18, 40]
OPTIONS = {"x264-params": "bframes=3:b-adapt=0:keyint=100:scenecut=0:slices=2"}


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """H.264 in two slices a picture, of which most have B-pictures that no other refers to."""
    path = tmp_path_factory.mktemp("ahead") / "video.mkv"
    return encode(path, [k * 40 for k in range(COUNT)], Fraction(1, 1000), size=(96, 160), options=OPTIONS)


@pytest.fixture
def stored(video):
    with VideoFile(str(video)) as file:
        yield list(packets(file, file.container.streams.video[0]))


def numbers(groups):
    return [number for number, packet, _, _ in groups if packet]


def test_pictures_are_the_same_and_the_decoder_gets_fewer_packets(video, monkeypatch):
    index, given, everything = index_of(video), [], sequential(video)

    def watched(*arguments):
        for read in read_ahead.in_groups(*arguments):
            given.append(read)
            yield read

    monkeypatch.setattr("gpuaug.video.backends.stretch.in_groups", watched)
    found = {i: digest(frame) for i, frame in pyav.read_frames(index, np.array(SHOWN))}
    assert found == {i: everything[i] for i in SHOWN}
    assert len(numbers(given)) < index.packet_N[SHOWN].max() * 0.6


def test_what_a_decoder_that_skips_would_do_nothing_with(video, stored):
    """It gives no picture for them, and says nothing; for all others it does one or the other."""
    idle = [only_disposable_slices(packet) for packet in stored]
    assert COUNT / 3 < sum(idle) < COUNT
    with av.open(str(video)) as file:
        context = file.streams.video[0].codec_context
        context.skip_frame, context.thread_count = "NONREF", 1
        came_out = sum(len(context.decode(packet)) for packet in [*stored, None])
    assert came_out == COUNT - sum(idle)


def changed(packet, at, value):
    data = bytearray(packet)
    data[at : at + len(value)] = value
    new = av.Packet(bytes(data))
    new.pts = packet.pts
    return new


def test_packets_that_are_not_as_they_say_are_decoded(stored):
    packet = max((each for each in stored if only_disposable_slices(each)), key=lambda each: each.size)
    first = int.from_bytes(bytes(packet)[:4], "big")
    assert first + 4 < packet.size  # a second slice
    for at, value in [
        (3, b"\xff"),  # a length that leads elsewhere
        (4, b"\x21"),  # a slice that others refer to
        (8 + first, b"\x06"),  # the second one is none
        (first, b"\0\0\1\x21"),  # a NAL unit where none is told of
    ]:
        assert not only_disposable_slices(changed(packet, at, value)), (at, value)
    assert not only_disposable_slices(av.Packet(bytes(packet)[:-1]))
    assert not only_disposable_slices(av.Packet(b"\0\0\0"))


def test_nothing_is_read_beyond_the_last_and_few_before_they_are_needed(video, stored):
    index, taken = index_of(video), []

    def counted():
        for packet in stored:
            taken.append(packet)
            yield packet

    groups = read_ahead.in_groups(index, counted(), 0, 20, None)
    assert next(groups)[0] == 0
    assert len(taken) == read_ahead.AT_ONCE
    assert numbers(islice(groups, 20)) == list(range(1, 21))
    assert len(taken) == 21
    assert numbers(groups) == list(range(21, COUNT))  # where more are asked for, they come


def test_large_packets_are_not_gathered(video, stored, monkeypatch):
    monkeypatch.setattr(read_ahead, "BYTES_AT_ONCE", 1)
    source = iter(stored)
    groups = read_ahead.in_groups(index_of(video), source, 0, COUNT - 1, None)
    next(groups)
    assert len(list(source)) == COUNT - 1


def test_an_error_comes_after_the_packets_before_it(video, stored):
    def broken():
        yield from stored[:5]
        raise OSError("gone")

    groups = read_ahead.in_groups(index_of(video), broken(), 0, COUNT - 1, None)
    assert numbers(islice(groups, 5)) == list(range(5))
    with pytest.raises(OSError, match="gone"):
        next(groups)
