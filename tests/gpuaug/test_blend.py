"""blend on every implementation: all dtypes and strides, exact copies, casts, offsets beyond 2³¹."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuaug import Plan, arguments, blend, fade, reference, render
from gpuaug.arrays import view
from gpuaug.execute import blend_into
from gpuaug.kernels import kernel_args
from support import kernel_implementations

implementation = kernel_implementations.pixels
kernels = kernel_implementations.kernels
DTYPES = [torch.uint8, torch.float16, torch.bfloat16, torch.float32]


def random_frames(rng, shape, dtype):
    if dtype == torch.uint8:
        return torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8))
    return torch.from_numpy(rng.normal(size=shape)).to(dtype)


def random_plan(rng, clips, length, n=4, t=5, k=2):
    weight = rng.dirichlet(np.ones(k), (n, t)).astype(np.float32)
    weight[0, 0] = 0
    weight[-1] = np.eye(k)[0]
    return Plan(rng.integers(0, clips, (n, t, k)), rng.integers(0, length, (n, t, k)).astype(float), weight)


def check(got, frames, plan):
    """Within half a step of the dtype from the float64 sum; plain torch in float32 adds as much before it rounds."""
    exact = reference.blend([f.double().cpu().numpy() for f in frames], plan)
    error = np.abs(got.double().cpu().numpy() - exact)
    if got.dtype == torch.uint8:
        assert error.max() <= 0.5 + 1e-4
    else:
        info = torch.finfo(got.dtype)
        half_step = np.maximum(np.abs(exact), info.tiny) * info.eps / 2
        assert (error <= half_step + 2e-6).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("taps", [1, 2, 3])
def test_dtypes_and_taps(implementation, dtype, taps):
    rng = np.random.default_rng(0)
    frames, plan = random_frames(rng, (3, 6, 5, 7, 3), dtype), random_plan(rng, 3, 6, k=taps)
    got = blend(frames.to(implementation), plan)
    assert got.shape == (4, 5, 5, 7, 3)
    assert got.dtype == dtype
    check(got, frames, plan)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("taps", [1, 2])
@pytest.mark.parametrize("size", [16, 48 * 700])
def test_words_and_single_elements_give_the_same(kernels, dtype, taps, size):
    """Frames on multiples of 16 bytes are blended 16 bytes at a time, the same ones moved by one element are not."""
    rng = np.random.default_rng(2)
    frames, plan = random_frames(rng, (3, 6, size), dtype).to(kernels), random_plan(rng, 3, 6, k=taps)
    moved = torch.empty(frames.numel() + 1, dtype=dtype, device=kernels)[1:].view_as(frames).copy_(frames)
    assert frames.data_ptr() % 16 == 0
    assert moved.data_ptr() % 16
    got = blend(frames, plan)
    assert torch.equal(got, blend(moved, plan))
    check(got, frames, plan)


@pytest.mark.parametrize("trailing", [(), (1,), (4099,), (2, 3, 5, 7, 2)])
def test_any_trailing_shape(implementation, trailing):
    rng = np.random.default_rng(1)
    frames, plan = random_frames(rng, (3, 6, *trailing), torch.uint8), random_plan(rng, 3, 6)
    check(blend(frames.to(implementation), plan), frames, plan)


@pytest.mark.parametrize("dtype", DTYPES)
def test_list_of_clips(implementation, dtype):
    rng = np.random.default_rng(2)
    clips = [random_frames(rng, (length, 4, 6), dtype) for length in (2, 1, 5)]
    plan = fade(Plan.take([0, 1, 2], [[1, 0], [0, 0], [4, 3]]), Plan.take([2, 2, 0], [[0, 1], [4, 2], [1, 0]]), 0.3)
    check(blend([clip.to(implementation) for clip in clips], plan), clips, plan)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_strides(implementation, dtype):
    """Sliced, permuted, expanded and mixed strides, in and out; what lies around the output stays as it was."""
    rng = np.random.default_rng(3)
    dense = random_frames(rng, (6, 9, 8, 10, 3), dtype).to(implementation)
    plan = random_plan(rng, 3, 4)
    for bank in (
        dense[::2, 1::2, 2:7, 1:9],
        dense.permute(0, 1, 4, 3, 2)[:3, :4],
        dense[:3, :4, :, :1].expand(-1, -1, -1, 10, -1),
        dense[:3, :4, ::2, ::3, ::2],
    ):
        check(blend(bank, plan), bank, plan)
    first, second = dense[:3, :4], dense.permute(0, 1, 4, 3, 2).contiguous().permute(0, 1, 4, 3, 2)[3:, 4:8]
    both = Plan(plan.clip + np.array([0, 3]), plan.time, plan.weight)
    value = 77 if dtype == torch.uint8 else torch.nan
    around = torch.full((6, 5, 7, 10, 12), value, dtype=dtype, device=implementation)
    out = around[1:-1, :, 2:5, :, 1:-2:1].permute(0, 1, 4, 3, 2)[:, :, :8]
    views = [view(first), view(second)]
    blend_into(views, arguments.shown(both, kernel_args.lengths(views)), out)
    check(out, torch.cat([first, second]), both)
    out.fill_(value)
    assert ((around == 77) | (around != around)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_single_frames_are_copied_bit_for_bit(implementation, dtype):
    bits = torch.arange(256 if dtype == torch.uint8 else 65536).to(torch.uint8 if dtype == torch.uint8 else torch.int32)
    frames = bits if dtype == torch.uint8 else (bits.to(torch.int16) if dtype != torch.float32 else bits << 16)
    frames = frames.view(dtype).view(1, 2, -1)
    frames = (
        torch.where(frames.isnan(), torch.tensor(torch.inf), frames).to(dtype) if dtype.is_floating_point else frames
    )
    plan = Plan.take(0, [1, 0, 1])
    assert torch.equal(blend(frames.to(implementation), plan).cpu(), frames[:, [1, 0, 1]])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("weight", [1.0, 0.5, 0.7310586, 1e-3, 2e-6, 1 + 3 / 2**11, 1 + 3 / 2**8])  # the last: ties
def test_casts_round_to_nearest_even_like_torch(kernels, dtype, weight):
    """Every bit pattern, times a weight, in float32, cast back; subnormal numbers, infinity and NaN too."""
    frames = torch.arange(65536).to(torch.int16).view(dtype).view(1, 1, -1)
    plan = Plan(*(np.full((1, 1, 2), v, d) for v, d in ((0, np.int64), (0, np.float64), (0.5 * weight, np.float32))))
    got = blend(frames.to(kernels), plan).cpu()
    half = torch.tensor(0.5 * weight, dtype=torch.float32) * frames.float()
    torch.testing.assert_close(got, (half + half).to(dtype), rtol=0, atol=0, equal_nan=True)


def test_uint8_rounds_halves_up_and_clamps(implementation):
    frames = torch.tensor([[0, 1, 2, 254, 255]], dtype=torch.uint8).T.reshape(1, 5, 1)
    pairs = np.array([[0, 1], [1, 2], [2, 2], [3, 4], [4, 4]])
    plan = Plan(np.zeros((1, 5, 2), np.int64), pairs[None].astype(float), np.full((1, 5, 2), 0.5, np.float32))
    assert blend(frames.to(implementation), plan).flatten().tolist() == [1, 2, 2, 255, 255]
    beyond = Plan(plan.clip, plan.time, np.full((1, 5, 2), 0.75, np.float32))
    assert blend(frames.to(implementation), beyond).flatten().tolist() == [1, 2, 3, 255, 255]
    assert blend(frames.to(implementation), Plan(plan.clip, plan.time, -plan.weight)).sum() == 0


def test_weight_zero_hides_nan(implementation):
    frames = torch.tensor([[[torch.nan], [1.0], [torch.nan]]], device=implementation)
    for hidden in (0.0, 2.0):
        plan = Plan(np.zeros((1, 1, 2), np.int64), np.array([[[1.0, hidden]]]), np.array([[[1.0, 0.0]]], np.float32))
        assert blend(frames, plan).item() == 1.0


@pytest.mark.parametrize(("clip", "frame"), [(3, 0), (-1, 0), (0, 4), (0, -1), (2**31 - 1, 2**31 - 1)])
def test_planted_index_reads_nothing(implementation, monkeypatch, clip, frame):
    kernel_implementations.unchecked(monkeypatch)
    frames = random_frames(np.random.default_rng(4), (3, 4, 50), torch.float32).to(implementation)
    plan = Plan(np.array([[[1, clip]]]), np.array([[[1.0, frame]]]), np.full((1, 1, 2), 0.5, np.float32))
    assert torch.equal(blend(frames, plan)[0, 0], frames[1, 1] * 0.5)


def test_offsets_beyond_32_bits(implementation, tmp_path):
    """Slots, frames and rows more than 2³¹ bytes away, in a file that is mostly holes."""
    if implementation.type == "cuda":
        memory = torch.zeros(5 << 30, dtype=torch.uint8, device="cuda")
    else:
        memory = torch.from_file(str(tmp_path / "holes"), shared=True, size=5 << 30, dtype=torch.uint8)
    memory[-12:] = torch.arange(1, 13, dtype=torch.uint8, device=memory.device)
    last = memory.numel() - 12
    far = {"slot": (last, 12, 12, 3, 1), "frame": (12, last, 12, 3, 1), "row": (12, 12, last, 3, 1)}
    for name, strides in far.items():
        index = ("slot", "frame", "row").index(name)
        shape = [2 if i == index else 1 for i in range(3)] + [4, 3]
        bank = memory.as_strided(shape, strides)
        plan = Plan.take(shape[0] - 1, [shape[1] - 1])
        expected = torch.arange(1, 13, dtype=torch.uint8).view(4, 3)
        assert torch.equal(blend(bank, plan)[0, 0, -1].cpu(), expected), name
        pixels = render(bank, plan, size=(shape[2], 4), dtype=torch.uint8, layout="NTHWC")
        assert torch.equal(pixels[0, 0, -1].cpu(), expected), name


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_plan_algebra_holds_in_pixels(implementation, data):
    """blend(p.at(order)) = blend(p) in that order, and fade is the mix of both sides, in float32."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    frames = random_frames(rng, (3, 6, 11), torch.float32).to(implementation)
    n, t = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 6))
    a, b = (Plan.take(rng.integers(0, 3, n), rng.integers(0, 6, (n, t))) for _ in range(2))
    alpha = rng.random((n, t)).astype(np.float32)
    mixed = fade(a, b, alpha)
    order = rng.integers(0, t, (n, data.draw(st.integers(1, 7))))
    shown = blend(frames, mixed)
    assert torch.equal(blend(frames, mixed.at(order)), shown[torch.arange(n)[:, None], torch.from_numpy(order)])
    part = torch.from_numpy(alpha)[:, :, None].to(implementation)
    torch.testing.assert_close(shown, (1 - part) * blend(frames, a) + part * blend(frames, b), rtol=0, atol=2e-6)
