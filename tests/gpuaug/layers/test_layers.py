"""Plans with layers on every implementation, against the float64 reference.

Legend: N samples, T output frames, K taps, S clips, L frames of a clip, H W source, Y X output, C channels.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpuaug import Plan, blend, fade, reference, render, where
from gpuaug.layers import cover, fields
from gpuaug.layers.columns import MAP, Layers
from support import kernel_implementations
from support.plans import layered

implementation = kernel_implementations.pixels
kernels = kernel_implementations.kernels


def random_bank(rng, slots=3, length=4, height=31, width=45, channels=3):
    return torch.from_numpy(rng.integers(0, 256, (slots, length, height, width, channels), dtype=np.uint8))


def step(dtype, value):
    """Half the distance of neighbouring numbers of `dtype` at `value`."""
    return 0 if dtype == torch.float32 else np.maximum(np.abs(value), 2.0**-14) * torch.finfo(dtype).eps / 2


@pytest.mark.parametrize("layout", ["NCTHW", "NTHWC"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.uint8])
def test_render(implementation, layout, dtype):
    rng = np.random.default_rng(0)
    bank, plan = random_bank(rng), layered.random_plan(rng, 3, 4, n=4)
    low = rng.uniform(0, 12, (*plan.shape, 2))
    box = np.concatenate([low, low + rng.uniform(0.3, 18, low.shape)], -1)
    mirrored = rng.random(plan.shape) < 0.5
    box[mirrored] = box[mirrored][:, [0, 3, 2, 1]]
    for color in (None, rng.normal(size=(4, 3, 4))):
        keep = {"size": (18, 21), "box": box, "layout": layout, "color": color}
        expected = reference.render(bank.numpy(), plan, **keep)
        extent = {"N": 4, "T": 4, "C": 3, "H": 18, "W": 21}
        value = 77 if dtype == torch.uint8 else torch.nan
        around = torch.full([extent[d] + 2 for d in layout], value, dtype=dtype, device=implementation)
        out = around[(slice(1, -1),) * 5]
        got = render(bank.to(implementation), plan, dtype=dtype, out=out, **keep).double().cpu().numpy()
        if dtype == torch.uint8:
            assert np.abs(got - np.clip(expected * 255, 0, 255)).max() <= 0.5 + 1e-3
        else:
            assert (np.abs(got - expected) <= 3e-5 + step(dtype, expected)).all()
        out.fill_(value)
        assert (around == 77).all() if dtype == torch.uint8 else around.isnan().all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (17, 33)])
@pytest.mark.parametrize("source", [(1, 1), (1, 7), (33, 18)])
def test_odd_sizes_of_clips_of_their_own(implementation, source, size, channels):
    rng = np.random.default_rng(1)
    clips = [random_bank(rng, 1, 2, *shape, channels)[0] for shape in (source, (5, 4))]
    plan = layered.random_plan(rng, 2, 2, n=2, t=2)
    expected = reference.render([clip.numpy() for clip in clips], plan, size=size)
    got = render([clip.to(implementation) for clip in clips], plan, size=size, allow_aliasing=True)
    np.testing.assert_allclose(got.cpu(), expected, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("form", ["HWC", "CHW", "HW", "sliced"])
def test_blend_of_arrays(implementation, dtype, form):
    rng = np.random.default_rng(2)
    pixels = rng.uniform(0, 255, (3, 4, 13, 18, 3))
    if dtype == torch.float32:
        pixels = rng.normal(size=pixels.shape) * 1e3
    bank = torch.from_numpy(pixels).to(dtype)
    plan, axes = layered.random_plan(rng, 3, 4, colors=form != "HW"), (2, 3)
    dense = {"HWC": bank, "CHW": bank.permute(0, 1, 4, 2, 3).contiguous(), "HW": bank[..., 0].contiguous()}
    if form == "CHW":
        axes = (3, 4)
    given = dense.get(
        form, bank.repeat(1, 1, 1, 2, 1)[:, :, :, ::2].flip(2) if dtype == torch.uint8 else bank[:, :, ::2]
    )
    got = blend(given.to(implementation), plan, spatial_dims=axes)
    assert got.dtype == dtype
    last = {"CHW": given.movedim(2, -1), "HW": given[..., None]}.get(form, given)
    got = {"CHW": got.movedim(2, -1), "HW": got[..., None]}.get(form, got)
    top = 255.0 if dtype == torch.uint8 else 1.0
    expected = reference.compose(last.double().numpy(), plan, size=last.shape[2:4], top=top)
    error = np.abs(got.double().cpu().numpy() - expected)
    bound = 0.5 + 1e-3 if dtype == torch.uint8 else step(dtype, expected) + 2e-6 * np.abs(pixels).max()
    assert (error <= bound).all(), error.max()


def test_a_frame_that_is_all_of_one_tap_is_copied(kernels):
    """Also over values that are none, which show nowhere."""
    frames = torch.full((2, 1, 5, 7), torch.nan)
    frames[1] = torch.arange(35.0).view(5, 7) * 1e30
    layers = Layers.none((1, 1, 2))
    plan = Plan(np.array([[[0, 1]]]), np.zeros((1, 1, 2)), np.ones((1, 1, 2), np.float32), layers)
    assert torch.equal(blend(frames.to(kernels), plan)[0, 0].cpu(), frames[1, 0])


@pytest.mark.parametrize(("clip", "frame"), [(3, 0), (-2, 0), (2**31 - 1, 0), (0, 4), (0, -1)])
def test_planted_index_reads_nothing(implementation, monkeypatch, clip, frame):
    """The check on the host is taken out; the kernels must then leave the tap out, and read no other memory."""
    kernel_implementations.unchecked(monkeypatch)
    bank = random_bank(np.random.default_rng(3))
    layers = Layers.none((1, 1, 2))
    bad = Plan(np.array([[[1, clip]]]), np.array([[[1.0, frame]]]), np.array([[[1, 0.5]]], np.float32), layers)
    good = Plan(bad.clip[:, :, :1], bad.time[:, :, :1], bad.weight[:, :, :1])
    got, expected = (render(bank.to(implementation), p, size=(31, 45)) for p in (bad, good))
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)


def test_plans_of_two_taps_are_the_same_with_layers(implementation):
    rng = np.random.default_rng(4)
    bank = random_bank(rng)
    plain = fade(Plan.take(0, range(4)), Plan.take(1, range(4)), [[0.0, 0.3, 0.9, 1.0]])
    plain = fade(plain, Plan.take(2, range(4)), [[0.0, 0.25, 0.5, 0.1]])
    assert plain.shape[2] == 3
    masked = layered.random_plan(rng, 3, 4, n=1, k=2)
    both = where([[True] * 4], plain, masked)
    assert both.layers is not None
    keep = {"size": (16, 24)}
    got, expected = (render(bank.to(implementation), p, **keep).cpu() for p in (both, plain))
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-6)


# ---- what layers mean -----------------------------------------------------------------------------------------------


def test_time_maps_reach_from_first_to_last_on_every_size():
    for number in range(len(fields.NAMES)):
        for angle in (0, 90, 123.4):
            row = np.array([[number, angle, 0.3, 0.7, 5, 2, 0]])
            for size in ((2, 9), (7, 5), (16, 24), (5, 5), (1, 2)):  # cells of a pixel show no order
                plane = fields.planes(row, (), size)[0]
                assert (plane.min(), plane.max()) == (0, 65535), fields.NAMES[number]
                row[0, 6] = 1
                assert (fields.planes(row, (), size)[0] == 65535 - plane).all()
                row[0, 6] = 0


def test_a_pixel_changes_when_the_map_says():
    """Hard: where p > s; soft: clamp((p(1 + σ) − s)/σ); all at p = 1, nothing at p = 0."""
    maps, size = np.zeros((1, len(MAP))), (1, 11)
    maps[0, 2:5] = 0.5, 0.5, 1
    s = np.arange(11) / 10
    for softness in (0.0, 0.1, 1.0):
        for p in (0.0, 0.05, 0.5, 0.55, 0.95, 1.0):
            layers = Layers.none((1, 1, 2))
            layers.map[:, :, 1], layers.progress[:], layers.softness[:] = 0, p, softness
            layers = Layers(**{**vars(layers), "maps": maps}).each(lambda column: column[0])
            share = cover.shares(np.ones((1, 2), np.float32), layers, size)[0, :, 0]
            mask = np.clip((p * (1 + softness) - s) / softness, 0, 1) if softness else (p > s) | (p == 1)
            np.testing.assert_allclose(share[1], mask, atol=2e-4 / (softness or 1))
            np.testing.assert_allclose(share.sum(0), 1)


def test_areas_are_means_of_shares_also_where_no_pixel_was_made(monkeypatch):
    rng, size = np.random.default_rng(5), (6, 7)
    plan = layered.random_plan(rng, 3, 4, n=5, t=3, k=4)
    plan.weight[:, :, 1:] *= rng.integers(0, 2, (5, 3, 3))
    plan.layers.map[3:] = -1
    plan.layers.place[3:] = 0, 0, 1, 1
    flat = plan.layers.each(lambda column: column.reshape(15, *column.shape[2:]))
    expected = cover.shares(plan.weight.reshape(15, 4), flat, size).mean((2, 3)).reshape(5, 3, 4)
    monkeypatch.setattr(cover, "AT_ONCE", 100)  # in several parts
    np.testing.assert_allclose(plan.area(size), expected, atol=1e-6)
    monkeypatch.setattr(cover, "shares", None)
    plain = Plan(*(column[3:] for column in (plan.clip, plan.time, plan.weight)), plan.layers.each(lambda c: c[3:]))
    np.testing.assert_allclose(plain.area(size), expected[3:], atol=1e-6)


def test_a_map_of_ones_own_is_bilinear():
    row = np.array([[-1, 0, 0.5, 0.5, 1, 0, 0.0]])
    plane = fields.planes(row, (np.array([[0.0, 2.0]]),), (1, 4))[0, 0] / 65535
    np.testing.assert_allclose(plane, [0, 0.25, 0.75, 1], atol=1e-5)


def test_reductions_beyond_two_are_averaged():
    """Stripes of a pixel, shrunk eight times: grey, where single samples would show one of them."""
    stripes = torch.zeros(1, 1, 8, 64, 3, dtype=torch.uint8)
    stripes[:, :, :, ::2] = 255
    layers = Layers.none((1, 1, 2))
    layers.place[0, 0, 1] = 0, 0, 1, 0.125
    plan = Plan(np.array([[[-1, 0]]]), np.zeros((1, 1, 2)), np.ones((1, 1, 2), np.float32), layers)
    got = render(stripes, plan, size=(8, 64))[0, 0, 0, :, :8]
    assert ((got > 0.45) & (got < 0.55)).all()


# ---- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("progress", 1.5, r"layers.progress must be in \[0, 1\], got progress=1.5"),
        ("softness", -1.0, r"layers.softness must be in \[0, 1e\+06\], got softness=-1.0"),
        ("softness", 1e300, r"layers.softness must be in \[0, 1e\+06\], got softness=1e\+300"),
        ("color", np.nan, r"layers.color must be in \[0, 1\], got color=nan"),
        ("place", np.inf, "layers.place must be y0 ≤ y1, x0 ≤ x1 and finite"),
        ("crop", 2.0, "layers.crop must be 0 ≤ y0 < y1 ≤ 1"),
    ],
)
def test_values_that_are_none_are_refused(column, value, message):
    layers = Layers.none((1, 1, 1))
    getattr(layers, column)[...] = value
    plan = Plan(np.zeros((1, 1, 1), int), np.zeros((1, 1, 1)), np.ones((1, 1, 1), np.float32), layers)
    with pytest.raises(ValueError, match=message):
        render(torch.zeros(1, 1, 4, 4, 3, dtype=torch.uint8), plan, size=(4, 4))


def test_columns_that_do_not_fit_are_refused():
    clip, time, weight = np.zeros((1, 2, 2), int), np.zeros((1, 2, 2)), np.ones((1, 2, 2), np.float32)
    with pytest.raises(ValueError, match=r"layers.map must be int64 of shape \(1, 2, 2\), got int64 \(1, 1, 2\)"):
        Plan(clip, time, weight, Layers.none((1, 1, 2)))
    layers = Layers.none((1, 2, 2))
    layers.map[0, 0, 1] = 0
    with pytest.raises(ValueError, match=r"layers.map must be in \[-1, -1\], got -1…0"):
        Plan(clip, time, weight, layers)


def test_colours_need_channels_of_a_colour():
    plan = Plan.color([1, 0, 0], frames=1)
    with pytest.raises(ValueError, match="pictures must have 1 or 3 channels beside colours, got 4"):
        blend(torch.zeros(1, 1, 8, 8, 4, dtype=torch.uint8), plan)


@pytest.mark.parametrize(
    ("shape", "dims", "message"),
    [
        ((1, 1, 3, 8, 3), None, "spatial_dims must be given where either of two axes may be the channels"),
        ((1, 1, 5, 8, 5), None, "spatial_dims must be given where no axis has a size of channels"),
        ((1, 1, 8), None, r"frames must be \(N, T, H, W\), with or without an axis of channels"),
        ((1, 1, 8, 8, 3), (1, 2), "spatial_dims must be other axes than batch and time"),
        ((1, 1, 8, 8, 3), (2,), "spatial_dims must be two axes of frames"),
    ],
)
def test_axes_that_may_be_others_are_refused(shape, dims, message):
    with pytest.raises(ValueError, match=message):
        blend(torch.zeros(shape), Plan.color([0, 0, 0], frames=1), spatial_dims=dims)
