"""Pictures of an edited video from decoders of flat colours: which sources are decoded when, and what is cut off."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import gpuaug
from pretrain.shots import footage
from pretrain.shots.edits import Clip, Edit, EditSettings, Source
from pretrain.shots.footage import Footage, Unreadable

SETTINGS = EditSettings(size=(4, 6), fps=10.0, seconds=(2.0, 2.0))


@pytest.fixture
def decoders(monkeypatch):
    """Decoders of pictures whose columns are numbered, + 100 for every source; `asked` windows, `closed` sizes."""
    seen = SimpleNamespace(made=[], asked=[], closed=[], broken=set(), damaged={})

    class Decoder:
        def __init__(self, device, size, *, backend, threads):
            assert (device, backend, threads) == ("cpu", "pyav", 1)
            self.size, self.damaged_frames = size, dict(seen.damaged)
            seen.made.append(size)

        def decode(self, windows):
            (window,) = windows
            seen.asked.append((window.path, window.start_seconds, window.fps, window.frames))
            if window.path in seen.broken:
                return [None], [gpuaug.Failure(0, window.path, "cut off")]
            level = 100 * int(window.path[1]) + torch.arange(self.size[1])
            return [level.to(torch.uint8)[None, None, :, None].expand(window.frames, *self.size, 3)], []

        def close(self):
            seen.closed.append(self.size)

    monkeypatch.setattr(footage.gpuaug, "Decoder", Decoder)
    return seen


def edit(*shots, size=(4, 6)):
    """Shots (source, frames) one after another; None is a colour."""
    clips, plan, colors = [], [], []
    for number, (name, frames) in enumerate(shots):
        source = Source(f"/{name}", f"{name}.mp4", None, 99, size)
        clips.append(Clip(source, 0.5 * number, frames, 0, 0, {}))
        plan += [number] * frames
        colors += list(range(frames))
    return Edit(clips, gpuaug.Plan.take(np.array([plan]), np.array([colors], float)), [{}] * (len(shots) - 1))


def test_a_source_is_decoded_once_while_it_is_seen_and_again_when_it_comes_back(decoders, monkeypatch):
    monkeypatch.setattr(footage, "AT_ONCE", 4)
    with Footage(SETTINGS) as reader:
        pictures = reader.pictures(edit((0, 6), (1, 9), (0, 3)))
    assert pictures.shape == (18, 4, 6, 3)
    assert pictures.dtype == np.uint8
    assert pictures[:, 0, 0, 0].tolist() == [0] * 6 + [100] * 9 + [0] * 3
    assert pictures[0, 0, :, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert decoders.asked == [("/0", 0.0, 10.0, 6), ("/1", 0.5, 10.0, 9), ("/0", 1.0, 10.0, 3)]
    assert decoders.made == [(4, 6)]
    assert decoders.closed == [(4, 6)]
    assert footage.DECODERS == 16


@pytest.mark.parametrize(
    ("size", "decoded", "first"),
    [((4, 6), (4, 6), 0), ((8, 12), (4, 6), 0), ((4, 12), (4, 12), 3), ((8, 6), (8, 6), 0), ((4, 8), (4, 8), 1),
     ((2, 3), (4, 6), 0), ((100, 151), (4, 6), 0), ((3, 3), (6, 6), 0)],
)  # fmt: skip
def test_sources_fill_the_picture_and_lose_the_same_on_both_sides(size, decoded, first, decoders):
    with Footage(SETTINGS) as reader:
        picture = reader.pictures(edit((1, 2), size=size))[0]
    assert decoders.made == [decoded]
    assert picture[0, :, 0].tolist() == list(range(100 + first, 106 + first))


def test_decoders_are_kept_as_long_as_they_were_used_last(decoders, monkeypatch):
    monkeypatch.setattr(footage, "DECODERS", 2)
    decoders.damaged = {"/1": 2, "/2": 1}
    reader = Footage(SETTINGS)
    for size in ((4, 6), (4, 8), (4, 6), (4, 10), (4, 6), (4, 8)):
        reader.pictures(edit((1, 2), size=size))
    assert decoders.made == [(4, 6), (4, 8), (4, 10), (4, 8)]
    assert decoders.closed == [(4, 8), (4, 10)]
    assert reader.damaged == {"/1": 4, "/2": 2}, "of those that were let go"
    reader.close()
    assert decoders.closed == [(4, 8), (4, 10), (4, 6), (4, 8)]
    assert reader.damaged == {"/1": 8, "/2": 4}
    reader.close()
    assert len(decoders.closed) == 4


def test_a_source_that_fails_is_named(decoders):
    decoders.broken.add("/1")
    with Footage(SETTINGS) as reader, pytest.raises(Unreadable, match=r"^/1: cut off$") as found:
        reader.pictures(edit((0, 3), (1, 3)))
    assert (found.value.name, found.value.path, found.value.reason) == ("1.mp4", "/1", "cut off")
    assert decoders.closed == [(4, 6)]


def test_colours_between_sources_are_shown(decoders, monkeypatch):
    monkeypatch.setattr(footage, "AT_ONCE", 2)
    made = edit((1, 4), (1, 4))
    plan = gpuaug.edits.transition(
        gpuaug.Plan.take([[0] * 9], [[0.0] * 9]), gpuaug.Plan.take([[1] * 9], [[0.0] * 9]),
        length=10, start=4, duration=4, kind="fade_color", color=(0.5, 0.25, 0.0),
    )  # fmt: skip
    pictures = Footage(SETTINGS).pictures(Edit(made.clips, plan, [{}]))
    assert len(pictures) == 10
    assert (pictures[0, 0, :, 0] == np.arange(100, 106)).all()
    assert (pictures[-1, 0, :, 0] == np.arange(100, 106)).all()
    middle = pictures[4:8].astype(int)
    assert (np.abs(middle - np.array([128, 64, 0])).max((1, 2, 3)) < 60).any()
