"""Frames of one clip over another, opened by a mask, which the CPU makes by blocks: on every implementation.

Legend: N samples, T output frames, L frames of a clip, Y X output, C channels.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpuaug import Plan, blend, reference, render
from gpuaug.layers import cover
from gpuaug.transitions import transition
from support import kernel_implementations

implementation = kernel_implementations.pixels
cpu = kernel_implementations.cpu
kernels = kernel_implementations.kernels
DTYPES = [torch.uint8, torch.float16, torch.bfloat16, torch.float32]
EDGES = [(0.0, "linear"), (0.3, "linear"), (0.3, "smooth")]
KINDS = ["wipe_left", "wipe_up", "circle_open", "noise_dissolve"]  # of blocks that are open, closed, and neither
SIZE = (13, 33)  # rows that begin within a block, and a last one that is none


def masked(softness, edge):
    clips = [Plan.take(2 * np.arange(len(KINDS)) + k, range(4)) for k in (0, 1)]
    return transition(*clips, KINDS, length=4, start=0, duration=4, softness=softness, edge=edge)


def frames(dtype, size=SIZE, channels=3):
    """(2N, L, C, Y, X)"""
    values = np.random.default_rng(0).uniform(0, 255, (2 * len(KINDS), 4, channels, *size))
    return torch.from_numpy(values if dtype == torch.uint8 else values - 100).to(dtype)


def check(got, bank, plan, size=SIZE):
    """`got` and `bank` with their channels last."""
    top = 255.0 if bank.dtype == torch.uint8 else 1.0
    expected = reference.compose(bank.double().numpy(), plan, size=size, top=top)
    rounding = (
        0.0 if bank.dtype == torch.float32 else np.abs(expected) * torch.finfo(got.dtype).eps / 2 if top == 1 else 0.5
    )
    error = np.abs(got.double().cpu().numpy() - expected)
    assert (error <= rounding + 1e-3).all(), error.max()


@pytest.mark.parametrize(("softness", "edge"), EDGES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_planes(implementation, dtype, softness, edge):
    bank, plan = frames(dtype), masked(softness, edge)
    got = blend(bank.to(implementation), plan, spatial_dims=(3, 4))
    check(got.movedim(2, -1), bank.movedim(2, -1), plan)


@pytest.mark.parametrize(("softness", "edge"), EDGES)
@pytest.mark.parametrize("form", ["pixels", "grey", "rows apart", "columns apart", "many channels"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_other_orders_in_memory(cpu, dtype, form, softness, edge):
    bank, plan = frames(dtype, channels={"grey": 1, "many channels": 5}.get(form, 3)), masked(softness, edge)
    if form == "pixels":
        got = blend(bank.movedim(2, -1).contiguous(), plan, spatial_dims=(2, 3)).movedim(-1, 2)
    else:
        wide = torch.nn.functional.pad(bank, (3, 2))[..., 3:-2]
        columns = bank.movedim(3, 4).contiguous().movedim(3, 4)
        given = {"rows apart": wide, "columns apart": columns}.get(form, bank)
        got = blend(given, plan, spatial_dims=(3, 4))
    check(got.movedim(2, -1), bank.movedim(2, -1), plan)


@pytest.mark.parametrize("size", [(1, 1), (1, 63), (1, 64), (1, 65), (2, 64), (64, 2)])
@pytest.mark.parametrize(("softness", "edge"), EDGES)
def test_frames_of_a_block_and_a_pixel_more_or_less(cpu, size, softness, edge):
    bank, plan = frames(torch.uint8, size), masked(softness, edge)
    check(blend(bank, plan, spatial_dims=(3, 4)).movedim(2, -1), bank.movedim(2, -1), plan, size)


PART, MIRRORED = [1.5, 3.25, 12.0, 29.0], [1.5, 29.0, 12.0, 3.25]


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 8, 33, 48])  # from 4 pixels on a row has quarters
@pytest.mark.parametrize("boxes", [[], [PART], [MIRRORED], [PART, MIRRORED]], ids=["all", "part", "mirrored", "apart"])
@pytest.mark.parametrize(("softness", "edge"), EDGES)
def test_sampled_clips_of_which_both_show_all_along_a_row(implementation, softness, edge, boxes, width):
    bank = torch.from_numpy(np.random.default_rng(3).integers(0, 256, (2 * len(KINDS), 4, *SIZE, 3), np.uint8))
    plan = masked(softness, edge)
    how = {"size": (14, width), "box": np.broadcast_to(boxes, (*plan.shape, 4)) if boxes else None}
    expected = reference.render(bank.numpy(), plan, **how)
    got = render(bank.to(implementation), plan, allow_aliasing=True, **how).double().cpu().numpy()
    assert np.abs(got - expected).max() < 1e-5


@pytest.mark.parametrize(("softness", "edge"), EDGES)
def test_what_a_mask_hides_may_be_no_number(kernels, softness, edge):
    bank, plan = frames(torch.float32), masked(softness, edge)
    expected = blend(bank.to(kernels), plan, spatial_dims=(3, 4)).cpu()
    hidden = bank.clone()
    for n in range(len(KINDS)):
        share = cover.shares(plan.weight[n], plan.layers.each(lambda column: column[n]), SIZE)  # noqa: B023
        for t, k in np.ndindex(share.shape[:2]):
            if plan.clip[n, t, k] % 2 == k and plan.weight[n, t, k]:
                unseen = torch.from_numpy(share[t, k] == 0)
                hidden[plan.clip[n, t, k], plan.frame[n, t, k]][:, unseen] = torch.nan
    assert hidden.isnan().any()
    got = blend(hidden.to(kernels), plan, spatial_dims=(3, 4)).cpu()
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("edge", ["linear", "smooth"])
@pytest.mark.parametrize("softness", [0.02, 0.05, 0.3, 1.0, 30.0, 1e6])
@pytest.mark.parametrize("form", ["planes", "pixels"])
def test_bytes_are_the_nearest_at_every_width_of_an_edge(cpu, form, softness, edge):
    size, kinds = (64, 81), ["noise_dissolve", "wipe_left"]
    clips = [Plan.take(2 * np.arange(2) + k, range(9)) for k in (0, 1)]
    plan = transition(*clips, kinds, length=9, start=0, duration=9, softness=softness, edge=edge)
    bank = np.random.default_rng(1).integers(0, 256, (4, 9, *size, 3), np.uint8)
    bank[0, ..., 0], bank[1, ..., 0] = 255, 0
    bank[0, ..., 1], bank[1, ..., 1] = 0, 255
    expected = reference.compose(bank, plan, size=size, top=255.0)
    given = torch.from_numpy(bank)
    if form == "planes":
        got = blend(given.movedim(-1, 2).contiguous(), plan, spatial_dims=(3, 4)).movedim(2, -1)
    else:
        got = blend(given, plan, spatial_dims=(2, 3))
    error = np.abs(got.numpy() - expected)
    assert error.max() <= 0.5 + 1e-4
