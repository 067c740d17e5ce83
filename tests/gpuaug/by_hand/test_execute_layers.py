"""Pictures that lie over each other, by hand: pushes, fades through a colour and cuts of small arrays and banks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gpuaug
from gpuaug import Plan, edits, execute
from support import kernel_implementations

on_cpu = kernel_implementations.on("reference", "host")

# From frame 1 on, by a quarter of the picture in each frame; the second is 100 everywhere
PUSHED = np.array([[0, 0, 0, 0], [0, 0, 0, 100], [0, 0, 100, 100], [0, 100, 100, 100], [100, 100, 100, 100]])
GIVEN = {"length": 5, "start": 1, "duration": 4}


def push(form, kind, dtype, scale):
    """What a push shows, and both clips, with axes as `form` names them; rows and columns are of other numbers."""
    wide = kind == "push_left"
    size = (3, 4) if wide else (4, 3)
    shown = np.repeat(PUSHED[:, None], 3, 1) if wide else np.repeat(PUSHED[:, :, None], 3, 2)
    each = {"N": 2, "T": 5, "H": size[0], "W": size[1], "C": 3}
    whole = np.broadcast_to(shown[None, ..., None], (2, 5, *size, 3)) * scale
    axes = ["NTHWC".index(name) for name in form]
    expected = (whole if "C" in form else whole[..., 0]).transpose(axes).astype(dtype)
    shape = [each[name] for name in form]
    return expected, np.zeros(shape, dtype), np.full(shape, 100 * scale, dtype)


@pytest.mark.parametrize("form", ["NTHW", "NTHWC", "NTCHW", "NCTHW", "NHWCT", "NHWT"])
@pytest.mark.parametrize("kind", ["push_left", "push_up"])
@pytest.mark.parametrize(("dtype", "scale"), [("u1", 1), ("f4", 0.01), ("f2", 4)])
def test_a_push_on_any_axes(on_cpu, form, kind, dtype, scale):
    expected, first, second = push(form, kind, dtype, scale)
    how = {"time_dim": form.index("T")}
    if form in ("NTCHW", "NHWCT"):
        how = {"time_dim": form.index("T") - 5, "spatial_dims": (form.index("H") - 5, form.index("W"))}
    elif form == "NTHWC":
        how = {"spatial_dims": (2, 3)}  # 3 rows or columns might be channels
    elif form == "NCTHW":
        how["spatial_dims"] = (3, 4)
    for clips in ((first, second), map(torch.from_numpy, (first, second))):
        got = gpuaug.transition(*clips, kind, **GIVEN, **how)
        assert tuple(got.shape) == expected.shape
        np.testing.assert_allclose(np.asarray(got), expected, atol=0 if dtype == "u1" else 1e-6)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("dtype", "most"), [(torch.uint8, 255), (torch.float32, 1), (torch.bfloat16, 1)])
def test_a_colour_is_in_parts_of_the_most_that_a_picture_has(on_cpu, channels, dtype, most):
    first, second = (torch.full((1, 5, 6, 8, channels), value).to(dtype) for value in (0, most / 5))
    got = gpuaug.transition(first, second, "fade_color", color=[0.6] * 3, **GIVEN)
    assert got.dtype == dtype
    level = got.float().mean((0, 2, 3, 4)) / most
    assert level.tolist() == pytest.approx([0, 0.3, 0.6, 0.4, 0.2], abs=0.005)


def test_colours_beside_pictures_of_two_channels(on_cpu):
    """Which have no colours; a mask needs none, and a colour that is not seen is none."""
    first, second = torch.zeros(1, 5, 6, 8, 2), torch.ones(1, 5, 6, 8, 2)
    how = {**GIVEN, "spatial_dims": (2, 3)}
    with pytest.raises(ValueError, match=r"^pictures must have 1 or 3 channels beside colours, got 2$"):
        gpuaug.transition(first, second, "fade_color", **how)
    assert gpuaug.transition(first, second, "push_left", **how).shape == (1, 5, 6, 8, 2)
    plan = edits.transition(Plan.take(0, range(5)), Plan.take(1, range(5)), "fade_color", **GIVEN)
    unseen = gpuaug.plan.over(Plan(np.array([[[0, -1]]]), np.zeros((1, 1, 2)), np.array([[[1, 0]]], np.float32)))
    views = [gpuaug.arrays.pictures("frames", gpuaug.arrays.view(clip), 2, 3) for clip in (first, second)]
    execute.layers_into(views, unseen, torch.zeros(1, 1, 6, 8, 2))
    with pytest.raises(ValueError, match="beside colours, got 2"):
        execute.layers_into(views, plan, torch.zeros(1, 5, 6, 8, 2))


@pytest.mark.parametrize(("samples", "start"), [(2, [0, 1, 2]), (1, [0, 1])])
def test_values_of_other_samples_than_the_arrays(samples, start):
    clips = [torch.zeros(samples, 5, 6, 8)] * 2
    for kind, duration in (("cut", 0), ("push_left", 2)):
        with pytest.raises(
            ValueError, match=rf"^(parameters must be scalars or one .*\({samples}\), got 2 v|plans and)"
        ):
            gpuaug.transition(*clips, kind, length=5, start=start, duration=duration)


def test_cuts_and_dissolves_are_of_arrays_of_any_axes(on_cpu):
    first, second = np.zeros((2, 5), np.float32), np.array([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]], np.float32)
    got = gpuaug.transition(first, second, ["cut", "dissolve"], length=5, start=[2, 1], duration=[0, 2])
    assert got.tolist() == [[0, 0, 1, 2, 3], [0, 3, 7, 8, 9]]
    later = gpuaug.transition(first.T[None], second.T[None], "cut", length=4, start=1, duration=0)
    assert later.tolist() == [[[0, 0], [1, 6], [2, 7], [3, 8]]]
    with pytest.raises(ValueError, match=r"^second must have 4 frames for this start, got 3; axis 1 of first \(2, 5\)"):
        gpuaug.transition(first, second[:, :3], "cut", length=5, start=1, duration=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
@pytest.mark.parametrize("layout", ["NTHWC", "NCTHW"])
def test_a_push_is_rendered_with_box_colours_and_normalisation(on_cpu, dtype, layout):
    """The left half of the box, which the second clip's pixels say, comes in from the right."""
    bank = torch.zeros(2, 5, 4, 8, 3, dtype=torch.uint8)
    bank[1, :, :, 2:6] = 100
    plan = edits.transition(Plan.take(0, range(5)), Plan.take(1, range(5)), "push_left", **GIVEN)
    color = np.concatenate([2 * np.eye(3), np.full((3, 1), 0.1)], 1)
    how = {"size": (4, 4), "box": [[0, 2, 4, 6]], "color": color, "layout": layout, "dtype": dtype}
    got = (
        gpuaug.render(bank, plan, **how)
        if dtype == torch.uint8
        else gpuaug.render(bank, plan, mean=0.1, std=0.5, **how)
    )
    value = 2 * PUSHED + 25.5 if dtype == torch.uint8 else 2 * PUSHED / 255 / 0.5
    expected = np.broadcast_to(value[None, :, None, :, None], (1, 5, 4, 4, 3)).transpose(
        ["NTHWC".index(d) for d in layout]
    )
    np.testing.assert_allclose(got.numpy(), expected, atol=0.51 if dtype == torch.uint8 else 1e-5)
