"""Every edit in every form: on plans, NumPy, torch and JAX arrays, with and without compiled kernels, emulated CUDA.

One body: random parameters, one of them odd at times. What a frame shows is written out below sample by sample and
frame by frame, in plain Python; a rule that is broken is refused in the same words everywhere.
"""

from __future__ import annotations

import math
from unittest import mock

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from gpuaug import Plan, blend, edits, execute, functional
from gpuaug.kernels import host
from support import kernel_implementations

SAMPLES, FIRST, SECOND = 3, 7, 5  # frames of the two clips
ODD = [-1, 3, 9, 0.5, 4.0, 1e-50, float("inf"), float("nan"), 1 << 60, 10**400, np.int64(3), True, "2", [[1]], None]
TWO = ("crossfade", "concatenate", "paste")  # edits of two clips


def crossfade(i, length, center, overlap):
    """(frame of the first clip, of the second, weight of the second) of output frame i."""
    j = i - (center - overlap // 2)
    weight = 0 if j < 0 else 1 if j >= overlap else (j + 1) / overlap
    return i, j, weight


def concatenate(i, length, center):
    return crossfade(i, length, center, 0)


def paste(i, start, stop, opacity):
    return i, i - start, opacity if start <= i < stop else 0


def resample_speed(i, length, change_point, rate):
    position = i if i < change_point else change_point - 1 + rate * (i - change_point + 1)
    return math.floor(position + 0.5), 0, 0


def take(i, frames):
    return frames[i], 0, 0


def freeze(i, length, start, duration):
    return (i if i < start else start if i < start + duration else i - duration + 1), 0, 0


MEANING = {f.__name__: f for f in (crossfade, concatenate, paste, resample_speed, take, freeze)}


def values(usual):
    """A value or one per sample, mostly a usual one."""
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
    edit("freeze", length=length, start=st.integers(0, 6), duration=st.integers(1, 4)),
)


def clips(name):
    rng = np.random.default_rng(0)
    shapes = [(SAMPLES, count, 5, 3) for count in (FIRST, SECOND)]
    made = [torch.from_numpy(rng.integers(0, 256, shape, np.uint8)) for shape in shapes]
    return made if name in TWO else made[:1]


def written_out(name, parameters, arrays):
    """float64 (N, T, …), not rounded: the definition, from frames and weights of MEANING."""
    given = {key: np.asarray(value) for key, value in parameters.items()}
    frames = FIRST if name == "paste" else int(given["frames"].shape[-1] if name == "take" else given["length"])
    out = np.zeros((SAMPLES, frames, *arrays[0].shape[2:]))
    for n in range(SAMPLES):
        own = {}
        for key, value in given.items():
            rows = value.ndim - (key == "frames")
            own[key] = (value[n if len(value) > 1 else 0] if rows else value).tolist()
        for i in range(frames):
            first, second, weight = MEANING[name](i, **own)
            for array, frame, share in ((arrays[0], first, 1 - weight), (arrays[-1], second, weight)):
                if share:
                    out[n, i] += np.float32(share) * array[n, int(frame)].numpy().astype(np.float64)
    return out


def on_plans(name, parameters, arrays):
    plans = [Plan.take(SAMPLES * k + np.arange(SAMPLES), range(array.shape[1])) for k, array in enumerate(arrays)]
    return blend([clip for array in arrays for clip in array], getattr(edits, name)(*plans, **parameters))


def on_arrays(give, back):
    return lambda name, parameters, arrays: back(getattr(functional, name)(*map(give, arrays), **parameters))


def without_mix(name, parameters, arrays):
    """The general kernel, as on a GPU: the .cu files, built for the CPU."""
    emulate = mock.patch.object(host, "launch", kernel_implementations.emulate)
    with emulate, mock.patch("gpuaug.execute._is_dense", return_value=False):
        return getattr(functional, name)(*arrays, **parameters)


def without_kernels(name, parameters, arrays):
    with mock.patch.object(host, "library", return_value=None):
        return getattr(functional, name)(*arrays, **parameters)


def jax_numpy():
    return pytest.importorskip("jax.numpy")


WAYS = {
    "plans": on_plans,
    "torch": on_arrays(lambda a: a, lambda a: a),
    "numpy": on_arrays(lambda a: a.numpy(), torch.from_numpy),
    "jax": on_arrays(lambda a: jax_numpy().from_dlpack(a), torch.from_dlpack),
    "emulated CUDA": without_mix,
    "reference": without_kernels,
    "time axis last": lambda name, parameters, arrays: getattr(functional, name)(
        *(a.movedim(1, -1) for a in arrays), **parameters, time_dim=-1
    ).movedim(-1, 1),
}


def outcome(way, name, parameters):
    try:
        return WAYS[way](name, parameters, clips(name))
    except ValueError as error:
        return str(error).partition("; axis ")[0]  # which axis was taken as time


@pytest.mark.parametrize("way", WAYS)
@settings(deadline=None, max_examples=200)
@given(EDITS)
def test_an_edit_shows_what_its_definition_says(way, edit):
    name, parameters = edit
    expected, got = outcome("torch", name, parameters), outcome(way, name, parameters)
    if isinstance(expected, str):
        samples = "one number of samples" in str(got) or "values" in expected  # counted by plans, compared by arrays
        assert isinstance(got, str)
        assert got == expected or (way == "plans" and samples), f"{got}\n{expected}"
    else:
        exact = written_out(name, parameters, clips(name))
        assert not isinstance(got, str), got
        assert got.shape == exact.shape
        bound = 0.5 + 1e-4 if name in ("crossfade", "paste") else 0  # copies are exact, blends rounded once
        assert np.abs(got.numpy().astype(np.float64) - exact).max() <= bound


def test_a_wrong_definition_would_be_noticed(monkeypatch):
    """Negative control: a cross-fade whose weights lag by one frame."""
    late = lambda i, **own: (*crossfade(i, **own)[:2], min(crossfade(i, **own)[2], crossfade(i - 1, **own)[2]))  # noqa: E731
    monkeypatch.setitem(MEANING, "crossfade", late)
    parameters = {"length": 6, "center": 4, "overlap": 4}
    exact = written_out("crossfade", parameters, clips("crossfade"))
    assert np.abs(outcome("torch", "crossfade", parameters).numpy() - exact).max() > 10


def test_every_edit_is_tried_here():
    assert set(edits.RULES) <= set(MEANING)


@pytest.mark.parametrize("times", [1, 2000])
def test_on_one_thread_and_several(times):
    """The larger ones have more than the MiB from which on several threads work."""
    first, second = (
        torch.from_numpy(v) for v in np.random.default_rng(0).integers(0, 256, (2, 8, 6, 16 * times), np.uint8)
    )
    got = functional.crossfade(first, second, length=6, center=3, overlap=2)
    mixed = (first[:, 2].int() + second[:, 0].int() + 1) // 2
    expected = torch.cat([first[:, :2], mixed[:, None].to(torch.uint8), second[:, 1:4]], 1)
    assert torch.equal(got, expected)


def test_every_mean_of_two_bytes_in_128ths_is_exact():
    a, b = (torch.from_numpy(v.astype(np.uint8)) for v in np.meshgrid(range(256), range(256)))
    for part in range(129):
        got = functional.paste(a[None, None], b[None, None], start=0, stop=1, opacity=part / 128, time_dim=1)[0, 0]
        assert torch.equal(got.int(), ((128 - part) * a.int() + part * b.int() + 64) // 128)


def test_a_frame_that_no_clip_has_is_refused_before_anything_is_written():
    """A rule that is wrong must not reach beyond its arrays."""
    library = kernel_implementations.compiled()
    (clip,) = clips("take")
    out = torch.full((SAMPLES, 1, 5, 3), 7, dtype=torch.uint8)
    views, zero, size = [execute.view(clip)], np.zeros((1, 1), np.int64), (SAMPLES, 1)
    weight = zero.astype(np.float32)
    for bad in (-1, FIRST):
        frame = np.array([[0], [0], [bad]])
        with pytest.raises(IndexError, match="frames must be in clips of 7 and 7 frames"):
            host.mix(library, views, frame, zero, weight, out.data_ptr(), size, "uint8", 1)
        assert (out == 7).all()
