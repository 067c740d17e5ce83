"""The feed's settings: defaults, bounds, what goes together; and that all of it reaches the loader."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
import torch

import gpuaug
from pretrain.common.settings import BadSetting
from pretrain.feed import loaders
from pretrain.feed.loaders import VALIDATION_SEED, Draws, EncoderInput, held_out_loader, passes, training_loader
from pretrain.feed.settings import AugmentSettings, FeedSettings

LEAST = {"batch": 3, "size": 8, "fps": 12.5, "window_frames": 6}


def test_defaults():
    assert asdict(FeedSettings(**LEAST)) == {
        **LEAST, "windows_per_segment": 1, "window_placement": "random", "bank_gib": None, "bank_size": None,
        "fit": "short", "reuse_min": 8, "reuse_max": 32, "deterministic": False, "seed": 0, "backend": "auto",
        "threads": None, "slots": None, "lag": 4,
    }  # fmt: skip
    assert asdict(AugmentSettings()) == {
        "crop": "multiscale", "flip": 0.5, "jitter": 0.0, "grayscale": 0.0, "blur": 0.0,
    }  # fmt: skip
    assert asdict(Draws()) == {
        "pairs": False, "balance": False, "windows_per_sample": 1, "uses_per_sample": 1.0, "samples_per_visit": None,
        "rows_per_sample": 1, "whole_visits": False, "held_out_placement": "spread",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "right"),
    [
        *(({name: 1}, True) for name in ("batch", "size", "window_frames", "windows_per_segment", "threads")),
        *(({name: 0}, False) for name in ("batch", "size", "window_frames", "windows_per_segment", "threads")),
        *(({name: 1}, True) for name in ("reuse_min", "reuse_max")),
        *(({name: 0}, False) for name in ("reuse_min", "reuse_max")),
        ({"reuse_max": None}, True),
        ({"fps": 1e-3}, True),
        ({"fps": 0}, False),
        ({"fps": float("inf")}, False),
        ({"bank_gib": 1e-6}, True),
        ({"bank_gib": 0.0}, False),
        ({"bank_size": (1, 1)}, True),
        ({"bank_size": (0, 1)}, False),
        ({"bank_size": (9, 9)}, True),
        ({"bank_size": (9, 8)}, False),
        ({"bank_size": (9, 8), "fit": "inside"}, True),
        ({"bank_size": (9, 8), "fit": "stretch"}, True),
        ({"window_placement": "whole"}, True),
        ({"window_placement": "whole", "windows_per_segment": 2}, False),
        ({"window_placement": "spread", "windows_per_segment": 2}, True),
        ({"window_placement": "ends"}, False),
        ({"fit": "crop"}, False),
        ({"backend": "cuda"}, False),
        ({"seed": 0}, True),
    ],
)
def test_bounds(given, right):
    if right:
        FeedSettings(**{**LEAST, **given})
    else:
        with pytest.raises(BadSetting):
            FeedSettings(**{**LEAST, **given})


@pytest.mark.parametrize("name", ["flip", "jitter", "grayscale", "blur"])
def test_chances(name):
    for right in (0.0, 1.0):
        AugmentSettings(**{name: right})
    for wrong in (-0.01, 1.01):
        with pytest.raises(BadSetting):
            AugmentSettings(**{name: wrong})
    with pytest.raises(BadSetting):
        AugmentSettings(crop="corner")


FEED = FeedSettings(
    **LEAST, windows_per_segment=2, window_placement="spread", bank_gib=1.5, bank_size=(10, 20), fit="inside",
    reuse_min=3, reuse_max=5, deterministic=True, seed=11, backend="pyav", threads=7, slots=40, lag=9,
)  # fmt: skip
DRAWS = Draws(
    pairs=True, balance=True, windows_per_sample=2, samples_per_visit=3, rows_per_sample=4, whole_visits=True,
    held_out_placement="ends",
)  # fmt: skip
INPUT = EncoderInput((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), torch.float16, torch.device("meta"))
COMMON = {
    "batch": 3, "frames": 6, "fps": 12.5, "size": 8, "bank_size": (10, 20), "fit": "inside", "windows": 2,
    "pairs": True, "rows_per_sample": 4, "whole_visits": True, "backend": "pyav", "threads": 7,
    "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "dtype": torch.float16, "device": torch.device("meta"),
    "windows_per_sample": 2, "rank": 1, "world": 4, "cache": "file",
}  # fmt: skip


@pytest.fixture
def asked(monkeypatch):
    """What `gpuaug.Loader` is called with."""
    calls = []
    monkeypatch.setattr(loaders.gpuaug, "Loader", lambda *given, **how: calls.append((given, how)))
    return calls


def sample():
    """Never called."""


def test_all_of_it_reaches_the_training_loader(asked):
    augment = AugmentSettings(crop="resized", flip=0.25, jitter=0.8, grayscale=0.2, blur=0.1)
    training_loader(["segment"], sample, DRAWS, FEED, augment, INPUT, rank=1, world=4, cache="file")
    ((given, how),) = asked
    assert given == (["segment"], sample)
    assert how == {
        **COMMON, "augment": gpuaug.Augment("resized", 0.25, 0.8, 0.2, 0.1), "placement": "spread", "balance": True,
        "slots": 40, "bank_bytes": 3 * 2**29, "reuse_min": 3, "reuse_max": 5, "deterministic": True, "lag": 9,
        "seed": 11,
    }  # fmt: skip


@pytest.mark.parametrize(("least", "most", "expected"), [(8, None, 8), (8, 5, 5), (3, 5, 3), (8, 1, 1)])
def test_the_least_reuse_is_no_more_than_the_most(asked, least, most, expected):
    feed = replace(FEED, reuse_min=least, reuse_max=most, bank_gib=None)
    training_loader([], sample, DRAWS, feed, AugmentSettings(), INPUT)
    ((_, how),) = asked
    assert (how["reuse_min"], how["reuse_max"], how["bank_bytes"]) == (expected, most, None)
    assert (how["rank"], how["world"], how["cache"]) == (0, 1, None)


@pytest.mark.parametrize(("placement", "expected"), [("spread", "ends"), ("random", "ends"), ("whole", "whole")])
def test_all_of_it_reaches_the_held_out_loader(asked, placement, expected):
    feed = replace(FEED, window_placement=placement, windows_per_segment=1)
    held_out_loader(["segment"], sample, DRAWS, feed, INPUT, rank=1, world=4, cache="file")
    ((given, how),) = asked
    assert given == (["segment"], sample)
    assert how == {
        **COMMON, "windows": 1, "placement": expected, "shuffle": False, "samples_per_visit": 3, "seed": 1_000_014,
    }  # fmt: skip
    assert VALIDATION_SEED == 1_000_003


def test_other_errors_are_passed_on_as_they_are(monkeypatch):
    def refuse(*_, **__):
        raise ValueError("fps must be a number > 0")

    monkeypatch.setattr(loaders.gpuaug, "Loader", refuse)
    with pytest.raises(ValueError, match=r"^fps must be a number > 0$"):
        training_loader([], sample, DRAWS, FEED, AugmentSettings(), INPUT)


@pytest.mark.parametrize(
    ("draws", "feed", "samples", "said"),
    [
        ({}, {"reuse_max": None}, 40, "passes at any reuse"),
        ({}, {"reuse_max": 1, "windows_per_segment": 4}, 40, "10 passes"),
        ({"uses_per_sample": 2.0}, {"reuse_max": 1, "windows_per_segment": 4}, 40, "20 passes"),
        (
            {"uses_per_sample": 9.0, "whole_visits": True, "windows_per_sample": 3, "rows_per_sample": 2},
            {"reuse_max": 1, "windows_per_segment": 4},
            40,
            "15 passes",  # 40 · 3 / 2 / 4
        ),
        (
            {"uses_per_sample": 2.0, "whole_visits": True, "windows_per_sample": 3},
            {"reuse_max": 5, "windows_per_segment": 4, "deterministic": True},
            40,
            "4 passes at reuse 5",
        ),
        ({}, {"reuse_min": 5, "reuse_max": 5, "deterministic": False}, 40, "8 passes at reuse 5"),
        ({}, {"reuse_min": 9, "reuse_max": 5, "deterministic": False}, 40, "8 passes at reuse 5"),
        ({}, {"reuse_min": 4, "reuse_max": 5, "deterministic": False}, 40, "8 to 10 passes at reuse 4 to 5"),
    ],
)
def test_passes(draws, feed, samples, said):
    feed = replace(FEED, **{"windows_per_segment": 1, "bank_gib": None, **feed})
    assert passes(Draws(**draws), feed, samples, resident=False) == said
    assert passes(Draws(**draws), feed, samples, resident=True) == "one pass, decoded once and kept,"


@pytest.mark.parametrize(
    ("filling", "deterministic", "said"),
    [
        (8.0, True, "12 passes at reuse 5"),
        (8.1, True, "at least 8.1 passes, which fill the bank,"),
        (10.0, False, "10 to 20 passes at reuse 4 to 5"),
        (9.0, False, "9 to 19 passes at reuse 4 to 5"),
        (10.1, False, "at least 10.1 passes, which fill the bank,"),
    ],
)
def test_passes_that_fill_the_bank(filling, deterministic, said):
    feed = replace(FEED, windows_per_segment=1, reuse_min=4, reuse_max=5, deterministic=deterministic, bank_gib=None)
    assert passes(Draws(), feed, 40, resident=False, filling=filling) == said
