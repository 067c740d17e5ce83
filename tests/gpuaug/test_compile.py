"""torch.compile(fullgraph=True) around blend, render and the edits on arrays: the same result as in eager mode.

Plans and per-sample parameters change without recompiling.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpuaug import Plan, blend, crossfade, fade, freeze, paste, render, resample_speed, take, transition
from gpuaug import compile as compile_operators
from support import kernel_implementations
from support.plans import layered

implementation = kernel_implementations.built


@pytest.fixture(autouse=True)
def _fresh():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def make(device, seed=0, layers=False):
    rng = np.random.default_rng(seed)
    bank = torch.from_numpy(rng.integers(0, 128, (3, 4, 12, 16, 3), dtype=np.uint8)).to(device)
    if layers:  # masks, places, crops, colours, a time map of one's own
        return bank, layered.random_plan(rng, 3, 4, n=2, t=3)
    plan = fade(Plan.take(rng.integers(0, 3, 2), [[0, 1, 2]]), Plan.take(rng.integers(0, 3, 2), [[3, 2, 1]]), 0.25)
    return bank, plan


def compiled(function):
    """No fallback to eager: one graph. aot_eager runs all of the tracing, but needs no C++ compiler."""
    return torch.compile(function, fullgraph=True, backend="aot_eager")


@pytest.mark.parametrize("layers", [False, True], ids=["plain", "layers"])
@pytest.mark.parametrize("as_list", [False, True])
def test_render(implementation, as_list, layers):
    box = np.array([[1.0, 2.0, 9.0, 12.0], [0.0, 15.0, 12.0, 1.0]])
    color = np.eye(3, 4) * 0.5

    def step(frames, plan):
        frames = [clip + 1 for clip in frames] if as_list else frames + 1
        clips = render(frames, plan, size=(8, 9), box=box, color=color, mean=[0.4, 0.5, 0.6], std=0.25, layout="NTCHW")
        return clips * 2

    fast = compiled(step)
    for seed in (0, 1):  # another bank and another plan, the same graph
        bank, plan = make(implementation, seed, layers)
        frames = list(bank) if as_list else bank
        with torch.compiler.set_stance("fail_on_recompile" if seed else "default"):
            assert torch.equal(fast(frames, plan), step(frames, plan))


@pytest.mark.parametrize("layers", [False, True], ids=["plain", "layers"])
@pytest.mark.parametrize("as_list", [False, True])
def test_blend(implementation, as_list, layers):
    def step(frames, plan):
        frames = [clip * 2 for clip in frames] if as_list else frames * 2
        return blend(frames, plan).float().mean((2, 3, 4)) / 2

    bank, plan = make(implementation, layers=layers)
    frames = list(bank) if as_list else bank
    torch.testing.assert_close(compiled(step)(frames, plan), step(frames, plan))


@pytest.mark.parametrize(
    "edit",
    [
        lambda a, b, p: crossfade(a, b, length=4, center=p, overlap=2),
        lambda a, b, p: paste(a, b[:, :1], start=p, stop=p + 1, opacity=[0.5, 0.25, 1.0]),
        lambda a, b, p: resample_speed(a.transpose(1, 4), length=3, change_point=p, rate=0.5, time_dim=-1),
        lambda a, b, p: freeze(a, length=5, start=p - 1, duration=[2, 4, 3]),
        lambda a, b, p: take(a, range(3, -1, -1)),
        lambda a, b, p: take(a, p[:, None] - 1),
    ],
)
def test_edits(implementation, edit):
    def step(a, b, parameter):
        return edit(a + 1, b, parameter).float() / 2

    fast = compiled(step)
    for parameter in ([1, 2, 3], [3, 1, 2]):
        bank, _ = make(implementation, parameter[0])
        arguments = bank, bank.flip(0), np.array(parameter)
        with torch.compiler.set_stance("fail_on_recompile" if parameter[0] == 3 else "default"):
            assert torch.equal(fast(*arguments), step(*arguments))


def test_transition(implementation):
    """Kinds are words of the graph, all else may change."""

    def step(a, b, start, angle):
        kinds = ["wipe", "freeze", "push_left"]
        given = {"length": 4, "start": start, "duration": [3, 2, 3], "softness": 0.25, "angle": angle, "easing": "out"}
        return transition(a * 2, b * 2, kinds, spatial_dims=(2, 3), **given).float() / 2

    fast = compiled(step)
    for seed in (0, 1):
        a, b = make(implementation, 2 * seed)[0], make(implementation, 2 * seed + 1)[0]
        parameters = torch.tensor([1, seed, 1]), torch.tensor([0.0, 0.0, 30.0 * seed])
        with torch.compiler.set_stance("fail_on_recompile" if seed else "default"):
            assert torch.equal(fast(a, b, *parameters), step(a, b, *parameters))
    with pytest.raises(ValueError, match="duration must be 0 for cuts and jumps, got duration=2"):
        compiled(lambda a, b: transition(a, b, "cut", length=4, start=1, duration=2))(a, b)


@pytest.mark.parametrize("strict", [False, True])
def test_export(implementation, strict):
    """torch.export's tensors without memory are traced, not refused as types that the result would not have."""

    class Reverse(torch.nn.Module):
        def forward(self, clips):
            return take(clips, [3, 2, 1, 0])

    bank, _ = make(implementation)
    program = torch.export.export(Reverse(), (bank,), strict=strict)
    assert torch.equal(program.module()(bank), bank.flip(1))


def test_channels_are_not_taken_for_frames(implementation):
    bank, _ = make(implementation)
    channels_first = bank[:, :3].movedim(-1, 1).contiguous()  # (3, 3, 3, 12, 16): any of three may be time
    assert torch.equal(compiled(take)(channels_first, [0]), channels_first[:, [0]])
    longer = bank.movedim(-1, 1).repeat(1, 1, 2, 1, 1)  # (3, 3, 8, 12, 16)
    with pytest.raises(Exception, match="time_dim must be given where axis 1 may be channels"):
        compiled(take)(longer, [0])
    fast = compiled(lambda clips: take(clips, [7, 0], time_dim=2))
    assert torch.equal(fast(longer), longer[:, :, [7, 0]])


def test_out_is_filled(implementation):
    bank, plan = make(implementation)
    out = torch.full((2, 3, 3, 12, 16), torch.nan, device=implementation)
    expected = render(bank, plan, size=(12, 16))
    got = compiled(lambda b, p, o: render(b, p, size=(12, 16), out=o) + 1)(bank, plan, out)
    assert torch.equal(out, expected)
    assert torch.equal(got, expected + 1)


def test_errors_come_through(implementation):
    bank, _ = make(implementation)
    with pytest.raises(ValueError, match="plan must show clips in"):
        compiled(blend)(bank, Plan.take(7, [[0, 1]]))
    with pytest.raises(ValueError, match=r"frames must be in \[0, 3\], got frames=4"):
        compiled(take)(bank, [0, 4])


def test_operators_pass_torchs_own_check(implementation):
    """Schema, fake implementation and tracing, as torch.library.opcheck knows them."""
    bank, plan = make(implementation)
    tensors = [torch.from_numpy(v) for v in (plan.clip, plan.time, plan.weight)]
    torch.library.opcheck(torch.ops.gpuaug.blend, ([bank], tensors, [], [], bank.new_empty(2, 3, 12, 16, 3)))
    out, mean = torch.empty(2, 3, 3, 8, 9, device=implementation), [0.0, 0.0, 0.0]
    arguments = ([bank], tensors, [], None, None, mean, [1.0, 1.0, 1.0], "NCTHW", False, out)
    torch.library.opcheck(torch.ops.gpuaug.render, arguments)
    parameters = [torch.tensor(4), torch.tensor(2), torch.tensor([2, 0, 2])]
    arguments = ("crossfade", [bank, bank + 1], "first second", parameters, "length center overlap", -4, 4)
    torch.library.opcheck(torch.ops.gpuaug.edit, arguments)


@pytest.mark.parametrize(
    "default", ["meta", pytest.param("cuda", marks=pytest.mark.gpu)], ids=["elsewhere", "on a GPU"]
)
def test_the_default_device_does_not_matter(default):
    """Plans, boxes and parameters are looked at on the CPU, wherever new tensors are made by default."""

    def step(bank, plan):
        shown = render(bank, plan, size=(4, 5), box=[[1.0, 2.0, 9.0, 12.0]] * 2, color=[[0.5, 0.0, 0.0, 0.1]] * 3)
        return shown.sum((1, 2, 3, 4)) + take(bank[:2], [1, 0]).sum((1, 2, 3, 4))

    bank, plan = make("cpu" if default == "meta" else default)
    expected = step(bank, plan)
    with torch.device(default):
        assert torch.equal(step(bank, plan), expected)
        assert {part.device.type for part in compile_operators.tensors(plan)[0]} == {"cpu"}
        if default != "meta":  # where torch.compile puts NumPy's arrays
            assert torch.equal(compiled(step)(bank, plan), expected)
