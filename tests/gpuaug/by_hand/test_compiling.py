"""What blend, render and the edits do where torch.compile traces them: one operator each, told by its arguments.

`torch.compiler.is_compiling` says yes here, and the operators run at once; what the compiler makes of them is in
test_compile.py.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gpuaug
from gpuaug import Plan, compile, edits
from support.plans import layered

A = torch.arange(2 * 4 * 6 * 8 * 3, dtype=torch.uint8).view(2, 4, 6, 8, 3)
B = A.flip(0, 2)
EDITS = {
    "crossfade": (lambda a, b: gpuaug.crossfade(a, b, length=4, center=[2, 3], overlap=2), "first second", 4),
    "paste": (lambda a, b: gpuaug.paste(a, b[:, :3], start=1, stop=3, opacity=[0.5, 1]), "background region", 4),
    "take": (lambda a, b: gpuaug.take(a, [3, 0, 1]), "clip", 3),
    "freeze": (lambda a, b: gpuaug.freeze(a, length=5, start=1, duration=2), "clip", 5),
    "resample_speed": (lambda a, b: gpuaug.resample_speed(a, length=3, change_point=2, rate=0.5), "clip", 3),
    "take per sample": (lambda a, b: gpuaug.take(a, [[3, 0], [1, 2]]), "clip", 2),
    "take along the last axis": (lambda a, b: gpuaug.take(a, [2, 0], time_dim=-1), "clip", 2),
}


@pytest.fixture
def traced(monkeypatch):
    """A function after which torch.compile seems to trace; it returns the list of the operators' calls."""
    calls = []

    def noted(name):
        operator = getattr(compile, name)

        def call(*given):
            calls.append((name, *given))
            return operator(*given)

        monkeypatch.setattr(compile, name, call)

    for name in ("blend", "render", "edit", "transition"):
        noted(name)

    def begin():
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        return calls

    return begin


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_one_operator(traced, name):
    call, clips, frames = EDITS[name]
    expected = call(A, B)
    calls = traced()
    assert torch.equal(call(A, B), expected)
    ((_, rule, given, names, values, parameters, axis, count),) = calls
    assert (rule, names, axis, count) == (name.split()[0], clips, -1 if "last" in name else 1, frames)
    assert given[0] is A
    assert len(values) == len(parameters.split())
    assert all(value.device.type == "cpu" for value in values)
    shapes = [torch.empty(clip.shape, dtype=clip.dtype, device="meta") for clip in given]
    told = torch.ops.gpuaug.edit(rule, shapes, names, values, parameters, axis, count)
    assert (told.shape, told.dtype) == (expected.shape, expected.dtype), "what the compiler is told"


KINDS = {
    "one word": ("push_left", {"softness": 0.5}),
    "words": (["wipe", "push_up"], {"easing": ["in", "out"], "edge": "smooth", "angle": [30.0, 0.0]}),
    "a map": ("luma", {"luma": np.linspace(0, 1, 48).reshape(6, 8), "center": (0.5, 0.25)}),
    "nothing that is not given": ("wipe_left", {"luma": None}),
}


@pytest.mark.parametrize("axis", [1, -4])
@pytest.mark.parametrize("name", KINDS)
def test_a_transition_is_one_operator(traced, name, axis):
    kind, more = KINDS[name]
    given = {"length": 4, "start": 1, "duration": [3, 2], "time_dim": axis, **more}
    if axis == 1:
        given["spatial_dims"] = (3, 2)
    first, second = (A, B) if axis == 1 else (A[..., :1], B[..., :1])
    expected = gpuaug.transition(first, second, kind, **given)
    calls = traced()
    assert torch.equal(gpuaug.transition(first, second, kind, **given), expected)
    ((_, clips, words, values, parameters, at, dims, frames),) = calls
    assert clips[0] is first
    assert clips[1] is second
    assert (at, dims, frames) == (axis, [3, 2] if axis == 1 else [], 4)
    lines = {line.split(" ")[0]: line.split(" ")[1:] for line in words.split("\n")}
    assert lines.pop("kind") == ([kind] if isinstance(kind, str) else kind)
    assert lines == {n: [v] if isinstance(v, str) else v for n, v in more.items() if n in ("easing", "edge")}
    assert set(parameters.split()) == {"length", "start", "duration", *more} - {"easing", "edge"} - (
        {"luma"} if more.get("luma", 0) is None else set()
    )
    assert len(values) == len(parameters.split())
    shapes = [torch.empty(clip.shape, dtype=clip.dtype, device="meta") for clip in clips]
    told = torch.ops.gpuaug.transition(shapes, words, values, parameters, at, dims, frames)
    assert (told.shape, told.dtype) == (expected.shape, expected.dtype)


@pytest.mark.parametrize("layers", [False, True])
def test_blend_and_render_are_one_operator_each(traced, layers):
    plan = layered.random_plan(np.random.default_rng(0), 2, 4, n=2, t=3) if layers else Plan.take([0, 1], [[3, 0, 1]])
    how = {"box": [[1, 2, 5, 7], [0, 8, 6, 0]], "color": np.eye(3, 4) / 2, "mean": [0.4, 0.5, 0.6], "std": 0.25}
    how |= {"size": (5, 7), "layout": "NTHWC", "dtype": torch.uint8}
    small = {"size": (1, 1), "allow_aliasing": True}
    mixed = gpuaug.blend(A, plan, spatial_dims=(2, 3))
    expected = gpuaug.render(A, plan, **how), gpuaug.render(A, plan, **small)
    calls = traced()
    assert torch.equal(gpuaug.blend(A, plan, spatial_dims=(2, 3)), mixed)
    ((_, banks, columns, tables, axes, _),) = calls
    assert banks[0] is A
    assert axes == ([2, 3] if layers else [])
    assert [bool(len(columns) > 3), bool(tables)] == [layers] * 2
    for each, right in zip((how, small), expected):
        del calls[:]
        assert torch.equal(gpuaug.render(A, plan, **each), right)
        *_, layout, aliasing, out = calls[0]
        assert (layout, aliasing) == (each.get("layout", "NCTHW"), "allow_aliasing" in each)
        assert tuple(out.shape) == tuple(right.shape)


@pytest.mark.parametrize("layers", [False, True])
def test_a_plan_is_the_same_behind_the_operator(layers):
    plan = layered.random_plan(np.random.default_rng(1), 2, 4, n=2, t=3) if layers else Plan.take([0, 1], [[3, 0, 1]])
    again = compile._plan(*compile.tensors(plan))
    for one, other in zip(gpuaug.plan.columns_of(plan), gpuaug.plan.columns_of(again), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    assert (again.layers is not None) == layers
    if layers:
        np.testing.assert_array_equal(plan.layers.maps, again.layers.maps)
        assert len(plan.layers.pictures) == len(again.layers.pictures)
        assert all(np.array_equal(a, b) for a, b in zip(plan.layers.pictures, again.layers.pictures))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gpuaug.take(A.numpy(), [0]), "clip must be a torch tensor inside torch.compile, got ndarray"),
        (lambda: gpuaug.concatenate(A, B.numpy(), length=2, center=1), "second must be a torch tensor inside torch"),
        (lambda: gpuaug.take(torch.ones(2, 4, requires_grad=True), [0]), "clip must not require gradients"),
        (lambda: gpuaug.take(A, [0], time_dim=5), "time_dim must be an axis of clip behind the batch axis"),
        (lambda: gpuaug.take(A[:, :0], [0]), "clip must not be empty"),
        (lambda: gpuaug.take(torch.zeros(2, 3, 7, 5, 6), [0]), "time_dim must be given where axis 1 may be channels"),
        (
            lambda: gpuaug.transition(A, B.numpy(), "cut", length=2, start=1, duration=0),
            "second must be a torch tensor",
        ),
        (
            lambda: gpuaug.transition(A, B, "cut", length=2, start=1, duration=0, time_dim=0),
            "time_dim must be an axis of",
        ),
    ],
)
def test_what_is_refused_while_tracing(traced, call, message):
    calls = traced()
    with pytest.raises(ValueError, match=f"^{message}"):
        call()
    assert calls == []


def test_rules_of_operators_are_those_of_edits():
    assert {name.split()[0] for name in EDITS} == set(edits.RULES)
