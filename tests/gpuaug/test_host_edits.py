"""Edits in one call of C against the same edits planned by gpuaug.edits: results, rules and words are the same."""

from __future__ import annotations

from unittest import mock

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from gpuaug import functional
from gpuaug.kernels import host
from support import kernel_implementations

SAMPLES, FIRST, SECOND = 3, 7, 5  # frames of the two clips
ODD = [-1, 3, 9, 0.5, 4.0, 1e-50, float("inf"), float("nan"), 1 << 60, 10**400, np.int64(3), True, "2", [[1]], None]


def values(usual):
    """A value or one per sample, mostly a usual one, or one that breaks a rule, perhaps."""
    each = st.lists(usual, min_size=SAMPLES, max_size=SAMPLES)
    return st.one_of(
        usual, usual, each, each.map(np.array), each.map(lambda v: np.array(v)[:1]), each.map(torch.tensor)
    )


def edit(name, **usual):
    """An edit's name and its parameters, of which one is odd at times."""
    kinds = {key: strategy if key in ("length", "frames") else values(strategy) for key, strategy in usual.items()}
    odd = st.sampled_from(sorted(usual)).flatmap(lambda key: st.tuples(st.just(key), st.sampled_from(ODD)))
    oddities = st.one_of(st.just(None), st.just(None), odd)
    return st.builds(
        lambda given, odd: (name, {**given, **dict([odd] if odd else [])}), st.fixed_dictionaries(kinds), oddities
    )


length = st.sampled_from([4, 5, 6, 7, 8])
EDITS = st.one_of(
    edit("crossfade", length=length, center=st.integers(2, 4), overlap=st.sampled_from([0, 2, 2, 4, 5])),
    edit("concatenate", length=length, center=st.integers(0, 7)),
    edit("paste", start=st.integers(0, 3), stop=st.integers(3, 7), opacity=st.floats(0, 1)),
    edit("resample_speed", length=length, change_point=st.integers(1, 5), rate=st.floats(0.05, 2)),
    edit("take", frames=st.lists(st.integers(0, 6), max_size=9)),
    edit("take", frames=st.lists(st.lists(st.integers(0, 6), min_size=4, max_size=4), min_size=1, max_size=3)),
)


def clips(name, dtype):
    rng = np.random.default_rng(0)
    made = [torch.from_numpy(rng.integers(0, 256, (SAMPLES, count, 5, 3))).to(dtype) for count in (FIRST, SECOND)]
    return made if name in ("crossfade", "concatenate", "paste") else made[:1]


def outcome(name, parameters, dtype):
    try:
        return getattr(functional, name)(*clips(name, dtype), **parameters)
    except (ValueError, TypeError, OverflowError) as error:
        return f"{type(error).__name__}: {error}"


@settings(deadline=None, max_examples=600)
@given(EDITS, st.sampled_from([torch.uint8, torch.float16, torch.bfloat16, torch.float32]))
def test_one_call_does_what_the_plan_does(edit, dtype):
    name, parameters = edit
    library = kernel_implementations.compiled()
    done = []
    call = host.edit
    with mock.patch.object(host, "library", return_value=library):
        with mock.patch.object(host, "edit", lambda *args: done.append(call(*args)) or done[-1]):
            got = outcome(name, parameters, dtype)
        with mock.patch.object(host, "edit", return_value=False):
            expected = outcome(name, parameters, dtype)
    if isinstance(expected, str):
        assert got == expected
        assert not any(done)
    else:
        assert torch.equal(got, expected)
        assert got.dtype == expected.dtype
        if isinstance(parameters.get("length", 1), int):
            assert done == [True]  # so that it was not the plan after all


@pytest.mark.parametrize("times", [1, 2000])
def test_one_call_on_one_thread_and_several(times, monkeypatch):
    """The larger ones have more than the MiB from which on several threads work."""
    library = kernel_implementations.compiled()
    monkeypatch.setattr(host, "library", lambda: library)
    first, second = (
        torch.from_numpy(v) for v in np.random.default_rng(0).integers(0, 256, (2, 8, 6, 16 * times), np.uint8)
    )
    got = functional.crossfade(first, second, length=6, center=3, overlap=2)
    mixed = (first[:, 2].int() + second[:, 0].int() + 1) // 2
    expected = torch.cat([first[:, :2], mixed[:, None].to(torch.uint8), second[:, 1:4]], 1)
    assert torch.equal(got, expected)


def test_every_mean_of_two_bytes_in_128ths_is_exact(monkeypatch):
    library = kernel_implementations.compiled()
    monkeypatch.setattr(host, "library", lambda: library)
    a, b = (torch.from_numpy(v.astype(np.uint8)) for v in np.meshgrid(range(256), range(256)))
    for part in range(129):
        got = functional.paste(a[None, None], b[None, None], start=0, stop=1, opacity=part / 128)[0, 0]
        assert torch.equal(got.int(), ((128 - part) * a.int() + part * b.int() + 64) // 128)
