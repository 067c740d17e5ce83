"""Sizes, weights, strides and addresses that words of several values do not fit, on every implementation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpuaug import Plan, arguments, blend, functional, reference, render
from gpuaug.arrays import view
from gpuaug.execute import blend_into
from gpuaug.kernels import kernel_args
from support import kernel_implementations

implementation = kernel_implementations.pixels
DTYPES = [torch.uint8, torch.float16, torch.bfloat16, torch.float32]


def random_frames(rng, shape, dtype):
    if dtype == torch.uint8:
        return torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8))
    return torch.from_numpy(rng.normal(size=shape)).to(dtype)


def random_plan(rng, clips, length, taps):
    weight = rng.dirichlet(np.ones(taps), (4, 5)).astype(np.float32)
    weight[0, 0], weight[-1] = 0, np.eye(taps)[0]
    return Plan(rng.integers(0, clips, (4, 5, taps)), rng.integers(0, length, (4, 5, taps)).astype(float), weight)


def check(got, frames, plan):
    """Within half a step of the dtype from the float64 sum; plain torch in float32 adds as much before it rounds."""
    exact = reference.blend([f.double().cpu().numpy() for f in frames], plan)
    error = np.abs(got.double().cpu().numpy() - exact)
    if got.dtype == torch.uint8:
        assert error.max() <= 0.5 + 1e-4
    else:
        info = torch.finfo(got.dtype)
        assert (error <= np.maximum(np.abs(exact), info.tiny) * info.eps / 2 + 2e-6).all()


def single(clip, time, weight):
    """A plan of one output frame."""
    parts = zip((clip, time, weight), (np.int64, np.float64, np.float32))
    return Plan(*(np.array([[part]], dtype) for part, dtype in parts))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weight", [[0.5], [0.0], [0.0, 0.5], [0.5, 0.0], [0.25, 0.5], [1.0, 0.0], [0.0, 1.0]])
@pytest.mark.parametrize("size", [1, 2, 5, 16, 48])
def test_weights_of_whole_words_and_of_less(implementation, dtype, weight, size):
    """Also those that do not sum to 1, with the visible tap first or second, in frames below 16 bytes and above."""
    frames = random_frames(np.random.default_rng(0), (2, 3, size), dtype)
    plan = single([0, 1][: len(weight)], [2, 1][: len(weight)], weight)
    check(blend(frames.to(implementation), plan), frames, plan)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [2, 5, 16, 64])
@pytest.mark.parametrize("taps", [1, 2, 3])
def test_elements_of_one_axis_that_are_not_side_by_side(implementation, dtype, size, taps):
    """Of the sources, aligned ones too, and of the output."""
    rng = np.random.default_rng(1)
    wide, plan = random_frames(rng, (3, 4, 2 * size), dtype).to(implementation), random_plan(rng, 3, 4, taps)
    bank = wide[..., ::2]
    check(blend(bank, plan), bank.cpu(), plan)
    value = 77 if dtype == torch.uint8 else torch.nan
    around = torch.full((4, 5, 2 * size), value, dtype=dtype, device=implementation)
    for source in (bank, bank.contiguous()):
        views = [view(source)]
        blend_into(views, arguments.shown(plan, kernel_args.lengths(views)), around[..., ::2])
        check(around[..., ::2], bank.cpu(), plan)
        rest = around[..., 1::2]
        assert ((rest == 77) | (rest != rest)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 5, 15, 17, 33])
def test_what_lies_behind_an_output_stays_as_it_was(implementation, dtype, size):
    """Frames that begin on 16 bytes and end elsewhere."""
    rng = np.random.default_rng(2)
    frames = random_frames(rng, (1, 2, size), dtype)
    plan = single([0, 0], [0, 1], [0.25, 0.75])
    value = 77 if dtype == torch.uint8 else torch.nan
    around = torch.full((size + 64,), value, dtype=dtype, device=implementation)
    out = around[:size].view(1, 1, size)
    assert out.data_ptr() % 16 == 0
    views = [view(frames.to(implementation))]
    blend_into(views, arguments.shown(plan, kernel_args.lengths(views)), out)
    check(out, frames, plan)
    assert ((around[size:] == 77) | (around[size:] != around[size:])).all()


def test_clips_that_differ_in_their_first_trailing_size_are_refused(implementation):
    clips = [torch.zeros(2, h, 4, device=implementation) for h in (3, 5)]
    with pytest.raises(ValueError, match=r"frames must be clips .* of one trailing shape"):
        blend(clips, Plan.take([0, 1], [[0]]))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("width", [1, 2, 15, 16, 22, 40, 64, 70, 129])
def test_planes_of_any_width_are_whole(implementation, dtype, width):
    """Rows of more than one block of a cast, of whole blocks and of others: what is shown as it is comes back."""
    rng = np.random.default_rng(0)
    bank = random_frames(rng, (1, 1, 3, width, 3), torch.uint8)
    got = render(bank.to(implementation), Plan.take(0, [0]), size=(3, width), dtype=dtype).cpu()
    expected = bank[0, 0].permute(2, 0, 1)
    if dtype != torch.uint8:
        torch.testing.assert_close(got[0, :, 0].float() * 255, expected.float(), rtol=2**-8, atol=1e-3)
    else:
        assert torch.equal(got[0, :, 0], expected)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float32])
@pytest.mark.parametrize("layout", ["NCTHW", "NTHWC"])
@pytest.mark.parametrize("shift", [1, 2, 3])
def test_an_output_on_no_whole_word(implementation, dtype, layout, shift):
    rng = np.random.default_rng(1)
    bank, plan = random_frames(rng, (1, 2, 8, 16, 3), torch.uint8).to(implementation), Plan.take(0, [0, 1])
    expected = render(bank, plan, size=(8, 16), dtype=dtype, layout=layout)
    memory = torch.zeros(expected.numel() + 8, dtype=dtype, device=implementation)
    out = memory[shift : shift + expected.numel()].view_as(expected)
    assert torch.equal(render(bank, plan, size=(8, 16), dtype=dtype, layout=layout, out=out), expected)
    assert memory[:shift].sum() == memory[shift + expected.numel() :].sum() == 0


@pytest.mark.parametrize("shape", [(1, 3, 4), (2, 3, 4), (1, 3, 6)])
def test_an_inner_axis_of_two_that_is_not_side_by_side(implementation, shape):
    a = torch.arange(float(np.prod(shape)), device=implementation).reshape(shape)[:, :, ::2]
    assert torch.equal(functional.take(a, [2, 0, 1]), a[:, [2, 0, 1]])
    assert torch.equal(functional.take(a.movedim(2, 1), [1, 0], time_dim=1), a.movedim(2, 1)[:, [1, 0]])


def test_a_last_position_that_rounds_to_the_clips_end_is_refused(implementation):
    """Eq. (3) at i = 3: (3 − 1) + 1.5·(3 − 3 + 1) = 3.5, which is shown as frame 4."""
    with pytest.raises(ValueError, match=r"clip must reach frame 4 .* it has 4 frames"):
        functional.resample_speed(torch.zeros(1, 4, device=implementation), length=4, change_point=3, rate=1.5)
    shown = functional.resample_speed(
        torch.arange(5.0, device=implementation)[None], length=4, change_point=3, rate=1.5
    )
    assert shown[0].tolist() == [0, 1, 2, 4]


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_frames_of_one_or_two_pixels(implementation, shape, channels):
    """Nothing behind them is read, which executed PTX shows, and each is its own neighbour."""
    bank = random_frames(np.random.default_rng(2), (1, 2, *shape, channels), torch.uint8)
    got = render(bank.to(implementation), Plan.take(0, [1]), size=shape, dtype=torch.uint8, layout="NTHWC")
    assert torch.equal(got[0, 0].cpu(), bank[0, 1])
    twice = (2 * shape[0], 2 * shape[1])
    wide = render(bank.to(implementation), Plan.take(0, [1]), size=twice, layout="NTHWC").cpu() * 255
    assert wide.min() >= bank[0, 1].min() - 1e-3
    assert wide.max() <= bank[0, 1].max() + 1e-3
    torch.testing.assert_close(wide[0, 0, 0, 0], bank[0, 1, 0, 0].float(), rtol=0, atol=1e-3)


def test_the_right_edge_does_not_depend_on_what_memory_held(monkeypatch):
    """What lies behind a row is read with weight 0: memory that holds NaN must not make NaN of it."""
    kernel_implementations.put_in_charge("host", monkeypatch)
    bank = random_frames(np.random.default_rng(3), (1, 1, 5, 37, 3), torch.uint8)
    expected = bank[0, 0].permute(2, 0, 1).float()
    for _ in range(20):  # the scratch rows are taken from what was given back just before
        for size in (2000, 4000, 8000, 16000):
            np.full(size, np.nan, np.float32)
        got = render(bank, Plan.take(0, [0]), size=(5, 37))
        torch.testing.assert_close(got[0, :, 0] * 255, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("box", [[0, 0, 0.4, 0.4], [0, 0, 0.2, 3], [30.7, 44.6, 31, 45], [0, 0.3, 0.3, 0]])
def test_a_box_of_less_than_half_a_pixel_at_an_edge_shows_the_outermost_one(implementation, box):
    """And not the row before, which is another frame's, or nobody's."""
    bank = random_frames(np.random.default_rng(8), (3, 4, 31, 45, 3), torch.uint8)
    plan = Plan.take([1, 2], [0.0, 3.0])
    given = {"size": (3, 5), "box": np.array([box, box], float)}
    got = render(bank.to(implementation), plan, **given)
    np.testing.assert_allclose(got.cpu(), reference.render(bank.numpy(), plan, **given), atol=1e-5)
